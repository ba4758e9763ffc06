//! Which host sees which volume at which LUN: the seam between the array's control path (the
//! state machine behind the REST routes) and its data path (the LUN file system of
//! [`crate::luns`]).
//!
//! The state machine writes it, in the same critical section in which it changes a connection and
//! before the REST answer leaves, so a client that has read "disconnected" can rely on the data
//! path refusing from then on. The data path only reads it. Nothing here does I/O; a lock is held
//! for a map operation, or for one read or write of the data path ([`LunTable::with_lun`]).
//!
//! It is *not* the record of connections (that is the state machine's, and it also knows hosts
//! without a LUN); and it is in memory only: the state machine fills it again after a restart.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

pub use crate::lun_faults::{LunFaults, LunOperation, LunVolumeFaults};

/// One volume as one host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lun {
    /// The volume's serial, 24 upper-case hexadecimal digits.
    pub serial: String,
    /// The sparse file that holds the volume's bytes. Its length is never more than `size`.
    pub data: PathBuf,
    /// The volume's size in bytes.
    pub size: u64,
}

impl Lun {
    /// A LUN of the volume `serial`, whose bytes are in `data`.
    #[must_use]
    pub const fn new(serial: String, data: PathBuf, size: u64) -> Self {
        Self { serial, data, size }
    }
}

/// The LUNs of one array, by host. Clones share the same table.
#[derive(Debug, Clone, Default)]
pub struct LunTable {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    hosts: RwLock<BTreeMap<String, BTreeMap<u16, Lun>>>,
    faults: LunFaults,
    counters: Counters,
    /// Raised by every change; `changed` wakes those who wait for it.
    generation: Mutex<u64>,
    changed: Condvar,
}

