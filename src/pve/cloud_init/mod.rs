//! The bake: the vendor document of a template's one boot, its recipe digest, and what its console says (design §6).
//!
//! The document is `#cloud-config` and one line of JSON, which every YAML reader takes the same way. It holds a single
//! command: a transient unit, because whatever cleans up must run after cloud-init's last stage, which would write its own
//! records again ([i-golden/bake-snippet], observed §11). The unit's script is `bake.sh`; names of packages and the
//! operator's commands follow as its arguments, so nothing is ever pasted into shell text. systemd replaces `${NAME}` and
//! `$$` in a unit's arguments (systemd.service(5), "Command lines"): every `$` is written as `$$`.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::model::desired::Bake;
use crate::pve::report::plain;

const SCRIPT: &str = include_str!("bake.sh");

/// Stands between the packages and the commands in the script's arguments.
const SEPARATOR: &str = "--";

const HEADER: &str = "#cloud-config\n";

/// The vendor document that installs, runs, cleans and reports.
pub fn document(bake: &Bake) -> String {
    let unit = ["systemd-run", "--no-block", "--unit=pvekube-bake", "sh", "-c", SCRIPT, "pvekube-bake"];
    let packages = bake.packages.iter().map(String::as_str);
    let commands = bake.commands.iter().map(String::as_str);
    let words = unit.into_iter().chain(packages).chain([SEPARATOR]).chain(commands);
    let command: Vec<String> = words.map(|word| word.replace('$', "$$")).collect();
    format!("{HEADER}{}\n", json!({ "runcmd": [command] }))
}

/// First 8 hex digits of a digest over all that a bake does: packages, commands, and our own script. The network it runs
/// over is not part of the template.
pub fn recipe(bake: &Bake) -> String {
    hex::encode(&Sha256::digest(document(bake).as_bytes())[..4])
}

/// What a bake document installs besides the agent, and what it runs: the inverse of [`document`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BakeDocument {
    pub packages: Vec<String>,
    pub commands: Vec<String>,
}

/// Reads a document that [`document`] wrote; `None` for any other text.
pub fn read(document: &str) -> Option<BakeDocument> {
    let value: serde_json::Value = serde_json::from_str(document.strip_prefix(HEADER)?).ok()?;
    let command = value.get("runcmd")?.get(0)?.as_array()?;
    let words: Option<Vec<String>> = command.iter().map(|word| Some(word.as_str()?.replace("$$", "$"))).collect();
    let words = words?;
    let script = words.iter().position(|word| word == SCRIPT)?;
    let arguments = words.get(script + 2..)?;
    let separator = arguments.iter().position(|word| word == SEPARATOR)?;
    Some(BakeDocument { packages: arguments[..separator].to_vec(), commands: arguments[separator + 1..].to_vec() })
}

/// What a bake reported on its serial console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BakeOutcome {
    Ok,
    Failed {
        /// What failed, with its exit code: `package nonesuch (exit 100)`, `command 2 (exit 1)`, `service qemu-guest-agent`.
        module: String,
        /// The last lines that it printed.
        lines: Vec<String>,
    },
    /// No report: it never got that far, or nobody read the console.
    Silent,
}

/// Reads the console's log: `pvekube-bake: ok` or `pvekube-bake: failed: MODULE`, after lines `pvekube-bake| OUTPUT`. The
/// last report counts; noise of the kernel and of systemd may stand around each line.
pub fn bake_outcome(log: &str) -> BakeOutcome {
    let mut outcome = BakeOutcome::Silent;
    let mut said = Vec::new();
    for line in log.split(['\n', '\r']).map(plain) {
        if let Some((_, text)) = line.split_once("pvekube-bake| ") {
            said.push(text.trim_end().to_owned());
        } else if let Some((_, report)) = line.split_once("pvekube-bake: ") {
            let report = report.trim();
            if report == "ok" {
                outcome = BakeOutcome::Ok;
            } else if let Some(module) = report.strip_prefix("failed: ") {
                outcome = BakeOutcome::Failed { module: module.trim().to_owned(), lines: std::mem::take(&mut said) };
            }
        }
    }
    outcome
}

#[cfg(test)]
mod tests;
