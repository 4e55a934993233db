//! The apply lock: one holder, told by name; free at once when the holder goes.

use pvekube::model::ids::ClusterName;
use pvekube::remote::{LockAnswer, LockAsk, Probe, Remote};

use crate::{Bench, bench};

fn ask(owner: &str, nonce: &str, wait_s: u32) -> LockAsk {
    LockAsk { cluster: ClusterName::new("k8s"), owner: owner.to_owned(), nonce: nonce.to_owned(), wait_s }
}

fn held(answer: LockAnswer) -> pvekube::remote::Lock {
    match answer {
        LockAnswer::Held(lock) => lock,
        LockAnswer::Busy { owner } => panic!("held by {owner}"),
    }
}

async fn owner(bench: &Bench) -> String {
    let probe = Probe::LockOwner { cluster: ClusterName::new("k8s") };
    String::from_utf8(bench.ssh.probe(&bench.name, &probe).await.unwrap().stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn second_holder_is_told_who_the_first_is() {
    let bench = bench();
    assert_eq!(owner(&bench).await, "");
    let first = held(bench.ssh.lock(&bench.name, &ask("ci@runner-7 pid 4121 'q' $(x)", "aa", 1)).await.unwrap());
    assert_eq!((first.previous.as_str(), *first.held.borrow()), ("", true));
    assert_eq!(owner(&bench).await, "ci@runner-7 pid 4121 'q' $(x)");
    let other = bench.another();
    let answer = other.lock(&bench.name, &ask("op@laptop", "bb", 0)).await.unwrap();
    assert!(matches!(answer, LockAnswer::Busy { ref owner } if owner == "ci@runner-7 pid 4121 'q' $(x)"), "{answer:?}");
    assert!(*first.held.borrow());
    // Another cluster's lock is another lock.
    let theirs = LockAsk { cluster: ClusterName::new("other"), ..ask("op@laptop", "bb", 0) };
    held(other.lock(&bench.name, &theirs).await.unwrap());
    other.close().await;
    bench.ssh.close().await;
}

#[tokio::test]
async fn released_lock_is_taken_by_who_waits_and_names_the_one_before() {
    let bench = bench();
    let first = held(bench.ssh.lock(&bench.name, &ask("first", "aa", 1)).await.unwrap());
    let other = bench.another();
    let asked = ask("second", "bb", 60);
    let (second, ()) = tokio::join!(other.lock(&bench.name, &asked), async {
        // Not before the other waits: the lock file is open twice.
        crate::sshd::until("the other asks", || bench.node.executions() == 2).await;
        drop(first);
    });
    let second = held(second.unwrap());
    assert_eq!(second.previous, "aa");
    assert_eq!(owner(&bench).await, "second");
    drop(second);
    let again = held(bench.ssh.lock(&bench.name, &ask("first", "aa", 60)).await.unwrap());
    assert_eq!(again.previous, "bb", "somebody else had it in between");
    drop(again);
    other.close().await;
    bench.ssh.close().await;
}

#[tokio::test]
async fn killed_holder_frees_at_once() {
    let bench = bench();
    let mut lock = held(bench.ssh.lock(&bench.name, &ask("first", "aa", 1)).await.unwrap());
    bench.node.kill_sessions();
    lock.held.changed().await.unwrap();
    assert!(!*lock.held.borrow());
    let other = bench.another();
    assert_eq!(held(other.lock(&bench.name, &ask("second", "bb", 5)).await.unwrap()).previous, "aa");
    other.close().await;
    bench.ssh.close().await;
}

#[tokio::test]
async fn own_lock_from_before_a_frozen_connection_is_taken_over() {
    let bench = bench();
    let lock = held(bench.ssh.lock(&bench.name, &ask("first", "aa", 1)).await.unwrap());
    let frozen = bench.node.sessions();
    bench.node.freeze_sessions(true);
    let again = bench.another();
    let taken = held(again.lock(&bench.name, &ask("first", "aa", 5)).await.unwrap());
    assert_eq!(taken.previous, "aa", "nobody was in between");
    for pid in frozen {
        crate::sshd::signal("CONT", pid);
    }
    drop((lock, taken));
    again.close().await;
    bench.ssh.close().await;
}
