//! The rename that commits: a tentative volume takes its name, or finds who has it.
//!
//! The array renames in one atomic step and refuses a name that is taken. Only then is a volume
//! acknowledged. The rename and the cleaning up go by the tentative name, which is this attempt's
//! alone: whichever comes first leaves the other nothing to find, so a volume that has its name is
//! never cleaned up, and what is executed late changes nothing. Once the answer of a rename was
//! lost, or the array said that a name is taken, an end without proof is `Timeout`. The array
//! ignores case and knows no namespaces, so the preferred name may be taken by an object that is
//! not this name's volume; then the alternative one is tried.

use std::time::Duration;

use storage_core::{CreateVolume, Error, ErrorKind, Outcome, Result, Volume, VolumeState};
use tokio::time::Instant;

use crate::api::{Api, WireVolume};
use crate::backend::FlashArray;
use crate::error::{Failure, Refusal};
use crate::name::{candidates, quoted};
use crate::record::Record;

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
    /// Takes the name for the tentative volume, or finds who has it. The place where a claim over
    /// several arrays would be decided first.
    pub(crate) async fn claim(
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
                let volume = self.volume(api, &wire, request.name.clone(), record)?;
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

    /// Destroys this attempt's own tentative volume, which was never connected and which nobody was
    /// told of. By its tentative name: once a rename was executed after all, there is nothing under it, and
    /// the volume is spared.
    pub(crate) async fn discard(&self, api: &Api, tentative: &WireVolume) {
        let api = api.until(Instant::now() + CLEAN_UP);
        crash_points::point!("claim.discard");
        match api.destroy_volume(&tentative.name).await {
            Ok(()) => tracing::debug!(object = tentative.name, "tentative volume destroyed"),
            Err(failure) if failure.is(&[Refusal::Destroyed, Refusal::VolumeMissing]) => {}
            Err(failure) => {
                let error = Error::from(failure);
                tracing::warn!(object = tentative.name, error = %error.chain(), "a tentative volume is left behind; nobody was told of it");
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

pub(crate) fn lost_volume() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the array lost the volume that it had made",
    )
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
