//! An optional power of a backend: what is known of fences, and taking a volume from a host that
//! somebody says is dead.
//!
//! Fences that a mount brings about are part of [`crate::Backend::publish`]; nothing here gives
//! anybody access.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::outcome::Outcome;
use crate::volume::Volume;

/// On whose word a host was shut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FenceReason {
    /// A mount on another host, which had the right to.
    Mount,
    /// An operator's.
    Operator,
}

impl FenceReason {
    /// The reason in a word, as records and logs have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mount => "mount",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for FenceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is recorded of the last fence of a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// The host objects that were shut out. Of many, the first ones.
    pub old_hosts: Vec<String>,
    /// The host object that got the volume then; `None` where nobody did.
    pub new_host: Option<String>,
    /// On whose word.
    pub reason: FenceReason,
    /// What showed that their access was gone, for people.
    pub evidence: String,
    /// From the first step against them until they were seen gone, in milliseconds.
    pub duration_ms: u64,
    /// When, in milliseconds since the Unix epoch, by the clock of the host that did it.
    pub at_ms: u64,
}

/// Asks for a volume to be taken from one host.
#[derive(Clone, Debug)]
pub struct ReleaseHost {
    /// The volume as it was read.
    pub volume: Volume,
    /// The host's object on the array, exactly.
    pub host: String,
}

/// Fences apart from publishing.
#[async_trait]
pub trait Fencing: Send + Sync {
    /// What is recorded of the volume's last fence.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Timeout`; `FailedPrecondition` for a record of a newer format.
    async fn last_fence(&self, volume: &Volume) -> Result<Option<Fence>>;

    /// Takes the volume from exactly that host, sees it gone, and records it. Others that are
    /// connected keep what they have.
    ///
    /// # Idempotency
    /// `AlreadySo` with the record of a fence that took it from that host, while the host has no
    /// access.
    ///
    /// # Errors
    /// `NotFound` when the volume is gone, or the host has no access and no fence of it is on
    /// record, naming who has; `FailedPrecondition` for a host that is not ours, or that has the
    /// volume through a host group; `Unavailable`, `Timeout`.
    async fn release(&self, request: ReleaseHost) -> Result<Outcome<Fence>>;
}

const _: fn(&dyn Fencing) = |_| {};
