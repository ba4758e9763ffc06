//! What a namespace sees of the array's objects: whose each one is, which has a name, how it is
//! told as a volume. The calls that answer with it are in `backend`; the objects themselves are in
//! `array`.

use crate::error::{Error, ErrorKind, Result};
use crate::memory::array::Object;
use crate::memory::backend::MemoryBackend;
use crate::name::{NameRules, Namespace, VolumeName, is_reserved, plain_name};
use crate::volume::{DeviceIdentity, Ownership, Volume, VolumeId, VolumeState};

/// As a FlashArray's.
pub(super) const RULES: NameRules = NameRules {
    max_length: 63,
    allowed: |c| c.is_ascii_alphanumeric() || c == '-' || c == '_',
    case_insensitive: true,
};

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
                .filter(|_| !object.links.is_empty())
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
                    && !is_waiting(&self.namespace, &object.object)
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
        Ok(())
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

/// Whether the object is none of the namespace's volumes yet: made or renamed for a claim that is
/// not decided.
pub(super) fn is_waiting(namespace: &Namespace, object: &str) -> bool {
    let rest = object.strip_prefix(namespace.as_str());
    rest.is_some_and(|rest| rest.starts_with("-fl-new-") || rest.starts_with("-fl-in-"))
}

pub(super) fn identity(object: &Object) -> DeviceIdentity {
    DeviceIdentity {
        serial: object.id.clone(),
        wwid: format!("3624a9370{}", object.id.to_ascii_lowercase()),
    }
}
