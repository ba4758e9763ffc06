//! What the adapter keeps on disk: mount counts and used mount IDs, which matter, and a cache of
//! names, which may be deleted.

mod counts;
mod durable;
mod holders;
mod lock;
mod mounts;
mod names;
mod used;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use counts::fuzz_counts;
pub(crate) use counts::{MountCounts, VolumeCounts};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use holders::fuzz_mounts;
pub(crate) use holders::held_elsewhere;
pub(crate) use lock::StateLock;
pub(crate) use mounts::{MountId, Mounts, Released};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use names::fuzz_names;
pub(crate) use names::{NameCache, Remembered};
pub(crate) use used::UsedIds;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use used::fuzz_used;
