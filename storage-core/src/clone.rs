//! An optional power of a backend: volumes made from other volumes or from snapshots, by the array.
//!
//! A clone is a new volume with a copy of the data: another identity, no format grant ever, its
//! source's file system with its source's UUID until a host gives it a fresh one. It is on its
//! source's array.

use std::fmt;

use async_trait::async_trait;
use uuid::Uuid;

use crate::backend::CreateVolume;
use crate::error::Result;
use crate::outcome::Outcome;
use crate::snapshot::Snapshot;
use crate::volume::Volume;

/// What a clone is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloneSource {
    /// A volume as it is now: while it is in use, what a power cut would have left.
    Volume(Box<Volume>),
    /// A snapshot.
    Snapshot(Box<Snapshot>),
}

impl CloneSource {
    /// The size of what is copied.
    #[must_use]
    pub const fn size(&self) -> crate::Size {
        match self {
            Self::Volume(volume) => volume.size,
            Self::Snapshot(snapshot) => snapshot.size,
        }
    }
}

/// Asks for a clone.
#[derive(Clone, Debug)]
pub struct CloneVolume {
    /// The new volume, without a format grant. A size above the source's makes it larger; the
    /// file system follows when a host attaches it.
    pub volume: CreateVolume,
    /// What to copy.
    pub source: CloneSource,
    /// The UUID that a host is to give to the copied file system ([`Volume::fresh_uuid`]).
    pub fresh_uuid: Uuid,
}

/// Makes volumes from others.
#[async_trait]
pub trait Clones: fmt::Debug + Send + Sync {
    /// Makes the clone under a name that a lookup on every array showed to be free: atomically
    /// and complete, as [`crate::Backend::create`].
    ///
    /// # Idempotency
    /// `AlreadySo` with the volume that carries the name, whoever made it and from whatever.
    ///
    /// # Errors
    /// As [`crate::Backend::create`]; `NotFound` when the source is gone, `OutOfRange` for a size
    /// below the source's, `InvalidArgument` for a request with a format grant.
    async fn clone_volume(&self, request: CloneVolume) -> Result<Outcome<Volume>>;
}

const _: fn(&dyn Clones) = |_| {};
