//! Delete and restore of the reference backend, step by step, each one request.

use crate::backend::DeleteVolume;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::array::{Object, gone};
use crate::memory::backend::MemoryBackend;
use crate::memory::view::RULES;
use crate::name::{object_names, trash_name};
use crate::outcome::Outcome;
use crate::volume::{Volume, VolumeState};

impl MemoryBackend {
    pub(super) async fn delete_by_steps(&self, request: DeleteVolume) -> Result<Outcome<()>> {
        // D1
        let asked = request.volume.clone();
        let aside = self
            .send("rename aside", &request.volume.object, move |node| {
                node.take_aside(&asked)
            })
            .await?;
        match aside {
            Some(volume) => self.finish_delete(&volume).await,
            None => Ok(Outcome::AlreadySo(())),
        }
    }

    /// The volume under its trash name; `None` when there is nothing left to delete.
    fn take_aside(&self, asked: &Volume) -> Result<Option<Volume>> {
        let Some(current) = self.by_id(&asked.id)? else {
            let ours = |object: &mut Object| self.removable(object);
            return match self.array.change(asked.id.object(), ours) {
                // Another namespace's.
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(None),
            };
        };
        match current.state {
            VolumeState::Destroyed => return Ok(None),
            VolumeState::Deleting => return Ok(Some(current)),
            VolumeState::Ready => {}
        }
        if asked.state == VolumeState::Deleting {
            return Err(Error::new(
                ErrorKind::Busy,
                "the volume was taken into use again",
            ));
        }
        let id = asked.id.object();
        self.array.change(id, |object| self.removable(object))?;
        let trash = trash_name(&self.namespace, &current.name, self.array.nonce());
        self.array.rename(id, &trash, VolumeState::Deleting)?;
        self.by_id(&asked.id)
    }

    /// D2 and D3: what is aside is destroyed, or gets its name back.
    pub(super) async fn finish_delete(&self, volume: &Volume) -> Result<Outcome<()>> {
        let id = volume.id.object().to_owned();
        let used = self
            .send("look", &volume.object, move |node| {
                node.array.change(&id, |object| Ok(node.use_of(object)))
            })
            .await;
        let used = match used {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Outcome::AlreadySo(())),
            used => used?,
        };
        if let Err(refused) = used {
            // Refused with everything as it was: the volume gets its name back.
            if let Err(kept) = self.restore_now(volume).await {
                return Err(refused.with_context("restore", kept.to_string()));
            }
            return Err(refused);
        }
        self.destroy_named(volume.object.clone()).await
    }

    /// What keeps the object from being destroyed, if anything.
    fn use_of(&self, object: &Object) -> Result<()> {
        self.removable(object)?;
        match object.links.first() {
            Some(link) => Err(Error::new(
                ErrorKind::FailedPrecondition,
                format!("the volume is connected to host {}", link.host),
            )),
            None => Ok(()),
        }
    }

    pub(super) async fn restore_now(&self, volume: &Volume) -> Result<Outcome<Volume>> {
        let asked = volume.clone();
        self.send("restore", &volume.object, move |node| {
            node.give_name_back(&asked)
        })
        .await
    }

    fn give_name_back(&self, asked: &Volume) -> Result<Outcome<Volume>> {
        let current = self.by_id(&asked.id)?.ok_or_else(gone)?;
        match current.state {
            VolumeState::Ready => return Ok(Outcome::AlreadySo(current)),
            VolumeState::Destroyed => return Err(gone()),
            VolumeState::Deleting => {}
        }
        let names = object_names(&self.namespace, &current.name, &RULES);
        let id = asked.id.object();
        for object in names.iter() {
            if self.array.rename(id, object, VolumeState::Ready).is_ok() {
                let volume = self.by_id(&asked.id)?.ok_or_else(gone)?;
                return Ok(Outcome::Done(volume));
            }
        }
        Err(Error::new(
            ErrorKind::Busy,
            "the volume's name was taken meanwhile",
        ))
    }
}
