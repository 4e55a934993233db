//! Logging in to guests: a second sshd is the guest.

use std::fs;
use std::net::IpAddr;

use pvekube::remote::{LoginAnswer, LoginAsk, Remote};

use crate::sshd::{Node, PORT, fresh_address, make_key, user};
use crate::{Bench, bench};

struct Guests {
    bench: Bench,
    guest: Node,
}

fn guests(sshd_config: &str) -> Guests {
    let bench = bench();
    let guest = Node::start_with(&bench.folder.path().join("guest"), &fresh_address(), sshd_config);
    Guests { bench, guest }
}

impl Guests {
    fn ask(&self) -> LoginAsk {
        let key = fs::read_to_string(self.guest.root.join("etc/ssh/host_key.pub")).unwrap();
        LoginAsk {
            address: self.guest.address.parse::<IpAddr>().unwrap(),
            port: PORT,
            user: user(),
            keys: vec![self.guest.root.join("client_key")],
            agent: Vec::new(),
            host_keys: vec![key],
            known_hosts: None,
            via: None,
            timeout_s: 20,
            log_in: true,
        }
    }

    async fn answer(&self, ask: &LoginAsk) -> LoginAnswer {
        self.bench.ssh.login(ask).await
    }
}

#[tokio::test]
async fn login_with_the_expected_host_key() {
    let guests = guests("");
    assert_eq!(guests.answer(&guests.ask()).await, LoginAnswer::Ok);
    let only_port = LoginAsk { log_in: false, keys: Vec::new(), ..guests.ask() };
    assert_eq!(guests.answer(&only_port).await, LoginAnswer::PortOk);
    assert_eq!(guests.guest.connections(), 1);
}

#[tokio::test]
async fn login_over_the_node() {
    let guests = guests("");
    let ask = LoginAsk { via: Some(guests.bench.name.clone()), ..guests.ask() };
    assert_eq!(guests.answer(&ask).await, LoginAnswer::Ok);
    assert_eq!(guests.answer(&ask).await, LoginAnswer::Ok);
    assert_eq!((guests.bench.node.connections(), guests.guest.connections()), (1, 2));
    let mut closed = ask.clone();
    closed.port = 2;
    let answer = guests.answer(&closed).await;
    assert!(matches!(answer, LoginAnswer::PortClosed { ref detail } if detail.contains("refused")), "{answer:?}");
    guests.bench.ssh.close().await;
}

#[tokio::test]
async fn new_host_key_is_kept_and_a_changed_one_refused() {
    let mut guests = guests("");
    let known_hosts = guests.bench.folder.path().join("known %h hosts");
    let ask = LoginAsk { host_keys: Vec::new(), known_hosts: Some(known_hosts.clone()), ..guests.ask() };
    assert_eq!(guests.answer(&ask).await, LoginAnswer::Ok);
    assert!(fs::read_to_string(&known_hosts).unwrap().contains("ssh-ed25519"));
    let expected = guests.ask();
    for file in ["etc/ssh/host_key", "etc/ssh/host_key.pub"] {
        fs::remove_file(guests.guest.root.join(file)).unwrap();
    }
    make_key(&guests.guest.root.join("etc/ssh/host_key"));
    guests.guest.restart();
    for ask in [ask, expected] {
        let answer = guests.answer(&ask).await;
        assert!(
            matches!(answer, LoginAnswer::HostKeyChanged { ref detail } if detail.contains("SHA256:")),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn refused_key_is_named() {
    let guests = guests("");
    let other = guests.bench.folder.path().join("other %h key");
    make_key(&other);
    let ask = LoginAsk { keys: vec![other.clone()], ..guests.ask() };
    let answer = guests.answer(&ask).await;
    let LoginAnswer::KeyRefused { offered, detail } = answer else { panic!("{answer:?}") };
    assert!(offered.len() == 1 && offered[0].starts_with(other.to_str().unwrap()), "{offered:?}");
    assert!(detail.contains("Permission denied (publickey)"), "{detail}");
}

#[tokio::test]
async fn port_that_is_closed_or_says_nothing() {
    let guests = guests("");
    let closed = LoginAsk { port: 2, ..guests.ask() };
    let answer = guests.answer(&closed).await;
    assert!(
        matches!(answer, LoginAnswer::PortClosed { ref detail } if detail.contains("Connection refused")),
        "{answer:?}"
    );
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let silent = LoginAsk { address: address.ip(), port: address.port(), timeout_s: 1, ..guests.ask() };
    let answer = guests.answer(&silent).await;
    assert!(matches!(answer, LoginAnswer::PortClosed { .. }), "{answer:?}");
}

#[tokio::test]
async fn login_that_runs_nothing_is_odd() {
    let guests = guests("ForceCommand echo This account is currently not available.; exit 1");
    let answer = guests.answer(&guests.ask()).await;
    let odd = LoginAnswer::Odd { detail: "This account is currently not available.".to_owned() };
    assert_eq!(answer, odd);
}
