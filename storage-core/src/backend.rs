//! The seam to one array, seen through one namespace.
//!
//! A backend is a view: it makes, finds, changes and removes objects of its namespace and nothing
//! else on the array, and keeps no state of its own that matters. Every method is idempotent: the
//! same call, repeated after any failure and from any node, converges. Every method has its own
//! deadline inside. Dropping a returned future may leave a request under way on the array; the
//! engine therefore runs backends in tasks of its own.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::access::{Access, Host};
use crate::capability::{Capabilities, Telemetry};
use crate::claim::{ClaimNonce, Claims};
use crate::clone::Clones;
use crate::error::Result;
use crate::fence::Fencing;
use crate::filesystem::FilesystemSpec;
use crate::label::Labels;
use crate::limits::Limits;
use crate::name::{Namespace, VolumeName};
use crate::outcome::Outcome;
use crate::permit::Permit;
use crate::size::Size;
use crate::snapshot::Snapshots;
use crate::survey::Survey;
use crate::trash::Trash;
use crate::volume::{FormatGrant, Volume, VolumeId};

/// Asks for a new volume.
#[derive(Clone, Debug)]
pub struct CreateVolume {
    /// The user's name.
    pub name: VolumeName,
    /// Bytes; the backend rounds up by its [`Capabilities`].
    pub size: Size,
    /// What to put on it, recorded with the volume.
    pub filesystem: FilesystemSpec,
    /// The one-time permission to format, recorded with the volume.
    pub format_grant: Option<FormatGrant>,
    /// What the volume may do at most; in force before it can be found.
    pub limits: Limits,
    /// Recorded for people: selector, reason of placement, who created it.
    pub attributes: Labels,
    /// New for every attempt: marks what this attempt left behind, should it fail half way.
    pub nonce: ClaimNonce,
}

/// Names a volume to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeKey {
    /// The user's name in this namespace.
    Name(VolumeName),
    /// Identity.
    Id(VolumeId),
}

/// Asks for one page of the namespace's volumes.
#[derive(Clone, Debug, Default)]
pub struct ListVolumes {
    /// Where to go on: [`VolumePage::next`] of the page before, `None` for the first.
    pub after: Option<String>,
    /// At most this many; `None` leaves it to the backend.
    pub limit: Option<usize>,
}

/// One page of volumes.
#[derive(Clone, Debug, Default)]
pub struct VolumePage {
    /// Volumes that carry our record, usable ones only.
    pub volumes: Vec<Volume>,
    /// Give it to the next call; `None` on the last page.
    pub next: Option<String>,
    /// The names of all objects of this page that begin with `<namespace>-`, whatever their state
    /// and with or without a record: usable, destroyed, waiting, aside, on their way out; markers
    /// may be left out. An object that is there from the first page to the last is on one of
    /// them, under a name that it had meanwhile. `None` when the backend does not tell: this
    /// array is then never passed over while it is silent.
    pub objects: Option<Vec<String>>,
    /// Calls to the array that this page took: whoever lists again and again has a budget.
    pub calls: u32,
}

/// Asks for a volume to be made larger.
#[derive(Clone, Debug)]
pub struct ExpandVolume {
    /// The volume as it was read.
    pub volume: Volume,
    /// New size in bytes, rounded up; a smaller one than now is `OutOfRange`.
    pub size: Size,
}

/// Asks for a volume to be removed. The array keeps it recoverable as long as it is set up to.
#[derive(Clone, Debug)]
pub struct DeleteVolume {
    /// The volume as it was read.
    pub volume: Volume,
}

/// Whether a request may shut another host out. It belongs to one request of a caller and to
/// nothing else: not to retries, background work or re-syncs.
#[derive(Clone, Debug)]
pub enum Preemption {
    /// A volume that another host holds is refused, with the holder's name.
    Refuse,
    /// Hosts that this namespace made or recorded are shut out, as long as the permit stands when
    /// the first step against them is taken; those alone that the first read showed.
    ShutOut(Permit),
}

/// Asks for one host to be given a volume.
#[derive(Clone, Debug)]
pub struct PublishVolume {
    /// The volume as it was read.
    pub volume: Volume,
    /// The machine that is to reach it.
    pub host: Host,
    /// The right to shut another host out.
    pub preemption: Preemption,
    /// Logical unit numbers that must not be given: the host still shows devices under them, and
    /// a number that comes back brings such a device back to life over another volume. As of the
    /// publish's beginning: what is given meanwhile a backend has to know itself
    /// ([`crate::AskedNumbers`]).
    pub avoid_luns: Vec<u16>,
}

/// Asks for one host's access to be taken away.
#[derive(Clone, Debug)]
pub struct UnpublishVolume {
    /// The volume by identity: it may have been renamed since.
    pub volume: VolumeId,
    /// The object's last known name on the array.
    pub object: String,
    /// The machine that must no longer reach it.
    pub host: Host,
}

/// A volume of the namespace that a host can reach, or may be able to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldVolume {
    /// The volume.
    pub volume: VolumeId,
    /// The user's name, from the volume's record.
    pub name: VolumeName,
    /// The object's name on the array now.
    pub object: String,
}

/// Who can reach a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The host's object name on the array, or the host group's.
    pub host: String,
    /// Whether it is a group of hosts (an administrator's).
    pub group: bool,
    /// The grant's nonce, where the volume's record names this host as its holder.
    pub nonce: Option<Uuid>,
}

