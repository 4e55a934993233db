use std::sync::Mutex;

use super::*;
use crate::model::ids::OperationName;
use crate::model::observed::NodeState;
use crate::pve::report::frame::Writer;
use crate::remote::{
    Answer, Follower, LockAnswer, LockAsk, LoginAnswer, LoginAsk, Operation, Probe, PutFile, RemoteErrorKind,
};

const NONCE: &str = "0123456789abcdef";

type Answers = Vec<Result<Vec<u8>, RemoteError>>;

/// Nodes that answer from a list, one answer an observation; everything else they refuse.
struct Scripted {
    answers: Mutex<BTreeMap<NodeName, Answers>>,
    asked: Mutex<Vec<(NodeName, ObserveAsk)>>,
}

fn error(node: &NodeName, kind: RemoteErrorKind) -> RemoteError {
    RemoteError {
        node: node.clone(),
        kind,
        sentence: "it could not be reached".to_owned(),
        hint: "look at the cable".to_owned(),
        detail: "No route to host".to_owned(),
    }
}

impl Scripted {
    fn refused<T>(&self, node: &NodeName) -> Result<T, RemoteError> {
        Err(error(node, RemoteErrorKind::Refused))
    }
}

impl Remote for Scripted {
    async fn observe(&self, node: &NodeName, ask: &ObserveAsk) -> Result<Vec<u8>, RemoteError> {
        self.asked.lock().unwrap().push((node.clone(), ask.clone()));
        let mut answers = self.answers.lock().unwrap();
        answers.get_mut(node).unwrap().remove(0)
    }
    async fn probe(&self, node: &NodeName, _: &Probe) -> Result<Answer, RemoteError> {
        self.refused(node)
    }
    async fn start(&self, node: &NodeName, _: &Operation) -> Result<(), RemoteError> {
        self.refused(node)
    }
    async fn forget(&self, node: &NodeName, _: &OperationName) -> Result<(), RemoteError> {
        self.refused(node)
    }
    async fn put(&self, node: &NodeName, _: &PutFile) -> Result<(), RemoteError> {
        self.refused(node)
    }
    async fn remove(&self, node: &NodeName, _: &str) -> Result<(), RemoteError> {
        self.refused(node)
    }
    async fn follow(&self, node: &NodeName) -> Result<Follower, RemoteError> {
        self.refused(node)
    }
    async fn lock(&self, node: &NodeName, _: &LockAsk) -> Result<LockAnswer, RemoteError> {
        self.refused(node)
    }
    async fn login(&self, _: &LoginAsk) -> LoginAnswer {
        LoginAnswer::PortClosed { detail: String::new() }
    }
    async fn close(&self) {}
}

/// A standalone node's answer; `before` is its `.vmlist` before the configs were read.
fn answer(name: &str, before: &str) -> Vec<u8> {
    let mut w = Writer::new(NONCE);
    w.lines(&["clock"], [1000]);
    w.lines(&["local"], ["link 755 nodes/x"]);
    w.file("members", Some(format!("{{\"nodename\": \"{name}\", \"version\": 0}}").as_bytes()));
    w.file("vmlist", Some(before.as_bytes()));
    w.file("vmlist-after", Some(b"{\"version\": 0}"));
    w.file("pvecfg.pm", Some(b"sub version {\n    return '9.2.11';\n}\n"));
    w.file("meminfo", Some(b"MemTotal: 1024 kB\n"));
    w.file("cpus", Some(b"0\n"));
    w.finish()
}

const STEADY: &str = "{\"version\": 0}";
const MOVED: &str = "{\"ids\": {\"101\": {\"node\": \"x\", \"type\": \"qemu\", \"version\": 1}}}";

fn desired() -> Desired {
    let env =
        crate::input::Env { home: Some("/home/me".into()), read_file: &|_| Err(std::io::ErrorKind::NotFound.into()) };
    crate::input::parse(&crate::input::example_config(), &crate::input::example_manifest(), &env).unwrap().desired
}

async fn run(answers: [Answers; 3]) -> (Observed, Vec<(NodeName, ObserveAsk)>) {
    let names = ["pve1", "pve2", "pve3"].map(NodeName::from);
    let remote =
        Arc::new(Scripted { answers: Mutex::new(names.into_iter().zip(answers).collect()), asked: Mutex::default() });
    let options = ObserveOptions { checksums: None, taken_at: 5, nonce: NONCE.to_owned() };
    let observed = observe(&remote, &desired(), &options).await;
    let asked = remote.asked.lock().unwrap().clone();
    (observed, asked)
}

#[tokio::test]
async fn each_node_is_asked_once() {
    let whole = |name: &str| vec![Ok(answer(name, STEADY))];
    let (observed, asked) = run([whole("a"), whole("b"), whole("c")]).await;
    assert_eq!(asked.len(), 3);
    let ask = &asked[0].1;
    assert_eq!(ask.storages.iter().map(|s| s.as_str()).collect::<Vec<_>>(), ["local", "local-lvm"]);
    assert_eq!(ask.bridges.len(), 1);
    assert_eq!((observed.realms.len(), observed.taken_at), (3, 5));
    assert!(matches!(observed.upstream, Upstream::Unknown { .. }));
}

#[tokio::test]
async fn a_read_that_met_a_write_is_made_again_once() {
    let torn = || Ok(answer("b", MOVED));
    let still = vec![torn(), torn()];
    let (observed, asked) =
        run([vec![Ok(answer("a", STEADY))], still, vec![Ok(answer("c", MOVED)), Ok(answer("c", STEADY))]]).await;
    assert_eq!(asked.len(), 5);
    assert_eq!(observed.realms.len(), 3, "what stays unsteady is used as it is");
}

#[tokio::test]
async fn a_cut_answer_is_asked_for_again_and_an_unreachable_node_is_not() {
    let whole = answer("a", STEADY);
    let cut = whole[..whole.len() - 30].to_vec();
    let node = NodeName::from("pve2");
    let lost = error(&node, RemoteErrorKind::Unknown);
    let away = error(&"pve3".into(), RemoteErrorKind::Unreachable);
    let (observed, asked) = run([vec![Ok(cut.clone()), Ok(whole)], vec![Err(lost), Ok(cut)], vec![Err(away)]]).await;
    assert_eq!(asked.len(), 5);
    assert!(observed.facts(&"pve1".into()).is_some());
    let NodeState::Silent(silence) = &observed.nodes[&node] else { panic!("its answers were cut") };
    assert!(silence.detail.contains("incomplete"), "{silence:?}");
    let NodeState::Silent(silence) = &observed.nodes[&"pve3".into()] else { panic!("it was away") };
    assert_eq!((silence.reason.as_str(), silence.hint.as_str()), ("it could not be reached", "look at the cable"));
}
