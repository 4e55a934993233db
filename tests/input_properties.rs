//! Whatever is in the files: no panic, and every refusal has a place and a hint. Whatever is accepted keeps its promises.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::LazyLock;

use ipnet::IpNet;
use proptest::prelude::*;
use pvekube::input::{self, Env, Loaded, Problems, Severity, SourceFile};
use pvekube::model::desired::{Address, Desired};

const CONFIG: &str = include_str!("../config.example.yaml");
const MANIFEST: &str = include_str!("../cluster.example.yaml");

static CONFIG_SCHEMA: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::validator_for(&input::schema_config()).unwrap());
static MANIFEST_SCHEMA: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::validator_for(&input::schema_manifest()).unwrap());

fn parse(config: &str, manifest: &str) -> Result<Loaded, Box<Problems>> {
    let env = Env { home: Some("/home/op".into()), read_file: &|_| Err(std::io::ErrorKind::NotFound.into()) };
    let file = |name: &str, text: &str| SourceFile { name: name.to_owned(), text: text.to_owned() };
    input::parse(&file("config.yaml", config), &file("cluster.yaml", manifest), &env)
}

/// Acts on a terminal, or hides.
fn acts(c: char) -> bool {
    c.is_control() && c != '\n'
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
        || c == '\u{feff}'
}

/// What every refusal must have.
fn check(result: &Result<Loaded, Box<Problems>>, width: usize) {
    let Err(problems) = result else { return };
    assert!(!problems.list.is_empty());
    assert!(problems.list.iter().all(|problem| problem.severity == Severity::Error));
    for problem in problems.list.iter().chain(&problems.warnings) {
        assert!(!problem.help.is_empty() && problem.help.iter().all(|help| !help.is_empty()), "{problem:?}");
        assert!(!problem.message.contains('\n') && !problem.message.contains('\u{1b}'), "{problem:?}");
    }
    for record in problems.records() {
        assert!(record.file.is_some() && record.line.is_some_and(|line| line > 0), "{record:?}");
        assert!(record.column <= record.end_column, "{record:?}");
    }
    let plain = problems.render(false, width);
    assert!(!plain.chars().any(acts), "{plain:?}");
    assert!(plain.ends_with("nothing was contacted.\n"));
    problems.render(true, width);
}

/// Pieces that YAML, and our keys, are made of.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "cluster",
            "masters",
            "workers",
            "pools",
            "count",
            "numbers",
            "size",
            "network",
            "addresses",
            "gateway",
            "mode",
            "overrides",
            "proxmox_nodes",
            "vm_template",
            "cloud_init",
            "ssh_public_key",
            "vm_sizes",
            "dns",
        ])
        .prop_map(str::to_owned),
        prop::sample::select(vec![
            ":",
            ": ",
            "\n",
            "\n  ",
            "\n    ",
            "- ",
            "[",
            "]",
            "{",
            "}",
            ", ",
            "\"",
            "'",
            "#",
            " #",
            "&a ",
            "*a",
            "<<: ",
            "!!str ",
            "|\n",
            ">\n",
            "? ",
            "---\n",
            "...\n",
            "%YAML 1.1\n",
            "\t",
            "\r\n",
            "\u{feff}",
            "@",
            "`",
            "\u{0}",
            "ß",
            "日",
            "\u{202e}",
            "\u{1b}[31m",
            "\u{85}",
            "\u{9b}2J",
            "\u{2028}",
        ])
        .prop_map(str::to_owned),
        nasty(),
    ]
}

