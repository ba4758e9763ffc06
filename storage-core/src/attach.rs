//! The seam to the host: from an [`Access`] to a mounted file system, and back.
//!
//! An attacher acts only on what its own ledger records and only on devices whose identity is
//! proven. It never talks to an array.

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use uuid::Uuid;

use crate::access::{Access, Grant, Host, Protocol};
use crate::backend::HeldVolume;
use crate::error::Result;
use crate::filesystem::FilesystemSpec;
use crate::name::VolumeName;
use crate::outcome::Outcome;
use crate::size::Size;
use crate::volume::{Volume, VolumeId};

/// Asks for a volume to be attached and mounted.
#[derive(Clone, Debug)]
pub struct AttachVolume {
    /// The user's name: for messages and for the readable part of the mount point.
    pub name: VolumeName,
    /// The object's name on the array, kept in the ledger for a later unpublish.
    pub object: String,
    /// What publish gave.
    pub access: Access,
    /// The file system expected or, with a format grant, to be made; and the mount options.
    pub filesystem: FilesystemSpec,
    /// For a clone: the UUID that its file system is to have, given to it before the first mount.
    /// XFS refuses to be mounted beside a file system of the same UUID; other kinds keep theirs.
    pub fresh_uuid: Option<Uuid>,
}

/// A device that a Fairlead made on this host, and that the ledger knows nothing of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrecorded {
    /// The device's name, for messages.
    pub device: String,
    /// The serial that it answers with now; `None` when it cannot be asked.
    pub serial: Option<String>,
}

/// Asks for what is mounted here to be taken into the ledger again.
#[derive(Clone, Debug)]
pub struct AdoptVolume {
    /// The volume, read from its array just now.
    pub volume: Volume,
    /// The grant that the array says this host holds.
    pub grant: Grant,
    /// The file system that is expected on it.
    pub filesystem: FilesystemSpec,
}

/// How far an attachment is, as observed on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttachmentState {
    /// Recorded, and not (or no longer) completely there: after a crash or a reboot.
    Incomplete,
    /// The file system is mounted on its device under this grant.
    Mounted,
    /// The host has let go of everything; the array may not have been told yet.
    Released,
}

/// What the host has of one volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The volume.
    pub volume: VolumeId,
    /// The user's name.
    pub name: VolumeName,
    /// The object's name on the array when it was attached.
    pub object: String,
    /// The nonce of the grant that it was attached under.
    pub nonce: Uuid,
    /// How far it is.
    pub state: AttachmentState,
    /// Where the file system is, or will be, mounted. Absolute.
    pub mountpoint: PathBuf,
    /// Whether a file system is known to exist on the volume, so that the format grant can go.
    pub formatted: bool,
}

