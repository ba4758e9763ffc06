//! The trash: what was removed, listed and had back.
//!
//! Recover, by the volume's id:
//! 1. GET the volume and its tags: the record says whose it is and what it was called. GET what
//!    bears the name that it is to have: something else does, refused, nothing touched.
//! 2. PATCH `destroyed: false`, by the name that it has. It is half removed now.
//! 3. Under another name than it had: PUT the tag `name`, by the trash name.
//! 4. PATCH the name, from the trash name, as a restore does.
//!
//! Every change goes by the trash name, which is never given twice: whatever arrives late, or
//! again, after the volume has a name of a user's finds nothing to change. A crash on the way
//! leaves trash that is not destroyed, whose record says what it is to be called; the next call
//! goes on from there, and a remove that comes in between wins or loses as it does against a
//! restore. Between 3 and 4 neither the old name nor the new one is taken.
//!
//! What somebody destroyed on the array itself has its user's name still, and is in use again with
//! step 2. Only under that name: steps 3 and 4 would change the name of a volume that hosts can
//! find.

use std::time::Duration;

use storage_core::{
    Error, ErrorKind, ListTrash, Outcome, Ownership, RecoverVolume, Result, TrashPage,
    TrashedVolume, Volume, VolumeName, VolumeState, is_reserved,
};

use crate::api::{Api, WireVolume};
use crate::backend::FlashArray;
use crate::error::{Failure, Refusal};
use crate::lookup::{PAGE_MAX, TAGS_CHUNK, join, tags_of_chunk, unknown_place};
use crate::name::{is_trash, trash_filter};
use crate::record::{Record, name_tag};
use crate::restore::Renamed;

/// How often it begins again with what it finds, after a lost answer or because others are at it.
const ROUNDS: usize = 4;

/// What one try gave.
enum Try {
    Ended(Box<Outcome<Volume>>),
    /// It must be read again: why the try did not end.
    Again(Option<Error>),
}

fn gone() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "there is no such volume in the trash: it was eradicated, or is not of this namespace",
    )
}

fn taken(name: &VolumeName, others: &[Volume]) -> Error {
    let objects: Vec<String> = others.iter().map(described).collect();
    Error::new(
        ErrorKind::AlreadyExists,
        format!(
            "the name `{name}` is taken by {}; recover the volume under another one",
            objects.join(" and ")
        ),
    )
}

fn described(volume: &Volume) -> String {
    let object = &volume.object;
    match volume.state {
        VolumeState::Ready => object.clone(),
        VolumeState::Deleting => format!("{object}, which is half removed"),
        _ => format!("{object}, which is destroyed and keeps it"),
    }
}

impl FlashArray {
    pub(crate) async fn trash_page(&self, request: ListTrash) -> Result<TrashPage> {
        let api = self.api().await?;
        let limit = request.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        let filter = trash_filter(&self.namespace);
        let again = request.after.is_some();
        let page = api.page_of_all_volumes(filter, limit, request.after).await;
        let page = page.map_err(|failure| unknown_place(failure, again))?;
        let (mut volumes, mut calls) = (Vec::new(), 1);
        for chunk in page.items.chunks(TAGS_CHUNK) {
            let ids: Vec<&str> = chunk.iter().map(|wire| wire.id.as_str()).collect();
            let tags = tags_of_chunk(&api, &ids).await?;
            calls += 1;
            for (wire, record) in join(chunk.to_vec(), tags) {
                volumes.extend(self.trashed(&api, &wire, record)?);
            }
        }
        Ok(TrashPage {
            volumes,
            next: page.next,
            calls,
        })
    }

