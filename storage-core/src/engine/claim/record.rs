//! The fleet record: how a node comes to know the one in force, and how a new epoch is taken.
//!
//! An epoch is decided by the claim arrays of the epoch before, as a name is, and then put on all
//! members. Whoever finds it half done finishes it. How the first one comes to be is in `found`.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::futures::Notified;
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::decide::decide;
use super::found;
use super::roster::{Roster, claims};
use super::trace::{Event, Mark, Place};
use crate::chance::Chance;
use crate::engine::Shared;
use crate::engine::fleet::{Fleet, Identity, Lookup, Member, bounded};
use crate::engine::told::{Teller, Told, told};
use crate::error::{Error, ErrorKind, Result};
use crate::fleet_record::{Epoch, FleetPhase, FleetRecord};
use crate::volume::ArrayId;

/// What this process knows of the record. It only grows newer.
#[derive(Debug)]
pub(crate) struct RecordCache {
    held: RwLock<Option<Held>>,
    loading: AsyncMutex<()>,
    /// Whether the record was looked for once.
    tried: (Teller<()>, Told<()>),
    /// Wakes whoever waits for another epoch to become known.
    renewed: Notify,
    /// Volumes that this process has made since the last sweep.
    pub(super) claimed: AtomicU64,
}

#[derive(Clone, Debug)]
struct Held {
    record: Arc<FleetRecord>,
    since: Instant,
}

impl Default for RecordCache {
    fn default() -> Self {
        Self {
            held: RwLock::default(),
            loading: AsyncMutex::default(),
            tried: told(),
            renewed: Notify::new(),
            claimed: AtomicU64::new(0),
        }
    }
}

impl RecordCache {
    pub(crate) fn get(&self) -> Option<Arc<FleetRecord>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().map(|held| Arc::clone(&held.record))
    }

    fn keep(&self, record: FleetRecord) -> Arc<FleetRecord> {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let mut since = Instant::now();
        if let Some(old) = held.as_ref() {
            if old.record.epoch > record.epoch {
                return Arc::clone(&old.record);
            }
            if old.record.epoch == record.epoch {
                since = old.since;
            }
        }
        if held
            .as_ref()
            .is_none_or(|old| old.record.epoch != record.epoch)
        {
            self.renewed.notify_waiters();
        }
        let record = Arc::new(record);
        *held = Some(Held {
            record: Arc::clone(&record),
            since,
        });
        record
    }

    /// Ends when another epoch becomes known, from this call on.
    pub(crate) fn renewed(&self) -> Notified<'_> {
        self.renewed.notified()
    }

    /// Waits until the record was looked for once.
    pub(crate) async fn looked_for(&self) {
        self.tried.1.wait().await;
    }

    /// It was looked for.
    pub(super) fn was_looked_for(&self) {
        self.tried.0.tell(());
    }
}

impl Fleet {
    /// The record in force with its arrays, if it is known.
    pub(crate) fn roster(&self) -> Option<Roster> {
        let held = self.record.held.read();
        let held = held.unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(Roster::new(self, held.record, held.since))
    }
}

/// What it takes to read and to write records.
#[derive(Clone, Debug)]
pub(crate) struct Books {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) chance: Arc<dyn Chance>,
    /// This machine, for traces.
    pub(crate) node: String,
}

/// Whether a record may be written where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Founding {
    /// Somebody wants a name.
    Allowed,
    /// Nobody does.
    Not,
}

/// The record in force. One that is known and newer than `beyond` is good enough.
///
/// # Errors
/// `Unavailable` while it cannot be told; `FailedPrecondition` for two fleets in one
/// configuration, or a beginning of a fleet of other arrays.
pub(crate) async fn load(
    books: &Books,
    beyond: Option<Epoch>,
    founding: Founding,
) -> Result<Arc<FleetRecord>> {
    let _alone = books.fleet.record.loading.lock().await;
    if let Some(record) = books.fleet.record.get()
        && beyond.is_none_or(|beyond| record.epoch > beyond)
    {
        return Ok(record);
    }
    let record = ascertain(books, founding).await;
    Ok(keep(books, record?))
}

/// Remembers a record that is in force.
pub(super) fn keep(books: &Books, record: FleetRecord) -> Arc<FleetRecord> {
    tell(books, &record, Place::Fleet, "in-force");
    books.fleet.record.keep(record)
}

/// One configured array and its copy of the record.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) member: Arc<Member>,
    pub(super) identity: Option<Identity>,
    pub(super) answer: Result<Option<FleetRecord>>,
}

impl Counted {
    pub(super) fn copy(&self) -> Option<&FleetRecord> {
        self.answer.as_ref().ok()?.as_ref()
    }

    pub(super) fn is(&self, array: &ArrayId) -> bool {
        let identity = self.identity.as_ref();
        identity.is_some_and(|identity| identity.array == *array)
    }
}

