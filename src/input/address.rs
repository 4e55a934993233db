//! Addresses by machine number: lists, ranges, and what no machine can have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::collection::OneOrMany;
use super::problem::shown;
use super::problem_id::ProblemId;
use super::walk::At;
use super::word::{Bad, Word};
use crate::model::ids::Cidr;

/// One element of `addresses`: `10.0.0.11/24`, or `10.0.0.20-10.0.0.29/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    pub first: IpAddr,
    /// The same as `first` for a single address.
    pub last: IpAddr,
    pub prefix: u8,
}

impl AddressRange {
    /// How many addresses; a range of IPv6 may have more than fit.
    fn len(&self) -> u128 {
        bits(self.last) - bits(self.first) + 1
    }

    fn nth(&self, index: u128) -> Option<Cidr> {
        (index < self.len()).then(|| Cidr { address: shifted(self.first, index), prefix: self.prefix })
    }
}

/// The address of machine number `number` (from 1) of a pool: element n of the list, ranges counted through.
pub fn of_number(list: &OneOrMany<AddressRange>, number: u32) -> Option<(Cidr, &At<AddressRange>)> {
    let mut index = u128::from(number.checked_sub(1)?);
    for range in &list.0 {
        if let Some(cidr) = range.nth(index) {
            return Some((cidr, range));
        }
        index -= range.len();
    }
    None
}

/// How many machines the list has addresses for.
pub fn count(list: &OneOrMany<AddressRange>) -> u128 {
    list.0.iter().fold(0, |sum, range| sum.saturating_add(range.len()))
}

impl Word for AddressRange {
    const EXAMPLE: &'static str = "10.0.0.11/24";

    fn parse(text: &str) -> Result<Self, Bad> {
        let (first, rest) = match text.split_once('-') {
            Some((first, rest)) => (first.trim(), Some(rest.trim())),
            None => (text, None),
        };
        let Some(rest) = rest else {
            let cidr = Cidr::parse(text)?;
            return Ok(Self { first: cidr.address, last: cidr.address, prefix: cidr.prefix });
        };
        let bad = |message: String, help: &str| Bad::new(ProblemId::BadRange, message, help);
        let example = "write a range as `10.0.0.20-10.0.0.29/24`";
        let last = Cidr::parse(rest).map_err(|_| bad(format!("`{}` is no address range", shown(text)), example))?;
        let first = first.split_once('/').map_or(first, |(address, _)| address);
        let first: IpAddr =
            first.parse().map_err(|_| bad(format!("`{}` is no address range", shown(text)), example))?;
        if first.is_ipv4() != last.address.is_ipv4() {
            return Err(bad("the range begins with IPv4 and ends with IPv6, or the reverse".to_owned(), example));
        }
        if bits(first) > bits(last.address) {
            return Err(bad(
                format!("the range begins at {first}, after its end {}", last.address),
                "write the lower address first",
            ));
        }
        if network(first, last.prefix) != network(last.address, last.prefix) {
            return Err(bad(
                format!("{first} and {} are not in one /{} subnet", last.address, last.prefix),
                "correct the ends or the prefix length",
            ));
        }
        Ok(Self { first, last: last.address, prefix: last.prefix })
    }
}

impl serde::Serialize for AddressRange {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.first == self.last {
            serializer.collect_str(&format_args!("{}/{}", self.first, self.prefix))
        } else {
            serializer.collect_str(&format_args!("{}-{}/{}", self.first, self.last, self.prefix))
        }
    }
}

impl Word for Cidr {
    const EXAMPLE: &'static str = "10.0.0.11/24";

    fn parse(text: &str) -> Result<Self, Bad> {
        let bad = |message: String, help: String| Bad::new(ProblemId::BadAddress, message, help);
        if let Ok(address) = text.parse::<IpAddr>() {
            let usual = if address.is_ipv4() { 24 } else { 64 };
            return Err(bad(
                format!("`{address}` has no prefix length"),
                format!("write `{address}/{usual}`, with the length of your subnet"),
            ));
        }
        let cidr: Cidr = text.parse().map_err(|_| {
            bad(
                format!("`{}` is no address with a prefix length", shown(text)),
                "write `10.0.0.11/24`, or `fd00::11/64`".to_owned(),
            )
        })?;
        match unusable(cidr.address) {
            Some(why) => Err(bad(
                format!("{} is {why}: no machine can have it", cidr.address),
                "take an address of your network".to_owned(),
            )),
            None if cidr.prefix == 0 => Err(bad(
                format!("`{}` has the prefix length 0", shown(text)),
                "write the length of your subnet, such as /24".to_owned(),
            )),
            None => Ok(cidr),
        }
    }

    fn constraints() -> Value {
        json!({"pattern": "^[0-9A-Fa-f.:]+/[0-9]{1,3}$"})
    }
}

/// Why no machine can have the address, if so.
pub fn unusable(address: IpAddr) -> Option<&'static str> {
    let (link_local, broadcast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.is_broadcast()),
        IpAddr::V6(v6) => ((v6.segments()[0] & 0xffc0) == 0xfe80, false),
    };
    match () {
        () if address.is_unspecified() => Some("the unspecified address"),
        () if address.is_loopback() => Some("a loopback address"),
        () if address.is_multicast() => Some("a multicast address"),
        () if link_local => Some("a link-local address"),
        () if broadcast => Some("the broadcast address"),
        () => None,
    }
}

