//! `/nodes/{node}/qemu/…`.

use serde_json::{Value, json};

use super::super::api::{self, Values, show};
use super::super::call::{Call, Die, Run};
use super::super::conf::load;
use super::super::worker::{Task, fork_worker};

pub async fn run(call: &Call<'_>, name: &str, values: &Values) -> Run<Value> {
    let id = |task: Task| Value::from(task.upid);
    // Format options are no options of a VM.
    let values = &plain(values);
    match name {
        "create" => Ok(id(api::create::create(call, values).await?)),
        "destroy" => Ok(id(api::destroy::destroy(call, values).await?)),
        "clone" => Ok(id(api::clone::clone(call, values).await?)),
        "template" => Ok(id(api::template::template(call, values).await?)),
        "resize" => Ok(id(api::resize::resize(call, values).await?)),
        "start" => Ok(id(api::power::start(call, values).await?)),
        "stop" => Ok(id(api::power::stop(call, values).await?)),
        "shutdown" => Ok(id(api::power::shutdown(call, values).await?)),
        "reboot" => Ok(id(api::power::reboot(call, values).await?)),
        "set" => api::set::set(call, values).await.map(|()| Value::Null),
        "set-async" => {
            let vmid = api::vmid_of(values).to_string();
            Ok(id(fork_worker(call, "qmconfig", &vmid, async |call| api::set::set(call, values).await).await))
        }
        "agent" => agent(call, values).await,
        _ => read(call, name, values),
    }
}

fn plain(values: &Values) -> Values {
    let format = ["output-format", "noborder", "noheader", "quiet", "human-readable", "nooutput", "noproxy", "node"];
    values.iter().filter(|(name, _)| !format.contains(&name.as_str())).map(|(n, v)| (n.clone(), v.clone())).collect()
}

fn read(call: &Call<'_>, name: &str, values: &Values) -> Run<Value> {
    let vmid = api::vmid_of(values);
    let config = load(call, vmid)?;
    match name {
        "config" => {
            let snapshot = values.get("snapshot").map(String::as_str);
            show::config_json(&config, api::flag(values, "current"), snapshot)
        }
        "pending" => {
            let mut list: Vec<Value> = show::pending_changes(&config).iter().map(show::change_json).collect();
            list.push(json!({"key": "digest", "value": config.digest}));
            Ok(Value::Array(list))
        }
        "cloudinit" => Ok(show::cloudinit_changes(&config).iter().map(show::change_json).collect()),
        "current" => {
            let mut entry = show::entry(call.node, &config, show::Detail::Full);
            entry["ha"] = json!({"managed": u8::from(api::ha_managed(call.node, vmid))});
            entry["clipboard"] = Value::Null;
            if api::agent::configured(&config) {
                entry["agent"] = 1.into();
            }
            Ok(entry)
        }
        _ => Ok(snapshots(call, &config)),
    }
}

fn snapshots(call: &Call<'_>, config: &super::super::conf::Config) -> Value {
    let mut list: Vec<Value> = Vec::new();
    for (name, section) in &config.file.snapshots {
        let time = section.keys.get("snaptime").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        let mut entry = json!({"description": section.description, "name": name, "snaptime": time, "vmstate": 0});
        if let Some(parent) = section.keys.get("parent") {
            entry["parent"] = parent.as_str().into();
        }
        list.push(entry);
    }
    let running = call.node.world.guests.running(call.node, config.vmid).is_some();
    let mut current = json!({
        "description": "You are here!", "digest": config.digest, "name": "current", "running": u8::from(running),
    });
    if let Some(parent) = config.get("parent") {
        current["parent"] = parent.into();
    }
    list.push(current);
    Value::Array(list)
}

/// Wrapped in `result`, unlike `qm` (observed §2).
async fn agent(call: &Call<'_>, values: &Values) -> Run<Value> {
    let name = values.get("command").cloned().unwrap_or_default();
    let Some(super::super::schema::Type::Enumeration(known)) =
        super::super::schema::agent_commands().get("command").cloned()
    else {
        return Ok(Value::Null);
    };
    if !known.contains(&name) {
        return Err(Die::Text { exit: 1, text: format!("No handler defined for agent command '{name}'") });
    }
    Ok(json!({"result": api::agent::command(call, api::vmid_of(values), &name).await?}))
}
