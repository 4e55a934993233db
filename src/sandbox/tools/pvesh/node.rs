//! `/nodes/{node}/…` but for guests.

use serde_json::{Value, json};

use super::super::api::{self, Values, show};
use super::super::call::{Call, Die, Run};
use super::super::pvesm;
use super::super::storage::{self, VolumeId};
use super::super::worker::{INDEX, fork_worker, log_path};
use super::cluster;

pub async fn run(call: &Call<'_>, name: &str, values: &Values) -> Run<Value> {
    let of = |name: &str| values.get(name).cloned().unwrap_or_default();
    match name {
        "status" => Ok(status(call)),
        "version" => Ok(cluster::version(call.node)),
        "qemu" => {
            let detail = if api::flag(values, "full") { show::Detail::Full } else { show::Detail::List };
            let configs = show::local_configs(call, call.node)?;
            Ok(configs.iter().map(|config| show::entry(call.node, config, detail)).collect())
        }
        "storage" => Ok(storages(call, values)),
        "storage-status" => {
            let place = storage::find(call.node, &of("storage"))?;
            Ok(storage_entry(call, &place))
        }
        "content" => content(call, values),
        "content-delete" => delete_content(call, &of("volume")).await,
        "network" => Ok(network(call)),
        "tasks" => Ok(tasks(call, values)),
        "task-status" => task_status(call, &of("upid")),
        _ => task_log(call, &of("upid")),
    }
}

fn status(call: &Call<'_>) -> Value {
    let spec = call.node.spec();
    let total = spec.memory_mib << 20;
    let version = &spec.version;
    json!({
        "boot-info": {"mode": "efi"}, "cpu": 0.05,
        "cpuinfo": {"cpus": spec.cpus, "cores": spec.cpus, "sockets": 1, "model": "Sandbox CPU", "mhz": "3000.000",
            "hvm": "1", "flags": "", "user_hz": 100, "family": "25"},
        "current-kernel": {"machine": "x86_64", "release": version.kernel, "sysname": "Linux", "version": "#1 SMP"},
        "idle": 0, "ksm": {"shared": 0}, "kversion": format!("Linux {} #1 SMP", version.kernel),
        "loadavg": ["0.10", "0.10", "0.10"],
        "memory": {"total": total, "free": total / 2, "available": total / 4 * 3, "used": total / 4},
        "pveversion": format!("pve-manager/{}/{}", version.manager, version.repoid),
        "rootfs": {"avail": 96_636_764_160_u64, "free": 96_636_764_160_u64, "total": 107_374_182_400_u64, "used": 10_737_418_240_u64},
        "swap": {"free": 0, "total": 0, "used": 0}, "uptime": 3600, "wait": 0,
    })
}

fn storages(call: &Call<'_>, values: &Values) -> Value {
    let content = values.get("content");
    let mut places = storage::all(call.node);
    places.retain(|place| content.is_none_or(|kinds| kinds.split(',').any(|kind| place.holds(kind))));
    places.retain(|place| !api::flag(values, "enabled") || place.enabled_on(call.node.name()));
    places.retain(|place| values.get("storage").is_none_or(|name| *name == place.name));
    places.iter().map(|place| storage_entry(call, place)).collect()
}

/// All zero when the storage is not on this node (contract §1.4).
fn storage_entry(call: &Call<'_>, place: &storage::Storage) -> Value {
    let here = place.enabled_on(call.node.name());
    let (total, used) = if here { (place.total_bytes, storage::used_bytes(call.node, place)) } else { (0, 0) };
    let fraction = if used == 0 { json!(0) } else { json!(used as f64 / total as f64) };
    json!({
        "active": u8::from(here), "avail": total.saturating_sub(used), "content": place.content.join(","),
        "enabled": u8::from(here), "shared": u8::from(place.shared()), "storage": place.name, "total": total,
        "type": place.kind.as_str(), "used": used, "used_fraction": fraction,
    })
}

fn content(call: &Call<'_>, values: &Values) -> Run<Value> {
    let place = storage::find(call.node, values.get("storage").map(String::as_str).unwrap_or_default())?;
    let only = values.get("content").map(String::as_str);
    let entry = |item: pvesm::Item| {
        let mut entry = json!({
            "content": item.kind, "ctime": item.ctime, "format": item.format, "size": item.size, "volid": item.volume,
        });
        if let Some(used) = item.used {
            let base = VolumeId::parse(&item.volume).and_then(|id| id.base());
            entry["used"] = used.into();
            entry["parent"] = base.map_or(Value::Null, |base| format!("../{}", base.name).into());
        }
        if let Some(vmid) = item.vmid {
            entry["vmid"] = vmid.into();
        }
        entry
    };
    Ok(pvesm::items(call, &place, api::number(values, "vmid"), only).into_iter().map(entry).collect())
}

