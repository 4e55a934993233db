//! Which property catches which broken pvekube, and the fault that it takes; docs/testing.md has it as a table.

use super::Mutation as M;
use crate::faults::Fault as F;

pub struct Row {
    pub mutation: M,
    pub words: &'static str,
    /// How the violation begins that must be among those found.
    pub caught_by: &'static str,
    /// Nothing is found out without it.
    pub fault: Option<F>,
    /// In both histories, with the fault and without.
    pub besides: &'static [F],
}

const fn row(caught_by: &'static str, mutation: M, words: &'static str, fault: Option<F>) -> Row {
    Row { mutation, words, caught_by, fault, besides: &[] }
}

const KEEPS: &str = "does not notice that its lock is gone";

pub const TABLE: &[Row] = &[
    // Each property.
    row("I1", M::BelievesAnyMark, "believes any VM to be marked", Some(F::RewritesNotes)),
    row("I3", M::LeavesSnippets, "leaves snippets", None),
    row("I4", M::ResizesRelatively, "resizes relatively", None),
    row("I4", M::SetsANewMac, "sets a NIC without its MAC", None),
    row("I5", M::RebootsMastersTogether, "reboots masters together", None),
    row("I7", M::TakesLostQuorumForKept, "takes a lost quorum for kept", Some(F::NoQuorum)),
    row("I8", M::IgnoresTheLock, "ignores the apply lock", Some(F::TwoAtOnce)),
    row("I9", M::PanicsOnTornAnswers, "panics on an answer without an end", Some(F::Torn)),
    row("P1", M::ForgetsAMachine, "forgets the last machine of the manifest", None),
    row("P2", M::NeverStarts, "never starts", None),
    row("P3", M::PlansForPlansSake, "has a step where nothing is to do", None),
    row("P4", M::PlansByOrder, "lists nodes as the config does", None),
    row("P6", M::TakesSilenceForAbsence, "takes a silent node for an absent one", Some(F::PowerLoss)),
    row("P7", M::PlacesOnTheFullest, "places on the fullest node", None),
    row("P8", M::IgnoresNeeds, "starts steps before those of other machines that they need", None),
    row("P10", M::OverlooksAMachine, "overlooks a machine that exists", None),
    row("P11", M::NumbersByPosition, "gives addresses by the position in the list", None),
    row("P12", M::AcceptsEverything, "takes every hazard for accepted", None),
    row("P13", M::DoesWhatWasNotShown, "stops where a start was shown", None),
    row("P13", M::SetsOtherValues, "sets another value than was shown", None),
    row("P14", M::ClonesWithoutMark, "clones without the mark", None),
    row("digest", M::SetsWithoutDigest, "sets without a digest", None),
    // Each bug that was found.
    row("I5", M::BelievesAnyMasterToServe, "goes on with a rolling reboot while a master is still down", Some(F::Kill)),
    row("digest", M::RevertsWithoutDigest, "reverts pending values without a digest", Some(F::EditsValues)),
    // Each fault.
    row("I7", M::TakesSilenceForAbsence, "takes a silent node for an absent one", Some(F::Refused)),
    row("I7", M::TakesSilenceForAbsence, "takes a silent node for an absent one", Some(F::Frozen)),
    row("I7", M::TakesSlownessForAbsence, "takes a slow node for an absent one", Some(F::SlowRequest)),
    row("I3", M::BelievesItRemoved, "believes that a file is removed without an answer", Some(F::LostBefore)),
    row("I8", M::RepeatsAfterUnknown, "starts again after an unknown outcome", Some(F::LostAfter)),
    row("I8", M::ForgetsOperations, "forgets what an earlier run left running", Some(F::Kill)),
    Row { besides: &[F::TwoAtOnce], ..row("I8", M::KeepsALostLock, KEEPS, Some(F::CutReset)) },
    Row { besides: &[F::TwoAtOnce], ..row("I8", M::KeepsALostLock, KEEPS, Some(F::CutVanished)) },
    row("P13", M::ClonesElsewhereWhenFull, "clones to another storage when one is full", Some(F::StorageFull)),
    row("I8", M::StartsAgainWhatIsSlow, "starts again what takes long", Some(F::SlowNode)),
    row("I3", M::LeavesStrayVolumes, "leaves stray volumes", Some(F::PowerLoss)),
    row("P2", M::TakesHalfMadeForWhole, "takes a half-made clone for a whole one", Some(F::PowerLoss)),
    row("P1", M::AdoptsDrift, "takes an administrator's values for the wanted ones", Some(F::EditsValues)),
    row("I1", M::TakesCopiesForItsOwn, "takes a copy with our mark for its own", Some(F::ClonesWithMark)),
    row("P1", M::RemembersPower, "believes that what ran once runs", Some(F::StopsVm)),
    row("P1", M::RemembersMachines, "believes that what existed once exists", Some(F::DestroysVm)),
    row("P10", M::RemembersPlaces, "looks for a machine only where it was once", Some(F::Migrates)),
    row("P10", M::BelievesOldFreeIds, "believes its earlier list of free ids", Some(F::TakesVmid)),
    row("I8", M::IgnoresBackups, "ignores a backup's lock", Some(F::LocksForBackup)),
];

/// The table for docs/testing.md.
pub fn markdown() -> String {
    let mut text = "| broken | caught by | only with |\n|---|---|---|\n".to_owned();
    for row in TABLE {
        let with = row.fault.map_or("", F::words);
        let beside: String = row.besides.iter().map(|fault| format!(", beside {}", fault.words())).collect();
        text.push_str(&format!("| {} | {} | {with}{beside} |\n", row.words, row.caught_by));
    }
    text
}
