//! Create: a tentative volume with a nonce in its name, its record, then the rename that commits.
//!
//! 1. POST `<ns>-fl-new-<nonce>`: claims nothing. What a crash leaves here is empty and says so.
//! 2. PUT its tags: the record is complete before anybody can find the volume.
//! 3. PATCH the name: the array does that in one atomic step and refuses a name that is taken.
//!    Only then is the volume acknowledged.
//!
//! A lost answer is resolved by reading, never by guessing. Step 3 and the cleaning up go by the
//! tentative name, which is this attempt's alone: whichever comes first leaves the other nothing
//! to find, so a volume that has its name is never cleaned up, and what is executed late changes
//! nothing. Once the answer of a rename was lost, or the array said that a name is taken, an end
//! without proof is `Timeout`. The array ignores case and knows no namespaces, so the preferred name may be taken by an object that is not this name's volume;
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
pub(crate) const CLEAN_UP: Duration = Duration::from_secs(10);

/// How often a rename whose answer was lost is sent again after reading showed it undone.
const COMMIT_ROUNDS: usize = 3;

/// What became of one attempt to take a name.
enum Commit {
    /// The volume has the name.
    Done(WireVolume),
    /// The name is another object's, or was this volume's already.
    Taken,
}

impl FlashArray {
    pub(crate) async fn create_volume(&self, request: CreateVolume) -> Result<Outcome<Volume>> {
        let size = self.capabilities().round(request.size)?;
        let tags = new_record(&self.namespace, &request)?;
        let api = self.api().await?;
        crash_points::point!("claim.C1.volume");
        let tentative = self.make_tentative(&api, &request, size.bytes()).await?;
        crash_points::point!("claim.C1.tags");
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
        exact.ok_or_else(lost_volume)
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
        let mut claim = Claim {
            array: self,
            api,
            request,
            tentative: &tentative,
            uncertain: false,
            open: false,
        };
        match claim.run().await {
            Ok(Claimed::Ours(wire)) => {
                let mut volume = self.volume(api, &wire, request.name.clone(), record)?;
                volume.ownership = Ownership::Recorded;
                Ok(Outcome::Done(volume))
            }
            Ok(Claimed::OursAlready(volume)) => Ok(Outcome::Done(*volume)),
            Ok(Claimed::Others(existing)) => {
                // Also where a rename may still come: it would find nothing to rename.
                self.discard(api, &tentative).await;
                Ok(Outcome::AlreadySo(*existing))
            }
            // A rename may still be executed, so the volume must stay, and nothing but `Timeout`
            // is true.
            Err(error) if claim.uncertain => Err(unknown(error)),
            Err(error) => {
                let open = claim.open;
                self.discard(api, &tentative).await;
                // Another kind would have the next array make a second volume of the name.
                Err(if open {
                    taken_here(error)
                } else {
                    nothing_claimed(error)
                })
            }
        }
    }

    async fn name_of(&self, api: &Api, id: &str) -> Result<Option<WireVolume>, Failure> {
        let found = api.find_volumes(format!("id={}", quoted(id))).await?;
        Ok(found.into_iter().find(|volume| volume.id == id))
    }

    /// Destroys this attempt's own tentative volume, which was never connected and is empty. By
    /// its tentative name: once a rename was executed after all, there is nothing under it, and
    /// the volume is spared.
    async fn discard(&self, api: &Api, tentative: &WireVolume) {
        let api = api.until(Instant::now() + CLEAN_UP);
        crash_points::point!("claim.discard");
        match api.destroy_volume(&tentative.name).await {
            Ok(()) => tracing::debug!(object = tentative.name, "tentative volume destroyed"),
            Err(failure) if failure.is(&[Refusal::Destroyed, Refusal::VolumeMissing]) => {}
            Err(failure) => {
                let error = Error::from(failure);
                tracing::warn!(object = tentative.name, error = %error.chain(), "a tentative volume is left behind; it is empty");
            }
        }
    }
}

/// How a claim ended.
enum Claimed {
    /// The tentative volume has the name: what the array said of it.
    Ours(WireVolume),
    /// The same, found under the name together with its record.
    OursAlready(Box<Volume>),
    /// Another volume has the name.
    Others(Box<Volume>),
}

/// One attempt to take a name.
struct Claim<'a> {
    array: &'a FlashArray,
    api: &'a Api,
    request: &'a CreateVolume,
    tentative: &'a WireVolume,
    /// The answer of a rename was lost: it may have been executed, or be executed later. Once
    /// true, it stays.
    uncertain: bool,
    /// The array said that a name is taken, and it is not certain that no volume of this name is
    /// there or will be.
    open: bool,
}

