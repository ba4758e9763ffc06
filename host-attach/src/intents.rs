//! What this host is about to be given: one small file a volume, written before a publish and
//! removed when the volume is attached or its connection seen gone. After a crash between the
//! two, it tells where a connection may be left. It is no proof of anything else.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use storage_core::{ErrorKind, HeldVolume, Result, VolumeId};

use crate::failure::{error, io_error};
use crate::ledger::{Key, make_private_folder};

/// The format of these files.
const FORMAT_VERSION: u32 = 1;

/// No such file of ours comes near this.
const FILE_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug, Serialize, Deserialize)]
struct Intent {
    version: u32,
    held: HeldVolume,
}

/// The folder of intentions; its owner is whoever owns the ledger beside it.
#[derive(Debug)]
pub(crate) struct Intents {
    folder: PathBuf,
}

impl Intents {
    pub(crate) fn open(state: &Path) -> Result<Self> {
        let folder = state.join("intents");
        make_private_folder(&folder)?;
        let intents = Self { folder };
        intents.remove_leftovers()?;
        Ok(intents)
    }

    /// Files of a write that was cut off. The ledger's lock is ours, so nobody is writing.
    fn remove_leftovers(&self) -> Result<()> {
        let failed = |source| io_error("reading the intentions", &self.folder, source);
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                fs::remove_file(&path).map_err(|source| {
                    io_error("removing a half-written intention", &path, source)
                })?;
            }
        }
        Ok(())
    }

    fn path(&self, volume: &VolumeId) -> PathBuf {
        self.folder
            .join(format!("{}.json", Key::of(volume).as_str()))
    }

    pub(crate) fn put(&self, held: &HeldVolume) -> Result<()> {
        crash_points::point!("intents.before");
        let path = self.path(&held.volume);
        refuse_newer(&path)?;
        let temporary = path.with_extension("tmp");
        let intent = Intent {
            version: FORMAT_VERSION,
            held: held.clone(),
        };
        let text = serde_json::to_vec(&intent).map_err(|source| {
            error(
                ErrorKind::Unexpected,
                "an intention cannot be written as JSON",
            )
            .with_source(source)
        })?;
        let failed = |source| io_error("writing an intention", &temporary, source);
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(failed)?;
        file.write_all(&text).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        crash_points::point!("intents.temporary");
        fs::rename(&temporary, &path).map_err(failed)?;
        crash_points::point!("intents.renamed");
        self.sync()
    }

    pub(crate) fn remove(&self, volume: &VolumeId) -> Result<()> {
        let path = self.path(volume);
        refuse_newer(&path)?;
        crash_points::point!("intents.remove");
        match fs::remove_file(&path) {
            Ok(()) => {
                crash_points::point!("intents.removed");
                self.sync()
            }
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(io_error("removing an intention", &path, source)),
        }
    }

    /// Every intention that can be read. One that cannot is logged and left: it is newer than
    /// this program, or no file of ours.
    pub(crate) fn all(&self) -> Result<Vec<HeldVolume>> {
        let failed = |source| io_error("reading the intentions", &self.folder, source);
        let mut intentions = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match read_intent(&path) {
                Some(held) => intentions.push(held),
                None => {
                    tracing::error!(path = %path.display(), "an intention cannot be read; it is left as it is");
                }
            }
        }
        Ok(intentions)
    }

    fn sync(&self) -> Result<()> {
        fs::File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| io_error("syncing the intentions", &self.folder, source))
    }
}

pub(crate) fn read_intent(path: &Path) -> Option<HeldVolume> {
    understand(&bytes(path)?)
}

fn understand(bytes: &[u8]) -> Option<HeldVolume> {
    let intent: Intent = serde_json::from_slice(bytes).ok()?;
    (intent.version <= FORMAT_VERSION).then_some(intent.held)
}

fn bytes(path: &Path) -> Option<Vec<u8>> {
    let small = fs::metadata(path).ok()?.len() <= FILE_BYTES_MAX;
    small.then(|| fs::read(path).ok()).flatten()
}

/// The one field that every format version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// What a newer version of this program intended is not ours to overwrite or drop.
fn refuse_newer(path: &Path) -> Result<()> {
    let found = bytes(path).and_then(|bytes| serde_json::from_slice::<Versioned>(&bytes).ok());
    match found {
        Some(Versioned { version }) if version > FORMAT_VERSION => Err(error(
            ErrorKind::FailedPrecondition,
            format!(
                "an intention was written by a newer version of this program (format {version}, known up to {FORMAT_VERSION})"
            ),
        )
        .with_context("path", path.display().to_string())),
        _ => Ok(()),
    }
}

/// What is read is written and read again as the same.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(data: &[u8]) {
    if let Some(held) = understand(data) {
        let version = FORMAT_VERSION;
        let intent = Intent { version, held };
        let written = serde_json::to_vec(&intent).unwrap_or_default();
        let again = understand(&written).and_then(|held| serde_json::to_vec(&held).ok());
        assert_eq!(again, serde_json::to_vec(&intent.held).ok());
    }
}

#[cfg(test)]
mod tests {
    use storage_core::{ArrayId, HeldVolume, VolumeId, VolumeName};

    use super::Intents;

    #[test]
    fn intentions_survive_and_a_strange_file_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let held = HeldVolume {
            volume: VolumeId::new(ArrayId::new("a"), "o").unwrap(),
            name: VolumeName::new("v").unwrap(),
            object: "ns-v".to_owned(),
        };
        Intents::open(folder.path()).unwrap().put(&held).unwrap();
        let strange = folder.path().join("intents/strange.json");
        std::fs::write(&strange, r#"{"version": 2}"#).unwrap();
        let half = folder.path().join("intents/half.tmp");
        std::fs::write(&half, "{").unwrap();
        let again = Intents::open(folder.path()).unwrap();
        assert_eq!(again.all().unwrap(), std::slice::from_ref(&held));
        let path = again.path(&held.volume);
        let good = std::fs::read_to_string(&path).unwrap();
        let newer = good.replace("\"version\":1", "\"version\":2");
        std::fs::write(&path, &newer).unwrap();
        for refused in [again.put(&held), again.remove(&held.volume)] {
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains("newer version"), "{refused}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), newer);
        assert!(again.all().unwrap().is_empty());
        // One that is torn is no intention, and makes room for one.
        std::fs::write(&path, "{").unwrap();
        again.put(&held).unwrap();
        assert_eq!(again.all().unwrap().len(), 1);
        again.remove(&held.volume).unwrap();
        again.remove(&held.volume).unwrap();
        assert!(again.all().unwrap().is_empty());
        assert!(strange.exists());
        assert!(!half.exists(), "a write that was cut off is dropped");
    }
}
