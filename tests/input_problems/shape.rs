//! What is no YAML that is taken, or has the wrong shape: text, scalars, keys.

use std::fmt::Write as _;

use super::case::{Case, MANIFEST, config, config_and, manifest, manifest_and, section, whole};

pub fn yaml() -> Vec<Case> {
    vec![
        whole("nothing", ""),
        whole("only comments", "# later\n\n"),
        whole("only a null", "~\n"),
        whole("a list", "- a\n- b\n"),
        whole("a word", "hello\n"),
        whole("tab indentation", "cluster: k8s\nworkers:\n\tcount: 1\n"),
        whole("tab after spaces", "cluster: k8s\nworkers:\n  count: 1\n \tsize: small\n"),
        whole("unclosed quote", "cluster: \"k8s\nworkers: {count: 1}\n"),
        whole("unclosed bracket", "cluster: k8s\nworkers: {count: 1, size: small\n"),
        whole("stray bracket", "cluster: k8s]\nworkers: }\n"),
        whole("wrong indentation", "cluster: k8s\nworkers:\n    count: 1\n  size: small\n"),
        whole("key without colon", "cluster: k8s\nworkers\n  count: 1\n"),
        whole("colon in text", "cluster: k8s: new\n"),
        whole("template braces", "cluster: {{ cluster }}\nworkers: {count: 1, size: small}\n"),
        whole("at sign", "cluster: @k8s\n"),
        whole("second document", format!("{MANIFEST}---\ncluster: other\n")),
        whole("duplicate key", format!("{MANIFEST}cluster: other\n")),
        manifest("duplicate key inside", "count: 2", "count: 2\n  count: 3"),
        whole("merge key", "cluster: k8s\nmasters: &m {count: 1, size: small}\nworkers:\n  <<: *m\n  count: 2\n"),
        whole("unknown alias", "cluster: k8s\nworkers: *none\n"),
        whole("alias to itself", "cluster: k8s\nworkers: &w {network: *w}\n"),
        whole("alias bomb", alias_bomb()),
        whole("tag", "cluster: !!str k8s\nworkers: {count: 1, size: small}\n"),
        whole("directive", "%YAML 1.1\n---\ncluster: k8s\n"),
        whole("too deep", format!("cluster: {}\n", "[".repeat(20_000))),
        whole("deep blocks", deep_blocks()),
        whole("list as key", "cluster: k8s\n? [a, b]\n: c\n"),
        whole("too large", format!("# {}\n", "x".repeat(1024 * 1024))),
        whole("too many values", format!("cluster: k8s\nworkers:\n  numbers: [{}]\n", "1,".repeat(60_000))),
        whole("a very long line", format!("cluster: {}\nworkers: {{count: 1, size: small}}\n", "x".repeat(5000))),
        whole(
            "a duplicate far away",
            format!("cluster: k8s\n{}cluster: k8s\nworkers: {{count: 1, size: small}}\n", "# …\n".repeat(30_000)),
        ),
        whole("byte order mark", format!("\u{feff}clutser: k8s\n{}", &MANIFEST["cluster: k8s\n".len()..])),
        whole("windows line ends", MANIFEST.replace('\n', "\r\n").replace("count: 2", "count: two")),
        whole(
            "wide characters",
            MANIFEST.replace("cluster: k8s", "cluster: k8s # größer → 日本").replace("count: 2", "\"größe\": 2"),
        ),
        whole("control character", "cluster: \"k8s\\u0007\"\nworkers: {count: 1, size: small}\n"),
        whole("line break in text", "cluster: |\n  k8s\n  two\nworkers: {count: 1, size: small}\n"),
    ]
}

fn alias_bomb() -> String {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (last, next) in ('a'..='h').zip('b'..='i') {
        writeln!(text, "{next}: &{next} [*{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}]")
            .unwrap();
    }
    text
}

fn deep_blocks() -> String {
    (0..200).map(|depth| format!("{}k:\n", " ".repeat(depth))).collect()
}

