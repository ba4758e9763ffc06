//! Mounting and unmounting by system calls, on folders that are ours alone.
//!
//! Below one folder of mode 0700 each volume has an empty folder of mode 000, so that a missing
//! mount fails loudly rather than filling the machine's own disk. Targets are opened without
//! following links and mounted on through the descriptor. Propagation is left as it is: a mount
//! is visible to whoever shares this process's mount namespace, as a container engine must.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use storage_core::{ErrorKind, Filesystem, FilesystemSpec, Result, VolumeName};

use crate::blocking::poll_until;
use crate::device::BlockNode;
use crate::failure::{call_error, error, io_error, refused};
use crate::ledger::{Key, make_private_folder};
use crate::mountinfo::{DeviceNumber, MountEntry, own_mounts, users_of};

/// Readable part of a folder's name.
const STEM_CHARS_MAX: usize = 40;

/// How long somebody's passing use of a mount is waited out.
const BUSY_PATIENCE: Duration = Duration::from_secs(2);
const BUSY_INTERVAL: Duration = Duration::from_millis(20);

/// Mounts of one volume on top of each other that are taken away.
const STACKED_MAX: usize = 16;

/// How many users of a busy mount a message names.
const USERS_NAMED_MAX: usize = 8;

/// The folder below which volumes are mounted.
#[derive(Debug)]
pub(crate) struct MountFolder {
    folder: PathBuf,
}

impl MountFolder {
    /// Makes the folder if it is not there.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        make_private_folder(folder)?;
        // The kernel's table shows resolved paths.
        let folder = fs::canonicalize(folder)
            .map_err(|source| io_error("resolving the mount folder", folder, source))?;
        Ok(Self { folder })
    }

    /// Whether a mount point is one of this folder.
    pub(crate) fn has(&self, mountpoint: &Path) -> bool {
        mountpoint.parent() == Some(self.folder.as_path())
    }

    /// Where a volume is to be mounted.
    pub(crate) fn mountpoint(&self, name: &VolumeName, key: &Key) -> PathBuf {
        let stem: String = name
            .as_str()
            .chars()
            .take(STEM_CHARS_MAX)
            .map(|c| {
                if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        self.folder.join(format!("{stem}-{}", key.short()))
    }
}

/// Sees that nothing is mounted where a volume is to be mounted.
///
/// # Errors
/// `FailedPrecondition` with what is there.
pub(crate) fn refuse_strange_mount(path: &Path) -> Result<()> {
    if let Some(entry) = mounts_at(path)?.last() {
        let DeviceNumber { major, minor } = entry.device;
        return Err(refused(format!("something that the ledger does not know is mounted there ({} from the device {major}:{minor}); see what it is, and unmount it if nothing uses it", entry.kind))
            .with_context("path", path.display().to_string()));
    }
    Ok(())
}

/// Makes the empty folder to mount on, or takes the one that is there.
///
/// # Errors
/// `FailedPrecondition` when something lies in it: it was written while nothing was mounted.
pub(crate) fn make_mountpoint(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Err(source) if source.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(io_error("making the mount point", path, source));
        }
        _ => {}
    }
    let folder = open_folder(path, OFlags::empty())?;
    let mut entries =
        fs::read_dir(path).map_err(|source| io_error("reading the mount point", path, source))?;
    if entries.next().is_some() {
        return Err(refused("the mount point is not empty; move away what was written there while the volume was not mounted")
            .with_context("path", path.display().to_string()));
    }
    folder
        .set_permissions(fs::Permissions::from_mode(0o000))
        .map_err(|source| io_error("closing the mount point", path, source))
}

/// Removes the empty folder; a folder with something in it stays.
pub(crate) fn remove_mountpoint(path: &Path) -> Result<()> {
    match fs::remove_dir(path) {
        Ok(()) => Ok(()),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) if source.kind() == std::io::ErrorKind::DirectoryNotEmpty => {
            tracing::warn!(path = %path.display(), "the mount point is not empty and stays");
            Ok(())
        }
        Err(source) => Err(io_error("removing the mount point", path, source)),
    }
}

fn open_folder(path: &Path, flags: OFlags) -> Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::DIRECTORY;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|source| io_error("opening the mount point", path, source))
}

/// Mounts the device and sees that exactly this device is there.
pub(crate) fn mount_device(node: &BlockNode, path: &Path, spec: &FilesystemSpec) -> Result<()> {
    let kind = kernel_name(spec.kind)?;
    spec.check_mount_options().map_err(|source| {
        refused("the volume's record has mount options that are not allowed").with_source(source)
    })?;
    let (flags, data) = split_options(&spec.mount_options);
    let data = CString::new(data).map_err(|source| {
        error(
            ErrorKind::InvalidArgument,
            "a mount option has a NUL character",
        )
        .with_source(source)
    })?;
    let target = open_folder(path, OFlags::PATH)?;
    let through = format!("/proc/self/fd/{}", target.as_raw_fd());
    mount(node.path(), &through, kind, flags, data.as_c_str()).map_err(|source| {
        let hint = match source {
            // EUCLEAN: the kernel's word for a damaged file system.
            Errno::UCLEAN => "; it is damaged and needs a person",
            Errno::INVAL => "; the kernel's log says more (an unknown option, or a UUID that is mounted already)",
            _ => "",
        };
        call_error(format_args!("mounting {kind} from {}{hint}", node.name), source).with_context("path", path.display().to_string())
    })?;
    drop(target);
    match mounts_at(path)?.last() {
        Some(entry) if entry.device == node.number => Ok(()),
        other => Err(refused(format!(
            "after the mount, something else is there: {other:?}"
        ))),
    }
}

