//! A copied XFS gets a UUID of its own, before it is mounted for the first time.
//!
//! The kernel refuses two mounted XFS of one UUID (`xfs_uuid_mount`), and a volume and its copy may
//! meet on one host. ext4 has no such rule, and its copies keep their UUID. What is to be done is
//! seen on the device each time: nothing here depends on how far an earlier attach came.

use std::time::Duration;

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};
use storage_core::{ErrorKind, Filesystem, Result};

use crate::blocking::poll_until;
use crate::connector::Connector;
use crate::device::VerifiedDevice;
use crate::failure::{call_error, error};
use crate::filesystem;
use crate::ledger::Record;
use crate::machine::Machine;
use crate::steps::Step;

/// A file system whose last mount went is shut down in the background (`deactivate_super`).
const GONE_PATIENCE: Duration = Duration::from_secs(30);
const GONE_INTERVAL: Duration = Duration::from_millis(10);

/// Whether the copy on the device still has its source's UUID.
///
/// # Errors
/// When the device cannot be read.
pub(crate) fn is_wanted(record: &Record, device: &VerifiedDevice) -> Result<bool> {
    match record.fresh_uuid {
        Some(uuid) if record.filesystem.kind == Filesystem::Xfs => {
            Ok(!filesystem::xfs_has_uuid(device, uuid)?)
        }
        _ => Ok(false),
    }
}

/// Sees to it that a copied XFS has the UUID that was chosen when the copy was made.
///
/// # Errors
/// When the log cannot be replayed (the kernel's words) or the UUID not be set (the tool's).
pub(crate) fn ensure(
    machine: &Machine,
    connector: &dyn Connector,
    record: &Record,
    device: &VerifiedDevice,
) -> Result<()> {
    let Some(uuid) = record.fresh_uuid else {
        return Ok(());
    };
    if !is_wanted(record, device)? {
        return Ok(());
    }
    tracing::info!(volume = %record.volume(), %uuid, "a copied file system gets its own UUID");
    machine.steps.run(Step::Replay, || {
        device.verify_again(connector, record)?;
        if filesystem::xfs_renew_was_cut_off(device)? {
            tracing::warn!(volume = %record.volume(), "an earlier attempt was cut off in the log, which is made anew");
            return filesystem::xfs_new_log(&machine.runner, device);
        }
        replay(device)
    })?;
    machine.steps.run(Step::Renew, || {
        device.verify_again(connector, record)?;
        filesystem::xfs_renew(&machine.runner, device, uuid)
    })
}

/// Replays the log as only a mount does. The mount is never attached to a folder: nobody can reach
/// it, and it ends with this process at the latest. Read-only, XFS still replays its log
/// (xfs(5), `norecovery`).
fn replay(device: &VerifiedDevice) -> Result<()> {
    let failed = |source| call_error("replaying the log of the copied file system", source);
    let context = fsopen("xfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed)?;
    fsconfig_set_string(&context, "source", device.node().path()).map_err(failed)?;
    fsconfig_set_flag(&context, "ro").map_err(failed)?;
    fsconfig_set_flag(&context, "nouuid").map_err(failed)?;
    fsconfig_create(&context).map_err(failed)?;
    let mount = fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )
    .map_err(failed)?;
    drop(mount);
    drop(context);
    let gone = poll_until(GONE_PATIENCE, GONE_INTERVAL, || {
        Ok((!device.node().superblock_alive()).then_some(()))
    })?;
    gone.ok_or_else(|| {
        error(
            ErrorKind::Timeout,
            "the copied file system is still busy after its log was replayed",
        )
    })
}
