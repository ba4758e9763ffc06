//! The engine: the only code that joins backends, a selector and an attacher.
//!
//! It holds no truth. What exists is on the arrays, what is attached is in the host's ledger, and
//! what the engine remembers is a cache that is checked before it is acted on. Every operation
//! runs in a task of its own in its volume's line ([`operations`]); a caller waits for it up to
//! its own deadline.

mod adopt;
mod background;
mod builder;
mod callers;
mod claim;
mod copy;
mod doubts;
mod fleet;
mod inventory;
mod mount;
mod operations;
mod order;
mod provision;
mod release;
mod rights;
mod shut_out;
#[cfg(test)]
mod tests;
mod told;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use background::Abandonment;
pub use builder::{EngineBuilder, EngineSettings};
pub use claim::{Membership, MembershipStep};
pub use inventory::Inventory;
pub use rights::MountVolume;

use crate::access::Host;
use crate::attach::{Attacher, Attachment, AttachmentState};
use crate::backend::{Backend, Preemption};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::engine::callers::Callers;
use crate::engine::doubts::Doubts;
use crate::engine::fleet::{Fleet, Located};
use crate::engine::inventory::Known;
use crate::engine::operations::{Call, Operations};
use crate::engine::rights::Rights;
use crate::engine::shut_out::ShutOut;
use crate::error::{Error, ErrorKind, Result};
use crate::fleet_record::FleetRecord;
use crate::name::VolumeName;
use crate::options::VolumeOptions;
use crate::outcome::Outcome;
use crate::select::Selector;
use crate::size::Size;
use crate::volume::Volume;

/// How long a start waits for the host to be looked over. It takes milliseconds, unless a device
/// hangs; then it goes on in the background.
const START_HEALING: Duration = Duration::from_secs(2);

/// How long the first inventory waits for the fleet record.
const START_RECORD: Duration = Duration::from_secs(2);

/// What every operation needs.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) attacher: Arc<dyn Attacher>,
    pub(crate) selector: Arc<dyn Selector>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) known: Arc<Known>,
    pub(crate) settings: EngineSettings,
    /// Wakes the background work that tells arrays about released volumes.
    pub(crate) releases: Notify,
    /// Connections that may exist without being used.
    pub(crate) doubts: Doubts,
    /// Volumes that are not taken back for a while.
    pub(crate) shut_out: ShutOut,
    /// Who waits for mounts, and who was told of one.
    pub(crate) callers: Callers,
    /// Who may shut another host out.
    pub(crate) rights: Rights,
    /// Where volumes are mounted, as their operations leave it.
    mounted: Mutex<HashMap<VolumeName, PathBuf>>,
    mount_changes: AtomicU64,
    /// Volumes whose mounts were found without a record, and taken into the ledger since somebody
    /// last asked.
    adopted: Mutex<BTreeSet<VolumeName>>,
}

impl Shared {
    pub(crate) fn books(&self) -> claim::Books {
        claim::Books {
            fleet: Arc::clone(&self.fleet),
            chance: Arc::clone(&self.chance),
            node: self.node(),
        }
    }

    /// This machine's name in traces and records.
    pub(crate) fn node(&self) -> String {
        self.attacher.host().object_name()
    }

    fn adopted(&self) -> std::sync::MutexGuard<'_, BTreeSet<VolumeName>> {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The volume of that name: as known, else as the arrays say.
    pub(crate) async fn locate(&self, name: &VolumeName) -> Result<Option<Located>> {
        if let Some(located) = self.known.get(name) {
            return Ok(Some(located));
        }
        let found = self.look_up(name).await?;
        if let Some(located) = &found {
            self.known.remember(located);
        }
        Ok(found)
    }

    /// The volume of that name, as the arrays say. `None` is certain: no array of the fleet is
    /// silent or left out.
    pub(crate) async fn look_up(&self, name: &VolumeName) -> Result<Option<Located>> {
        let mut lookup = self.fleet.look_up_first(name).await;
        if lookup.found.is_empty() {
            claim::note_left_out(self, &mut lookup).await;
        }
        lookup.single(name)
    }

