//! The built program as a user meets it, on the sandbox: everyday verbs, saved plans, exit codes, refusals.

#![allow(clippy::unwrap_used, reason = "a test that can't run the program has failed")]

mod desk;

use std::fs;
use std::process::{Command, Stdio};

use pvekube::model::plan::{Action, Setting};
use pvekube::render::digest::plan_digest;
use pvekube::render::saved::SavedPlan;

use desk::{Desk, ONE, PVEKUBE, Said, said};

#[test]
fn a_day_with_it() {
    let desk = Desk::new(ONE);
    // Exit codes of plan: documented in docs/ci.md.
    desk.run("plan --sandbox").exits(0).says("Plan: 2 to add");
    desk.run("plan --sandbox --detailed-exitcode").exits(2);
    // Nobody to ask: refused before any node is asked.
    let refused = desk.run("apply --sandbox").exits(1).says("error[needs-approval]");
    assert!(!refused.stderr.contains("answered"), "{}", refused.stderr);

    // A saved plan does exactly what was saved.
    desk.run("plan --sandbox --out plan.json").exits(0);
    desk.run("apply --sandbox --prune plan.json").exits(1).says("error[plan-options]");
    desk.run("apply --sandbox plan.json --inventory hosts.yaml --timeline run.svg")
        .exits(0)
        .says("Apply complete! 2 added");
    assert!(desk.read("hosts.yaml").contains("kube_control_plane"));
    assert!(desk.read("run.svg").starts_with("<svg"));
    desk.run("apply --sandbox plan.json").exits(1).says("error[saved-plan-stale]").says("100");
    desk.run("plan --sandbox --detailed-exitcode").exits(0).says("No changes.");
    desk.run("status --sandbox").exits(0).says("k8s-worker-1");

    // --expect: only the plan that was approved.
    desk.write("cluster.yaml", &ONE.replace("count: 1\n  size: small\n", "count: 2\n  size: small\n"));
    let json: serde_json::Value =
        serde_json::from_str(&desk.run("plan --sandbox --format json").exits(0).stdout).unwrap();
    let digest = json["plan_digest"].as_str().unwrap();
    desk.run(&format!("apply --sandbox --auto-approve --expect {}", "0".repeat(64)))
        .exits(1)
        .says("error[plan-differs]");
    desk.run(&format!("apply --sandbox --auto-approve --inventory hosts.yaml --expect {digest}"))
        .exits(0)
        .says("1 added");
    // All machines, not just the new one; and also when there was nothing to do.
    assert_eq!(desk.read("hosts.yaml").matches("ansible_host").count(), 3);
    desk.run("apply --sandbox --auto-approve --inventory again.yaml").exits(0).says("No changes.");
    assert_eq!(desk.read("again.yaml"), desk.read("hosts.yaml"));

    // Everyday verbs edit the manifest in place.
    let before = desk.read("cluster.yaml");
    desk.run("create --sandbox --auto-approve --role worker --size medium --node pve2").exits(0).says("1 added");
    let after = desk.read("cluster.yaml");
    assert!(after.contains("# those who work") && after.contains("# etcd alone"), "{after}");
    assert!(after.contains("count: 3") && after.contains("3: {size: medium, node: pve2}"), "{after}");
    desk.run("plan --sandbox --detailed-exitcode").exits(0);
    desk.run("remove --sandbox --auto-approve k8s-worker-3").exits(0).says("1 destroyed");
    assert_eq!(desk.read("cluster.yaml"), before, "the file is as it was");
    desk.run("plan --sandbox --detailed-exitcode").exits(0);
    desk.run("scale --sandbox --auto-approve workers=1").exits(0).says("1 destroyed");
    desk.run("remove --sandbox --auto-approve k8s-nobody-1").exits(1).says("error[unknown-machine]");

    // The mark decides: out of the Notes, and it is nobody's; back in, and it is ours.
    let worker = desk.vm(101);
    desk.run("disown --sandbox --auto-approve k8s-worker-1").exits(0);
    assert!(!fs::read_to_string(&worker).unwrap().contains("machine=worker-1"));
    desk.run("plan --sandbox").exits(1).says("adopt");
    desk.run("adopt --sandbox --auto-approve k8s-worker-1 --vmid 101").exits(0);
    desk.run("plan --sandbox --detailed-exitcode").exits(0).says("No changes.");

    // No longer in the manifest: still told of, and no reason for another exit code.
    desk.write("cluster.yaml", before.split("# those who work").next().unwrap());
    let status = desk.run("status --sandbox").exits(0).says("not in the manifest; left alone");
    assert!(status.stdout.contains("k8s-worker-1"), "{}", status.stdout);
    let json = desk.run("status --sandbox --format json").exits(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["not_in_manifest"][0]["name"], "k8s-worker-1");
    desk.write("cluster.yaml", &before);

    // Offline: for review, never applied.
    let observed = desk.run("observe --sandbox").exits(0).stdout;
    desk.write("observed.json", &observed);
    desk.write("cluster.yaml", ONE.replace("count: 1\n  size: small\n", "count: 2\n  size: small\n").as_str());
    desk.run("plan --observed observed.json --out review.json").exits(0).says("1 to add");
    desk.run("apply --sandbox review.json").exits(1);
    // Where nobody had answered there is nothing to say, as live.
    let mut silent: serde_json::Value = serde_json::from_str(&observed).unwrap();
    for state in silent["observed"]["nodes"].as_object_mut().unwrap().values_mut() {
        *state = serde_json::json!({"silent": {"reason": "No route to host", "hint": "switch it on", "detail": ""}});
    }
    desk.write("silent.json", &silent.to_string());
    let nobody = desk.run("plan --observed silent.json").exits(1);
    assert_eq!(nobody.stdout, "");
    assert!(
        nobody.stderr.contains("error[node-unreachable]: --observed silent.json: pve1: No route to host"),
        "{}",
        nobody.stderr
    );
    desk.run("explain --sandbox k8s-worker-2").exits(0).says("k8s-worker-2");
    desk.run("doctor --sandbox").exits(0);
    desk.run("lock --sandbox show").exits(0).says("free");

    // Everything of this cluster, with consent by name; then nothing is left of it.
    desk.run("destroy --sandbox --auto-approve").exits(1).says("--accept");
    desk.run("destroy --sandbox --auto-approve --templates --accept delete-masters,break-quorum,many-deletes").exits(0);
    let left = desk.run("observe --sandbox -q").exits(0).stdout;
    assert!(!left.contains("cluster=k8s"), "{left}");
    desk.run("sandbox reset").exits(0);
    assert!(!desk.path(".pvekube-sandbox").exists());
}

