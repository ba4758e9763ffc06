//! C1: a tentative volume under a name of the attempt's own, and its record.
//!
//! 1. POST `<ns>-fl-new-<hash>-<nonce>`, with its limits: claims nothing. What a crash leaves here
//!    says by its name what it is, and nobody was told of it. A copy begins as one: the array
//!    copies at that moment, without the source's tags, as ours are not copyable.
//! 2. PATCH the size of a copy that is to be larger than its source.
//! 3. PUT its tags: the record is complete before anybody can find the volume.
//!
//! A lost answer is resolved by reading, never by guessing: the nonce is one attempt's alone, so
//! what has the tentative name is what the attempt made.

use storage_core::Backend as _;
use storage_core::{
    ArrayId, ClaimNonce, CloneSource, CloneVolume, CreateVolume, Error, ErrorKind, Result, Size,
    Tentative, TentativeKind, VolumeState, tentative_name,
};
use tokio::time::Instant;

use super::commit::lost_volume;
use crate::api::{Api, NewVolume, WireVolume};
use crate::backend::{CLEAN_UP, FlashArray, LIMITS};
use crate::error::Refusal;
use crate::name::quoted;
use crate::record::{NewRecord, Record};

/// A volume that waits for its name, with its record.
#[derive(Clone, Debug)]
pub(crate) struct Proposed {
    pub(crate) array: ArrayId,
    pub(crate) wire: WireVolume,
    pub(crate) record: Record,
    pub(crate) kind: TentativeKind,
}

impl Proposed {
    pub(super) fn tentative(&self, nonce: ClaimNonce) -> Tentative {
        Tentative {
            object: self.wire.id.clone(),
            object_name: self.wire.name.clone(),
            nonce,
            kind: self.kind,
        }
    }
}

impl FlashArray {
    /// Also gives the calls with which to go on within the same deadline.
    pub(crate) async fn propose_blank(&self, request: &CreateVolume) -> Result<(Api, Proposed)> {
        let size = self.possible(request)?;
        let record = NewRecord::new(&self.namespace, request, None)?;
        let api = self.api().await?;
        let new = NewVolume::blank(size.bytes(), request.limits);
        let made = self.make_tentative(&api, request, &new).await?;
        let proposed = self.write_record(&api, made, record).await?;
        Ok((api, proposed))
    }

