//! The mount counts of all volumes, on disk: one small file a volume, written before an answer.
//!
//! Before the answer, and once more after it: until a mount's caller certainly has its answer, the
//! mount is on disk as one from before. A crash in between leaves what nobody may know of, and what
//! is from before is dropped as soon as no container has it; a count that nobody knows of would keep
//! the volume here for good, as Docker does not repeat a Mount whose connection broke.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use storage_core::{Error, ErrorKind, Namespace, Result, VolumeName, name_hash};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout_at};

use super::durable::{self, Kind};
use super::mounts::{MountId, Mounts};
use super::used::UsedIds;

/// Version of a count's file.
const FORMAT: u32 = 1;

/// The largest file that can be one: [`super::mounts`] bounds what is written.
const BYTES_MAX: u64 = 4 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: u32,
    volume: VolumeName,
    mounts: Mounts,
}

/// Only as much as tells a later version's file from a damaged one.
#[derive(Debug, Deserialize)]
struct Version {
    format: u32,
}

type Shared = Arc<tokio::sync::Mutex<Kept>>;

/// One volume's counts in memory.
#[derive(Debug, Default)]
struct Kept {
    mounts: Mounts,
    /// Mounts whose callers may not have their answers yet. On disk they are from before.
    untold: Vec<MountId>,
}

impl Kept {
    fn on_disk(&self) -> Mounts {
        let mounts = self.mounts.clone();
        self.untold.iter().fold(mounts, Mounts::doubted)
    }
}

/// The counts of all volumes.
#[derive(Debug)]
pub(crate) struct MountCounts {
    folder: PathBuf,
    namespace: Namespace,
    volumes: Mutex<HashMap<VolumeName, Shared>>,
    /// Files that cannot be used, by name without extension: why not.
    broken: HashMap<String, String>,
    used: UsedIds,
}

/// One volume's counts, locked: no other call on this volume runs meanwhile.
#[derive(Debug)]
pub(crate) struct VolumeCounts<'a> {
    counts: &'a MountCounts,
    name: VolumeName,
    kept: OwnedMutexGuard<Kept>,
}

impl MountCounts {
    /// Reads every count. A file that is damaged, or of a later version, stays as it is, and the
    /// volume that it belongs to is refused; the others are served.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub(crate) async fn open(
        folder: PathBuf,
        namespace: Namespace,
        used: UsedIds,
    ) -> io::Result<Self> {
        let path = folder.clone();
        let (volumes, broken) = durable::blocking(move || read_all(&path)).await?;
        for (file, why) in &broken {
            tracing::error!(folder = %folder.display(), file, why, "a mount count cannot be used; its volume is refused");
        }
        Ok(Self {
            folder,
            namespace,
            volumes: Mutex::new(volumes),
            broken,
            used,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<VolumeName, Shared>> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, name: &VolumeName) -> (String, PathBuf) {
        let stem = name_hash(&self.namespace, name);
        let path = self.folder.join(format!("{stem}.json"));
        (stem, path)
    }

    /// The volumes that have counts, or had lately.
    pub(crate) fn names(&self) -> Vec<VolumeName> {
        self.lock().keys().cloned().collect()
    }

    /// Locks one volume's counts.
    ///
    /// # Errors
    /// `Busy` when the deadline passes before; `FailedPrecondition` when its file cannot be used.
    pub(crate) async fn volume(
        &self,
        name: &VolumeName,
        deadline: Instant,
    ) -> Result<VolumeCounts<'_>> {
        let (stem, path) = self.file(name);
        if let Some(why) = self.broken.get(&stem) {
            let message = format!(
                "the file {} with this volume's mount counts cannot be used ({why}); see that no container uses the volume, move the file away and restart the plugin",
                path.display()
            );
            return Err(Error::new(ErrorKind::FailedPrecondition, message)
                .with_context("volume", name.as_str()));
        }
        let shared = Arc::clone(self.lock().entry(name.clone()).or_default());
        let kept = timeout_at(deadline, shared.lock_owned())
            .await
            .map_err(|_elapsed| {
                let message = "another call on this volume is still under way; try again";
                Error::new(ErrorKind::Busy, message).with_context("volume", name.as_str())
            })?;
        Ok(VolumeCounts {
            counts: self,
            name: name.clone(),
            kept,
        })
    }

    /// Drops volumes from memory that have no counts and that nobody has locked.
    fn tidy(&self, name: &VolumeName) {
        let mut volumes = self.lock();
        // Clones are only made under this lock, so one reference means nobody waits for it.
        let idle = volumes.get(name).is_some_and(|shared| {
            Arc::strong_count(shared) == 1
                && shared.try_lock().is_ok_and(|kept| kept.mounts.is_empty())
        });
        if idle {
            volumes.remove(name);
        }
    }
}

