//! C3, the rename that commits: a tentative volume takes its name, or finds who has it.
//!
//! The array renames in one atomic step and refuses a name that is taken. Only then is a volume
//! acknowledged. The rename and the cleaning up go by the tentative name, which is this attempt's
//! alone: whichever comes first leaves the other nothing to find, so a volume that has its name is
//! never cleaned up, and what is executed late changes nothing. Once the answer of a rename was
//! lost, or the array said that a name is taken, an end without proof is `Timeout`. The array
//! ignores case and knows no namespaces, so the preferred name may be taken by an object that is
//! not this name's volume; then the alternative one is tried. An adopted object never gets back the
//! name that it had: there its record means nothing ([`crate::record`]).
//!
//! Whoever made the volume renames it at once. Everybody else, who helps, reads first what waits.

use storage_core::{
    ClaimNonce, Commit, Error, ErrorKind, Result, Tentative, TentativeKind, Volume, VolumeName,
    VolumeState,
};

use super::Proposed;
use super::propose::nothing_claimed;
use crate::api::{Api, WireVolume};
use crate::backend::FlashArray;
use crate::error::Refusal;
use crate::name::candidates;
use crate::record::Record;

/// How often a rename whose answer was lost is sent again after reading showed it undone.
const COMMIT_ROUNDS: usize = 3;

/// What became of one attempt to take a name.
enum Renamed {
    /// The volume has the name.
    Done(WireVolume),
    /// The name is another object's, or was this volume's already.
    Taken,
    /// The array answered: nothing is under the waiting name.
    Moved,
}

/// A commit without an end.
pub(crate) struct Unsettled {
    pub(crate) error: Error,
    /// A rename may be executed yet: the waiting volume must stay.
    pub(crate) may_come: bool,
}

/// What there is of an attempt that this process did not make.
enum Attempt {
    Waiting(Box<Proposed>),
    Ended(Commit),
}

impl FlashArray {
    /// C3 for the winner and for whoever helps.
    pub(super) async fn commit_attempt(
        &self,
        name: &VolumeName,
        nonce: ClaimNonce,
    ) -> Result<Commit> {
        let api = self.api().await?;
        let proposed = match self.waiting.get(&api.identity.id, nonce) {
            Some(proposed) => proposed,
            None => match self.attempt_of(&api, name, nonce).await? {
                Attempt::Waiting(proposed) => *proposed,
                Attempt::Ended(commit) => return Ok(commit),
            },
        };
        let settled = self.settle(&api, name, &proposed).await;
        if settled.is_ok() {
            self.waiting.forget(nonce);
        }
        settled.map_err(|unsettled| unsettled.error)
    }

    /// Takes the name for the waiting volume, or finds who has it.
    ///
    /// # Errors
    /// `Timeout` exactly when a volume may be under the name, now or later.
    pub(crate) async fn settle(
        &self,
        api: &Api,
        name: &VolumeName,
        proposed: &Proposed,
    ) -> Result<Commit, Unsettled> {
        let mut claim = Claim {
            array: self,
            api,
            name,
            proposed,
            uncertain: false,
            open: false,
        };
        match claim.run().await {
            Ok(commit) => Ok(commit),
            // A rename may still be executed, so the volume must stay, and nothing but `Timeout`
            // is true.
            Err(error) if claim.uncertain => Err(Unsettled {
                error: unknown(error),
                may_come: true,
            }),
            // Another kind would have the next array make a second volume of the name.
            Err(error) if claim.open => Err(Unsettled {
                error: taken_here(error),
                may_come: false,
            }),
            Err(error) => Err(Unsettled {
                error: nothing_claimed(error),
                may_come: false,
            }),
        }
    }

    async fn attempt_of(&self, api: &Api, name: &VolumeName, nonce: ClaimNonce) -> Result<Attempt> {
        let seen = self.see(api, name).await?;
        let mut waiting = seen.waiting.into_iter();
        let attempt = |one: &Tentative| one.nonce == nonce && one.kind != TentativeKind::Stopper;
        if let Some((tentative, wire)) = waiting.find(|(one, _)| attempt(one)) {
            return self.recorded(api, name, tentative, wire).await;
        }
        let mut kept = None;
        for (volume, attempt) in seen.volumes {
            let ours = attempt == Some(nonce);
            if volume.state == VolumeState::Ready {
                let volume = Box::new(volume);
                return Ok(Attempt::Ended(match ours {
                    true => Commit::Committed(volume),
                    false => Commit::Taken(volume),
                }));
            }
            if ours {
                kept = Some(kept_by(&volume));
            }
        }
        kept.map_or(Ok(Attempt::Ended(Commit::Gone)), Err)
    }

