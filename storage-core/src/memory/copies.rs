//! Snapshots and clones of the reference backend.

use async_trait::async_trait;
use uuid::Uuid;

use crate::claim::Claims;
use crate::clone::{CloneSource, CloneVolume, Clones};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::array::{Frozen, MemoryArray, Object, gone};
use crate::memory::backend::MemoryBackend;
use crate::outcome::Outcome;
use crate::snapshot::{
    CreateSnapshot, ListSnapshots, Snapshot, SnapshotId, SnapshotName, SnapshotPage, Snapshots,
};
use crate::volume::{Volume, VolumeId, VolumeState};

/// Snapshots a page of a listing holds when the caller does not say.
const PAGE: usize = 1000;

/// How the answer to "where to go on" begins; the last snapshot's id follows.
const CONTINUATION: &str = "after-snapshot:";

impl MemoryArray {
    /// Makes a snapshot as an administrator would.
    ///
    /// # Errors
    /// `NotFound` when there is no such object, `InvalidArgument` for a bad suffix.
    pub fn snapshot_foreign(&self, object: &str, suffix: &str) -> Result<()> {
        let name = SnapshotName::new(suffix)?;
        let objects = self.lock();
        let volume = objects.get(&object.to_ascii_lowercase());
        self.freeze(volume.ok_or_else(gone)?, name);
        Ok(())
    }

    /// Puts something on an object as a host would: what a file system's UUID stands for here.
    ///
    /// # Errors
    /// `NotFound` when there is no such object.
    pub fn write_foreign(&self, object: &str, content: Uuid) -> Result<()> {
        let mut objects = self.lock();
        let found = objects.get_mut(&object.to_ascii_lowercase());
        found.ok_or_else(gone)?.content = Some(content);
        Ok(())
    }

    /// What is on an object.
    #[must_use]
    pub fn content_of(&self, object: &str) -> Option<Uuid> {
        let objects = self.lock();
        objects.get(&object.to_ascii_lowercase())?.content
    }

    fn freeze(&self, volume: &Object, name: SnapshotName) -> Frozen {
        let (_serial, id) = self.next_id();
        let made = Frozen {
            id: id.clone(),
            volume: volume.id.clone(),
            name,
            size: volume.size,
            created_ms: self.now_ms(),
            destroyed: false,
            content: volume.content,
            data: volume.data,
        };
        self.frozen().insert(id, made.clone());
        made
    }
}

impl MemoryBackend {
    /// The snapshot as it is told, if its volume carries our record.
    fn snapshot(&self, frozen: &Frozen, volume: &Object) -> Result<Option<Snapshot>> {
        let ours = |namespace: &str| namespace == self.namespace.as_str();
        let Some(record) = volume.record.as_ref().filter(|one| ours(&one.namespace)) else {
            return Ok(None);
        };
        let array = self.array.id();
        Ok(Some(Snapshot {
            id: SnapshotId::new(VolumeId::new(array.clone(), frozen.id.clone())?),
            name: frozen.name.clone(),
            volume: VolumeId::new(array.clone(), volume.id.clone())?,
            volume_name: record.name.clone(),
            object: format!("{}.{}", volume.object, frozen.name),
            size: frozen.size,
            created_ms: Some(frozen.created_ms),
        }))
    }

    fn usable_snapshots(&self) -> Result<Vec<Snapshot>> {
        let objects = self.array.lock();
        let frozen = self.array.frozen();
        let mut snapshots = Vec::new();
        for one in frozen.values().filter(|one| !one.destroyed) {
            let volume = objects.values().find(|object| object.id == one.volume);
            if let Some(volume) = volume.filter(|object| object.state == VolumeState::Ready) {
                snapshots.extend(self.snapshot(one, volume)?);
            }
        }
        Ok(snapshots)
    }

    fn found(&self, volume: &VolumeId, name: &SnapshotName) -> Result<Option<Snapshot>> {
        let mut usable = self.usable_snapshots()?.into_iter();
        Ok(usable.find(|one| one.volume == *volume && one.name == *name))
    }

