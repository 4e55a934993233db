//! A block for /etc/hosts, between lines that let a later one take its place.

use std::fmt::Write as _;

use super::{Inventory, left_out};

pub fn hosts_file(inventory: &Inventory) -> String {
    let mut out = format!("# BEGIN pvekube {}\n", inventory.cluster);
    out.push_str(&left_out(inventory));
    let width = inventory.reachable().map(|(_, address)| address.to_string().len()).max().unwrap_or(0);
    for (host, address) in inventory.reachable() {
        // Writing to a String can't fail.
        let _ = writeln!(out, "{:width$}  {}", address.to_string(), host.name);
    }
    let _ = writeln!(out, "# END pvekube {}", inventory.cluster);
    out
}
