//! Bad flags, surroundings, saved plans and observations, given to the built program: what it says about each. The
//! snapshots are read by people. (Bad configs and manifests: input_problems.rs.)

#![allow(clippy::unwrap_used, reason = "a test that can't run the program has failed")]

mod desk;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::process::Command;

use desk::{Desk, ONE, Said, said};

/// One bad input: its name, and the command line after `pvekube`.
struct Case {
    name: &'static str,
    line: &'static str,
    /// What else is done to the command: variables, words that are no text.
    tweak: fn(&mut Command),
}

fn case(name: &'static str, line: &'static str) -> Case {
    Case { name, line, tweak: |_| () }
}

/// With other variables.
fn with(name: &'static str, line: &'static str, tweak: fn(&mut Command)) -> Case {
    Case { name, line, tweak }
}

/// Every id that is in docs/troubleshooting.md.
fn catalogue() -> BTreeSet<String> {
    let faults = pvekube::error::FAULTS.iter().map(|fault| fault.id);
    let problems = pvekube::input::ProblemId::ALL.iter().map(|id| id.as_str());
    let checks = pvekube::planner::CHECKS.iter().map(|check| check.id);
    faults.chain(problems).chain(checks).map(str::to_owned).collect()
}

/// What stderr says, without what differs from run to run.
fn steady(desk: &Desk, text: &str) -> String {
    let mut text = text.replace(&desk.dir.path().display().to_string(), "DIR");
    for (pattern, instead) in [
        (r"answered in [0-9.]+ s", "answered in 0.0 s"),
        (r"at\s+line\s+\d+\s+column\s+\d+", "at line N column N"),
        (r"\.pvekube-[A-Za-z0-9]{6}", ".pvekube-XXXXXX"),
        (r"pvekube[-.][A-Za-z0-9]{6,}", "pvekube-XXXXXX"),
        (r"[0-9a-f]{4,}…[0-9a-f]{4}", "DIGEST"),
        (r"\b[0-9a-f]{12,}\b", "DIGEST"),
    ] {
        text = regex::Regex::new(pattern).unwrap().replace_all(&text, instead).into_owned();
    }
    text
}

