//! Create: a tentative volume with a nonce in its name, its record, then the rename that commits.
//!
//! 1. POST `<ns>-fl-new-<nonce>`: claims nothing. What a crash leaves here is empty and says so.
//! 2. PUT its tags: the record is complete before anybody can find the volume.
//! 3. PATCH the name: the array does that in one atomic step and refuses a name that is taken.
//!    Only then is the volume acknowledged.
//!
//! A lost answer is resolved by reading, never by guessing. The array ignores case and knows no
//! namespaces, so the preferred name may be taken by an object that is not this name's volume;
//! then the alternative one is tried.

use std::time::Duration;

use storage_core::Backend as _;
use storage_core::{
    CreateVolume, Error, ErrorKind, Outcome, Ownership, Result, Volume, VolumeState, tentative_name,
};
use tokio::time::Instant;

use crate::api::{Api, WireVolume};
use crate::backend::FlashArray;
use crate::error::{Failure, Refusal};
use crate::name::{candidates, quoted};
use crate::record::{Record, new_record};

/// How long cleaning up may take beyond the operation's own deadline.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// How often a rename whose answer was lost is sent again after reading showed it undone.
const COMMIT_ROUNDS: usize = 3;

/// What became of one attempt to take a name.
enum Commit {
    /// The volume has the name.
    Done(WireVolume),
    /// The name is another object's.
    Taken,
}

impl FlashArray {
    pub(crate) async fn create_volume(&self, request: CreateVolume) -> Result<Outcome<Volume>> {
        let size = self.capabilities().round(request.size)?;
        let tags = new_record(&self.namespace, &request)?;
        let api = self.api().await?;
        let tentative = self.make_tentative(&api, &request, size.bytes()).await?;
        if let Err(failure) = api.put_tags(&tentative.id, &tags).await {
            self.discard(&api, &tentative).await;
            return Err(nothing_claimed(failure.into()));
        }
        let record = Record {
            owner: None,
            filesystem: Some(request.filesystem.clone()),
            format_grant: request.format_grant.clone(),
            holder: None,
            attributes: request.attributes.clone(),
        };
        self.claim(&api, &request, tentative, record).await
    }

