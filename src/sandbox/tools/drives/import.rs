//! Images copied into new volumes (contract §4.1).

use super::super::call::{Call, Die, Run};
use super::super::storage::{self, Allocation, Copy, Storage, Volume, VolumeId};

/// An image to be copied into a new volume.
#[derive(Clone, Debug)]
pub struct Import<'a> {
    pub vmid: u32,
    /// A path of the node, or a volume id.
    pub source: &'a str,
    pub store: &'a Storage,
    pub format: &'a str,
}

/// Copies an image into a new volume of the VM: its id and size.
pub async fn import(call: &Call<'_>, ask: &Import<'_>, made: &mut Vec<VolumeId>) -> Run<(VolumeId, u64)> {
    let source = resolve(call, ask.source)?;
    if source.by_volume {
        call.say(format!("create full clone of drive ({})", ask.source))?;
    }
    let (size, used) = (source.size, source.used);
    let Import { vmid, store, format, .. } = *ask;
    let volume =
        Allocation { storage: store, vmid, format, bytes: size, cloudinit: false, base: None }.make(call).await?;
    made.push(volume.clone());
    if source.by_volume {
        call.say(format!("allocated target volume '{volume}'"))?;
    }
    let from = (source.path.as_str(), source.format.as_str());
    let plan = Copy { from, content: source.content, size, used, target: &volume, limit_kib_s: 0 };
    storage::copy(call, &plan).await?;
    Ok((volume, size))
}

struct Source {
    path: String,
    format: String,
    size: u64,
    used: u64,
    content: storage::Content,
    by_volume: bool,
}

fn resolve(call: &Call<'_>, source: &str) -> Run<Source> {
    let (path, by_volume) = match VolumeId::parse(source).filter(|_| !source.starts_with('/')) {
        Some(id) if id.owner().is_some() => {
            let store = storage::find(call.node, &id.storage)?;
            let volume = Volume::read(call.node, &id)?;
            return Ok(Source {
                path: id.path(&store),
                format: volume.format,
                size: volume.size,
                used: volume.used,
                content: storage::Content::Of(id),
                by_volume: true,
            });
        }
        Some(id) => (id.path(&storage::find(call.node, &id.storage)?), true),
        None => (source.to_owned(), false),
    };
    let text = if by_volume { format!("failed to stat '{path}'") } else { format!("can't find file '{path}'") };
    let bytes = call.node.read(&path).map_err(|_| Die::new(text))?;
    let image = storage::inspect(&bytes);
    Ok(Source {
        path,
        format: image.format.to_owned(),
        size: image.virtual_size,
        used: image.used,
        content: storage::Content::Bytes(bytes),
        by_volume,
    })
}
