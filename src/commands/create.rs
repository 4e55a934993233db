//! `pvekube create`: the next free numbers of a role into the manifest, then apply just them.

use super::Stop;
use super::edit::{self, impossible};
use crate::cli::{Create as Args, Global, NetworkArg, RoleArg};
use crate::error::{Exit, Fault};
use crate::input;
use crate::model::ids::{MachineId, Pool};
use crate::ui::Ui;

pub async fn run(ui: &Ui, global: &Global, args: &Args) -> Result<Exit, Stop> {
    refuse_contradictions(args)?;
    let loaded = edit::load(global)?;
    let name = loaded.manifest.name.clone();
    let pool = match args.role {
        RoleArg::Master => Pool::Masters,
        RoleArg::Worker => Pool::Workers,
    };
    let mut numbers = edit::numbers(&loaded.desired, &pool);
    let fresh: Vec<u32> = (1..).filter(|number| !numbers.contains(number)).take(args.count as usize).collect();
    numbers.extend(&fresh);
    let mut text =
        input::edit::set_numbers(&loaded.manifest.text, &pool, &numbers).map_err(|reason| impossible(reason, &name))?;
    let (mut common, mut own) = (Vec::new(), settings(args));
    if !input::edit::pools(&loaded.manifest.text).contains(&pool) {
        // The pool's first machines say what its others will be like.
        let is_common = |(key, value): &(&str, String)| match *key {
            "size" | "cpus" | "memory_mb" | "disk_gb" => true,
            "network" => value.contains("mode: dhcp"),
            _ => false,
        };
        (common, own) = own.into_iter().partition(is_common);
    }
    text = input::edit::describe(&text, &pool, &common).map_err(|reason| impossible(reason, &name))?;
    for number in &fresh {
        text = input::edit::set_override(&text, &pool, *number, &own).map_err(|reason| impossible(reason, &name))?;
    }
    let cluster = loaded.desired.cluster.clone();
    let only = fresh.iter().map(|number| MachineId { pool: pool.clone(), number: *number }.name(&cluster)).collect();
    let reach = edit::Reach { only, pools: Vec::new(), prune: false };
    edit::go(ui, global, &args.edit, edit::parse(loaded, text)?, reach).await
}

fn refuse_contradictions(args: &Args) -> Result<(), Fault> {
    let single = args.ip.is_some() || args.vmid.is_some();
    if single && args.count != 1 {
        return Err(Fault::new(
            "create-flags",
            "--ip and --vmid are for one machine, but --count asks for several",
            "create them one by one, or give the pool a list of addresses in the manifest",
        ));
    }
    if args.count == 0 {
        return Err(Fault::new("create-flags", "--count 0 creates nothing", "give --count 1 or more"));
    }
    if args.network.is_none() && !args.dns.is_empty() {
        return Err(Fault::new(
            "create-flags",
            "--dns needs --network",
            "add --network dhcp or --network static, or leave it away for the pool's own network",
        ));
    }
    match args.network {
        Some(NetworkArg::Static) if args.ip.is_none() => Err(Fault::new(
            "create-flags",
            "--network static needs --ip",
            "add --ip 10.0.0.31/24 and --gateway 10.0.0.1",
        )),
        Some(NetworkArg::Dhcp) | None if args.ip.is_some() || args.gateway.is_some() => Err(Fault::new(
            "create-flags",
            "--ip and --gateway need --network static",
            "add --network static, or leave them away for the pool's own network",
        )),
        _ => Ok(()),
    }
}

/// What the machine has of its own, as `overrides:` takes it.
fn settings(args: &Args) -> Vec<(&'static str, String)> {
    let mut settings = Vec::new();
    let mut set = |key, value: Option<String>| settings.extend(value.map(|value| (key, value)));
    set("size", args.size.as_deref().map(word));
    set("cpus", args.cpus.map(|number| number.to_string()));
    set("memory_mb", args.memory.map(|number| number.to_string()));
    set("disk_gb", args.disk.map(|number| number.to_string()));
    set("node", args.node.as_deref().map(word));
    set("vmid", args.vmid.map(|number| number.to_string()));
    set("network", network(args));
    settings
}

/// A YAML scalar that is this text, whatever is in it.
fn word(text: &str) -> String {
    let plain = text.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.:/".contains(letter))
        && !text.ends_with(':');
    if plain { text.to_owned() } else { format!("{text:?}") }
}

fn network(args: &Args) -> Option<String> {
    let dns = if args.dns.is_empty() {
        String::new()
    } else {
        format!(", dns: [{}]", args.dns.iter().map(|name| word(name)).collect::<Vec<_>>().join(", "))
    };
    match args.network? {
        NetworkArg::Dhcp => Some(format!("{{mode: dhcp{dns}}}")),
        NetworkArg::Static => {
            let address = word(args.ip.as_deref().unwrap_or_default());
            let gateway =
                args.gateway.as_ref().map_or(String::new(), |gateway| format!(", gateway: {}", word(gateway)));
            Some(format!("{{mode: static, address: {address}{gateway}{dns}}}"))
        }
    }
}
