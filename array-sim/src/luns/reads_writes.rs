//! Reads, writes, flushes and discards of LUNs: looks up, applies the faults, counts.
//!
//! The order within one operation is what makes a fence a fence: first the delay, then the
//! look-up, then the data file, with the connection held from the look-up to the end.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fuser::Errno;
use rustix::fs::FallocateFlags;

use super::volume_files::VolumeFiles;
use crate::lun_table::{Lun, LunEvent, LunOperation, LunTable};

/// Operations held back on threads of their own at a time; the ones beyond that hold up the file
/// system's own threads, which a kernel with 64 background requests a mount never reaches.
const HELD_BACK: usize = 256;

/// What was done on one volume since the file system was mounted, by all hosts together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct VolumeIo {
    /// Finished reads.
    pub reads: u64,
    /// Finished writes.
    pub writes: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
}

#[derive(Debug, Default)]
struct VolumeCounters {
    reads: AtomicU64,
    writes: AtomicU64,
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
}

/// A place in a LUN: who asks, at which number, and which bytes.
#[derive(Debug, Clone)]
pub(super) struct Range {
    pub(super) host: Arc<str>,
    pub(super) number: u16,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// The data path of one array.
#[derive(Debug)]
pub(super) struct ReadsWrites {
    pub(super) table: LunTable,
    files: VolumeFiles,
    volumes: Mutex<HashMap<String, Arc<VolumeCounters>>>,
    closed: AtomicBool,
    closing: (Mutex<()>, Condvar),
    held_back: AtomicUsize,
}

impl ReadsWrites {
    pub(super) fn new(table: LunTable) -> Self {
        Self {
            table,
            files: VolumeFiles::default(),
            volumes: Mutex::default(),
            closed: AtomicBool::new(false),
            closing: (Mutex::new(()), Condvar::new()),
            held_back: AtomicUsize::new(0),
        }
    }

    /// From now on every operation fails, as with an array that was switched off.
    pub(super) fn close(&self) {
        let guard = self
            .closing
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.closed.store(true, Ordering::SeqCst);
        self.closing.1.notify_all();
        drop(guard);
    }

    /// Runs `work` after the delay that the faults ask for. Without one it runs here and now; with
    /// one on a thread of its own, so that a slow volume holds up nobody else.
    pub(super) fn after_delay(
        self: &Arc<Self>,
        operation: LunOperation,
        range: &Range,
        work: impl FnOnce(&Self) + Send + 'static,
    ) {
        let delay = self.delay(operation, range);
        if delay.is_zero() {
            return work(self);
        }
        if self.held_back.fetch_add(1, Ordering::Relaxed) >= HELD_BACK {
            self.held_back.fetch_sub(1, Ordering::Relaxed);
            self.hold_back(delay);
            return work(self);
        }
        let own = Arc::clone(self);
        let thread = std::thread::Builder::new().name("lun-delay".to_owned());
        let spawned = thread.spawn(move || {
            own.hold_back(delay);
            work(&own);
            own.held_back.fetch_sub(1, Ordering::Relaxed);
        });
        if let Err(error) = spawned {
            // the reply inside `work` was dropped with it, which answers EIO
            self.held_back.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!(%error, "no thread for a delayed operation: answered with EIO");
        }
    }

    /// How long an operation is to be held back, by the volume that is there when it arrives.
    pub(super) fn delay(&self, operation: LunOperation, range: &Range) -> Duration {
        let faults = self.table.faults();
        if !faults.is_selective() {
            return faults.delay(operation);
        }
        match self.table.lookup(&range.host, range.number) {
            Some(lun) => faults.delay_of(operation, &lun.serial),
            None => faults.delay(operation),
        }
    }