/// Machines that were never made go out of the manifest without a plan.
#[test]
fn a_change_of_mind_before_the_first_apply() {
    let desk = Desk::new(ONE);
    desk.run("create --sandbox --role worker --size medium --no-apply").exits(0);
    desk.run("remove --sandbox --auto-approve k8s-worker-2").exits(0).says("No machine has to be changed");
    assert_eq!(desk.read("cluster.yaml"), ONE);
    desk.run("scale --sandbox --auto-approve masters=0 workers=0").exits(0);
    desk.run("plan --sandbox --detailed-exitcode").exits(0).says("No changes.");
}

/// What an edit said and nobody did is done by the same command again; what it has to say next, works.
#[test]
fn an_edit_that_was_not_applied_is_not_forgotten() {
    let desk = Desk::new("cluster: k8s\nmasters: {count: 0, size: small, network: {mode: dhcp}}\n");
    // A pool that `create` begins says what its other machines are like.
    desk.run("create --sandbox --role worker --size small --node pve1 --no-apply").exits(0).says("Next: pvekube apply");
    assert!(
        desk.read("cluster.yaml").contains("workers:\n  count: 1\n  size: small\n"),
        "{}",
        desk.read("cluster.yaml")
    );
    desk.run("scale --sandbox workers=2 --no-apply").exits(0);
    desk.run("scale --sandbox workers=2 --auto-approve").exits(0).says("stays as it is").says("2 added");
    desk.run("plan --sandbox --detailed-exitcode").exits(0);

    let next = "Next: pvekube apply --prune --only k8s-worker-2";
    desk.run("scale --sandbox workers=1 --no-apply").exits(0).says(next);
    let comment = desk.run("plan --sandbox --prune --format markdown").exits(0).stdout;
    assert!(comment.trim_end().ends_with(" --prune`"), "{comment}");
    desk.run("remove --sandbox k8s-worker-2 --auto-approve").exits(1).says(next.trim_start_matches("Next: "));
    let again = desk.run("scale --sandbox workers=1 --auto-approve --format json").exits(0);
    assert!(!again.stderr.contains("is changed"), "{}", again.stderr);
    let parsed: Vec<serde_json::Value> = again.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        parsed.iter().any(|line| line["@message"] == "pvekube_machine.k8s-worker-2: destroy done"),
        "{}",
        again.stdout
    );
    desk.run("plan --sandbox --detailed-exitcode").exits(0);
    desk.run("destroy --sandbox --auto-approve --accept many-deletes").exits(0).says("1 destroyed");
    desk.run("destroy --sandbox --auto-approve").exits(0).says("No changes. There is nothing to do.");
}

