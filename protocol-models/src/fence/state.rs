//! What the fence model remembers: hosts with their kernels and ledgers, volumes at the array,
//! requests that are still under way. Data only; nothing here decides.
//!
//! Everything is as small as it can be, as every reachable state is held. Numbers that only have
//! to differ (LUNs, nonces, trash names) are renamed by [`State::canonical`] after each step, and
//! hosts are sorted: they have no names that would matter.

/// Hosts of the largest model.
pub const HOSTS: u8 = 3;
/// Volumes: the first, and the one that is made anew under its name.
pub const VOLUMES: u8 = 2;
/// Requests that may be under way without an answer at one time.
pub const PENDING: usize = 2;
/// The bit of an administrator's host among hosts.
pub const FOREIGN: u8 = 0x80;

/// Where a volume is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Not made yet.
    #[default]
    Absent,
    /// Under the user's name.
    Named,
    /// Renamed aside, under this trash name.
    Trash(u8),
    /// Destroyed.
    Destroyed,
}

/// What is on a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Content {
    /// Nothing.
    #[default]
    Blank,
    /// A file system that this host was making.
    Half(u8),
    /// A file system.
    Formatted,
}

/// The `holder` tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Holder {
    /// The host.
    pub host: u8,
    /// Its grant's nonce.
    pub nonce: u8,
}

/// One volume, as the array has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Volume {
    /// Its name.
    pub place: Place,
    /// The LUN of each host object's connection; 0: none.
    pub connections: [u8; HOSTS as usize],
    /// Whether an administrator's host is connected.
    pub foreign: bool,
    /// The tag.
    pub holder: Option<Holder>,
    /// What is on it.
    pub content: Content,
    /// The tag that permits to format.
    pub format_grant: bool,
    /// Not at the array, known to the model alone: the nonce of the latest grant; 0: none yet.
    pub latest: u8,
}

/// Who works on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum User {
    /// Nobody.
    #[default]
    Nobody,
    /// A mount that the agent can take down: idle, with dirty pages at any time.
    Mounted,
    /// A superblock that it cannot: unmounted lazily, in another mount namespace, in use.
    Held,
    /// mkfs, which outlives the agent that began it.
    Mkfs,
}

/// A block device of a host's kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Device {
    /// The volume that it was made for.
    pub volume: u8,
    /// Its number: it shows whatever this host has a connection to under it.
    pub lun: u8,
    /// The grant that it was made under.
    pub nonce: u8,
    /// Who works on it.
    pub user: User,
}

/// What the ledger wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Intent {
    /// No record.
    #[default]
    Nothing,
    /// Attached, or on the way there.
    Attach,
    /// Let go of; the array may not have been told.
    Released,
}

/// The ledger's record of one volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record {
    /// What it wants.
    pub intent: Intent,
    /// Its grant.
    pub nonce: u8,
    /// The number of its connection.
    pub lun: u8,
    /// Whether this host began to make the file system.
    pub began: bool,
}

/// The next step of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Mount: find the volume, look at the mount that may be here, F0.
    Look,
    /// Mount: take a half-removed volume back.
    Restore,
    /// Read who is connected.
    F1,
    /// Shut the victims out.
    F3,
    /// See them gone.
    F4,
    /// Connect.
    F5,
    /// See oneself alone, on the right volume.
    F6,
    /// Write the tag.
    Holder,
    /// Take one's own connection back, then begin again (`true`) or fail.
    Undo(bool),
    /// Make the device, look what is on it.
    Attach,
    /// Begin to format.
    Mkfs,
    /// End it.
    MkfsEnd,
    /// Mount.
    Mount,
    /// Withdraw the format grant.
    Withdraw,
    /// Unmount: take the mount and the device down.
    Detach,
    /// Unmount: give the access back.
    Unpublish,
    /// Unmount: see it gone, forget.
    ReadBack,
    /// Delete: rename aside.
    D1,
    /// Delete: after a lost answer, read the name.
    D1Read,
    /// Delete: look who is connected.
    D2,
    /// Delete: destroy.
    D3,
    /// Delete: give the name back.
    GiveBack,
}

/// Who asked for a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Caller {
    /// Somebody without the right to preempt.
    #[default]
    Plain,
    /// Somebody with it.
    Preempting,
    /// A mount ID that was live on this host before: never a right.
    Again,
}

