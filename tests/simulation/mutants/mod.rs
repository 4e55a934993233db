//! Deliberately broken pvekubes: each breaks one rule, and the simulation must catch it. The breakage sits between the
//! nodes and the observation, the observation and the planner, the planner and the executor, or the executor and the
//! nodes: the product has no switch for it.

mod answers;
mod look;
mod nodes;
mod planning;
pub mod table;

pub use look::Memory;
pub use nodes::Nodes;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    // The executor and the nodes.
    ClonesWithoutMark,
    ResizesRelatively,
    SetsWithoutDigest,
    RevertsWithoutDigest,
    SetsANewMac,
    SetsOtherValues,
    DoesWhatWasNotShown,
    NeverStarts,
    RepeatsAfterUnknown,
    StartsAgainWhatIsSlow,
    ClonesElsewhereWhenFull,
    BelievesItRemoved,
    LeavesSnippets,
    LeavesStrayVolumes,
    IgnoresTheLock,
    KeepsALostLock,
    BelievesAnyMark,
    BelievesAnyMasterToServe,
    BelievesOldFreeIds,
    IgnoresBackups,
    PanicsOnTornAnswers,
    // The planner and the executor.
    RebootsMastersTogether,
    IgnoresNeeds,
    // The nodes, the observation and the planner.
    TakesSilenceForAbsence,
    TakesSlownessForAbsence,
    TakesLostQuorumForKept,
    TakesCopiesForItsOwn,
    TakesHalfMadeForWhole,
    ForgetsOperations,
    OverlooksAMachine,
    RemembersMachines,
    RemembersPlaces,
    RemembersPower,
    AdoptsDrift,
    // The planner itself.
    ForgetsAMachine,
    PlansByOrder,
    PlansForPlansSake,
    PlacesOnTheFullest,
    NumbersByPosition,
    AcceptsEverything,
}