/// One array through one namespace. `Display` prints what messages call it: the configured
/// address, and the array's name once it is known.
#[async_trait]
pub trait Backend: fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// The configured address: unique in a fleet, known without the array.
    fn endpoint(&self) -> &str;

    /// The namespace whose objects this is a view of.
    fn namespace(&self) -> &Namespace;

    /// The labels that selectors see: configured ones and the well-known ones. Labels that only
    /// the array can tell (its name, its id) appear once it has been reached.
    fn labels(&self) -> Labels;

    /// What it can do; no network call.
    fn capabilities(&self) -> Capabilities;

    /// Makes a volume under a name that a lookup on every array showed to be free.
    ///
    /// The volume appears under its name in one atomic step, complete with its record, or not at
    /// all; a crash before that leaves an object that is empty and recognisable as a stray.
    ///
    /// # Idempotency
    /// `AlreadySo` with the volume that carries the name, whoever made it.
    ///
    /// # Errors
    /// `Timeout` exactly when a volume may or may not exist under the name: nobody may then try
    /// another array without a new lookup. Every other error promises that none came to be:
    /// `ResourceExhausted` (no room, a limit), `OutOfRange` (also for [`CreateVolume::limits`]),
    /// `Unsupported` for limits on an array without them, `InvalidArgument`, `Unavailable`.
    async fn create(&self, request: CreateVolume) -> Result<Outcome<Volume>>;

    /// Looks a volume up. `None` is certain: the array answered and has no such volume.
    ///
    /// By name, it finds our recorded volume of that full name, an object without record whose
    /// name matches exactly, a destroyed object that holds the name ([`crate::VolumeState`]), and
    /// one that is being deleted. Another namespace's object is never returned.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when the array did not answer; `FailedPrecondition` when the
    /// name is ambiguous, naming the objects.
    async fn get(&self, key: VolumeKey) -> Result<Option<Volume>>;

    /// One page of the recorded, usable volumes of the namespace, each exactly once over all
    /// pages even when others change meanwhile.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout`; `InvalidArgument` for an `after` that is not this backend's.
    async fn list(&self, request: ListVolumes) -> Result<VolumePage>;

    /// Makes a volume larger. Never smaller.
    ///
    /// # Errors
    /// `OutOfRange` for a smaller size or one above the maximum, `NotFound`,
    /// `ResourceExhausted`.
    async fn expand(&self, request: ExpandVolume) -> Result<Outcome<Volume>>;

    /// Removes a volume: frees its name, makes sure that nobody is connected, then destroys it
    /// recoverably. One that an earlier delete renamed aside is removed on from there.
    ///
    /// # Idempotency
    /// `AlreadySo` when it is gone, or destroyed, or was half removed by an earlier call (which
    /// this one finishes).
    ///
    /// # Errors
    /// `FailedPrecondition`, with nothing changed: a host is connected (named), it has snapshots,
    /// or it carries no record of ours.
    async fn delete(&self, request: DeleteVolume) -> Result<Outcome<()>>;

    /// Gives a volume its name back that a delete renamed aside and did not destroy (it crashed,
    /// or was late, or is at it): the volume is wanted again. Whichever of restore and delete
    /// comes first at the array wins; a delete never destroys a volume that was restored.
    ///
    /// # Idempotency
    /// `AlreadySo` when it has its name.
    ///
    /// # Errors
    /// `NotFound` when it is destroyed or gone; `Busy` when its name was taken meanwhile.
    async fn restore(&self, volume: &Volume) -> Result<Outcome<Volume>>;

    /// Gives one host the volume, alone, and proves it by reading back. With the right to, it
    /// shuts others out first, and sees them gone before it connects anybody.
    ///
    /// # Idempotency
    /// `AlreadySo` with the same grant while the host holds it.
    ///
    /// # Errors
    /// `FailedPrecondition` naming the holder when another host has it and is not to be shut out,
    /// or a host group or a host that we did not make; `NotFound` when the volume is gone or its name now belongs to
    /// another one; `Busy` when another publisher is at it.
    async fn publish(&self, request: PublishVolume) -> Result<Outcome<Access>>;

    /// Takes one host's access away and sees it gone. The host must have let go of the device.
    ///
    /// # Idempotency
    /// `AlreadySo` when it had none, also for a volume or host that no longer exists.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout`.
    async fn unpublish(&self, request: UnpublishVolume) -> Result<Outcome<()>>;

    /// Everybody who can reach the volume now.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Timeout`.
    async fn published(&self, volume: &Volume) -> Result<Vec<Publication>>;

    /// Takes the permission to format away, once a file system is known to exist.
    ///
    /// # Idempotency
    /// `AlreadySo` when there is none.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout`. The grant then stays, and blankness still decides.
    async fn withdraw_format_grant(&self, volume: &Volume) -> Result<Outcome<()>>;

    /// Identity, capacity and use, fresh from the array. Callers cache.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout`, `Unauthenticated`, `Unsupported` (the array is too old).
    async fn telemetry(&self) -> Result<Telemetry>;

    /// Ends the session at the array, as far as there is one. Best effort, bounded in time.
    async fn close(&self) {}

    /// What was removed and can be had back, where the array keeps it.
    fn trash(&self) -> Option<&dyn Trash> {
        None
    }

    /// What people who look after the array see in bulk.
    fn survey(&self) -> Option<&dyn Survey> {
        None
    }

    /// Snapshots, where the array has them.
    fn snapshots(&self) -> Option<&dyn Snapshots> {
        None
    }

    /// Volumes made from others, where the array can.
    fn clones(&self) -> Option<&dyn Clones> {
        None
    }

    /// What is known of fences, and taking a volume from a dead host.
    fn fencing(&self) -> Option<&dyn Fencing> {
        None
    }

    /// The steps by which a name is claimed over several arrays. Without them a fleet is this
    /// array alone: [`Self::create`] then decides.
    fn claims(&self) -> Option<&dyn Claims> {
        None
    }
}

const _: fn(&dyn Backend) = |_| {};
