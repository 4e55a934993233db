//! Local programs run around a machine's change: `before_stop` (drain it) and `after_ready` (uncordon it).

use std::net::IpAddr;
use std::process::Stdio;
use std::time::Duration;

use ipnet::IpNet;
use tokio::process::Command;

use super::agent;
use super::failure::{StepError, failure, last_lines};
use super::read_back::Seen;
use super::run::StepRun;
use crate::model::desired::Hook;
use crate::model::outcome::Failure;
use crate::model::plan::{ExpectedAddress, Target};
use crate::pve::property::Net;
use crate::remote::{AgentAsk, Remote};

/// Variables that a hook sees, besides those of pvekube itself.
pub(super) type HookVariables = Vec<(&'static str, String)>;

impl<R: Remote> StepRun<R> {
    /// Before the machine is shut down or destroyed. A failing hook fails the step, so that the machine stays as it is.
    pub(super) async fn before_stop(&self, seen: &Seen) -> Result<(), StepError> {
        let Some(hook) = self.run.desired.hooks.before_stop.as_ref().filter(|_| self.run.options.hooks) else {
            return Ok(());
        };
        let address = match self.known_address() {
            Some(address) => Some(address),
            None => self.leased_address(seen).await,
        };
        self.hook("before_stop", Some(hook), address).await
    }

    /// What the guest says of its own address; nothing where it is silent.
    async fn leased_address(&self, seen: &Seen) -> Option<IpAddr> {
        let net = Net::parse(seen.config.as_ref()?.get("net0")?).ok()?;
        let answer = self.node.follower.agent(self.step.vmid, AgentAsk::Interfaces).await?.ok()?;
        let exclude: Vec<IpNet> =
            self.run.desired.readiness.exclude.iter().filter_map(|net| net.parse().ok()).collect();
        let interfaces = agent::interfaces(&answer)?;
        agent::choose_address(&interfaces, &net.mac_lower()?, &ExpectedAddress::Dhcp, &exclude).0
    }

    pub(super) async fn after_ready(&self, address: Option<IpAddr>) -> Result<(), StepError> {
        self.hook("after_ready", self.run.desired.hooks.after_ready.as_ref(), address).await
    }

    async fn hook(&self, which: &str, hook: Option<&Hook>, address: Option<IpAddr>) -> Result<(), StepError> {
        let (Some(hook), true, Target::Machine { role, .. }) = (hook, self.run.options.hooks, &self.step.subject)
        else {
            return Ok(());
        };
        self.progress(format!("hook {which}: {}", hook.command.join(" ")), None);
        let variables = vec![
            ("PVEKUBE_HOOK", which.to_owned()),
            ("PVEKUBE_CLUSTER", self.run.cluster.to_string()),
            ("PVEKUBE_MACHINE", self.name().to_owned()),
            ("PVEKUBE_ROLE", role.to_string()),
            ("PVEKUBE_NODE", self.step.node.to_string()),
            ("PVEKUBE_VMID", self.step.vmid.to_string()),
            ("PVEKUBE_ADDRESS", address.map(|address| address.to_string()).unwrap_or_default()),
        ];
        run(which, hook, variables).await.map_err(|mut failure| {
            failure.summary = format!("{}: {}", self.name(), failure.summary);
            failure.into()
        })
    }
}

/// Runs one hook. Its output is evidence when it fails.
pub(super) async fn run(which: &str, hook: &Hook, variables: HookVariables) -> Result<(), Failure> {
    let next = "mend the hook, or run apply with --no-hooks";
    let command = hook.command.join(" ");
    let Some((program, arguments)) = hook.command.split_first() else {
        return Err(failure("hook-failed", format!("hook {which} has no command"), next));
    };
    let child = Command::new(program)
        .args(arguments)
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let fail = |summary: String, output: &str| {
        let mut failure = failure("hook-failed", summary, next);
        failure.evidence = last_lines(output.lines(), 8);
        failure.command = Some(command.clone());
        failure
    };
    let child = child.map_err(|error| fail(format!("hook {which} could not be started: {error}"), ""))?;
    let limit = Duration::from_secs(u64::from(hook.timeout_s));
    match tokio::time::timeout(limit, child.wait_with_output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let text = [output.stdout, output.stderr].concat();
            Err(fail(format!("hook {which} ended with {}", output.status), &String::from_utf8_lossy(&text)))
        }
        Ok(Err(error)) => Err(fail(format!("hook {which} could not be waited for: {error}"), "")),
        Err(_) => Err(fail(format!("hook {which} was still running after {} s and was killed", hook.timeout_s), "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(command: &[&str], timeout_s: u32) -> Hook {
        Hook { command: command.iter().map(|word| (*word).to_owned()).collect(), timeout_s }
    }

    #[tokio::test]
    async fn a_hook_sees_its_variables_and_its_arguments_as_they_are() {
        let check = r#"test "$PVEKUBE_MACHINE" = "k8s worker" && test "$1" = 'a $(b)'"#;
        let variables = vec![("PVEKUBE_MACHINE", "k8s worker".to_owned())];
        run("before_stop", &hook(&["sh", "-c", check, "sh", "a $(b)"], 60), variables).await.unwrap();
    }

    #[tokio::test]
    async fn a_failing_hook_says_what_it_printed() {
        let failure = run("before_stop", &hook(&["sh", "-c", "echo cannot evict pod x >&2; exit 3"], 60), vec![])
            .await
            .unwrap_err();
        assert_eq!(failure.evidence, ["cannot evict pod x"]);
        assert!(failure.summary.contains("exit status: 3"), "{}", failure.summary);
        let missing = run("after_ready", &hook(&["/nonexistent/hook"], 60), vec![]).await.unwrap_err();
        assert!(missing.summary.contains("could not be started"), "{}", missing.summary);
    }

    #[tokio::test]
    async fn a_hook_that_hangs_is_killed() {
        let failure = run("before_stop", &hook(&["sleep", "600"], 0), vec![]).await.unwrap_err();
        assert!(failure.summary.contains("still running"), "{}", failure.summary);
    }
}
