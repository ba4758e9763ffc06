//! The first fleet record: who founds a fleet, and how a beginning that was cut off is completed.
//!
//! A node founds one when it finds no record and every array of its configuration answers. The
//! record is put on the members in the order of their numbers, each after the one before has
//! answered: so the first one decides between two who found at once, and what the last one has,
//! all have.

use super::record::{Books, Counted, put};
use super::roster::described;
use crate::claim::ArrayNumber;
use crate::error::{Error, ErrorKind, Result};
use crate::fleet_record::{Epoch, FleetMember, FleetPhase, FleetRecord};

/// Whether the records are of one fleet: an array is a member of one fleet at most.
pub(super) fn share_members(one: &FleetRecord, two: &FleetRecord) -> bool {
    let members = one.members.iter();
    members
        .map(|member| &member.array)
        .any(|array| two.member(array).is_some())
}

/// Which fleet this configuration is about: the one that is known; else of those that the arrays
/// tell of the larger one, as a single array with a past of its own may be about to join it.
///
/// # Errors
/// `FailedPrecondition` when that cannot be told.
pub(super) fn ours<'a>(
    copies: &[&'a FleetRecord],
    cached: Option<&'a FleetRecord>,
) -> Result<Option<&'a FleetRecord>> {
    if cached.is_some() {
        return Ok(cached);
    }
    let rank = |record: &&&FleetRecord| (record.members.len(), record.epoch);
    let Some(largest) = copies.iter().max_by_key(rank) else {
        return Ok(None);
    };
    let rival = |copy: &&&FleetRecord| {
        copy.members.len() == largest.members.len() && !share_members(copy, largest)
    };
    match copies.iter().find(rival) {
        Some(other) => Err(Error::new(
            ErrorKind::FailedPrecondition,
            format!(
                "the configured arrays belong to two fleets: {} and {}; configure the arrays of one, then `fairlead array add` the others one by one",
                members(largest),
                members(other)
            ),
        )),
        None => Ok(Some(largest)),
    }
}

/// The arrays of a record for a message.
pub(super) fn members(record: &FleetRecord) -> String {
    let named: Vec<String> = record.members.iter().map(described).collect();
    named.join(", ")
}

pub(super) fn conflict(found: &FleetRecord, record: &FleetRecord) -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        format!(
            "an array has another fleet record of epoch {}: of {}, and not of {}",
            found.epoch,
            members(found),
            members(record)
        ),
    )
}

/// All configured arrays, each of which must have answered.
fn all_answered(census: &[Counted]) -> Result<Vec<FleetMember>> {
    let mut arrays = Vec::new();
    let mut silent = Vec::new();
    for counted in census {
        match (&counted.identity, &counted.answer) {
            (Some(identity), Ok(_)) => arrays.push(FleetMember {
                number: ArrayNumber::default(),
                array: identity.array.clone(),
                name: identity.name.clone(),
            }),
            (_, Err(error)) if error.kind() == ErrorKind::Unsupported => {
                return Err(error.duplicate());
            }
            (_, Err(error)) => {
                silent.push(format!("{} ({})", counted.member.backend, error.chain()));
            }
            (None, Ok(_)) => silent.push(counted.member.backend.to_string()),
        }
    }
    if silent.is_empty() {
        arrays.sort_by(|one, two| one.array.cmp(&two.array));
        return Ok(arrays);
    }
    Err(Error::new(
        ErrorKind::Unavailable,
        format!(
            "the fleet record is not on all arrays yet, and is written when all of them answer; silent: {}",
            silent.join("; ")
        ),
    ))
}

