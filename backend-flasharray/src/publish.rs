//! Publish: one host, alone, proven by reading back.
//!
//! 1. GET the connections. Another host, a group: refused, named. This host with its holder tag:
//!    so already, with the same nonce.
//! 2. POST the connection, with a LUN by chance: hosts remember LUNs, so numbers must not repeat
//!    in order. Never one of those that the caller excludes.
//! 3. GET again: exactly this host, and the volume that was meant. Only who saw itself alone after
//!    its own POST gets a grant, so two grants cannot overlap without a DELETE between them.
//! 4. PUT the holder tag: host and nonce.
//!
//! A publish that fails after its POST takes its connection away again; where that is not certain,
//! the error is `Timeout`.
//!
//! The connection is made by the volume's name: delete renames a volume before it looks for
//! connections, and relies on a late POST finding nothing.

use std::collections::HashSet;
use std::time::Duration;

use rand::RngExt as _;
use storage_core::{
    Access, AccessPath, Error, ErrorKind, Grant, IscsiTarget, Outcome, Preemption, Protocol,
    PublishVolume, Result, VolumeState,
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::access::{Way, loop_path};
use crate::api::{Api, WireConnection, WireVolumeKey};
use crate::backend::{CLEAN_UP, FlashArray};

use crate::error::Refusal;
use crate::present::Present;
use crate::record::{Holder, Record, holder_tag};
use crate::unpublish::GONE;

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
        match (result, &attempt.host) {
            (Err(error), Some(host)) => {
                let undone = self.undo_quietly(&api, request, host).await;
                Err(attempt.told(error, undone))
            }
            (result, _) => result,
        }
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
            let one = match api.disconnect(&key, host).await {
                Ok(()) => Undone::Removed,
                Err(failure) if failure.is(GONE) => Undone::NotThere,
                Err(failure) => {
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

/// What the POSTs of one publish may have left on the array.
#[derive(Default)]
struct Attempt {
    /// The host object that may be connected by them.
    host: Option<String>,
    /// The answer of one was lost: it may still be executed.
    lost: bool,
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
        let present = Present::of(&self.connections().await?, self.host);
        if !present.alone() {
            return self.refuse(&present).await;
        }
        if present.own.is_none() {
            return self.connect().await;
        }
        let record = self.record().await?;
        if let Some(holder) = &record.holder
            && self.is_mine(holder)
        {
            let nonce = holder.nonce;
            let access = self.access(present.lun()?, nonce, record)?;
            return Ok(Round::Granted(Box::new(Outcome::AlreadySo(access))));
        }
        // Connected by a publish that ended before its proof: prove it now.
        self.prove().await
    }

    /// Somebody else is connected. The right to shut them out is a field of the request, and the
    /// only value that there is so far says no.
    async fn refuse(&mut self, present: &Present) -> Result<Round> {
        match self.request.preemption {
            Preemption::Refuse => {}
            Preemption::ShutOut(_) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "another host cannot be shut out yet",
                ));
            }
        }
        if present.own.is_none() && !self.raced {
            return Err(present.held());
        }
        let holder = self.record().await?.holder;
        if present.own.is_some() {
            if holder.as_ref().is_some_and(|holder| self.is_mine(holder)) {
                // The newcomer sees this host and backs out by itself.
                return Err(present.busy());
            }
            // A leftover of this host's own: it proves nothing and would block the holder.
            self.undo().await?;
        }
        let named = |holder: &Holder| {
            let object = &holder.object;
            present
                .hosts
                .iter()
                .any(|host| host.eq_ignore_ascii_case(object))
        };
        let granted = holder.as_ref().is_some_and(named);
        let in_time = Instant::now() + RACE_WAIT < self.api.deadline();
        if self.raced && !granted && present.groups.is_empty() && in_time {
            sleep(RACE_WAIT).await;
            return Ok(Round::Raced);
        }
        Err(present.held())
    }

    async fn connect(&mut self) -> Result<Round> {
        let object = &self.request.volume.object;
        let avoided: HashSet<u16> = self.request.avoid_luns.iter().copied().collect();
        let mut open: Vec<u16> = LUNS.filter(|lun| !avoided.contains(lun)).collect();
        for _try in 0..LUN_TRIES {
            if open.is_empty() {
                break;
            }
            let lun = open.swap_remove(rand::rng().random_range(..open.len()));
            crash_points::point!("fence.F5");
            let Err(failure) = self.api.connect(object, self.host, lun).await else {
                self.attempt.host = Some(self.host.to_owned());
                return self.prove().await;
            };
            if failure.may_have_executed() {
                self.attempt.host = Some(self.host.to_owned());
                self.attempt.lost = true;
            }
            match failure.refusal() {
                Some(Refusal::ConnectionExists) => return self.prove().await,
                Some(Refusal::LunTaken) => {}
                Some(Refusal::HostMissing) => return Ok(Round::NewHost),
                Some(Refusal::VolumeMissing | Refusal::Destroyed) => return Err(moved()),
                _ => return Err(failure.into()),
            }
        }
        Err(Error::new(
            ErrorKind::ResourceExhausted,
            format!("no free LUN found for host {}", self.host),
        ))
    }

    /// The read-back, and the grant.
    async fn prove(&mut self) -> Result<Round> {
        crash_points::point!("fence.F6");
        let connections = self.connections().await?;
        let present = Present::of(&connections, self.host);
        if !present.alone() {
            return self.lost_race(&present).await;
        }
        if present.own.is_none() {
            let message = "the connection was removed as soon as it was made";
            return Err(Error::new(ErrorKind::Busy, message));
        }
        let lun = present.lun()?;
        if self.request.avoid_luns.contains(&lun) {
            // Left by a publish that did not know, and no grant was told for it.
            self.undo().await?;
            return Ok(Round::WrongLun);
        }
        let record = self.record().await?;
        let holder = Holder {
            nonce: Uuid::new_v4(),
            machine: self.request.host.object_name(),
            object: self.host.to_owned(),
        };
        let id = self.request.volume.id.object();
        crash_points::point!("fence.holder");
        self.api.put_tags(id, &[holder_tag(&holder)]).await?;
        crash_points::point!("fence.granted");
        let access = self.access(lun, holder.nonce, record)?;
        Ok(Round::Granted(Box::new(Outcome::Done(access))))
    }

    /// Another host appeared that was not there before the POST. It may hold a grant already, so
    /// its connection is not touched. The lower name tries again, and is refused then if the other
    /// one stayed.
    async fn lost_race(&mut self, present: &Present) -> Result<Round> {
        if present.own.is_some() {
            self.undo().await?;
        }
        let first = present.hosts.iter().all(|other| self.host < other.as_str());
        if first && present.groups.is_empty() {
            return Ok(Round::Raced);
        }
        Err(present.busy())
    }

    /// Takes away a connection that was seen.
    async fn undo(&mut self) -> Result<()> {
        let key = WireVolumeKey::Name(self.request.volume.object.clone());
        crash_points::point!("fence.undo");
        match self.api.disconnect(&key, self.host).await {
            Ok(()) => {}
            Err(failure) if failure.is(&[Refusal::ConnectionMissing]) => {}
            Err(failure) => return Err(failure.into()),
        }
        *self.attempt = Attempt::default();
        Ok(())
    }

    /// The connections of the volume under its name, if that name is still this volume's.
    ///
    /// # Errors
    /// `NotFound` when the name is nobody's or another volume's.
    async fn connections(&self) -> Result<Vec<WireConnection>> {
        let volume = &self.request.volume;
        let key = WireVolumeKey::Name(volume.object.clone());
        let connections = match self.api.connections(&key).await {
            Ok(connections) => connections,
            Err(failure) if failure.is(&[Refusal::VolumeMissing, Refusal::Destroyed]) => {
                return Err(moved());
            }
            Err(failure) => return Err(failure.into()),
        };
        let other = connections
            .iter()
            .filter_map(|connection| connection.volume.id.as_deref())
            .any(|id| id != volume.id.object());
        if other { Err(moved()) } else { Ok(connections) }
    }

    async fn record(&self) -> Result<Record> {
        match self.api.tags_of(&[self.request.volume.id.object()]).await {
            Ok(tags) => Record::read(&tags),
            Err(failure) if failure.is(&[Refusal::VolumeMissing]) => Err(moved()),
            Err(failure) => Err(failure.into()),
        }
    }

    fn is_mine(&self, holder: &Holder) -> bool {
        holder.machine == self.request.host.object_name()
            && holder.object.eq_ignore_ascii_case(self.host)
    }

    fn access(&self, lun: u16, nonce: Uuid, record: Record) -> Result<Access> {
        let volume = &self.request.volume;
        let path = match &self.array.way {
            Way::Loop { folder } => loop_path(folder, self.host, lun),
            Way::Iscsi { .. } => AccessPath::Iscsi {
                targets: self.targets.to_vec(),
                lun,
            },
            Way::NotBuilt(protocol) => return Err(not_built(*protocol)),
        };
        let identity = volume.identity.clone().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArgument,
                "the volume was read without its serial",
            )
        })?;
        Ok(Access {
            volume: volume.id.clone(),
            path,
            identity,
            size: volume.size,
            grant: Grant {
                nonce,
                host: self.request.host.object_name(),
            },
            format_grant: record.format_grant,
        })
    }
}
