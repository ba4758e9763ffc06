//! The pure decisions of the protocol: from what a node has seen, and from nothing else.

use super::rules::{Fleet, SafetyStep, Setup};
use super::world::{ARRAYS, ArrayIndex, Nonce, Object};

/// What a node knows of one array's vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Ballot {
    /// Not asked yet, or it had no vote when it was looked at.
    #[default]
    Open,
    /// No answer.
    Silent,
    /// A vote.
    For {
        /// For whom.
        nonce: Nonce,
        /// The half day in which it was given: with the nonce, the marker's id.
        born: u8,
    },
}

impl Ballot {
    pub(super) const fn nonce(self) -> Option<Nonce> {
        match self {
            Self::For { nonce, .. } => Some(nonce),
            Self::Open | Self::Silent => None,
        }
    }
}

/// The votes that a node knows, by array.
pub type Votes = [Ballot; ARRAYS];

/// What C0 has gathered so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct View {
    /// Arrays that were asked, one bit each.
    pub asked: u8,
    /// Those of them that did not answer.
    pub silent: u8,
    /// The volume.
    pub volume: Option<Object>,
    /// Something is aside.
    pub aside: bool,
    /// The votes.
    pub votes: Votes,
}

/// What a complete view says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The name has this volume.
    Volume(Object),
    /// Busy or unavailable.
    Refused,
    /// Nobody has it, and nobody tries.
    Free,
    /// Somebody tries: help with this.
    Tried(Nonce),
}

/// A listing that a node holds of the array that is silent for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Listing {
    /// The half day in which it was begun.
    pub begun: u8,
    /// The epoch that its node knew then.
    pub epoch: u8,
    /// It shows nothing of the name.
    pub clean: bool,
}

/// The first vote in the fleet's order.
pub(super) fn first_vote(fleet: &Fleet, votes: &Votes) -> Option<Nonce> {
    let mut arrays = fleet.claim_arrays.iter();
    arrays.find_map(|array| votes[usize::from(*array)].nonce())
}

/// decide: who has won.
pub(super) fn decide(setup: &Setup, fleet: &Fleet, votes: &Votes) -> Option<Nonce> {
    let all = fleet.claim_arrays;
    let given = || {
        all.iter()
            .filter_map(|array| votes[usize::from(*array)].nonce())
    };
    let count = |nonce| given().filter(|vote| *vote == nonce).count();
    if !setup.keeps(SafetyStep::Majority) {
        return first_vote(fleet, votes);
    }
    if !setup.keeps(SafetyStep::NoTieRule) && given().count() == all.len() {
        let most = given().find(|nonce| count(*nonce) * 2 > all.len());
        return most.or_else(|| first_vote(fleet, votes));
    }
    given().find(|nonce| count(*nonce) * 2 > all.len())
}

/// settle: the first vote that stands against the first array's.
pub(super) fn rival(fleet: &Fleet, votes: &Votes) -> Option<Nonce> {
    let first = first_vote(fleet, votes);
    let mut arrays = fleet.claim_arrays.iter();
    arrays.find_map(|array| {
        let vote = votes[usize::from(*array)].nonce();
        vote.filter(|one| Some(*one) != first)
    })
}

/// The claim arrays that carry a nonce, as far as a node knows.
pub(super) fn carriers(votes: &Votes, nonce: Nonce) -> impl Iterator<Item = ArrayIndex> {
    (0_u8..)
        .zip(votes)
        .filter(move |(_, vote)| vote.nonce() == Some(nonce))
        .map(|(array, _)| array)
}

/// Whether all votes for a nonce that were seen are of this half day.
pub(super) fn is_young(votes: &Votes, nonce: Nonce, now: u8) -> bool {
    votes.iter().all(|vote| match vote {
        Ballot::For { nonce: who, born } if *who == nonce => *born == now,
        Ballot::Open | Ballot::Silent | Ballot::For { .. } => true,
    })
}

/// C0: what a complete view says.
pub(super) fn judge(
    setup: &Setup,
    (epoch, now): (u8, u8),
    view: &View,
    listing: Option<Listing>,
) -> Seen {
    let fleet = setup.fleet(epoch);
    if let Some(volume) = view.volume {
        return Seen::Volume(volume);
    }
    if view.aside && setup.keeps(SafetyStep::AsideIsBusy) {
        return Seen::Refused;
    }
    let silent = fleet
        .claim_arrays
        .iter()
        .filter(|array| view.silent & (1 << **array) != 0)
        .count();
    let majority_silent = (fleet.claim_arrays.len() - silent) * 2 <= fleet.claim_arrays.len();
    let passed = match view.silent.count_ones() {
        0 => true,
        1 => listing_speaks(setup, (epoch, now), listing),
        _ => false,
    };
    if !passed || majority_silent {
        return Seen::Refused;
    }
    first_vote(&fleet, &view.votes).map_or(Seen::Free, Seen::Tried)
}

/// Whether a listing may speak for a silent array.
fn listing_speaks(setup: &Setup, (epoch, now): (u8, u8), listing: Option<Listing>) -> bool {
    if !setup.keeps(SafetyStep::ListingNeeded) {
        return true;
    }
    listing.is_some_and(|listing| {
        (listing.clean || !setup.keeps(SafetyStep::ListingIsClean))
            && (listing.epoch == epoch || !setup.keeps(SafetyStep::ListingOfThisEpoch))
            && (now - listing.begun <= 1 || !setup.keeps(SafetyStep::ListingIsFresh))
    })
}