/// Docs promise it: cancelled 1, not ready 1, interrupted 130.
/// Whoever can write the file can also write a digest that fits. So the digest is not what keeps a plan to its files.
#[test]
fn a_plan_that_was_forged_with_its_digest_is_refused() {
    let desk = Desk::new(ONE);
    desk.run("plan --sandbox --out plan.json").exits(0);
    let mut saved = SavedPlan::from_bytes(desk.read("plan.json").as_bytes(), "plan.json").unwrap();
    for step in &mut saved.plan.steps {
        if let Action::Set { set, .. } = &mut step.action {
            set.insert("args".to_owned(), Setting::Text("-chardev socket,id=x".to_owned()));
        }
    }
    saved.plan_digest = plan_digest(&saved.plan);
    desk.write("plan.json", &saved.to_text());
    desk.run("apply --sandbox plan.json").exits(1).says("error[saved-plan-unsound]").says("(set on VM 100)");
    desk.run("plan --sandbox").exits(0).says("Plan: 2 to add");
}

#[test]
fn how_an_apply_may_end() {
    let desk = Desk::new("cluster: k8s\nworkers: {count: 1, size: small}\n");
    // On a terminal, anything but `yes` cancels.
    let said = typed(&desk, "apply --sandbox", "no\n").exits(1);
    said.says("Only 'yes' will be accepted").says("Apply cancelled.");

    // Interrupted: nothing new starts, what runs is awaited; the next run goes on.
    let child = Command::new(PVEKUBE)
        .args(["apply", "--sandbox", "--auto-approve"])
        .current_dir(desk.dir.path())
        .env("HOME", desk.dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = || desk.path(".pvekube-sandbox/nodes/pve1/run/pvekube/ops").is_dir();
    while !begun() {
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", String::from_utf8_lossy(&ended.stderr));

    // Not ready in time: the machine is there, and why it is not ready is said.
    desk.write("config.yaml", &desk.read("config.yaml").replace("timeout_seconds: 300", "timeout_seconds: 1"));
    let late = desk.run("apply --sandbox --auto-approve").exits(1).says("error[not-ready]");
    assert!(late.stdout.contains("next:") || late.stderr.contains("next:"), "{}", late.stdout);

    // Nothing is left to change, but a run is no success before the machine is ready: the next one goes on waiting.
    desk.write(".pvekube-sandbox/faults.json", r#"{"agent": {"100": "absent"}}"#);
    let again = desk.run("apply --sandbox --auto-approve").exits(1).says("No changes.").says("error[not-ready]");
    assert!(again.stderr.contains("k8s-worker-1 is not ready yet"), "{}", again.stderr);
    desk.run("apply --sandbox --auto-approve --no-wait").exits(0).says("No changes.");
    desk.write(".pvekube-sandbox/faults.json", "{}");
    desk.write("config.yaml", &desk.read("config.yaml").replace("timeout_seconds: 1", "timeout_seconds: 300"));
    desk.run("apply --sandbox --auto-approve").exits(0).says("No changes.");
    desk.run("status --sandbox").exits(0);
}

/// The program on a terminal, where somebody types, and then Ctrl-D.
fn typed(desk: &Desk, line: &str, keys: &str) -> Said {
    let script = Command::new("script")
        .args(["-qec", &format!("{PVEKUBE} {line}"), "/dev/null"])
        .current_dir(desk.dir.path())
        .env("HOME", desk.dir.path())
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), keys.as_bytes())?;
            child.wait_with_output()
        });
    said(script.expect("script (util-linux) gives the program a terminal"))
}

