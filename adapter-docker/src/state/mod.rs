//! What the adapter keeps on disk: mount counts, which matter, and a cache of names, which may be
//! deleted.

mod counts;
mod durable;
mod holders;
mod lock;
mod mounts;
mod names;

pub(crate) use counts::{MountCounts, VolumeCounts};
pub(crate) use holders::held_elsewhere;
pub(crate) use lock::StateLock;
pub(crate) use mounts::{MountId, Mounts, Released};
pub(crate) use names::{NameCache, Remembered};