/// What is mounted exactly there, the visible one last.
pub(crate) fn mounts_at(path: &Path) -> Result<Vec<MountEntry>> {
    Ok(own_mounts()?
        .into_iter()
        .filter(|entry| entry.target == path)
        .collect())
}

/// Opens the root of a mounted file system, for syncing it or shutting it down.
pub(crate) fn open_root(entry: &MountEntry) -> Result<File> {
    let root = open_folder(&entry.target, OFlags::empty())?;
    let metadata = root
        .metadata()
        .map_err(|source| io_error("looking at the mount", &entry.target, source))?;
    let device = DeviceNumber::from_raw(metadata.dev());
    if device == entry.device {
        return Ok(root);
    }
    Err(refused("another file system is mounted on top")
        .with_context("path", entry.target.display().to_string()))
}

/// Unmounts until nothing is left there. Never forced, never lazy.
///
/// # Errors
/// `Busy`, with the processes that use it, where they can be seen.
pub(crate) fn unmount_all(path: &Path) -> Result<()> {
    for _layer in 0..STACKED_MAX {
        if mounts_at(path)?.is_empty() {
            return Ok(());
        }
        let done = poll_until(BUSY_PATIENCE, BUSY_INTERVAL, || {
            match unmount(path, UnmountFlags::NOFOLLOW) {
                // EINVAL: not a mount (any more); the table decides.
                Ok(()) | Err(Errno::INVAL) => Ok(Some(())),
                Err(Errno::BUSY) => Ok(None),
                Err(source) => Err(io_error("unmounting", path, source)),
            }
        })?;
        if done.is_none() {
            let users = users_of(path, USERS_NAMED_MAX);
            let users = if users.is_empty() {
                "somebody who cannot be seen".to_owned()
            } else {
                users.join(", ")
            };
            return Err(
                error(ErrorKind::Busy, format!("the mount is in use by {users}"))
                    .with_context("path", path.display().to_string()),
            );
        }
    }
    if mounts_at(path)?.is_empty() {
        return Ok(());
    }
    Err(error(ErrorKind::Busy, "mounts keep appearing there")
        .with_context("path", path.display().to_string()))
}

/// Whether the mounted file system still works, as far as it tells without being written to.
/// `ask_device` also has it flush, which a file system that was shut down or lost its device
/// refuses.
pub(crate) fn is_healthy(entry: &MountEntry, spec: &FilesystemSpec, ask_device: bool) -> bool {
    let wants_read_only = spec.mount_options.iter().any(|option| option == "ro");
    let broken = entry.super_options.split(',').any(|option| match option {
        "ro" => !wants_read_only,
        "shutdown" | "emergency_ro" => true,
        _ => false,
    });
    if broken {
        return false;
    }
    let Ok(root) = open_root(entry) else {
        return false;
    };
    let readable = fs::read_dir(&entry.target)
        .is_ok_and(|mut entries| !matches!(entries.next(), Some(Err(_))));
    readable && (!ask_device || root.sync_all().is_ok())
}

/// The kernel's name of a file system.
pub(crate) fn kernel_name(kind: Filesystem) -> Result<&'static str> {
    match kind {
        Filesystem::Ext4 => Ok("ext4"),
        Filesystem::Xfs => Ok("xfs"),
        other => Err(error(
            ErrorKind::Unsupported,
            format!("this build does not mount {other:?}"),
        )),
    }
}

/// Options as mount(2) wants them: its own flags, and the rest for the file system.
fn split_options(options: &[String]) -> (MountFlags, String) {
    let mut flags = MountFlags::empty();
    let mut data = Vec::new();
    for option in options
        .iter()
        .flat_map(|text| text.split(','))
        .map(str::trim)
    {
        let flag = match option {
            "ro" => MountFlags::RDONLY,
            "nosuid" => MountFlags::NOSUID,
            "nodev" => MountFlags::NODEV,
            "noexec" => MountFlags::NOEXEC,
            "sync" => MountFlags::SYNCHRONOUS,
            "dirsync" => MountFlags::DIRSYNC,
            "noatime" => MountFlags::NOATIME,
            "nodiratime" => MountFlags::NODIRATIME,
            "relatime" => MountFlags::RELATIME,
            "strictatime" => MountFlags::STRICTATIME,
            "lazytime" => MountFlags::LAZYTIME,
            // mount(8)'s names for what is so anyway.
            "" | "rw" | "suid" | "dev" | "exec" | "async" | "atime" | "diratime" | "defaults"
            | "nolazytime" => MountFlags::empty(),
            other => {
                data.push(other);
                MountFlags::empty()
            }
        };
        flags |= flag;
    }
    (flags, data.join(","))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rustix::mount::MountFlags;

    use super::{make_mountpoint, remove_mountpoint, split_options};

    #[test]
    fn options_are_split_into_flags_and_data() {
        let options = [
            "noatime,rw".to_owned(),
            "data=ordered".to_owned(),
            "discard".to_owned(),
        ];
        let (flags, data) = split_options(&options);
        assert_eq!(flags, MountFlags::NOATIME);
        assert_eq!(data, "data=ordered,discard");
    }

    #[test]
    fn a_mount_point_is_closed_empty_and_not_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v");
        make_mountpoint(&path).unwrap();
        make_mountpoint(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0
        );
        std::fs::write(path.join("f"), "x").unwrap();
        assert!(
            make_mountpoint(&path)
                .unwrap_err()
                .message()
                .contains("not empty")
        );
        remove_mountpoint(&path).unwrap();
        assert!(path.exists());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/", &link).unwrap();
        assert!(make_mountpoint(&link).is_err());
    }
}
