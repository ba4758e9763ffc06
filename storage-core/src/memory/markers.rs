//! What an array in memory has of claims besides volumes: markers, left-overs, the fleet record.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::claim::{ClaimNonce, Claims, Marker, Stray, StrayKind};
use crate::error::{ErrorKind, Result};
use crate::fleet_record::FleetRecord;
use crate::memory::array::{Object, gone};
use crate::memory::backend::MemoryBackend;
use crate::name::{VolumeName, is_reserved, marker_name, retired_name};
use crate::outcome::Outcome;
use crate::size::Size;
use crate::volume::{VolumeId, VolumeState};

/// The size of a marker is this, and a step for each count of its nonce: so the nonce is there in
/// the same moment as the name, on arrays that know nothing else of a new volume.
const MARKER_SIZE: u64 = 1 << 20;
const MARKER_STEP: u64 = 512;

/// Strays of one look.
const STRAYS_MAX: usize = 1000;

fn marker_size(nonce: ClaimNonce) -> Size {
    Size::from_bytes(MARKER_SIZE + MARKER_STEP * nonce.bits())
}

/// The nonce that a marker's size stands for.
fn marker_nonce(size: Size) -> Option<ClaimNonce> {
    let more = size.bytes().checked_sub(MARKER_SIZE)?;
    (more.is_multiple_of(MARKER_STEP)).then_some(())?;
    ClaimNonce::from_bits(more / MARKER_STEP)
}

/// The attempt that a waiting name ends with.
fn nonce_at_end(name: &str) -> Option<ClaimNonce> {
    name.rsplit('-').next()?.parse().ok()
}

impl MemoryBackend {
    /// The name's marker. A destroyed one has the name still, so it is the array's vote still.
    pub(super) fn marker_in(
        &self,
        objects: &BTreeMap<String, Object>,
        name: &VolumeName,
    ) -> Option<Marker> {
        let object = marker_name(&self.namespace, name);
        let found = objects.get(&object.to_ascii_lowercase())?;
        Some(Marker {
            object: found.id.clone(),
            nonce: marker_nonce(found.size)?,
            age: self.age(found),
        })
    }

    /// By the array's own clock.
    fn age(&self, object: &Object) -> Duration {
        Duration::from_millis(self.array.now_ms().saturating_sub(object.created_ms))
    }

    pub(super) fn put_marker(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Marker> {
        let object = marker_name(&self.namespace, name);
        match self.array.insert(&object, marker_size(nonce), None) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Ok(_) | Err(_) => {}
        }
        self.marker_in(&self.array.lock(), name).ok_or_else(gone)
    }

    /// Two requests, as on an array: the name is free with the first, the object with the second.
    pub(super) async fn retire_marker(&self, marker: &Marker) -> Result<Outcome<()>> {
        let id = marker.object.clone();
        let renamed = self
            .send("retire", &marker.object, move |node| {
                node.set_marker_aside(&id)
            })
            .await?;
        let Some(aside) = renamed else {
            return Ok(Outcome::AlreadySo(()));
        };
        self.destroy_named(aside).await
    }

    /// The name that a marker has after it was taken aside; `None` when there is no marker.
    fn set_marker_aside(&self, id: &str) -> Result<Option<String>> {
        let claims = format!("{}-fl-claim-", self.namespace);
        let gone_names = format!("{}-fl-gone-", self.namespace);
        let objects = self.array.lock();
        let Some(object) = objects.values().find(|object| object.id == id) else {
            return Ok(None);
        };
        if object.object.starts_with(&gone_names) {
            return Ok(Some(object.object.clone()));
        }
        let (is_marker, state) = (object.object.starts_with(&claims), object.state);
        drop(objects);
        if !is_marker {
            return Ok(None);
        }
        let aside = retired_name(&self.namespace, self.array.nonce());
        self.array.rename(id, &aside, state)?;
        Ok(Some(aside))
    }

    /// Destroys an object by its name, so that one which has another name by then is spared.
    pub(super) async fn destroy_named(&self, object: String) -> Result<Outcome<()>> {
        let named = object.clone();
        self.send("destroy", &object, move |node| {
            let mut objects = node.array.lock();
            match objects.get_mut(&named.to_ascii_lowercase()) {
                Some(found) if found.state != VolumeState::Destroyed => {
                    found.state = VolumeState::Destroyed;
                    Ok(Outcome::Done(()))
                }
                _ => Ok(Outcome::AlreadySo(())),
            }
        })
        .await
    }

