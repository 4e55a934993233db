//! The schema's patterns against the readers.

use proptest::prelude::*;

use super::*;
use crate::input::value::{Subnet, VmidRange};
use crate::model::ids::Cidr;

/// Whether the schema's pattern takes the text; what the reader takes it must take.
fn never_stricter<T: Word>(text: &str) -> Result<(), TestCaseError> {
    if T::parse(text).is_ok()
        && let Some(pattern) = T::constraints()["pattern"].as_str()
    {
        prop_assert!(regex::Regex::new(pattern).unwrap().is_match(text), "{} refuses {:?}", pattern, text);
    }
    Ok(())
}

fn each(text: &str) -> Result<(), TestCaseError> {
    never_stricter::<ClusterLabel>(text)?;
    never_stricter::<Host>(text)?;
    never_stricter::<NodeWord>(text)?;
    never_stricter::<Label>(text)?;
    never_stricter::<User>(text)?;
    never_stricter::<VmName>(text)?;
    never_stricter::<Url>(text)?;
    never_stricter::<CpuType>(text)?;
    never_stricter::<MachineType>(text)?;
    never_stricter::<Domain>(text)?;
    never_stricter::<Tag>(text)?;
    never_stricter::<Startup>(text)?;
    never_stricter::<Package>(text)?;
    never_stricter::<StorageName>(text)?;
    never_stricter::<BridgeName>(text)?;
    never_stricter::<PoolName>(text)?;
    never_stricter::<ImageDigest>(text)?;
    never_stricter::<Cidr>(text)?;
    never_stricter::<Subnet>(text)?;
    never_stricter::<VmidRange>(text)
}

proptest! {
    #[test]
    fn a_schema_takes_what_the_reader_takes(
        text in prop_oneof![
            "[a-zA-Z0-9._:/-]{1,20}",
            "[ -~]{1,12}",
            "[a-z0-9-]{60,70}",
            "https?://[!-~]{1,12}",
            "(i440fx|q35|pc|pc-q35-)[0-9a-z.+]{0,8}",
            "((order|up|down)=[0-9]{1,7},?){1,3}",
            "[sS]ha(256|512)[:-][0-9a-fA-F]{64}([0-9a-fA-F]{64})?",
            "[0-9]{2,10}[ -]{1,3}[0-9]{2,10}",
            "[0-9a-f:.]{2,20}(/[0-9]{1,3})?",
        ]
    ) {
        each(&text)?;
    }
}

#[test]
fn a_schema_takes_every_example() {
    for text in
        ["fd00::1", "::ffff:10.0.0.1/96", "200 - 299", "up=30,order=2", "pc-q35-9.0+pve1", "lan k8s.example.org"]
    {
        each(text).unwrap();
    }
}
