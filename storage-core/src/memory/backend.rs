//! The reference backend: one namespace's view of a [`MemoryArray`].

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use crate::access::{Access, AccessPath, Grant, Protocol};
use crate::backend::{
    Backend, CreateVolume, DeleteVolume, ExpandVolume, ListVolumes, Publication, PublishVolume,
    UnpublishVolume, VolumeKey, VolumePage,
};
use crate::capability::{Capabilities, Telemetry};
use crate::clone::Clones;
use crate::error::{Error, ErrorKind, Result};
use crate::label::Labels;
use crate::limits::LimitRanges;
use crate::memory::array::{MemoryArray, Object, Record, gone};
use crate::name::{
    NameRules, Namespace, VolumeName, is_reserved, object_names, plain_name, tentative_name,
    trash_name,
};
use crate::outcome::Outcome;
use crate::size::Size;
use crate::snapshot::Snapshots;
use crate::survey::Survey;
use crate::trash::Trash;
use crate::volume::{DeviceIdentity, Ownership, Volume, VolumeId, VolumeState};

/// Volumes a page of a listing holds when the caller does not say.
pub(super) const PAGE: usize = 1000;

/// As a FlashArray's: 1 MiB to 4 PiB.
const SIZE_MIN: Size = Size::from_bytes(1 << 20);
const SIZE_MAX: Size = Size::from_bytes(1 << 52);

/// As a FlashArray's.
const LIMITS: LimitRanges = LimitRanges {
    iops: 100..=100_000_000,
    bandwidth: 1_048_576..=549_755_813_888,
};

pub(super) const RULES: NameRules = NameRules {
    max_length: 63,
    allowed: |c| c.is_ascii_alphanumeric() || c == '-' || c == '_',
    case_insensitive: true,
};

/// What a copy begins with.
pub(super) struct Original {
    /// The file system that is copied.
    pub(super) content: Option<Uuid>,
    /// The UUID that it is to get.
    pub(super) fresh_uuid: Uuid,
}

/// A view of a [`MemoryArray`].
#[derive(Debug)]
pub struct MemoryBackend {
    pub(super) array: Arc<MemoryArray>,
    pub(super) namespace: Namespace,
    labels: Labels,
}

impl MemoryBackend {
    /// A view of the array through the namespace.
    #[must_use]
    pub fn new(array: Arc<MemoryArray>, namespace: Namespace) -> Self {
        let labels = Labels::from([("hostname".to_owned(), array.name().to_owned())]);
        Self {
            array,
            namespace,
            labels,
        }
    }

    /// Adds a label.
    #[must_use]
    pub fn with_label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(super) fn volume(&self, object: &Object, name: &VolumeName) -> Result<Volume> {
        let record = object.record.as_ref();
        Ok(Volume {
            id: VolumeId::new(self.array.id().clone(), object.id.clone())?,
            name: record.map_or_else(|| name.clone(), |record| record.name.clone()),
            object: object.object.clone(),
            array_name: self.array.name().to_owned(),
            size: object.size,
            used: None,
            created_ms: Some(object.created_ms),
            identity: Some(identity(object)),
            filesystem: record.map(|record| record.filesystem.clone()),
            format_grant: record.and_then(|record| record.format_grant.clone()),
            fresh_uuid: record.and_then(|record| record.fresh_uuid),
            limits: object.limits,
            holder: record
                .and_then(|record| record.holder.as_ref())
                .filter(|_| !object.hosts.is_empty())
                .map(|(host, _)| host.clone()),
            attributes: record
                .map(|record| record.attributes.clone())
                .unwrap_or_default(),
            state: object.state,
            ownership: if record.is_some() {
                Ownership::Recorded
            } else {
                Ownership::Unrecorded
            },
        })
    }

    /// Whether the object is this name's: by its record, or without one by its exact name.
    pub(super) fn belongs(&self, object: &Object, name: &VolumeName) -> bool {
        match &object.record {
            Some(record) => {
                record.namespace == self.namespace.as_str()
                    && record.name == *name
                    && !object
                        .object
                        .starts_with(&tentative_prefix(&self.namespace))
            }
            None => plain_name(&self.namespace, &object.object).as_ref() == Some(name),
        }
    }

    fn by_name(&self, name: &VolumeName) -> Result<Option<Volume>> {
        let objects = self.array.lock();
        // Trash that is destroyed no longer holds the name; everything else does.
        let mine: Vec<&Object> = objects
            .values()
            .filter(|object| self.belongs(object, name))
            .filter(|object| {
                !(object.state == VolumeState::Destroyed
                    && is_reserved(&self.namespace, &object.object))
            })
            .collect();
        let usable: Vec<_> = mine
            .iter()
            .filter(|object| object.state == VolumeState::Ready)
            .collect();
        match (usable.as_slice(), mine.first()) {
            ([], None) => Ok(None),
            ([], Some(object)) => self.volume(object, name).map(Some),
            ([object], _) => self.volume(object, name).map(Some),
            _ => Err(Error::new(
                ErrorKind::FailedPrecondition,
                "several objects on the array claim this name",
            )),
        }
    }

