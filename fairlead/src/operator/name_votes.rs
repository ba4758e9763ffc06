//! The claim's votes on the name of a volume that comes back (docs/protocols/claim.md, "A removed
//! volume that comes back"): taken before it has the name, and looked at again before anybody is told.
//!
//! Only votes are taken, by the claim's own step C2. No proposal of anybody's is helped or made dead:
//! where one is under way, this gives up.

use std::sync::Arc;
use std::time::Duration;

use storage_core::{
    ArrayId, ArrayNumber, Backend, ClaimNonce, Claims, Error, ErrorKind, FleetPhase, FleetRecord,
    Marker, Membership, Result, SystemChance, TentativeKind, Volume, VolumeName,
};

use super::reach::Arrays;

/// A vote that is older may be swept while a listing from before the recover is still good for its
/// array (12 of the 24 hours that votes stay). Nothing is committed under it any more.
const VOTE_AGE_MAX: Duration = Duration::from_secs(12 * 3600);

/// A member, and the array that answers for it.
type Seat = (ArrayNumber, Arc<dyn Backend>);

/// Has most claim arrays vote for one attempt at the name, and sees that nobody else's waits for it
/// or has it. Where there is no fleet record, no name was ever claimed, and nothing is done.
///
/// # Errors
/// `AlreadyExists` when another volume has the name; `Busy` while somebody creates it or the members
/// change; `FailedPrecondition` when the configuration lacks an array of the fleet; `Unavailable`
/// unless all arrays answer.
pub(super) async fn hold(arrays: &Arrays, name: &VolumeName, volume: &Volume) -> Result<()> {
    let backends: Vec<Arc<dyn Backend>> = arrays
        .sites
        .iter()
        .filter_map(|site| site.backend.as_ref().ok().map(Arc::clone))
        .collect();
    if backends.iter().any(|backend| backend.claims().is_none()) {
        return Ok(());
    }
    let node = "fairlead-volume".to_owned();
    let membership = Membership::new(backends.clone(), node, Arc::new(SystemChance));
    let record = match membership.record().await {
        Ok(record) => record,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if record.phase == FleetPhase::Changing {
        let message = "arrays are being added to the fleet or removed from it (`fairlead array ls`); run it again afterwards";
        return Err(Error::new(ErrorKind::Busy, message));
    }
    let seats = seats(&record, &backends).await?;
    vote(&record, &seats, name, volume).await?;
    nobody_else(&record, &seats, arrays, (name, volume)).await
}

/// Who is who; all members must be configured here, as one that is not may have the name.
async fn seats(record: &FleetRecord, backends: &[Arc<dyn Backend>]) -> Result<Vec<Seat>> {
    let mut seats: Vec<Seat> = Vec::new();
    for backend in backends {
        let told = backend.survey().and_then(|survey| survey.identity());
        let array: ArrayId = match told {
            Some(identity) => identity.id,
            None => backend.telemetry().await?.array,
        };
        if let Some(member) = record.member(&array)
            && seats.iter().all(|(number, _)| *number != member.number)
        {
            seats.push((member.number, Arc::clone(backend)));
        }
    }
    let here = |number: ArrayNumber| seats.iter().any(|(one, _)| *one == number);
    let lacking: Vec<&str> = record
        .members
        .iter()
        .filter(|member| !here(member.number))
        .map(|member| member.name.as_str())
        .collect();
    if lacking.is_empty() {
        return Ok(seats);
    }
    let message = format!(
        "the fleet has arrays that are not in this configuration, and one of them may have the name: {}; add them to it first",
        lacking.join(", ")
    );
    Err(Error::new(ErrorKind::FailedPrecondition, message))
}

fn claims(backend: &Arc<dyn Backend>) -> Result<&dyn Claims> {
    let message = "this kind of array cannot take part in claims";
    let none = || Error::new(ErrorKind::Unsupported, message);
    backend.claims().ok_or_else(none)
}

/// C2. A vote that is there is voted for on the others, as everybody does.
async fn vote(
    record: &FleetRecord,
    seats: &[Seat],
    name: &VolumeName,
    volume: &Volume,
) -> Result<()> {
    let home = record.member(volume.id.array());
    let home = home.ok_or_else(|| {
        let message = "the volume's array is none of the fleet's (`fairlead array add`)";
        Error::new(ErrorKind::FailedPrecondition, message)
    })?;
    let mut wanted = ClaimNonce::by_chance(home.number);
    let mut votes: Vec<ClaimNonce> = Vec::new();
    for number in &record.claim_arrays {
        let Some((_, backend)) = seats.iter().find(|(one, _)| one == number) else {
            continue;
        };
        wanted = fresh_vote(claims(backend)?, name, wanted).await?.nonce;
        votes.push(wanted);
    }
    let count = |nonce: &ClaimNonce| votes.iter().filter(|one| *one == nonce).count();
    if votes
        .iter()
        .any(|nonce| count(nonce) * 2 > record.claim_arrays.len())
    {
        return Ok(());
    }
    Err(being_created(name))
}

async fn fresh_vote(claims: &dyn Claims, name: &VolumeName, nonce: ClaimNonce) -> Result<Marker> {
    let marker = claims.mark(name, nonce).await?;
    if marker.age < VOTE_AGE_MAX {
        return Ok(marker);
    }
    let _outcome = claims.retire(&marker).await?;
    claims.mark(name, nonce).await
}

/// After the votes: whoever proposes now meets them, finds nothing of their attempt, and looks again.
async fn nobody_else(
    record: &FleetRecord,
    seats: &[Seat],
    arrays: &Arrays,
    (name, volume): (&VolumeName, &Volume),
) -> Result<()> {
    let asked = name.clone();
    let answers = arrays
        .ask(move |backend| {
            let name = asked.clone();
            async move { claims(&backend)?.view(&name).await }
        })
        .await;
    if let Some(silent) = answers.silent.first() {
        let message = format!(
            "{} may have the name `{name}` and does not answer: {}",
            silent.endpoint, silent.error
        );
        return Err(Error::new(ErrorKind::Unavailable, message));
    }
    for (site, view) in answers.told {
        if let Some(other) = view.volume.filter(|other| other.id != volume.id) {
            let message = format!(
                "the name `{name}` is taken by {} on {}",
                other.object, site.endpoint
            );
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        let mut waiting = view.tentatives.iter();
        if waiting.any(|one| one.kind != TentativeKind::Stopper) {
            return Err(being_created(name));
        }
        let is_member = site
            .backend
            .as_ref()
            .is_ok_and(|backend| seats.iter().any(|(_, one)| Arc::ptr_eq(one, backend)));
        if is_member && view.epoch != Some(record.epoch) {
            let message = "the fleet record changes at this moment; run it again";
            return Err(Error::new(ErrorKind::Busy, message));
        }
    }
    Ok(())
}

fn being_created(name: &VolumeName) -> Error {
    let message = format!(
        "a volume `{name}` is being created, or was and was not finished: try again (what is left of it goes within two hours), or recover under another name (--name)"
    );
    Error::new(ErrorKind::Busy, message)
}
