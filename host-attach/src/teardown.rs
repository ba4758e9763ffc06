//! Taking a volume down: sync and look at the result, unmount, see that nobody else holds it,
//! remove the device, see it gone. Nothing is forced; what is in the way is named.
//!
//! A file system whose grant is over is shut down before it is unmounted, so that neither file
//! data nor its journal reaches the device any more. ext4 keeps metadata that it has committed
//! before in the device's own page cache, and the kernel writes that back at the unmount: it is
//! dropped only if the device answers with errors by then. That is why a fenced volume is taken
//! down *before* anything is published to this host again (prepare, and `heal` from time to
//! time). XFS has no such remainder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use storage_core::{AttachmentState, ErrorKind, Outcome, Result, VolumeId};

use crate::blocking::{Progress, poll_until};
use crate::device::BlockNode;
use crate::failure::{error, io_error, refused};
use crate::ledger::{FormatPhase, Intent, Key, Record};
use crate::machine::Machine;
use crate::mount::{mounts_at, open_root, remove_mountpoint, unmount_all};
use crate::mountinfo::{DeviceNumber, ForeignMount, MountEntry, foreign_mounts, own_mounts};
use crate::reconcile::certainly_wrong;
use crate::steps::Step;
use crate::sys;

/// How long a superblock may live on after the last unmount (a probe of udev, a closing file).
const SUPERBLOCK_PATIENCE: Duration = Duration::from_secs(3);
const SUPERBLOCK_INTERVAL: Duration = Duration::from_millis(5);

/// How long copies of a mount in other namespaces are waited out.
const OTHERS_PATIENCE: Duration = Duration::from_secs(3);
const OTHERS_INTERVAL: Duration = Duration::from_millis(25);

/// What becomes of data that is not written yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is written back, once nobody else uses it: the device is the volume under its own grant,
    /// or cannot be asked.
    Flush,
    /// It must not be written: the grant is certainly over, or the device shows another volume.
    Discard,
}

/// Who has a device's file system mounted.
struct Users {
    ours: Vec<MountEntry>,
    /// In this namespace, at another place.
    elsewhere: Vec<MountEntry>,
    /// In other namespaces, and not going away with ours.
    foreign: Vec<ForeignMount>,
}

impl Users {
    fn of(device: DeviceNumber, mountpoint: &Path) -> Result<Self> {
        let mounts = own_mounts()?
            .into_iter()
            .filter(|entry| entry.device == device);
        let (ours, elsewhere): (Vec<_>, Vec<_>) =
            mounts.partition(|entry| entry.target == mountpoint);
        // A namespace that receives our mounts receives our unmount too.
        let follows =
            |entry: &MountEntry| ours.iter().any(|own| !own.peers.is_disjoint(&entry.peers));
        let foreign = foreign_mounts(device)
            .into_iter()
            .filter(|found| !follows(&found.entry))
            .collect();
        Ok(Self {
            ours,
            elsewhere,
            foreign,
        })
    }

    /// `Busy` if anybody but us has it.
    fn only_us(&self, name: &str) -> Result<()> {
        let elsewhere = self
            .elsewhere
            .iter()
            .map(|entry| format!("it is also mounted at {}", entry.target.display()));
        let others: Vec<String> = elsewhere
            .chain(self.foreign.iter().map(ToString::to_string))
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        Err(error(
            ErrorKind::Busy,
            format!("the file system on {name} is in use: {}", others.join("; ")),
        ))
    }

    /// Ways to the root of the file system, wherever it is visible.
    fn roots(&self) -> Vec<MountEntry> {
        let own = self.ours.iter().chain(&self.elsewhere).cloned();
        let foreign = self.foreign.iter().map(|found| {
            let below = found
                .entry
                .target
                .strip_prefix("/")
                .unwrap_or(&found.entry.target);
            let target = PathBuf::from(format!("/proc/{}/root", found.pid)).join(below);
            MountEntry {
                target,
                ..found.entry.clone()
            }
        });
        own.chain(foreign).collect()
    }
}

impl Machine {
    /// The whole of detaching. Blocking.
    pub(crate) fn detach(&self, volume: &VolumeId, progress: &Progress) -> Result<Outcome<()>> {
        progress.set("looking at the host");
        let Some(mut record) = self.load(volume)? else {
            return Ok(Outcome::AlreadySo(()));
        };
        let view = self.view(&record)?;
        if view.is_empty() && matches!(record.intent, Intent::Released | Intent::Forgotten) {
            return Ok(Outcome::AlreadySo(()));
        }
        if view.mode() == Mode::Flush {
            // Before anything is changed, the record included.
            for node in &view.devices {
                wait_for_others(node.number, &node.name, &record.mountpoint)?;
            }
        }
        if view.mounted.is_some() && !view.proven() {
            tracing::error!(volume = %volume, "DATA LOSS POSSIBLE: the volume was taken away, or does not answer, while it is mounted; what cannot be written is dropped");
        }
        progress.set("syncing, unmounting and removing the device");
        self.release(&mut record, view.mode())?;
        Ok(Outcome::Done(()))
    }

