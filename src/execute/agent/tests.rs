use super::*;

fn said(exit: i32, stdout: &str, stderr: &str) -> Answer {
    Answer { exit, stdout: stdout.as_bytes().to_vec(), stderr: stderr.as_bytes().to_vec() }
}

fn executed(exit: i32, out: &str, err: &str) -> Answer {
    let json = serde_json::json!({ "exitcode": exit, "exited": 1, "out-data": out, "err-data": err });
    said(0, &json.to_string(), "")
}

#[test]
fn a_ping_that_prints_nothing_is_an_answer() {
    assert_eq!(ping(&said(0, "", "")), Ping::Answers);
    assert_eq!(ping(&said(255, "", "No QEMU guest agent configured\n")), Ping::NotConfigured);
    assert_eq!(ping(&said(255, "", "VM 101 is not running\n")), Ping::VmStopped);
    assert_eq!(
        ping(&said(255, "", "QEMU guest agent is not running\n")),
        Ping::Silent("QEMU guest agent is not running".into())
    );
    let noisy = "Wide character in die at /usr/share/perl5/PVE/RESTHandler.pm line 1131.\nAgent error: not allowed\n";
    assert_eq!(ping(&said(255, "", noisy)), Ping::Silent("Agent error: not allowed".into()));
    let own_error = r#"{"error":{"class":"GenericError","desc":"busy"}}"#;
    assert!(matches!(ping(&said(0, own_error, "")), Ping::Silent(_)));
}

/// [i-golden/machine-interfaces], with what a Kubernetes node has besides.
const INTERFACES: &str = r#"[
 {"hardware-address":"00:00:00:00:00:00","ip-addresses":[{"ip-address":"127.0.0.1","ip-address-type":"ipv4","prefix":8}],"name":"lo"},
 {"hardware-address":"bc:24:11:95:d7:de","ip-addresses":[
   {"ip-address":"10.77.0.200","ip-address-type":"ipv4","prefix":32},
   {"ip-address":"10.77.0.61","ip-address-type":"ipv4","prefix":24},
   {"ip-address":"fe80::be24:11ff:fe95:d7de","ip-address-type":"ipv6","prefix":64},
   {"ip-address":"2001:db8::61","ip-address-type":"ipv6","prefix":64}],"name":"eth0"},
 {"hardware-address":"bc:24:11:95:d7:de","ip-addresses":[{"ip-address":"10.244.1.0","ip-address-type":"ipv4","prefix":32}],"name":"flannel.1"},
 {"name":"cilium_host","ip-addresses":[{"ip-address":"10.0.1.7","ip-address-type":"ipv4","prefix":32}]},
 {"hardware-address":"52:54:00:00:00:01","name":"eth1"}]"#;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_address_is_net0s_and_never_a_link_local_or_cluster_one() {
    let found = interfaces(&said(0, INTERFACES, "")).unwrap();
    let (address, all) = choose_address(&found, "BC:24:11:95:D7:DE", &ExpectedAddress::Dhcp, &[]);
    assert_eq!(address, Some(ip("10.77.0.61")));
    assert_eq!(all, [ip("10.77.0.61"), ip("2001:db8::61"), ip("10.77.0.200")]);

    let excluded: [IpNet; 1] = ["10.77.0.0/24".parse().unwrap()];
    let (address, _) = choose_address(&found, "BC:24:11:95:D7:DE", &ExpectedAddress::Dhcp, &excluded);
    assert_eq!(address, Some(ip("2001:db8::61")));

    let declared = |text: &str| ExpectedAddress::Static(text.parse().unwrap());
    let pick = |expected| choose_address(&found, "bc:24:11:95:d7:de", &expected, &[]).0;
    assert_eq!(pick(declared("10.77.0.61/24")), Some(ip("10.77.0.61")));
    assert_eq!(pick(declared("10.77.0.62/24")), None);
    assert_eq!(choose_address(&found, "52:54:00:00:00:01", &ExpectedAddress::Dhcp, &[]).0, None);
}

#[test]
fn interfaces_come_bare_from_qm_and_wrapped_from_pvesh_and_never_panic() {
    let wrapped = format!("{{\"result\":{INTERFACES}}}");
    assert_eq!(interfaces(&said(0, &wrapped, "")), interfaces(&said(0, INTERFACES, "")));
    for odd in ["", "nonsense", "{}", "[1, null]", r#"[{"ip-addresses":3}]"#, r#"{"error":{"class":"x","desc":"y"}}"#] {
        let _ = interfaces(&said(0, odd, ""));
    }
    assert_eq!(interfaces(&said(255, "", "VM 101 is not running")), None);
}

#[test]
fn cloud_init_done_running_degraded_failed_and_untold() {
    let status = |text: &str| cloud_init(&executed(0, text, ""));
    assert_eq!(status(r#"{"errors":[],"status":"done"}"#), CloudInitStatus::Done);
    assert_eq!(status(r#"{"errors":[],"status":"running"}"#), CloudInitStatus::Running);
    assert_eq!(status(r#"{"errors":[],"status":"not started"}"#), CloudInitStatus::Running);
    assert_eq!(
        status(
            r#"{"errors":[],"extended_status":"degraded done","recoverable_errors":{"WARNING":["no such key"]},"status":"done"}"#
        ),
        CloudInitStatus::Degraded(vec!["no such key".into()])
    );
    assert_eq!(
        status(
            r#"{"errors":["('runcmd', ProcessExecutionError())"],"extended_status":"error - done","status":"error"}"#
        ),
        CloudInitStatus::Failed(vec!["('runcmd', ProcessExecutionError())".into()])
    );
    assert!(matches!(cloud_init(&executed(2, "", "unrecognized arguments: --format")), CloudInitStatus::Untold(_)));
    let forbidden = r#"{"error":{"class":"CommandNotFound","desc":"Command guest-exec has been disabled"}}"#;
    assert!(matches!(cloud_init(&said(0, forbidden, "")), CloudInitStatus::Untold(_)));
    // d-running/exec-missing: a guest without cloud-init.
    let missing = "Agent error: Guest agent command failed, error was 'Failed to execute child process \u{201c}cloud-init\u{201d} \
                   (No such file or directory)'\n";
    assert!(matches!(cloud_init(&said(29, "", missing)), CloudInitStatus::Untold(_)));
    assert!(matches!(
        cloud_init(&said(0, r#"{"pid":7}"#, "timeout reached, returning pid")),
        CloudInitStatus::Silent(_)
    ));
}

#[test]
fn host_keys_lose_their_comments_and_dsa() {
    let out = "ssh-dss AAAAB3NzaC1kc3MAAACBAKnt root@x\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICuh root@k8s-worker-1\n\nssh-rsa AAAA;rm root\n";
    assert_eq!(host_keys(&executed(0, out, "")), Ok(vec!["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICuh".into()]));
    assert!(host_keys(&executed(1, "", "cat: /etc/ssh: No such file")).is_err());
}

#[test]
fn nobody_reaches_a_machine_by_what_is_its_own() {
    for own in ["127.0.0.1", "::1", "169.254.1.1", "fe80::1", "::", "224.0.0.1", "::ffff:127.0.0.1"] {
        assert!(!is_reachable(own.parse().unwrap()), "{own}");
    }
    for other in ["10.0.0.7", "fd00::7", "::ffff:10.0.0.7"] {
        assert!(is_reachable(other.parse().unwrap()), "{other}");
    }
}
