//! Restore: a volume that a delete renamed aside and did not destroy gets its name back.
//!
//! 1. GET what bears the name, and the tags. It has its name: so already. It is destroyed or
//!    gone: `NotFound`. Another volume has taken the name: `Busy`.
//! 2. PATCH the name, from the trash name: the array does that in one atomic step. A delete
//!    destroys by the trash name, so whichever of the two comes first leaves the other one
//!    nothing to find.
//!
//! A lost answer is resolved by reading: the rename from the trash name happens at most once,
//! however often and late it arrives.

use storage_core::{
    Error, ErrorKind, Outcome, Result, Volume, VolumeName, VolumeState, is_reserved, trash_prefix,
};

use crate::api::Api;
use crate::backend::FlashArray;
use crate::error::Refusal;
use crate::name::candidates;

/// How often it is read again after a lost answer, or because the trash name changed meanwhile.
const ROUNDS: usize = 4;

/// What became of giving a volume its name back.
pub(crate) enum Restored {
    /// It has it, by this call.
    Now(Volume),
    /// It had it.
    Before(Volume),
    /// It is destroyed or gone.
    Gone,
    /// Another volume has the name; this one is left where it is.
    Taken,
}

/// What one try to rename gave.
pub(crate) enum Renamed {
    Done(Box<Volume>),
    Taken,
    /// It must be read again: why the try did not end.
    Unknown(Option<Error>),
}

impl FlashArray {
    pub(crate) async fn restore_volume(&self, volume: &Volume) -> Result<Outcome<Volume>> {
        let api = self.api_for(&volume.id).await?;
        match self.give_back(&api, volume).await? {
            Restored::Now(volume) => {
                tracing::info!(volume = %volume.name, object = volume.object, array = %self, "a half-removed volume has its name back");
                Ok(Outcome::Done(volume))
            }
            Restored::Before(volume) => Ok(Outcome::AlreadySo(volume)),
            Restored::Gone => Err(Error::new(ErrorKind::NotFound, "the volume is gone")),
            Restored::Taken => Err(Error::new(
                ErrorKind::Busy,
                "the volume's name was taken meanwhile",
            )),
        }
    }

    /// Renames a volume from its trash name back to the first of its names that is free, the one
    /// that the caller knows it by before others.
    pub(crate) async fn give_back(&self, api: &Api, volume: &Volume) -> Result<Restored> {
        let (mut lost, mut renamed) = (None, false);
        for _round in 0..ROUNDS {
            let present = match self.present(api, volume).await {
                Ok(present) => present,
                // What was asked for may have happened; the read's failure says less.
                Err(error) => return Err(lost.unwrap_or(error)),
            };
            let current = match present {
                Restored::Now(current) => current,
                Restored::Before(current) if renamed => return Ok(Restored::Now(current)),
                other => return Ok(other),
            };
            match self.rename_from_trash(api, volume, current).await? {
                Renamed::Done(volume) => return Ok(Restored::Now(*volume)),
                Renamed::Taken => return Ok(Restored::Taken),
                Renamed::Unknown(error) => {
                    renamed |= error.is_some();
                    lost = error.or(lost);
                }
            }
        }
        Err(lost.unwrap_or_else(|| {
            Error::new(
                ErrorKind::Busy,
                "the volume is renamed while it is given its name back",
            )
        }))
    }

    /// Where the volume is; `Now` where it can be renamed.
    async fn present(&self, api: &Api, volume: &Volume) -> Result<Restored> {
        let bearing = self.all_by_name(api, &volume.name).await?;
        let (own, others): (Vec<Volume>, Vec<Volume>) =
            bearing.into_iter().partition(|one| one.id == volume.id);
        let own = match own.into_iter().next() {
            Some(own) => Some(own),
            // Destroyed as trash, recorded under another name, renamed by an administrator, gone.
            None => self.by_id(api, &volume.id).await?,
        };
        let Some(own) = own else {
            return Ok(Restored::Gone);
        };
        let taken = others.iter().any(|one| one.state != VolumeState::Deleting);
        Ok(match own.state {
            VolumeState::Ready => Restored::Before(own),
            VolumeState::Deleting if !self.is_trash_of(&own.object, &own.name) => Restored::Gone,
            VolumeState::Deleting if taken => Restored::Taken,
            VolumeState::Deleting => Restored::Now(own),
            _ => Restored::Gone,
        })
    }

    /// What is being made is reserved too, and nobody's volume.
    fn is_trash_of(&self, object: &str, name: &VolumeName) -> bool {
        let prefix = trash_prefix(&self.namespace, name);
        let start = object.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(&prefix))
    }

    /// `asked.object` is tried before the volume's other names, where it is one of a user's.
    pub(crate) async fn rename_from_trash(
        &self,
        api: &Api,
        asked: &Volume,
        mut current: Volume,
    ) -> Result<Renamed> {
        let names = candidates(&self.namespace, &current.name);
        let known = Some(asked.object.as_str()).filter(|it| !is_reserved(&self.namespace, it));
        let rest = names.iter().filter(|name| Some(*name) != known);
        for object in known.into_iter().chain(rest) {
            crash_points::point!("restore.rename");
            let Err(failure) = api.rename_volume(&current.object, object).await else {
                object.clone_into(&mut current.object);
                current.state = VolumeState::Ready;
                return Ok(Renamed::Done(Box::new(current)));
            };
            if failure.may_have_executed() {
                return Ok(Renamed::Unknown(Some(failure.into())));
            }
            if failure.is(&[Refusal::VolumeMissing, Refusal::Destroyed]) {
                return Ok(Renamed::Unknown(None));
            }
            if !failure.is(&[Refusal::NameTaken]) {
                return Err(failure.into());
            }
            // By somebody else's object: the next name. By a new volume of this very name: the
            // other form of it would give two volumes one name.
            let bearing = self.all_by_name(api, &current.name).await?;
            let other = |one: &Volume| one.id != current.id && one.state != VolumeState::Deleting;
            if bearing.iter().any(other) {
                return Ok(Renamed::Taken);
            }
        }
        Ok(Renamed::Taken)
    }
}
