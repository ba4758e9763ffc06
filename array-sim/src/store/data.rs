//! The bytes of volumes and snapshots: one sparse file for each serial.
//!
//! A file may be shorter than its volume: what is missing reads as zeros. So a volume of 4 PiB
//! costs an empty file, on every file system.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{SeekFrom, copy_file_range, ioctl_ficlone, seek};
use rustix::io::Errno;

/// A copy that is complete, and is to be put in place of the volume of that serial.
const STAGED: &str = "staged";
/// A copy that is being made.
const PARTIAL: &str = "partial";

#[derive(Debug)]
pub(crate) struct DataFiles {
    folder: PathBuf,
}

impl DataFiles {
    /// Opens the folder, drops what belongs to nobody, and finishes what was begun.
    pub(crate) fn open(folder: PathBuf, serials: &HashSet<String>) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let files = Self { folder };
        for entry in fs::read_dir(&files.folder)? {
            let path = entry?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let known = stem.is_some_and(|stem| serials.contains(stem));
            match path.extension().and_then(|extension| extension.to_str()) {
                None if known => {}
                // The copy is whole. Whether its request was recorded or not, nobody was told
                // that it was not, so it may happen now.
                Some(STAGED) if known => {}
                _ => fs::remove_file(&path)?,
            }
        }
        for serial in serials {
            files.finish(serial)?;
            files.create(serial)?;
        }
        Ok(files)
    }

    pub(crate) fn path(&self, serial: &str) -> PathBuf {
        self.folder.join(serial)
    }

    fn side_path(&self, serial: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{serial}.{extension}"))
    }

    /// An empty file, unless there is one.
    pub(crate) fn create(&self, serial: &str) -> io::Result<()> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(serial))
            .map(drop)
    }

    pub(crate) fn copy(&self, from: &str, to: &str) -> io::Result<()> {
        copy_sparse(&self.path(from), &self.path(to))
    }

    /// Makes the copy that [`DataFiles::finish`] puts in place.
    pub(crate) fn stage(&self, from: &str, to: &str) -> io::Result<()> {
        let partial = self.side_path(to, PARTIAL);
        copy_sparse(&self.path(from), &partial)?;
        fs::rename(partial, self.side_path(to, STAGED))
    }

    /// Puts a staged copy in place. The file keeps its identity, because the data path may have
    /// it open. Does nothing if nothing is staged.
    pub(crate) fn finish(&self, serial: &str) -> io::Result<()> {
        let staged = self.side_path(serial, STAGED);
        if !staged.exists() {
            return Ok(());
        }
        copy_sparse(&staged, &self.path(serial))?;
        fs::remove_file(staged)
    }

    pub(crate) fn truncate(&self, serial: &str, size: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path(serial))?;
        if file.metadata()?.len() > size {
            file.set_len(size)?;
        }
        Ok(())
    }

    pub(crate) fn remove(&self, serial: &str) -> io::Result<()> {
        for path in [
            self.path(serial),
            self.side_path(serial, STAGED),
            self.side_path(serial, PARTIAL),
        ] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Bytes that the file occupies; 0 if it cannot be looked at.
    pub(crate) fn used_bytes(&self, serial: &str) -> u64 {
        // st_blocks counts units of 512 bytes whatever the block size (stat(2)).
        fs::metadata(self.path(serial)).map_or(0, |metadata| metadata.blocks() * 512)
    }
}

/// Makes `to` a copy of `from`, sharing blocks where the file system can, and otherwise keeping
/// holes.
fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    let source = match File::open(from) {
        Ok(source) => source,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return File::create(to).map(drop);
        }
        Err(error) => return Err(error),
    };
    let target = File::create(to)?;
    if ioctl_ficlone(&target, &source).is_ok() {
        return Ok(());
    }
    let length = source.metadata()?.len();
    let mut at = 0;
    while at < length {
        // ENXIO: no data from here to the end (lseek(2)).
        let data = match seek(&source, SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = seek(&source, SeekFrom::Hole(data))?;
        copy_range(&source, &target, data..end)?;
        at = end;
    }
    target.set_len(length)
}

fn copy_range(source: &File, target: &File, range: std::ops::Range<u64>) -> io::Result<()> {
    let (mut read, mut write) = (range.start, range.start);
    while read < range.end {
        let left = usize::try_from(range.end - read).unwrap_or(1 << 30);
        let copied = copy_file_range(
            source,
            Some(&mut read),
            target,
            Some(&mut write),
            left.min(1 << 30),
        )?;
        if copied == 0 {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _, Write as _};

    use super::*;

    #[test]
    fn copies_keep_bytes_and_holes() {
        let folder = tempfile::tempdir().unwrap();
        let files = DataFiles::open(folder.path().to_owned(), &HashSet::new()).unwrap();
        files.create("A").unwrap();
        let mut file = OpenOptions::new()
            .write(true)
            .open(files.path("A"))
            .unwrap();
        file.seek(io::SeekFrom::Start(64 << 20)).unwrap();
        file.write_all(b"far out").unwrap();
        drop(file);
        files.copy("A", "B").unwrap();
        assert!(files.used_bytes("B") < 1 << 20, "the hole was filled");
        let mut copy = File::open(files.path("B")).unwrap();
        copy.seek(io::SeekFrom::Start(64 << 20)).unwrap();
        let mut text = String::new();
        copy.read_to_string(&mut text).unwrap();
        assert_eq!(text, "far out");
    }

    #[test]
    fn a_staged_copy_is_finished_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let serials: HashSet<String> = ["A", "B"].map(str::to_owned).into();
        let files = DataFiles::open(folder.path().to_owned(), &serials).unwrap();
        fs::write(files.path("A"), b"new").unwrap();
        fs::write(files.path("B"), b"old and longer").unwrap();
        fs::write(files.path("C"), b"an orphan").unwrap();
        files.stage("A", "B").unwrap();
        drop(files);
        let files = DataFiles::open(folder.path().to_owned(), &serials).unwrap();
        assert_eq!(fs::read(files.path("B")).unwrap(), b"new");
        assert!(!files.path("C").exists());
    }
}
