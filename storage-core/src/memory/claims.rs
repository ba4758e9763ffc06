//! The steps of a claim on an array in memory, each one request. Markers, strays and the fleet
//! record, which are no volumes, are in `markers`.

use std::future::Future;

use async_trait::async_trait;
use uuid::Uuid;

use crate::backend::{Backend, CreateVolume};
use crate::claim::{
    ClaimNonce, Claims, Commit, ImportVolume, Marker, NameView, Stray, Tentative, TentativeKind,
};
use crate::clone::CloneVolume;
use crate::error::{Error, ErrorKind, Result};
use crate::fleet_record::FleetRecord;
use crate::memory::array::{Before, Object, Record, gone};
use crate::memory::backend::{LIMITS, MemoryBackend};
use crate::memory::copies::{Original, check_copy};
use crate::memory::publish::is_ours;
use crate::memory::view::RULES;
use crate::name::{
    VolumeName, import_name, import_prefix, is_reserved, object_names, tentative_name,
    tentative_prefix,
};
use crate::outcome::Outcome;
use crate::volume::{Volume, VolumeState};

impl MemoryBackend {
    /// Makes a volume as a fleet of this array alone does: proposed, then committed.
    pub(super) async fn make(
        &self,
        name: &VolumeName,
        nonce: ClaimNonce,
        propose: impl Future<Output = Result<Tentative>> + Send,
    ) -> Result<Outcome<Volume>> {
        let view = self.view(name).await.map_err(nothing_sent)?;
        if let Some(existing) = view.volume {
            return Ok(Outcome::AlreadySo(existing));
        }
        let _waiting = propose.await.map_err(nothing_sent)?;
        match self.commit(name, nonce).await {
            Ok(Commit::Committed(volume)) => Ok(Outcome::Done(*volume)),
            Ok(Commit::Taken(volume)) => {
                // What stays is a stray, and says so by its name.
                let _withdrawn = self.withdraw(name, nonce).await;
                Ok(Outcome::AlreadySo(*volume))
            }
            Ok(Commit::Gone) => Err(Error::new(
                ErrorKind::Busy,
                "another node gave this attempt up",
            )),
            Err(error) if error.kind() == ErrorKind::Timeout => Err(error),
            Err(error) => {
                let _withdrawn = self.withdraw(name, nonce).await;
                Err(error)
            }
        }
    }

    fn see(&self, name: &VolumeName) -> Result<NameView> {
        let volume = self.by_name(name)?;
        let objects = self.array.lock();
        let tentatives = objects
            .values()
            .filter(|object| object.state == VolumeState::Ready)
            .filter_map(|object| self.waiting(object, name))
            .collect();
        Ok(NameView {
            volume,
            marker: self.marker_in(&objects, name),
            tentatives,
            epoch: objects
                .values()
                .filter(|object| object.state == VolumeState::Ready)
                .filter_map(|object| object.fleet.as_ref())
                .map(|record| record.epoch)
                .max(),
        })
    }

    /// The object as one that waits for that name.
    fn waiting(&self, object: &Object, name: &VolumeName) -> Option<Tentative> {
        let new = tentative_prefix(&self.namespace, name);
        let imported = import_prefix(&self.namespace, name);
        let (kind, nonce) = match object.object.strip_prefix(&new) {
            Some(nonce) => (TentativeKind::of_new(object.size), nonce),
            None => (
                TentativeKind::Imported,
                object.object.strip_prefix(&imported)?,
            ),
        };
        // The hash in the name may be cut; the record has the name whole.
        let record = object.record.as_ref()?;
        (record.namespace == self.namespace.as_str() && record.name == *name).then_some(())?;
        Some(Tentative {
            object: object.id.clone(),
            object_name: object.object.clone(),
            nonce: nonce.parse().ok()?,
            kind,
        })
    }

    fn record(&self, request: &CreateVolume, fresh_uuid: Option<Uuid>) -> Record {
        Record {
            namespace: self.namespace.as_str().to_owned(),
            name: request.name.clone(),
            filesystem: request.filesystem.clone(),
            format_grant: request.format_grant.clone(),
            holder: None,
            fresh_uuid,
            attributes: request.attributes.clone(),
            nonce: request.nonce,
        }
    }