/// An operation that a host's agent is at. One a host and volume, as the engine has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Operation {
    /// What comes next.
    pub step: Step,
    /// The volume that it resolved.
    pub volume: u8,
    /// Whose request it is.
    pub caller: Caller,
    /// Whether that caller still waits: the permit.
    pub waiting: bool,
    /// Who was connected at its first F1.
    pub frozen: Option<u8>,
    /// Victims that were still connected when F3 was answered, and not seen gone since.
    pub unseen: u8,
    /// Whether a race was lost once.
    pub raced: bool,
    /// Whether an earlier operation had left it open whether the host is connected.
    pub in_doubt: bool,
    /// Whether a POST of it may have been executed.
    pub posted: bool,
    /// The answer to its latest POST was lost.
    pub lost: bool,
    /// The grant's nonce, once it has one.
    pub nonce: u8,
    /// The number of its connection.
    pub lun: u8,
    /// Whether the volume's record permitted to format.
    pub format_grant: bool,
    /// The trash name that it goes by.
    pub trash: u8,
}

impl Operation {
    /// One that begins with this step.
    #[must_use]
    pub const fn new(step: Step, volume: u8) -> Self {
        Self {
            step,
            volume,
            caller: Caller::Plain,
            waiting: false,
            frozen: None,
            unseen: 0,
            raced: false,
            in_doubt: false,
            posted: false,
            lost: false,
            nonce: 0,
            lun: 0,
            format_grant: false,
            trash: 0,
        }
    }
}

/// A host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host {
    /// Without power, and perhaps for ever.
    pub off: bool,
    /// What its kernel shows.
    pub devices: [Option<Device>; 2],
    /// Its ledger.
    pub records: [Record; VOLUMES as usize],
    /// What it wrote down before a publish.
    pub intends: [bool; VOLUMES as usize],
    /// What its agent is at.
    pub operation: Option<Operation>,
}

/// A request that changes something at the array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Request {
    /// F5.
    Post {
        /// Who is connected.
        host: u8,
        /// Under which number.
        lun: u8,
        /// The volume that is meant.
        volume: u8,
        /// By its name: whatever has that on its array by then.
        named: bool,
    },
    /// F3.
    Fence {
        /// Whose connections go.
        hosts: u8,
        /// The volume that is meant.
        volume: u8,
        /// By its name.
        named: bool,
    },
    /// A host's own connection goes: from the volume, and after F5 from whatever has the name.
    Disconnect {
        /// Who.
        host: u8,
        /// The volume.
        volume: u8,
        /// Also by name.
        named: bool,
    },
    /// The holder tag.
    Tag {
        /// The volume.
        volume: u8,
        /// What it is to say.
        holder: Holder,
    },
    /// D1.
    Aside {
        /// The volume.
        volume: u8,
        /// Its new name.
        trash: u8,
    },
    /// The name comes back.
    Restore {
        /// The name that it has now.
        trash: u8,
    },
    /// D3, by the trash name, unless a volume is given.
    Destroy {
        /// The trash name.
        trash: u8,
        /// The volume, where it goes by id.
        volume: Option<u8>,
    },
}

/// What may still go wrong, and what may still be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Budget {
    /// Mounts that callers ask for.
    pub mounts: u8,
    /// Of these, with the right to preempt.
    pub rights: u8,
    /// Of these, with a mount ID that was live before.
    pub agains: u8,
    /// Callers that give up.
    pub gives_up: u8,
    /// Removes.
    pub deletes: u8,
    /// Creates of the name after it was removed.
    pub creates: u8,
    /// Agents killed, or hosts that lose power.
    pub crashes: u8,
    /// Requests lost, late or executed twice; answers that come before their effect.
    pub faults: u8,
    /// Mounts that cannot be taken down by the agent any more.
    pub holds: u8,
    /// Ledgers lost.
    pub losses: u8,
    /// Connections that an administrator makes.
    pub foreigners: u8,
}

/// All of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// The hosts.
    pub hosts: [Host; HOSTS as usize],
    /// The volumes.
    pub volumes: [Volume; VOLUMES as usize],
    /// Requests whose sender has no answer, or has one and left a copy under way.
    pub pending: [Option<Request>; PENDING],
    /// What may still happen.
    pub budget: Budget,
    /// Violations, one bit each; see [`crate::fence::Violation`].
    pub broken: u16,
}
