//! Saved plans and observations that are none, or no longer.

use std::fs;

use super::desk::{Desk, ONE};
use super::{case, check, with_bad_files};

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
