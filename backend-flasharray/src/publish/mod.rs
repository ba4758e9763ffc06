//! Publish: one host, alone, proven by reading back (docs/protocols/fence.md).
//!
//! - F1 GET the connections. This host with its holder tag: so already, with the same nonce.
//! - F2 to F4, in [`fence`]: another host is refused by name, or shut out and seen gone.
//! - F5 POST the connection, with a LUN by chance: hosts remember LUNs, so numbers must not repeat
//!   in order. Never one of those that the caller excludes.
//! - F6 and the holder tag, in [`prove`]: only who saw itself alone after its own POST gets a
//!   grant, so two grants cannot overlap without a DELETE between them.
//!
//! A publish that fails after its POST takes its connection away again; where that is not certain,
//! the error is `Timeout`. What was taken from others is never given back.
//!
//! The connection is made by the volume's name: delete renames a volume before it looks for
//! connections, and relies on a late POST finding nothing.

mod fence;
mod prove;
mod told;

use std::collections::HashSet;
use std::time::Duration;

use rand::RngExt as _;
use storage_core::{
    Access, Error, ErrorKind, IscsiTarget, Outcome, Protocol, PublishVolume, Result, VolumeState,
};
use tokio::time::Instant;

use crate::access::Way;
use crate::api::{Api, WireVolumeKey};
use crate::backend::{CLEAN_UP, FlashArray};
use crate::error::{Failure, Refusal};
use crate::present::Present;
use crate::unpublish::GONE;
use fence::Taken;
pub(crate) use fence::tell_people;

/// LUNs of private connections (vendor REST document, `ConnectionPost.lun`).
const LUNS: std::ops::RangeInclusive<u16> = 1..=4095;

/// How often another LUN is tried. With half of all numbers in use, eight tries fail once in 256.
const LUN_TRIES: usize = 8;

/// How often the whole begins again after a race, or with a new host object.
const ROUNDS: usize = 8;

/// How long the winner of a race waits for the other one to back out before it looks again: a
/// few times the round trip to an array.
const RACE_WAIT: Duration = Duration::from_millis(100);

fn moved() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "the volume is gone, or its name now belongs to another one",
    )
}

fn not_built(protocol: Protocol) -> Error {
    let message = format!("volumes cannot be reached by {protocol} yet");
    Error::new(ErrorKind::Unsupported, message)
}

impl FlashArray {
    pub(crate) async fn publish_volume(&self, request: &PublishVolume) -> Result<Outcome<Access>> {
        match request.volume.state {
            VolumeState::Ready => {}
            VolumeState::Deleting => {
                return Err(Error::new(ErrorKind::Busy, "the volume is being removed"));
            }
            _ => {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    "the volume has been destroyed",
                ));
            }
        }
        if let Way::NotBuilt(protocol) = self.way {
            return Err(not_built(protocol));
        }
        let api = self.api_for(&request.volume.id).await?;
        // What can fail without touching anything comes first.
        let targets = match &self.way {
            Way::Iscsi { networks } => self.targets(&api, networks).await?,
            Way::Loop { .. } | Way::NotBuilt(_) => Vec::new(),
        };
        let mut attempt = Attempt::default();
        let result = self.rounds(&api, request, &targets, &mut attempt).await;
        let result = match (result, &attempt.host) {
            (Err(error), Some(host)) => {
                let undone = self.undo_quietly(&api, request, host).await;
                Err(attempt.told(error, undone))
            }
            (result, _) => result,
        };
        result.map_err(|error| attempt.taken.told(error))
    }

    async fn rounds(
        &self,
        api: &Api,
        request: &PublishVolume,
        targets: &[IscsiTarget],
        attempt: &mut Attempt,
    ) -> Result<Outcome<Access>> {
        let mut raced = false;
        for _round in 0..ROUNDS {
            crash_points::point!("fence.host");
            let host = self.ensure_host(api, &request.host).await?;
            let mut case = Case {
                array: self,
                api,
                request,
                host: &host,
                targets,
                raced,
                attempt: &mut *attempt,
            };
            match case.round().await? {
                Round::Granted(outcome) => return Ok(*outcome),
                Round::NewHost => self.forget_host(api, &request.host).await,
                Round::Raced => raced = true,
                Round::WrongLun => {}
            }
        }
        Err(Error::new(
            ErrorKind::Busy,
            "other hosts ask for the volume at the same time",
        ))
    }

    /// After a publish that failed: its connection goes, whatever volume its POST met. Under the
    /// name, and under the volume's present one if that is another.
    async fn undo_quietly(&self, api: &Api, request: &PublishVolume, host: &str) -> Undone {
        let api = api.until(Instant::now() + CLEAN_UP);
        let volume = &request.volume;
        let mut keys = vec![WireVolumeKey::Name(volume.object.clone())];
        let mut undone = Undone::NotThere;
        match self.present_key(&api, &volume.id).await {
            Ok(Some(key)) if !keys.contains(&key) => keys.push(key),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(host, error = %error.chain(), "a connection may be left behind");
                undone = Undone::Failed;
            }
        }
        for key in keys {
            self.tell(request, "undo", host, "asked");
            let one = match api.disconnect(&key, host).await {
                Ok(()) => {
                    self.tell(request, "undo", host, "done");
                    Undone::Removed
                }
                Err(failure) if failure.is(GONE) => {
                    self.tell(request, "undo", host, "done");
                    Undone::NotThere
                }
                Err(failure) => {
                    self.tell(request, "undo", host, "timeout");
                    let error = Error::from(failure);
                    tracing::warn!(?key, host, error = %error.chain(), "a connection may be left behind");
                    Undone::Failed
                }
            };
            undone = undone.max(one);
        }
        undone
    }
}