/// Runs all cases: each is refused with exit code 1, an id of the catalogue, and a next step.
fn check(desk: &Desk, snapshot: &str, cases: &[Case]) {
    let known = catalogue();
    let heading = regex::Regex::new(r"(?m)^error\[([a-z0-9-]+)\]: \S").unwrap();
    let mut out = String::new();
    let mut faults = Vec::new();
    for case in cases {
        let mut command = desk.command(case.line);
        (case.tweak)(&mut command);
        let Said { exit, stdout, stderr } = said(command.output().unwrap());
        let stderr = steady(desk, &stderr);
        writeln!(out, "=== {}\n$ pvekube {}\n{}\n", case.name, case.line, stderr.trim_end()).unwrap();
        let ids: Vec<&str> = heading.captures_iter(&stderr).map(|found| found.get(1).unwrap().as_str()).collect();
        let wrong = if exit != Some(1) {
            Some(format!("exit {exit:?}, stdout {stdout}"))
        } else if ids.is_empty() {
            Some("no id".to_owned())
        } else if let Some(id) = ids.iter().find(|id| !known.contains(**id)) {
            Some(format!("{id} is not in the catalogue"))
        } else if !["next: ", "= help: "].iter().any(|word| stderr.contains(word)) {
            Some("no next step".to_owned())
        } else {
            None
        };
        faults.extend(wrong.map(|why| format!("{}: {why}\n{stderr}", case.name)));
    }
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(snapshot, out) });
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn flags() {
    let desk = with_bad_files();
    check(
        &desk,
        "flags",
        &[
            case("unknown verb", "aply"),
            case("unknown flag", "plan --no-such-flag"),
            case("a flag that is nearly one", "plan --pruned"),
            case("a flag of another verb", "plan --auto-approve"),
            case("flag twice", "plan --format json --format text"),
            case("bad choice", "plan --format yaml"),
            case("bad colour", "plan --color sometimes"),
            case("unexpected operand", "plan k8s-worker-1"),
            case("words that are not text", "explain").and(|command| {
                command.arg(OsString::from_vec(vec![b'k', 0xff]));
            }),
            case("explain: no machine", "explain"),
            case("remove: no machine", "remove"),
            case("disown: no machine", "disown"),
            case("adopt: no id", "adopt k8s-worker-1"),
            case("adopt: no machine", "adopt --vmid 101"),
            case("adopt: id is no number", "adopt k8s-worker-1 --vmid abc"),
            case("adopt: negative id", "adopt k8s-worker-1 --vmid -5"),
            case("adopt: id too large", "adopt k8s-worker-1 --vmid 99999999999"),
            case("adopt: id zero", "adopt --sandbox --auto-approve k8s-worker-1 --vmid 0"),
            case("adopt: nobody to ask", "adopt --sandbox k8s-worker-1 --vmid 101"),
            case("adopt: unknown machine", "adopt --sandbox --auto-approve k8s-worker-9 --vmid 101"),
            case("adopt: no such VM", "adopt --sandbox --auto-approve k8s-worker-1 --vmid 4711"),
            case("disown: unknown machine", "disown --sandbox --auto-approve k8s-worker-9"),
            case("disown: nobody to ask", "disown --sandbox k8s-worker-1"),
            case("explain: unknown machine", "explain --sandbox k8s-worker-9"),
            case("explain: short name", "explain --sandbox worker-1"),
            case("remove: unknown machine", "remove --sandbox --auto-approve k8s-worker-9"),
            case("remove: nobody to ask", "remove --sandbox k8s-worker-1"),
            case("--only with nothing", "plan --sandbox --only"),
            case("--only with an empty name", "plan --sandbox --only="),
            case("--only: unknown machines", "plan --sandbox --only k8s-worker-8,k8s-worker-9"),
            case("--replace: unknown machine", "apply --sandbox --auto-approve --replace k8s-master-7"),
            case(
                "--only and --replace of different machines",
                "plan --sandbox --only k8s-worker-1 --replace k8s-master-1",
            ),
            case("--without-node: unknown", "plan --sandbox --without-node pve9"),
            case("--without-node with apply", "apply --sandbox --auto-approve --without-node pve1"),
            case("--accept: unknown hazard", "apply --sandbox --auto-approve --accept everything"),
            case("--expect: too short", "apply --sandbox --auto-approve --expect abc"),
            case("--expect: no digits", "apply --sandbox --auto-approve --expect the-plan-we-saw"),
            case("--expect: another plan", "apply --sandbox --auto-approve --expect 000000000000"),
            case("--lock-timeout without unit", "apply --sandbox --auto-approve --lock-timeout 5"),
            case("--lock-timeout: words", "apply --sandbox --auto-approve --lock-timeout soon"),
            case("apply: nobody to ask", "apply --sandbox"),
            case("apply --format json asks nothing", "apply --sandbox --format json"),
            case("destroy: nobody to ask", "destroy --sandbox"),
            case("saved plan with planning flags", "apply --sandbox plan.json --prune"),
            case("scale: nothing", "scale"),
            case("scale: no count", "scale --sandbox workers"),
            case("scale: empty count", "scale --sandbox workers="),
            case("scale: no number", "scale --sandbox workers=many"),
            case("scale: negative", "scale --sandbox workers=-1"),
            case("scale: too many", "scale --sandbox workers=100000"),
            case("scale: no pool", "scale --sandbox =5"),
            case("scale: unknown pool", "scale --sandbox --auto-approve gpu=2"),
            case("scale: singular", "scale --sandbox --auto-approve worker=2"),
            case("scale: a pool that is not begun", "scale --sandbox --auto-approve --manifest one.yaml masters=1"),
            case("scale: a pool twice", "scale --sandbox --auto-approve workers=2 workers=3"),
            case("scale: more masters than addresses", "scale --sandbox --auto-approve masters=5"),
            case("create: no role", "create"),
            case("create: unknown role", "create --role boss"),
            case("create: none", "create --sandbox --role worker --count 0"),
            case("create: far too many", "create --sandbox --auto-approve --role worker --count 100000"),
            case("create: unknown size", "create --sandbox --auto-approve --role worker --size huge"),
            case("create: no cpus", "create --sandbox --auto-approve --role worker --cpus 0"),
            case("create: memory in GB", "create --sandbox --auto-approve --role worker --memory 4"),
            case("create: memory with a unit", "create --role worker --memory 4GB"),
            case("create: disk below the template", "create --sandbox --auto-approve --role worker --disk 1"),
            case("create: unknown node", "create --sandbox --auto-approve --role worker --node pve9"),
            case("create: id out of bounds", "create --sandbox --auto-approve --role worker --vmid 7"),
            case("create: id is no number", "create --role worker --vmid next"),
            case("create: id of the template", "create --sandbox --auto-approve --role worker --vmid 9000"),
            case("create: static without address", "create --role worker --network static"),
            case("create: address without static", "create --role worker --ip 10.0.0.31/24"),
            case("create: address with dhcp", "create --role worker --network dhcp --ip 10.0.0.31/24"),
            case("create: one address for two", "create --role worker --count 2 --network static --ip 10.0.0.31/24"),
            case("create: address without prefix", "create --sandbox --role worker --network static --ip 10.0.0.31"),
            case(
                "create: gateway outside",
                "create --sandbox --role worker --network static --ip 10.0.0.31/24 --gateway 10.0.1.1",
            ),
            case("create: address of a master", "create --sandbox --role worker --network static --ip 10.0.0.11/24"),
            case("create: YAML in a word", "create --sandbox --role worker --size small}"),
            case("create: dns is a name", "create --sandbox --role worker --network dhcp --dns dns.google"),
            case("create: dns without network", "create --sandbox --role worker --dns 10.0.0.1"),
            case("init: nobody to ask", "init --config c.yaml --manifest m.yaml"),
            case("init: files are there", "init --node pve1.lan"),
            case(
                "init: bad port",
                "init --node pve1.lan:ssh --ssh-public-key key.pub --config c.yaml --manifest m.yaml",
            ),
            case("init: no user's key", "init --sandbox --node pve1 --config c.yaml --manifest m.yaml"),
            case(
                "init: key file missing",
                "init --sandbox --node pve1 --ssh-public-key nowhere.pub --config c.yaml --manifest m.yaml",
            ),
            case(
                "init: private key",
                "init --sandbox --node pve1 --ssh-public-key private.key --config c.yaml --manifest m.yaml",
            ),
            case(
                "init: bad cluster name",
                "init --sandbox --node pve1 --ssh-public-key key.pub --cluster My_Cluster --config c.yaml --manifest m.yaml",
            ),
            case(
                "init: host that is an option",
                "init --node -oProxyCommand=x --ssh-public-key key.pub --config c.yaml --manifest m.yaml",
            ),
            case("init: no host", "init --node root@ --ssh-public-key key.pub --config c.yaml --manifest m.yaml"),
            case(
                "init: unknown storage",
                "init --sandbox --node pve1 --ssh-public-key key.pub --storage nas --config c.yaml --manifest m.yaml",
            ),
            case(
                "init: unknown bridge",
                "init --sandbox --node pve1 --ssh-public-key key.pub --bridge vmbr7 --config c.yaml --manifest m.yaml",
            ),
            case("schema: of what", "schema"),
            case("schema: unknown", "schema inventory"),
            case("completions: unknown shell", "completions csh"),
            case("man: no folder", "man"),
        ],
    );
}

