//! What `init` must be told: from the flags; on a terminal it asks for what they leave out, and again after a bad answer.

use std::path::{Path, PathBuf};

use super::text::Node;
use crate::cli::Init as Args;
use crate::error::Fault;
use crate::input;
use crate::ui::Ui;

/// What no node can answer.
pub struct Answers {
    pub user: String,
    pub node: Node,
    pub private_key: Option<PathBuf>,
    pub public_key: String,
}

/// Without `--node`, on a terminal: everything is asked that has no flag. With it, the host is enough.
pub fn are_asked(ui: &Ui, args: &Args) -> bool {
    args.node.is_none() && ui.can_ask()
}

pub fn begin(ui: &Ui, args: &Args) -> Result<Answers, Fault> {
    let (user, node) = match &args.node {
        Some(text) => node(text).map_err(|why| fault(why, "give one such as: pvekube init --node root@pve1.lan"))?,
        None => ask(ui, "A Proxmox node (HOST, USER@HOST or USER@HOST:PORT)", None, node)
            .ok_or_else(|| fault("no node was given", "give one: pvekube init --node pve1.lan"))?,
    };
    let private_key = match &args.key {
        Some(path) => Some(path.clone()),
        None if are_asked(ui, args) => private_key(ui)?,
        None => None,
    };
    let public_key = public_key(ui, args, private_key.as_deref())?;
    Ok(Answers { user, node, private_key, public_key })
}

/// A whole number, where it may be asked for.
pub fn count(ui: &Ui, args: &Args, what: &str, flag: u32) -> Result<u32, Fault> {
    if !are_asked(ui, args) {
        return Ok(flag);
    }
    let number = |text: &str| match text.parse() {
        Ok(number) if number <= 1000 => Ok(number),
        Ok(_) | Err(_) => Err(format!("`{text}` is no number from 0 to 1000")),
    };
    ask(ui, what, Some(&flag.to_string()), number).ok_or_else(|| no_answer(what))
}

/// One of those that were found: the flag's, else (asked, where there are several) the usual one, else the first; and the
/// others.
pub fn choose(
    ui: &Ui,
    args: &Args,
    what: &str,
    found: &[String],
    flag: Option<&str>,
    usual: &str,
) -> Result<(String, Vec<String>), Fault> {
    let list = found.join(", ");
    let known = |name: &str| match found.iter().find(|known| *known == name) {
        Some(known) => Ok(known.clone()),
        None => Err(format!("the node has no {what} `{name}` for VMs; it has: {list}")),
    };
    let Some(first) = found.iter().find(|name| *name == usual).or(found.first()) else {
        return Err(fault(format!("the node has no {what} for VMs"), format!("make a {what} on the node first")));
    };
    let chosen = match flag {
        Some(flag) => known(flag).map_err(|why| fault(why, format!("name one of them: --{what} {first}")))?,
        None if found.len() > 1 && are_asked(ui, args) => {
            let question = format!("Which {what} for the VMs ({list})");
            ask(ui, &question, Some(first), known).ok_or_else(|| no_answer(&question))?
        }
        None => first.clone(),
    };
    let others = found.iter().filter(|name| **name != chosen).cloned().collect();
    Ok((chosen, others))
}

/// Until the answer is one; `None` where nobody answers. Enter takes the default.
fn ask<T>(ui: &Ui, question: &str, default: Option<&str>, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
    let shown = default.map_or(format!("{question}:"), |default| format!("{question} [{default}]:"));
    loop {
        let answer = ui.ask(&shown)?;
        let answer = if answer.is_empty() { default.unwrap_or_default() } else { &answer };
        match read(answer) {
            Ok(value) => return Some(value),
            Err(why) => ui.warn(&format!("  {why}")),
        }
    }
}

/// `HOST`, `USER@HOST`, `USER@HOST:PORT`; an IPv6 address has more colons.
fn node(text: &str) -> Result<(String, Node), String> {
    let bad = || format!("`{text}` is not HOST, USER@HOST or USER@HOST:PORT");
    let (user, host) = text.split_once('@').unwrap_or(("root", text));
    let (host, port) = match host.split_once(':') {
        Some((host, port)) if !port.contains(':') => {
            (host, Some(port.parse().ok().filter(|port| *port > 0).ok_or_else(bad)?))
        }
        _ => (host, None),
    };
    let spaced = |text: &str| text.is_empty() || text.contains(|letter: char| letter.is_whitespace() || letter == '@');
    if spaced(user) || spaced(host) {
        return Err(bad());
    }
    Ok((user.to_owned(), Node { name: String::new(), host: host.to_owned(), port }))
}

fn private_key(ui: &Ui) -> Result<Option<PathBuf>, Fault> {
    let question = "Private key for the nodes (Enter: the one that ssh itself takes)";
    let file = |text: &str| match text {
        "" => Ok(None),
        _ => {
            let path = from_home(text);
            if path.is_file() { Ok(Some(path)) } else { Err(format!("there is no file {}", path.display())) }
        }
    };
    ask(ui, question, None, file).ok_or_else(|| no_answer(question))
}

/// The key to put into the machines: the flag's file, else the user's own, else the public half of the nodes' key.
fn public_key(ui: &Ui, args: &Args, private_key: Option<&Path>) -> Result<String, Fault> {
    let none = || {
        fault(
            "no SSH public key was found to put into the machines",
            "give one: --ssh-public-key FILE; or make one: ssh-keygen -t ed25519",
        )
    };
    if let Some(path) = &args.ssh_public_key {
        return read_key(ui, path).map_err(|why| fault(why, "give a public key's file: --ssh-public-key FILE"));
    }
    let home = etcetera::home_dir().map_err(|_| none())?;
    let own = ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"].map(|name| home.join(".ssh").join(name));
    let nodes = private_key.map(|key| PathBuf::from(format!("{}.pub", key.display())));
    match own.into_iter().chain(nodes).find(|path| path.is_file()) {
        Some(path) => read_key(ui, &path).map_err(|why| fault(why, "give another: --ssh-public-key FILE")),
        None => {
            let file = |text: &str| match text.trim() {
                "" => Err("name a file".to_owned()),
                text => read_key(ui, &from_home(text)),
            };
            ask(ui, "File of the SSH public key for the machines", None, file).ok_or_else(none)
        }
    }
}

fn read_key(ui: &Ui, path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let key = input::check_public_key(text.lines().next().unwrap_or_default())
        .map_err(|why| format!("{}: {why}", path.display()))?;
    ui.talk(&format!("The machines get the public key {}.", path.display()));
    Ok(key)
}

/// No shell has read what was typed here.
fn from_home(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), etcetera::home_dir()) {
        (Some(rest), Ok(home)) => home.join(rest),
        _ => text.into(),
    }
}

fn no_answer(question: &str) -> Fault {
    fault(format!("no answer to: {question}"), "answer it, or give flags: pvekube init --help")
}

fn fault(what: impl Into<String>, next: impl Into<String>) -> Fault {
    Fault::new("init-flags", what, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_as_ssh_reads_them() {
        let read = |text: &str| node(text).map(|(user, node)| (user, node.host, node.port));
        let is = |user: &str, host: &str, port| Ok((user.to_owned(), host.to_owned(), port));
        assert_eq!(read("pve1.lan"), is("root", "pve1.lan", None));
        assert_eq!(read("op@pve1:2222"), is("op", "pve1", Some(2222)));
        assert_eq!(read("fd00::1"), is("root", "fd00::1", None));
        for bad in ["", "@pve1", "root@", "pve1:", "pve1:ssh", "pve1:99999", "pve1:0", "a@b@c", "pve 1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
