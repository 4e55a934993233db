use super::*;

fn evidence() -> Evidence {
    Evidence {
        subject: "k8s-worker-2 (VM 104 on pve2)".into(),
        vmid: Vmid(104),
        reached: Stage::Running,
        waited_s: 300,
        mac: Some("BC:24:11:0C:55:7F".into()),
        bridge: Some("vmbr0".into()),
        expected: ExpectedAddress::Dhcp,
        addresses: vec![],
        running: true,
        agent_configured: true,
        agent_said: None,
        cloud_init: None,
        login: None,
        known_as: None,
        accepts_first_key: false,
        known_hosts: None,
        node: NodeEvidence::default(),
    }
}

fn cause(change: impl FnOnce(&mut Evidence)) -> String {
    let mut evidence = evidence();
    change(&mut evidence);
    let failure = diagnose(&evidence);
    assert_eq!(failure.id, "not-ready");
    assert!(failure.summary.starts_with("k8s-worker-2 (VM 104 on pve2) "));
    assert!(!failure.next.is_empty());
    failure.cause.unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_vm_itself() {
    assert!(cause(|e| e.running = false).contains("QEMU process is gone"));
    // Stopped counts for more than whatever it waited for before.
    assert!(cause(|e| (e.running, e.reached) = (false, Stage::CloudInit)).contains("QEMU process is gone"));
    assert!(cause(|e| e.node.qemu_status = Some("io-error".into())).contains("storage is full"));
    assert!(cause(|e| e.node.qemu_status = Some("paused".into())).contains("qm suspend"));
    assert!(cause(|e| e.node.qemu_status = Some("guest-panicked".into())).contains("fault of its own"));
    assert!(cause(|e| e.node.qemu_status = Some("running".into())).contains("still booting"));
}

#[test]
fn the_agent() {
    assert!(cause(|e| e.agent_configured = false).contains("no `agent: enabled=1`"));
    assert!(cause(|e| e.node.console = vec!["k8s-worker-2 login: ".into()]).contains("not installed or not enabled"));
    assert!(cause(|e| e.node.console = vec!["Kernel panic - not syncing".into()]).contains("kernel panic"));
    assert!(
        cause(|e| e.node.console = vec!["Boot failed: not a bootable disk".into()]).contains("nothing to boot from")
    );
    assert!(cause(|e| e.node.cpu_s = Some(0.4)).contains("hardly used any CPU"));
    assert!(cause(|e| e.node.cpu_s = Some(40.0)).contains("still booting"));
}

#[test]
fn the_address() {
    let dhcp = |seen| cause(move |e| (e.reached, e.node.mac_seen) = (Stage::Agent, seen));
    assert!(dhcp(Some(true)).contains("BC:24:11:0C:55:7F is seen there, but no server answered"));
    assert!(dhcp(Some(false)).contains("never seen there"));
    assert!(dhcp(None).contains("could not be asked for more"));
    let mute = cause(|e| (e.reached, e.agent_said) = (Stage::Agent, Some("GenericError it failed".into())));
    assert!(mute.contains("GenericError it failed"), "{mute}");
    let declared = ExpectedAddress::Static("10.0.0.11/24".parse().unwrap());
    let missing = cause(|e| (e.reached, e.expected) = (Stage::Agent, declared.clone()));
    assert!(missing.contains("has not set 10.0.0.11"), "{missing}");
    let another =
        cause(|e| (e.reached, e.expected, e.addresses) = (Stage::Agent, declared, vec![address("10.0.0.99")]));
    assert!(another.contains("net0 has 10.0.0.99, not 10.0.0.11"), "{another}");
}

#[test]
fn cloud_init_and_its_module() {
    let failed = cause(|e| {
        e.reached = Stage::Address;
        e.cloud_init = Some(CloudInitStatus::Failed(vec!["('scripts_user', RuntimeError('1 of 1 failed'))".into()]));
    });
    assert!(failed.contains("in module scripts_user"), "{failed}");
    assert!(
        cause(|e| (e.reached, e.cloud_init) = (Stage::Address, Some(CloudInitStatus::Running)))
            .contains("not finished")
    );
    let silent = CloudInitStatus::Silent("QEMU guest agent is not running".into());
    assert!(cause(|e| (e.reached, e.cloud_init) = (Stage::Address, Some(silent))).contains("answered at first"));
}

#[test]
fn the_login() {
    let login = |answer| cause(move |e| (e.reached, e.login) = (Stage::CloudInit, Some(answer)));
    assert!(login(LoginAnswer::PortClosed { detail: "Connection refused".into() }).contains("nothing answers there"));
    assert!(login(LoginAnswer::HostKeyChanged { detail: String::new() }).contains("host key is not the one"));
    let refused = LoginAnswer::KeyRefused { offered: vec!["~/.ssh/k8s".into()], detail: "Permission denied".into() };
    assert!(login(refused).contains("~/.ssh/k8s"));
    assert!(login(LoginAnswer::Odd { detail: "motd".into() }).contains("motd"));
}

#[test]
fn the_whole_failure_reads_well() {
    let mut evidence = evidence();
    (evidence.reached, evidence.waited_s, evidence.node.mac_seen) = (Stage::Agent, 291, Some(false));
    evidence.node.cpu_s = Some(31.2);
    evidence.node.console = vec!["".into(), "transferred 1 (3%)".into(), "dhcp4 timed out\u{1b}".into()];
    let failure = diagnose(&evidence);
    insta::assert_snapshot!(format!("{}\n{}\ncause: {}\nnext: {}", failure.summary, failure.evidence.join("\n"), failure.cause.unwrap(), failure.next), @r#"
    k8s-worker-2 (VM 104 on pve2) has no address after 4 min 51 s
    QEMU has used 31 s of CPU time
    net0 BC:24:11:0C:55:7F has no address
    console: dhcp4 timed out
    cause: no DHCP lease on vmbr0: BC:24:11:0C:55:7F was never seen there, so the guest sends nothing or the VLAN is wrong
    next: look for that MAC on your DHCP server, or give the machine a static address; then run apply again
    "#);
}