    /// A volume that waits, with its record.
    async fn recorded(
        &self,
        api: &Api,
        name: &VolumeName,
        tentative: Tentative,
        wire: WireVolume,
    ) -> Result<Attempt> {
        let record = match api.tags_of(&[&wire.id]).await {
            Ok(tags) => Record::read(&tags)?,
            Err(failure) if failure.is(&[Refusal::VolumeMissing]) => {
                return Ok(Attempt::Ended(Commit::Gone));
            }
            Err(failure) => return Err(failure.into()),
        };
        if record.name_in(&self.namespace) != Some(name) {
            return Err(Error::new(
                ErrorKind::FailedPrecondition,
                format!(
                    "{} waits for the name without its record; destroy or rename it on the array",
                    wire.name
                ),
            ));
        }
        Ok(Attempt::Waiting(Box::new(Proposed {
            array: api.identity.id.clone(),
            wire,
            record,
            kind: tentative.kind,
        })))
    }
}

/// One attempt to take a name.
struct Claim<'a> {
    array: &'a FlashArray,
    api: &'a Api,
    name: &'a VolumeName,
    proposed: &'a Proposed,
    /// The answer of a rename was lost: it may have been executed, or be executed later. Once
    /// true, it stays.
    uncertain: bool,
    /// The array said that a name is taken, and it is not certain that no volume of this name is
    /// there or will be.
    open: bool,
}

impl Claim<'_> {
    async fn run(&mut self) -> Result<Commit> {
        let names = candidates(&self.array.namespace, self.name);
        let old = self.proposed.record.imported_from.as_deref();
        let had = |object: &&str| old.is_some_and(|old| old.eq_ignore_ascii_case(object));
        for object in names.iter().filter(|object| !had(object)) {
            let moved = match self.rename(object).await? {
                Renamed::Done(wire) => return self.ours(&wire),
                Renamed::Taken => false,
                Renamed::Moved => true,
            };
            self.open = true;
            let existing = self.array.by_name(self.api, self.name).await?;
            match existing {
                Some(existing) if existing.id.object() == self.proposed.wire.id => {
                    return self.found_ours(existing);
                }
                Some(existing) if existing.state == VolumeState::Ready => {
                    return Ok(Commit::Taken(Box::new(existing)));
                }
                _ if moved => {
                    self.open = false;
                    return Ok(Commit::Gone);
                }
                None => {}
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
        .with_context("volume", self.name.as_str()))
    }

    fn ours(&self, wire: &WireVolume) -> Result<Commit> {
        let record = self.proposed.record.clone();
        let volume = self
            .array
            .volume(self.api, wire, self.name.clone(), record)?;
        Ok(Commit::Committed(Box::new(volume)))
    }

    /// What carries the name is the waiting volume: a rename was executed without an answer, or by
    /// somebody who helped.
    fn found_ours(&mut self, existing: Volume) -> Result<Commit> {
        if existing.state == VolumeState::Ready {
            return Ok(Commit::Committed(Box::new(existing)));
        }
        // It was made, seen by others and is on its way out again.
        self.uncertain = true;
        Err(kept_by(&existing))
    }

    /// Renames the waiting volume, by its waiting name: what is executed late, or twice, finds
    /// nothing under it.
    async fn rename(&mut self, object: &str) -> Result<Renamed> {
        let tentative = &self.proposed.wire;
        let mut last = None;
        for _round in 0..COMMIT_ROUNDS {
            crash_points::point!("claim.C3.before");
            let renamed = self.api.rename_volume(&tentative.name, object).await;
            crash_points::point!("claim.C3.after");
            let failure = match renamed {
                Ok(changed) => {
                    let mut wire = changed.unwrap_or_else(|| tentative.clone());
                    object.clone_into(&mut wire.name);
                    return Ok(Renamed::Done(wire));
                }
                Err(failure) => failure,
            };
            let taken = failure.is(&[Refusal::NameTaken]);
            // Not there under its waiting name: perhaps because it has its own by now.
            let moved = failure.is(&[Refusal::VolumeMissing, Refusal::Destroyed]);
            let answered = !failure.may_have_executed();
            self.uncertain |= !answered;
            if !self.uncertain {
                return match (taken, moved) {
                    (true, _) => Ok(Renamed::Taken),
                    (_, true) => Ok(Renamed::Moved),
                    _ => Err(failure.into()),
                };
            }
            let Some(wire) = self.array.wire_of(self.api, &tentative.id).await? else {
                return Err(failure.into());
            };
            if self.has_its_name(&wire) {
                return Ok(Renamed::Done(wire));
            }
            if wire.name == tentative.name && wire.destroyed {
                // Given up. What is destroyed is not renamed, however late the rename comes.
                return Ok(Renamed::Moved);
            }
            let waiting = wire.name == tentative.name;
            match (waiting, taken) {
                // Not executed. Refused just now, it would be refused again.
                (true, true) => return Ok(Renamed::Taken),
                (true, false) if !answered || moved => last = Some(failure),
                _ => return Err(failure.into()),
            }
        }
        Err(last.map_or_else(lost_volume, Error::from))
    }

    fn has_its_name(&self, wire: &WireVolume) -> bool {
        let names = candidates(&self.array.namespace, self.name);
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