    fn set_mountpoint(&self, name: &VolumeName, mountpoint: Option<PathBuf>) {
        let mut mounted = self.mounted.lock().unwrap_or_else(PoisonError::into_inner);
        match mountpoint {
            Some(path) => mounted.insert(name.clone(), path),
            None => mounted.remove(name),
        };
        // With the lock held: whoever sees the old count sees the old map, or looks again.
        self.mount_changes.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) fn no_such(name: &VolumeName) -> Error {
    Error::new(ErrorKind::NotFound, "no such volume").with_context("volume", name.as_str())
}

/// A volume together with the array that it is on.
#[derive(Clone, Debug)]
pub struct VolumeHandle {
    /// The volume as it was last read.
    pub volume: Volume,
    /// Its array.
    pub backend: Arc<dyn Backend>,
}

/// Turns a fleet of arrays and one host into a service of volumes.
///
/// Cheap to share (`Arc`). All methods may be called at any time and from any task; a dropped
/// future stops the waiting and not the work.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    operations: Arc<Operations>,
    background: Mutex<JoinSet<()>>,
}

impl Engine {
    /// Begins to put an engine together.
    #[must_use]
    pub fn builder(backends: Vec<Arc<dyn Backend>>, attacher: Arc<dyn Attacher>) -> EngineBuilder {
        EngineBuilder::new(backends, attacher)
    }

    /// Creates a volume, or finds the one that has the name and the size asked for.
    ///
    /// # Errors
    /// `Unavailable` while an array that may hold the name does not answer; `AlreadyExists` for
    /// another size, source or limits; `FailedPrecondition` when a destroyed volume still has the name;
    /// `ResourceExhausted` when no array can take it, with every array's reason; `NotFound` when
    /// there is no such source to copy; `Timeout` when the deadline passes: repeat the call.
    pub async fn create(
        &self,
        name: VolumeName,
        options: VolumeOptions,
        deadline: Instant,
    ) -> Result<Outcome<Volume>> {
        let what = format!("create {options:?}");
        let work = provision::create(Arc::clone(&self.shared), name.clone(), options, deadline);
        self.operations
            .run(Call::new(&name, what, deadline), work)
            .await
    }

    /// The volume as far as memory knows; no waiting. Absence says nothing.
    #[must_use]
    pub fn known(&self, name: &VolumeName) -> Option<Volume> {
        self.shared.known.get(name).map(|located| located.volume)
    }

    /// As [`Self::known`], with the array that the volume is on.
    #[must_use]
    pub fn known_handle(&self, name: &VolumeName) -> Option<VolumeHandle> {
        let located = self.shared.known.get(name)?;
        Some(VolumeHandle {
            volume: located.volume,
            backend: Arc::clone(&located.member.backend),
        })
    }

    /// The volume of that name, asking the arrays. `None` is certain.
    ///
    /// # Errors
    /// `Unavailable` when it was not found and an array did not answer; `FailedPrecondition` when
    /// several arrays have one. A volume whose removal did not end is found in the state
    /// [`crate::VolumeState::Deleting`].
    pub async fn find(&self, name: &VolumeName, deadline: Instant) -> Result<Option<Volume>> {
        Ok(self
            .handle(name, deadline)
            .await?
            .map(|handle| handle.volume))
    }