    /// Waits for the delay, or until the file system is closed.
    fn hold_back(&self, delay: Duration) {
        let deadline = Instant::now() + delay;
        let mut guard = self
            .closing
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while !self.closed.load(Ordering::SeqCst) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            guard = self
                .closing
                .1
                .wait_timeout(guard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// The bytes of a range, cut at the volume's end.
    pub(super) fn read(&self, range: &Range) -> Result<Vec<u8>, Errno> {
        let bytes = self.on_lun(range, LunOperation::Read, |lun, file| {
            let left = lun.size.saturating_sub(range.offset);
            let length = usize::try_from(range.length.min(left)).unwrap_or(usize::MAX);
            let mut bytes = vec![0; length];
            read_sparse(file, &mut bytes, range.offset)?;
            Ok((lun.serial.clone(), bytes))
        })?;
        let (serial, bytes) = bytes;
        let length = bytes.len() as u64;
        let volume = self.volume(&serial);
        volume.reads.fetch_add(1, Ordering::Relaxed);
        volume.read_bytes.fetch_add(length, Ordering::Relaxed);
        self.table.record(LunEvent::Read(length));
        Ok(bytes)
    }

    /// Writes `data` at the range's offset. A volume does not grow: what does not fit is ENOSPC.
    pub(super) fn write(&self, range: &Range, data: &[u8]) -> Result<(), Errno> {
        let serial = self.on_lun(range, LunOperation::Write, |lun, file| {
            inside(lun, range)?;
            file.write_all_at(data, range.offset)?;
            Ok(lun.serial.clone())
        })?;
        let volume = self.volume(&serial);
        volume.writes.fetch_add(1, Ordering::Relaxed);
        volume
            .written_bytes
            .fetch_add(range.length, Ordering::Relaxed);
        self.table.record(LunEvent::Written(range.length));
        Ok(())
    }

    /// A flush: what was written is safe as far as this module promises (see its front page).
    pub(super) fn flush(&self, range: &Range) -> Result<(), Errno> {
        self.on_lun(range, LunOperation::Write, |_, _| Ok(()))?;
        self.table.record(LunEvent::Flushed);
        Ok(())
    }

    /// A discard or a write of zeroes; the bytes read as zero afterwards. Reserving space, the
    /// plain form of fallocate, has nothing to do: a volume has its size.
    pub(super) fn allocate(&self, range: &Range, mode: i32) -> Result<(), Errno> {
        let mode = FallocateFlags::from_bits(mode.cast_unsigned()).ok_or(Errno::EOPNOTSUPP)?;
        let zeroing = FallocateFlags::PUNCH_HOLE | FallocateFlags::ZERO_RANGE;
        if mode.difference(zeroing | FallocateFlags::KEEP_SIZE) != FallocateFlags::empty() {
            return Err(Errno::EOPNOTSUPP);
        }
        self.on_lun(range, LunOperation::Write, |lun, file| {
            inside(lun, range)?;
            if mode.intersects(zeroing) {
                // a hole reads as zeroes, and takes no room whichever of the two was asked for
                let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                rustix::fs::fallocate(file, hole, range.offset, range.length)?;
            }
            Ok(())
        })
    }

    /// Closes the cached data file of a volume.
    pub(super) fn forget_volume(&self, serial: &str) {
        self.files.forget(serial);
        let mut volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        volumes.remove(serial);
    }

    /// What was done on a volume.
    pub(super) fn volume_io(&self, serial: &str) -> VolumeIo {
        let volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        volumes
            .get(serial)
            .map_or_else(VolumeIo::default, |volume| VolumeIo {
                reads: volume.reads.load(Ordering::Relaxed),
                writes: volume.writes.load(Ordering::Relaxed),
                read_bytes: volume.read_bytes.load(Ordering::Relaxed),
                written_bytes: volume.written_bytes.load(Ordering::Relaxed),
            })
    }

    /// Runs one operation on the volume that the host sees now, and holds the connection for it.
    fn on_lun<T>(
        &self,
        range: &Range,
        operation: LunOperation,
        work: impl FnOnce(&Lun, &File) -> io::Result<T>,
    ) -> Result<T, Errno> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Errno::EIO);
        }
        let done = self.table.with_lun(&range.host, range.number, |lun| {
            if self.table.faults().fails(operation, &lun.serial) {
                self.table.record(LunEvent::Failed);
                return Err(Errno::EIO);
            }
            let file = self
                .files
                .get(lun)
                .map_err(|error| data_error(lun, &error))?;
            work(lun, &file).map_err(|error| data_error(lun, &error))
        });
        done.unwrap_or_else(|| {
            self.table.record(LunEvent::Refused);
            Err(Errno::EIO)
        })
    }

    fn volume(&self, serial: &str) -> Arc<VolumeCounters> {
        let mut volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        match volumes.get(serial) {
            Some(volume) => Arc::clone(volume),
            None => Arc::clone(volumes.entry(serial.to_owned()).or_default()),
        }
    }
}

/// ENOSPC unless the range lies within the volume.
fn inside(lun: &Lun, range: &Range) -> io::Result<()> {
    match range.offset.checked_add(range.length) {
        Some(end) if end <= lun.size => Ok(()),
        _ => Err(io::Error::from(rustix::io::Errno::NOSPC)),
    }
}

/// Fills `bytes` from the file; beyond the end of a sparse file there are zeroes.
fn read_sparse(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    let mut rest = bytes;
    let mut at = offset;
    while !rest.is_empty() {
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(count) => {
                at += count as u64;
                rest = rest.get_mut(count..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn data_error(lun: &Lun, error: &io::Error) -> Errno {
    tracing::warn!(serial = %lun.serial, data = %lun.data.display(), %error, "LUN data file");
    Errno::from_i32(error.raw_os_error().unwrap_or(0))
}
