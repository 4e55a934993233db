//! `pvekube plan`: what would change, and why.

use super::session::{self, Session};
use super::{Stop, files, login_keys, look, planning, saved};
use crate::cli::{Global, Plan as Args, PlanFormat};
use crate::error::{Exit, Fault};
use crate::model::observed::Observed;
use crate::model::plan::Plan;
use crate::planner::{self, PlanOptions};
use crate::remote::Remote as _;
use crate::render::github;
use crate::render::json::plan_json;
use crate::render::markdown::plan_markdown;
use crate::render::saved::flags;
use crate::render::text::{PlanView, plan_text};
use crate::ui::Ui;

pub async fn run(ui: &Ui, global: &Global, args: &Args) -> Result<Exit, Stop> {
    let session = session::open(global)?;
    let options = planning::options(&args.planning, &session.loaded.desired)?;
    let inputs: Vec<_> = session::input_paths(global).into_iter().chain(args.observed.clone()).collect();
    args.out.as_deref().map_or(Ok(()), |path| files::can_write(path, &inputs))?;
    let looked = match &args.observed {
        Some(path) => look::saved(path).map(|(observed, age)| (observed, Some(age))),
        None => look::look(ui, &session).await.map(|observed| (observed, None)),
    };
    session.nodes.close().await;
    let (observed, age) = looked?;
    let plan = planner::plan(&session.loaded.desired, &observed, &options);
    let flags = flags(&options);
    let view = PlanView {
        flags: &flags,
        sandbox: session.sandbox.is_some(),
        observation_age_s: age,
        verbose: global.verbose > 0,
        ..PlanView::new(&plan, ui.look())
    };
    ui.data(&match args.format {
        PlanFormat::Text => plan_text(&view),
        PlanFormat::Json => plan_json(&view),
        PlanFormat::Markdown => plan_markdown(&view),
    })?;
    login_keys::warn_of_none(ui, &plan, &session.loaded.desired).await;
    if args.github {
        tell_github(ui, &view)?;
    }
    if let Some(path) = &args.out {
        save(ui, &session, &observed, &plan, &options, path, age.is_some())?;
    }
    Ok(exit(&plan, args.detailed_exitcode))
}

fn exit(plan: &Plan, detailed: bool) -> Exit {
    // What is held back is not planned: "nothing to do" would be a lie.
    // `--without-node` asks a question: its answer can't be applied, and that is no error.
    if plan.refusals().any(|check| check.id != "what-if") || plan.held_back().next().is_some() {
        Exit::Failure
    } else if detailed && plan.has_changes() {
        Exit::Changes
    } else {
        Exit::Success
    }
}

/// Annotations on stderr, which Actions reads too: stdout may be going into a file. The summary and the outputs into the files that Actions names.
fn tell_github(ui: &Ui, view: &PlanView<'_>) -> Result<(), Fault> {
    let annotations = github::plan_annotations(view.plan);
    if !annotations.is_empty() {
        ui.warn(&annotations);
    }
    for (variable, text) in
        [("GITHUB_STEP_SUMMARY", plan_markdown(view)), ("GITHUB_OUTPUT", github::outputs(view.plan))]
    {
        if let Some(path) = std::env::var_os(variable) {
            files::append(path.as_ref(), text.as_bytes())?;
        }
    }
    Ok(())
}

fn save(
    ui: &Ui,
    session: &Session,
    observed: &Observed,
    plan: &Plan,
    options: &PlanOptions,
    path: &std::path::Path,
    offline: bool,
) -> Result<(), Fault> {
    let document = saved::document(session, observed, plan, options, offline);
    files::write_atomically(path, document.as_bytes(), files::Readers::Owner)?;
    if offline {
        ui.talk(&format!("Saved to {} for review; a plan from a saved observation can't be applied.", path.display()));
    } else if plan.refusals().next().is_some() {
        ui.talk(&format!("Saved to {}; apply refuses it as it does this plan.", path.display()));
    } else {
        ui.talk(&format!("Saved to {0}. To do exactly this: pvekube apply {0}", path.display()));
    }
    Ok(())
}
