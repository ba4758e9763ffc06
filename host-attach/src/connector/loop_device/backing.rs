//! What sysfs tells of loop devices, and the serial that a simulator shows beside a LUN's file.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use storage_core::{ErrorKind, Result};

use crate::device::BlockNode;
use crate::failure::{errno, error, io_error, refused};
use crate::ledger::Record;
use crate::mountinfo::DeviceNumber;

/// A serial is 24 digits; anything much longer is not one.
const SERIAL_BYTES_MAX: u64 = 256;

/// A file by its file system's number and its own: the same under every path.
pub(super) type FileId = (DeviceNumber, u64);

/// The file at a path, now; `None` when there is none, or it cannot be looked at.
pub(super) fn file_id(path: &Path) -> Option<FileId> {
    look_at(path).ok()
}

/// As [`file_id`], for whoever concludes something from its being another one.
///
/// # Errors
/// Never `FailedPrecondition`: a file that cannot be looked at is not certain to be the wrong one.
pub(super) fn look_at(path: &Path) -> Result<FileId> {
    let metadata = fs::symlink_metadata(path)
        .map_err(|source| io_error("looking at the LUN's file", path, source))?;
    Ok((DeviceNumber::from_raw(metadata.dev()), metadata.ino()))
}

/// Whether two paths may be of one LUN of one host. The kernel shows the path of a device's file
/// as the mount namespace in which it was opened had it, and only its end once that namespace is
/// gone, as a managed plugin's is when it ends.
pub(super) fn same_end(one: &Path, other: &Path) -> bool {
    let end = |path: &Path| -> Option<(OsString, OsString)> {
        let host = path.parent()?.file_name()?;
        Some((host.to_owned(), path.file_name()?.to_owned()))
    };
    end(one).is_some_and(|found| end(other) == Some(found))
}

/// A loop device that has a file.
pub(super) struct Bound {
    pub(super) node: BlockNode,
    /// The file's path when it was opened, without the kernel's ` (deleted)`.
    pub(super) backing: PathBuf,
}

/// Every loop device that has a file.
pub(super) fn bound_devices() -> Result<Vec<Bound>> {
    let mut devices = Vec::new();
    for (name, backing) in backings()? {
        match BlockNode::read(&name) {
            Ok(node) => devices.push(Bound { node, backing }),
            // Somebody let it go, or removed it altogether, since the list was read.
            Err(_gone) if backing_of(&name)?.is_none() => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(devices)
}

/// The names of all loop devices that have a file, and its path when it was opened, without the
/// kernel's ` (deleted)`. From sysfs alone: neither devices nor files are touched.
pub(super) fn backings() -> Result<Vec<(String, PathBuf)>> {
    let folder = Path::new("/sys/block");
    let failed = |source| io_error("listing block devices", folder, source);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry
            .map_err(failed)?
            .file_name()
            .to_string_lossy()
            .into_owned();
        if !name.starts_with("loop") {
            continue;
        }
        if let Some(backing) = backing_of(&name)? {
            found.push((name, backing));
        }
    }
    Ok(found)
}

/// The path of a loop device's file (`loop_attr_backing_file_show`), `None` without one.
pub(super) fn backing_of(name: &str) -> Result<Option<PathBuf>> {
    let path = Path::new("/sys/block").join(name).join("loop/backing_file");
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(clean_backing(&bytes))),
        // ENOENT: not bound. ENODEV, ENXIO: unbound while we read.
        Err(source)
            if matches!(
                errno(&source),
                Some(Errno::NOENT | Errno::NODEV | Errno::NXIO)
            ) =>
        {
            Ok(None)
        }
        Err(source) => Err(io_error("reading a loop device's file name", &path, source)),
    }
}

/// The kernel adds a newline, and ` (deleted)` once the name is gone or was made anew.
pub(super) fn clean_backing(bytes: &[u8]) -> PathBuf {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let path = line.strip_suffix(b" (deleted)").unwrap_or(line);
    PathBuf::from(OsString::from_vec(path.to_vec()))
}

pub(super) fn prove_serial(file: &Path, record: &Record) -> Result<()> {
    let serial = read_serial(file)?;
    let wanted = &record.access.identity.serial;
    if serial == *wanted {
        return Ok(());
    }
    Err(refused(format!(
        "the LUN shows the volume with serial {serial} and not {wanted}"
    ))
    .with_context("path", file.display().to_string()))
}

pub(super) fn not_connected(file: &Path) -> storage_core::Error {
    refused("the volume is not connected to this host")
        .with_context("path", file.display().to_string())
}

/// The serial beside a LUN's file, read now.
pub(super) fn read_serial(file: &Path) -> Result<String> {
    let mut name = file
        .file_name()
        .map(|name| name.as_bytes().to_vec())
        .unwrap_or_default();
    name.extend(b".serial");
    let path = file.with_file_name(OsString::from_vec(name));
    let read = File::open(&path).and_then(|opened| {
        let mut text = String::new();
        opened.take(SERIAL_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    });
    let text = read.map_err(|source| {
        let missing = source.kind() == std::io::ErrorKind::NotFound;
        let luns = file.parent().and_then(Path::parent).unwrap_or(file);
        match (missing, luns.try_exists()) {
            (true, Ok(true)) => not_connected(file),
            // Not this LUN is gone: none can be seen, which says nothing of any.
            (true, _) => error(
                ErrorKind::Unavailable,
                "the folder in which the array shows its LUNs is not there",
            )
            .with_context("path", luns.display().to_string()),
            (false, _) => io_error("reading the LUN's serial", &path, source),
        }
    })?;
    let serial = text.trim();
    if serial.is_empty() {
        return Err(
            refused("the LUN's serial is empty").with_context("path", path.display().to_string())
        );
    }
    Ok(serial.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use storage_core::ErrorKind;

    use super::{clean_backing, file_id, look_at, same_end};

    #[test]
    fn a_file_that_cannot_be_looked_at_is_not_called_the_wrong_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("7");
        let unseen = look_at(&path).unwrap_err();
        assert_ne!(unseen.kind(), ErrorKind::FailedPrecondition);
        assert_eq!(file_id(&path), None);
        std::fs::write(&path, "").unwrap();
        assert_eq!(Some(look_at(&path).unwrap()), file_id(&path));
    }

    #[test]
    fn a_lun_is_known_by_the_end_of_its_path() {
        let file = Path::new("/luns/array-1/host-a/7");
        for (other, same) in [
            ("/luns/array-1/host-a/7", true),
            ("/host-a/7", true),
            ("/luns/array-1/host-b/7", false),
            ("/host-a/8", false),
            ("/7", false),
            ("7", false),
        ] {
            assert_eq!(same_end(Path::new(other), file), same, "{other}");
        }
    }

    #[test]
    fn the_kernels_additions_to_a_path_are_taken_off() {
        for text in ["/luns/h/5", "/luns/h/5\n", "/luns/h/5 (deleted)\n"] {
            assert_eq!(clean_backing(text.as_bytes()), Path::new("/luns/h/5"));
        }
    }
}