/// A host's hands.
#[async_trait]
pub trait Attacher: fmt::Debug + Send + Sync + 'static {
    /// The machine, as arrays are to know it.
    fn host(&self) -> &Host;

    /// Whether this host can attach over that protocol.
    ///
    /// # Errors
    /// `Unsupported`, saying what is missing (a connector of this build, a tool and its package).
    fn supports(&self, protocol: Protocol) -> Result<()>;

    /// Proves, before a volume is published to this host, that nothing of it is left from an
    /// earlier grant: no device, no mount, no open superblock of that identity. What the ledger
    /// owns and can be cleaned is cleaned; a mount that is intact under its recorded grant is
    /// left alone and is not an error.
    ///
    /// # Errors
    /// `FailedPrecondition`, naming what is left and who holds it.
    async fn prepare(&self, volume: &Volume) -> Result<()>;

    /// Records durably that the volume is about to be published to this host: should the process
    /// die before the volume is attached, the next one knows where a connection may be left.
    ///
    /// # Errors
    /// When the record cannot be written; the volume must then not be published.
    async fn intend(&self, held: &HeldVolume) -> Result<()>;

    /// Drops that record: the volume is attached, or its connection is seen gone.
    ///
    /// # Errors
    /// When the record cannot be removed.
    async fn settle(&self, volume: &VolumeId) -> Result<()>;

    /// What was intended and not settled, by this process or an earlier one.
    ///
    /// # Errors
    /// When the records cannot be read.
    async fn intentions(&self) -> Result<Vec<HeldVolume>>;

    /// Attaches, proves the identity, formats if granted and blank, checks, mounts.
    ///
    /// # Idempotency
    /// `AlreadySo` when it is mounted under the same grant. An attachment under another grant is
    /// never reused: it is torn down first, or refused.
    ///
    /// # Errors
    /// `FailedPrecondition` when the device is not what it should be, or is not blank and has no
    /// file system of the expected kind, with what was found: never formatted then.
    /// `Unsupported` when a tool is missing, named with its package. `Timeout`: the work may go
    /// on; the same call joins or repeats it.
    async fn attach(&self, request: AttachVolume) -> Result<Outcome<Attachment>>;

    /// Devices on this host that carry the mark of a Fairlead and that the ledger does not know:
    /// its record was lost, or another plugin with a ledger of its own made them. What the ledger
    /// knows is not touched by this look.
    ///
    /// # Errors
    /// When the ledger or the host cannot be read.
    async fn unrecorded(&self) -> Result<Vec<Unrecorded>>;

    /// Writes the lost record of a mount anew, if everything about the mount is as this host would
    /// have made it under that grant: device, mark, identity asked live, mount point, file system.
    /// A damaged record is set aside for it and kept. Changes nothing else on the host.
    ///
    /// # Idempotency
    /// `AlreadySo` when the ledger knows the volume.
    ///
    /// # Errors
    /// `FailedPrecondition`, saying what does not match; the mount is then left exactly as it is.
    async fn adopt(&self, request: AdoptVolume) -> Result<Outcome<Attachment>>;

    /// Flushes, unmounts, removes the devices and sees them gone, in that order. The record stays
    /// as `Released` until [`Self::forget`].
    ///
    /// # Errors
    /// `FailedPrecondition` or `Busy` when something still holds it (named), with nothing forced.
    async fn detach(&self, volume: &VolumeId) -> Result<Outcome<()>>;

    /// Drops the record of a released volume, once the array has taken the access away.
    ///
    /// # Errors
    /// `FailedPrecondition` when the volume is not released.
    async fn forget(&self, volume: &VolumeId) -> Result<()>;

    /// Makes the host see the volume's new size and grows the file system to it.
    ///
    /// # Errors
    /// `NotFound` when it is not attached here; `Unavailable` when the device does not show the
    /// new size in time.
    async fn resize(&self, volume: &VolumeId, size: Size) -> Result<Outcome<()>>;

    /// What the host has of this volume, observed now.
    ///
    /// # Errors
    /// Only when the host cannot be observed.
    async fn status(&self, volume: &VolumeId) -> Result<Option<Attachment>>;

    /// Everything that the ledger records, observed now. Also what a start begins with. A record
    /// that is damaged or of a newer format is left out and logged with its file: it refuses its
    /// own volume and no other.
    ///
    /// # Errors
    /// Only when the ledger or the host cannot be read.
    async fn attachments(&self) -> Result<Vec<Attachment>>;

    /// The logical unit numbers under which this host shows devices of arrays, whoever's they are
    /// by now. A volume must not be published under one of them.
    ///
    /// # Errors
    /// When the host cannot be observed.
    async fn luns_in_use(&self) -> Result<Vec<u16>>;

    /// Takes down every attachment whose volume the array has given to somebody else, or taken
    /// away: its device certainly is not its volume any more. Returns those that are released by
    /// it; what still is in use is logged and met again by the next call. To be called at start
    /// and from time to time; never needed for safety at the moment of a publish, as
    /// [`Self::prepare`] does the same for what it concerns.
    ///
    /// # Errors
    /// When the ledger or the host cannot be read.
    async fn heal(&self) -> Result<Vec<Attachment>>;
}

const _: fn(&dyn Attacher) = |_| {};
