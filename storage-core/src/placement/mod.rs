//! The selector that is used unless an embedder brings another one: filters, then the share of the
//! array that stays free, then a tie-break that spreads.
//!
//! It reads nothing and keeps nothing: the same request and candidates give the same decision on
//! every node. Bursts do not herd because [`Candidate::recently_placed`] counts before the array's
//! own figures show it.

use std::cmp::Ordering;

use sha2::{Digest, Sha256};

use crate::name::VolumeName;
use crate::select::{Candidate, Decision, PlacementRequest, Rejection, Selector, Verdict};
use crate::size::Size;

/// Filters in this order, the first that fails naming the reason: attachable, reachable, not
/// draining, labels, size, capabilities (copies, limits), room. What passes is scored by the share of its capacity that is left after
/// placing, headroom not counted as left; equal scores are ordered by a rendezvous hash of volume
/// name and endpoint, so that many volumes spread over equal arrays and one volume always meets
/// the same order.
///
/// Room is judged as if this volume were filled: arrays provision thinly, but one that is out of
/// space stops every writer on it. What was placed lately lowers the score and drops no array: it
/// holds no data yet, and a burst of a thousand thin volumes is no reason to refuse the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultSelector;

/// The headroom is one part in this many of an array's capacity: 2 %. It covers what writers add
/// between two readings of the telemetry.
const HEADROOM_PARTS: u64 = 50;

/// Scores are compared in millionths. Finer differences are noise of the arrays' accounting, and
/// would keep the tie-break from spreading.
const SCORE_UNIT: u32 = 1_000_000;

impl Selector for DefaultSelector {
    fn select(&self, request: &PlacementRequest, candidates: &[Candidate]) -> Decision {
        let mut ranked = Vec::new();
        let mut rejected = Vec::new();
        for candidate in candidates {
            match judge(request, candidate) {
                Ok(score) => ranked.push(Ranked {
                    score,
                    tie_break: tie_break(&request.name, &candidate.endpoint),
                    endpoint: &candidate.endpoint,
                }),
                Err(rejection) => rejected.push(Verdict {
                    endpoint: candidate.endpoint.clone(),
                    score: Err(rejection),
                }),
            }
        }
        ranked.sort_unstable_by(Ranked::best_first);
        rejected.sort_unstable_by(|one, two| one.endpoint.cmp(&two.endpoint));
        let accepted = ranked.iter().map(|ranked| Verdict {
            endpoint: ranked.endpoint.to_owned(),
            score: Ok(f64::from(ranked.score) / f64::from(SCORE_UNIT)),
        });
        Decision {
            verdicts: accepted.chain(rejected).collect(),
        }
    }
}

struct Ranked<'a> {
    score: u32,
    tie_break: u64,
    endpoint: &'a str,
}

impl Ranked<'_> {
    fn best_first(one: &Self, two: &Self) -> Ordering {
        two.score
            .cmp(&one.score)
            .then_with(|| two.tie_break.cmp(&one.tie_break))
            .then_with(|| one.endpoint.cmp(two.endpoint))
    }
}

/// The candidate's score in [`SCORE_UNIT`]s, or the first filter that drops it.
fn judge(request: &PlacementRequest, candidate: &Candidate) -> Result<u32, Rejection> {
    if let Some(why) = &candidate.unsupported {
        return Err(Rejection::Protocol(why.clone()));
    }
    let telemetry = match &candidate.telemetry {
        Ok(telemetry) => telemetry,
        Err(why) => return Err(Rejection::Unreachable(why.clone())),
    };
    if candidate.draining {
        return Err(Rejection::Draining);
    }
    if let Some(requirement) = request.selector.first_unmet(&candidate.labels) {
        return Err(Rejection::Labels(requirement));
    }
    let wanted = candidate
        .capabilities
        .round(request.size)
        .map_err(|error| Rejection::Size(error.message().to_owned()))?;
    lacks(request, candidate).map_or(Ok(()), |why| Err(Rejection::Capability(why)))?;
    let headroom = Size::from_bytes(telemetry.capacity.bytes().div_ceil(HEADROOM_PARTS));
    // Nothing is available where more is taken than there is: that is a full array, no overflow.
    let available = telemetry.free().checked_sub(headroom).unwrap_or_default();
    match available.checked_sub(wanted) {
        Some(left) => {
            let left = left
                .checked_sub(candidate.recently_placed)
                .unwrap_or_default();
            Ok(share(left, telemetry.capacity))
        }
        None => Err(Rejection::Full { available, wanted }),
    }
}

/// What the array cannot do that the volume needs.
fn lacks(request: &PlacementRequest, candidate: &Candidate) -> Option<String> {
    if request.copy && !candidate.capabilities.clones {
        return Some("it cannot copy volumes".to_owned());
    }
    if request.limits.is_empty() {
        return None;
    }
    match &candidate.capabilities.limits {
        None => Some("it cannot limit what a volume does".to_owned()),
        Some(ranges) => {
            let refused = ranges.check(&request.limits).err()?;
            Some(refused.message().to_owned())
        }
    }
}

/// `part` of `whole` in [`SCORE_UNIT`]s; 0 of nothing.
fn share(part: Size, whole: Size) -> u32 {
    let scaled = u128::from(part.bytes()) * u128::from(SCORE_UNIT);
    let share = scaled.checked_div(u128::from(whole.bytes())).unwrap_or(0);
    u32::try_from(share).unwrap_or(SCORE_UNIT)
}

/// Highest random weight of the pair. NUL is in no volume name, so no two pairs share an input.
fn tie_break(name: &VolumeName, endpoint: &str) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(name.as_str());
    hasher.update([0]);
    hasher.update(endpoint);
    let digest = hasher.finalize();
    digest
        .iter()
        .take(8)
        .fold(0, |weight, byte| (weight << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests;