    async fn make_tentative(
        &self,
        api: &Api,
        request: &CreateVolume,
        bytes: u64,
    ) -> Result<WireVolume> {
        let name = tentative_name(&self.namespace, request.nonce);
        let made = match api.make_volume(&name, bytes).await {
            Ok(made) => made,
            // The nonce is this attempt's alone: an earlier try of this very call made it.
            Err(failure) if failure.is(&[Refusal::NameTaken]) => None,
            Err(failure) => return Err(nothing_claimed(failure.into())),
        };
        if let Some(made) = made {
            return Ok(made);
        }
        let found = api.find_volumes(format!("name={}", quoted(&name))).await;
        let found = found.map_err(|failure| nothing_claimed(failure.into()))?;
        let exact = found
            .into_iter()
            .find(|volume| volume.name == name && !volume.destroyed);
        exact.ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                "the array lost the volume that it had made",
            )
        })
    }

    /// Takes the name for the tentative volume, or finds who has it. The place where a claim over
    /// several arrays would be decided first.
    async fn claim(
        &self,
        api: &Api,
        request: &CreateVolume,
        tentative: WireVolume,
        record: Record,
    ) -> Result<Outcome<Volume>> {
        for object in candidates(&self.namespace, &request.name).iter() {
            match self.commit(api, &tentative, object).await {
                Ok(Commit::Done(wire)) => {
                    let mut volume = self.volume(api, &wire, request.name.clone(), record)?;
                    volume.ownership = Ownership::Recorded;
                    return Ok(Outcome::Done(volume));
                }
                Ok(Commit::Taken) => {}
                Err(error) => {
                    // Unknown: the rename may still be executed, so the volume must stay.
                    if error.kind() != ErrorKind::Timeout {
                        self.discard(api, &tentative).await;
                    }
                    return Err(error);
                }
            }
            let existing = self.by_name(api, &request.name).await;
            match existing {
                Ok(None) => {}
                Ok(Some(existing)) => {
                    self.discard(api, &tentative).await;
                    return already_there(existing);
                }
                Err(error) => {
                    self.discard(api, &tentative).await;
                    return Err(nothing_claimed(error));
                }
            }
        }
        self.discard(api, &tentative).await;
        Err(Error::new(
            ErrorKind::AlreadyExists,
            "objects that are not this volume have all names that it could have on the array",
        )
        .with_context("volume", request.name.as_str()))
    }

    async fn commit(&self, api: &Api, tentative: &WireVolume, object: &str) -> Result<Commit> {
        let mut last = None;
        for _round in 0..COMMIT_ROUNDS {
            let failure = match api.rename_volume(&tentative.id, object).await {
                Ok(changed) => {
                    let mut wire = changed.unwrap_or_else(|| tentative.clone());
                    object.clone_into(&mut wire.name);
                    return Ok(Commit::Done(wire));
                }
                Err(failure) => failure,
            };
            let taken = failure.is(&[Refusal::NameTaken]);
            if !failure.may_have_executed() {
                return if taken {
                    Ok(Commit::Taken)
                } else {
                    Err(nothing_claimed(failure.into()))
                };
            }
            match self.name_of(api, &tentative.id).await {
                Ok(Some(wire)) if wire.name == object => return Ok(Commit::Done(wire)),
                // Not executed. Refused just now, it would be refused again.
                Ok(Some(_)) if taken => return Ok(Commit::Taken),
                Ok(Some(_)) => last = Some(failure),
                Ok(None) => return Err(nothing_claimed(failure.into())),
                Err(_) => return Err(failure.into()),
            }
        }
        let lost =
            "the array's answers to the rename were lost; whether the volume exists is not known";
        Err(last.map_or_else(|| Error::new(ErrorKind::Timeout, lost), Error::from))
    }

    async fn name_of(&self, api: &Api, id: &str) -> Result<Option<WireVolume>, Failure> {
        let found = api.find_volumes(format!("id={}", quoted(id))).await?;
        Ok(found.into_iter().find(|volume| volume.id == id))
    }

    /// Destroys this attempt's own tentative volume. It was never connected and is empty.
    async fn discard(&self, api: &Api, tentative: &WireVolume) {
        let api = api.until(Instant::now() + CLEAN_UP);
        match api.destroy_volume(&tentative.id).await {
            Ok(()) => tracing::debug!(object = tentative.name, "tentative volume destroyed"),
            Err(failure) if failure.is(&[Refusal::Destroyed, Refusal::VolumeMissing]) => {}
            Err(failure) => {
                let error = Error::from(failure);
                tracing::warn!(object = tentative.name, error = %error.chain(), "a tentative volume is left behind; it is empty");
            }
        }
    }
}

fn already_there(existing: Volume) -> Result<Outcome<Volume>> {
    match existing.state {
        VolumeState::Ready => Ok(Outcome::AlreadySo(existing)),
        VolumeState::Deleting => Err(Error::new(
            ErrorKind::Busy,
            "a volume of this name is being removed; try again shortly",
        )),
        _ => Err(Error::new(
            ErrorKind::FailedPrecondition,
            format!(
                "a destroyed volume, {}, still keeps the name; recover it on the array, rename it, or wait until it is eradicated",
                existing.object
            ),
        )),
    }
}

/// Before the rename was sent, a lost answer leaves no volume under the name: at worst a stray.
/// Only a rename whose fate is open may be told as `Timeout`.
fn nothing_claimed(error: Error) -> Error {
    if error.kind() != ErrorKind::Timeout {
        return error;
    }
    Error::new(
        ErrorKind::Unavailable,
        "the array's answer was lost; no volume was made under the name",
    )
    .with_source(error)
}
