//! The trash of the reference backend. It keeps everything for ever.

use async_trait::async_trait;

use crate::error::{Error, ErrorKind, Result};
use crate::memory::array::{Object, gone};
use crate::memory::backend::MemoryBackend;
use crate::memory::page::{PAGE, continuation, next_page};
use crate::memory::view::{RULES, is_waiting};
use crate::name::{VolumeName, is_reserved, object_names};
use crate::outcome::Outcome;
use crate::trash::{ListTrash, RecoverVolume, Trash, TrashPage, TrashedVolume};
use crate::volume::{Volume, VolumeState};

impl MemoryBackend {
    /// Whether the object was a volume of ours and is in use no longer.
    fn is_trash(&self, object: &Object) -> bool {
        let record = object.record.as_ref();
        let ours = record.is_some_and(|record| record.namespace == self.namespace.as_str());
        let waiting = is_waiting(&self.namespace, &object.object);
        ours && !waiting && object.state != VolumeState::Ready
    }

    /// One step on this array: the object gets its name and its state, or nothing happens.
    fn take_back(&self, request: &RecoverVolume) -> Result<Outcome<Volume>> {
        let current = self.by_id(&request.volume)?.ok_or_else(gone)?;
        let name = request.name.as_ref().unwrap_or(&current.name);
        let mut objects = self.array.lock();
        let found = objects
            .iter()
            .find(|(_, one)| one.id == current.id.object());
        let (key, object) = found.ok_or_else(gone)?;
        if object.record.is_none() {
            return Err(no_record());
        }
        if object.state == VolumeState::Ready {
            return if current.name == *name {
                Ok(Outcome::AlreadySo(self.volume(object, name)?))
            } else {
                Err(in_use(&current.name))
            };
        }
        if !self.is_trash(object) {
            return Err(gone());
        }
        if *name != current.name && !is_reserved(&self.namespace, &object.object) {
            return Err(keeps_its_name(&object.object));
        }
        let others = || objects.values().filter(|one| one.id != object.id);
        if let Some(other) = others().find(|other| self.keeps(other, name)) {
            return Err(taken(name, &other.object));
        }
        let names = object_names(&self.namespace, name, &RULES);
        let free = |one: &&str| {
            let new = one.to_ascii_lowercase();
            new == *key || !objects.contains_key(&new)
        };
        let kept = (!is_reserved(&self.namespace, &object.object)).then(|| object.object.clone());
        let new = kept.or_else(|| names.iter().find(free).map(str::to_owned));
        let new = new.ok_or_else(|| taken(name, &names.preferred))?;
        let key = key.clone();
        let mut object = objects.remove(&key).ok_or_else(gone)?;
        object.object = new;
        object.state = VolumeState::Ready;
        if let Some(record) = object.record.as_mut() {
            record.name = name.clone();
        }
        let volume = self.volume(&object, name)?;
        objects.insert(object.object.to_ascii_lowercase(), object);
        Ok(Outcome::Done(volume))
    }

    /// Whether the object has the name, or keeps it from others.
    fn keeps(&self, object: &Object, name: &VolumeName) -> bool {
        let destroyed_trash =
            object.state == VolumeState::Destroyed && is_reserved(&self.namespace, &object.object);
        !destroyed_trash && self.belongs(object, name)
    }
}

fn no_record() -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        "the object carries no record of this namespace; recover it on the array",
    )
}

fn in_use(name: &VolumeName) -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        format!("the volume is not in the trash: it is in use as `{name}`"),
    )
}

fn keeps_its_name(object: &str) -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        format!(
            "{object} was destroyed on the array itself and has its name still: recover it under that one"
        ),
    )
}

fn taken(name: &VolumeName, object: &str) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!("the name `{name}` is taken by {object}; recover the volume under another one"),
    )
}

#[async_trait]
impl Trash for MemoryBackend {
    async fn list_trash(&self, request: ListTrash) -> Result<TrashPage> {
        let limit = request.limit.unwrap_or(PAGE).clamp(1, PAGE);
        let after = request.after.as_deref().map(continuation).transpose()?;
        let trashed = |node: &Self| {
            let objects = node.array.lock();
            let trashed = objects.values().filter(|object| node.is_trash(object));
            let trashed = trashed.filter_map(|object| {
                let name = &object.record.as_ref()?.name;
                node.volume(object, name).ok()
            });
            Ok(trashed.collect::<Vec<Volume>>())
        };
        let mut volumes = self.send("list trash", "", trashed).await?;
        volumes.retain(|volume| after.is_none_or(|after| volume.id.object() > after));
        let next = next_page(&mut volumes, limit);
        let volumes = volumes.into_iter().map(|volume| TrashedVolume {
            volume,
            removed_ago: None,
            time_left: None,
        });
        Ok(TrashPage {
            volumes: volumes.collect(),
            next,
            calls: 1,
        })
    }

    async fn recover(&self, request: RecoverVolume) -> Result<Outcome<Volume>> {
        let object = request.volume.object().to_owned();
        self.send("recover", &object, move |node| node.take_back(&request))
            .await
    }
}
