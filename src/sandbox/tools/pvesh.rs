//! `pvesh`: API paths from the command line (pvesh.pm). A task's worker runs in the foreground; its failure is on
//! stderr, and the exit code is 0 all the same (contract §0.1).

mod cluster;
mod guest;
mod node;
mod paths;

use std::sync::Arc;

use serde_json::Value;

use super::super::node::SandboxNode;
use super::super::process::{Captured, Output};
use super::api::Values;
use super::call::{Call, Die, Run};
use super::exit_of;
use super::output::{self, Table};
use super::qm::refuse;
use super::schema::{Options, parse};
use paths::{Found, find};

/// Options of every `pvesh` call.
const FORMAT: &str = "output-format enum:text|json|json-pretty|yaml;noborder bool;noheader bool;quiet bool;\
    human-readable bool;nooutput bool;noproxy bool";

pub async fn main(call: &Call<'_>, argv: &[String]) -> i32 {
    let verb = argv.first().map(String::as_str).unwrap_or_default();
    if !matches!(verb, "get" | "create" | "set" | "delete") {
        let text = if verb.is_empty() {
            "ERROR: no command specified".into()
        } else {
            format!("ERROR: unknown command 'pvesh {}'", argv.join(" "))
        };
        let _ = call.out.error(format!("{text}\nUSAGE: pvesh <COMMAND> [ARGS] [OPTIONS]"));
        return 255;
    }
    let usage = format!("pvesh {verb} <api_path> [OPTIONS] [FORMAT_OPTIONS]");
    let Some(path) = argv.get(1) else {
        let _ = call.out.error(format!("400 not enough arguments\n{usage}"));
        return 255;
    };
    let Some(found) = find(verb, path) else {
        let _ = call.out.error(format!("No '{verb}' handler defined for '{path}'"));
        return 1;
    };
    let mut options = Options::new(&format!("{FORMAT};{}", found.endpoint.options), &[]);
    if found.endpoint.vm_options {
        options = options.with(super::schema::schema());
    }
    match parse(&options, &argv[2..]) {
        Err(refusal) => refuse(call, refusal, &usage),
        Ok(parsed) => match run(call, &found, &parsed.values).await {
            Ok(()) => 0,
            Err(die) => exit_of(call, die, &usage),
        },
    }
}

async fn run(call: &Call<'_>, found: &Found, options: &Values) -> Run<()> {
    // pvesh compiles the whole API (observed §9).
    call.work(1.0).await?;
    super::super::statd::broadcast(call.node);
    let mut values: Values = options.clone();
    values.extend(found.parameters.clone());
    let result = match proxied(call, &values)? {
        None => dispatch(call, found, &values).await?,
        Some(node) => remotely(call, &node, found, &values).await?,
    };
    show(call, &result, options)
}

/// Another node's path goes over ssh to that node.
fn proxied(call: &Call<'_>, values: &Values) -> Run<Option<SandboxNode>> {
    let Some(name) = values.get("node").filter(|name| *name != call.node.name() && *name != "localhost") else {
        return Ok(None);
    };
    let Some(node) = call.node.members().into_iter().find(|member| member.name() == name) else {
        return Err(Die::Text {
            exit: 11,
            text: format!(
                "hostname lookup '{name}' failed - failed to get address info for: {name}: Temporary failure in name resolution"
            ),
        });
    };
    if call.node.world.faults().offline.contains(name) {
        let address = &node.spec().address;
        return Err(Die::new(format!(
            "proxy handler failed: ssh: connect to host {address} port 22: No route to host"
        )));
    }
    Ok(Some(node))
}

/// Runs there; lines of a task come back glued together in front of its id (contract §0.3).
async fn remotely(call: &Call<'_>, node: &SandboxNode, found: &Found, values: &Values) -> Run<Value> {
    call.work(1.2).await?;
    let (captured, out) = Captured::new();
    let mut process = call.process.clone();
    process.out = Output(Arc::clone(&out.0));
    let there = Call::new(node, &process);
    let result = dispatch(&there, found, values).await;
    let (stdout, stderr) = captured.take();
    if !stderr.is_empty() {
        call.warn(String::from_utf8_lossy(&stderr).trim_end())?;
    }
    let result = result?;
    let lines = String::from_utf8_lossy(&stdout).replace('\n', "");
    Ok(match result {
        Value::String(id) if !lines.is_empty() => Value::String(format!("{lines}\"{id}\"")),
        other => other,
    })
}

async fn dispatch(call: &Call<'_>, found: &Found, values: &Values) -> Run<Value> {
    match found.endpoint.section {
        paths::Section::Cluster => cluster::run(call, found.endpoint.name, values),
        paths::Section::Node => node::run(call, found.endpoint.name, values).await,
        paths::Section::Guest => guest::run(call, found.endpoint.name, values).await,
    }
}

fn show(call: &Call<'_>, result: &Value, options: &Values) -> Run<()> {
    if options.contains_key("quiet") || options.contains_key("nooutput") || result.is_null() {
        return Ok(());
    }
    match options.get("output-format").map(String::as_str) {
        Some("json") => call.say(output::json(result)),
        Some("json-pretty") => call.say(output::pretty(result)),
        Some("yaml") => Ok(call.out.text(output::yaml(result))?),
        Some(_) | None => {
            let style = Table { border: !options.contains_key("noborder"), header: !options.contains_key("noheader") };
            Ok(call.out.text(output::table(result, style))?)
        }
    }
}