/// Values that readers stumble over.
fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "no",
            "~",
            "null",
            "010",
            "1e3",
            "0x1f",
            "12:30",
            "2026-01-01",
            "-1",
            "4",
            "0",
            "99999999999999999999",
            ".inf",
            "true",
            "on",
            "static",
            "dhcp",
            "small",
            "large",
            "k8s",
            "10.0.0.11/24",
            "10.0.0.0/24",
            "10.0.0.20-10.0.0.29/24",
            "255.255.255.255/32",
            "0.0.0.0-255.255.255.255/1",
            "\"fd00::1/64\"",
            "\"::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/1\"",
            "10.0.0.1",
            "[10.0.0.11/24, 10.0.0.12/24]",
            "{}",
            "[]",
            "[1, 2, 2]",
            "{4: {vmid: 100}}",
            "pve1",
            "200-299",
            "ssh-rsa AAAA",
            "https://a/b",
            "4294967296",
            "-",
            "25%",
            "\"\"",
            "\" \"",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,12}",
        "\\PC{0,6}",
    ]
}

/// One of the example files with some values, keys or lines replaced.
fn damaged(text: &'static str) -> impl Strategy<Value = String> {
    let lines: Vec<&'static str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let change = (0..lines.len(), nasty(), 0..4u8);
    prop::collection::vec(change, 0..4).prop_map(move |changes| {
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        for (at, value, how) in changes {
            let line = lines[at].clone();
            let (key, _) = line.split_once(':').unwrap_or((&line, ""));
            lines[at] = match how {
                0 => format!("{key}: {value}"),
                1 => String::new(),
                2 => format!("{line}\n{line}"),
                _ => format!("{}{value}: 1\n{line}", " ".repeat(line.len() - line.trim_start().len())),
            };
        }
        lines.join("\n")
    })
}

proptest! {
    #[test]
    fn arbitrary_text_is_refused_politely(text in "\\PC{0,80}", width in 10usize..200) {
        check(&parse(&text, MANIFEST), width);
        check(&parse(CONFIG, &text), width);
    }

    #[test]
    fn arbitrary_yaml_is_refused_politely(pieces in prop::collection::vec(piece(), 0..30), width in 10usize..200) {
        let text = pieces.concat();
        check(&parse(&text, &text), width);
    }

    #[test]
    fn damaged_examples_are_refused_politely(config in damaged(CONFIG), manifest in damaged(MANIFEST)) {
        let result = parse(&config, &manifest);
        check(&result, 100);
        if let Ok(loaded) = result {
            promises(&loaded.desired);
            for (text, schema) in [(&config, &*CONFIG_SCHEMA), (&manifest, &*MANIFEST_SCHEMA)] {
                // libyaml allows fewer names of anchors than YAML does.
                let Ok(value) = serde_yaml::from_str::<serde_json::Value>(text) else { continue };
                prop_assert!(schema.is_valid(&value), "taken, but not by the schema: {text}");
            }
        }
    }

    #[test]
    fn arbitrary_bytes_on_disk_are_refused_politely(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let folder = tempfile::tempdir().unwrap();
        let (config, manifest) = (folder.path().join("config.yaml"), folder.path().join("cluster.yaml"));
        std::fs::write(&config, &bytes).unwrap();
        std::fs::write(&manifest, &bytes).unwrap();
        let problems = input::load(&config, &manifest).unwrap_err();
        prop_assert!(problems.list.iter().all(|problem| !problem.help.is_empty()));
        prop_assert!(problems.render(false, 80).ends_with("nothing was contacted.\n"));
    }

    #[test]
    fn the_order_of_keys_and_pools_does_not_matter(seed in prop::collection::vec(any::<u8>(), 8)) {
        let pools = ["masters: {count: 3, size: small}", "workers: {numbers: [4, 1, 2], size: large}",
            "pools: {gpu: {count: 1, size: large}, big: {count: 2, size: large}}", "prune: true", "cluster: k8s"];
        let mut order: Vec<(u8, &str)> = seed.iter().copied().zip(pools).collect();
        order.sort();
        let shuffled: String = order.iter().map(|(_, line)| format!("{line}\n")).collect();
        let wanted = parse(CONFIG, &pools.join("\n")).unwrap().desired;
        let got = parse(CONFIG, &shuffled).unwrap().desired;
        prop_assert_eq!(without_places(wanted), without_places(got));
    }

    /// The n-th address by counting, whatever numbers exist.
    #[test]
    fn machine_n_has_the_nth_address(
        singles in prop::collection::btree_set(10u8..60, 0..4),
        range in (100u8..110, 0u8..20),
        numbers in prop::collection::btree_set(1u32..20, 1..6),
    ) {
        let mut all: Vec<u8> = singles.iter().copied().collect();
        all.extend(range.0..=range.0 + range.1);
        let mut elements: Vec<String> = singles.iter().map(|last| format!("10.0.0.{last}/24")).collect();
        elements.push(format!("10.0.0.{}-10.0.0.{}/24", range.0, range.0 + range.1));
        let list: Vec<String> = numbers.iter().map(u32::to_string).collect();
        let manifest = format!(
            "cluster: k8s\nworkers:\n  numbers: [{}]\n  size: small\n  network: {{addresses: [{}], gateway: 10.0.0.1}}\n",
            list.join(", "), elements.join(", ")
        );
        let enough = numbers.iter().all(|number| *number as usize <= all.len());
        match parse(CONFIG, &manifest) {
            Ok(loaded) => {
                prop_assert!(enough);
                for machine in &loaded.desired.machines {
                    let wanted = format!("10.0.0.{}/24", all[machine.id.number as usize - 1]);
                    let Address::Static { address, .. } = &machine.network.ipv4 else { panic!("not static") };
                    prop_assert_eq!(address.to_string(), wanted);
                }
            }
            Err(problems) => {
                prop_assert!(!enough);
                prop_assert_eq!(problems.list.len(), 1);
            }
        }
    }
}