    /// One step: the waiting volume, or the one that an earlier request made.
    fn wait_for(&self, request: &CreateVolume, original: Option<&Original>) -> Result<Tentative> {
        let size = self.capabilities().round(request.size)?;
        LIMITS.check(&request.limits)?;
        let object = tentative_name(&self.namespace, &request.name, request.nonce);
        let record = self.record(request, original.map(|original| original.fresh_uuid));
        match self.array.insert(&object, size, Some(record)) {
            Ok(made) => self.array.change(&made.id, |made| {
                made.limits = request.limits;
                made.content = original.and_then(|original| original.content);
                made.data = original.map_or(0, |original| original.data);
                Ok(())
            })?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let objects = self.array.lock();
        let there = objects.get(&object.to_ascii_lowercase());
        let there = there.filter(|there| there.state == VolumeState::Ready);
        there
            .and_then(|there| self.waiting(there, &request.name))
            .ok_or_else(given_up)
    }

    /// One step: the object goes aside, with what it was on record.
    fn set_aside(&self, request: &ImportVolume) -> Result<Tentative> {
        let aside = import_name(&self.namespace, &request.name, request.nonce);
        let mut objects = self.array.lock();
        let key = request.object.to_ascii_lowercase();
        if let Some(there) = objects.get(&aside.to_ascii_lowercase()) {
            return self.waiting(there, &request.name).ok_or_else(given_up);
        }
        let found = objects.get(&key).ok_or_else(gone)?;
        self.importable(found)?;
        let mut object = objects.remove(&key).ok_or_else(gone)?;
        let record = Record {
            format_grant: None,
            ..self.record(&request.record, None)
        };
        object.before = Some(Before {
            object: std::mem::replace(&mut object.object, aside.clone()),
            record: object.record.replace(Record {
                name: request.name.clone(),
                nonce: request.nonce,
                ..record
            }),
        });
        let waiting = self.waiting(&object, &request.name).ok_or_else(given_up);
        objects.insert(aside.to_ascii_lowercase(), object);
        waiting
    }

    fn importable(&self, object: &Object) -> Result<()> {
        let refuse = |what: String| Err(Error::new(ErrorKind::FailedPrecondition, what));
        if object.state != VolumeState::Ready {
            return Err(gone());
        }
        if self.is_foreign(object) || object.fleet.is_some() {
            return refuse("the object is not this namespace's".to_owned());
        }
        if is_reserved(&self.namespace, &object.object) {
            return refuse("the object has a name that only Fairlead gives".to_owned());
        }
        let foreign = object
            .links
            .iter()
            .find(|link| link.group || !is_ours(link));
        foreign.map_or(Ok(()), |link| {
            refuse(format!("the object is connected to {}", link.host))
        })
    }

    /// One step: the waiting volume gets its name, or it is seen why not.
    fn give_name(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Commit> {
        let Some(waiting) = self.waiting_for(name, nonce) else {
            return Ok(match self.by_name(name)? {
                Some(volume) if self.is_of(&volume, nonce) => Commit::Committed(Box::new(volume)),
                Some(volume) if volume.state != VolumeState::Deleting => {
                    Commit::Taken(Box::new(volume))
                }
                _ => Commit::Gone,
            });
        };
        for object in object_names(&self.namespace, name, &RULES).iter() {
            let id = &waiting.object;
            if self.array.rename(id, object, VolumeState::Ready).is_ok() {
                self.array.change(id, |object| {
                    object.before = None;
                    Ok(())
                })?;
                let volume = self.by_name(name)?.ok_or_else(gone)?;
                return Ok(Commit::Committed(Box::new(volume)));
            }
            let present = self.by_name(name)?;
            let present = present.filter(|present| present.state != VolumeState::Deleting);
            if let Some(present) = present {
                return Ok(if self.is_of(&present, nonce) {
                    Commit::Committed(Box::new(present))
                } else {
                    Commit::Taken(Box::new(present))
                });
            }
        }
        Err(Error::new(
            ErrorKind::AlreadyExists,
            "the array has other objects under this name",
        ))
    }

    fn waiting_for(&self, name: &VolumeName, nonce: ClaimNonce) -> Option<Tentative> {
        let objects = self.array.lock();
        let mut ready = objects
            .values()
            .filter(|object| object.state == VolumeState::Ready);
        ready.find_map(|object| {
            self.waiting(object, name)
                .filter(|waiting| waiting.nonce == nonce)
        })
    }

    /// Whether that attempt made the volume.
    fn is_of(&self, volume: &Volume, nonce: ClaimNonce) -> bool {
        let objects = self.array.lock();
        let mut all = objects.values();
        let object = all.find(|object| object.id == volume.id.object());
        let record = object.and_then(|object| object.record.as_ref());
        record.is_some_and(|record| record.nonce == nonce)
    }

    /// One step: what lost is destroyed, or is again what it was.
    fn give_up(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Outcome<()>> {
        let Some(waiting) = self.waiting_for(name, nonce) else {
            return Ok(Outcome::AlreadySo(()));
        };
        let id = &waiting.object;
        if waiting.kind != TentativeKind::Imported {
            let destroyed = VolumeState::Destroyed;
            self.array.rename(id, &waiting.object_name, destroyed)?;
            return Ok(Outcome::Done(()));
        }
        let before = self
            .array
            .change(id, |object| Ok(object.before.clone()))?
            .ok_or_else(gone)?;
        self.array.rename(id, &before.object, VolumeState::Ready)?;
        self.array.change(id, |object| {
            object.record.clone_from(&before.record);
            object.before = None;
            Ok(())
        })?;
        Ok(Outcome::Done(()))
    }
}

/// For what changes nothing that a caller could see, also where it may be executed yet.
pub(super) fn nothing_sent(error: Error) -> Error {
    if error.kind() != ErrorKind::Timeout {
        return error;
    }
    Error::new(ErrorKind::Unavailable, "the array did not answer").with_source(error)
}

fn given_up() -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        "a destroyed object has this attempt's waiting name",
    )
}

#[async_trait]
impl Claims for MemoryBackend {
    async fn view(&self, name: &VolumeName) -> Result<NameView> {
        let wanted = name.clone();
        self.send("view", name.as_str(), move |node| node.see(&wanted))
            .await
    }