    /// As [`Self::find`], with the array that the volume is on.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn handle(
        &self,
        name: &VolumeName,
        deadline: Instant,
    ) -> Result<Option<VolumeHandle>> {
        let lookup = tokio::time::timeout_at(deadline, self.shared.look_up(name))
            .await
            .map_err(|_elapsed| {
                Error::new(ErrorKind::Unavailable, "the arrays did not answer in time")
                    .with_context("volume", name.as_str())
            })?;
        let before = self.shared.known.get(name);
        let found = lookup?;
        match (&found, before) {
            (Some(located), _) => self.shared.known.remember(located),
            (None, Some(before)) => self.shared.known.forget(name, &before.volume.id),
            (None, None) => {}
        }
        Ok(found.map(|located| VolumeHandle {
            volume: located.volume,
            backend: Arc::clone(&located.member.backend),
        }))
    }

    /// All volumes as far as memory knows, and how old that knowledge is; no waiting.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        self.shared
            .known
            .snapshot(self.shared.fleet.members().len())
    }

    /// The age of [`Self::inventory`] alone; no waiting.
    #[must_use]
    pub fn inventory_age(&self) -> Option<Duration> {
        self.shared.known.age(self.shared.fleet.members().len())
    }

    /// A number that is another one whenever [`Self::inventory`], but for its age, or a
    /// [`Self::mountpoint`] may be another one. Read it before them, and what is made from them
    /// is good for as long as it stays.
    #[must_use]
    pub fn changes(&self) -> u64 {
        let mounts = self.shared.mount_changes.load(Ordering::SeqCst);
        self.shared.known.changes().wrapping_add(mounts)
    }

    /// Gives this host the volume and mounts it; returns the mount point.
    ///
    /// Another host's access is taken away only where the request may, its caller still waits
    /// (a dropped future and a passed deadline end it), and this host has nothing of the volume on
    /// record. Otherwise it is refused with the holder's name.
    ///
    /// # Errors
    /// `FailedPrecondition` naming the holder, or what was found on a device that cannot be used;
    /// `NotFound`; `Unavailable`; `Timeout`: repeat the call. If nobody does, the mount is undone.
    pub async fn mount(
        &self,
        request: impl Into<MountVolume>,
        deadline: Instant,
    ) -> Result<PathBuf> {
        let MountVolume { name, may_preempt } = request.into();
        let abandoned = Abandonment::new(&self.shared, &self.operations, &name);
        // Lives in the caller's future, and nowhere else.
        let right = may_preempt.then(|| self.shared.rights.take(&name));
        let (what, preemption) = match &right {
            Some(right) => (
                format!("mount, by right {}", right.number),
                Preemption::ShutOut(right.permit.clone()),
            ),
            None => ("mount".to_owned(), Preemption::Refuse),
        };
        let work = mount::mount(Arc::clone(&self.shared), name.clone(), preemption);
        let result = self
            .operations
            .run(Call::new(&name, what, deadline), work)
            .await;
        drop(right);
        match &result {
            Ok(_) => abandoned.told(),
            // The array's or the host's part may yet be done.
            Err(error) if error.kind() == ErrorKind::Timeout => drop(abandoned),
            Err(_) => abandoned.failed(),
        }
        result
    }

    /// Unmounts the volume here and gives its access back. Success when it is not mounted here.
    ///
    /// # Errors
    /// `Busy` or `FailedPrecondition` when something still uses it, named; nothing is forced.
    pub async fn unmount(&self, name: VolumeName, deadline: Instant) -> Result<()> {
        let work = release::unmount(Arc::clone(&self.shared), name.clone());
        self.operations
            .run(Call::new(&name, "unmount", deadline), work)
            .await
    }

    /// Where the volume is mounted on this host, as far as memory knows; no waiting.
    #[must_use]
    pub fn mountpoint(&self, name: &VolumeName) -> Option<PathBuf> {
        let mounted = self
            .shared
            .mounted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        mounted.get(name).cloned()
    }

    /// The machine that volumes are mounted on, as arrays know it.
    #[must_use]
    pub fn host(&self) -> &Host {
        self.shared.attacher.host()
    }

    /// Volumes whose mounts this host had lost the record of and has on record again. Who uses
    /// them, only the caller can know: it asks [`Self::take_adopted`] for each.
    #[must_use]
    pub fn adopted(&self) -> Vec<VolumeName> {
        self.shared.adopted().iter().cloned().collect()
    }

    /// Whether the volume is one of [`Self::adopted`]; it is none any more after that.
    pub fn take_adopted(&self, name: &VolumeName) -> bool {
        self.shared.adopted().remove(name)
    }

    /// What this host has attached, observed now.
    ///
    /// # Errors
    /// When the ledger or the host cannot be read.
    pub async fn attachments(&self) -> Result<Vec<Attachment>> {
        self.shared.attacher.attachments().await
    }

    /// Removes a volume; the array keeps it recoverable as long as it is set up to. Success when
    /// there is none.
    ///
    /// # Errors
    /// `FailedPrecondition` while it is in use here or elsewhere (named), has snapshots, or does
    /// not carry our record; `Unavailable` when it is neither found nor proven absent.
    pub async fn remove(&self, name: VolumeName, deadline: Instant) -> Result<Outcome<()>> {
        let work = provision::remove(Arc::clone(&self.shared), name.clone());
        let call = Call::new(&name, "remove".to_owned(), deadline);
        self.operations.run(call, work).await
    }

    /// Takes away what claims and removes left behind and nobody needs any more, as the background
    /// work does now and then; returns how much that was. At most a thousand at once.
    ///
    /// # Errors
    /// `Unavailable` while the fleet record is not known, or arrays come or go.
    pub async fn sweep_now(&self) -> Result<u64> {
        claim::sweep::sweep(&self.shared, 1000).await
    }

    /// The fleet record in force as far as memory knows; no waiting. `None` before it was needed,
    /// and where the arrays take no part in claims.
    #[must_use]
    pub fn fleet_record(&self) -> Option<Arc<FleetRecord>> {
        self.shared.fleet.record.get()
    }

    /// Makes a volume larger, and its file system if it is mounted here.
    ///
    /// # Errors
    /// `OutOfRange` for a smaller size, `NotFound`, `ResourceExhausted`.
    pub async fn expand(
        &self,
        name: VolumeName,
        size: Size,
        deadline: Instant,
    ) -> Result<Outcome<Volume>> {
        let what = format!("expand {}", size.bytes());
        let work = provision::expand(Arc::clone(&self.shared), name.clone(), size);
        self.operations
            .run(Call::new(&name, what, deadline), work)
            .await
    }

    /// Starts the background work: inventory, and telling arrays about released volumes. Returns
    /// at once, with every array down too.
    ///
    /// # Errors
    /// When the host's ledger cannot be read.
    pub async fn start(&self) -> Result<()> {
        for held in self.shared.attacher.intentions().await? {
            // The process that wrote it down may have died with the request on its way.
            self.shared.doubts.publish_may_come(held);
        }
        // So that what is in use counts as mounted from the first call on. What it lets go is told
        // in the background, as is its failure.
        let healed = timeout(START_HEALING, self.shared.attacher.heal()).await;
        if healed.is_err() {
            tracing::info!("the host is looked over in the background");
        }
        for attachment in self.shared.attacher.attachments().await? {
            if attachment.state != AttachmentState::Released {
                // An earlier process may have told somebody.
                self.shared.callers.tell(&attachment.name);
            }
            if attachment.state == AttachmentState::Mounted {
                self.shared
                    .set_mountpoint(&attachment.name, Some(attachment.mountpoint));
            }
        }
        let mut background = self
            .background
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for member in self.shared.fleet.members() {
            let known = Arc::clone(&self.shared.known);
            let fleet = Arc::clone(&self.shared.fleet);
            let member = Arc::clone(member);
            background.spawn(async move {
                // A listing can only speak for a silent array if the record was known before.
                let _late = timeout(START_RECORD, fleet.record.looked_for()).await;
                known.keep_fresh(fleet, member).await;
            });
        }
        background.spawn(claim::sweep::keep(Arc::clone(&self.shared)));
        background.spawn(background::heal(
            Arc::clone(&self.shared),
            Arc::clone(&self.operations),
            healed.ok(),
        ));
        background.spawn(adopt::adopt_for_ever(
            Arc::clone(&self.shared),
            Arc::clone(&self.operations),
        ));
        background.spawn(background::tell_releases(
            Arc::clone(&self.shared),
            Arc::clone(&self.operations),
        ));
        self.shared.releases.notify_one();
        Ok(())
    }

    /// Ends the background work, waits for operations under way (at most so long) and closes the
    /// arrays' sessions. Mounts stay mounted. Returns whether everything had ended.
    pub async fn stop(&self, limit: Duration) -> bool {
        self.background
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .abort_all();
        let drained = self.operations.drain(Instant::now() + limit).await;
        let mut closing = JoinSet::new();
        for member in self.shared.fleet.members() {
            let backend = Arc::clone(&member.backend);
            closing.spawn(async move { backend.close().await });
        }
        let closed = timeout(limit, closing.join_all()).await;
        drained && closed.is_ok()
    }
}
