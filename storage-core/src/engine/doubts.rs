//! Connections that may exist at an array without this host using them.
//!
//! A publish whose answer was lost, or a process that died between publish and the ledger's record
//! of the attachment (the host's intentions tell which), may have left this host connected. Nothing
//! is mounted then, and the connection would keep every other host out. Each is taken away in its
//! volume's line, unless the volume is attached at that moment. It is looked at again for a while, as
//! the request itself may be executed late: after the answer was lost, after the process died, and
//! also after the volume was mounted and unmounted again in between.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::HeldVolume;
use crate::volume::VolumeId;

/// How late a request may still be executed. Arrays and the boxes before them give up after a
/// few minutes; this is generous.
const LATE_MAX: Duration = Duration::from_secs(600);

/// The volumes in doubt.
#[derive(Debug, Default)]
pub(crate) struct Doubts(Mutex<BTreeMap<VolumeId, Doubt>>);

#[derive(Clone, Debug)]
pub(crate) struct Doubt {
    pub(crate) held: HeldVolume,
    until: Instant,
}

impl Doubts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<VolumeId, Doubt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A publish whose fate is open: it may yet be executed.
    pub(crate) fn publish_may_come(&self, held: HeldVolume) {
        let until = Instant::now() + LATE_MAX;
        self.lock()
            .insert(held.volume.clone(), Doubt { held, until });
    }

    /// A connection that may be there, by a request that has ended.
    pub(crate) fn seen(&self, held: HeldVolume) {
        let doubt = Doubt {
            held: held.clone(),
            until: Instant::now(),
        };
        self.lock().entry(held.volume).or_insert(doubt);
    }

    /// Whether a late request can no longer undo what is seen now.
    pub(crate) fn is_over(&self, volume: &VolumeId) -> bool {
        self.lock()
            .get(volume)
            .is_none_or(|doubt| Instant::now() >= doubt.until)
    }

    pub(crate) fn settle(&self, volume: &VolumeId) {
        self.lock().remove(volume);
    }

    pub(crate) fn all(&self) -> Vec<Doubt> {
        self.lock().values().cloned().collect()
    }
}
