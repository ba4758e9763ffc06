//! The bounds of a run, and the safety steps that a run may leave out. No behaviour.

use super::world::{ARRAYS, ArrayIndex, CREATORS};

/// A step of the protocol without which a name can get two volumes, or a volume be lost. A run
/// leaves one out to see that the checker finds out what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SafetyStep {
    /// C0: a silent array is passed over only with a listing of it.
    ListingNeeded,
    /// C0: that listing shows nothing of the name.
    ListingIsClean,
    /// C0: that listing was begun under the epoch in force.
    ListingOfThisEpoch,
    /// C0: that listing is younger than markers ever get.
    ListingIsFresh,
    /// C0: what is aside keeps its name.
    AsideIsBusy,
    /// C0: a newer epoch is loaded first.
    NewerEpochLoads,
    /// C0: who does not know all members takes no names.
    AllMembersKnown,
    /// decide: with more than half of the claim arrays.
    Majority,
    /// decide: and with nothing else, also when all have voted and differ.
    NoTieRule,
    /// 60 s: old looks and votes lead to nothing.
    Expiry,
    /// resolve: looks at the nonce's array afresh.
    FreshLook,
    /// resolve: what waits under an old vote is not committed.
    YoungVotesOnly,
    /// kill: the waiting name is spent before a marker goes.
    KillBeforeRetire,
    /// retire: by the marker's own id.
    RetireById,
    /// withdraw: by the waiting name.
    WithdrawByWaitingName,
    /// withdraw: an adopted volume gets its name back.
    WithdrawSparesAdopted,
    /// C3: by the waiting name.
    CommitByWaitingName,
    /// C3: a caller is told after the answer, not before.
    AcknowledgeAfterCommit,
    /// C4: a marker is 24 hours old before it goes.
    SweepOldMarkersOnly,
    /// Delete: renames aside by id.
    DeleteById,
    /// Delete: destroys by the name aside.
    DestroyByNameAside,
    /// Membership: claims under way are waited for.
    FreezeWaits,
    /// Membership: an array that leaves has no volume.
    LeavesEmpty,
    /// Membership: what waits is withdrawn before the new epoch.
    FreezeDrains,
}

impl SafetyStep {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::ListingNeeded,
        Self::ListingIsClean,
        Self::ListingOfThisEpoch,
        Self::ListingIsFresh,
        Self::AsideIsBusy,
        Self::NewerEpochLoads,
        Self::AllMembersKnown,
        Self::Majority,
        Self::NoTieRule,
        Self::Expiry,
        Self::FreshLook,
        Self::YoungVotesOnly,
        Self::KillBeforeRetire,
        Self::RetireById,
        Self::WithdrawByWaitingName,
        Self::WithdrawSparesAdopted,
        Self::CommitByWaitingName,
        Self::AcknowledgeAfterCommit,
        Self::SweepOldMarkersOnly,
        Self::DeleteById,
        Self::DestroyByNameAside,
        Self::FreezeWaits,
        Self::LeavesEmpty,
        Self::FreezeDrains,
    ];
}

/// One version of the fleet record, as far as the model needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// Its arrays, one bit each.
    pub members: u8,
    /// Its claim arrays in order.
    pub claim_arrays: &'static [ArrayIndex],
    /// Whether names are taken.
    pub open: bool,
}

/// Three members, all of them claim arrays.
pub const THREE_OF_THREE: &[Fleet] = &[Fleet {
    members: 0b111,
    claim_arrays: &[0, 1, 2],
    open: true,
}];

/// Three members, one of them the claim array.
pub const ONE_OF_THREE: &[Fleet] = &[Fleet {
    members: 0b111,
    claim_arrays: &[1],
    open: true,
}];

/// One claim array of two members; then a third member comes, and all are claim arrays.
pub const GROWING: &[Fleet] = &[
    Fleet {
        members: 0b011,
        claim_arrays: &[0],
        open: true,
    },
    Fleet {
        members: 0b111,
        claim_arrays: &[0],
        open: false,
    },
    Fleet {
        members: 0b111,
        claim_arrays: &[0, 1, 2],
        open: true,
    },
];