impl VolumeCounts<'_> {
    /// The counts.
    pub(crate) fn mounts(&self) -> &Mounts {
        &self.kept.mounts
    }

    /// Puts new counts on disk, then in memory.
    ///
    /// # Errors
    /// `Unexpected` when the disk refuses; the old counts then stand.
    pub(crate) async fn save(&mut self, mounts: Mounts) -> Result<()> {
        let untold = self.kept.untold.clone();
        self.keep(Kept { mounts, untold }).await
    }

    /// Puts new counts on disk, of which one mount's caller has no answer yet.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub(crate) async fn save_untold(&mut self, mounts: Mounts, id: MountId) -> Result<()> {
        let mut untold = self.kept.untold.clone();
        untold.push(id);
        self.keep(Kept { mounts, untold }).await
    }

    /// The caller of a mount has its answer.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub(crate) async fn told(&mut self, id: &MountId) -> Result<()> {
        let mut untold = self.kept.untold.clone();
        let Some(at) = untold.iter().position(|one| one == id) else {
            return Ok(());
        };
        untold.swap_remove(at);
        let mounts = self.kept.mounts.clone();
        self.keep(Kept { mounts, untold }).await
    }

    /// Whether a mount of this ID was in use on this host, now or before.
    pub(crate) async fn was_used(&self, id: &MountId) -> bool {
        self.kept.mounts.has(id) || self.counts.used.contains(&self.name, id).await
    }

    /// The volume is gone: no mount of it can come again.
    pub(crate) async fn forget_used(&mut self) {
        if self.kept.mounts.is_empty() {
            self.counts.used.forget(&self.name).await;
        }
    }

    async fn keep(&mut self, kept: Kept) -> Result<()> {
        let (_, path) = self.counts.file(&self.name);
        let gone = self.kept.mounts.gone_in(&kept.mounts);
        if !gone.is_empty()
            && let Err(error) = self.counts.used.add(&self.name, gone).await
        {
            let message = "which mount ID was in use could not be written";
            return Err(Error::new(ErrorKind::Unexpected, message)
                .with_context("volume", self.name.as_str())
                .with_source(error));
        }
        let mounts = kept.on_disk();
        let written = if mounts.is_empty() {
            durable::remove(Kind::Counts, path).await
        } else {
            let record = Record {
                format: FORMAT,
                volume: self.name.clone(),
                mounts,
            };
            match serde_json::to_vec(&record) {
                Ok(bytes) => durable::replace(Kind::Counts, path, bytes).await,
                Err(error) => Err(io::Error::other(error)),
            }
        };
        written.map_err(|error| {
            Error::new(
                ErrorKind::Unexpected,
                "the mount count could not be written",
            )
            .with_context("volume", self.name.as_str())
            .with_source(error)
        })?;
        *self.kept = kept;
        Ok(())
    }

    /// Ends the call on this volume.
    pub(crate) fn done(self) {
        let Self { counts, name, kept } = self;
        drop(kept);
        counts.tidy(&name);
    }
}

type ReadAll = (HashMap<VolumeName, Shared>, HashMap<String, String>);

