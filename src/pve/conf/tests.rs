use proptest::prelude::*;

use super::*;
use crate::model::ids::Vmid;
use crate::model::mark::Mark;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Every config file that was recorded on a real node is printed back byte for byte: PVE wrote them in its own order.
#[test]
fn recorded_files_round_trip_byte_for_byte() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pve/conf");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let file = parse_file(&bytes).unwrap();
        assert_eq!(text(&file.print()), text(&bytes), "{}", path.display());
        let config = parse(&bytes).unwrap();
        assert!(config.get("vmgenid").is_some(), "{}", path.display());
        count += 1;
    }
    assert!(count >= 18, "{count} recorded files");
}

#[test]
fn golden_machine() {
    let bytes = include_bytes!("../../../tests/fixtures/pve/conf/i-golden.machine-conf-1.conf");
    let config = parse(bytes).unwrap();
    assert_eq!(config.digest, "85a5e2ce9257d57ae8f8fce9691d3869759a7ca8", "[i-golden/machine-digest]");
    assert_eq!(config.get("cores"), Some("1"));
    assert_eq!(config.description, "pvekube/1 cluster=k8s machine=worker-1 vmid=201 image=sha256-ab12cd34");
    // The recorded mark has a shortened digest, which is not one.
    assert_eq!(Mark::find(&config.description), None);
    let marked = config.description.replace(" image=sha256-ab12cd34", "");
    assert_eq!(Mark::find(&marked).map(|mark| mark.vmid), Some(Vmid(201)));
    assert_eq!(print(&config), bytes);
}

#[test]
fn sections_do_not_leak_into_each_other() {
    let bytes = include_bytes!("../../../tests/fixtures/pve/conf/d-running.conf-file-pending.conf");
    let config = parse(bytes).unwrap();
    assert_eq!(config.get("cores"), Some("1"));
    assert_eq!(config.next("cores"), Some("2"));
    assert_eq!(config.pending.len(), 2);
    assert_eq!(config.cloudinit.get("name").map(String::as_str), Some("web-1"));
    assert_eq!(print(&config), bytes);
}

#[test]
fn pending_deletes_and_snapshots() {
    let config = parse(b"cores: 2\nonboot: 1\n[pending]\ndelete: onboot,!net1\ncores: 4\n\n[before_upgrade]\n#why\ncores: 1\n[special:unknown]\ncores: 9\n")
        .unwrap();
    assert_eq!(config.next("onboot"), None);
    assert_eq!(config.pending_delete.iter().map(String::as_str).collect::<Vec<_>>(), ["net1", "onboot"]);
    assert_eq!(config.snapshots, ["before_upgrade"]);
    assert_eq!(config.get("cores"), Some("2"));
    assert_eq!(config.description, "", "a snapshot's note is not the VM's");
}

#[test]
fn descriptions_decode_as_pve_encodes_them() {
    let config = parse(b"#gr%C3%BCn %E2%9C%93\n## second%3A line 100%25\ncores: 1\n#late\n").unwrap();
    assert_eq!(config.description, "grün ✓\n# second: line 100%\nlate");
    assert_eq!(
        text(&print(&config)),
        "#gr%C3%BCn %E2%9C%93\n## second%3A line 100%25\n#late\ncores: 1\n",
        "[f-more/utf8-desc-conf]"
    );
    assert_eq!(parse(b"description: a%0Ab\n").unwrap().description, "a\nb", "the form of old files");
}

#[test]
fn odd_lines_are_skipped_as_pve_skips_them() {
    let config =
        parse(b"cores 2\nNAME: x\nname: ok\n: y\nname2-: z\ndelete: name\nboot:  \nempty:\n\r\nkey:v\r\n").unwrap();
    let keys: Vec<_> = config.keys.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(keys, [("boot", " "), ("key", "v"), ("name", "ok")]);
    assert_eq!(parse(b"cdrom: none\n").unwrap().get("ide2"), Some("none"));
}

#[test]
fn bytes_that_are_no_config() {
    assert_eq!(parse(b"name: a\n\0\n"), Err(ConfError::NotText { line: 2 }));
    assert_eq!(parse(&vec![b'x'; MAX_BYTES + 1]), Err(ConfError::TooLarge { bytes: MAX_BYTES + 1 }));
    assert_eq!(parse(b"name: \xff\n").unwrap().get("name"), Some("\u{fffd}"));
    assert_eq!(parse(b"").unwrap().keys.len(), 0);
}

fn section() -> impl Strategy<Value = Section> {
    let line = "[ -~äß✓%:#]{0,20}[!-~]";
    let keys = prop::collection::btree_map("[a-z][a-z_-]{0,6}[0-9]{0,2}", "[!-~]([ -~é]{0,12}[!-~])?", 0..6);
    (prop::collection::vec(line, 0..3), keys).prop_map(|(lines, mut keys)| {
        for reserved in ["description", "delete", "cdrom", "snapstate", "args"] {
            keys.remove(reserved);
        }
        Section { description: lines.join("\n"), keys }
    })
}

proptest! {
    #[test]
    fn prints_what_it_parses(
        main in section(),
        pending in section(),
        snapshots in prop::collection::btree_map("[a-z][a-z0-9_-]{1,6}", section(), 0..3),
        delete in prop::option::of("[a-z]{1,4}(,[a-z]{1,4}){0,2}"),
    ) {
        let mut pending = Section { description: String::new(), ..pending };
        if let Some(delete) = delete {
            pending.keys.insert("delete".to_owned(), delete);
        }
        let snapshots = snapshots.into_iter().filter(|(name, _)| name != "pending").collect();
        let file = ConfFile { main, pending, special: BTreeMap::new(), snapshots };
        prop_assert_eq!(parse_file(&file.print()).unwrap(), file);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_settle(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(file) = parse_file(&bytes) {
            let printed = file.print();
            prop_assert_eq!(parse_file(&printed).unwrap().print(), printed);
        }
    }

    #[test]
    fn arbitrary_lines_settle(lines in prop::collection::vec("(\\[[a-z:]{0,12}\\]|[a-z]{1,4}[0-9]?: ?.{0,8}|#.{0,8}|.{0,6})", 0..12)) {
        let bytes = lines.join("\n").into_bytes();
        if let Ok(file) = parse_file(&bytes) {
            let printed = file.print();
            prop_assert_eq!(parse_file(&printed).unwrap().print(), printed);
        }
    }
}