/// Asks every configured array, each array once.
pub(super) async fn census(books: &Books) -> Vec<Counted> {
    let mut asked = JoinSet::new();
    let limit = books.fleet.ask_limit;
    for (index, member) in books.fleet.members().iter().enumerate() {
        let member = Arc::clone(member);
        asked.spawn(async move {
            let answer = bounded(limit, async {
                member.identify().await?;
                claims(&member)?.fleet_record().await
            });
            (index, answer.await)
        });
    }
    let members = books.fleet.members().iter();
    let mut answers: Vec<Option<_>> = members.map(|_| None).collect();
    while let Some(joined) = asked.join_next().await {
        if let Ok((index, answer)) = joined
            && let Some(place) = answers.get_mut(index)
        {
            *place = Some(answer);
        }
    }
    let mut counted: Vec<Counted> = Vec::new();
    for (member, answer) in books.fleet.members().iter().zip(answers) {
        let one = Counted {
            member: Arc::clone(member),
            identity: member.identity(),
            answer: answer.unwrap_or_else(|| Err(member.no_answer().1)),
        };
        let same =
            |other: &&mut Counted| other.identity.is_some() && other.identity == one.identity;
        match counted.iter_mut().find(same) {
            // Another address of the array, which may answer by one of them alone.
            Some(first) if first.answer.is_err() => *first = one,
            Some(_) => {}
            None => counted.push(one),
        }
    }
    counted
}

async fn ascertain(books: &Books, founding: Founding) -> Result<FleetRecord> {
    let census = census(books).await;
    let cached = books.fleet.record.get();
    let copies: Vec<&FleetRecord> = census.iter().filter_map(Counted::copy).collect();
    let Some(ours) = found::ours(&copies, cached.as_deref())? else {
        return match founding {
            Founding::Allowed => found::found(books, &census).await,
            Founding::Not => Err(nobody_founded(&census)),
        };
    };
    let of_ours = copies
        .iter()
        .filter(|copy| found::share_members(copy, ours));
    let Some(newest) = of_ours.clone().max_by_key(|copy| copy.epoch) else {
        return Ok(ours.clone());
    };
    if newest.epoch == Epoch(1) {
        return found::complete(books, &census, newest).await;
    }
    let before = of_ours
        .clone()
        .copied()
        .chain(cached.as_deref())
        .find(|copy| copy.epoch.0 + 1 == newest.epoch.0);
    let mut same: Vec<FleetRecord> = of_ours
        .filter(|copy| copy.epoch == newest.epoch)
        .map(|copy| (*copy).clone())
        .collect();
    same.dedup_by_key(|copy| copy.nonce);
    // Everybody who answers has it: the epoch before was over before the second one had it.
    if before.is_none()
        && let [only] = same.as_slice()
    {
        // One that was silent for longer than an epoch has an older one.
        let lacks = |counted: &Counted| {
            let identity = counted.identity.as_ref();
            identity.is_some_and(|one| only.member(&one.array).is_some())
                && counted.answer.is_ok()
                && counted.copy().is_none_or(|copy| copy.epoch < only.epoch)
        };
        if census.iter().any(lacks) {
            drop(spread(books, only).await);
        }
        return Ok(only.clone());
    }
    let voting = before.unwrap_or(newest).clone();
    let Some(proposal) = same.into_iter().next() else {
        return Ok((*newest).clone());
    };
    let changing = proposal.phase == FleetPhase::Changing;
    take(books, &voting, proposal).await.map_err(|error| {
        if !changing {
            return error;
        }
        let why = "arrays are being added to the fleet or removed from it, and new names wait: two minutes, unless that was cut off";
        Error::new(ErrorKind::Unavailable, why).with_source(error)
    })
}

/// `NotFound` is certain: every configured array answers and has no record.
fn nobody_founded(census: &[Counted]) -> Error {
    let certain = census.iter().all(|counted| counted.answer.is_ok());
    let kind = if certain {
        ErrorKind::NotFound
    } else {
        ErrorKind::Unavailable
    };
    Error::new(kind, "the arrays have no fleet record yet")
}

