//! Arrays that join a fleet and leave it: the one way in which the members of a fleet change.
//!
//! First an epoch under which nobody takes names; then a wait, after which no claim of before is
//! under way; then what such claims left waiting is taken back (nobody was told of it), and it is
//! looked that no name would be lost or doubled; then the epoch with the new members. Repeated
//! after a crash, it goes on. An array that is lost is not asked, and nobody knows its names.

mod change;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use self::change::{
    Change, Turn, all_answer, answers, begun, lost, not_asked, refuses, target, tied, with_change,
    without_change, without_vote,
};
use super::audit::{drain, names, refused};
use super::record::{Books, Counted, Founding, census, keep, load, put, spread, take};
use super::roster::{claims, described};
use crate::backend::Backend;
use crate::chance::Chance;
use crate::engine::fleet::{Fleet, Member, bounded};
use crate::error::{Error, ErrorKind, Result};
use crate::fleet_record::{Epoch, FleetMember, FleetPhase, FleetRecord};
use crate::name::Namespace;
use crate::outcome::Outcome;

/// How long claims that began before may go on (what C0 saw is good for 60 s), and a margin for
/// the request that they may have sent last.
const CLAIMS_END: Duration = Duration::from_secs(90);

/// How long one array gets to answer one question.
const ASK_LIMIT: Duration = Duration::from_secs(20);

/// What a change of the members is at, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MembershipStep {
    /// New names are not taken any more, from this epoch on.
    Frozen(Epoch),
    /// Claims that began before are waited for, so long.
    Waiting(Duration),
    /// So many volumes that waited for a name were taken back.
    Drained(u64),
    /// The names on the arrays are looked at.
    Checking,
    /// The change is refused, and the members are as they were.
    RolledBack,
    /// The members are these, from this epoch on, and names are taken again.
    Open(Epoch),
}

/// Who is told.
type Progress<'a> = &'a (dyn Fn(MembershipStep) + Send + Sync);

/// Changes who is a member of a fleet.
#[derive(Debug)]
pub struct Membership {
    /// One for each namespace; the first reads and writes the record.
    views: Vec<Books>,
}

impl Membership {
    /// Of the fleet that these arrays belong to, with all of them seen through one namespace.
    #[must_use]
    pub fn new(backends: Vec<Arc<dyn Backend>>, node: String, chance: Arc<dyn Chance>) -> Self {
        let mut membership = Self { views: Vec::new() };
        membership.add_view(backends, node, chance);
        membership
    }

    fn add_view(&mut self, backends: Vec<Arc<dyn Backend>>, node: String, chance: Arc<dyn Chance>) {
        let backends = backends.into_iter().map(|backend| (backend, false));
        self.views.push(Books {
            fleet: Arc::new(Fleet::new(backends.collect(), ASK_LIMIT)),
            chance,
            node,
        });
    }

    /// The same arrays through another namespace of the fleet: what waits there is seen to as well.
    #[must_use]
    pub fn through(mut self, backends: Vec<Arc<dyn Backend>>) -> Self {
        if let Some(first) = self.views.first().cloned() {
            self.add_view(backends, first.node, first.chance);
        }
        self
    }

