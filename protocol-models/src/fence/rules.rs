//! What is checked, and what is taken out to see that it is missed: the violations, the mutants,
//! and the bounds of a run.

use super::state::Budget;

/// What must never be. One bit of [`super::state::State::broken`] each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Two hosts hold a grant and can use it.
    TwoGrants,
    /// A mount reaches a volume under a later grant than its own, or another volume.
    StaleWriter,
    /// mkfs on a volume that has a file system.
    FormattedTwice,
    /// A volume is destroyed while a host holds it.
    DestroyedInUse,
    /// A host is shut out by a request that may not: no right, a permit that has ended, a victim
    /// that its first read did not show, a volume that it did not mean.
    FenceWithoutRight,
    /// An administrator's connection is taken away.
    ForeignCut,
    /// A grant is given to a host that is not, at its proof, alone on the volume.
    UnprovenGrant,
    /// Two hosts are given one nonce.
    SharedNonce,
    /// A host gives its access back while it still uses the device.
    CutUnderOwnMount,
    /// A host is connected while one that this request shuts out still is.
    TwoConnected,
    /// A mount whose connection stood all the time is taken down.
    RightMountTakenDown,
    /// After the faults, a mount neither succeeds nor names who holds the volume.
    Stuck,
}

impl Violation {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::TwoGrants,
        Self::StaleWriter,
        Self::FormattedTwice,
        Self::DestroyedInUse,
        Self::FenceWithoutRight,
        Self::ForeignCut,
        Self::UnprovenGrant,
        Self::SharedNonce,
        Self::CutUnderOwnMount,
        Self::TwoConnected,
        Self::RightMountTakenDown,
        Self::Stuck,
    ];

    /// Its bit.
    #[must_use]
    pub const fn bit(self) -> u16 {
        1 << self as u16
    }

    /// What must hold instead, for the checker's report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TwoGrants => "one grant at a time",
            Self::StaleWriter => "no write under a later grant",
            Self::FormattedTwice => "formatted once",
            Self::DestroyedInUse => "nothing destroyed in use",
            Self::FenceWithoutRight => "no fence without the right",
            Self::ForeignCut => "foreign connections stay",
            Self::UnprovenGrant => "a grant is proven",
            Self::SharedNonce => "a nonce is one host's",
            Self::CutUnderOwnMount => "unpublished after detach",
            Self::TwoConnected => "connected when victims are gone",
            Self::RightMountTakenDown => "a right mount stays",
            Self::Stuck => "a mount ends",
        }
    }
}

/// A safety step that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The host is not looked at: neither F0 nor attach's own look.
    HostClean,
    /// Looked at only when the device is made, after the publish.
    CleanTooLate,
    /// F1: an administrator's connection is a victim like others.
    ForeignCheck,
    /// F2: whoever asks may preempt.
    RightCheck,
    /// F2, F3: the permit is not asked.
    PermitCheck,
    /// The rights: a mount ID that was live when its host was shut out may preempt.
    AgainPreempts,
    /// F2: victims are whoever the latest read shows.
    FrozenVictims,
    /// F3: by name.
    FenceByName,
    /// F4.
    SeenGone,
    /// F5: the lowest number that the array has free, again and again.
    NumbersRepeat,
    /// F5: sent again under its number after a lost answer.
    PostResent,
    /// F5: not executed so far, as F6 shows, so it is asked again under another number.
    EndAfterLostAnswer,
    /// F5, F6: by id.
    ConnectById,
    /// F6.
    ReadBack,
    /// F6: whichever volume has the name.
    IdCheck,
    /// F6: who loses a race takes the other's connection away.
    LoserCuts,
    /// F1: one's own connection is the grant, whatever the tag says.
    HolderTag,
    /// A mount whose tag was overwritten late is taken down.
    LateTag,
    /// Unpublish before detach.
    UnpublishFirst,
    /// The agent does not look again for a connection that it may have left.
    DoubtsForgotten,
    /// A refusal leaves a connection of the host's own behind.
    LeftoverStays,
    /// A connection in doubt is looked for by the volume's id alone.
    DoubtByIdOnly,
    /// D1: sent again under one trash name.
    AsideResent,
    /// D2.
    LookBeforeDestroy,
    /// D3: by id.
    DestroyById,
    /// mkfs: the record's permission is enough.
    Blankness,
    /// Two machines with one initiator use one host object.
    CloneCheck,
}

/// When a kernel's device works again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kernel {
    /// Under its own number alone: a loop device over the simulator's file, a SCSI device.
    #[default]
    Numbers,
    /// The volume's map takes new paths, when the agent scans for them: multipath with
    /// `node.session.scan = manual`.
    Scanned,
    /// The volume's map takes every path that the array offers, at once: scans by themselves.
    ByItself,
}

/// What one run of the checker looks at.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Hosts, at most [`super::state::HOSTS`].
    pub hosts: u8,
    /// How their kernels behave.
    pub kernel: Kernel,
    /// What may happen, in any order and number up to this.
    pub budget: Budget,
    /// Whether each volume is on an array of its own: names are unique on one array only.
    pub arrays_apart: bool,
    /// The second host shows the first one's initiator.
    pub cloned: bool,
    /// Whether every state is also seen to come to its end once the faults stop.
    pub converges: bool,
}

impl Bounds {
    /// That many hosts, callers and rights; nothing goes wrong.
    #[must_use]
    pub fn new(hosts: u8, mounts: u8, rights: u8) -> Self {
        Self {
            hosts,
            kernel: Kernel::Numbers,
            budget: Budget {
                mounts,
                rights,
                ..Budget::default()
            },
            arrays_apart: false,
            cloned: false,
            converges: false,
        }
    }
}