fn read_all(folder: &Path) -> io::Result<ReadAll> {
    std::fs::create_dir_all(folder)?;
    let (mut volumes, mut broken) = (HashMap::new(), HashMap::new());
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        // What a crash left of a write that never counted.
        if path.extension().is_some_and(|extension| extension == "new") {
            std::fs::remove_file(&path)?;
            continue;
        }
        match read_one(&path) {
            Ok(record) => {
                let kept = Kept {
                    mounts: record.mounts,
                    untold: Vec::new(),
                };
                volumes.insert(record.volume, Arc::new(tokio::sync::Mutex::new(kept)));
            }
            Err(why) => {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                broken.insert(stem.into_owned(), why);
            }
        }
    }
    Ok((volumes, broken))
}

fn read_one(path: &Path) -> std::result::Result<Record, String> {
    let metadata = path.metadata().map_err(|error| error.to_string())?;
    if metadata.len() > BYTES_MAX {
        return Err(format!("it has more than {BYTES_MAX} bytes"));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    understand(&bytes)
}

fn understand(bytes: &[u8]) -> std::result::Result<Record, String> {
    match serde_json::from_slice::<Version>(bytes) {
        Ok(Version { format: FORMAT }) => {
            serde_json::from_slice(bytes).map_err(|error| format!("it is damaged: {error}"))
        }
        Ok(Version { format }) => Err(format!("it has format {format}, and {FORMAT} is known")),
        Err(error) => Err(format!("it is damaged: {error}")),
    }
}

/// What is read is written and read again as the same.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_counts(data: &[u8]) {
    match understand(data) {
        Ok(record) => {
            let written = serde_json::to_vec(&record).unwrap_or_default();
            let again = understand(&written).map(|record| (record.volume, record.mounts));
            assert_eq!(again, Ok((record.volume, record.mounts)));
        }
        Err(why) => assert!(why.len() < 1000, "{why}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use storage_core::{ErrorKind, Namespace, VolumeName};
    use tempfile::TempDir;
    use tokio::time::Instant;

    use super::MountCounts;
    use crate::state::mounts::{MountId, Mounts, Released};
    use crate::state::used::UsedIds;

    async fn open(folder: &Path) -> MountCounts {
        let namespace = Namespace::new("ns").unwrap();
        let used = UsedIds::open(folder.join("used"), namespace.clone())
            .await
            .unwrap();
        MountCounts::open(folder.join("counts"), namespace, used)
            .await
            .unwrap()
    }

    fn name(text: &str) -> VolumeName {
        VolumeName::new(text).unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    fn mounted() -> Mounts {
        Mounts::default()
            .add(MountId::new(None).unwrap(), false)
            .unwrap()
    }

    #[tokio::test]
    async fn counts_survive_a_restart_and_empty_ones_leave_no_file() {
        let folder = TempDir::new().unwrap();
        let counts = open(folder.path()).await;
        let mut volume = counts.volume(&name("v"), soon()).await.unwrap();
        volume.save(mounted()).await.unwrap();
        volume.done();
        drop(counts);

        let counts = open(folder.path()).await;
        assert_eq!(counts.names(), [name("v")]);
        let mut volume = counts.volume(&name("v"), soon()).await.unwrap();
        assert_eq!(*volume.mounts(), mounted());
        volume.save(Mounts::default()).await.unwrap();
        volume.done();
        assert!(counts.names().is_empty());
        let counts = folder.path().join("counts");
        assert_eq!(std::fs::read_dir(counts).unwrap().count(), 0);
    }

    /// What the first version wrote. Every later one reads it.
    #[tokio::test]
    async fn a_file_of_the_first_format_is_read() {
        let folder = TempDir::new().unwrap();
        let text = r#"{"format":1,"volume":"v","mounts":{"":{"mounts":1,"carried":0}}}"#;
        let (_, path) = open(folder.path()).await.file(&name("v"));
        std::fs::write(path, text).unwrap();
        let counts = open(folder.path()).await;
        let volume = counts.volume(&name("v"), soon()).await.unwrap();
        assert_eq!(*volume.mounts(), mounted());
        volume.done();
    }

    #[tokio::test]
    async fn a_mount_whose_answer_may_be_lost_is_one_from_before_after_a_crash() {
        let folder = TempDir::new().unwrap();
        let id = || MountId::new(Some("a".to_owned())).unwrap();
        for told in [false, true] {
            let counts = open(folder.path()).await;
            let mut volume = counts.volume(&name("v"), soon()).await.unwrap();
            let mounts = Mounts::default().add(id(), false).unwrap();
            volume.save_untold(mounts.clone(), id()).await.unwrap();
            assert!(!volume.mounts().is_carried(&id()), "in this life it counts");
            if told {
                volume.told(&id()).await.unwrap();
            }
            volume.done();
            let counts = open(folder.path()).await;
            let mut volume = counts.volume(&name("v"), soon()).await.unwrap();
            assert_eq!(volume.mounts().all_carried(), !told);
            let again = volume.mounts().add(id(), false).unwrap();
            let unmounted = again.release(&id());
            assert_eq!(unmounted == Released::Last, !told, "asked again, it is one");
            volume.save(Mounts::default()).await.unwrap();
            volume.done();
        }
    }

    #[tokio::test]
    async fn a_damaged_or_later_file_refuses_its_volume_only() {
        let folder = TempDir::new().unwrap();
        let counts = open(folder.path()).await;
        for text in ["{\"format\": 2, \"new\": 1}", "{", "{\"format\": 1}"] {
            let (_, path) = counts.file(&name("v"));
            std::fs::write(&path, text).unwrap();
            let counts = open(folder.path()).await;
            let error = counts.volume(&name("v"), soon()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
            assert!(
                error.to_string().contains(path.to_str().unwrap()),
                "{error}"
            );
            counts.volume(&name("w"), soon()).await.unwrap().done();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[tokio::test]
    async fn a_half_written_file_of_a_crash_is_dropped() {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("counts")).unwrap();
        std::fs::write(folder.path().join("counts/x.json.new"), "{").unwrap();
        let counts = open(folder.path()).await;
        assert!(counts.broken.is_empty());
        let counts = folder.path().join("counts");
        assert_eq!(std::fs::read_dir(counts).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn an_id_is_used_from_its_first_count_on() {
        let folder = TempDir::new().unwrap();
        let id = |text: &str| MountId::new(Some(text.to_owned())).unwrap();
        let counts = open(folder.path()).await;
        let mut volume = counts.volume(&name("v"), soon()).await.unwrap();
        assert!(!volume.was_used(&id("a")).await);
        let mounts = Mounts::default().add(id("a"), false).unwrap();
        let mounts = mounts.add(id("b"), false).unwrap();
        volume.save_untold(mounts.clone(), id("b")).await.unwrap();
        assert!(volume.was_used(&id("a")).await);
        let Released::InUse(left) = mounts.release(&id("a")) else {
            panic!("b is left");
        };
        volume.save(left).await.unwrap();
        assert!(volume.was_used(&id("a")).await);
        volume.save(Mounts::default()).await.unwrap();
        volume.done();
        let counts = open(folder.path()).await;
        let mut volume = counts.volume(&name("v"), soon()).await.unwrap();
        assert!(volume.was_used(&id("a")).await && volume.was_used(&id("b")).await);
        assert!(!volume.was_used(&id("c")).await);
        volume.forget_used().await;
        assert!(!volume.was_used(&id("a")).await);
        volume.done();
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_call_waits_no_longer_than_its_deadline() {
        let folder = TempDir::new().unwrap();
        let counts = open(folder.path()).await;
        let first = counts.volume(&name("v"), soon()).await.unwrap();
        let error = counts.volume(&name("v"), soon()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        first.done();
        counts.volume(&name("v"), soon()).await.unwrap().done();
    }
}
