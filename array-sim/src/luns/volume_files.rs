//! The open data files, by volume serial: a bounded cache, so that a read costs one system call.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::lun_table::Lun;

/// Open files at most. A volume beyond that is opened again when it is used next.
const OPEN_FILES: usize = 256;

#[derive(Debug, Default)]
pub(super) struct VolumeFiles {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    files: HashMap<String, Entry>,
    /// Grows with every use; the smallest is the least recently used.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    file: Arc<File>,
    last_used: u64,
}

impl VolumeFiles {
    /// The data file of a volume, opened (and made, empty and sparse) when it was not.
    pub(super) fn get(&self, lun: &Lun) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.clock += 1;
        let now = open.clock;
        if let Some(entry) = open.files.get_mut(&lun.serial) {
            entry.last_used = now;
            return Ok(Arc::clone(&entry.file));
        }
        let file = Arc::new(
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&lun.data)?,
        );
        if open.files.len() >= OPEN_FILES {
            let oldest = open.files.iter().min_by_key(|(_, entry)| entry.last_used);
            if let Some(oldest) = oldest.map(|(serial, _)| serial.clone()) {
                open.files.remove(&oldest);
            }
        }
        let entry = Entry {
            file: Arc::clone(&file),
            last_used: now,
        };
        open.files.insert(lun.serial.clone(), entry);
        Ok(file)
    }

    /// Closes a volume's file; the next use opens what is there then.
    pub(super) fn forget(&self, serial: &str) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.files.remove(serial);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .files
            .len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let files = VolumeFiles::default();
        let lun = |n: usize| Lun::new(format!("S{n}"), folder.path().join(n.to_string()), 1);
        let first = files.get(&lun(0)).unwrap();
        for number in 1..OPEN_FILES + 10 {
            drop(files.get(&lun(number)).unwrap());
            assert!(Arc::ptr_eq(&first, &files.get(&lun(0)).unwrap()));
        }
        assert_eq!(files.len(), OPEN_FILES);
        files.forget("S0");
        assert!(!Arc::ptr_eq(&first, &files.get(&lun(0)).unwrap()));
    }
}