impl Claim<'_> {
    async fn run(&mut self) -> Result<Claimed> {
        for object in candidates(&self.array.namespace, &self.request.name).iter() {
            match self.commit(object).await? {
                Commit::Done(wire) => return Ok(Claimed::Ours(wire)),
                Commit::Taken => self.open = true,
            }
            let existing = self.array.by_name(self.api, &self.request.name).await?;
            match existing {
                None => {}
                Some(existing) if existing.id.object() == self.tentative.id => {
                    return self.found_ours(existing);
                }
                Some(existing) if existing.state == VolumeState::Ready => {
                    return Ok(Claimed::Others(Box::new(existing)));
                }
                Some(existing) => {
                    self.open = existing.state != VolumeState::Destroyed;
                    return Err(kept_by(&existing));
                }
            }
        }
        self.open = false;
        Err(Error::new(
            ErrorKind::AlreadyExists,
            "objects that are not this volume have all names that it could have on the array",
        )
        .with_context("volume", self.request.name.as_str()))
    }

    /// What carries the name is the tentative volume: a rename was executed without an answer.
    fn found_ours(&mut self, existing: Volume) -> Result<Claimed> {
        if existing.state == VolumeState::Ready {
            return Ok(Claimed::OursAlready(Box::new(existing)));
        }
        // It was made, seen by others and is on its way out again.
        self.uncertain = true;
        Err(kept_by(&existing))
    }

    /// Renames the tentative volume, by its tentative name: what is executed late, or twice,
    /// finds nothing under it.
    async fn commit(&mut self, object: &str) -> Result<Commit> {
        let mut last = None;
        for _round in 0..COMMIT_ROUNDS {
            crash_points::point!("claim.C3.before");
            let renamed = self.api.rename_volume(&self.tentative.name, object).await;
            crash_points::point!("claim.C3.after");
            let failure = match renamed {
                Ok(changed) => {
                    let mut wire = changed.unwrap_or_else(|| self.tentative.clone());
                    object.clone_into(&mut wire.name);
                    return Ok(Commit::Done(wire));
                }
                Err(failure) => failure,
            };
            let taken = failure.is(&[Refusal::NameTaken]);
            // Not there under its tentative name: perhaps because it has its own by now.
            let moved = failure.is(&[Refusal::VolumeMissing, Refusal::Destroyed]);
            let answered = !failure.may_have_executed();
            self.uncertain |= !answered;
            if !self.uncertain {
                return match (taken, moved) {
                    (true, _) => Ok(Commit::Taken),
                    (_, true) => Err(lost_volume()),
                    _ => Err(failure.into()),
                };
            }
            let Some(wire) = self.array.name_of(self.api, &self.tentative.id).await? else {
                return Err(failure.into());
            };
            if self.has_its_name(&wire) {
                return Ok(Commit::Done(wire));
            }
            let waiting = wire.name == self.tentative.name && !wire.destroyed;
            match (waiting, taken) {
                // Not executed. Refused just now, it would be refused again.
                (true, true) => return Ok(Commit::Taken),
                (true, false) if !answered || moved => last = Some(failure),
                _ => return Err(failure.into()),
            }
        }
        Err(last.map_or_else(lost_volume, Error::from))
    }

    fn has_its_name(&self, wire: &WireVolume) -> bool {
        let names = candidates(&self.array.namespace, &self.request.name);
        !wire.destroyed && names.iter().any(|name| name == wire.name)
    }
}

/// The refusal because of an object that keeps the name without being a usable volume.
fn kept_by(existing: &Volume) -> Error {
    match existing.state {
        VolumeState::Deleting => Error::new(
            ErrorKind::Busy,
            "a volume of this name is being removed; try again shortly",
        ),
        _ => Error::new(
            ErrorKind::FailedPrecondition,
            format!(
                "a destroyed volume, {}, still keeps the name; recover it on the array, rename it, or wait until it is eradicated",
                existing.object
            ),
        ),
    }
}

fn lost_volume() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the array lost the volume that it had made",
    )
}

/// Without a rename whose answer was lost, no volume is under the name: at worst there is a stray.
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

/// After the array said that the name is taken, whatever failed then.
fn taken_here(error: Error) -> Error {
    Error::new(
        ErrorKind::Timeout,
        "whether the volume exists under this name is not known; repeat the call",
    )
    .with_source(error)
}

/// After a rename whose answer was lost, whatever failed then.
fn unknown(error: Error) -> Error {
    Error::new(
        ErrorKind::Timeout,
        "the array's answer to the rename was lost; whether the volume exists is not known",
    )
    .with_source(error)
}