fn without_places(mut desired: Desired) -> Desired {
    for machine in &mut desired.machines {
        machine.place = None;
    }
    desired
}

/// What a `Desired` promises, checked by other means than the code's own.
fn promises(desired: &Desired) {
    let names: BTreeSet<&str> = desired.machines.iter().map(|machine| machine.name.as_str()).collect();
    assert_eq!(names.len(), desired.machines.len());
    assert!(names.iter().all(|name| name.len() <= 63 && !name.contains(['.', '_'])));
    let mut addresses: BTreeSet<IpAddr> = BTreeSet::new();
    for machine in &desired.machines {
        for address in [Some(&machine.network.ipv4), machine.network.ipv6.as_ref()].into_iter().flatten() {
            let Address::Static { address, gateway } = address else { continue };
            assert!(addresses.insert(address.address), "{address} twice");
            let net = IpNet::new(address.address, address.prefix).unwrap();
            if net.max_prefix_len() - net.prefix_len() > 1 {
                assert_ne!(net.network(), address.address);
                assert!(address.address.is_ipv6() || net.broadcast() != address.address);
            }
            if let Some(gateway) = gateway {
                let link_local = gateway.to_string().starts_with("fe80:");
                assert!(*gateway != address.address && (net.contains(gateway) || link_local));
            }
        }
        assert!(machine.disk_gb >= desired.template.disk_gb);
        assert!(machine.network.vlan.is_none_or(|vlan| (1..=4094).contains(&vlan)));
        assert!(machine.cloud_init.ssh_keys.ends_with('\n') && !machine.cloud_init.ssh_keys.contains("\n\n"));
    }
    let nodes: BTreeSet<&str> = desired.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(nodes.len(), desired.nodes.len());
    let vmids: Vec<u32> = desired.machines.iter().filter_map(|machine| machine.vmid.map(|vmid| vmid.0)).collect();
    assert_eq!(vmids.iter().collect::<BTreeSet<_>>().len(), vmids.len());
}

/// Alias bombs of any shape end at the limit, not in memory.
#[test]
fn aliases_are_bounded() {
    for width in [2, 9, 50] {
        let mut text = format!("a0: &a0 [{}]\n", "x,".repeat(width));
        for depth in 1..40 {
            let last = format!("*a{},", depth - 1).repeat(width);
            writeln!(text, "a{depth}: &a{depth} [{last}]").unwrap();
        }
        let problems = parse(CONFIG, &text).unwrap_err();
        assert_eq!(problems.list[0].id.as_str(), "yaml-alias");
    }
}
