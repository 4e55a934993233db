//! Which nodes belong together, and what is known when some are silent.

use super::*;

#[test]
fn a_cluster_with_a_member_down() {
    let all = ["c1", "c2", "-c3"];
    let with = |name| Fake::member(name, &all).vm(101, "c1", "name: a\n").vm(103, "c3", "name: c\n");
    let mut one = with("c1");
    one.running = vec![101];
    let observed =
        observe(vec![("c1", Ok(one.report())), ("c2", Ok(with("c2").report())), ("c3", silent("no route to host"))]);
    let (id, realm) = only_realm(&observed);
    assert_eq!(id.as_str(), "cluster:home");
    assert!(realm.quorate && realm.existence_known);
    assert_eq!(realm.guests[&Vmid(103)].vm().unwrap().power, Power::Unknown);
    assert_eq!(realm.guests[&Vmid(103)].vm().unwrap().name(), Some("c"));
    assert_eq!(realm.guests[&Vmid(101)].vm().unwrap().power, Power::Running);
    let down = &realm.members[&"c3".into()];
    assert_eq!((down.online, down.node.clone()), (false, Some("c3".into())));
}

#[test]
fn a_silent_host_that_no_realm_claims_stays_outside() {
    let observed = observe(vec![("c1", Ok(Fake::member("c1", &["c1", "c2"]).report())), ("far", silent("refused"))]);
    let (_, realm) = only_realm(&observed);
    assert!(realm.members.values().all(|member| member.node != Some("far".into())));
    assert!(matches!(observed.nodes[&"far".into()], NodeState::Silent(_)));
}

#[test]
fn a_name_in_two_realms_is_not_guessed() {
    let mut other = Fake::member("d1", &["d1", "c2"]);
    other.cluster = Some(("away", true, vec!["d1", "c2"]));
    let answers = vec![
        ("c1", Ok(Fake::member("c1", &["c1", "c2"]).report())),
        ("d1", Ok(other.report())),
        ("c2", silent("refused")),
    ];
    let observed = observe(answers);
    assert_eq!(observed.realms.len(), 2);
    let claims = observed.realms.values().flat_map(|realm| realm.members.values());
    assert_eq!(claims.filter(|member| member.node == Some("c2".into())).count(), 0);
}

#[test]
fn two_clusters_of_one_name_are_two_realms() {
    let mut other = Fake::member("d1", &["d1"]);
    other.cluster = Some(("home", true, vec!["d1"]));
    let observed = observe(vec![("c1", Ok(Fake::member("c1", &["c1"]).report())), ("d1", Ok(other.report()))]);
    let ids: Vec<_> = observed.realms.keys().map(RealmId::as_str).collect();
    assert_eq!(ids, ["cluster:home/c1@10.0.0.1", "cluster:home/d1@10.0.0.1"]);
}

#[test]
fn one_node_under_two_names() {
    let member = Fake::member("c1", &["c1"]);
    let observed = observe(vec![("a", Ok(member.report())), ("b", Ok(member.report()))]);
    assert!(observed.facts(&"a".into()).is_some());
    let NodeState::Silent(silence) = &observed.nodes[&"b".into()] else { panic!("b stands for c1 too") };
    assert_eq!(silence.reason, "it is the same Proxmox VE node as a");
    let alone = Fake::standalone("pve1").vm(100, "pve1", "vmgenid: 1\n");
    assert_eq!(observe(vec![("a", Ok(alone.report())), ("b", Ok(alone.report()))]).realms.len(), 1);
    let empty = Fake::standalone("pve1");
    assert_eq!(observe(vec![("a", Ok(empty.report())), ("b", Ok(empty.report()))]).realms.len(), 2);
}

#[test]
fn not_mounted_is_not_empty() {
    for (local, words) in [("unmounted", "not mounted"), ("absent", "no Proxmox VE"), ("link  nodes/c1", "not mounted")]
    {
        let fake = Fake { local, ..Fake::standalone("pve1") };
        let observed = observe(vec![("pve1", Ok(fake.report()))]);
        assert!(observed.realms.is_empty());
        let NodeState::Silent(silence) = &observed.nodes[&"pve1".into()] else { panic!("{local}") };
        assert!(silence.reason.contains(words), "{}", silence.reason);
    }
}