/// The claim array of two members leaves.
pub const SHRINKING: &[Fleet] = &[
    Fleet {
        members: 0b011,
        claim_arrays: &[0],
        open: true,
    },
    Fleet {
        members: 0b011,
        claim_arrays: &[0],
        open: false,
    },
    Fleet {
        members: 0b010,
        claim_arrays: &[1],
        open: true,
    },
];

/// Three members, all claim arrays; the first one leaves, and of two members one is claim array.
pub const LEAVING: &[Fleet] = &[
    Fleet {
        members: 0b111,
        claim_arrays: &[0, 1, 2],
        open: true,
    },
    Fleet {
        members: 0b111,
        claim_arrays: &[0, 1, 2],
        open: false,
    },
    Fleet {
        members: 0b110,
        claim_arrays: &[1],
        open: true,
    },
];

/// What a run may do, and how often. Everything that is counted here is a bound of the model, not
/// of the protocol.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// For reports.
    pub name: &'static str,
    /// How many nodes create the name, at most [`CREATORS`].
    pub creators: u8,
    /// Which of them adopt a volume that is there, one bit each.
    pub adopts: u8,
    /// The versions of the fleet record; the first is in force at the start.
    pub fleets: &'static [Fleet],
    /// The arrays that each node has in its configuration, one bit each.
    pub config: [u8; CREATORS],
    /// The arrays that never answer this node's looks and requests, one bit each. It may have
    /// listed them before.
    pub silent_for: [u8; CREATORS],
    /// An array that falls silent for everybody at some moment.
    pub may_fall: Option<ArrayIndex>,
    /// A volume of the name without any marker: the predecessor's, acknowledged long ago.
    pub inherited: Option<ArrayIndex>,
    /// Left-overs at the start: dead claims' markers, with late requests to retire them under way.
    pub remains: bool,
    /// Requests that are late, doubled, or whose answer is lost.
    pub faults: u8,
    /// Nodes that die, at any step.
    pub crashes: u8,
    /// Volumes that are removed.
    pub deletes: u8,
    /// A delete finds somebody connected and gives the name back.
    pub gives_back: bool,
    /// Claims that take more than 60 s for no other reason.
    pub slow: u8,
    /// Half days that pass.
    pub half_days: u8,
    /// The sweeper runs.
    pub sweeps: bool,
    /// Membership changes through all of `fleets`.
    pub changes: bool,
    /// Looks at all arrays that one node takes, at most.
    pub rounds: u8,
    /// A node whose caller was answered is asked again, while it has rounds left.
    pub repeats: bool,
    /// Volumes that one node proposes, at most 2.
    pub proposals: u8,
    /// From every state it is tried whether a create that is alone gets its volume: with all
    /// arrays answering, and with each one silent in turn.
    pub converges: bool,
    /// The step left out.
    pub without: Option<SafetyStep>,
}

impl Setup {
    /// Nodes that all reach everything, and nothing goes wrong.
    #[must_use]
    pub const fn calm(name: &'static str, creators: u8) -> Self {
        Self {
            name,
            creators,
            adopts: 0,
            fleets: THREE_OF_THREE,
            config: [0b111; CREATORS],
            silent_for: [0; CREATORS],
            may_fall: None,
            inherited: None,
            remains: false,
            faults: 0,
            crashes: 0,
            deletes: 0,
            gives_back: false,
            slow: 0,
            half_days: 0,
            sweeps: false,
            changes: false,
            rounds: 2,
            repeats: false,
            proposals: 1,
            converges: true,
            without: None,
        }
    }

    /// Whether the run takes the step.
    pub(super) fn keeps(&self, step: SafetyStep) -> bool {
        self.without != Some(step)
    }

    pub(super) fn fleet(&self, epoch: u8) -> Fleet {
        let last = self.fleets.len().saturating_sub(1);
        self.fleets[usize::from(epoch).min(last)]
    }

    /// The claim arrays of an epoch, in order.
    pub(super) fn claim_arrays(&self, epoch: u8) -> &'static [ArrayIndex] {
        self.fleet(epoch).claim_arrays
    }

    /// Every array that was or is a member.
    pub(super) fn all_members(&self) -> u8 {
        self.fleets.iter().fold(0, |all, one| all | one.members)
    }
}

const _: () = assert!(ARRAYS <= 8, "sets of arrays are bits of one byte");
