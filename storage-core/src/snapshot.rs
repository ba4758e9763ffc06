//! An optional power of a backend: snapshots of volumes.
//!
//! A snapshot belongs to its volume's namespace and is found by its volume and its name. Those
//! that an array's own schedules make have other names and are left alone.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::name::VolumeName;
use crate::outcome::Outcome;
use crate::size::Size;
use crate::volume::{Volume, VolumeId};

/// A snapshot's name beside its volume's: 1 to 63 letters, digits and `-`, a letter or digit first
/// and last. Case matters, though no two snapshots of a volume may differ by case alone where the
/// array ignores it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotName(String);

impl SnapshotName {
    /// The longest name in bytes.
    pub const MAX_BYTES: usize = 63;

    /// Checks a name.
    ///
    /// # Errors
    /// `InvalidArgument` with the rule.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let fits = name.len() <= Self::MAX_BYTES
            && name.chars().all(inner)
            && edge(name.chars().next())
            && edge(name.chars().next_back());
        if fits {
            return Ok(Self(name));
        }
        let shown: String = name.chars().take(64).collect();
        Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "the snapshot name `{}` is refused: it must have 1 to 63 letters, digits and `-`, a letter or digit first and last",
                shown.escape_debug()
            ),
        ))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for SnapshotName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::new(text)
    }
}

impl From<SnapshotName> for String {
    fn from(name: SnapshotName) -> Self {
        name.0
    }
}

/// The snapshot's identity for ever, of the shape of a [`VolumeId`]: array id and object id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SnapshotId(VolumeId);

impl SnapshotId {
    /// Takes the two parts as a [`VolumeId`] has them.
    #[must_use]
    pub const fn new(parts: VolumeId) -> Self {
        Self(parts)
    }

    /// The array's part.
    #[must_use]
    pub const fn array(&self) -> &crate::volume::ArrayId {
        self.0.array()
    }

    /// The object's part.
    #[must_use]
    pub fn object(&self) -> &str {
        self.0.object()
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A snapshot as its array describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Identity for ever.
    pub id: SnapshotId,
    /// Its name beside the volume's.
    pub name: SnapshotName,
    /// The volume that it is of.
    pub volume: VolumeId,
    /// The user's name of that volume.
    pub volume_name: VolumeName,
    /// The object's present name on the array.
    pub object: String,
    /// The volume's size when it was made.
    pub size: Size,
    /// Creation time in milliseconds since the Unix epoch, where the array told.
    pub created_ms: Option<u64>,
}

/// Asks for a snapshot.
#[derive(Clone, Debug)]
pub struct CreateSnapshot {
    /// The volume as it was read.
    pub volume: Volume,
    /// The snapshot's name.
    pub name: SnapshotName,
}

/// Asks for one page of snapshots.
#[derive(Clone, Debug, Default)]
pub struct ListSnapshots {
    /// Of this volume alone; `None` for all recorded volumes of the namespace.
    pub volume: Option<VolumeId>,
    /// Where to go on: [`SnapshotPage::next`] of the page before, `None` for the first.
    pub after: Option<String>,
    /// At most this many; `None` leaves it to the backend.
    pub limit: Option<usize>,
}

/// One page of snapshots.
#[derive(Clone, Debug, Default)]
pub struct SnapshotPage {
    /// Usable snapshots of volumes that carry our record.
    pub snapshots: Vec<Snapshot>,
    /// Give it to the next call; `None` on the last page.
    pub next: Option<String>,
}

/// Makes, finds and removes snapshots. Every method is idempotent and has its own deadline.
#[async_trait]
pub trait Snapshots: fmt::Debug + Send + Sync {
    /// Makes a snapshot of the volume as it is now.
    ///
    /// # Idempotency
    /// `AlreadySo` with the snapshot of that volume and name, however old.
    ///
    /// # Errors
    /// `NotFound` when the volume is gone; `FailedPrecondition` when it carries no record of ours,
    /// or a destroyed snapshot keeps the name; `AlreadyExists` when the name is taken in another
    /// case; `InvalidArgument` for a name that the array refuses; `ResourceExhausted`;
    /// `Unavailable`; `Timeout` when it may or may not exist.
    async fn create_snapshot(&self, request: CreateSnapshot) -> Result<Outcome<Snapshot>>;

    /// The volume's snapshot of that name. `None` is certain, also for a volume that is gone.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout`.
    async fn get_snapshot(&self, volume: &Volume, name: &SnapshotName) -> Result<Option<Snapshot>>;

    /// One page of usable snapshots, each exactly once over all pages even when others change
    /// meanwhile.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout`; `InvalidArgument` for an `after` that is not this backend's.
    async fn list_snapshots(&self, request: ListSnapshots) -> Result<SnapshotPage>;

    /// Removes a snapshot; the array keeps it recoverable as long as it is set up to. Clones made
    /// from it stay.
    ///
    /// # Idempotency
    /// `AlreadySo` when it is gone or destroyed.
    ///
    /// # Errors
    /// `FailedPrecondition` when its volume carries no record of ours; `Unavailable`, `Timeout`.
    async fn delete_snapshot(&self, snapshot: &Snapshot) -> Result<Outcome<()>>;
}

const _: fn(&dyn Snapshots) = |_| {};

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::SnapshotName;

    #[test]
    fn names_follow_the_rule() {
        for name in ["a", "1", "daily-2026-11-21", &"x".repeat(63)] {
            assert_eq!(SnapshotName::new(name).unwrap().as_str(), name);
        }
        for name in ["", "-a", "a-", "a.b", "a_b", "a b", "é", &"x".repeat(64)] {
            assert!(SnapshotName::new(name).is_err(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_name_is_plain(name in ".{0,70}") {
            if let Ok(accepted) = SnapshotName::new(name.clone()) {
                prop_assert_eq!(accepted.as_str(), &name);
                prop_assert!(!name.contains(['.', '/', ',', '*', '\'']));
            }
        }
    }
}