/// Founds a fleet of all configured arrays.
///
/// # Errors
/// `Unavailable` unless all answer.
pub(super) async fn found(books: &Books, census: &[Counted]) -> Result<FleetRecord> {
    let mut members = all_answered(census)?;
    if members.len() >= usize::from(ArrayNumber::MAX.0) {
        return Err(Error::new(
            ErrorKind::OutOfRange,
            format!("a fleet has fewer than {} arrays", ArrayNumber::MAX),
        ));
    }
    let mut next = ArrayNumber(1);
    for member in &mut members {
        member.number = next;
        next = ArrayNumber(next.0 + 1);
    }
    let voters = FleetRecord::claim_arrays_for(members.len());
    let record = FleetRecord {
        epoch: Epoch(1),
        nonce: books.chance.half(),
        phase: FleetPhase::Open,
        claim_arrays: members.iter().take(voters).map(|one| one.number).collect(),
        members,
        next_number: next,
        namespaces: books.fleet.namespace().cloned().into_iter().collect(),
    };
    tracing::info!(members = %self::members(&record), "no array has a fleet record: founding the fleet");
    install(books, census, record).await
}

/// Makes sure of a first record that was found.
///
/// # Errors
/// `FailedPrecondition` when it was not completed and is of other arrays than are configured
/// here; `Unavailable` when an array that may lack it is silent.
pub(super) async fn complete(
    books: &Books,
    census: &[Counted],
    record: &FleetRecord,
) -> Result<FleetRecord> {
    let copies = || census.iter().filter_map(Counted::copy);
    if let Some(other) = copies().find(|copy| {
        copy.epoch == record.epoch && copy.nonce != record.nonce && share_members(copy, record)
    }) {
        return Err(conflict(other, record));
    }
    let last = record.members.iter().max_by_key(|member| member.number);
    let is_complete = last.is_some_and(|last| {
        let holder = census.iter().find(|counted| counted.is(&last.array));
        holder
            .and_then(Counted::copy)
            .is_some_and(|copy| copy.nonce == record.nonce)
    });
    if is_complete {
        repair(books, census, record).await;
        return Ok(record.clone());
    }
    let here = all_answered(census)?;
    let same = here.len() == record.members.len()
        && here.iter().all(|one| record.member(&one.array).is_some());
    if same {
        return install(books, census, record.clone()).await;
    }
    let here: Vec<String> = here.iter().map(described).collect();
    Err(Error::new(
        ErrorKind::FailedPrecondition,
        format!(
            "a node began a fleet of {} and did not complete it, and this node is configured with {}; let a node with exactly those arrays create a volume first, or configure them here, then `fairlead array add` the others",
            members(record),
            here.join(", ")
        ),
    ))
}

/// Puts the record on members that answer and have lost it.
async fn repair(books: &Books, census: &[Counted], record: &FleetRecord) {
    for counted in census {
        let identity = counted.identity.as_ref();
        let is_member = identity.is_some_and(|one| record.member(&one.array).is_some());
        if is_member
            && matches!(counted.answer, Ok(None))
            && let Err(error) = put(books, &counted.member, record).await
        {
            tracing::warn!(array = %counted.member.backend, error = %error.chain(), "the array lacks the fleet record, and it could not be put there");
        }
    }
}

/// Puts the record on its members, in the order of their numbers.
async fn install(
    books: &Books,
    census: &[Counted],
    mut record: FleetRecord,
) -> Result<FleetRecord> {
    let mut order = record.members.clone();
    order.sort_by_key(|member| member.number);
    for (place, member) in order.iter().enumerate() {
        let counted = census.iter().find(|counted| counted.is(&member.array));
        let Some(counted) = counted else {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "an array has changed meanwhile",
            ));
        };
        let found = put(books, &counted.member, &record).await?;
        if found.nonce == record.nonce {
            continue;
        }
        // Somebody else founds the same fleet, and was at the first array before us.
        if place == 0 && same_arrays(&found, &record) {
            record = found;
            continue;
        }
        return Err(conflict(&found, &record));
    }
    Ok(record)
}

fn same_arrays(one: &FleetRecord, two: &FleetRecord) -> bool {
    one.members == two.members
}
