//! Scripts of the recordings that are more than lists and pipes: locks held beside, workers killed, detached starts, a value
//! read out of JSON, files found.

use std::collections::BTreeMap;
use std::sync::Arc;

use pvekube::sandbox::flock::Mode;
use pvekube::sandbox::node::SandboxNode;
use pvekube::sandbox::process::{Captured, Process};
use pvekube::sandbox::tools;

use super::shell::{Answer, Job, Shell};

impl Shell {
    /// `D=$(COMMAND | python3 -c "…['digest'])"); REST`: a field of what a command printed as JSON becomes a variable. Gives
    /// the rest of the script.
    pub async fn assigned<'a>(
        &mut self,
        node: &SandboxNode,
        script: &'a str,
        variables: &mut BTreeMap<String, String>,
    ) -> Option<&'a str> {
        let Some((name, rest)) = script.split_once("=$(").filter(|(name, _)| name.len() == 1) else {
            return Some(script);
        };
        let (command, rest) = rest.split_once(" | python3 -c ")?;
        let (field, rest) = rest.split_once("['")?.1.split_once("'])\"); ")?;
        let answer = self.script(node, command, b"").await?;
        let value: serde_json::Value = serde_json::from_str(&answer.stdout).ok()?;
        variables.insert(name.to_owned(), value.get(field)?.as_str()?.to_owned());
        Some(rest)
    }

    /// `find /etc/pve/nodes -name "22[01].conf" -exec sh -c "echo == {}; cat {}" \\;`
    fn found(node: &SandboxNode, script: &str) -> Option<Answer> {
        let name = script.strip_prefix("find /etc/pve/nodes -name \"")?;
        let (pattern, rest) = name.split_once("[01].conf\"")?;
        if rest != " -exec sh -c \"echo == {}; cat {}\" \\;" {
            return None;
        }
        let mut stdout = String::new();
        for (vmid, owner, _) in node.guests() {
            if [format!("{pattern}0"), format!("{pattern}1")].contains(&vmid.to_string()) {
                let path = format!("/etc/pve/nodes/{owner}/qemu-server/{vmid}.conf");
                stdout.push_str(&format!("== {path}\n{}", node.read_text(&path).ok()?));
            }
        }
        Some(Answer { stdout, ..Answer::default() })
    }

    /// `None`: it is none of these.
    pub async fn idiom(&mut self, node: &SandboxNode, script: &str) -> Option<Option<Answer>> {
        if let Some(answer) = Self::found(node, script) {
            return Some(Some(answer));
        }
        if let Some(rest) = script.strip_prefix("flock -x ") {
            let (file, rest) = rest.split_once(' ')?;
            let (seconds, rest) = rest.strip_prefix("sleep ")?.split_once(" & ")?;
            let seconds: f64 = seconds.parse().ok()?;
            let held = node.flock(file, Mode::Exclusive, 0.0).await.ok()??;
            let task = tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_secs_f64(seconds)).await;
                drop(held);
            });
            let answer = Box::pin(self.script(node, rest, b"")).await;
            // The shell's own background job is waited for by whoever reads its pipe.
            let _ = task.await;
            return Some(answer);
        }
        let kill = script.strip_prefix("kill -9 $(ps ").map(|rest| (true, rest));
        let kill = kill.or_else(|| script.strip_prefix("kill -TERM $(ps ").map(|rest| (false, rest)));
        if let Some((hard, rest)) = kill {
            let (_, rest) = rest.split_once("); ")?;
            for job in self.background.drain(..) {
                if hard {
                    job.task.abort();
                } else {
                    job.terminate.cancel();
                }
                let _ = job.task.await;
            }
            return Some(Box::pin(self.script(node, rest, b"")).await);
        }
        if let Some((_, rest)) = script.split_once("(setsid sh -c \"") {
            // A detached operation, awaited: its exit code and its log.
            let (command, _) = rest.split_once(" >log")?;
            let answer = Box::pin(self.script(node, command, b"")).await?;
            let stdout = format!("{}\n{}{}", answer.exit, answer.stdout, answer.stderr);
            return Some(Some(Answer { stdout, ..Answer::default() }));
        }
        if let Some(rest) = script.strip_prefix("setsid nohup ") {
            let (command, rest) = rest.split_once(" > ")?;
            let (log, _) = rest.split_once(' ')?;
            let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
            let (captured, out) = Captured::new();
            let process = Process::new(words, out);
            let (there, terminate) = (node.clone(), process.terminate.clone());
            let task = tokio::spawn(async move {
                let _ = tools::run(&there, &process).await;
            });
            let log = Some((node.clone(), log.to_owned(), captured));
            self.background.push(Job { task, terminate, closed: Arc::default(), log });
            return Some(Some(Answer::default()));
        }
        None
    }
}