/// What one publish may have done to the array.
#[derive(Default)]
struct Attempt {
    /// The host object that may be connected by its POSTs.
    host: Option<String>,
    /// The answer of one was lost: it may still be executed.
    lost: bool,
    /// What it may take, and took, from others.
    taken: Taken,
}

impl Attempt {
    /// The error of a publish after its connection was undone. Where that is not certain, nothing
    /// but `Timeout` is true: every other kind says that nothing is left.
    fn told(&self, error: Error, undone: Undone) -> Error {
        let left = match undone {
            Undone::Failed => true,
            Undone::NotThere => self.lost,
            Undone::Removed => false,
        };
        if !left || error.kind() == ErrorKind::Timeout {
            return error;
        }
        Error::new(
            ErrorKind::Timeout,
            "the publish failed, and whether it left a connection is not known",
        )
        .with_source(error)
    }
}

/// What became of a connection that had to go. The worst of several counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Undone {
    NotThere,
    Removed,
    Failed,
}

/// What one round gave.
enum Round {
    Granted(Box<Outcome<Access>>),
    /// The host object is gone.
    NewHost,
    /// Another host came at the same moment, and this one may try again.
    Raced,
    /// Connected under a number that must not come back; that connection is undone.
    WrongLun,
}

/// One round of one request.
struct Case<'a> {
    array: &'a FlashArray,
    api: &'a Api,
    request: &'a PublishVolume,
    /// This machine's host object.
    host: &'a str,
    targets: &'a [IscsiTarget],
    /// An earlier round met another host.
    raced: bool,
    attempt: &'a mut Attempt,
}

impl Case<'_> {
    async fn round(&mut self) -> Result<Round> {
        crash_points::point!("fence.F1");
        let mut present = Present::of(&self.connections("F1").await?, self.host);
        self.attempt.taken.freeze(&present);
        if !present.alone() {
            match self.others(present).await? {
                Ok(left) => present = left,
                Err(round) => return Ok(round),
            }
        } else if present.own.is_some() {
            let record = self.record().await?;
            if let Some(holder) = &record.holder
                && self.is_mine(holder)
            {
                let nonce = holder.nonce;
                let access = self.access(present.lun()?, nonce, record)?;
                self.tell_grant("granted", nonce, "done");
                return Ok(Round::Granted(Box::new(Outcome::AlreadySo(access))));
            }
        }
        if present.own.is_none() {
            return self.connect().await;
        }
        // Connected by a publish that ended before its proof: prove it now. Also after a fence
        // with one's own tag in place: whoever was shut out may have had a grant in between.
        self.prove().await
    }

    /// F5. Sent once: after a lost answer the connections are read, and without one the request
    /// ends. Asked for again under its number, the first request might be executed when the grant
    /// that came of the second is long gone, and bring the devices of its mount back to life under
    /// somebody else's; under another number, it would leave a connection that is nobody's.
    async fn connect(&mut self) -> Result<Round> {
        let volume = &self.request.volume;
        let asked = &self.array.asked_numbers;
        let mut avoided: HashSet<u16> = self.request.avoid_luns.iter().copied().collect();
        for _try in 0..LUN_TRIES {
            let open = LUNS.filter(|lun| !avoided.contains(lun));
            let by_chance = |count| rand::rng().random_range(..count);
            let Some(lun) = asked.ask((&volume.id, self.host), open, by_chance) else {
                break;
            };
            crash_points::point!("fence.F5");
            self.tell_host("F5", "asked");
            let Err(failure) = self.api.connect(&volume.object, self.host, lun).await else {
                self.tell_host("F5", "done");
                self.attempt.host = Some(self.host.to_owned());
                return self.prove().await;
            };
            if failure.may_have_executed() {
                self.attempt.host = Some(self.host.to_owned());
                self.attempt.lost = true;
                asked.lost(&volume.id, self.host, lun);
            } else {
                asked.refused(&volume.id, self.host, lun);
                avoided.insert(lun);
            }
            self.tell_host("F5", fate(&failure));
            match failure.refusal() {
                Some(Refusal::ConnectionExists) => return self.prove().await,
                Some(Refusal::LunTaken) => {}
                Some(Refusal::HostMissing) => return Ok(Round::NewHost),
                Some(Refusal::VolumeMissing | Refusal::Destroyed) => return Err(moved()),
                None if failure.may_have_executed() => {
                    return self.look_after_lost_answer(failure).await;
                }
                _ => return Err(failure.into()),
            }
        }
        Err(Error::new(
            ErrorKind::ResourceExhausted,
            format!(
                "no free LUN found for host {}; one that was given is not given again for ten minutes, unless its volume was unmounted",
                self.host
            ),
        ))
    }

    /// F6 where the answer to the POST was lost: it was executed, or may be later.
    async fn look_after_lost_answer(&mut self, lost: Failure) -> Result<Round> {
        crash_points::point!("fence.F6");
        let connections = self.connections("F6").await?;
        let present = Present::of(&connections, self.host);
        if present.own.is_none() {
            return Err(lost.into());
        }
        self.judge(&present).await
    }
}

/// How a request that changes the array ended, in the words of a trace.
fn fate(failure: &Failure) -> &'static str {
    if failure.may_have_executed() {
        "timeout"
    } else {
        "refused"
    }
}
