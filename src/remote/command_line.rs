//! Command lines for people: in reports and in the log. Redacted: keys lie in files, Notes and URLs may hold anything.

use super::{AgentAsk, Work};
use crate::model::ids::Vmid;

impl Work {
    /// As one would type it, on one line.
    pub fn command_line(&self) -> String {
        match self {
            Work::Qm { args } => {
                let mut line = "qm".to_owned();
                let mut option = "";
                for arg in args {
                    line.push(' ');
                    line.push_str(&shown(option, arg));
                    option = arg;
                }
                line
            }
            Work::FreeVolume { volume } => format!("pvesm free {volume}"),
            Work::Download { url, path, .. } => format!("wget {} -O {path}", public_url(url)),
            Work::Bake { vmid, .. } => format!("qm start {vmid}, read its serial console"),
        }
    }
}

impl AgentAsk {
    /// What the node runs for it.
    pub fn command_line(self, vmid: Vmid) -> String {
        match self {
            AgentAsk::Ping => format!("qm guest cmd {vmid} ping"),
            AgentAsk::Interfaces => format!("qm guest cmd {vmid} network-get-interfaces"),
            AgentAsk::CloudInit => format!("qm guest exec {vmid} -- cloud-init status --format json"),
            AgentAsk::HostKeys => format!("qm guest exec {vmid} -- sh -c 'cat /etc/ssh/ssh_host_*_key.pub'"),
        }
    }
}

/// An argument; `option` is the one before it.
fn shown(option: &str, arg: &str) -> String {
    match option {
        // The Notes hold our mark, and whatever else people wrote there.
        "--description" if arg.contains('\n') || !arg.starts_with("pvekube/") => "'(Notes)'".to_owned(),
        "--cipassword" => "'(hidden)'".to_owned(),
        _ if arg.contains([' ', ';', '\'', '"', '\n']) => format!("{arg:?}"),
        _ => arg.to_owned(),
    }
}

/// Without a user's name and password, and without what follows `?` (a signature, a token).
fn public_url(url: &str) -> String {
    let (url, query) = url.split_once('?').map_or((url, ""), |(url, _)| (url, "?…"));
    let Some((scheme, rest)) = url.split_once("://") else { return format!("{url}{query}") };
    let (host, path) = rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, format!("/{path}")));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qm(args: &[&str]) -> String {
        Work::Qm { args: args.iter().map(|arg| (*arg).to_owned()).collect() }.command_line()
    }

    #[test]
    fn words_are_quoted_and_secrets_are_not_there() {
        assert_eq!(qm(&["set", "101", "--name", "k8s-worker-1"]), "qm set 101 --name k8s-worker-1");
        assert_eq!(qm(&["set", "101", "--tags", "a;b"]), "qm set 101 --tags \"a;b\"");
        let mark = "pvekube/1 cluster=k8s machine=worker-1 vmid=101 image=sha256-ab12";
        assert_eq!(qm(&["set", "101", "--description", mark]), format!("qm set 101 --description {mark:?}"));
        let notes = format!("root password: hunter2\n{mark}");
        assert_eq!(
            qm(&["set", "101", "--description", &notes, "--cores", "2"]),
            "qm set 101 --description '(Notes)' --cores 2"
        );
        assert_eq!(qm(&["set", "101", "--cipassword", "hunter2"]), "qm set 101 --cipassword '(hidden)'");
    }

    #[test]
    fn urls_are_shown_without_credentials() {
        for (url, public) in [
            ("https://me:hunter2@images.lan/a.img?token=hunter2", "https://images.lan/a.img?…"),
            ("https://images.lan:8080/x@y/a.img", "https://images.lan:8080/x@y/a.img"),
            ("https://images.lan", "https://images.lan"),
        ] {
            assert_eq!(public_url(url), public);
        }
    }
}
