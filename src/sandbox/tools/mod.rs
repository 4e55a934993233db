//! Stand-ins for the programs of a PVE node: `qm`, `pvesh`, `pvesm`, `pveversion`.
//!
//! They are strict as the real ones: an unknown command, option or value is an error with the real text and exit code.
//! What they say is held against recordings of real nodes (`tests/conformance.rs`).

mod api;
mod call;
mod cloudinit;
mod conf;
mod drives;
mod output;
mod pending;
mod pvesh;
mod pvesm;
mod qm;
mod schema;
pub mod storage;
mod worker;

use call::{Call, Die, Run};

use super::node::SandboxNode;
use super::process::Process;

/// Runs one program to its end and returns its exit code. `None`: no such program here.
///
/// Dropping the future is SIGKILL: locks are freed, half-made things stay. Cancelling `process.terminate` is SIGTERM.
pub async fn run(node: &SandboxNode, process: &Process) -> Option<i32> {
    let process = &decoded(process);
    let program = process.argv.first()?.rsplit('/').next()?;
    let call = Call::new(node, process);
    if matches!(program, "qm" | "pvesh" | "pvesm" | "pveversion")
        && let Err(die) = locale_noise(&call)
    {
        return Some(exit_of(&call, die, ""));
    }
    if program != "pveversion" && !node.exists("/etc/pve/local") {
        // pmxcfs is down: the tools can't even ask who may call them. errno is ECONNREFUSED.
        let lines = (1..=3).map(|number| format!("ipcc_send_rec[{number}] failed: Connection refused\n"));
        let text: String = lines.chain(["Unable to load access control list: Connection refused".to_owned()]).collect();
        return Some(exit_of(&call, Die::Text { exit: 111, text }, ""));
    }
    let argv = &process.argv[1..];
    Some(match program {
        "qm" => qm::main(&call, argv).await,
        "pvesh" => pvesh::main(&call, argv).await,
        "pvesm" => pvesm::main(&call, argv).await,
        "pveversion" => match version(&call) {
            Ok(()) => 0,
            Err(die) => exit_of(&call, die, ""),
        },
        _ => return None,
    })
}

/// Prints what a dying tool prints, and says its exit code.
fn exit_of(call: &Call<'_>, die: Die, usage: &str) -> i32 {
    match die {
        Die::Text { exit, text } => {
            if !text.is_empty() {
                // With stderr closed too there is nobody to tell.
                let _ = call.out.error(text.trim_end_matches('\n'));
            }
            exit
        }
        Die::Parameters { exit, problems } => {
            let mut text = "400 Parameter verification failed.\n".to_owned();
            for (name, problem) in problems {
                text.push_str(&format!("{name}: {problem}\n"));
            }
            let _ = call.out.error(format!("{text}{usage}"));
            exit
        }
        Die::BrokenPipe | Die::Killed => 141,
        Die::Interrupted => 143,
    }
}

/// Without a UTF-8 locale Perl reads each byte over 127 as U+FFFD (observed §6).
fn decoded(process: &Process) -> Process {
    let mut process = process.clone();
    if !process.locale.to_ascii_uppercase().replace('-', "").ends_with("UTF8") {
        for word in &mut process.argv {
            *word = word.chars().flat_map(|c| vec![if c.is_ascii() { c } else { '\u{fffd}' }; c.len_utf8()]).collect();
        }
    }
    process
}

/// Fifteen lines of warnings when the locale is one that the node lacks (contract §0.3).
fn locale_noise(call: &Call<'_>) -> Run<()> {
    let locale = &call.process.locale;
    let known = matches!(locale.as_str(), "" | "C" | "POSIX" | "C.UTF-8" | "C.utf8");
    let missing = call.node.world.faults().locale_missing.contains(call.node.name());
    if known && !missing {
        return Ok(());
    }
    let mut text = "perl: warning: Setting locale failed.\nperl: warning: Please check that your locale settings:\n\
        \tLANGUAGE = (unset),\n"
        .to_owned();
    text.push_str(&format!("\tLC_ALL = \"{locale}\",\n"));
    for name in [
        "CTYPE",
        "NUMERIC",
        "COLLATE",
        "TIME",
        "MESSAGES",
        "MONETARY",
        "ADDRESS",
        "IDENTIFICATION",
        "MEASUREMENT",
        "PAPER",
        "TELEPHONE",
        "NAME",
    ] {
        text.push_str(&format!("\tLC_{name} = (unset),\n"));
    }
    text.push_str(&format!(
        "\tLANG = \"{locale}\"\n    are supported and installed on your system.\n\
        perl: warning: Falling back to the standard locale (\"C\")."
    ));
    Ok(call.out.error(text)?)
}

fn version(call: &Call<'_>) -> Run<()> {
    let version = &call.node.spec().version;
    call.say(format!("pve-manager/{}/{} (running kernel: {})", version.manager, version.repoid, version.kernel))
}

#[cfg(test)]
mod tests;
