//! An array in memory: objects by name, connections, and what hosts wrote on the volumes.
//! Several backends (nodes, namespaces) and attachers (hosts) may share one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use crate::claim::ClaimNonce;
use crate::error::{Error, ErrorKind, Result};
use crate::filesystem::FilesystemSpec;
use crate::fleet_record::FleetRecord;
use crate::label::Labels;
use crate::limits::Limits;
use crate::name::VolumeName;
use crate::size::Size;
use crate::snapshot::SnapshotName;
use crate::volume::{ArrayId, FormatGrant, VolumeState};

/// What the array keeps of our own about an object (the tags of a real one).
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) namespace: String,
    pub(super) name: VolumeName,
    pub(super) filesystem: FilesystemSpec,
    pub(super) format_grant: Option<FormatGrant>,
    pub(super) holder: Option<(String, Uuid)>,
    pub(super) fresh_uuid: Option<Uuid>,
    pub(super) attributes: Labels,
    /// The attempt that made it.
    pub(super) nonce: ClaimNonce,
}

/// A host, or a group of hosts, that can reach an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) host: String,
    pub(super) group: bool,
    pub(super) lun: u16,
    /// Never given again: tells this connection from an earlier one of the same host.
    pub(super) serial: u64,
}

/// What an object that is being adopted was before.
#[derive(Clone, Debug)]
pub(super) struct Before {
    pub(super) object: String,
    pub(super) record: Option<Record>,
}

#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) id: String,
    pub(super) object: String,
    pub(super) size: Size,
    pub(super) created_ms: u64,
    pub(super) state: VolumeState,
    pub(super) record: Option<Record>,
    pub(super) links: Vec<Link>,
    /// The file system on the "device", if one was made.
    pub(super) content: Option<Uuid>,
    /// What else is on the device: stands for all data in the file system.
    pub(super) data: u64,
    pub(super) limits: Limits,
    /// What it was, while it is being adopted.
    pub(super) before: Option<Before>,
    /// What it tells of the fleet, if it is a fleet record.
    pub(super) fleet: Option<FleetRecord>,
}

impl Object {
    pub(super) fn link(&self, host: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.host == host)
    }
}

/// A copy of a volume at a moment.
#[derive(Clone, Debug)]
pub(super) struct Frozen {
    pub(super) id: String,
    pub(super) volume: String,
    pub(super) name: SnapshotName,
    pub(super) size: Size,
    pub(super) created_ms: u64,
    pub(super) destroyed: bool,
    pub(super) content: Option<Uuid>,
    pub(super) data: u64,
}

/// A shared array.
#[derive(Debug)]
pub struct MemoryArray {
    name: String,
    id: ArrayId,
    capacity: Size,
    down: AtomicBool,
    lose_publish: AtomicBool,
    calls: AtomicU64,
    delay: Mutex<Duration>,
    /// When its clock showed [`CLOCK_FIRST_MS`].
    began: Instant,
    /// What its clock shows more than it would have.
    pub(super) ahead_ms: AtomicU64,
    serial: AtomicU64,
    formats: AtomicU64,
    objects: Mutex<BTreeMap<String, Object>>,
    /// By id. Where both are locked, `objects` is first.
    frozen: Mutex<BTreeMap<String, Frozen>>,
}

/// What an array's clock shows when it is made: the first of January 2024. Arrays have clocks of
/// their own, which say nothing about anybody else's.
const CLOCK_FIRST_MS: u64 = 1_704_067_200_000;

impl MemoryArray {
    /// An empty array with that name and capacity, and an id by chance.
    #[must_use]
    pub fn new(name: impl Into<String>, capacity: Size) -> Arc<Self> {
        Self::with_id(ArrayId::new(Uuid::new_v4().to_string()), name, capacity)
    }

