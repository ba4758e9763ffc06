//! What a namespace sees of the array's objects: whose each one is, which has a name, how it is
//! told as a volume, and how one gets its name or is let go. The calls that answer with it are in
//! `backend`; the objects themselves are in `array`.

use uuid::Uuid;

use crate::backend::{Backend, CreateVolume};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::array::{Object, Record, gone};
use crate::memory::backend::{LIMITS, MemoryBackend};
use crate::name::{
    NameRules, Namespace, VolumeName, is_reserved, object_names, plain_name, tentative_name,
};
use crate::outcome::Outcome;
use crate::volume::{DeviceIdentity, Ownership, Volume, VolumeId, VolumeState};

/// As a FlashArray's.
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

impl MemoryBackend {
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

    pub(super) fn by_name(&self, name: &VolumeName) -> Result<Option<Volume>> {
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
    pub(super) fn removable(&self, object: &Object) -> Result<()> {
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

pub(super) fn tentative_prefix(namespace: &Namespace) -> String {
    format!("{}-fl-new-", namespace.as_str())
}

pub(super) fn identity(object: &Object) -> DeviceIdentity {
    DeviceIdentity {
        serial: object.id.clone(),
        wwid: format!("3624a9370{}", object.id.to_ascii_lowercase()),
    }
}