    pub(crate) async fn propose_clone(&self, request: &CloneVolume) -> Result<(Api, Proposed)> {
        let asked = &request.volume;
        if asked.format_grant.is_some() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "a copy never carries a format grant",
            ));
        }
        let least = request.source.size();
        if asked.size < least {
            return Err(too_small(least));
        }
        let size = self.possible(asked)?;
        let record = NewRecord::new(&self.namespace, asked, Some(request.fresh_uuid))?;
        let (array, source) = match &request.source {
            CloneSource::Volume(volume) if volume.state != VolumeState::Ready => {
                return Err(source_gone());
            }
            CloneSource::Volume(volume) => (volume.id.array(), volume.id.object()),
            CloneSource::Snapshot(snapshot) => (snapshot.id.array(), snapshot.id.object()),
        };
        let api = self.api_on(array).await?;
        let new = NewVolume::copy_of(source, asked.limits);
        let made = self.make_tentative(&api, asked, &new).await?;
        let made = self.grown(&api, made, size).await?;
        let proposed = self.write_record(&api, made, record).await?;
        Ok((api, proposed))
    }

    /// The size that is really provisioned.
    ///
    /// # Errors
    /// `OutOfRange` for a size or limits that the array does not take.
    fn possible(&self, request: &CreateVolume) -> Result<Size> {
        LIMITS.check(&request.limits)?;
        self.capabilities().round(request.size)
    }

    /// Makes the tentative volume, or finds the one that an earlier try of this very call made.
    ///
    /// # Errors
    /// `NotFound` when the source of a copy is gone.
    async fn make_tentative(
        &self,
        api: &Api,
        request: &CreateVolume,
        new: &NewVolume<'_>,
    ) -> Result<WireVolume> {
        let name = tentative_name(&self.namespace, &request.name, request.nonce);
        crash_points::point!("claim.C1.volume");
        let made = match api.make_volume(&name, new).await {
            Ok(made) => made,
            // The nonce is this attempt's alone: an earlier try of this very call made it.
            Err(failure) if failure.is(&[Refusal::NameTaken]) => None,
            Err(failure) => {
                let missing = failure.is(&[Refusal::VolumeMissing, Refusal::Destroyed]);
                return Err(
                    if missing && new.is_copy() && !failure.may_have_executed() {
                        source_gone().with_source(Error::from(failure))
                    } else {
                        failure.into()
                    },
                );
            }
        };
        if let Some(made) = made {
            return Ok(made);
        }
        let found = api.find_volumes(format!("name={}", quoted(&name))).await;
        // That it is there, is certain; that nothing can be done with it, too.
        let found = found.map_err(|failure| maybe_there(failure.into()))?;
        let exact = found.into_iter().find(|volume| volume.name == name);
        match exact {
            Some(wire) if wire.destroyed => Err(over(request.nonce)),
            Some(wire) => Ok(wire),
            None => Err(lost_volume()),
        }
    }

    /// The copy with the size asked for. It has its source's, which may have grown since it was
    /// read.
    async fn grown(&self, api: &Api, mut made: WireVolume, size: Size) -> Result<WireVolume> {
        let copied = Size::from_bytes(made.provisioned);
        if copied > size {
            return Err(self.give_up(api, &made, too_small(copied)).await);
        }
        if copied < size {
            crash_points::point!("claim.C1.grow");
            match api.resize_volume(&made.id, size.bytes()).await {
                Ok(changed) => {
                    made.provisioned = changed.map_or(size.bytes(), |wire| wire.provisioned);
                }
                Err(failure) => {
                    return Err(self.give_up(api, &made, failure.into()).await);
                }
            }
        }
        Ok(made)
    }

    async fn write_record(&self, api: &Api, wire: WireVolume, new: NewRecord) -> Result<Proposed> {
        crash_points::point!("claim.C1.tags");
        // By the tentative name: one that is executed late must not give the grant to format again.
        if let Err(failure) = api.put_tags_by_name(&wire.name, &new.tags).await {
            return Err(self.give_up(api, &wire, failure.into()).await);
        }
        Ok(Proposed {
            array: api.identity.id.clone(),
            kind: TentativeKind::of_new(Size::from_bytes(wire.provisioned)),
            wire,
            record: new.record,
        })
    }

    /// Why an attempt ended, once its tentative volume is destroyed.
    async fn give_up(&self, api: &Api, tentative: &WireVolume, error: Error) -> Error {
        if self.discard(api, tentative).await {
            nothing_claimed(error)
        } else {
            maybe_there(error)
        }
    }

    /// Destroys this attempt's own tentative volume, which was never connected and which nobody was
    /// told of; gives whether it is gone. By its tentative name: once a rename was executed after
    /// all, there is nothing under it, and the volume is spared.
    pub(crate) async fn discard(&self, api: &Api, tentative: &WireVolume) -> bool {
        let api = api.until(Instant::now() + CLEAN_UP);
        crash_points::point!("claim.discard");
        match api.destroy_volume(&tentative.name).await {
            Ok(()) => tracing::debug!(object = tentative.name, "tentative volume destroyed"),
            Err(failure) if failure.is(&[Refusal::Destroyed, Refusal::VolumeMissing]) => {}
            Err(failure) => {
                let error = Error::from(failure);
                tracing::warn!(object = tentative.name, error = %error.chain(), "a tentative volume is left behind; nobody was told of it");
                return false;
            }
        }
        true
    }
}

/// The refusal of a copy of what is not there.
fn source_gone() -> Error {
    Error::new(ErrorKind::NotFound, "the source of the copy is gone")
}

/// The attempt was withdrawn: what is destroyed keeps its waiting name.
fn over(nonce: ClaimNonce) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!("the attempt {nonce} was given up"),
    )
}

fn too_small(source: Size) -> Error {
    Error::new(
        ErrorKind::OutOfRange,
        format!("a copy is at least as large as its source, {source}"),
    )
}

/// A volume was made, or may have been, under a name that nobody else asks for.
fn maybe_there(error: Error) -> Error {
    Error::new(
        ErrorKind::Timeout,
        "the array's answer was lost; a volume without a name may be left behind",
    )
    .with_source(error)
}

/// Without a rename whose answer was lost, no volume is under the name: at worst there is a stray.
/// Only a rename whose fate is open may be told as `Timeout`.
pub(crate) fn nothing_claimed(error: Error) -> Error {
    if error.kind() != ErrorKind::Timeout {
        return error;
    }
    Error::new(
        ErrorKind::Unavailable,
        "the array's answer was lost; no volume was made under the name",
    )
    .with_source(error)
}