/// Why the address is reserved in its subnet, if it is. Subnets of two addresses or one (RFC 3021, RFC 6164) reserve none.
pub fn reserved(cidr: Cidr) -> Option<&'static str> {
    let width = if cidr.address.is_ipv4() { 32 } else { 128 };
    if cidr.prefix + 1 >= width {
        return None;
    }
    let network = network(cidr.address, cidr.prefix);
    if bits(cidr.address) == network {
        return Some(if cidr.address.is_ipv4() { "the network address" } else { "the subnet-router anycast address" });
    }
    let host_bits = width - cidr.prefix;
    let broadcast = network | ((1u128 << host_bits) - 1);
    (cidr.address.is_ipv4() && bits(cidr.address) == broadcast).then_some("the broadcast address")
}

/// Whether `address` lies in the subnet of `cidr`.
pub fn contains(cidr: Cidr, address: IpAddr) -> bool {
    cidr.address.is_ipv4() == address.is_ipv4() && network(cidr.address, cidr.prefix) == network(address, cidr.prefix)
}

/// `10.0.0.0/24` of `10.0.0.11/24`.
pub fn subnet(cidr: Cidr) -> String {
    let network = network(cidr.address, cidr.prefix);
    format!("{}/{}", from_bits(network, cidr.address.is_ipv4()), cidr.prefix)
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn from_bits(bits: u128, v4: bool) -> IpAddr {
    if v4 {
        // The upper bits are zero: every caller stays inside an IPv4 subnet.
        IpAddr::V4(Ipv4Addr::from(bits as u32))
    } else {
        IpAddr::V6(Ipv6Addr::from(bits))
    }
}

fn shifted(address: IpAddr, by: u128) -> IpAddr {
    from_bits(bits(address).saturating_add(by), address.is_ipv4())
}

fn network(address: IpAddr, prefix: u8) -> u128 {
    let width = if address.is_ipv4() { 32 } else { 128 };
    let host_bits = u32::from(width - prefix.min(width));
    bits(address).checked_shr(host_bits).unwrap_or(0).checked_shl(host_bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{AddressRange, contains, count, of_number, reserved, subnet};
    use crate::input::collection::OneOrMany;
    use crate::input::problem::{InputFile, Span};
    use crate::input::walk::At;
    use crate::input::word::Word;
    use crate::model::ids::Cidr;

    fn list(elements: &[&str]) -> OneOrMany<AddressRange> {
        let span = Span::new(InputFile::Manifest, 0..0);
        let read = |text: &&str| AddressRange::parse(text).map(|value| At { value, span, key: span });
        OneOrMany(elements.iter().filter_map(|text| read(text).ok()).collect())
    }

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_count_through() {
        let list = list(&["10.0.0.9/24", "10.0.0.254-10.0.1.1/23", "fd00::ffff-fd00::1:1/64"]);
        let nth = |n| of_number(&list, n).map(|(cidr, _)| cidr.to_string()).unwrap_or_default();
        assert_eq!(count(&list), 8);
        assert_eq!(
            [nth(0), nth(1), nth(2), nth(5), nth(6), nth(8), nth(9)],
            ["", "10.0.0.9/24", "10.0.0.254/23", "10.0.1.1/23", "fd00::ffff/64", "fd00::1:1/64", ""]
        );
    }

    #[test]
    fn a_range_may_repeat_its_prefix_length_and_have_spaces() {
        let text = |text: &str| AddressRange::parse(text).ok().map(|range| (range.first.to_string(), range.prefix));
        assert_eq!(text("10.0.0.20/24-10.0.0.29/24"), Some(("10.0.0.20".to_owned(), 24)));
        assert_eq!(text("10.0.0.20 - 10.0.0.29/24"), Some(("10.0.0.20".to_owned(), 24)));
        assert_eq!(text("10.0.0.20 - 10.0.0.29"), None);
    }

    #[test]
    fn subnets_keep_their_ends_for_themselves() {
        for (text, wanted) in [
            ("10.0.0.0/24", true),
            ("10.0.0.255/24", true),
            ("10.0.0.255/23", false),
            ("10.0.0.0/31", false),
            ("10.0.0.0/32", false),
            ("255.255.255.254/1", false),
            ("fd00::/64", true),
            ("fd00::ffff:ffff:ffff:ffff/64", false),
            ("fd00::/127", false),
        ] {
            assert_eq!(reserved(cidr(text)).is_some(), wanted, "{text}");
        }
    }

    #[test]
    fn a_subnet_contains_its_own_family_alone() {
        assert!(contains(cidr("10.0.0.11/24"), "10.0.0.1".parse().unwrap()));
        assert!(!contains(cidr("10.0.0.11/24"), "10.0.1.1".parse().unwrap()));
        assert!(!contains(cidr("0.0.0.1/1"), "::1".parse().unwrap()));
        assert_eq!(subnet(cidr("10.0.0.11/20")), "10.0.0.0/20");
        assert_eq!(subnet(cidr("fd00::11/64")), "fd00::/64");
    }
}