    pub(super) fn strays_now(&self) -> Vec<Stray> {
        let objects = self.array.lock();
        let alive = objects
            .values()
            .filter(|object| object.state != VolumeState::Destroyed);
        let strays = alive.filter_map(|object| {
            Some(Stray {
                object: object.id.clone(),
                object_name: object.object.clone(),
                kind: self.stray_kind(object)?,
                age: self.age(object),
            })
        });
        strays.take(STRAYS_MAX).collect()
    }

    fn stray_kind(&self, object: &Object) -> Option<StrayKind> {
        if !is_reserved(&self.namespace, &object.object) {
            return None;
        }
        let rest = object.object.strip_prefix(self.namespace.as_str())?;
        let (what, rest) = rest.strip_prefix("-fl-")?.split_once('-')?;
        match what {
            "claim" => marker_nonce(object.size).map(StrayKind::Marker),
            "new" => nonce_at_end(rest).map(StrayKind::Tentative),
            "in" => nonce_at_end(rest).map(StrayKind::Imported),
            "gone" => Some(StrayKind::Retired),
            "trash" => Some(StrayKind::Trash),
            _ => None,
        }
    }

    pub(super) async fn sweep_one(&self, stray: &Stray) -> Result<Outcome<()>> {
        match stray.kind {
            StrayKind::Marker(nonce) => {
                let (object, age) = (stray.object.clone(), stray.age);
                self.retire_marker(&Marker { object, nonce, age }).await
            }
            StrayKind::Imported(nonce) => self.sweep_import(stray, nonce).await,
            // By their names, which no other object ever has: one that was committed is spared.
            StrayKind::Tentative(_) | StrayKind::Retired => {
                self.destroy_named(stray.object_name.clone()).await
            }
            StrayKind::Trash => self.sweep_trash(stray).await,
        }
    }

    async fn sweep_import(&self, stray: &Stray, nonce: ClaimNonce) -> Result<Outcome<()>> {
        let id = VolumeId::new(self.array.id().clone(), stray.object.clone())?;
        let found = self
            .send("look", &stray.object_name, move |node| node.by_id(&id))
            .await?;
        match found {
            Some(volume) => self.withdraw(&volume.name, nonce).await,
            None => Ok(Outcome::AlreadySo(())),
        }
    }

    /// As the delete that left it would have gone on.
    async fn sweep_trash(&self, stray: &Stray) -> Result<Outcome<()>> {
        let id = VolumeId::new(self.array.id().clone(), stray.object.clone())?;
        let found = self
            .send("look", &stray.object_name, move |node| node.by_id(&id))
            .await?;
        match found {
            Some(volume) if volume.state == VolumeState::Deleting => {
                match self.finish_delete(&volume).await {
                    // Somebody is connected, so it has its name back: that is what was to be done.
                    Err(error) if error.kind() == ErrorKind::FailedPrecondition => {
                        Ok(Outcome::Done(()))
                    }
                    result => result,
                }
            }
            _ => Ok(Outcome::AlreadySo(())),
        }
    }

    pub(super) fn highest_record(&self) -> Option<FleetRecord> {
        let objects = self.array.lock();
        let alive = objects
            .values()
            .filter(|object| object.state == VolumeState::Ready);
        let records = alive.filter_map(|object| object.fleet.clone());
        records.max_by_key(|record| record.epoch)
    }

    pub(super) fn put_record(&self, record: &FleetRecord) -> Result<FleetRecord> {
        let object = FleetRecord::object_name(record.epoch);
        match self
            .array
            .insert(&object, Size::from_bytes(MARKER_SIZE), None)
        {
            Ok(made) => self.array.change(&made.id, |made| {
                made.fleet = Some(record.clone());
                Ok(record.clone())
            }),
            Err(error) => {
                let objects = self.array.lock();
                let found = objects.get(&object);
                found.and_then(|found| found.fleet.clone()).ok_or(error)
            }
        }
    }

    pub(super) fn drop_record(&self, record: &FleetRecord) -> Result<Outcome<()>> {
        let object = FleetRecord::object_name(record.epoch);
        let found = {
            let objects = self.array.lock();
            let found = objects.get(&object);
            let same = |found: &&Object| {
                let there = found.fleet.as_ref();
                there.is_some_and(|there| there.nonce == record.nonce)
            };
            found.filter(same).map(|found| found.id.clone())
        };
        let Some(id) = found else {
            return Ok(Outcome::AlreadySo(()));
        };
        let aside = format!("{}gone-{id}", FleetRecord::OBJECT_PREFIX);
        self.array.rename(&id, &aside, VolumeState::Destroyed)?;
        Ok(Outcome::Done(()))
    }
}