#[test]
fn a_verb_that_is_missing_is_shown() {
    let desk = Desk::new(ONE);
    for line in ["", "lock", "sandbox"] {
        desk.run(line).exits(1).says("Commands:").says("Usage:");
    }
}

impl Case {
    fn and(self, tweak: fn(&mut Command)) -> Self {
        Self { tweak, ..self }
    }
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj me@here\n";

/// Files beside the two good ones, each bad in its way.
fn with_bad_files() -> Desk {
    let desk = Desk::new(ONE);
    desk.write("key.pub", KEY);
    desk.write("private.key", "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n");
    desk.write("empty", "");
    desk.write("one.yaml", "cluster: k8s\nworkers: {count: 1, size: small}\n");
    fs::write(desk.path("latin1.yaml"), b"cluster: k\xe48s\n").unwrap();
    fs::write(desk.path("binary.yaml"), [0x7f, b'E', b'L', b'F', 0, 1, 2, 3]).unwrap();
    desk.write("huge.yaml", &"# a comment\n".repeat(200_000));
    fs::create_dir(desk.path("folder")).unwrap();
    // Nothing answers on port 1 of this machine.
    let here = desk.read("config.yaml");
    let nodes = here.find("proxmox_nodes:").unwrap()..here.find("ssh_user:").unwrap();
    let mut refusing = here.clone();
    refusing.replace_range(nodes, "proxmox_nodes:\n  - {host: 127.0.0.1, port: 1, name: pve1}\n");
    desk.write("refusing.yaml", &refusing);
    fs::create_dir_all(desk.path(".ssh")).unwrap();
    desk.write(".ssh/id_ed25519", "no key");
    desk.write("no-config.yaml", &format!("{refusing}ssh: {{config_file: nowhere/ssh_config}}\n"));
    desk
}

#[test]
fn surroundings() {
    let desk = with_bad_files();
    check(
        &desk,
        "surroundings",
        &[
            case("config: no such file", "validate --config nowhere.yaml"),
            case("config: a folder", "validate --config folder"),
            case("config: below a file", "validate --config key.pub/config.yaml"),
            case("config: empty", "validate --config empty"),
            case("config: /dev/null", "validate --config /dev/null"),
            case("config: endless", "validate --config /dev/zero"),
            case("config: huge", "validate --config huge.yaml"),
            case("config: binary", "validate --config binary.yaml"),
            case("config: Latin-1", "validate --config latin1.yaml"),
            case("manifest: no such file", "validate --manifest nowhere.yaml"),
            case("manifest: a private key", "validate --manifest private.key"),
            case("manifest: the config", "validate --manifest config.yaml"),
            case("config: the manifest", "validate --config cluster.yaml"),
            case("both files are missing", "plan --config a.yaml --manifest b.yaml"),
            with("PVEKUBE_CONFIG: no such file", "plan", |command| {
                command.env("PVEKUBE_CONFIG", "elsewhere/config.yaml");
            }),
            with("PVEKUBE_MANIFEST: a folder", "plan", |command| {
                command.env("PVEKUBE_MANIFEST", "folder");
            }),
            with("PVEKUBE_CONFIG: empty", "validate", |command| {
                command.env("PVEKUBE_CONFIG", "");
            }),
            with("PVEKUBE_CONFIG: no text", "validate", |command| {
                command.env("PVEKUBE_CONFIG", OsString::from_vec(vec![b'c', 0xff]));
            }),
            with("RUST_LOG: no filter", "plan --sandbox", |command| {
                command.env("RUST_LOG", "pvekube=lots=1");
            }),
            with("no ssh on PATH", "plan --config refusing.yaml", |command| {
                command.env("PATH", "/nowhere");
            }),
            case("nobody answers", "plan --config refusing.yaml"),
            case("nobody answers: apply", "apply --auto-approve --config refusing.yaml"),
            case("nobody answers: status", "status --config refusing.yaml"),
            case("nobody answers: lock", "lock show --config refusing.yaml"),
            case(
                "nobody answers: init",
                "init --node 127.0.0.1:1 --ssh-public-key key.pub --config c.yaml --manifest m.yaml",
            ),
            case("ssh.config_file is missing", "plan --config no-config.yaml"),
            case("--sandbox: a file", "plan --sandbox=key.pub"),
            case("--sandbox: cannot be made", "plan --sandbox=/proc/nowhere"),
            case("--sandbox: some folder", "plan --sandbox=folder/../.ssh/.."),
            case("sandbox reset: no sandbox", "sandbox reset folder"),
            case("sandbox reset: home", "sandbox reset ."),
            case("plan --out: no such folder", "plan --sandbox --out nowhere/plan.json"),
            case("plan --out: a folder", "plan --sandbox --out folder"),
            case("plan --out: cannot be written", "plan --sandbox --out /proc/plan.json"),
            case("man --out: no such folder", "man --out nowhere"),
            case("man --out: a file", "man --out key.pub"),
            case("--log-file: no such folder", "plan --sandbox --log-file nowhere/log.txt"),
            case("--log-file: a folder", "plan --sandbox --log-file folder"),
            case("--inventory: no such folder", "apply --sandbox --auto-approve --inventory nowhere/hosts.yaml"),
            case("--timeline: a folder", "apply --sandbox --auto-approve --timeline folder"),
            case("--known-hosts: a folder", "apply --sandbox --auto-approve --known-hosts folder"),
            with("GITHUB_OUTPUT: cannot be written", "plan --sandbox --github", |command| {
                command.env("GITHUB_OUTPUT", "nowhere/output");
            }),
            with("a terminal of no width, and a typo", "plan --pruned", |command| {
                command.env("COLUMNS", "0").env("TERM", "dumb").env("NO_COLOR", "1");
            }),
            with("a width that is none, and a problem", "validate --manifest binary.yaml", |command| {
                command.env("COLUMNS", "wide");
            }),
            with("locale and time zone that are none", "validate --manifest latin1.yaml", |command| {
                command.env("LC_ALL", "xx_YY.nothing").env("TZ", "Mars/Olympus");
            }),
        ],
    );
    assert!(desk.path("folder").is_dir() && desk.path("config.yaml").is_file(), "nothing of ours was removed");
}

/// A text with one thing replaced; the thing must be there.
fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

/// What is no saved plan and no observation either.
fn write_nonsense(desk: &Desk, text: &str) {
    desk.write("cut.json", &text[..500]);
    desk.write("no-end.json", text.trim_end().trim_end_matches('}'));
    desk.write("empty.json", "");
    desk.write("null.json", "null\n");
    desk.write("list.json", "[1, 2]\n");
    desk.write("object.json", "{}\n");
    desk.write("deep.json", &"[".repeat(100_000));
    fs::write(desk.path("bytes.json"), (0..=255).collect::<Vec<u8>>()).unwrap();
    desk.write("bom.json", &format!("\u{feff}{text}"));
    desk.write(
        "newer.json",
        &regex::Regex::new("\"format_version\": \"[^\"]*\"")
            .unwrap()
            .replace(text, "\"format_version\": \"pvekube-plan/7\""),
    );
    desk.write(
        "number.json",
        &regex::Regex::new("\"format_version\": \"[^\"]*\"").unwrap().replace(text, "\"format_version\": 1"),
    );
}

#[test]
fn saved_plans() {
    let desk = with_bad_files();
    let plan = desk.run("plan --sandbox --out plan.json").exits(0);
    assert!(plan.stdout.contains("Plan: 2 to add"), "{}", plan.stdout);
    let text = desk.read("plan.json");
    write_nonsense(&desk, &text);
    desk.write("edited.json", &changed(&text, "\"k8s-worker-1\"", "\"k8s-worker-7\""));
    desk.write("added.json", &changed(&text, "\"sandbox\": true", "\"sandbox\": true,\n  \"force\": true"));
    desk.write("reindented.json", &serde_json::from_str::<serde_json::Value>(&text).unwrap().to_string());
    desk.write("real.json", &changed(&text, "\"sandbox\": true", "\"sandbox\": false"));
    desk.write("windows.json", &text.replace('\n', "\r\n"));
    desk.write("json-plan.json", &desk.run("plan --sandbox --format json").exits(0).stdout);
    desk.write("observed.json", &desk.run("observe --sandbox").exits(0).stdout);
    desk.run("plan --sandbox --observed observed.json --out offline.json").exits(0);
    desk.write("other.yaml", &ONE.replace("cluster: k8s", "cluster: prod"));
    desk.write("comment.yaml", &format!("{ONE}# a remark\n"));
    let config = desk.read("config.yaml");
    desk.write("config2.yaml", &format!("{config}# a remark\n"));
    check(
        &desk,
        "saved_plans",
        &[
            case("no such file", "apply --sandbox nowhere.json"),
            case("a folder", "apply --sandbox folder"),
            case("endless", "apply --sandbox /dev/zero"),
            case("empty", "apply --sandbox empty.json"),
            case("arbitrary bytes", "apply --sandbox bytes.json"),
            case("truncated", "apply --sandbox cut.json"),
            case("last brace missing", "apply --sandbox no-end.json"),
            case("a byte order mark before it", "apply --sandbox bom.json"),
            case("null", "apply --sandbox null.json"),
            case("a list", "apply --sandbox list.json"),
            case("an empty object", "apply --sandbox object.json"),
            case("nested without end", "apply --sandbox deep.json"),
            case("YAML", "apply --sandbox cluster.yaml"),
            case("of a newer pvekube", "apply --sandbox newer.json"),
            case("version is a number", "apply --sandbox number.json"),
            case("a name edited by hand", "apply --sandbox edited.json"),
            case("a key added by hand", "apply --sandbox added.json"),
            case("formatted anew", "apply --sandbox reindented.json"),
            case("line ends changed", "apply --sandbox windows.json"),
            case("sandbox made real by hand", "apply --sandbox real.json"),
            case("output of plan --format json", "apply --sandbox json-plan.json"),
            case("an observation", "apply --sandbox observed.json"),
            case("made with --observed", "apply --sandbox offline.json"),
            case("made on the sandbox, applied to real nodes", "apply plan.json --config refusing.yaml"),
            case("of another cluster", "apply --sandbox plan.json --manifest other.yaml"),
            case("the manifest has changed", "apply --sandbox plan.json --manifest comment.yaml"),
            case("the config has changed", "apply --sandbox plan.json --config config2.yaml"),
            case("--only with it", "apply --sandbox plan.json --only k8s-worker-1"),
            case("two of them", "apply --sandbox plan.json offline.json"),
            case("--expect another digest", "apply --sandbox plan.json --expect 000000000000"),
        ],
    );
}

#[test]
fn observations() {
    let desk = with_bad_files();
    let text = desk.run("observe --sandbox").exits(0).stdout;
    desk.write("observed.json", &text);
    write_nonsense(&desk, &text);
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    desk.run("plan --sandbox --out plan.json").exits(0);
    let write = |name: &str, value: &serde_json::Value| desk.write(name, &value.to_string());
    let original = value.clone();
    let observed = value["observed"].as_object_mut().unwrap();
    observed.remove("nodes");
    write("no-nodes.json", &value);
    value = original.clone();
    value["observed"]["nodes"] = serde_json::json!({});
    write("nobody.json", &value);
    value = original.clone();
    value["observed"]["nodes"].as_object_mut().unwrap().remove("pve3");
    write("two-nodes.json", &value);
    value = original.clone();
    value["observed"]["realms"] = serde_json::json!({});
    write("no-realms.json", &value);
    value = original.clone();
    value["observed"]["nodes"]["pve1"] = serde_json::json!("fine");
    write("odd-node.json", &value);
    value = original.clone();
    value["observed"]["taken_at"] = serde_json::json!("yesterday");
    write("odd-time.json", &value);
    // What such an observation can't say is unknown, and the plan says so.
    desk.run("plan --observed two-nodes.json").exits(0).says("node-silent: pve3: no answer: it was not asked");
    desk.run("plan --observed nobody.json").exits(1).says("node-silent: pve1").says("Nothing planned");
    desk.run("plan --observed no-realms.json").exits(1).says("existence-unknown");
    check(
        &desk,
        "observations",
        &[
            case("no such file", "plan --observed nowhere.json"),
            case("a folder", "plan --observed folder"),
            case("endless", "plan --observed /dev/zero"),
            case("empty", "plan --observed empty.json"),
            case("arbitrary bytes", "plan --observed bytes.json"),
            case("truncated", "plan --observed cut.json"),
            case("last brace missing", "plan --observed no-end.json"),
            case("null", "plan --observed null.json"),
            case("a list", "plan --observed list.json"),
            case("an empty object", "plan --observed object.json"),
            case("nested without end", "plan --observed deep.json"),
            case("YAML", "plan --observed cluster.yaml"),
            case("of a newer pvekube", "plan --observed newer.json"),
            case("version is a number", "plan --observed number.json"),
            case("a saved plan", "plan --observed plan.json"),
            case("no nodes in it", "plan --observed no-nodes.json"),
            case("a node is odd", "plan --observed odd-node.json"),
            case("its time is odd", "plan --observed odd-time.json"),
            case("inventory from a truncated one", "inventory --observed cut.json"),
        ],
    );
}