    /// Makes a volume, blank or as a copy of `original`.
    pub(super) fn make(
        &self,
        request: CreateVolume,
        original: Option<Original>,
    ) -> Result<Outcome<Volume>> {
        let size = self.capabilities().round(request.size)?;
        LIMITS.check(&request.limits)?;
        let tentative = tentative_name(&self.namespace, &request.name, request.nonce);
        let record = Record {
            namespace: self.namespace.as_str().to_owned(),
            name: request.name.clone(),
            filesystem: request.filesystem,
            format_grant: request.format_grant,
            holder: None,
            fresh_uuid: original.as_ref().map(|original| original.fresh_uuid),
            attributes: request.attributes,
        };
        if let Some(existing) = self.by_name(&request.name)? {
            return Ok(Outcome::AlreadySo(existing));
        }
        let made = self.array.insert(&tentative, size, Some(record))?;
        self.array.change(&made.id, |object| {
            object.limits = request.limits;
            object.content = original.and_then(|original| original.content);
            Ok(())
        })?;
        self.commit(&made.id, &request.name, &tentative)
    }

    /// Gives the volume its name, or finds who has it.
    fn commit(&self, id: &str, name: &VolumeName, tentative: &str) -> Result<Outcome<Volume>> {
        let names = object_names(&self.namespace, name, &RULES);
        for object in names.iter() {
            if self.array.rename(id, object, VolumeState::Ready).is_ok() {
                let volume = self.by_name(name)?.ok_or_else(gone)?;
                return Ok(Outcome::Done(volume));
            }
            if let Some(existing) = self.by_name(name)? {
                self.array.rename(id, tentative, VolumeState::Destroyed)?;
                return Ok(Outcome::AlreadySo(existing));
            }
        }
        self.array.rename(id, tentative, VolumeState::Destroyed)?;
        Err(Error::new(
            ErrorKind::AlreadyExists,
            "the array has other objects under this name",
        ))
    }

    /// Whether another namespace's record says that the object is not ours to touch.
    pub(super) fn is_foreign(&self, object: &Object) -> bool {
        let record = object.record.as_ref();
        record.is_some_and(|record| record.namespace != self.namespace.as_str())
    }

    /// The array's word decides, not the caller's value.
    fn removable(&self, object: &Object) -> Result<()> {
        if object.record.is_none() || self.is_foreign(object) {
            return Err(Error::new(
                ErrorKind::FailedPrecondition,
                "the object carries no record of this namespace",
            ));
        }
        let mut frozen = self.array.frozen().clone().into_values();
        if let Some(found) = frozen.find(|one| one.volume == object.id && !one.destroyed) {
            return Err(Error::new(
                ErrorKind::FailedPrecondition,
                format!("the volume has a snapshot, {}", found.name),
            ));
        }
        match object.hosts.first() {
            Some(host) => Err(Error::new(
                ErrorKind::FailedPrecondition,
                format!("the volume is connected to host {host}"),
            )),
            None => Ok(()),
        }
    }

    pub(super) fn by_id(&self, id: &VolumeId) -> Result<Option<Volume>> {
        if id.array() != self.array.id() {
            return Ok(None);
        }
        let objects = self.array.lock();
        let Some(object) = objects.values().find(|object| object.id == id.object()) else {
            return Ok(None);
        };
        // Another namespace's object is not there; one without record is by its plain name.
        let name = match &object.record {
            Some(record) if record.namespace == self.namespace.as_str() => record.name.clone(),
            Some(_) => return Ok(None),
            None => match plain_name(&self.namespace, &object.object) {
                Some(name) => name,
                None => return Ok(None),
            },
        };
        self.volume(object, &name).map(Some)
    }
}

/// How the answer to "where to go on" begins; the last object's id follows.
const CONTINUATION: &str = "after:";

pub(super) fn continuation(token: &str) -> Result<&str> {
    token.strip_prefix(CONTINUATION).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidArgument,
            "the listing cannot go on from there: it is no answer of this backend",
        )
    })
}

/// The answer to "where to go on" after the object or place.
pub(super) fn after(place: &str) -> String {
    format!("{CONTINUATION}{place}")
}

/// Cuts what is left of a listing to a page, and says where to go on.
pub(super) fn next_page(volumes: &mut Vec<Volume>, limit: usize) -> Option<String> {
    volumes.sort_by(|a, b| a.id.cmp(&b.id));
    let more = volumes.len() > limit;
    volumes.truncate(limit);
    let last = volumes.last().filter(|_| more)?;
    Some(after(last.id.object()))
}

