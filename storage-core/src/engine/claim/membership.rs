//! Arrays that join a fleet and leave it: the one way in which the members of a fleet change.
//!
//! First an epoch under which nobody takes names; then a wait, after which no claim of before is
//! under way; then what such claims left waiting is taken back (nobody was told of it), and it is
//! looked that no name would be lost or doubled; then the epoch with the new members. Repeated
//! after a crash, it goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::audit::{drain, names, refused};
use super::record::{Books, Counted, Founding, census, keep, load, put, spread, take};
use super::roster::{claims, described};
use crate::backend::Backend;
use crate::chance::Chance;
use crate::claim::ArrayNumber;
use crate::engine::fleet::{Fleet, Member};
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

/// What is to change.
struct Change<'a> {
    target: &'a Counted,
    as_member: FleetMember,
    joins: bool,
    progress: Progress<'a>,
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
        self.change(array, true, progress).await
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
        self.change(array, false, progress).await
    }

    async fn change(
        &self,
        array: &str,
        joins: bool,
        progress: Progress<'_>,
    ) -> Result<Outcome<Arc<FleetRecord>>> {
        let books = self.books()?;
        let record = load(books, None, Founding::Not).await?;
        let census = census(books).await;
        all_answer(&census, &record)?;
        self.sees_all_namespaces(&record)?;
        let (target, as_member) = target(&census, array, &record)?;
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
            joins,
            progress,
        };
        // Before anybody has to wait.
        self.check(&change, &record).await?;
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
        let frozen = if record.phase == FleetPhase::Changing {
            record.clone()
        } else {
            let proposal = FleetRecord {
                epoch: Epoch(record.epoch.0 + 1),
                nonce: books.chance.half(),
                phase: FleetPhase::Changing,
                ..record.clone()
            };
            take(books, record, proposal).await?
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
        match put(books, &change.target.member, &frozen).await {
            Ok(found) if found.nonce == frozen.nonce => {}
            Ok(_) => lacking.push((
                change.target.member.backend.to_string(),
                Error::new(
                    ErrorKind::FailedPrecondition,
                    "it has another fleet record of this epoch: it belongs to another fleet",
                ),
            )),
            Err(error) => lacking.push((change.target.member.backend.to_string(), error)),
        }
        let Some((array, error)) = lacking.pop() else {
            return Ok(frozen);
        };
        // Best effort: who repeats the command goes on from whatever is there.
        if let Err(kept) = open(books, change, &frozen, false).await {
            tracing::warn!(error = %kept.chain(), "new names wait until the change is repeated");
        }
        let why = format!("{array} did not get the fleet record; repeat the command");
        Err(Error::new(error.kind(), why).with_source(error))
    }

    async fn settle(&self, change: &Change<'_>, frozen: &FleetRecord) -> Result<()> {
        (change.progress)(MembershipStep::Waiting(CLAIMS_END));
        sleep(CLAIMS_END).await;
        let mut drained = 0;
        for view in &self.views {
            for member in view.fleet.members() {
                member.identify().await?;
                drained += drain(member).await?;
            }
        }
        (change.progress)(MembershipStep::Drained(drained));
        (change.progress)(MembershipStep::Checking);
        self.check(change, frozen).await
    }

    /// Whether the change would double a name, or lose one.
    async fn check(&self, change: &Change<'_>, record: &FleetRecord) -> Result<()> {
        for view in &self.views {
            let is_target = |member: &&Arc<Member>| {
                member.backend.endpoint() == change.target.member.backend.endpoint()
            };
            let Some(target) = view.fleet.members().iter().find(is_target) else {
                continue;
            };
            let there = names(target).await?;
            if !change.joins {
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

/// Every member must be configured here and answer, and so must the others that are configured.
fn all_answer(census: &[Counted], record: &FleetRecord) -> Result<()> {
    let silent: Vec<String> = census
        .iter()
        .filter_map(|counted| {
            let error = counted.answer.as_ref().err()?;
            Some(format!("{} ({})", counted.member.backend, error.chain()))
        })
        .collect();
    if !silent.is_empty() {
        return Err(Error::new(
            ErrorKind::Unavailable,
            format!("all arrays must answer; silent: {}", silent.join("; ")),
        ));
    }
    let here = |member: &&FleetMember| census.iter().any(|counted| counted.is(&member.array));
    let lacking: Vec<String> = record
        .members
        .iter()
        .filter(|member| !here(member))
        .map(described)
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::FailedPrecondition,
        format!(
            "the fleet has arrays that are not in this configuration: {}; add them to it first",
            lacking.join(", ")
        ),
    ))
}

/// The array that is meant.
fn target<'a>(
    census: &'a [Counted],
    array: &str,
    record: &FleetRecord,
) -> Result<(&'a Counted, FleetMember)> {
    for counted in census {
        let Some(identity) = &counted.identity else {
            continue;
        };
        let named = identity.name == array || identity.array.as_str() == array;
        if !named && counted.member.backend.endpoint() != array {
            continue;
        }
        let known = record.member(&identity.array).cloned();
        let member = known.unwrap_or_else(|| FleetMember {
            number: record.next_number,
            array: identity.array.clone(),
            name: identity.name.clone(),
        });
        return Ok((counted, member));
    }
    Err(Error::new(
        ErrorKind::NotFound,
        "no configured array has this address, name or id; the configuration must have it, also for an array that leaves",
    )
    .with_context("array", array))
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
    }
    let nonce = proposal.nonce;
    crash_points::point!("record.open");
    let opened = take(books, frozen, proposal).await?;
    if opened.member(&change.as_member.array).is_none()
        && frozen.member(&change.as_member.array).is_some()
        && let Err(error) = put(books, &change.target.member, &opened).await
    {
        tracing::warn!(array = %change.target.member.backend, error = %error.chain(), "the array that left was not told");
    }
    if !changed
        && frozen.member(&change.as_member.array).is_none()
        && let Err(error) = claims(&change.target.member)?
            .drop_fleet_record(frozen)
            .await
    {
        tracing::warn!(array = %change.target.member.backend, error = %error.chain(), "the array that did not join keeps a fleet record");
    }
    let is_ours = opened.nonce == nonce;
    let kept = keep(books, opened);
    if is_ours || !changed || kept.member(&change.as_member.array).is_some() == change.joins {
        return Ok(kept);
    }
    Err(Error::new(
        ErrorKind::Busy,
        "somebody else changed the fleet at the same moment; run it again",
    ))
}

/// Members and claim arrays after the change. Arrays that vote go on voting.
fn with_change(record: &mut FleetRecord, change: &Change<'_>) -> Result<()> {
    let member = &change.as_member;
    if change.joins && record.member(&member.array).is_none() {
        if record.next_number > ArrayNumber::MAX {
            return Err(Error::new(
                ErrorKind::ResourceExhausted,
                "the fleet has given all its numbers to arrays",
            ));
        }
        let number = record.next_number;
        record.members.push(FleetMember {
            number,
            ..member.clone()
        });
        record.next_number = ArrayNumber(number.0 + 1);
    }
    if !change.joins {
        record.members.retain(|one| one.array != member.array);
    }
    let voters = FleetRecord::claim_arrays_for(record.members.len());
    let numbers: Vec<ArrayNumber> = record.members.iter().map(|one| one.number).collect();
    record.claim_arrays.retain(|one| numbers.contains(one));
    for number in numbers {
        if record.claim_arrays.len() < voters && !record.claim_arrays.contains(&number) {
            record.claim_arrays.push(number);
        }
    }
    record.claim_arrays.truncate(voters);
    Ok(())
}
