//! What a change of the members is about: which array, and whether it comes, goes, or is given up.
//!
//! Nothing here asks an array; `census` has been taken.

use super::Progress;
use crate::claim::ArrayNumber;
use crate::engine::claim::record::Counted;
use crate::engine::claim::roster::described;
use crate::engine::fleet::Member;
use crate::error::{Error, ErrorKind, Result};
use crate::fleet_record::{Epoch, FleetMember, FleetPhase, FleetRecord};
use crate::volume::ArrayId;

/// What is to become of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It becomes a member.
    Joins,
    /// It is none any more.
    Leaves,
    /// The same, and nobody can ask it: somebody says that it never comes back.
    Lost,
}

/// What is to change.
pub(super) struct Change<'a> {
    /// The array, unless it is lost.
    pub(super) target: Option<&'a Counted>,
    pub(super) as_member: FleetMember,
    pub(super) turn: Turn,
    /// Who voted before; not known of a change that somebody else began.
    pub(super) votes: Option<Vec<ArrayNumber>>,
    pub(super) progress: Progress<'a>,
}

impl Change<'_> {
    /// Whether this configured array is the one that is given up, as far as anybody knows: the
    /// other members have all answered, so one that never said who it is can be no other member.
    pub(super) fn is_lost(&self, member: &Member) -> bool {
        let identity = member.identity();
        self.turn == Turn::Lost
            && identity.is_none_or(|identity| identity.array == self.as_member.array)
    }
}

/// Every member must be configured here and answer, and so must the others that are configured.
pub(super) fn all_answer(census: &[Counted], record: &FleetRecord) -> Result<()> {
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
            format!(
                "all arrays must answer (one that never will again is given up with `fairlead array remove NAME --lost`); silent: {}",
                silent.join("; ")
            ),
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
pub(super) fn target<'a>(
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

/// The first record of a fleet whose last array is lost. It is written there last, so nobody can
/// see any more whether it was; those who might have founded another one meet at the first array
/// (`found`), so where all others have it, there is no other.
pub(super) fn begun(census: &[Counted], lost: &str) -> Option<FleetRecord> {
    let mut copies = census.iter().filter_map(Counted::copy);
    let record = copies.next()?;
    let has = |array: &ArrayId| {
        let mut here = census.iter().filter(|counted| counted.is(array));
        here.any(|counted| {
            counted
                .copy()
                .is_some_and(|copy| copy.nonce == record.nonce)
        })
    };
    let is_lost = |member: &FleetMember| member.name == lost || member.array.as_str() == lost;
    let mut members = record.members.iter();
    let all = members.all(|member| is_lost(member) != has(&member.array));
    (record.epoch == Epoch(1) && all).then(|| record.clone())
}

/// The newest record where two were proposed at the same moment, and only the vote of the lost array
/// could decide between them: the next epoch is taken from the first array's. They must differ in
/// their namespaces alone, which are put together: either may have been in force.
pub(super) fn tied(census: &[Counted], lost: &str) -> Option<FleetRecord> {
    let copies = || census.iter().filter_map(Counted::copy);
    let newest = copies().max_by_key(|copy| copy.epoch)?;
    let is_lost = |member: &FleetMember| member.name == lost || member.array.as_str() == lost;
    let lost = newest.members.iter().find(|member| is_lost(member))?.number;
    let mut rivals = Vec::new();
    for number in newest.claim_arrays.iter().filter(|one| **one != lost) {
        let voter = newest.members.iter().find(|one| one.number == *number)?;
        let copy = census.iter().find(|counted| counted.is(&voter.array))?;
        // Whoever lacks it can still be asked to vote.
        rivals.push(copy.copy().filter(|copy| copy.epoch == newest.epoch)?);
    }
    let mut record = (*rivals.first()?).clone();
    for copy in copies().filter(|copy| copy.epoch == newest.epoch) {
        let alike = FleetRecord {
            nonce: record.nonce,
            namespaces: record.namespaces.clone(),
            ..copy.clone()
        };
        if alike != record {
            return None;
        }
        for namespace in &copy.namespaces {
            if !record.namespaces.contains(namespace) {
                record.namespaces.push(namespace.clone());
            }
        }
    }
    Some(record)
}

/// The member that is given up, by its name or id: who it is must not depend on who answers.
///
/// # Errors
/// `NotFound` when no member is that; `InvalidArgument` when several are; `FailedPrecondition` when
/// it answers and nothing has begun; `Unavailable` when another member does not.
pub(super) fn lost(census: &[Counted], array: &str, record: &FleetRecord) -> Result<FleetMember> {
    let meant = |member: &&FleetMember| member.name == array || member.array.as_str() == array;
    let mut named = record.members.iter().filter(meant);
    let members = || {
        let all: Vec<String> = record.members.iter().map(described).collect();
        all.join(", ")
    };
    let member = match (named.next(), named.next()) {
        (Some(member), None) => member.clone(),
        (None, _) => {
            let why = format!(
                "no array of the fleet has this name or id; its arrays are {}",
                members()
            );
            return Err(Error::new(ErrorKind::NotFound, why).with_context("array", array));
        }
        (Some(_), Some(_)) => {
            let why = format!(
                "several arrays of the fleet are called so; give the id: {}",
                members()
            );
            return Err(Error::new(ErrorKind::InvalidArgument, why).with_context("array", array));
        }
    };
    let is_there = |array: &ArrayId| {
        let mut here = census.iter().filter(|counted| counted.is(array));
        here.any(|counted| counted.answer.is_ok())
    };
    // Where names wait for the change already, it is taken back for that, and not just refused.
    if record.phase == FleetPhase::Open && is_there(&member.array) {
        return Err(answers(&member));
    }
    let silent: Vec<String> = record
        .members
        .iter()
        .filter(|one| one.array != member.array && !is_there(&one.array))
        .map(described)
        .collect();
    if silent.is_empty() {
        return Ok(member);
    }
    Err(Error::new(
        ErrorKind::Unavailable,
        format!(
            "all other arrays of the fleet must be configured and answer; these do not: {}",
            silent.join(", ")
        ),
    ))
}

/// It is not lost.
pub(super) fn answers(lost: &FleetMember) -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        "the array answers, so it is not lost: without `--lost`, it leaves once it has no volumes",
    )
    .with_context("array", described(lost))
}