    /// An empty array. All that it ever gives out by itself (ids, nonces, numbers) follows from
    /// its id and from what it is asked, and nothing from chance.
    #[must_use]
    pub fn with_id(id: ArrayId, name: impl Into<String>, capacity: Size) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            id,
            capacity,
            down: AtomicBool::new(false),
            lose_publish: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            delay: Mutex::new(Duration::ZERO),
            began: Instant::now(),
            ahead_ms: AtomicU64::new(0),
            serial: AtomicU64::new(0),
            formats: AtomicU64::new(0),
            objects: Mutex::new(BTreeMap::new()),
            frozen: Mutex::new(BTreeMap::new()),
        })
    }

    /// Its name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its identifier.
    #[must_use]
    pub const fn id(&self) -> &ArrayId {
        &self.id
    }

    /// Makes it answer nothing but `Unavailable`, or lets it answer again.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// How many file systems were made on its volumes, ever.
    #[must_use]
    pub fn formats(&self) -> u64 {
        self.formats.load(Ordering::SeqCst)
    }

    /// The names of its objects that are not destroyed.
    #[must_use]
    pub fn objects(&self) -> Vec<String> {
        let objects = self.lock();
        objects
            .values()
            .filter(|object| object.state != VolumeState::Destroyed)
            .map(|object| object.object.clone())
            .collect()
    }

    /// Puts an object there as an administrator would: without any record of ours.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken.
    pub fn add_foreign(&self, object: &str, size: Size) -> Result<()> {
        self.insert(object, size, None).map(|_| ())
    }

    /// Connects an object to a host as an administrator would.
    ///
    /// # Errors
    /// `NotFound` when there is no such object.
    pub fn connect_foreign(&self, object: &str, host: &str) -> Result<()> {
        let mut objects = self.lock();
        let links = objects.values().flat_map(|object| &object.links);
        let theirs = links.filter(|link| link.host == host);
        let taken: Vec<u16> = theirs.map(|link| link.lun).collect();
        let lun = (1..=4095).find(|lun| !taken.contains(lun));
        let found = objects
            .get_mut(&object.to_ascii_lowercase())
            .ok_or_else(gone)?;
        let (serial, _id) = self.next_id();
        found.links.push(Link {
            host: host.to_owned(),
            group: false,
            lun: lun.unwrap_or_default(),
            serial,
        });
        Ok(())
    }

    /// Connects an object to a group of hosts as an administrator would.
    ///
    /// # Errors
    /// `NotFound` when there is no such object.
    pub fn connect_group_foreign(&self, object: &str, group: &str) -> Result<()> {
        self.connect_foreign(object, group)?;
        let mut objects = self.lock();
        let found = objects.get_mut(&object.to_ascii_lowercase());
        let links = &mut found.ok_or_else(gone)?.links;
        if let Some(link) = links.last_mut() {
            link.group = true;
        }
        Ok(())
    }

    /// Takes a host's access away as an administrator, or another node's fence, would.
    ///
    /// # Errors
    /// `NotFound` when there is no such object.
    pub fn disconnect_foreign(&self, object: &str, host: &str) -> Result<()> {
        let mut objects = self.lock();
        let found = objects
            .get_mut(&object.to_ascii_lowercase())
            .ok_or_else(gone)?;
        found.links.retain(|link| link.host != host);
        Ok(())
    }

    /// Gives an object another name, as an administrator would, or a delete that is cut off after
    /// its first step: under a trash name ([`crate::trash_name`]) it counts as half removed.
    ///
    /// # Errors
    /// `NotFound` when there is no such object, `AlreadyExists` when the name is taken.
    pub fn rename_foreign(&self, object: &str, to: &str) -> Result<()> {
        let id = {
            let objects = self.lock();
            let found = objects.get(&object.to_ascii_lowercase());
            found.ok_or_else(gone)?.id.clone()
        };
        let state = if to.contains("-fl-trash-") {
            VolumeState::Deleting
        } else {
            VolumeState::Ready
        };
        self.rename(&id, to, state)
    }

    /// Destroys an object as an administrator would.
    ///
    /// # Errors
    /// `NotFound` when there is no such object.
    pub fn destroy_foreign(&self, object: &str) -> Result<()> {
        let mut objects = self.lock();
        let found = objects
            .get_mut(&object.to_ascii_lowercase())
            .ok_or_else(gone)?;
        found.state = VolumeState::Destroyed;
        Ok(())
    }

    /// How many calls it was asked, ever.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Makes every answer take this long.
    pub fn set_delay(&self, delay: Duration) {
        *self.delay.lock().unwrap_or_else(PoisonError::into_inner) = delay;
    }

    /// Makes the next publish take effect and its answer be lost, or no longer does.
    pub fn lose_next_publish(&self, lose: bool) {
        self.lose_publish.store(lose, Ordering::SeqCst);
    }

    /// Leaves an object as a delete does that dies after its first step.
    ///
    /// # Errors
    /// `NotFound` when there is no such object.
    pub fn begin_delete(&self, object: &str, trash: &str) -> Result<()> {
        let key = object.to_ascii_lowercase();
        let id = self
            .lock()
            .get(&key)
            .map(|object| object.id.clone())
            .ok_or_else(gone)?;
        self.rename(&id, trash, VolumeState::Deleting)
    }

    /// Fails the publish that has just taken effect, if its answer is to be lost.
    pub(super) fn publish_answer(&self) -> Result<()> {
        if self.lose_publish.swap(false, Ordering::SeqCst) {
            return Err(Error::new(
                ErrorKind::Timeout,
                "the array's answer was lost",
            ));
        }
        Ok(())
    }

    pub(super) async fn reachable(&self) -> Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let delay = *self.delay.lock().unwrap_or_else(PoisonError::into_inner);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if self.down.load(Ordering::SeqCst) {
            return Err(
                Error::new(ErrorKind::Unavailable, "the array does not answer")
                    .with_context("array", self.name.clone()),
            );
        }
        Ok(())
    }

    pub(super) const fn capacity(&self) -> Size {
        self.capacity
    }

    /// A number that counts up, and the id of an object made from it.
    pub(super) fn next_id(&self) -> (u64, String) {
        let serial = self.serial.fetch_add(1, Ordering::SeqCst) + 1;
        (serial, format!("{serial:024X}"))
    }

    /// The time by the array's own clock, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        let ran = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let ahead = self.ahead_ms.load(Ordering::SeqCst);
        CLOCK_FIRST_MS.saturating_add(ran).saturating_add(ahead)
    }

    /// A nonce that this array never gives again, and no other one ever gives.
    pub(super) fn nonce(&self) -> Uuid {
        let (serial, _id) = self.next_id();
        let digest = Sha256::digest(format!("{}:{serial}", self.id));
        let mut bytes = [0; 16];
        bytes
            .iter_mut()
            .zip(digest)
            .for_each(|(to, from)| *to = from);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    pub(super) fn frozen(&self) -> MutexGuard<'_, BTreeMap<String, Frozen>> {
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an object; names are unique and compared without case, as real arrays do.
    pub(super) fn insert(
        &self,
        object: &str,
        size: Size,
        record: Option<Record>,
    ) -> Result<Object> {
        let mut objects = self.lock();
        let key = object.to_ascii_lowercase();
        if objects.contains_key(&key) {
            return Err(
                Error::new(ErrorKind::AlreadyExists, "the name is taken on the array")
                    .with_context("object", object),
            );
        }
        let (_serial, id) = self.next_id();
        let made = Object {
            id,
            object: object.to_owned(),
            size,
            created_ms: self.now_ms(),
            state: VolumeState::Ready,
            record,
            links: Vec::new(),
            content: None,
            data: 0,
            limits: Limits::default(),
            before: None,
            fleet: None,
        };
        objects.insert(key, made.clone());
        Ok(made)
    }

    /// Moves an object to another name and state in one step.
    pub(super) fn rename(&self, id: &str, to: &str, state: VolumeState) -> Result<()> {
        self.rename_if(id, to, state, |_| Ok(()))
    }

    /// As [`Self::rename`], if the object as it is then allows it.
    pub(super) fn rename_if(
        &self,
        id: &str,
        to: &str,
        state: VolumeState,
        allow: impl FnOnce(&Object) -> Result<()>,
    ) -> Result<()> {
        let mut objects = self.lock();
        let from = find_key(&objects, id).ok_or_else(gone)?;
        objects.get(&from).ok_or_else(gone).and_then(allow)?;
        let key = to.to_ascii_lowercase();
        if key != from && objects.contains_key(&key) {
            return Err(
                Error::new(ErrorKind::AlreadyExists, "the name is taken on the array")
                    .with_context("object", to),
            );
        }
        if let Some(mut object) = objects.remove(&from) {
            to.clone_into(&mut object.object);
            object.state = state;
            objects.insert(key, object);
        }
        Ok(())
    }

    /// Changes one object by id.
    pub(super) fn change<T>(
        &self,
        id: &str,
        change: impl FnOnce(&mut Object) -> Result<T>,
    ) -> Result<T> {
        let mut objects = self.lock();
        let key = find_key(&objects, id).ok_or_else(gone)?;
        objects.get_mut(&key).ok_or_else(gone).and_then(change)
    }

    /// What a host finds on the device; only for a host that is connected.
    pub(super) fn content(&self, id: &str, host: &str) -> Result<Option<Uuid>> {
        self.change(id, |object| {
            connected(object, host)?;
            Ok(object.content)
        })
    }

    /// A host makes a file system.
    pub(super) fn format(&self, id: &str, host: &str, uuid: Uuid) -> Result<()> {
        self.change(id, |object| {
            connected(object, host)?;
            object.content = Some(uuid);
            object.data = 0;
            Ok(())
        })?;
        self.formats.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// A host gives the file system that is there another UUID.
    pub(super) fn renew(&self, id: &str, host: &str, uuid: Uuid) -> Result<()> {
        self.change(id, |object| {
            connected(object, host)?;
            object.content = object.content.map(|_| uuid);
            Ok(())
        })
    }
}

fn connected(object: &Object, host: &str) -> Result<()> {
    if object.link(host).is_some() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::FailedPrecondition,
        "the device answers with I/O errors",
    ))
}

fn find_key(objects: &BTreeMap<String, Object>, id: &str) -> Option<String> {
    objects
        .iter()
        .find(|(_, object)| object.id == id)
        .map(|(key, _)| key.clone())
}

pub(super) fn gone() -> Error {
    Error::new(ErrorKind::NotFound, "no such volume on the array")
}
