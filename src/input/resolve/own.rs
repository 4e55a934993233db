//! A single machine's own network settings: its override.

use std::net::IpAddr;

use super::network;
use crate::input::manifest::OverrideSection;
use crate::input::problem::{Faults, Problem};
use crate::input::problem_id::ProblemId;
use crate::input::value::Mode;
use crate::input::walk::{At, Given};
use crate::model::ids::Cidr;

/// What an override says of the network; all empty without one.
#[derive(Default)]
pub(super) struct Own<'a> {
    mode: Option<&'a At<Mode>>,
    pub address: Option<&'a At<Cidr>>,
    pub gateway: Option<&'a At<IpAddr>>,
    pub address6: Option<&'a At<Cidr>>,
    pub gateway6: Option<&'a At<IpAddr>>,
}

impl<'a> Own<'a> {
    /// `None`: wrong, and noted.
    pub(super) fn new(over: Option<&'a At<OverrideSection>>, faults: &mut Faults) -> Option<Self> {
        let Some(over) = over else { return Some(Self::default()) };
        let network = &over.network;
        let address = either(&over.address, &network.address, "address", faults);
        let address6 = either(&over.address6, &network.address6, "address6", faults);
        let gateway = network::gateway(&network.gateway, false, faults);
        let gateway6 = network::gateway(&network.gateway6, true, faults);
        if network.mode.is_bad() {
            return None;
        }
        Some(Self {
            mode: network.mode.get(),
            address: address?,
            gateway: gateway?,
            address6: address6?,
            gateway6: gateway6?,
        })
    }

    /// The machine's mode, in a pool of mode `pool`.
    pub(super) fn mode(&self, pool: Mode, faults: &mut Faults) -> Option<Mode> {
        let (mode, problem) = match (self.mode, self.address) {
            (Some(mode), Some(address)) if mode.value == Mode::Dhcp => {
                let message = "`mode: dhcp` takes no `address`".to_owned();
                let problem = Problem::new(ProblemId::NetworkMode, mode.span, message);
                (None, Some(problem.context(address.key, "address given here").help("remove one of the two")))
            }
            (Some(mode), None) if mode.value == Mode::Static && pool == Mode::Dhcp => {
                let message = "`mode: static` needs an `address`, as the pool has none".to_owned();
                let problem = Problem::new(ProblemId::NetworkMode, mode.span, message);
                (None, Some(problem.help("add `address: 10.0.0.31/24`")))
            }
            (_, Some(_)) => (Some(Mode::Static), None),
            (Some(mode), None) => (Some(mode.value), None),
            (None, None) => (Some(pool), None),
        };
        if let Some(problem) = problem {
            faults.add(problem);
        }
        if let (Some(Mode::Dhcp), Some(gateway)) = (mode, self.gateway) {
            let message = "a gateway without an `address` has no effect: with DHCP the server names it".to_owned();
            let problem = Problem::new(ProblemId::NetworkMode, gateway.key, message);
            faults.add(problem.help("add `address`, or remove `gateway`"));
        }
        mode
    }
}

/// Whether the machine needs no element of its pool's list.
pub(super) fn is_apart(over: &OverrideSection) -> bool {
    let dhcp = over.network.mode.get().is_some_and(|mode| mode.value == Mode::Dhcp);
    dhcp || over.network.mode.is_bad() || !over.address.is_absent() || !over.network.address.is_absent()
}

/// The short key, or the one in `network`; not both.
fn either<'a>(
    short: &'a Given<Cidr>,
    long: &'a Given<Cidr>,
    key: &str,
    faults: &mut Faults,
) -> Option<Option<&'a At<Cidr>>> {
    match (short, long) {
        (Given::Bad, _) | (_, Given::Bad) => None,
        (Given::Is(short), Given::Is(long)) => {
            let message = format!("the machine has both `{key}` and `network.{key}`");
            let problem = Problem::new(ProblemId::NetworkMode, long.span, message);
            faults.add(problem.context(short.span, "given here").help("keep one of the two"));
            None
        }
        (Given::Is(one), Given::Absent) | (Given::Absent, Given::Is(one)) => Some(Some(one)),
        (Given::Absent, Given::Absent) => Some(None),
    }
}
