use proptest::prelude::*;

use super::*;
use crate::model::desired::{Address, Network};

fn bake(packages: &[&str], commands: &[&str]) -> Bake {
    Bake {
        network: Network { bridge: "vmbr0".into(), vlan: None, ipv4: Address::Dhcp, ipv6: None },
        addresses: Default::default(),
        packages: packages.iter().map(|name| (*name).to_owned()).collect(),
        commands: commands.iter().map(|text| (*text).to_owned()).collect(),
        timeout_s: 900,
    }
}

#[test]
fn document_is_one_line_of_json() {
    let text = document(&bake(&["nfs-common"], &["echo \"it's ${HOME}\" > /etc/motd"]));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, "#cloud-config"));
    let value: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
    let command = value["runcmd"][0].as_array().unwrap();
    assert_eq!(command[0], "systemd-run");
    let tail: Vec<_> = command[6..].iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(tail, ["pvekube-bake", "nfs-common", "--", "echo \"it's $${HOME}\" > /etc/motd"]);
    assert!(!lines[1].replace("$$", "").contains('$'), "systemd would expand it");
    let yaml: serde_yaml::Value = serde_yaml::from_str(lines[1]).unwrap();
    assert_eq!(serde_json::to_value(yaml).unwrap(), value, "a YAML reader sees the same");
}

#[test]
fn recipe_depends_on_what_is_in_the_template() {
    let one = recipe(&bake(&["a"], &["b"]));
    assert!(one.len() == 8 && one.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_ne!(one, recipe(&bake(&["a", "b"], &[])));
    let other_bridge =
        Bake { network: Network { bridge: "vmbr9".into(), ..bake(&[], &[]).network }, ..bake(&["a"], &["b"]) };
    assert_eq!(one, recipe(&other_bridge));
}

#[test]
fn documents_are_read_back() {
    let read_back = read(&document(&bake(&["x", "y"], &["--", "z"]))).unwrap();
    assert_eq!(
        read_back,
        BakeDocument { packages: vec!["x".into(), "y".into()], commands: vec!["--".into(), "z".into()] }
    );
    assert_eq!(read("#cloud-config\n{\"packages\": [\"a\"]}\n"), None);
    assert_eq!(read("anything"), None);
}

#[test]
fn outcomes() {
    let failed = "[  12.1] systemd[1]: x\r\n\r\npvekube-bake| E: Unable to locate package nonesuch\r\n\r\npvekube-bake: failed: package nonesuch (exit 100)\r\n";
    let BakeOutcome::Failed { module, lines } = bake_outcome(failed) else { panic!("it failed") };
    assert_eq!(module, "package nonesuch (exit 100)");
    assert_eq!(lines, ["E: Unable to locate package nonesuch"]);
    let ok = "[[0;32m  OK  \u{1b}[0m] Started\r\n[  281.9] \u{1b}[0mpvekube-bake: ok\u{1b}[0m\r\n[[0;32m  OK";
    assert_eq!(bake_outcome(ok), BakeOutcome::Ok);
    assert_eq!(bake_outcome(""), BakeOutcome::Silent);
    assert_eq!(bake_outcome("pvekube-bake: okay"), BakeOutcome::Silent, "not our word");
    assert_eq!(bake_outcome(&document(&bake(&[], &[]))), BakeOutcome::Silent, "the document itself is no report");
    assert_eq!(bake_outcome(&format!("{failed}{ok}")), BakeOutcome::Ok, "the last report counts");
}

proptest! {
    #[test]
    fn any_bake_is_read_back(packages in prop::collection::vec("[a-z0-9.+-]{1,8}", 0..4), commands in prop::collection::vec("\\PC{0,20}", 0..4)) {
        prop_assume!(!packages.iter().any(|name| name == "--"));
        let wanted = Bake { packages: packages.clone(), commands: commands.clone(), ..bake(&[], &[]) };
        prop_assert_eq!(read(&document(&wanted)), Some(BakeDocument { packages, commands }));
    }

    #[test]
    fn any_console_has_an_outcome(log in "(.|\\n|pvekube-bake: |failed: |ok\\n){0,60}") {
        let _ = bake_outcome(&log);
    }
}