    fn trashed(
        &self,
        api: &Api,
        wire: &WireVolume,
        record: Result<Record>,
    ) -> Result<Option<TrashedVolume>> {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(object = wire.name, error = %error.chain(), "left out of the trash");
                return Ok(None);
            }
        };
        let trash = is_trash(&self.namespace, &wire.name);
        let ended = wire.destroyed && !is_reserved(&self.namespace, &wire.name);
        let Some(name) = record.name_in(&self.namespace).filter(|_| trash || ended) else {
            return Ok(None);
        };
        let volume = self.volume(api, wire, name.clone(), record)?;
        let left = wire.time_remaining.filter(|_| wire.destroyed);
        let kept = api.identity.eradication_delay_ms;
        let ago = kept.zip(left).map(|(kept, left)| kept.saturating_sub(left));
        Ok(Some(TrashedVolume {
            volume,
            removed_ago: ago.map(Duration::from_millis),
            time_left: left.map(Duration::from_millis),
        }))
    }

    pub(crate) async fn recover_volume(&self, request: &RecoverVolume) -> Result<Outcome<Volume>> {
        let api = self.api_for(&request.volume).await?;
        let mut wanted = request.name.clone();
        let (mut lost, mut tried) = (None, false);
        for _round in 0..ROUNDS {
            let current = match self.by_id(&api, &request.volume).await {
                Ok(current) => current.ok_or_else(gone)?,
                // What was asked for may have happened; the read's failure says less.
                Err(error) => return Err(lost.unwrap_or(error)),
            };
            let name = wanted.get_or_insert_with(|| current.name.clone()).clone();
            if current.state == VolumeState::Ready && current.name == name && tried {
                return Ok(Outcome::Done(current));
            }
            match self.try_to_recover(&api, current, &name).await? {
                Try::Ended(outcome) => {
                    if let Outcome::Done(volume) = &*outcome {
                        tracing::info!(volume = %volume.name, object = volume.object, array = %self, "a removed volume was recovered");
                    }
                    return Ok(*outcome);
                }
                Try::Again(error) => {
                    tried |= error.is_some();
                    lost = error.or(lost);
                }
            }
        }
        Err(lost.unwrap_or_else(|| {
            Error::new(
                ErrorKind::Busy,
                "the volume is removed or renamed while it is recovered",
            )
        }))
    }

    /// From what was read to a volume in use, as far as nobody else is at it.
    async fn try_to_recover(
        &self,
        api: &Api,
        mut current: Volume,
        name: &VolumeName,
    ) -> Result<Try> {
        if let Some(outcome) = self.refused(&current, name)? {
            return Ok(Try::Ended(Box::new(outcome)));
        }
        let mut others = self.all_by_name(api, name).await?;
        others.retain(|other| other.id != current.id);
        if !others.is_empty() {
            return Err(taken(name, &others));
        }
        if current.state == VolumeState::Destroyed {
            if let Err(failure) = api.recover_volume(&current.object).await {
                return again(failure);
            }
            if !is_reserved(&self.namespace, &current.object) {
                current.state = VolumeState::Ready;
                return Ok(Try::Ended(Box::new(Outcome::Done(current))));
            }
            current.state = VolumeState::Deleting;
        }
        if current.name != *name {
            let tags = [name_tag(name)];
            if let Err(failure) = api.put_tags_by_name(&current.object, &tags).await {
                return again(failure);
            }
            current.name = name.clone();
        }
        let asked = current.clone();
        Ok(match self.rename_from_trash(api, &asked, current).await? {
            Renamed::Done(volume) => Try::Ended(Box::new(Outcome::Done(*volume))),
            Renamed::Taken => return Err(taken(name, &self.all_by_name(api, name).await?)),
            Renamed::Unknown(error) => Try::Again(error),
        })
    }

    /// What ends it before anything is changed.
    fn refused(&self, current: &Volume, name: &VolumeName) -> Result<Option<Outcome<Volume>>> {
        let refusal = |message: String| Err(Error::new(ErrorKind::FailedPrecondition, message));
        let reserved = is_reserved(&self.namespace, &current.object);
        if current.ownership != Ownership::Recorded {
            return refusal(
                "the object carries no record of this namespace; recover it on the array"
                    .to_owned(),
            );
        }
        if current.state == VolumeState::Ready {
            if current.name == *name {
                return Ok(Some(Outcome::AlreadySo(current.clone())));
            }
            return refusal(format!(
                "the volume is not in the trash: it is in use as `{}`",
                current.name
            ));
        }
        // What a create did not commit was never a volume.
        if reserved && !is_trash(&self.namespace, &current.object) {
            return Err(gone());
        }
        if !reserved && current.name != *name {
            return refusal(format!(
                "{} was destroyed on the array itself and has its name still: recover it under that one",
                current.object
            ));
        }
        Ok(None)
    }
}

/// Whether a change that did not succeed is worth another look.
fn again(failure: Failure) -> Result<Try> {
    if failure.may_have_executed() {
        return Ok(Try::Again(Some(failure.into())));
    }
    // Renamed, destroyed, recovered or eradicated by somebody else meanwhile.
    let others = [
        Refusal::NotDestroyed,
        Refusal::Destroyed,
        Refusal::VolumeMissing,
    ];
    if failure.is(&others) {
        return Ok(Try::Again(None));
    }
    Err(failure.into())
}