/// It may be there.
pub(super) fn refuses(lost: &FleetMember, member: &Member, error: Error) -> Error {
    let why = format!(
        "{} answers, and refuses to say who it is: it may be the array that is to be given up, which must not answer",
        member.backend
    );
    Error::new(ErrorKind::FailedPrecondition, why)
        .with_context("array", described(lost))
        .with_source(error)
}

/// Nobody knows.
pub(super) fn not_asked(lost: &FleetMember) -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        "no array of this configuration can be it, so whether it answers cannot be seen; it is taken out of the configuration afterwards",
    )
    .with_context("array", described(lost))
}

/// Members and claim arrays after the change. Arrays that vote go on voting.
pub(super) fn with_change(record: &mut FleetRecord, change: &Change<'_>) -> Result<()> {
    let member = &change.as_member;
    if change.turn == Turn::Joins && record.member(&member.array).is_none() {
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
    if change.turn != Turn::Joins {
        record.members.retain(|one| one.array != member.array);
    }
    revote(record, None);
    Ok(())
}

/// The same arrays vote as before the change: claims of then may be under way, and what they had made
/// may still wait, so the next ones have to meet their votes.
pub(super) fn without_change(record: &mut FleetRecord, change: &Change<'_>) {
    match &change.votes {
        Some(votes) => record.claim_arrays.clone_from(votes),
        None => revote(record, None),
    }
}

/// The votes of a record under which an array is given up, from its first epoch on: a lost array
/// that votes alone would decide about no epoch after it.
pub(super) fn without_vote(record: &mut FleetRecord, lost: ArrayNumber) {
    revote(record, Some(lost));
}

/// Arrays that vote go on voting; others fill the places.
fn revote(record: &mut FleetRecord, without: Option<ArrayNumber>) {
    let members = record.members.iter().map(|one| one.number);
    let numbers: Vec<ArrayNumber> = members.filter(|one| Some(*one) != without).collect();
    let voters = FleetRecord::claim_arrays_for(numbers.len());
    record.claim_arrays.retain(|one| numbers.contains(one));
    for number in numbers {
        if record.claim_arrays.len() < voters && !record.claim_arrays.contains(&number) {
            record.claim_arrays.push(number);
        }
    }
    record.claim_arrays.truncate(voters);
}