    fn books(&self) -> Result<&Books> {
        let first = self.views.first();
        first.ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "no arrays are configured"))
    }

    /// The record in force.
    ///
    /// # Errors
    /// `Unavailable` while there is none, or it cannot be told.
    pub async fn record(&self) -> Result<Arc<FleetRecord>> {
        load(self.books()?, None, Founding::Not).await
    }

    /// The same where an array is lost, given by name or id: a first record that only it could show
    /// to be complete counts when all others have it, and of two that only its vote could decide
    /// between, the first.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub async fn record_without(&self, lost: &str) -> Result<Arc<FleetRecord>> {
        let books = self.books()?;
        match self.record().await {
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                let census = census(books).await;
                let record = begun(&census, lost).or_else(|| tied(&census, lost));
                record.map(Arc::new).ok_or(error)
            }
            record => record,
        }
    }

    /// Makes an array a member: given by address, name or id.
    ///
    /// # Errors
    /// `NotFound` when no configured array is that; `Unavailable` unless all answer;
    /// `FailedPrecondition` when it has names that other members have, or belongs to another
    /// fleet: the members are then as they were. `Busy` when somebody else changes them.
    pub async fn add(
        &self,
        array: &str,
        progress: Progress<'_>,
    ) -> Result<Outcome<Arc<FleetRecord>>> {
        self.change(array, Turn::Joins, progress).await
    }

    /// Ends an array's membership. It must not have volumes of the fleet's namespaces.
    ///
    /// # Errors
    /// As [`Self::add`]; `FailedPrecondition` while it has volumes, or is the last member.
    pub async fn remove(
        &self,
        array: &str,
        progress: Progress<'_>,
    ) -> Result<Outcome<Arc<FleetRecord>>> {
        self.change(array, Turn::Leaves, progress).await
    }

    /// Ends the membership of an array that is broken for good, given by name or id. Nobody can look
    /// what it has: the names of its volumes are free from then on, so it must never come back.
    ///
    /// # Errors
    /// `NotFound` when no member is that; `FailedPrecondition` when it answers, then or later on the
    /// way, is not configured, or is the last member; `Unavailable` unless all others answer. `Busy`
    /// when somebody else changes them.
    pub async fn give_up(
        &self,
        array: &str,
        progress: Progress<'_>,
    ) -> Result<Outcome<Arc<FleetRecord>>> {
        self.change(array, Turn::Lost, progress).await
    }

    async fn change(
        &self,
        array: &str,
        turn: Turn,
        progress: Progress<'_>,
    ) -> Result<Outcome<Arc<FleetRecord>>> {
        let books = self.books()?;
        let record = match turn {
            Turn::Lost => self.record_without(array).await?,
            Turn::Joins | Turn::Leaves => self.record().await?,
        };
        let census = census(books).await;
        self.sees_all_namespaces(&record)?;
        let (target, as_member) = if turn == Turn::Lost {
            (None, lost(&census, array, &record)?)
        } else {
            all_answer(&census, &record)?;
            let (target, as_member) = target(&census, array, &record)?;
            (Some(target), as_member)
        };
        let joins = turn == Turn::Joins;
        let is_member = record.member(&as_member.array).is_some();
        if is_member == joins && record.phase == FleetPhase::Open {
            return Ok(Outcome::AlreadySo(record));
        }
        if !joins && record.members.len() < 2 {
            return Err(Error::new(
                ErrorKind::FailedPrecondition,
                "the last array of a fleet cannot leave it",
            ));
        }
        let change = Change {
            target,
            as_member,
            turn,
            votes: (record.phase == FleetPhase::Open).then(|| record.claim_arrays.clone()),
            progress,
        };
        if turn == Turn::Lost && !books.fleet.members().iter().any(|one| change.is_lost(one)) {
            return Err(not_asked(&change.as_member));
        }
        // Before anybody has to wait. Where they wait already, a refusal has to take the change back.
        if record.phase == FleetPhase::Open {
            self.is_silent(&change).await?;
            self.check(&change, &record).await?;
        }
        let frozen = self.freeze(&change, &record).await?;
        (change.progress)(MembershipStep::Frozen(frozen.epoch));
        let checked = self.settle(&change, &frozen).await;
        let opened = match &checked {
            Ok(()) => open(books, &change, &frozen, true).await?,
            Err(_) => open(books, &change, &frozen, false).await?,
        };
        if let Err(error) = checked {
            (change.progress)(MembershipStep::RolledBack);
            return Err(error);
        }
        (change.progress)(MembershipStep::Open(opened.epoch));
        Ok(Outcome::Done(opened))
    }

    /// From here on nobody takes a name: every member says so, and the array that comes or goes.
    async fn freeze(&self, change: &Change<'_>, record: &FleetRecord) -> Result<FleetRecord> {
        let books = self.books()?;
        // Nobody else has a vote, and it never gives its own again.
        let decides_alone =
            change.turn == Turn::Lost && record.claim_arrays == [change.as_member.number];
        let frozen = if record.phase == FleetPhase::Changing && !decides_alone {
            record.clone()
        } else {
            let mut proposal = FleetRecord {
                epoch: Epoch(record.epoch.0 + 1),
                nonce: books.chance.half(),
                phase: FleetPhase::Changing,
                ..record.clone()
            };
            let mut before = record.clone();
            if change.turn == Turn::Lost {
                without_vote(&mut proposal, change.as_member.number);
                if decides_alone {
                    before.claim_arrays.clone_from(&proposal.claim_arrays);
                }
            }
            take(books, &before, proposal).await?
        };
        crash_points::point!("record.frozen");
        if frozen.phase != FleetPhase::Changing {
            return Err(Error::new(
                ErrorKind::Busy,
                "somebody else changed the fleet record at the same moment; run it again",
            ));
        }
        keep(books, frozen.clone());
        let mut lacking = spread(books, &frozen).await;
        lacking.retain(|(member, _)| !change.is_lost(member));
        if let Some(target) = change.target {
            match put(books, &target.member, &frozen).await {
                Ok(found) if found.nonce == frozen.nonce => {}
                Ok(_) => {
                    let why =
                        "it has another fleet record of this epoch: it belongs to another fleet";
                    let error = Error::new(ErrorKind::FailedPrecondition, why);
                    lacking.push((Arc::clone(&target.member), error));
                }
                Err(error) => lacking.push((Arc::clone(&target.member), error)),
            }
        }
        let Some((array, error)) = lacking.pop() else {
            return Ok(frozen);
        };
        // Best effort: who repeats the command goes on from whatever is there.
        if let Err(kept) = open(books, change, &frozen, false).await {
            tracing::warn!(error = %kept.chain(), "new names wait until the change is repeated");
        }
        let why = format!(
            "{} did not get the fleet record; repeat the command",
            array.backend
        );
        Err(Error::new(error.kind(), why).with_source(error))
    }

    async fn settle(&self, change: &Change<'_>, frozen: &FleetRecord) -> Result<()> {
        (change.progress)(MembershipStep::Waiting(CLAIMS_END));
        sleep(CLAIMS_END).await;
        let mut drained = 0;
        for view in &self.views {
            drained += drain_all(view, change, frozen).await?;
        }
        (change.progress)(MembershipStep::Drained(drained));
        (change.progress)(MembershipStep::Checking);
        self.is_silent(change).await?;
        self.check(change, frozen).await
    }

    /// That an array is lost is somebody's word. That it does not answer can be seen, and not by
    /// whether it told all that it was asked: one that refuses is there, and so are its volumes.
    async fn is_silent(&self, change: &Change<'_>) -> Result<()> {
        if change.turn != Turn::Lost {
            return Ok(());
        }
        let fleet = &self.books()?.fleet;
        for member in fleet.members().iter().filter(|one| change.is_lost(one)) {
            let refused = match bounded(fleet.ask_limit, member.backend.telemetry()).await {
                Ok(told) if told.array != change.as_member.array => continue,
                Ok(_) => answers(&change.as_member),
                Err(error)
                    if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) =>
                {
                    continue;
                }
                Err(error) => refuses(&change.as_member, member, error),
            };
            return Err(refused);
        }
        Ok(())
    }

    /// Whether the change would double a name, or lose one.
    async fn check(&self, change: &Change<'_>, record: &FleetRecord) -> Result<()> {
        let Some(target) = change.target else {
            return Ok(());
        };
        for view in &self.views {
            let is_target = |member: &&Arc<Member>| {
                member.backend.endpoint() == target.member.backend.endpoint()
            };
            let Some(target) = view.fleet.members().iter().find(is_target) else {
                continue;
            };
            let there = names(target).await?;
            if change.turn != Turn::Joins {
                if !there.volumes.is_empty() {
                    return Err(refused(
                        "the array has volumes of the fleet; move or remove them first",
                        &there.volumes,
                    ));
                }
                continue;
            }
            if there.all.is_empty() {
                continue;
            }
            for member in view.fleet.members() {
                let identity = member.identify().await?;
                if record.member(&identity.array).is_none()
                    || identity.array == change.as_member.array
                {
                    continue;
                }
                let others = names(member).await?;
                let both: BTreeSet<String> = there.all.intersection(&others.all).cloned().collect();
                if !both.is_empty() {
                    let what = format!("the array has names that {} has too", member.backend);
                    return Err(refused(&what, &both));
                }
            }
        }
        Ok(())
    }

    fn sees_all_namespaces(&self, record: &FleetRecord) -> Result<()> {
        let seen = |namespace: &&Namespace| {
            let mut views = self.views.iter();
            views.any(|view| view.fleet.namespace() == Some(*namespace))
        };
        let unseen: Vec<&str> = record
            .namespaces
            .iter()
            .filter(|namespace| !seen(namespace))
            .map(Namespace::as_str)
            .collect();
        if unseen.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::FailedPrecondition,
            format!(
                "the fleet has namespaces that are not looked at here: {}",
                unseen.join(", ")
            ),
        ))
    }
}

