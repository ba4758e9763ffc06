//! An optional power of a backend: its trash. What was removed and can still be had back.
//!
//! An array keeps what was removed for a while. This is the namespace's view of that: what a
//! remove destroyed, what one that was cut off left half removed, and what somebody destroyed on
//! the array itself. Only objects that carry the namespace's record are in it, and what was never
//! a volume (a create that was not committed) is not.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::name::VolumeName;
use crate::outcome::Outcome;
use crate::volume::{Volume, VolumeId};

/// Asks for one page of the trash.
#[derive(Clone, Debug, Default)]
pub struct ListTrash {
    /// Where to go on: [`TrashPage::next`] of the page before, `None` for the first.
    pub after: Option<String>,
    /// At most this many; `None` leaves it to the backend.
    pub limit: Option<usize>,
}

/// A volume that was removed, or half removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrashedVolume {
    /// The volume under the name that its user knew; its state is never
    /// [`crate::VolumeState::Ready`].
    pub volume: Volume,
    /// How long ago it was destroyed, where that can be told.
    pub removed_ago: Option<Duration>,
    /// How long the array still keeps it. `None` for what is not destroyed, and where the array
    /// does not tell.
    pub time_left: Option<Duration>,
}

/// One page of the trash.
#[derive(Clone, Debug, Default)]
pub struct TrashPage {
    /// What can be had back.
    pub volumes: Vec<TrashedVolume>,
    /// Give it to the next call; `None` on the last page.
    pub next: Option<String>,
    /// Calls to the array that this page took.
    pub calls: u32,
}

/// Asks for a removed volume to be had back.
#[derive(Clone, Debug)]
pub struct RecoverVolume {
    /// Which one: names may be borne by several in the trash.
    pub volume: VolumeId,
    /// The name that it gets; `None` for the one it had.
    pub name: Option<VolumeName>,
}

/// The trash of one array, through one namespace.
#[async_trait]
pub trait Trash: Send + Sync {
    /// One page of the trash, each volume exactly once over all pages even when others change
    /// meanwhile.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout`; `InvalidArgument` for an `after` that is not this backend's.
    async fn list_trash(&self, request: ListTrash) -> Result<TrashPage>;

    /// Makes a removed volume a volume again, with everything that it had: content, file system,
    /// and the format grant if it was never withdrawn (it permits; blankness decides, as ever).
    /// No host can reach it until it is published.
    ///
    /// Looks at this array alone. That no other array of the fleet has the name is the caller's
    /// to know.
    ///
    /// A crash on the way leaves the volume half removed, under a name that only Fairlead gives:
    /// in the trash still, and the next call goes on from there.
    ///
    /// # Idempotency
    /// `AlreadySo` when the volume is in use under that name.
    ///
    /// # Errors
    /// `NotFound` when it is eradicated, or not of this namespace; `AlreadyExists` when another
    /// object of this array has the name, or keeps it; `FailedPrecondition` when the volume is in
    /// use under another name, or cannot be given another one; `Busy` when it is removed or
    /// renamed at the same time.
    async fn recover(&self, request: RecoverVolume) -> Result<Outcome<Volume>>;
}

const _: fn(&dyn Trash) = |_| {};