    /// The data of the source now.
    pub(super) fn original(&self, source: &CloneSource, fresh_uuid: Uuid) -> Result<Original> {
        let objects = self.array.lock();
        let found = match source {
            CloneSource::Volume(volume) => objects
                .values()
                .find(|object| object.id == volume.id.object())
                .filter(|object| object.state == VolumeState::Ready && !self.is_foreign(object))
                .map(|object| (object.content, object.data)),
            CloneSource::Snapshot(snapshot) => self
                .array
                .frozen()
                .get(snapshot.id.object())
                .filter(|one| !one.destroyed)
                .map(|one| (one.content, one.data)),
        };
        let (content, data) = found
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "the source of the copy is gone"))?;
        Ok(Original {
            content,
            data,
            fresh_uuid,
        })
    }

    fn make_snapshot(&self, request: &CreateSnapshot) -> Result<Outcome<Snapshot>> {
        if let Some(found) = self.found(&request.volume.id, &request.name)? {
            return Ok(Outcome::AlreadySo(found));
        }
        let objects = self.array.lock();
        let id = request.volume.id.object();
        let volume = objects
            .values()
            .find(|object| object.id == id && object.state == VolumeState::Ready)
            .ok_or_else(gone)?;
        if volume.record.is_none() || self.is_foreign(volume) {
            return Err(no_record());
        }
        let frozen = self.array.frozen();
        let taken = |one: &&Frozen| {
            let name = one.name.as_str();
            one.volume == id && name.eq_ignore_ascii_case(request.name.as_str())
        };
        if let Some(other) = frozen.values().find(taken) {
            let (kind, why) = if other.destroyed {
                (ErrorKind::FailedPrecondition, "a destroyed snapshot")
            } else {
                (ErrorKind::AlreadyExists, "a snapshot of another case")
            };
            return Err(Error::new(kind, format!("{why} keeps the name")));
        }
        drop(frozen);
        let made = self.array.freeze(volume, request.name.clone());
        let snapshot = self.snapshot(&made, volume)?.ok_or_else(gone)?;
        Ok(Outcome::Done(snapshot))
    }

    fn destroy_snapshot(&self, snapshot: &Snapshot) -> Result<Outcome<()>> {
        let objects = self.array.lock();
        let mut frozen = self.array.frozen();
        let found = frozen.get_mut(snapshot.id.object());
        let Some(found) = found.filter(|one| !one.destroyed) else {
            return Ok(Outcome::AlreadySo(()));
        };
        let volume = objects.values().find(|object| object.id == found.volume);
        if volume.is_some_and(|volume| volume.record.is_none() || self.is_foreign(volume)) {
            return Err(no_record());
        }
        found.destroyed = true;
        Ok(Outcome::Done(()))
    }
}

/// What a copy begins with.
pub(super) struct Original {
    /// The file system that is copied.
    pub(super) content: Option<Uuid>,
    /// What is in it.
    pub(super) data: u64,
    /// The UUID that it is to get.
    pub(super) fresh_uuid: Uuid,
}

fn no_record() -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        "the volume carries no record of this namespace",
    )
}

/// Whether the request is one for a copy.
pub(super) fn check_copy(request: &CloneVolume) -> Result<()> {
    if request.volume.format_grant.is_some() {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "a copy never carries a format grant",
        ));
    }
    if request.volume.size < request.source.size() {
        let has = request.source.size();
        return Err(Error::new(
            ErrorKind::OutOfRange,
            format!("a copy is at least as large as its source, {has}"),
        ));
    }
    Ok(())
}

#[async_trait]
impl Clones for MemoryBackend {
    async fn clone_volume(&self, request: CloneVolume) -> Result<Outcome<Volume>> {
        check_copy(&request)?;
        let name = request.volume.name.clone();
        let nonce = request.volume.nonce;
        self.make(&name, nonce, self.propose_copy(&request)).await
    }
}

#[async_trait]
impl Snapshots for MemoryBackend {
    async fn create_snapshot(&self, request: CreateSnapshot) -> Result<Outcome<Snapshot>> {
        let object = request.volume.object.clone();
        self.send("snapshot", &object, move |node| {
            node.make_snapshot(&request)
        })
        .await
    }

    async fn get_snapshot(&self, volume: &Volume, name: &SnapshotName) -> Result<Option<Snapshot>> {
        let (id, name) = (volume.id.clone(), name.clone());
        self.send("get snapshot", &volume.object, move |node| {
            node.found(&id, &name)
        })
        .await
    }

    async fn list_snapshots(&self, request: ListSnapshots) -> Result<SnapshotPage> {
        let after = match &request.after {
            None => None,
            Some(token) => Some(token.strip_prefix(CONTINUATION).ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidArgument,
                    "the listing cannot go on from there: it is no answer of this backend",
                )
            })?),
        };
        let mut snapshots = self
            .send("list snapshots", "", Self::usable_snapshots)
            .await?;
        let wanted = request.volume.as_ref();
        snapshots.retain(|one| wanted.is_none_or(|volume| one.volume == *volume));
        snapshots.retain(|one| after.is_none_or(|after| one.id.object() > after));
        snapshots.sort_by(|one, two| one.id.cmp(&two.id));
        let limit = request.limit.unwrap_or(PAGE).clamp(1, PAGE);
        let more = snapshots.len() > limit;
        snapshots.truncate(limit);
        let last = snapshots.last().filter(|_| more);
        let next = last.map(|last| format!("{CONTINUATION}{}", last.id.object()));
        Ok(SnapshotPage { snapshots, next })
    }

    async fn delete_snapshot(&self, snapshot: &Snapshot) -> Result<Outcome<()>> {
        let snapshot = snapshot.clone();
        let object = snapshot.object.clone();
        self.send("destroy snapshot", &object, move |node| {
            node.destroy_snapshot(&snapshot)
        })
        .await
    }
}