    async fn propose(&self, request: &CreateVolume) -> Result<Tentative> {
        let object = tentative_name(&self.namespace, &request.name, request.nonce);
        let request = request.clone();
        self.send("propose", &object, move |node| {
            node.wait_for(&request, None)
        })
        .await
    }

    async fn propose_copy(&self, request: &CloneVolume) -> Result<Tentative> {
        check_copy(request)?;
        let object = tentative_name(&self.namespace, &request.volume.name, request.volume.nonce);
        let request = request.clone();
        self.send("propose copy", &object, move |node| {
            let original = node.original(&request.source, request.fresh_uuid)?;
            node.wait_for(&request.volume, Some(&original))
        })
        .await
    }

    async fn propose_import(&self, request: &ImportVolume) -> Result<Tentative> {
        let object = request.object.clone();
        let request = request.clone();
        self.send("propose import", &object, move |node| {
            node.set_aside(&request)
        })
        .await
    }

    async fn find_object(&self, object: &str) -> Result<Option<String>> {
        let wanted = object.to_owned();
        self.send("find object", object, move |node| {
            let objects = node.array.lock();
            let found = objects.get(&wanted.to_ascii_lowercase());
            let alive = found.filter(|found| found.state != VolumeState::Destroyed);
            let exact = alive.filter(|found| found.object == wanted);
            Ok(exact.map(|found| found.id.clone()))
        })
        .await
    }

    async fn mark(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Marker> {
        let wanted = name.clone();
        self.send("mark", name.as_str(), move |node| {
            node.put_marker(&wanted, nonce)
        })
        .await
    }

    async fn commit(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Commit> {
        let wanted = name.clone();
        self.send("commit", name.as_str(), move |node| {
            node.give_name(&wanted, nonce)
        })
        .await
    }

    async fn withdraw(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Outcome<()>> {
        let wanted = name.clone();
        self.send("withdraw", name.as_str(), move |node| {
            node.give_up(&wanted, nonce)
        })
        .await
    }

    async fn retire(&self, marker: &Marker) -> Result<Outcome<()>> {
        self.retire_marker(marker).await
    }

    async fn strays(&self) -> Result<Vec<Stray>> {
        self.send("strays", "", |node| Ok(node.strays_now())).await
    }

    async fn sweep(&self, stray: &Stray) -> Result<Outcome<()>> {
        self.sweep_one(stray).await
    }

    async fn fleet_record(&self) -> Result<Option<FleetRecord>> {
        self.send("fleet record", "", |node| Ok(node.highest_record()))
            .await
    }

    async fn put_fleet_record(&self, record: &FleetRecord) -> Result<FleetRecord> {
        let text = format!("{}/{:08x}", record.epoch, record.nonce);
        let record = record.clone();
        self.send("put fleet record", &text, move |node| {
            node.put_record(&record)
        })
        .await
    }

    async fn drop_fleet_record(&self, record: &FleetRecord) -> Result<Outcome<()>> {
        let text = format!("{}/{:08x}", record.epoch, record.nonce);
        let record = record.clone();
        self.send("drop fleet record", &text, move |node| {
            node.drop_record(&record)
        })
        .await
    }
}
