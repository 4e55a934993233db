//! Kinds of fault, each on or off for a whole history.

use pvekube::sandbox::remote::Weather;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Refused,
    LostBefore,
    LostAfter,
    SlowRequest,
    Frozen,
    Torn,
    Kill,
    TwoAtOnce,
    PowerLoss,
    CutReset,
    CutVanished,
    StorageFull,
    SlowNode,
    NoQuorum,
    EditsValues,
    RewritesNotes,
    ClonesWithMark,
    StopsVm,
    DestroysVm,
    Migrates,
    TakesVmid,
    LocksForBackup,
}

impl Fault {
    pub const ALL: [Fault; 22] = [
        Fault::Refused,
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::SlowRequest,
        Fault::Frozen,
        Fault::Torn,
        Fault::Kill,
        Fault::TwoAtOnce,
        Fault::PowerLoss,
        Fault::CutReset,
        Fault::CutVanished,
        Fault::StorageFull,
        Fault::SlowNode,
        Fault::NoQuorum,
        Fault::EditsValues,
        Fault::RewritesNotes,
        Fault::ClonesWithMark,
        Fault::StopsVm,
        Fault::DestroysVm,
        Fault::Migrates,
        Fault::TakesVmid,
        Fault::LocksForBackup,
    ];

    /// What it does to single requests; none: it befalls the nodes, or pvekube itself.
    pub fn weather(self) -> &'static [Weather] {
        WEATHERS.iter().find(|(fault, _)| *fault == self).map_or(&[], |(_, weather)| weather)
    }

    /// It happens now and then, by itself, while pvekube works.
    pub fn is_trouble(self) -> bool {
        self >= Fault::PowerLoss
    }

    /// As docs/testing.md says it.
    pub fn words(self) -> &'static str {
        match self {
            Fault::Refused => "connections refused",
            Fault::LostBefore => "requests lost before their effect",
            Fault::LostAfter => "requests lost after their effect",
            Fault::SlowRequest => "slow requests",
            Fault::Frozen => "frozen requests",
            Fault::Torn => "answers cut short",
            Fault::Kill => "pvekube killed",
            Fault::TwoAtOnce => "two pvekubes",
            Fault::PowerLoss => "a node down and back",
            Fault::CutReset => "connections reset",
            Fault::CutVanished => "connections vanishing",
            Fault::StorageFull => "a full storage",
            Fault::SlowNode => "a slow node",
            Fault::NoQuorum => "a lost quorum",
            Fault::EditsValues => "an administrator edits values",
            Fault::RewritesNotes => "an administrator rewrites Notes",
            Fault::ClonesWithMark => "an administrator clones with our mark",
            Fault::StopsVm => "an administrator stops VMs",
            Fault::DestroysVm => "an administrator destroys VMs",
            Fault::Migrates => "an administrator migrates VMs",
            Fault::TakesVmid => "an administrator takes VMIDs",
            Fault::LocksForBackup => "backups lock VMs",
        }
    }
}

const WEATHERS: [(Fault, &[Weather]); 5] = [
    (Fault::Refused, &[Weather::Refused]),
    (Fault::LostBefore, &[Weather::LostBefore]),
    (Fault::LostAfter, &[Weather::LostAfter]),
    (Fault::SlowRequest, &[Weather::Slow(4.0), Weather::Slow(60.0)]),
    (Fault::Frozen, &[Weather::Frozen]),
];

/// What a history may hold.
#[derive(Clone, Debug)]
pub struct Rules {
    pub faults: Vec<Fault>,
    /// Every fault listed happens, and often; else each does in some of the histories.
    pub certain: bool,
    pub mutation: Option<crate::mutants::Mutation>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { faults: Fault::ALL.to_vec(), certain: false, mutation: None }
    }
}

impl Rules {
    /// These faults and no other.
    pub fn only(faults: &[Fault]) -> Self {
        Self { faults: faults.to_vec(), certain: true, mutation: None }
    }

    pub fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }
}