/// Whether the array is one of the fleet, also if this node is not configured with it.
///
/// # Errors
/// `Unavailable` while the fleet record cannot be told.
pub(crate) async fn is_in_fleet(shared: &Shared, array: &ArrayId) -> Result<bool> {
    let claiming = |member: &Arc<Member>| member.backend.claims().is_some();
    if !shared.fleet.members().iter().all(claiming) {
        return Ok(false);
    }
    match load(&shared.books(), None, Founding::Not).await {
        Ok(record) => Ok(record.member(array).is_some()),
        // Nobody has founded one.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Notes the arrays of the fleet that this node is not configured with: a name that was not found
/// may be on them.
pub(crate) async fn note_left_out(shared: &Shared, lookup: &mut Lookup) {
    let claiming = |member: &Arc<Member>| member.backend.claims().is_some();
    if !shared.fleet.members().iter().all(claiming) {
        return;
    }
    match load(&shared.books(), None, Founding::Not).await {
        Ok(_record) => {
            shared.fleet.identify().await;
            let roster = shared.fleet.roster();
            lookup
                .silent
                .extend(roster.iter().flat_map(Roster::left_out));
        }
        // The configuration is all there is.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => lookup.silent.push(("the fleet record".to_owned(), error)),
    }
}

/// Has an epoch decided by the claim arrays of the one before, helping whatever is proposed there
/// already, and puts what was decided on all members of both.
///
/// # Errors
/// `Unavailable` when too many of the claim arrays are silent.
pub(super) async fn take(
    books: &Books,
    before: &FleetRecord,
    proposal: FleetRecord,
) -> Result<FleetRecord> {
    let roster = Roster::new(&books.fleet, Arc::new(before.clone()), Instant::now());
    let mut candidate = proposal;
    let mut found: Vec<FleetRecord> = Vec::new();
    let mut votes = Vec::new();
    let mut reasons = Vec::new();
    // One after the other, so that two who propose at once mostly meet at the first.
    for (number, member) in roster.voters() {
        let answer = match &member {
            Some(member) => put(books, member, &candidate).await,
            None => Err(Error::new(ErrorKind::Unavailable, "not configured here")),
        };
        match answer {
            Ok(record) => {
                votes.push(Some(record.nonce));
                candidate = record.clone();
                found.push(record);
            }
            Err(error) => {
                votes.push(None);
                reasons.push(format!("array {number}: {}", error.chain()));
            }
        }
    }
    // Records are never taken back, so here a tie can be broken: by the first array.
    let all = votes.iter().all(Option::is_some);
    let winner = decide(&votes).or_else(|| votes.first().copied().flatten().filter(|_| all));
    let winner = winner.and_then(|nonce| found.into_iter().find(|record| record.nonce == nonce));
    let Some(winner) = winner else {
        return Err(Error::new(
            ErrorKind::Unavailable,
            format!(
                "epoch {} of the fleet record cannot be decided now: {}",
                candidate.epoch,
                reasons.join("; ")
            ),
        ));
    };
    for (member, error) in spread(books, &winner).await {
        tracing::warn!(array = %member.backend, error = %error.chain(), "the array has not got the new fleet record yet");
    }
    Ok(winner)
}

/// Puts a record that was decided on every configured array that has a part in it. Returns who
/// has not got it.
pub(super) async fn spread(books: &Books, record: &FleetRecord) -> Vec<(Arc<Member>, Error)> {
    let mut lacking = Vec::new();
    for member in books.fleet.members() {
        let Some(identity) = member.identity() else {
            lacking.push((Arc::clone(member), member.no_answer().1));
            continue;
        };
        if record.member(&identity.array).is_none() {
            continue;
        }
        match put(books, member, record).await {
            Ok(found) if found.nonce == record.nonce => {}
            Ok(found) => {
                lacking.push((Arc::clone(member), found::conflict(&found, record)));
            }
            Err(error) => lacking.push((Arc::clone(member), error)),
        }
    }
    lacking
}

/// Writes a record on one array, unless it has one of that epoch: gives what it has.
pub(super) async fn put(
    books: &Books,
    member: &Arc<Member>,
    record: &FleetRecord,
) -> Result<FleetRecord> {
    let place = Place::Endpoint(member.backend.endpoint());
    tell(books, record, place, "asked");
    crash_points::point!("record.put");
    let answer = claims(member)?.put_fleet_record(record).await;
    match &answer {
        Ok(found) if found.nonce == record.nonce => tell(books, found, place, "written"),
        Ok(found) => tell(books, found, place, "other"),
        Err(_) => tell(books, record, place, "timeout"),
    }
    answer
}

fn tell(books: &Books, record: &FleetRecord, array: Place<'_>, answer: &str) {
    let phase = match record.phase {
        FleetPhase::Open => "open",
        FleetPhase::Changing => "changing",
    };
    Event {
        step: "record",
        node: &books.node,
        array,
        epoch: Some(record.epoch),
        nonce: Some(Mark::Record(record.nonce)),
        phase: Some(phase),
        ..Event::default()
    }
    .tell(answer);
}

/// Enters this engine's namespace, so that others know whose names begin with it.
///
/// # Errors
/// As [`take`]; `Busy` when others change the record all the time.
pub(super) async fn enter_namespace(books: &Books, record: &FleetRecord) -> Result<()> {
    let Some(namespace) = books.fleet.namespace() else {
        return Ok(());
    };
    let mut namespaces = record.namespaces.clone();
    namespaces.push(namespace.clone());
    let proposal = FleetRecord {
        epoch: Epoch(record.epoch.0 + 1),
        nonce: books.chance.half(),
        namespaces,
        ..record.clone()
    };
    tracing::info!(namespace = %namespace, epoch = %proposal.epoch, "entering the namespace in the fleet record");
    let taken = take(books, record, proposal).await?;
    keep(books, taken);
    Ok(())
}