    /// Drops the record of a released volume.
    pub(crate) fn forget(&self, volume: &VolumeId) -> Result<()> {
        let Some(mut record) = self.load(volume)? else {
            return Ok(());
        };
        if record.intent == Intent::Forgotten {
            return Ok(());
        }
        if self.state(&record, true)? != AttachmentState::Released {
            return Err(
                refused("the volume is not released on this host; detach it first")
                    .with_context("volume", volume.to_string()),
            );
        }
        if matches!(record.format, FormatPhase::Began { .. }) {
            record.intent = Intent::Forgotten;
            return self.store(&record);
        }
        self.steps
            .run(Step::Forget, || self.ledger.remove(&Key::of(volume)))
    }

    /// Takes down everything of the record that is on the host.
    ///
    /// # Errors
    /// `Busy` with who holds it; what was done by then stays done, and the next call goes on.
    pub(crate) fn teardown(&self, record: &Record, mode: Mode) -> Result<()> {
        let connector = self.connector_of(record)?;
        let devices = connector.owned(record)?;
        for node in &devices {
            self.release_filesystem(record, node, mode)?;
        }
        // A mount whose device is not known any more. It can be of any file system, so it is not
        // shut down; if it is all of one, it may have been ours, and others may use it.
        for entry in mounts_at(&record.mountpoint)? {
            if entry.root == Path::new("/") {
                let name = format!("{}:{}", entry.device.major, entry.device.minor);
                wait_for_others(entry.device, &name, &record.mountpoint)?;
            }
        }
        self.unmount(record)?;
        if record.mountpoint.exists() {
            self.steps.run(Step::RemoveMountpoint, || {
                remove_mountpoint(&record.mountpoint)
            })?;
        }
        for node in &devices {
            self.steps
                .run(Step::Disconnect, || connector.disconnect(record, node))?;
        }
        Ok(())
    }

    /// Unmounts one device's file system and sees its superblock gone.
    fn release_filesystem(&self, record: &Record, node: &BlockNode, mode: Mode) -> Result<()> {
        if mode == Mode::Discard {
            if !certainly_wrong(self.connector_of(record)?, record, node) {
                wait_for_others(node.number, &node.name, &record.mountpoint)?;
            }
            let roots = Users::of(node.number, &record.mountpoint)?.roots();
            self.shut_down(&roots)?;
        }
        let users = wait_for_others(node.number, &node.name, &record.mountpoint)?;
        if mode == Mode::Flush
            && let Some(entry) = users.ours.last()
        {
            self.steps.run(Step::Sync, || sync(record, entry))?;
        }
        self.unmount(record)?;
        let gone = poll_until(SUPERBLOCK_PATIENCE, SUPERBLOCK_INTERVAL, || {
            Ok((!node.superblock_alive()).then_some(()))
        })?;
        if gone.is_some() {
            return Ok(());
        }
        Users::of(node.number, &record.mountpoint)?.only_us(&node.name)?;
        Err(error(
            ErrorKind::Busy,
            format!(
                "the file system on {} is still alive: lazily unmounted, or held by an open file",
                node.name
            ),
        ))
    }

    fn unmount(&self, record: &Record) -> Result<()> {
        if mounts_at(&record.mountpoint)?.is_empty() {
            return Ok(());
        }
        self.steps
            .run(Step::Unmount, || unmount_all(&record.mountpoint))
    }

    /// Stops a file system for good, so that nothing written under an old grant reaches the
    /// device under a new one. Programs that use it get errors from here on.
    fn shut_down(&self, roots: &[MountEntry]) -> Result<()> {
        let Some(entry) = roots.first() else {
            return Ok(());
        };
        self.steps.run(Step::ShutDown, || {
            let stopped = open_root(entry).and_then(|root| {
                sys::shut_down_filesystem(&root).map_err(|source| {
                    io_error("shutting the file system down", &entry.target, source)
                })
            });
            if let Err(failure) = stopped {
                // EIO: it has stopped by itself. Anything else: it still has to be unmounted.
                tracing::warn!(error = %failure.chain(), "the file system could not be shut down");
            }
            Ok(())
        })
    }
}

/// The users once nobody but us is left. A container that starts anywhere on the machine holds a
/// copy of every mount for a moment, so others are waited out before they are named.
fn wait_for_others(device: DeviceNumber, name: &str, mountpoint: &Path) -> Result<Users> {
    let alone = poll_until(OTHERS_PATIENCE, OTHERS_INTERVAL, || {
        let users = Users::of(device, mountpoint)?;
        Ok(users.only_us(name).is_ok().then_some(users))
    })?;
    if let Some(users) = alone {
        return Ok(users);
    }
    let users = Users::of(device, mountpoint)?;
    users.only_us(name)?;
    Ok(users)
}

/// Writes back and looks at the result: umount(2) succeeds although writes were lost.
fn sync(record: &Record, entry: &MountEntry) -> Result<()> {
    let root = match open_root(entry) {
        // XFS that has stopped by itself does not even open: there is nothing to write any more.
        Err(failure) if failure.kind() == ErrorKind::Unavailable => {
            tracing::error!(
                volume = %record.volume(),
                error = %failure.chain(),
                "DATA LOSS POSSIBLE: the file system does not answer, so nothing could be written before the unmount"
            );
            return Ok(());
        }
        opened => opened?,
    };
    if let Err(source) = rustix::fs::syncfs(&root) {
        tracing::error!(
            volume = %record.volume(),
            path = %entry.target.display(),
            error = %source,
            "DATA LOSS POSSIBLE: not everything could be written before the unmount"
        );
    }
    Ok(())
}