#[test]
fn init_asks_on_a_terminal_until_the_answer_is_one() {
    let desk = Desk::new("");
    fs::remove_file(desk.path("config.yaml")).unwrap();
    fs::remove_file(desk.path("cluster.yaml")).unwrap();
    // On a line of its own.
    typed(&desk, "init --sandbox", "").exits(1).says("\nerror[init-flags]: no node was given");
    desk.write("my.pub", KEY);
    desk.write("no.pub", "hello\n");
    let keys = "a@b@c\npve1\nnowhere\n\nno.pub\nmy.pub\nmany\n3\n\n";
    typed(&desk, "init --sandbox", keys)
        .exits(0)
        .says("`a@b@c` is not HOST, USER@HOST or USER@HOST:PORT")
        .says("there is no file nowhere")
        .says("no.pub: `hello` is no type of SSH key")
        .says("How many masters [1]:")
        .says("`many` is no number");
    desk.run("plan --sandbox").exits(0).says("3 masters will be created").says("2 workers will be created");
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj me@here\n";

#[test]
fn init_writes_files_that_work() {
    let desk = Desk::new("");
    fs::remove_file(desk.path("config.yaml")).unwrap();
    fs::remove_file(desk.path("cluster.yaml")).unwrap();
    desk.run("init --sandbox").exits(1).says("error[init-flags]");
    desk.write("key.pub", KEY);
    desk.run("init --sandbox --node root@pve1 --ssh-public-key key.pub --masters 1 --workers 1")
        .exits(0)
        .says("pvekube plan");
    desk.run("validate").exits(0);
    desk.run("plan --sandbox").exits(0).says("Plan: 2 to add");
    let config = desk.read("config.yaml");
    desk.run("init --sandbox --node pve1 --ssh-public-key key.pub").exits(1).says("error[file-exists]");
    assert_eq!(desk.read("config.yaml"), config, "never overwritten");
}

#[test]
fn what_packages_need() {
    let desk = Desk::new(ONE);
    fs::create_dir(desk.path("man")).unwrap();
    desk.run("man --out man").exits(0);
    assert!(desk.path("man/pvekube-apply.1").is_file());
    for shell in ["bash", "zsh", "fish"] {
        assert!(desk.run(&format!("completions {shell}")).exits(0).stdout.contains("pvekube"));
    }
    for schema in ["config", "cluster", "plan"] {
        let text = desk.run(&format!("schema {schema}")).exits(0).stdout;
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
    // A usage error is 1: 2 means "changes".
    desk.run("plan --no-such-flag").exits(1);
    desk.run("--version").exits(0);
}

#[test]
fn nothing_secret_is_in_any_output() {
    let desk = Desk::new(ONE);
    // A canary in everything that could hold a secret: the private key, the agent's socket, the environment.
    fs::create_dir(desk.path(".ssh")).unwrap();
    desk.write(".ssh/id_ed25519", "CANARY-private-key");
    desk.run("plan --sandbox --out plan.json -vv --log-file log.txt").exits(0);
    desk.run("observe --sandbox -vv").exits(0);
    let everything =
        [desk.read("plan.json"), desk.read("log.txt"), desk.run("plan --sandbox --format json").exits(0).stdout];
    for text in everything {
        assert!(!text.contains("CANARY"), "{text}");
    }
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(desk.path("plan.json")).unwrap().permissions().mode() & 0o777, 0o600);
}
