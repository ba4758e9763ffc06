//! The cache of names on disk: what Docker was told exists.
//!
//! It decides one thing only: what Get answers about a volume that can neither be found nor proven
//! absent. It may be deleted at any time. Written in the background; a crash loses the last second.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use storage_core::VolumeName;
use tokio::sync::Notify;

use super::durable::{self, Kind};

/// Version of the file.
const FORMAT: u32 = 1;

/// Names that are kept: more than one host ever sees.
const NAMES_MAX: usize = 50_000;

/// Bytes of options that are kept for one volume; longer ones are left out.
const OPTION_BYTES_MAX: usize = 4096;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// How long changes are gathered before they are written.
const GATHER: Duration = Duration::from_millis(200);

/// What is known of one volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// Docker's options at create, if it was created here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) options: BTreeMap<String, String>,
    /// Milliseconds since the Unix epoch, where the array told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created_ms: Option<u64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    format: u32,
    volumes: BTreeMap<VolumeName, Remembered>,
}

/// The cache.
#[derive(Debug)]
pub(crate) struct NameCache {
    path: PathBuf,
    /// `false` over a later version's file, which is left alone.
    writable: bool,
    volumes: Mutex<BTreeMap<VolumeName, Remembered>>,
    changed: Notify,
    changes: AtomicU64,
    writing: tokio::sync::Mutex<()>,
}

impl NameCache {
    /// Reads the cache. One that cannot be read is an empty one.
    pub(crate) async fn open(path: PathBuf) -> Self {
        let file = path.clone();
        let read = durable::blocking(move || read(&file)).await;
        let (content, writable) = match read {
            Ok(content) if content.format <= FORMAT => (content, true),
            Ok(content) => {
                tracing::warn!(file = %path.display(), format = content.format, "the name cache is of a later version; it is left alone");
                (Content::default(), false)
            }
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "the name cache cannot be read; starting with an empty one");
                (Content::default(), true)
            }
        };
        Self {
            path,
            writable,
            volumes: Mutex::new(content.volumes),
            changed: Notify::new(),
            changes: AtomicU64::new(0),
            writing: tokio::sync::Mutex::new(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<VolumeName, Remembered>> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, name: &VolumeName) -> Option<Remembered> {
        self.lock().get(name).cloned()
    }

    pub(crate) fn names(&self) -> Vec<VolumeName> {
        self.lock().keys().cloned().collect()
    }

    /// Remembers a volume with the options of its create; `None` keeps those that are known.
    pub(crate) fn remember(
        &self,
        name: &VolumeName,
        created_ms: Option<u64>,
        options: Option<BTreeMap<String, String>>,
    ) {
        let mut volumes = self.lock();
        let before = volumes.get(name);
        if before.is_none() && volumes.len() >= NAMES_MAX {
            tracing::debug!(volume = %name, "the name cache is full");
            return;
        }
        let options = options.filter(|options| size(options) <= OPTION_BYTES_MAX);
        let after = Remembered {
            options: options
                .or_else(|| before.map(|before| before.options.clone()))
                .unwrap_or_default(),
            created_ms,
        };
        if before != Some(&after) {
            volumes.insert(name.clone(), after);
            self.note_change();
        }
    }

    /// Forgets a volume that is certainly not there.
    pub(crate) fn forget(&self, name: &VolumeName) {
        let mut volumes = self.lock();
        if volumes.remove(name).is_some() {
            self.note_change();
        }
    }

    /// With the lock held, so that whoever sees the old number and then the names sees a change
    /// in the next number.
    fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    /// A number that is another one whenever the names may be others.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Writes changes, for ever.
    #[expect(
        clippy::infinite_loop,
        reason = "background work that ends by being aborted"
    )]
    pub(crate) async fn keep_written(&self) {
        loop {
            self.changed.notified().await;
            tokio::time::sleep(GATHER).await;
            self.write().await;
        }
    }

    /// Writes what is known now.
    pub(crate) async fn write(&self) {
        if !self.writable {
            return;
        }
        let _one_at_a_time = self.writing.lock().await;
        let content = Content {
            format: FORMAT,
            volumes: self.lock().clone(),
        };
        let written = match serde_json::to_vec(&content) {
            Ok(bytes) => durable::replace(Kind::Names, self.path.clone(), bytes).await,
            Err(error) => Err(io::Error::other(error)),
        };
        if let Err(error) = written {
            tracing::warn!(file = %self.path.display(), %error, "the name cache could not be written");
        }
    }
}

fn size(options: &BTreeMap<String, String>) -> usize {
    options
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum()
}

fn read(path: &Path) -> io::Result<Content> {
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::default()),
        Err(error) => return Err(error),
    };
    if metadata.len() > FILE_BYTES_MAX {
        return Err(io::Error::other("the file is too large"));
    }
    let bytes = std::fs::read(path)?;
    serde_json::from_slice(&bytes).map_err(io::Error::other)
}

/// What is read is written and read again as the same.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_names(data: &[u8]) {
    if let Ok(content) = serde_json::from_slice::<Content>(data) {
        let written = serde_json::to_vec(&content).unwrap_or_default();
        let again = serde_json::from_slice::<Content>(&written).ok();
        assert_eq!(again.map(|again| again.volumes), Some(content.volumes));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use storage_core::VolumeName;
    use tempfile::TempDir;

    use super::NameCache;

    fn name(text: &str) -> VolumeName {
        VolumeName::new(text).unwrap()
    }

    #[tokio::test]
    async fn names_survive_and_keep_their_options() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("names.json");
        let cache = NameCache::open(path.clone()).await;
        let options = BTreeMap::from([("size".to_owned(), "1GiB".to_owned())]);
        cache.remember(&name("v"), None, Some(options.clone()));
        cache.remember(&name("v"), Some(7), None);
        cache.remember(&name("w"), None, None);
        cache.forget(&name("w"));
        cache.write().await;

        let cache = NameCache::open(path).await;
        assert_eq!(cache.names(), [name("v")]);
        let remembered = cache.get(&name("v")).unwrap();
        assert_eq!(
            (remembered.options, remembered.created_ms),
            (options, Some(7))
        );
    }

    #[tokio::test]
    async fn a_damaged_file_is_an_empty_cache_and_a_later_one_is_left_alone() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("names.json");
        std::fs::write(&path, "{").unwrap();
        let cache = NameCache::open(path.clone()).await;
        cache.remember(&name("v"), None, None);
        cache.write().await;
        assert_eq!(NameCache::open(path.clone()).await.names(), [name("v")]);

        let later = r#"{"format": 9, "volumes": {}}"#;
        std::fs::write(&path, later).unwrap();
        let cache = NameCache::open(path.clone()).await;
        cache.remember(&name("v"), None, None);
        cache.write().await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), later);
    }
}
