//! The log: every request to a node with its time and exit; on stderr or in a file, never in data, never in the picture.

#![allow(clippy::unwrap_used, reason = "a test that can't run the program has failed")]

mod desk;

use desk::{Desk, ONE, PVEKUBE, said};

/// Log lines of a text: they begin with a time and a level.
fn events(text: &str) -> Vec<&str> {
    let event = regex::Regex::new(r"^\d{4}-\d\d-\d\dT[0-9:.]+Z +(INFO|DEBUG|WARN) ").unwrap();
    text.lines().filter(|line| event.is_match(line)).collect()
}

#[test]
fn every_request_is_logged_with_node_time_and_exit() {
    let desk = Desk::new(ONE);
    let applied = desk.run("apply --sandbox --auto-approve -vv --log-file log.txt").exits(0);
    let log = desk.read("log.txt");
    for text in [&applied.stderr, &log] {
        let events = events(text);
        for part in
            ["observe: ", "lock: held", "qm create 9000 ", "qm clone ", "qm set ", "qm start ", "qm guest cmd 101 ping"]
        {
            let line = events.iter().find(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part} in\n{text}"));
            assert!([" node=pve", " seconds=", " exit="].iter().all(|field| line.contains(field)), "{line}");
        }
        // Each operation has an end, with how long it took on the node.
        let ops = |word: &str| -> Vec<String> {
            let named = regex::Regex::new(&format!(r" {word} (k8s-\d+-[a-z]+-[0-9a-f]+)")).unwrap();
            let mut names: Vec<String> =
                events.iter().filter_map(|line| Some(named.captures(line)?[1].into())).collect();
            names.sort();
            names
        };
        assert!(!ops("start").is_empty() && ops("start") == ops("end of"), "{text}");
        assert!(events.iter().all(|line| !line.contains("end of") || line.contains(" seconds=")), "{text}");
    }
    assert!(events(&applied.stdout).is_empty(), "{}", applied.stdout);
}

#[test]
fn how_much_is_said() {
    let desk = Desk::new(ONE);
    assert!(events(&desk.run("plan --sandbox").exits(0).stderr).is_empty(), "nothing unless asked");
    assert!(events(&desk.run("plan --sandbox -v").exits(0).stderr).is_empty(), "a plan changes nothing");
    assert!(!events(&desk.run("plan --sandbox -vv").exits(0).stderr).is_empty());
    let with = |filter: &str, line: &str| said(desk.command(line).env("RUST_LOG", filter).output().unwrap());
    // RUST_LOG wins where it is set; empty is not set; what is no filter is said, before any node is asked.
    assert!(!events(&with("pvekube=debug", "plan --sandbox").exits(0).stderr).is_empty());
    assert!(events(&with("pvekube=warn", "plan --sandbox -vv").exits(0).stderr).is_empty());
    assert!(!events(&with("", "plan --sandbox -vv").exits(0).stderr).is_empty());
    with("pvekube=lots=1", "plan --sandbox").exits(1).says("error[rust-log]").says("RUST_LOG=pvekube=debug");
    // The file is appended to, and gets all of it whatever is said on stderr.
    desk.run("plan --sandbox -q --log-file log.txt").exits(0);
    let once = events(&desk.read("log.txt")).len();
    desk.run("plan --sandbox -q --log-file log.txt").exits(0);
    assert!(once >= 3 && events(&desk.read("log.txt")).len() == 2 * once);
    // JSON stays JSON.
    let plan = desk.run("plan --sandbox --format json -vv").exits(0).stdout;
    serde_json::from_str::<serde_json::Value>(&plan).unwrap();
    let run = desk.run("apply --sandbox --auto-approve --format json -vv").exits(0);
    for line in run.stdout.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

/// On a terminal: each event has lines of its own above the picture, which is whole again below it.
#[test]
fn the_picture_stays_whole() {
    let desk = Desk::new("cluster: k8s\nworkers: {count: 1, size: small}\n");
    let line = format!("{PVEKUBE} apply --sandbox --auto-approve -vv --color never 2>&1");
    let output = std::process::Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(desk.dir.path())
        .env("HOME", desk.dir.path())
        .env("TERM", "xterm")
        .env_remove("COLUMNS")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("script (util-linux) gives the program a terminal");
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert!(text.contains("\u{1b}[J"), "a picture was drawn:\n{text}");
    let erased = regex::Regex::new("\u{1b}\\[\\d+A\u{1b}\\[J").unwrap().replace_all(&text, "\n@@");
    let time = regex::Regex::new(r"\d{4}-\d\d-\d\dT[0-9:]{8}\.\d{6}Z").unwrap();
    let mut seen = 0;
    for line in erased.lines() {
        if let Some(at) = time.find(line) {
            assert!(["", "@@"].contains(&&line[..at.start()]), "an event within a line: {line}");
            seen += 1;
        }
    }
    assert!(seen > 20, "{text}");
}
