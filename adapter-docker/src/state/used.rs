//! Mount IDs that were in use on this host and are not any more: one small file a volume.
//!
//! Docker (20.10) keeps the mount ID of a container that did not end: it sends it again for a copy
//! into or out of one that runs, and for what comes back after the daemon was killed. By then
//! another host may rightly have the volume, so such a Mount shuts nobody out. A container that
//! ended gets a new ID at its next start. An ID is noted before its count goes; while it is
//! counted, it is known by that.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use storage_core::{Namespace, VolumeName, name_hash};

use super::durable::{self, Kind};
use super::mounts::MountId;

/// Version of a file.
const FORMAT: u32 = 1;

/// IDs kept of one volume, the latest ones: more stopped containers than one host keeps of it.
const IDS_MAX: usize = 256;

/// The largest file that can be one.
const BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: u32,
    volume: VolumeName,
    ids: Vec<MountId>,
}

/// The IDs of all volumes, on disk.
#[derive(Debug)]
pub(crate) struct UsedIds {
    folder: PathBuf,
    namespace: Namespace,
}

impl UsedIds {
    /// Takes a folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) async fn open(folder: PathBuf, namespace: Namespace) -> io::Result<Self> {
        let made = folder.clone();
        durable::blocking(move || std::fs::create_dir_all(made)).await?;
        Ok(Self { folder, namespace })
    }

    fn file(&self, name: &VolumeName) -> PathBuf {
        let stem = name_hash(&self.namespace, name);
        self.folder.join(format!("{stem}.json"))
    }

    /// Whether the ID was in use. One that cannot be told counts as used: a Mount too many that
    /// shuts nobody out is refused with a reason, one too few takes a volume from its host.
    pub(crate) async fn contains(&self, name: &VolumeName, id: &MountId) -> bool {
        let path = self.file(name);
        match durable::blocking(move || read(&path)).await {
            Ok(ids) => ids.contains(id),
            Err(error) => {
                let path = self.file(name);
                tracing::error!(volume = %name, file = %path.display(), %error, "which mount IDs were in use cannot be told; none of this volume shuts another host out, until the file is moved away");
                true
            }
        }
    }

    /// Notes IDs whose counts are about to go. Call with the volume's counts locked. A file that
    /// cannot be understood stays as it is.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(super) async fn add(&self, name: &VolumeName, new: Vec<MountId>) -> io::Result<()> {
        let path = self.file(name);
        let read_from = path.clone();
        let mut ids = match durable::blocking(move || read(&read_from)).await {
            Ok(ids) => ids,
            // Every ID counts as used then.
            Err(error) if error.kind() == ErrorKind::InvalidData => return Ok(()),
            Err(error) => return Err(error),
        };
        if ids.ends_with(&new) {
            return Ok(());
        }
        ids.retain(|id| !new.contains(id));
        ids.extend(new);
        let surplus = ids.len().saturating_sub(IDS_MAX);
        ids.drain(..surplus);
        let record = Record {
            format: FORMAT,
            volume: name.clone(),
            ids,
        };
        let bytes = serde_json::to_vec(&record).map_err(io::Error::other)?;
        durable::replace(Kind::UsedIds, path, bytes).await
    }

    /// The volume is gone, and with it whatever held it.
    pub(crate) async fn forget(&self, name: &VolumeName) {
        if let Err(error) = durable::remove(Kind::UsedIds, self.file(name)).await {
            tracing::warn!(volume = %name, %error, "the mount IDs of a volume that is gone stay on disk");
        }
    }
}

/// The IDs in a file; none where there is no file.
fn read(path: &Path) -> io::Result<Vec<MountId>> {
    let bytes = match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > BYTES_MAX => {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "the file is too large",
            ));
        }
        Ok(_) => std::fs::read(path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    understand(&bytes)
}

fn understand(bytes: &[u8]) -> io::Result<Vec<MountId>> {
    let record: Record = serde_json::from_slice(bytes)
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    if record.format != FORMAT {
        let why = format!("it has format {}, and {FORMAT} is known", record.format);
        return Err(io::Error::new(ErrorKind::InvalidData, why));
    }
    Ok(record.ids)
}

/// What cannot be understood is told as that, so that every ID counts as used.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_used(data: &[u8]) {
    match understand(data) {
        Ok(ids) => assert!(ids.len() <= data.len()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidData),
    }
}

#[cfg(test)]
mod tests {
    use storage_core::{Namespace, VolumeName};
    use tempfile::TempDir;

    use super::{IDS_MAX, UsedIds};
    use crate::state::mounts::MountId;

    fn id(text: &str) -> MountId {
        MountId::new(Some(text.to_owned())).unwrap()
    }

    #[tokio::test]
    async fn used_ids_are_known_after_a_restart_until_the_volume_is_gone() {
        let folder = TempDir::new().unwrap();
        let (v, w) = (VolumeName::new("v").unwrap(), VolumeName::new("w").unwrap());
        let open = || UsedIds::open(folder.path().join("ids"), Namespace::new("ns").unwrap());
        let used = open().await.unwrap();
        assert!(!used.contains(&v, &id("a")).await);
        used.add(&v, vec![id("a")]).await.unwrap();
        used.add(&v, vec![id("b"), id("a")]).await.unwrap();
        let used = open().await.unwrap();
        assert!(used.contains(&v, &id("a")).await && used.contains(&v, &id("b")).await);
        assert!(!used.contains(&v, &id("c")).await && !used.contains(&w, &id("a")).await);
        used.forget(&v).await;
        assert!(!used.contains(&v, &id("a")).await);
        assert_eq!(std::fs::read_dir(&used.folder).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn the_latest_ids_are_kept_and_what_cannot_be_read_counts_as_used() {
        let folder = TempDir::new().unwrap();
        let v = VolumeName::new("v").unwrap();
        let namespace = Namespace::new("ns").unwrap();
        let used = UsedIds::open(folder.path().to_path_buf(), namespace)
            .await
            .unwrap();
        for number in 0..=IDS_MAX {
            used.add(&v, vec![id(&number.to_string())]).await.unwrap();
        }
        assert!(!used.contains(&v, &id("0")).await && used.contains(&v, &id("1")).await);
        for text in ["{", "{\"format\":2,\"new\":1}"] {
            std::fs::write(used.file(&v), text).unwrap();
            assert!(used.contains(&v, &id("anything")).await, "{text}");
            used.add(&v, vec![id("x")]).await.unwrap();
            assert_eq!(std::fs::read_to_string(used.file(&v)).unwrap(), text);
        }
    }
}