/// Takes back what waits for a name on any array, as a namespace sees it. Returns how many.
async fn drain_all(view: &Books, change: &Change<'_>, frozen: &FleetRecord) -> Result<u64> {
    let mut drained = 0;
    let mut left: Vec<&FleetMember> = frozen.members.iter().collect();
    left.retain(|one| change.turn != Turn::Lost || one.array != change.as_member.array);
    for member in view.fleet.members() {
        let identified = member.identify().await;
        if change.is_lost(member) {
            // It answers after all, and the change will be taken back.
            if identified.is_ok() {
                drained += drain(member).await.unwrap_or_default();
            }
            continue;
        }
        let array = identified?.array;
        drained += drain(member).await?;
        left.retain(|one| one.array != array);
    }
    let Some(silent) = left.first() else {
        return Ok(drained);
    };
    let why = format!("{} does not answer any more", described(silent));
    Err(Error::new(ErrorKind::Unavailable, why))
}

/// Names are taken again: with the change made, or with the members as they were.
async fn open(
    books: &Books,
    change: &Change<'_>,
    frozen: &FleetRecord,
    changed: bool,
) -> Result<Arc<FleetRecord>> {
    let mut proposal = FleetRecord {
        epoch: Epoch(frozen.epoch.0 + 1),
        nonce: books.chance.half(),
        phase: FleetPhase::Open,
        ..frozen.clone()
    };
    if changed {
        with_change(&mut proposal, change)?;
    } else {
        without_change(&mut proposal, change);
    }
    let nonce = proposal.nonce;
    crash_points::point!("record.open");
    let opened = take(books, frozen, proposal).await?;
    if let Some(target) = change.target {
        tell_target(books, (change, target), (frozen, &opened), changed).await?;
    }
    let is_ours = opened.nonce == nonce;
    let kept = keep(books, opened);
    let is_member = kept.member(&change.as_member.array).is_some();
    if is_ours || !changed || is_member == (change.turn == Turn::Joins) {
        return Ok(kept);
    }
    Err(Error::new(
        ErrorKind::Busy,
        "somebody else changed the fleet at the same moment; run it again",
    ))
}

/// An array that left hears of it; one that did not join after all has its record taken away.
async fn tell_target(
    books: &Books,
    (change, target): (&Change<'_>, &Counted),
    (frozen, opened): (&FleetRecord, &FleetRecord),
    changed: bool,
) -> Result<()> {
    let member = &target.member;
    let array = &change.as_member.array;
    let was_member = frozen.member(array).is_some();
    if opened.member(array).is_none()
        && was_member
        && let Err(error) = put(books, member, opened).await
    {
        tracing::warn!(array = %member.backend, error = %error.chain(), "the array that left was not told");
    }
    if !changed
        && !was_member
        && let Err(error) = claims(member)?.drop_fleet_record(frozen).await
    {
        tracing::warn!(array = %member.backend, error = %error.chain(), "the array that did not join keeps a fleet record");
    }
    Ok(())
}
