//! Modes, addresses and gateways: of pools, and of the bake.

use std::net::IpAddr;

use crate::input::address::{self, AddressRange};
use crate::input::collection::OneOrMany;
use crate::input::problem::{Faults, Problem, Span};
use crate::input::problem_id::ProblemId;
use crate::input::value::Mode;
use crate::input::walk::{At, Given};
use crate::model::ids::Cidr;

/// The keys that decide between DHCP and static addresses.
pub(super) struct StaticAddresses<'a> {
    pub mode: &'a Given<Mode>,
    pub addresses: &'a Given<OneOrMany<AddressRange>>,
    pub gateway: &'a Given<IpAddr>,
    /// Single machines have addresses of their own.
    pub overridden: bool,
}

impl StaticAddresses<'_> {
    /// The mode of the pool; `None`: a value is wrong, and noted.
    pub(super) fn mode(&self, faults: &mut Faults) -> Option<Mode> {
        let addresses = self.addresses.get().filter(|list| !list.0.is_empty());
        if self.mode.is_bad() || self.addresses.is_bad() {
            return None;
        }
        match (self.mode.get(), addresses) {
            (Some(mode), Some(addresses)) if mode.value == Mode::Dhcp => {
                let message = "`mode: dhcp` takes no `addresses`".to_owned();
                let problem = Problem::new(ProblemId::NetworkMode, mode.span, message);
                faults.add(
                    problem
                        .context(addresses.key, "addresses given here")
                        .help("write `mode: static`, or remove `addresses`"),
                );
                None
            }
            (Some(mode), None) if mode.value == Mode::Static && !self.overridden => {
                let message = "`mode: static` needs `addresses`".to_owned();
                let problem = Problem::new(ProblemId::NetworkMode, mode.span, message);
                faults
                    .add(problem.help(
                        "add `addresses: [10.0.0.11/24, …]`, one a machine, or a range `10.0.0.20-10.0.0.29/24`",
                    ));
                None
            }
            (Some(mode), _) => Some(mode.value),
            (None, Some(_)) => Some(Mode::Static),
            (None, None) => {
                if let (Some(gateway), false) = (self.gateway.get(), self.overridden) {
                    let message =
                        "a gateway without `addresses` has no effect: with DHCP the server names it".to_owned();
                    let problem = Problem::new(ProblemId::NetworkMode, gateway.key, message);
                    faults.add(problem.help("add `addresses`, or remove `gateway`"));
                }
                Some(Mode::Dhcp)
            }
        }
    }
}

/// A gateway of the right family. `Some(None)`: not given.
pub(super) fn gateway<'a>(given: &'a Given<IpAddr>, v6: bool, faults: &mut Faults) -> Option<Option<&'a At<IpAddr>>> {
    if given.is_bad() {
        return None;
    }
    let Some(at) = given.get() else { return Some(None) };
    if at.value.is_ipv6() == v6 {
        return Some(Some(at));
    }
    faults.add(wrong_family(at.value, at.span, v6, "gateway"));
    None
}

/// One address of a machine: its family, its place in its subnet, its gateway.
pub(super) fn check(cidr: Cidr, span: Span, gateway: Option<&At<IpAddr>>, v6: bool, faults: &mut Faults) -> bool {
    if cidr.address.is_ipv6() != v6 {
        faults.add(wrong_family(cidr.address, span, v6, "addresses"));
        return false;
    }
    // An element was looked at when it was read; what lies inside a range was not.
    if let Some(why) = address::unusable(cidr.address) {
        let message = format!("{} is {why}: no machine can have it", cidr.address);
        let problem = Problem::new(ProblemId::BadAddress, span, message);
        faults.add(problem.help("take addresses of your network"));
        return false;
    }
    if let Some(why) = address::reserved(cidr) {
        let message = format!("{} is {why} of {}", cidr.address, address::subnet(cidr));
        let problem = Problem::new(ProblemId::AddressReserved, span, message);
        faults.add(problem.help("no machine can have it: take another one, or correct the prefix length"));
        return false;
    }
    gateway.is_none_or(|gateway| check_gateway(cidr, span, gateway, faults))
}

fn check_gateway(cidr: Cidr, span: Span, gateway: &At<IpAddr>, faults: &mut Faults) -> bool {
    let subnet = address::subnet(cidr);
    if gateway.value == cidr.address {
        let message = format!("{} is the gateway's address too", cidr.address);
        let problem = Problem::new(ProblemId::DuplicateAddress, span, message);
        faults.add(problem.context(gateway.span, "gateway").help("take another address for the machine"));
        return false;
    }
    let link_local = matches!(gateway.value, IpAddr::V6(v6) if (v6.segments()[0] & 0xffc0) == 0xfe80);
    if !address::contains(cidr, gateway.value) && !link_local {
        let message = format!("gateway {} is not in {subnet}", gateway.value);
        let problem = Problem::new(ProblemId::GatewayOutside, gateway.span, message);
        let problem = problem.context(span, "address in that subnet");
        faults.add(problem.help("correct the gateway, the address or its prefix length"));
        return false;
    }
    let as_host = Cidr { address: gateway.value, prefix: cidr.prefix };
    if let (Some(why), false) = (address::reserved(as_host), link_local || gateway.value.is_ipv6()) {
        let message = format!("gateway {} is {why} of {subnet}", gateway.value);
        let problem = Problem::new(ProblemId::AddressReserved, gateway.span, message);
        faults.add(problem.help("a router has an address of its own in the subnet, often the first: correct it"));
        return false;
    }
    true
}

fn wrong_family(address: IpAddr, span: Span, v6: bool, key: &str) -> Problem {
    let (is, wanted) = if v6 { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
    let other = match (key, v6) {
        ("gateway", true) => "`gateway`",
        ("gateway", false) => "`gateway6`",
        (_, true) => "`addresses`, of one machine to `address`",
        (_, false) => "`addresses6`, of one machine to `address6`",
    };
    Problem::new(ProblemId::WrongFamily, span, format!("{address} is an {is} address; {wanted} belongs here"))
        .help(format!("{is} goes to {other}"))
}