pub(super) fn tentative_prefix(namespace: &Namespace) -> String {
    format!("{}-fl-new-", namespace.as_str())
}

fn identity(object: &Object) -> DeviceIdentity {
    DeviceIdentity {
        serial: object.id.clone(),
        wwid: format!("3624a9370{}", object.id.to_ascii_lowercase()),
    }
}

impl fmt::Display for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.array.name())
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    fn endpoint(&self) -> &str {
        self.array.name()
    }

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn labels(&self) -> Labels {
        self.labels.clone()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            protocol: Protocol::Loop,
            size_min: SIZE_MIN,
            size_max: SIZE_MAX,
            size_step: Size::from_bytes(512),
            expand: true,
            exclusive_publish: true,
            snapshots: true,
            clones: true,
            limits: Some(LIMITS),
        }
    }

    async fn create(&self, request: CreateVolume) -> Result<Outcome<Volume>> {
        self.array.reachable().await?;
        self.make(request, None)
    }

    async fn get(&self, key: VolumeKey) -> Result<Option<Volume>> {
        self.array.reachable().await?;
        match key {
            VolumeKey::Name(name) => self.by_name(&name),
            VolumeKey::Id(id) => self.by_id(&id),
        }
    }

    async fn list(&self, request: ListVolumes) -> Result<VolumePage> {
        self.array.reachable().await?;
        let limit = request.limit.unwrap_or(PAGE).clamp(1, PAGE);
        let after = request.after.as_deref().map(continuation).transpose()?;
        let objects = self.array.lock();
        let mut volumes: Vec<Volume> = objects
            .values()
            .filter(|object| object.state == VolumeState::Ready)
            .filter(|object| !is_reserved(&self.namespace, &object.object))
            .filter_map(|object| {
                let record = object.record.as_ref()?;
                let ours = record.namespace == self.namespace.as_str();
                ours.then(|| self.volume(object, &record.name).ok())
                    .flatten()
            })
            .filter(|volume| after.is_none_or(|after| volume.id.object() > after))
            .collect();
        drop(objects);
        let next = next_page(&mut volumes, limit);
        Ok(VolumePage {
            volumes,
            next,
            calls: 1,
        })
    }

    async fn expand(&self, request: ExpandVolume) -> Result<Outcome<Volume>> {
        self.array.reachable().await?;
        let size = self.capabilities().round(request.size)?;
        let changed = self.array.change(request.volume.id.object(), |object| {
            if object.state != VolumeState::Ready || self.is_foreign(object) {
                return Err(gone());
            }
            if size < object.size {
                return Err(Error::new(
                    ErrorKind::OutOfRange,
                    "a volume is never made smaller",
                ));
            }
            let changed = size > object.size;
            object.size = size;
            Ok(changed)
        })?;
        let volume = self.by_id(&request.volume.id)?.ok_or_else(gone)?;
        Ok(if changed {
            Outcome::Done(volume)
        } else {
            Outcome::AlreadySo(volume)
        })
    }

    async fn delete(&self, request: DeleteVolume) -> Result<Outcome<()>> {
        self.array.reachable().await?;
        let volume = &request.volume;
        let trash = trash_name(&self.namespace, &volume.name, Uuid::new_v4());
        let state = VolumeState::Destroyed;
        let mut already = false;
        let removed = self
            .array
            .rename_if(volume.id.object(), &trash, state, |object| {
                already = object.state == VolumeState::Destroyed;
                if already {
                    return Err(gone());
                }
                if volume.state == VolumeState::Deleting && object.state == VolumeState::Ready {
                    return Err(Error::new(
                        ErrorKind::Busy,
                        "the volume was taken into use again",
                    ));
                }
                self.removable(object)
            });
        match removed {
            Ok(()) => Ok(Outcome::Done(())),
            Err(error) if already || error.kind() == ErrorKind::NotFound => {
                Ok(Outcome::AlreadySo(()))
            }
            Err(error) => {
                // Refused with everything as it was: a half-removed volume gets its name back.
                if volume.state == VolumeState::Deleting
                    && error.kind() == ErrorKind::FailedPrecondition
                    && let Err(kept) = self.restore(volume).await
                {
                    return Err(error.with_context("restore", kept.to_string()));
                }
                Err(error)
            }
        }
    }

    async fn restore(&self, volume: &Volume) -> Result<Outcome<Volume>> {
        self.array.reachable().await?;
        let current = self.by_id(&volume.id)?.ok_or_else(gone)?;
        match current.state {
            VolumeState::Ready => return Ok(Outcome::AlreadySo(current)),
            VolumeState::Destroyed => return Err(gone()),
            VolumeState::Deleting => {}
        }
        let names = object_names(&self.namespace, &volume.name, &RULES);
        for object in names.iter() {
            let id = volume.id.object();
            let aside = |object: &Object| match object.state {
                VolumeState::Deleting => Ok(()),
                VolumeState::Ready | VolumeState::Destroyed => Err(gone()),
            };
            let renamed = self.array.rename_if(id, object, VolumeState::Ready, aside);
            let present = self.by_id(&volume.id)?.ok_or_else(gone)?;
            match (renamed, present.state) {
                (Ok(()), _) => return Ok(Outcome::Done(present)),
                (Err(_), VolumeState::Ready) => return Ok(Outcome::AlreadySo(present)),
                (Err(_), VolumeState::Destroyed) => return Err(gone()),
                // By its name's new holder.
                (Err(_), VolumeState::Deleting) => {}
            }
        }
        Err(Error::new(
            ErrorKind::Busy,
            "the volume's name was taken meanwhile",
        ))
    }

    async fn publish(&self, request: PublishVolume) -> Result<Outcome<Access>> {
        self.array.reachable().await?;
        let host = request.host.object_name();
        let volume = &request.volume;
        let outcome = self.array.change(volume.id.object(), |object| {
            let usable = object.state == VolumeState::Ready && !self.is_foreign(object);
            if object.object != volume.object || !usable {
                return Err(gone());
            }
            if let Some(holder) = object.hosts.iter().find(|holder| **holder != host) {
                return Err(Error::new(
                    ErrorKind::FailedPrecondition,
                    format!("the volume is held by host {holder}"),
                ));
            }
            let held = object
                .record
                .as_ref()
                .and_then(|record| record.holder.clone());
            let connected = object.hosts.contains(&host);
            let nonce = match held {
                Some((holder, nonce)) if connected && holder == host => nonce,
                _ => Uuid::new_v4(),
            };
            if !connected {
                object.hosts.push(host.clone());
            }
            if let Some(record) = object.record.as_mut() {
                record.holder = Some((host.clone(), nonce));
            }
            let access = Access {
                volume: volume.id.clone(),
                path: AccessPath::Loop {
                    file: format!("/memory/{host}/{}", object.id).into(),
                },
                identity: identity(object),
                size: object.size,
                grant: Grant {
                    nonce,
                    host: host.clone(),
                },
                format_grant: object.record.as_ref().and_then(|r| r.format_grant.clone()),
            };
            Ok(if connected {
                Outcome::AlreadySo(access)
            } else {
                Outcome::Done(access)
            })
        })?;
        self.array.publish_answer()?;
        Ok(outcome)
    }

    async fn unpublish(&self, request: UnpublishVolume) -> Result<Outcome<()>> {
        self.array.reachable().await?;
        let host = request.host.object_name();
        let result = self.array.change(request.volume.object(), |object| {
            let before = object.hosts.len();
            object.hosts.retain(|connected| *connected != host);
            Ok(object.hosts.len() < before)
        });
        match result {
            Ok(true) => Ok(Outcome::Done(())),
            Ok(false) => Ok(Outcome::AlreadySo(())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Outcome::AlreadySo(())),
            Err(error) => Err(error),
        }
    }

    async fn published(&self, volume: &Volume) -> Result<Vec<Publication>> {
        self.array.reachable().await?;
        self.array.change(volume.id.object(), |object| {
            let holder = object
                .record
                .as_ref()
                .and_then(|record| record.holder.as_ref());
            Ok(object
                .hosts
                .iter()
                .map(|host| Publication {
                    host: host.clone(),
                    group: false,
                    nonce: holder
                        .filter(|(holder, _)| holder == host)
                        .map(|(_, nonce)| *nonce),
                })
                .collect())
        })
    }

    async fn withdraw_format_grant(&self, volume: &Volume) -> Result<Outcome<()>> {
        self.array.reachable().await?;
        self.array.change(volume.id.object(), |object| {
            if self.is_foreign(object) {
                return Err(gone());
            }
            let taken = object
                .record
                .as_mut()
                .and_then(|record| record.format_grant.take());
            Ok(if taken.is_some() {
                Outcome::Done(())
            } else {
                Outcome::AlreadySo(())
            })
        })
    }

    async fn telemetry(&self) -> Result<Telemetry> {
        self.array.reachable().await?;
        let used = self.array.lock().values().fold(0, |sum: u64, object| {
            sum.saturating_add(object.size.bytes())
        });
        Ok(Telemetry {
            array: self.array.id().clone(),
            array_name: self.array.name().to_owned(),
            capacity: self.array.capacity(),
            used: Size::from_bytes(used),
        })
    }

    fn snapshots(&self) -> Option<&dyn Snapshots> {
        Some(self)
    }

    fn clones(&self) -> Option<&dyn Clones> {
        Some(self)
    }

    fn trash(&self) -> Option<&dyn Trash> {
        Some(self)
    }

    fn survey(&self) -> Option<&dyn Survey> {
        Some(self)
    }
}
