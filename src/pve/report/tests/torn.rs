//! Answers that are cut, torn by writers, or hold what nobody expects.

use super::*;

#[test]
fn listed_without_a_file_is_there_but_unread() {
    let mut fake = Fake::standalone("pve1").vm(101, "pve1", "name: a\n");
    fake.only_listed = vec![(102, "pve1")];
    let observed = observe(vec![("pve1", Ok(fake.report()))]);
    let (_, realm) = only_realm(&observed);
    assert!(!realm.existence_known);
    assert_eq!(realm.guests[&Vmid(102)].vm().unwrap().config, None);
    // A file at another node than the list says is a VM on its way.
    let mut moving = Fake::member("c1", &["c1", "c2"]).vm(101, "c1", "name: a\n");
    moving.vmlist_before = None;
    let mut report = moving.report();
    report.configs.get_mut(&Vmid(101)).unwrap().node = "c2".into();
    let observed = observe(vec![("c1", Ok(report))]);
    assert_eq!(only_realm(&observed).1.guests[&Vmid(101)].vm().unwrap().config, None);
}

#[test]
fn a_config_that_is_no_text_is_a_guest_nobody_may_touch() {
    let fake = Fake::standalone("pve1").vm(101, "pve1", "name: a\0\n");
    let observed = observe(vec![("pve1", Ok(fake.report()))]);
    let (_, realm) = only_realm(&observed);
    assert!(realm.existence_known);
    assert_eq!(realm.guests[&Vmid(101)].vm().unwrap().config, None);
}

#[test]
fn torn_reads_are_noticed() {
    let fake = Fake::standalone("pve1").vm(101, "pve1", "name: abc\n").vm(102, "pve1", "name: d\n");
    assert!(!fake.report().worth_asking_again());
    let text = String::from_utf8(fake.bytes()).unwrap();
    for (from, to) in
        [("10 pve1/", "9 pve1/"), ("10 pve1/", "11 pve1/"), ("10 pve1/", "x pve1/"), ("101.conf", "102.conf")]
    {
        let report = parse(NONCE, text.replacen(from, to, 1).as_bytes()).unwrap();
        assert!(report.torn.is_some(), "{from} -> {to}");
        assert!(report.configs.is_empty());
        let observed = observe(vec![("pve1", Ok(report))]);
        let (_, realm) = only_realm(&observed);
        assert!(!realm.existence_known);
        assert_eq!(realm.guests.len(), 2);
    }
    let moved = Fake { vmlist_before: Some("{\"version\": 1}".to_owned()), ..fake };
    let report = moved.report();
    assert!(report.unsteady && report.torn.is_none());
    assert!(only_realm(&observe(vec![("pve1", Ok(report))])).1.existence_known, "every file is there and whole");
}

#[test]
fn a_guest_that_only_one_member_sees_is_unread() {
    let one = Fake::member("c1", &["c1", "c2"]);
    let two = Fake::member("c2", &["c1", "c2"]).vm(101, "c2", "name: new\n");
    let observed = observe(vec![("c1", Ok(one.report())), ("c2", Ok(two.report()))]);
    assert_eq!(only_realm(&observed).1.guests[&Vmid(101)].vm().unwrap().config, None);
}

#[test]
fn incomplete_and_odd_answers() {
    let bytes = Fake::standalone("pve1").vm(101, "pve1", "name: a\n").bytes();
    for cut in 0..bytes.len() {
        assert!(parse(NONCE, &bytes[..cut]).is_err() || cut == bytes.len(), "cut at {cut}");
    }
    let noisy = [b"Welcome!\n".as_slice(), &bytes].concat();
    assert_eq!(parse(NONCE, &noisy).unwrap(), parse(NONCE, &bytes).unwrap(), "a .bashrc that prints");
    assert!(matches!(parse("ffff", &bytes), Err(ReportError::Incomplete(_))));
    let later = String::from_utf8(bytes).unwrap().replacen("begin 1", "begin 2", 1);
    assert!(matches!(parse(NONCE, later.as_bytes()), Err(ReportError::Odd(_))));
    let silence = Silence::from(&ReportError::Incomplete("x".to_owned()));
    assert!(silence.detail.contains("incomplete"));
}

#[test]
fn a_config_that_looks_like_a_header_is_content() {
    let config = "#a\n@@0123456789abcdee end\nname: a\n\n\n";
    let report = Fake::standalone("pve1").vm(101, "pve1", config).vm(102, "pve1", "").report();
    assert_eq!(report.configs[&Vmid(101)].config.as_ref().unwrap().digest, crate::pve::conf::digest(config.as_bytes()));
    assert!(report.configs[&Vmid(102)].config.as_ref().unwrap().keys.is_empty());
}

#[test]
fn a_vm_on_its_way_is_not_gone() {
    let answer = |list: &str| {
        let mut w = Writer::new(NONCE);
        w.lines(&["local"], ["link 755 nodes/c1"]);
        w.configs(&[]);
        w.file("vmlist", Some(list.as_bytes()));
        parse_vm(NONCE, Vmid(201), &w.finish())
    };
    let listed = "{\"ids\": {\"201\": {\"node\": \"c1\", \"type\": \"qemu\", \"version\": 9}}}";
    assert!(matches!(answer(listed), Err(ReportError::Incomplete(_))));
    assert_eq!(answer("{\"version\": 3}").unwrap().seen, None);
}
