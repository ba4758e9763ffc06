//! C4: left-overs of claims and removes that nobody needs any more, taken away in the background.
//!
//! Any node may do it and several at once do no harm, as each step goes by the left-over's own
//! name or id. So that they do not all come at once, each waits a time of its own; and each takes
//! no more than a few and what it made itself, so that an idle node stays within its budget.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::roster::{Roster, claims};
use super::trace::{Event, Mark, Place};
use super::{Founding, load};
use crate::claim::{ArrayNumber, ClaimNonce, Stray, StrayKind};
use crate::engine::Shared;
use crate::engine::fleet::{Member, bounded};
use crate::error::{Error, ErrorKind, Result};
use crate::fleet_record::FleetPhase;

/// The longest time between two sweeps; the shortest is half of it.
const PERIOD: Duration = Duration::from_secs(3600);

/// Until the fleet record is known: first and longest wait before it is looked for again.
const RETRY: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(300));

/// What waits for a name longer than this is over: nothing would give it one any more.
const WAITS: Duration = Duration::from_secs(3600);

/// Votes are kept as long as two listings are good for.
const VOTES: Duration = Duration::from_secs(24 * 3600);

/// Left-overs that one sweep takes away, beside two for each volume that this process made.
const ALLOWANCE: u64 = 10;

/// An answer with so many may not be all there is.
const MAY_BE_CUT: usize = 500;

/// Learns the fleet record, and sweeps, for ever.
#[expect(
    clippy::infinite_loop,
    reason = "background work that ends by being aborted"
)]
pub(crate) async fn keep(shared: Arc<Shared>) {
    let (mut retry, longest) = RETRY;
    loop {
        if let Err(error) = load(&shared.books(), None, Founding::Not).await {
            tracing::debug!(error = %error.chain(), "the fleet record is not known yet");
            shared.fleet.record.was_looked_for();
            sleep(retry).await;
            retry = retry.saturating_mul(2).min(longest);
            continue;
        }
        shared.fleet.record.was_looked_for();
        sleep(shared.chance.jitter(PERIOD)).await;
        let made = shared.fleet.record.claimed.swap(0, Ordering::Relaxed);
        let allowance = ALLOWANCE.saturating_add(made.saturating_mul(2));
        match sweep(&shared, allowance).await {
            Ok(0) => {}
            Ok(swept) => tracing::info!(swept, "left-overs of claims and removes were taken away"),
            Err(error) => {
                tracing::debug!(error = %error.chain(), "left-overs are looked for again later");
            }
        }
    }
}

/// One array's left-overs.
struct Heap {
    number: ArrayNumber,
    member: Arc<Member>,
    strays: Result<Vec<Stray>>,
}

/// One sweep over all arrays that answer: at most so many left-overs. Returns how many went.
///
/// # Errors
/// `Unavailable` while the fleet record is not known, or arrays come or go.
pub(crate) async fn sweep(shared: &Arc<Shared>, at_most: u64) -> Result<u64> {
    // One that was silent when this process started may vote.
    shared.fleet.identify().await;
    let roster = shared.fleet.roster();
    let settled = |roster: &Roster| roster.record.phase == FleetPhase::Open;
    let Some(roster) = roster.filter(settled) else {
        return Err(Error::new(
            ErrorKind::Unavailable,
            "the fleet record is not known, or being changed",
        ));
    };
    let heaps = collect(shared, &roster).await;
    let mut swept = 0;
    for heap in &heaps {
        for stray in heap.strays.iter().flatten() {
            if swept >= at_most {
                return Ok(swept);
            }
            if is_over(stray, &heaps, &roster) && remove(shared, heap, stray).await {
                swept += 1;
            }
        }
    }
    Ok(swept)
}

async fn collect(shared: &Arc<Shared>, roster: &Roster) -> Vec<Heap> {
    let mut asked = JoinSet::new();
    let limit = shared.fleet.ask_limit;
    for (number, member) in roster.members() {
        let member = Arc::clone(member);
        asked.spawn(async move {
            let strays = bounded(limit, async { claims(&member)?.strays().await }).await;
            Heap {
                number,
                member,
                strays,
            }
        });
    }
    let mut heaps = Vec::new();
    while let Some(joined) = asked.join_next().await {
        heaps.extend(joined);
    }
    heaps.sort_by_key(|heap| heap.number);
    heaps
}

fn is_over(stray: &Stray, heaps: &[Heap], roster: &Roster) -> bool {
    match stray.kind {
        StrayKind::Tentative(_) | StrayKind::Imported(_) => stray.age >= WAITS,
        StrayKind::Marker(nonce) => {
            stray.age >= VOTES && all_vote(heaps, roster) && nothing_waits(nonce, heaps, roster)
        }
        StrayKind::Retired | StrayKind::Trash => true,
    }
}

fn all_vote(heaps: &[Heap], roster: &Roster) -> bool {
    let answers = |number: &ArrayNumber| {
        let mut heaps = heaps.iter();
        heaps.any(|heap| heap.number == *number && heap.strays.is_ok())
    };
    roster.record.claim_arrays.iter().all(answers)
}

/// A vote goes after what waits under it: that is older than an hour then, and goes in the sweep
/// before or in this one.
fn nothing_waits(nonce: ClaimNonce, heaps: &[Heap], roster: &Roster) -> bool {
    let target = nonce.array();
    let Some(heap) = heaps.iter().find(|heap| heap.number == target) else {
        // It left the fleet with nothing of any claim on it.
        return roster.record.by_number(target).is_none() && target < roster.record.next_number;
    };
    let waits = |stray: &Stray| match stray.kind {
        StrayKind::Tentative(one) | StrayKind::Imported(one) => one == nonce,
        StrayKind::Marker(_) | StrayKind::Retired | StrayKind::Trash => false,
    };
    heap.strays
        .as_ref()
        .is_ok_and(|strays| strays.len() < MAY_BE_CUT && !strays.iter().any(waits))
}

async fn remove(shared: &Shared, heap: &Heap, stray: &Stray) -> bool {
    let nonce = match stray.kind {
        StrayKind::Marker(nonce) | StrayKind::Tentative(nonce) | StrayKind::Imported(nonce) => {
            Some(Mark::Claim(Some(nonce)))
        }
        StrayKind::Retired | StrayKind::Trash => None,
    };
    let event = Event {
        step: "C4",
        node: &shared.node(),
        array: Place::Number(heap.number),
        nonce,
        object: Some(&stray.object_name),
        ..Event::default()
    };
    event.tell("asked");
    crash_points::point!("claim.C4");
    let answer = match claims(&heap.member) {
        Ok(claims) => claims.sweep(stray).await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(outcome) => {
            event.tell("done");
            outcome.is_done()
        }
        Err(error) => {
            event.tell("timeout");
            tracing::warn!(array = %heap.member.backend, object = stray.object_name, error = %error.chain(), "a left-over could not be taken away yet");
            false
        }
    }
}
