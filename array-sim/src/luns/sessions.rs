//! Mounts and unmounts: the life of one LUN folder.
//!
//! The mount is made by mount(2) on our own `/dev/fuse` handle, without the set-uid helper: the
//! simulator runs as root anyway when loop devices are to read its files, and unmounting must be
//! lazy, which the helper's library does not offer to root (a file that a loop device holds open
//! makes a plain unmount fail).

use std::ffi::CString;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use fuser::{BackgroundSession, Config, Session, SessionACL};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use super::filesystem::LunFilesystem;
use super::reads_writes::{ReadsWrites, VolumeIo};
use crate::lun_table::LunTable;

/// Threads that serve one array. Held-back operations have their own.
const THREADS: usize = 4;
/// Dead mounts of predecessors on one folder, one over the other, that are cleaned at most.
const STALE_MOUNTS: usize = 16;
/// How long unmounting waits for the last open file.
const UNMOUNT_TIMEOUT: Duration = Duration::from_secs(5);

/// A mounted LUN folder. Dropping it unmounts.
#[derive(Debug)]
pub struct LunMount {
    folder: PathBuf,
    data: Arc<ReadsWrites>,
    session: Option<BackgroundSession>,
    ended: Receiver<()>,
}

/// Mounts the LUNs of `table` on `folder`, which is made (mode 0700) if it is not there. What a
/// killed predecessor left mounted there is cleaned first.
///
/// # Errors
/// `ResourceBusy` when a living simulator serves this folder; otherwise what the kernel says:
/// `PermissionDenied` without root, `NotFound` without `/dev/fuse`.
pub fn mount(table: LunTable, folder: &Path) -> io::Result<LunMount> {
    clean_stale(folder)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let folder = folder.canonicalize()?;
    refuse_mounted(&folder)?;

    let data = Arc::new(ReadsWrites::new(table));
    let (alive, ended) = channel();
    let filesystem = LunFilesystem::new(Arc::clone(&data), alive);
    let device = mount_device(&folder)?;
    let session = serve(filesystem, device).inspect_err(|_| {
        if let Err(error) = detach(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "clean a failed mount");
        }
    })?;
    tracing::info!(folder = %folder.display(), "LUN folder mounted");
    Ok(LunMount {
        folder,
        data,
        session: Some(session),
        ended,
    })
}

impl LunMount {
    /// The folder, absolute and without symbolic links.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was read and written on the volume `serial` since the mount.
    #[must_use]
    pub fn volume_io(&self, serial: &str) -> VolumeIo {
        self.data.volume_io(serial)
    }

    /// Closes the data file of a volume and forgets its counters: to be called when the volume is
    /// eradicated, or when its data file was replaced by another (a rename onto its path). Safe
    /// at any time; the next operation opens the file that is there then.
    pub fn forget_volume(&self, serial: &str) {
        self.data.forget_volume(serial);
    }

    /// Unmounts. Handles that are still open get an I/O error from now on, as from an array that
    /// was switched off, and the folder is free at once.
    ///
    /// # Errors
    /// `ResourceBusy` when files (say, loop devices) are still open after 5 s: the kernel then
    /// ends the file system when the last one is closed. Otherwise what umount(2) says.
    pub fn unmount(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(session) = self.session.take() else {
            return Ok(());
        };
        self.data.close();
        detach(&self.folder)?;
        match self.ended.recv_timeout(UNMOUNT_TIMEOUT) {
            Err(RecvTimeoutError::Timeout) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "LUN files are still open (loop devices?); every operation on them now fails",
            )),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => session.join(),
        }
    }
}

impl Drop for LunMount {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(folder = %self.folder.display(), %error, "unmount the LUN folder");
        }
    }
}

/// Opens `/dev/fuse` and mounts it on the folder.
pub(super) fn mount_device(folder: &Path) -> io::Result<OwnedFd> {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")?;
    // rootmode is the root's file type in octal: a folder
    let options = format!(
        "fd={},rootmode=40000,user_id={},group_id={}",
        device.as_raw_fd(),
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let options = CString::new(options)?;
    rustix::mount::mount(
        "array-sim",
        folder,
        "fuse.array-sim",
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME,
        options.as_c_str(),
    )?;
    Ok(device.into())
}

fn serve(filesystem: LunFilesystem, device: OwnedFd) -> io::Result<BackgroundSession> {
    let mut config = Config::default();
    config.n_threads = Some(THREADS);
    config.clone_fd = true;
    Session::from_fd(filesystem, device, SessionACL::Owner, config)?.spawn()
}

/// Takes dead mounts off the folder: ENOTCONN is what a FUSE mount answers whose server is gone.
fn clean_stale(folder: &Path) -> io::Result<()> {
    for _ in 0..STALE_MOUNTS {
        match rustix::fs::stat(folder) {
            Err(Errno::NOTCONN | Errno::CONNABORTED) => {
                tracing::info!(folder = %folder.display(), "unmount a dead LUN folder");
                detach(folder)?;
            }
            Ok(_) | Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::ResourceBusy,
        format!(
            "{STALE_MOUNTS} dead mounts taken off {} and still one left",
            folder.display()
        ),
    ))
}

/// A second simulator over the folder of a living one would hide its LUNs.
fn refuse_mounted(folder: &Path) -> io::Result<()> {
    let own = std::fs::metadata(folder)?.dev();
    let parent = folder.parent().map(std::fs::metadata).transpose()?;
    if parent.is_some_and(|parent| parent.dev() != own) && is_fuse(folder)? {
        return Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            format!(
                "{} is mounted already: does another simulator serve it?",
                folder.display()
            ),
        ));
    }
    Ok(())
}

fn is_fuse(folder: &Path) -> io::Result<bool> {
    /// `FUSE_SUPER_MAGIC` of linux/magic.h.
    const FUSE: u32 = 0x6573_5546;
    // the field's type differs between architectures, the 32 bits do not
    let kind = rustix::fs::statfs(folder)?.f_type;
    Ok(u32::try_from(kind).is_ok_and(|kind| kind == FUSE))
}

/// Unmounts lazily; a folder that is not mounted (any more) is fine.
fn detach(folder: &Path) -> io::Result<()> {
    match rustix::mount::unmount(folder, UnmountFlags::DETACH) {
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
