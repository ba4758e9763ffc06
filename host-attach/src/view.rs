//! What a host's state folder says, for people who look while a plugin works with it.
//!
//! Read only, and without the lock: records are renamed into place whole, so each one that is read
//! is some moment's truth. Nothing may act on it.

use std::fs;
use std::path::{Path, PathBuf};

use storage_core::{Error, ErrorKind, HeldVolume, Result, VolumeId, VolumeName};
use uuid::Uuid;

use crate::failure::io_error;
use crate::intents::read_intent;
use crate::ledger::{FormatPhase, Intent, read_own_record};
use crate::machine::boot_id;
use crate::mountinfo::own_mounts;

/// What the ledger says is to become of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recorded {
    /// It is to be mounted, or is.
    Attach,
    /// It is to be taken down.
    Detach,
    /// It was taken down; the array may not have been told yet.
    Released,
    /// Kept only because a mkfs of this host was cut off.
    Forgotten,
}

/// One volume of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerEntry {
    /// The volume.
    pub volume: VolumeId,
    /// The user's name when it was attached.
    pub name: VolumeName,
    /// The nonce of the grant that it was attached under.
    pub nonce: Uuid,
    /// What is to become of it.
    pub recorded: Recorded,
    /// Where it is mounted, or would be.
    pub mountpoint: PathBuf,
    /// Whether something is mounted there, as this process sees mounts; `None` when it cannot.
    pub mounted: Option<bool>,
    /// The device, `/dev/…`, if one was made since the last boot.
    pub device: Option<PathBuf>,
    /// Whether a file system is known to exist, so that this host never makes one.
    pub formatted: bool,
}

/// What a state folder says.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct LedgerView {
    /// Whether there is a ledger at all: a plugin has run here.
    pub exists: bool,
    /// Its volumes.
    pub entries: Vec<LedgerEntry>,
    /// Volumes that were about to be published to this host, and whose fate is open.
    pub intended: Vec<HeldVolume>,
    /// Files that cannot be read, each refusing its own volume, with the reason.
    pub unreadable: Vec<(PathBuf, Error)>,
}

/// Reads a state folder. One that is not there has nothing in it.
///
/// # Errors
/// `PermissionDenied` and the like when a folder cannot be read.
pub fn view_ledger(state: &Path) -> Result<LedgerView> {
    let mut view = LedgerView::default();
    let mounts = own_mounts().ok();
    let boot = boot_id().ok();
    for path in files(&state.join("ledger"), &mut view.exists)? {
        let record = match read_own_record(&path) {
            Ok(Some(record)) => record,
            // Forgotten since the folder was read.
            Ok(None) => continue,
            Err(error) => {
                view.unreadable.push((path, error));
                continue;
            }
        };
        let mounted = |mounts: &Vec<crate::mountinfo::MountEntry>| {
            mounts.iter().any(|mount| mount.target == record.mountpoint)
        };
        let device = record.device.as_ref();
        let device = device.filter(|device| Some(&device.boot_id) == boot.as_ref());
        view.entries.push(LedgerEntry {
            volume: record.volume().clone(),
            nonce: record.nonce(),
            recorded: match record.intent {
                Intent::Attach => Recorded::Attach,
                Intent::Detach => Recorded::Detach,
                Intent::Released => Recorded::Released,
                Intent::Forgotten => Recorded::Forgotten,
            },
            mounted: mounts.as_ref().map(mounted),
            device: device.map(|device| Path::new("/dev").join(&device.name)),
            formatted: record.format == FormatPhase::Exists,
            name: record.name,
            mountpoint: record.mountpoint,
        });
    }
    for path in files(&state.join("intents"), &mut false)? {
        match read_intent(&path) {
            Some(held) => view.intended.push(held),
            None if path.exists() => {
                let message =
                    "an intention cannot be read; it is newer than this program, or damaged";
                let error = Error::new(ErrorKind::FailedPrecondition, message);
                view.unreadable.push((path, error));
            }
            None => {}
        }
    }
    Ok(view)
}

fn files(folder: &Path, exists: &mut bool) -> Result<Vec<PathBuf>> {
    let failed = |source| io_error("reading a state folder", folder, source);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    *exists = true;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|found| found == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use storage_core::{ArrayId, HeldVolume, VolumeId, VolumeName};

    use super::view_ledger;
    use crate::intents::Intents;
    use crate::ledger::Ledger;

    #[test]
    fn a_folder_that_is_not_there_is_empty_and_a_locked_one_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let absent = view_ledger(&folder.path().join("absent")).unwrap();
        assert!(!absent.exists && absent.entries.is_empty());

        let _owner = Ledger::open(folder.path()).unwrap();
        let held = HeldVolume {
            volume: VolumeId::new(ArrayId::new("a"), "o").unwrap(),
            name: VolumeName::new("v").unwrap(),
            object: "ns-v".to_owned(),
        };
        Intents::open(folder.path()).unwrap().put(&held).unwrap();
        let strange = folder.path().join("ledger/strange.json");
        std::fs::write(&strange, r#"{"version": 9}"#).unwrap();
        let view = view_ledger(folder.path()).unwrap();
        assert!(view.exists);
        assert_eq!(view.intended, [held]);
        assert_eq!(view.unreadable.len(), 1);
        assert_eq!(view.unreadable[0].0, strange);
    }
}