/// A task whose failure nobody looks at.
async fn delete_content(call: &Call<'_>, volume: &str) -> Run<Value> {
    let id = VolumeId::parse(volume).ok_or_else(|| Die::new(format!("unable to parse volume ID '{volume}'")))?;
    let task = fork_worker(call, "imgdel", volume, async |call| storage::free(call, &id).await).await;
    Ok(task.upid.into())
}

fn network(call: &Call<'_>) -> Value {
    let address = &call.node.spec().address;
    call.node
        .spec()
        .bridges
        .iter()
        .enumerate()
        .map(|(at, bridge)| {
            let mut entry = json!({
                "active": 1, "autostart": 1, "bridge_fd": "0", "bridge_ports": format!("eno{}", at + 1),
                "bridge_stp": "off", "families": ["inet"], "iface": bridge, "method": "manual", "method6": "manual",
                "priority": at + 4, "type": "bridge",
            });
            if at == 0 {
                entry["method"] = "static".into();
                entry["address"] = address.as_str().into();
                entry["cidr"] = format!("{address}/24").into();
                entry["netmask"] = "24".into();
                let gateway = address.rsplit_once('.').map_or_else(String::new, |(net, _)| format!("{net}.1"));
                entry["gateway"] = gateway.into();
            }
            entry
        })
        .collect()
}

/// A line of the task index: `UPID endtime status`.
fn index(call: &Call<'_>) -> Vec<(String, i64, String)> {
    let text = call.node.read_text(INDEX).unwrap_or_default();
    let line = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (upid, end) = (words.next()?.to_owned(), i64::from_str_radix(words.next()?, 16).ok()?);
        Some((upid, end, words.next().unwrap_or_default().to_owned()))
    };
    text.lines().filter_map(line).collect()
}

fn task_entry(upid: &str) -> Value {
    let parts: Vec<&str> = upid.split(':').collect();
    let part = |at: usize| parts.get(at).copied().unwrap_or_default();
    let hex = |at: usize| i64::from_str_radix(part(at), 16).unwrap_or(0);
    json!({
        "id": part(6), "node": part(1), "pid": hex(2), "pstart": hex(3), "starttime": hex(4), "type": part(5),
        "upid": upid, "user": part(7),
    })
}

/// Newest first. A clone is filed under its template's id (contract §5).
fn tasks(call: &Call<'_>, values: &Values) -> Value {
    let mut list = index(call);
    list.reverse();
    let limit = api::number(values, "limit").unwrap_or(50) as usize;
    let vmid = api::number(values, "vmid").map(|vmid| vmid.to_string());
    let kind = values.get("typefilter");
    list.into_iter()
        .map(|(upid, end, status)| {
            let mut entry = task_entry(&upid);
            entry["endtime"] = end.into();
            entry["status"] = status.into();
            entry
        })
        .filter(|entry| vmid.as_ref().is_none_or(|vmid| entry["id"] == vmid.as_str()))
        .filter(|entry| kind.is_none_or(|kind| entry["type"] == kind.as_str()))
        .take(limit)
        .collect()
}

fn task_status(call: &Call<'_>, upid: &str) -> Run<Value> {
    if call.node.read(&log_path(upid)).is_err() {
        return Err(Die::parameter(255, "upid", format!("no such task '{upid}'")));
    }
    let mut entry = task_entry(upid);
    match index(call).into_iter().find(|(id, _, _)| id == upid) {
        Some((_, _, status)) => {
            entry["status"] = "stopped".into();
            entry["exitstatus"] = status.into();
        }
        None => entry["status"] = "running".into(),
    }
    Ok(entry)
}

fn task_log(call: &Call<'_>, upid: &str) -> Run<Value> {
    let text = call.node.read_text(&log_path(upid)).map_err(|_| Die::new(format!("unable to open file - {upid}")))?;
    Ok(text.lines().take(50).enumerate().map(|(at, line)| json!({"n": at + 1, "t": line})).collect())
}
