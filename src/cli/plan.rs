//! Flags of the verbs that plan and run plans: `plan`, `apply`, `destroy`.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};

use super::TextOrJson;
use super::parse::{duration, hazard};
use crate::model::plan::HazardKind;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    Text,
    Json,
    Markdown,
}

/// What a plan covers; the same on `plan` and `apply`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Planning {
    /// Delete machines that the manifest no longer lists
    #[arg(long, help_heading = "Planning")]
    pub prune: bool,
    /// Plan these machines only (with the templates that they need)
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',', value_parser = NonEmptyStringValueParser::new(), help_heading = "Planning")]
    pub only: Vec<String>,
    /// Delete these machines and make them again, one at a time
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',', value_parser = NonEmptyStringValueParser::new(), help_heading = "Planning")]
    pub replace: Vec<String>,
    /// Replace every machine that was made from an older image, one at a time
    #[arg(long, help_heading = "Planning")]
    pub replace_outdated: bool,
    /// Plan as if this node were gone; only to ask, apply refuses it
    #[arg(long, value_name = "NODE", help_heading = "Planning")]
    pub without_node: Option<String>,
    /// Accept a hazard: delete-masters, break-quorum, many-deletes, reboot-masters, reboot-workers, replace
    #[arg(long, value_name = "HAZARD", num_args = 1.., value_delimiter = ',', value_parser = hazard, help_heading = "Planning")]
    pub accept: Vec<HazardKind>,
}

#[derive(Args, Debug)]
pub struct Plan {
    /// How it is printed
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub format: PlanFormat,
    /// Save the plan to FILE for `apply FILE`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit 2 when there are changes, 0 when there are none
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Plan from a saved observation, contacting no node
    #[arg(long, value_name = "FILE")]
    pub observed: Option<PathBuf>,
    /// Write annotations, $GITHUB_STEP_SUMMARY and $GITHUB_OUTPUT
    #[arg(long)]
    pub github: bool,
    #[command(flatten)]
    pub planning: Planning,
}

#[derive(Args, Debug)]
pub struct Apply {
    /// A plan saved with `plan --out`
    #[arg(value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// Don't ask
    #[arg(long)]
    pub auto_approve: bool,
    /// Apply only if the plan's digest begins with this (at least 12 digits)
    #[arg(long, value_name = "DIGEST")]
    pub expect: Option<String>,
    #[command(flatten)]
    pub running: Running,
    #[command(flatten)]
    pub planning: Planning,
}

/// How a plan is run.
#[derive(Args, Clone, Debug)]
pub struct Running {
    /// How it is printed
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    /// Leave after start, without waiting for readiness
    #[arg(long)]
    pub no_wait: bool,
    /// Wait for another apply's lock, or a VM's backup, this long: 30s, 10m, 1h
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub lock_timeout: std::time::Duration,
    /// Don't run the config's hooks
    #[arg(long)]
    pub no_hooks: bool,
    /// Write the Ansible inventory of all machines to FILE afterwards
    #[arg(long, value_name = "FILE")]
    pub inventory: Option<PathBuf>,
    /// Write a picture of the run (SVG)
    #[arg(long, value_name = "FILE")]
    pub timeline: Option<PathBuf>,
    /// Where the machines' host keys are kept [default: ~/.local/state/pvekube/CLUSTER/known_hosts]
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Destroy {
    /// Also this cluster's templates
    #[arg(long)]
    pub templates: bool,
    /// Don't ask
    #[arg(long)]
    pub auto_approve: bool,
    /// Accept a hazard: delete-masters, break-quorum, many-deletes, reboot-masters, reboot-workers, replace
    #[arg(long, value_name = "HAZARD", num_args = 1.., value_delimiter = ',', value_parser = hazard)]
    pub accept: Vec<HazardKind>,
    #[command(flatten)]
    pub running: Running,
}