#[test]
fn without_quorum_existence_is_unknown() {
    for (quorate, local) in [(false, "link 755 nodes/c1"), (true, "link 555 nodes/c1"), (false, "link 555 nodes/c1")] {
        let mut fake = Fake { local, ..Fake::member("c1", &["c1", "-c2", "-c3"]).vm(101, "c1", "name: a\n") };
        fake.cluster = Some(("home", quorate, vec!["c1", "-c2", "-c3"]));
        let observed = observe(vec![("c1", Ok(fake.report()))]);
        let (_, realm) = only_realm(&observed);
        assert!(!realm.quorate && !realm.existence_known);
        assert_eq!(realm.guests.len(), 1, "what was read is shown all the same");
    }
}

#[test]
fn the_quorate_side_of_a_split_counts() {
    let mut cut = Fake::member("c1", &["c1", "-c2", "-c3"]).vm(109, "c1", "name: stale\n");
    cut.cluster = Some(("home", false, vec!["c1", "-c2", "-c3"]));
    cut.local = "link 555 nodes/c1";
    let good = Fake::member("c2", &["-c1", "c2", "c3"]).vm(101, "c2", "name: a\n");
    let observed = observe(vec![("c1", Ok(cut.report())), ("c2", Ok(good.report()))]);
    let (_, realm) = only_realm(&observed);
    assert!(realm.quorate && realm.existence_known);
    assert_eq!(realm.guests.keys().collect::<Vec<_>>(), [&Vmid(101)]);
    assert!(!realm.members[&"c1".into()].online);
}

/// Its SSH answers, its corosync does not: it can change nothing, and whether its VMs are reached by the others is unknown.
#[test]
fn a_member_on_the_wrong_side_of_a_split_counts_as_silent() {
    let mut cut = Fake::member("c1", &["c1", "-c2", "-c3"]).vm(109, "c1", "name: stale\n");
    cut.cluster = Some(("home", false, vec!["c1", "-c2", "-c3"]));
    cut.local = "link 555 nodes/c1";
    let good = Fake::member("c2", &["-c1", "c2", "c3"]).vm(109, "c1", "name: a\n");
    let observed = observe(vec![("c1", Ok(cut.report())), ("c2", Ok(good.report()))]);
    let NodeState::Silent(silence) = &observed.nodes[&"c1".into()] else { panic!("nothing can be made there") };
    assert!(silence.reason.contains("no quorum") && silence.reason.contains("cut off"), "{}", silence.reason);
    assert!(matches!(observed.nodes[&"c2".into()], NodeState::Answered(_)));
    let (_, realm) = only_realm(&observed);
    assert_eq!(realm.members[&"c1".into()].node, Some("c1".into()));
    assert_eq!(realm.guests[&Vmid(109)].vm().unwrap().power, Power::Unknown);
}

/// While corosync is down, `.members` looks like a standalone node's.
#[test]
fn a_member_without_corosync_is_not_a_realm_of_its_own() {
    let cut = Fake { local: "link 555 nodes/c1", ..Fake::standalone("c1").vm(101, "c1", "name: old\n") };
    let other = Fake::member("c2", &["-c1", "c2", "c3"]).vm(101, "c1", "name: a\n");
    let observed = observe(vec![("c1", Ok(cut.report())), ("c2", Ok(other.report()))]);
    let (_, realm) = only_realm(&observed);
    assert_eq!(realm.members[&"c1".into()].node, Some("c1".into()));
    assert_eq!(realm.guests[&Vmid(101)].vm().unwrap().power, Power::Unknown);
    let NodeState::Silent(silence) = &observed.nodes[&"c1".into()] else { panic!("it knows nothing") };
    assert!(silence.reason.contains("cut off"));
}
