//! Resource pools: lines of `user.cfg` (contract §3).

use super::super::call::{Call, Die, Run};

const USER_CFG: &str = "/etc/pve/user.cfg";

/// `403 Permission check failed (pool 'x' does not exist)`.
pub fn assert_exists(call: &Call<'_>, pool: Option<&String>) -> Run<()> {
    match pool {
        Some(pool) if !names(call).contains(pool) => {
            Err(Die::absent(format!("403 Permission check failed (pool '{pool}' does not exist)")))
        }
        Some(_) | None => Ok(()),
    }
}

pub fn names(call: &Call<'_>) -> Vec<String> {
    lines(call).iter().filter_map(|line| Some(line.strip_prefix("pool:")?.split(':').next()?.to_owned())).collect()
}

/// Members of a pool.
pub fn members(call: &Call<'_>, pool: &str) -> Vec<u32> {
    let prefix = format!("pool:{pool}:");
    let line = lines(call).into_iter().find(|line| line.starts_with(&prefix)).unwrap_or_default();
    line.split(':').nth(3).unwrap_or_default().split(',').filter_map(|id| id.parse().ok()).collect()
}

pub fn create(call: &Call<'_>, pool: &str, comment: &str) -> Run<()> {
    if names(call).iter().any(|name| name == pool) {
        return Err(Die::new(format!("create pool failed: pool '{pool}' already exists")));
    }
    edit(call, |text| text.push_str(&format!("\n\npool:{pool}:{comment}:::\n\n\n")))
}

/// Puts a guest into a pool, if one is given.
pub fn add(call: &Call<'_>, pool: Option<&String>, vmid: u32) -> Run<()> {
    let Some(pool) = pool else { return Ok(()) };
    change_members(call, |name, members| {
        if name == pool && !members.contains(&vmid) {
            members.push(vmid);
            members.sort_unstable();
        }
    })
}

/// Takes a guest out of every pool.
pub fn remove(call: &Call<'_>, vmid: u32) -> Run<()> {
    if names(call).iter().any(|pool| members(call, pool).contains(&vmid)) {
        change_members(call, |_, members| members.retain(|member| *member != vmid))?;
    }
    Ok(())
}

fn lines(call: &Call<'_>) -> Vec<String> {
    call.node.read_text(USER_CFG).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn change_members(call: &Call<'_>, change: impl Fn(&str, &mut Vec<u32>)) -> Run<()> {
    edit(call, |text| {
        let changed: Vec<String> = text
            .lines()
            .map(|line| {
                let mut fields: Vec<String> = line.split(':').map(str::to_owned).collect();
                if fields.len() < 5 || fields[0] != "pool" {
                    return line.to_owned();
                }
                let mut members: Vec<u32> = fields[3].split(',').filter_map(|id| id.parse().ok()).collect();
                change(&fields[1], &mut members);
                let ids: Vec<String> = members.iter().map(u32::to_string).collect();
                fields[3] = ids.join(",");
                fields.join(":")
            })
            .collect();
        *text = changed.join("\n") + "\n";
    })
}

fn edit(call: &Call<'_>, change: impl FnOnce(&mut String)) -> Run<()> {
    let mut text = call.node.read_text(USER_CFG).unwrap_or_default();
    change(&mut text);
    let refused = |error| super::super::conf::write_error(call, USER_CFG, &error);
    call.node.pve_write(USER_CFG, text).map_err(refused)
}
