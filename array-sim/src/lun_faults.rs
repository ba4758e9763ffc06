//! What goes wrong, or slowly, on the data path: for all volumes, or for some by serial.
//!
//! Asked on every read and write, so the common case, no faults, takes no lock. Nothing here does
//! I/O or waits: the data path does, by what it is told here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Which kind of data-path operation a fault concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LunOperation {
    /// Reads.
    Read,
    /// Writes, discards and flushes.
    Write,
}

/// Faults of one volume. The default is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LunVolumeFaults {
    /// How long each read takes at least, milliseconds.
    pub read_delay_ms: u64,
    /// How long each write takes at least, milliseconds.
    pub write_delay_ms: u64,
    /// Every read fails.
    pub fail_reads: bool,
    /// Every write fails.
    pub fail_writes: bool,
    /// So many reads fail, and then no more. Counts down.
    pub fail_next_reads: u64,
    /// So many writes fail, and then no more. Counts down.
    pub fail_next_writes: u64,
}

impl LunVolumeFaults {
    const fn delay_ms(&self, operation: LunOperation) -> u64 {
        match operation {
            LunOperation::Read => self.read_delay_ms,
            LunOperation::Write => self.write_delay_ms,
        }
    }

    /// Whether the operation fails; it is counted if so.
    const fn take(&mut self, operation: LunOperation) -> bool {
        let (always, next) = match operation {
            LunOperation::Read => (self.fail_reads, &mut self.fail_next_reads),
            LunOperation::Write => (self.fail_writes, &mut self.fail_next_writes),
        };
        if always {
            return true;
        }
        let fails = *next > 0;
        *next = next.saturating_sub(1);
        fails
    }
}

/// Faults of the data path: all volumes, or some by serial.
#[derive(Debug, Default)]
pub struct LunFaults {
    read_delay_ms: AtomicU64,
    write_delay_ms: AtomicU64,
    fail_reads: AtomicBool,
    fail_writes: AtomicBool,
    /// True while there are faults of single volumes.
    selective: AtomicBool,
    volumes: Mutex<BTreeMap<String, LunVolumeFaults>>,
}

impl LunFaults {
    /// Makes every read, or every write, take at least this long.
    pub fn set_delay(&self, operation: LunOperation, delay: Duration) {
        let milliseconds = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.delays(operation)
            .store(milliseconds, Ordering::Relaxed);
    }

    /// How long a read, or a write, of any volume is to be held back.
    #[must_use]
    pub fn delay(&self, operation: LunOperation) -> Duration {
        Duration::from_millis(self.delays(operation).load(Ordering::Relaxed))
    }

    /// How long a read, or a write, of this volume is to be held back: the longer of its own delay
    /// and the one for all.
    #[must_use]
    pub fn delay_of(&self, operation: LunOperation, serial: &str) -> Duration {
        let own = self.volume(serial).delay_ms(operation);
        self.delay(operation).max(Duration::from_millis(own))
    }

    /// Whether there are faults of single volumes, so that it matters which one is meant.
    #[must_use]
    pub fn is_selective(&self) -> bool {
        self.selective.load(Ordering::Relaxed)
    }

    /// Makes reads, or writes, of every volume fail with an I/O error, or ends that.
    pub fn fail_all(&self, operation: LunOperation, fail: bool) {
        self.failures(operation).store(fail, Ordering::Relaxed);
    }

    /// Makes reads, or writes, of one volume fail with an I/O error, or ends that.
    pub fn fail_serial(&self, operation: LunOperation, serial: &str, fail: bool) {
        let mut faults = self.volume(serial);
        match operation {
            LunOperation::Read => faults.fail_reads = fail,
            LunOperation::Write => faults.fail_writes = fail,
        }
        self.set_volume(serial, faults);
    }

    /// The faults of one volume from now on, in place of those it had.
    pub fn set_volume(&self, serial: &str, faults: LunVolumeFaults) {
        let mut volumes = self.lock();
        if faults == LunVolumeFaults::default() {
            volumes.remove(serial);
        } else {
            volumes.insert(serial.to_owned(), faults);
        }
        self.selective.store(!volumes.is_empty(), Ordering::Relaxed);
    }

    /// The faults of one volume.
    #[must_use]
    pub fn volume(&self, serial: &str) -> LunVolumeFaults {
        if !self.is_selective() {
            return LunVolumeFaults::default();
        }
        self.lock().get(serial).copied().unwrap_or_default()
    }

    /// Whether a read, or a write, of this volume is to fail. One that fails counts down what is
    /// to fail next.
    #[must_use]
    pub fn fails(&self, operation: LunOperation, serial: &str) -> bool {
        if self.failures(operation).load(Ordering::Relaxed) {
            return true;
        }
        if !self.is_selective() {
            return false;
        }
        let mut volumes = self.lock();
        let faults = volumes.get_mut(serial);
        faults.is_some_and(|faults| faults.take(operation))
    }

    /// Ends all faults of the data path.
    pub fn clear(&self) {
        for operation in [LunOperation::Read, LunOperation::Write] {
            self.set_delay(operation, Duration::ZERO);
            self.fail_all(operation, false);
        }
        self.lock().clear();
        self.selective.store(false, Ordering::Relaxed);
    }

    const fn delays(&self, operation: LunOperation) -> &AtomicU64 {
        match operation {
            LunOperation::Read => &self.read_delay_ms,
            LunOperation::Write => &self.write_delay_ms,
        }
    }

    const fn failures(&self, operation: LunOperation) -> &AtomicBool {
        match operation {
            LunOperation::Read => &self.fail_reads,
            LunOperation::Write => &self.fail_writes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, LunVolumeFaults>> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_for_all_or_for_one() {
        let faults = LunFaults::default();
        assert!(!faults.fails(LunOperation::Read, "S1"));
        faults.fail_serial(LunOperation::Read, "S1", true);
        assert!(faults.fails(LunOperation::Read, "S1"));
        assert!(!faults.fails(LunOperation::Read, "S2"));
        assert!(!faults.fails(LunOperation::Write, "S1"));
        faults.fail_serial(LunOperation::Read, "S1", false);
        assert!(!faults.fails(LunOperation::Read, "S1"));
        assert!(!faults.is_selective());
        faults.fail_all(LunOperation::Write, true);
        assert!(faults.fails(LunOperation::Write, "S2"));
        faults.clear();
        assert!(!faults.fails(LunOperation::Write, "S1"));
    }

    #[test]
    fn so_many_fail_and_then_no_more() {
        let faults = LunFaults::default();
        let two = LunVolumeFaults {
            fail_next_writes: 2,
            ..LunVolumeFaults::default()
        };
        faults.set_volume("S1", two);
        assert!(!faults.fails(LunOperation::Read, "S1"));
        let outcomes = [(); 4].map(|()| faults.fails(LunOperation::Write, "S1"));
        assert_eq!(outcomes, [true, true, false, false]);
    }

    #[test]
    fn the_longer_delay_counts() {
        let faults = LunFaults::default();
        faults.set_delay(LunOperation::Read, Duration::from_millis(20));
        let slow = LunVolumeFaults {
            read_delay_ms: 50,
            ..LunVolumeFaults::default()
        };
        faults.set_volume("S1", slow);
        let delay = |serial| faults.delay_of(LunOperation::Read, serial).as_millis();
        assert_eq!((delay("S1"), delay("S2")), (50, 20));
        assert!(faults.delay_of(LunOperation::Write, "S1").is_zero());
    }
}