pub fn scalars() -> Vec<Case> {
    vec![
        manifest("leading zero", "count: 2", "count: 010"),
        manifest("exponent", "count: 2", "count: 1e1"),
        manifest("underscore", "count: 2", "count: 1_0"),
        manifest("hexadecimal", "count: 2", "count: 0x2"),
        manifest("base 60", "count: 2", "count: 12:30"),
        manifest("float", "count: 2", "count: 2.5"),
        manifest("whole float", "count: 2", "count: 2.0"),
        manifest("negative", "count: 2", "count: -1"),
        manifest("huge", "count: 2", "count: 99999999999999999999999999999999999999999999"),
        manifest("number in quotes", "count: 2", "count: \"2\""),
        manifest("number in words", "count: 2", "count: two"),
        manifest("boolean for number", "count: 2", "count: yes"),
        manifest("list for number", "count: 2", "count: [2]"),
        manifest("nothing for number", "count: 2", "count:"),
        manifest("gigabytes for MB", "count: 2", "count: 2\n  memory_mb: 16GiB"),
        manifest("megabytes for MB", "count: 2", "count: 2\n  memory_mb: 4096 MB"),
        manifest("terabytes for GB", "count: 2", "count: 2\n  disk_gb: 1T"),
        config_and("minutes for seconds", "readiness_check: {timeout_seconds: 5m}\n"),
        manifest("no as a name", "cluster: k8s", "cluster: no"),
        manifest("number as a name", "cluster: k8s", "cluster: 12"),
        manifest("exponent as a name", "cluster: k8s", "cluster: 1e3"),
        manifest("date as a name", "cluster: k8s", "cluster: 2026-01-01"),
        manifest("null as a name", "cluster: k8s", "cluster: ~"),
        manifest("empty text", "cluster: k8s", "cluster: \"\""),
        manifest("map for text", "cluster: k8s", "cluster: {name: k8s}"),
        manifest_and("yes for a boolean", "prune: yes\n"),
        manifest_and("quoted boolean", "prune: \"true\"\n"),
        manifest_and("number for a boolean", "prune: 1\n"),
        manifest_and("list for a boolean", "prune: [true]\n"),
        manifest_and("true for power", "  power: true\n"),
        manifest_and("map for power", "  power: {on: 1}\n"),
        config_and("text for a factor", "limits: {memory_overcommit: lots}\n"),
        config_and("zero as a factor", "limits: {memory_overcommit: 0}\n"),
        config_and("exponent as a factor", "limits: {memory_overcommit: 1e1}\n"),
        config("no as a node name", "[pve1.lan, pve2.lan]", "[no, pve2.lan]"),
        config("on as a size name", "small: {", "on: {cpus: 1, memory_mb: 2048, disk_gb: 20}\n  small: {"),
    ]
}

pub fn keys() -> Vec<Case> {
    vec![
        manifest("as in ux.md", "count: 2", "count: 2\n  memory_gb: 16"),
        manifest("disk in MB", "count: 2", "count: 2\n  disk_mb: 20480"),
        manifest("typing mistake", "workers:", "wrokers:"),
        manifest("other tool's word", "count: 2", "replicas: 2"),
        manifest("far from anything", "count: 2", "count: 2\n  zzzzzz: 1"),
        manifest("key one level too high", "count: 2", "count: 2\n  gateway: 10.0.0.1"),
        manifest_and("key of the other file", "vm_sizes: {}\n"),
        manifest_and("key of a section of the other file", "readiness_check: {timeout_seconds: 3}\n"),
        manifest_and("control characters in a key", "\"a\\u001b[31m\": 1\n"),
        manifest_and("a very long key", &format!("{}: 1\n", "k".repeat(300))),
        manifest("no cluster", "cluster: k8s\n", ""),
        manifest("a pool with nothing", "workers:\n  count: 2\n  size: small\n", "workers:\n"),
        manifest("a list as pool", "workers:\n  count: 2\n  size: small\n", "workers: [a, b]\n"),
        config("no nodes", "proxmox_nodes: [pve1.lan, pve2.lan]\n", ""),
        config("no template", section("vm_template", "cloud_init"), ""),
        config("no image", "  image_url: https://images.example/jammy.img\n", ""),
        config("no storage", "  storage_pool: local-lvm\n", ""),
        config("no cloud_init", section("cloud_init", "vm_sizes"), ""),
        config("size without memory", "memory_mb: 2048, ", ""),
        config_and("section with nothing", "ssh:\n"),
        config_and("list for a section", "limits: [4]\n"),
        config_and("unknown key in a section", "limits: {per_nodes: 3}\n"),
        config_and("unknown key in a node", "pool: k8s\nnodes: [a]\n"),
    ]
}
