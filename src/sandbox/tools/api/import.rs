//! `qm disk import` (qm.pm `importdisk`): no worker, no task; the volume becomes `unusedN` or a disk.

use super::super::super::flock::Mode;
use super::super::call::{Call, Die, Run};
use super::super::conf::{load, store};
use super::super::drives::{self, Import};
use super::super::storage;
use super::{Values, vmid_of};
use crate::pve::size;

pub async fn import_disk(call: &Call<'_>, values: &Values) -> Run<()> {
    let vmid = vmid_of(values);
    let of = |name: &str| values.get(name).cloned().unwrap_or_default();
    let (source, target) = (of("source"), of("storage"));
    load(call, vmid)?;
    if !source.starts_with('/') || call.node.read(&source).is_err() {
        return Err(Die::absent(format!("{source}: non-existent or non-regular file")));
    }
    let place = storage::find(call.node, &target)?;
    if !place.holds("images") {
        return Err(Die::parameter(255, "storage", format!("storage '{target}' does not support vm images")));
    }
    call.say(format!("importing disk '{source}' to VM {vmid} ..."))?;
    let _held = call.lock_vm(vmid, Mode::Exclusive, 10.0).await?;
    let mut config = load(call, vmid)?;
    config.assert_unlocked()?;
    let format = match values.get("format") {
        Some(format) if !place.raw_only() => format.as_str(),
        Some(_) | None => place.default_format(),
    };
    let mut made = Vec::new();
    let ask = Import { vmid, source: &source, store: &place, format };
    let (volume, bytes) = match drives::import(call, &ask, &mut made).await {
        Ok(done) => done,
        Err(die) => {
            drives::free_all(call, &made).await?;
            return Err(die);
        }
    };
    let key = match values.get("target-disk") {
        Some(key) => {
            config.set(key, format!("{volume},size={}", size::format(bytes)));
            key.clone()
        }
        None => {
            let free = (0..256).map(|number| format!("unused{number}")).find(|key| config.get(key).is_none());
            let key = free.ok_or_else(|| Die::new("too many unused volumes"))?;
            config.set(&key, volume.to_string());
            key
        }
    };
    store(call, &mut config)?;
    call.say(format!("{key}: successfully imported disk '{volume}'"))
}
