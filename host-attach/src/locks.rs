//! One lock a volume, and what its holder is doing: whoever waits in vain is told what for. It
//! does not say who may wait how long; that is in [`crate::attacher`].
//!
//! A lock stays with the work and not with its caller, so an operation that hangs in the kernel
//! keeps it, and keeps every other hand off that volume, until the kernel lets go or the process
//! ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::OwnedMutexGuard;

use crate::blocking::Progress;
use crate::ledger::Key;

/// All locks. Work on different volumes never waits for each other.
#[derive(Debug, Default)]
pub(crate) struct KeyLocks {
    locks: Mutex<HashMap<Key, Arc<Lock>>>,
}

#[derive(Debug, Default)]
struct Lock {
    turn: Arc<tokio::sync::Mutex<()>>,
    work: Mutex<Option<Work>>,
}

#[derive(Debug)]
struct Work {
    operation: &'static str,
    progress: Progress,
    since: Instant,
}

/// A volume's lock, held.
#[derive(Debug)]
pub(crate) struct Turn {
    lock: Arc<Lock>,
    /// Given back after the note of the work is gone: fields are dropped after `drop`.
    _guard: OwnedMutexGuard<()>,
}

impl Turn {
    /// Notes for others what begins under this lock.
    pub(crate) fn begins(&self, operation: &'static str, progress: &Progress) {
        self.lock.note(Some(Work {
            operation,
            progress: progress.clone(),
            since: Instant::now(),
        }));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.lock.note(None);
    }
}

impl Lock {
    fn note(&self, work: Option<Work>) {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = work;
    }
}

impl KeyLocks {
    fn of(&self, key: &Key) -> Arc<Lock> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody holds or waits for are forgotten.
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry(key.clone()).or_default())
    }

    /// Waits for the volume's turn, first come first served.
    pub(crate) async fn lock(&self, key: &Key) -> Turn {
        let lock = self.of(key);
        let guard = Arc::clone(&lock.turn).lock_owned().await;
        Turn {
            lock,
            _guard: guard,
        }
    }

    /// The volume's lock if it is free now.
    pub(crate) fn try_lock(&self, key: &Key) -> Option<Turn> {
        let lock = self.of(key);
        let guard = Arc::clone(&lock.turn).try_lock_owned().ok()?;
        Some(Turn {
            lock,
            _guard: guard,
        })
    }

    /// What whoever has the lock is doing, and for how long, for a message.
    pub(crate) fn doing(&self, key: &Key) -> String {
        let lock = self.of(key);
        let work = lock.work.lock().unwrap_or_else(PoisonError::into_inner);
        work.as_ref().map_or_else(
            || "it is just beginning or ending".to_owned(),
            |work| {
                format!(
                    "{}, for {} s, last seen: {}",
                    work.operation,
                    work.since.elapsed().as_secs(),
                    work.progress.get()
                )
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use storage_core::{ArrayId, VolumeId};

    use super::KeyLocks;
    use crate::blocking::Progress;
    use crate::ledger::Key;

    #[tokio::test]
    async fn the_holder_is_named_while_it_holds_and_forgotten_afterwards() {
        let locks = KeyLocks::default();
        let key = Key::of(&VolumeId::new(ArrayId::new("a"), "o").unwrap());
        let turn = locks.lock(&key).await;
        let progress = Progress::default();
        turn.begins("detach", &progress);
        progress.set("unmounting");
        assert!(locks.try_lock(&key).is_none());
        let doing = locks.doing(&key);
        assert!(
            doing.contains("detach") && doing.contains("unmounting"),
            "{doing}"
        );
        drop(turn);
        let next = locks.try_lock(&key).unwrap();
        assert!(!locks.doing(&key).contains("detach"));
        drop(next);
        locks.of(&Key::of(&VolumeId::new(ArrayId::new("a"), "p").unwrap()));
        assert_eq!(locks.locks.lock().unwrap().len(), 1, "free locks pile up");
    }
}