impl LunTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a host known, so that it is listed although it has no LUN yet.
    pub fn add_host(&self, host: &str) {
        self.write(|hosts| {
            hosts.entry(host.to_owned()).or_default();
        });
    }

    /// Forgets a host and all its LUNs. False if it was not known.
    pub fn remove_host(&self, host: &str) -> bool {
        self.write(|hosts| hosts.remove(host).is_some())
    }

    /// Shows `lun` to `host` under a LUN number, in place of what was there.
    pub fn connect(&self, host: &str, number: u16, lun: Lun) {
        self.write(|hosts| {
            hosts
                .entry(host.to_owned())
                .or_default()
                .insert(number, lun);
        });
    }

    /// Takes a LUN away from a host. False if there was none with this number.
    pub fn disconnect(&self, host: &str, number: u16) -> bool {
        self.write(|hosts| {
            hosts
                .get_mut(host)
                .is_some_and(|luns| luns.remove(&number).is_some())
        })
    }

    /// Gives every LUN of the volume `serial` a new size in bytes.
    pub fn resize(&self, serial: &str, size: u64) {
        self.write(|hosts| {
            for lun in hosts.values_mut().flat_map(BTreeMap::values_mut) {
                if lun.serial == serial {
                    lun.size = size;
                }
            }
        });
    }

    /// Gives a host another name; its LUNs stay. False if it was not known.
    pub fn rename_host(&self, from: &str, to: &str) -> bool {
        self.write(|hosts| match hosts.remove(from) {
            Some(luns) => {
                hosts.insert(to.to_owned(), luns);
                true
            }
            None => false,
        })
    }

    /// The volume that `host` sees at a LUN number, if any.
    #[must_use]
    pub fn lookup(&self, host: &str, number: u16) -> Option<Lun> {
        self.read(|hosts| hosts.get(host)?.get(&number).cloned())
    }

    /// Runs one read or write while the host's LUN cannot change. A disconnect waits for it, so
    /// that nothing written under a connection lands after the connection's removal was answered.
    /// Keep it short: hold delays back before, not inside. `None`: the host has no such LUN, and
    /// nothing was run.
    #[must_use]
    pub fn with_lun<T>(&self, host: &str, number: u16, run: impl FnOnce(&Lun) -> T) -> Option<T> {
        self.read(|hosts| hosts.get(host)?.get(&number).map(run))
    }

    /// The known hosts, in order.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        self.read(|hosts| hosts.keys().cloned().collect())
    }

    /// Whether the host is known (it may have no LUN).
    #[must_use]
    pub fn has_host(&self, host: &str) -> bool {
        self.read(|hosts| hosts.contains_key(host))
    }

    /// The LUN numbers that a host sees, in order.
    #[must_use]
    pub fn luns(&self, host: &str) -> Vec<u16> {
        self.read(|hosts| {
            hosts
                .get(host)
                .map(|luns| luns.keys().copied().collect())
                .unwrap_or_default()
        })
    }

    /// What goes wrong, or slowly, on the data path.
    #[must_use]
    pub fn faults(&self) -> &LunFaults {
        &self.shared.faults
    }

    /// What the data path did so far.
    #[must_use]
    pub fn counters(&self) -> LunCounters {
        self.shared.counters.read()
    }

    /// Counts one finished operation of the data path.
    pub fn record(&self, event: LunEvent) {
        self.shared.counters.record(event);
    }

    /// A number that grows with every change of the table.
    #[must_use]
    pub fn generation(&self) -> u64 {
        *lock(&self.shared.generation)
    }

    /// Waits until the table's generation differs from `seen`, or the time is up. Returns the
    /// current generation. Blocks the thread: not for async code.
    #[must_use]
    pub fn wait_for_change(&self, seen: u64, timeout: Duration) -> u64 {
        let deadline = Instant::now() + timeout;
        let mut generation = lock(&self.shared.generation);
        while *generation == seen {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            generation = self
                .shared
                .changed
                .wait_timeout(generation, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        *generation
    }

    fn read<T>(&self, look: impl FnOnce(&BTreeMap<String, BTreeMap<u16, Lun>>) -> T) -> T {
        look(
            &self
                .shared
                .hosts
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    fn write<T>(&self, change: impl FnOnce(&mut BTreeMap<String, BTreeMap<u16, Lun>>) -> T) -> T {
        let result = change(
            &mut self
                .shared
                .hosts
                .write()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let mut generation = lock(&self.shared.generation);
        *generation = generation.wrapping_add(1);
        self.shared.changed.notify_all();
        result
    }
}

/// One finished operation of the data path, for the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LunEvent {
    /// Bytes that were read.
    Read(u64),
    /// Bytes that were written.
    Written(u64),
    /// A flush (fsync) that reached the data file.
    Flushed,
    /// An operation refused because the host has no LUN of that number any more: a fence at work.
    Refused,
    /// An operation that failed because a fault said so.
    Failed,
}

/// What the data path did since the table was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct LunCounters {
    /// Finished reads.
    pub reads: u64,
    /// Finished writes.
    pub writes: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Finished flushes.
    pub flushes: u64,
    /// Operations on a LUN that the host no longer had.
    pub refused: u64,
    /// Operations that failed by a fault.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Counters {
    reads: AtomicU64,
    writes: AtomicU64,
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
    flushes: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl Counters {
    fn record(&self, event: LunEvent) {
        match event {
            LunEvent::Read(bytes) => {
                self.reads.fetch_add(1, Ordering::Relaxed);
                self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            LunEvent::Written(bytes) => {
                self.writes.fetch_add(1, Ordering::Relaxed);
                self.written_bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            LunEvent::Flushed => {
                self.flushes.fetch_add(1, Ordering::Relaxed);
            }
            LunEvent::Refused => {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            LunEvent::Failed => {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn read(&self) -> LunCounters {
        LunCounters {
            reads: self.reads.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            written_bytes: self.written_bytes.load(Ordering::Relaxed),
            flushes: self.flushes.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

/// A poisoned lock only means that another thread panicked in the middle of a map operation; the
/// maps stay usable, and the simulator goes on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lun(serial: &str) -> Lun {
        Lun::new(serial.to_owned(), PathBuf::from("/nowhere"), 1 << 20)
    }

    #[test]
    fn a_number_is_reused_by_another_volume() {
        let table = LunTable::new();
        table.connect("a", 1, lun("S1"));
        assert!(table.disconnect("a", 1));
        assert!(!table.disconnect("a", 1));
        assert_eq!(table.lookup("a", 1), None);
        table.connect("a", 1, lun("S2"));
        assert_eq!(table.lookup("a", 1).unwrap().serial, "S2");
        assert_eq!(table.luns("a"), [1]);
        assert_eq!(table.lookup("b", 1), None);
    }

    #[test]
    fn resize_and_rename_follow_the_volume_and_the_host() {
        let table = LunTable::new();
        table.connect("a", 1, lun("S1"));
        table.connect("b", 7, lun("S1"));
        table.resize("S1", 5 << 20);
        assert_eq!(table.lookup("b", 7).unwrap().size, 5 << 20);
        assert!(table.rename_host("a", "c"));
        assert_eq!(table.hosts(), ["b", "c"]);
        assert_eq!(table.lookup("c", 1).unwrap().size, 5 << 20);
    }

    #[test]
    fn a_change_wakes_who_waits() {
        let table = LunTable::new();
        let seen = table.generation();
        let other = table.clone();
        let waiter =
            std::thread::spawn(move || other.wait_for_change(seen, Duration::from_secs(30)));
        table.add_host("a");
        assert_ne!(waiter.join().unwrap(), seen);
        let now = table.generation();
        assert_eq!(table.wait_for_change(now, Duration::from_millis(1)), now);
    }
}
