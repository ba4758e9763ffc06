//! Which steps a node may take where it stands, and what each asks of an array.

use super::{Creator, Kill, Phase, Step, Who};
use crate::claim::rules::SafetyStep;
use crate::claim::votes::{Ballot, Votes, carriers, first_vote};
use crate::claim::world::{ArrayIndex, LONE, Marker, Nonce, Object, Request, State, TRIES};

impl Who<'_> {
    /// The steps that the node may take.
    pub(in crate::claim) fn steps(self, state: &State, steps: &mut Vec<Step>) {
        let me = self.me(state);
        if self.is_expired(state) && self.setup.keeps(SafetyStep::Expiry) {
            steps.push(Step::Expire);
            return;
        }
        let epoch = me.epoch;
        match &me.phase {
            Phase::Idle => self.idle_steps(state, steps),
            Phase::Look(view) => steps.extend(
                (0..3)
                    .filter(|array| (self.members(epoch) & !view.asked) & (1 << array) != 0)
                    .map(Step::Look),
            ),
            Phase::Propose(_) => self.propose_steps(state, steps),
            Phase::Vote(_, votes) => self.vote_steps(epoch, votes, steps),
            Phase::Withdraw(_) | Phase::Resolve(..) | Phase::Commit(..) | Phase::Kill(..) => {
                steps.push(Step::Next);
            }
            Phase::Retire(nonce, votes) => {
                steps.extend(carriers(votes, *nonce).map(Step::Retire));
            }
            Phase::Done(_) | Phase::Failed => {
                if self.setup.repeats && me.rounds > 0 && !self.lone {
                    steps.push(Step::Begin);
                }
            }
        }
        let may_be_late = matches!(
            me.phase,
            Phase::Propose(_) | Phase::Vote(..) | Phase::Resolve(..) | Phase::Commit(..)
        );
        if may_be_late && state.left.slow > 0 && !self.lone {
            steps.push(Step::Expire);
        }
    }

    fn idle_steps(self, state: &State, steps: &mut Vec<Step>) {
        let me = self.me(state);
        if self.node >= self.setup.creators && !self.lone {
            return;
        }
        if me.rounds > 0 {
            steps.push(Step::Begin);
        }
        let never = self.setup.silent_for[usize::from(self.node)];
        let listed = (0..3).find(|array| {
            never & (1 << array) != 0
                || (self.setup.may_fall == Some(*array) && state.fallen.is_none())
        });
        let newest = state.arrays.iter().map(|one| one.epoch).max();
        let known = me.listing.is_some_and(|one| {
            one.begun == state.now && newest.is_none_or(|epoch| one.epoch >= epoch)
        });
        if let Some(array) = listed.filter(|_| !known && !self.lone) {
            steps.push(Step::List(array));
        }
    }

    fn propose_steps(self, state: &State, steps: &mut Vec<Step>) {
        let me = self.me(state);
        let limit = if self.lone {
            TRIES
        } else {
            self.setup.proposals
        };
        if me.tries >= limit {
            steps.push(Step::GiveUp);
            return;
        }
        let members = self.members(me.epoch);
        let adopts = self.adopts();
        steps.extend(
            (0..3)
                .filter(|array| members & (1 << array) != 0 && self.reaches(state, *array))
                .filter(|array| !adopts || *array == self.setup.source())
                .map(Step::Propose),
        );
        if steps.is_empty() {
            steps.push(Step::GiveUp);
        }
    }

    /// As the tie rule needs it: everybody votes for his own, on all claim arrays at once.
    pub(super) fn votes_against(self) -> bool {
        !self.setup.keeps(SafetyStep::NoTieRule)
    }

    fn adopts(self) -> bool {
        !self.lone && self.setup.adopts & (1 << self.node) != 0
    }

    fn vote_steps(self, epoch: u8, votes: &Votes, steps: &mut Vec<Step>) {
        let fleet = self.setup.fleet(epoch);
        let mut open = fleet
            .claim_arrays
            .iter()
            .copied()
            .filter(|array| votes[usize::from(*array)] == Ballot::Open)
            .map(Step::Vote);
        if first_vote(&fleet, votes).is_none() && !self.votes_against() {
            steps.extend(open.next());
        } else {
            steps.extend(open);
        }
    }

    pub(super) fn is_expired(self, state: &State) -> bool {
        let me = self.me(state);
        let under_way = !matches!(
            me.phase,
            Phase::Idle | Phase::Done(_) | Phase::Failed | Phase::Withdraw(_)
        );
        under_way && (me.late || me.begun < state.now)
    }

    /// The array that a step asks.
    pub(in crate::claim) fn asks(self, state: &State, step: Step) -> Option<ArrayIndex> {
        let target = |nonce: Nonce| state.attempt(nonce).array;
        match (step, &self.me(state).phase) {
            (
                Step::List(array)
                | Step::Look(array)
                | Step::Propose(array)
                | Step::Vote(array)
                | Step::Retire(array),
                _,
            ) => Some(array),
            (Step::Next, Phase::Withdraw(_)) => self.me(state).own.and_then(target),
            (
                Step::Next,
                Phase::Resolve(nonce, ..) | Phase::Commit(nonce, _) | Phase::Kill(nonce, ..),
            ) => target(*nonce),
            _ => None,
        }
    }

    /// The request that a step sends, if it changes anything.
    pub(in crate::claim) fn request(self, state: &State, step: Step) -> Option<Request> {
        let me = self.me(state);
        match (step, &me.phase) {
            (Step::Propose(_), _) => {
                let nonce = self.next_nonce(me);
                Some(if self.adopts() {
                    Request::Adopt(nonce)
                } else {
                    Request::Propose(nonce)
                })
            }
            (Step::Vote(array), Phase::Vote(nonce, _)) => Some(Request::Vote(array, *nonce)),
            (Step::Retire(array), Phase::Retire(_, votes)) => {
                let Ballot::For { nonce, born } = votes[usize::from(array)] else {
                    return None;
                };
                Some(if self.setup.keeps(SafetyStep::RetireById) {
                    Request::Retire(array, Marker { nonce, born })
                } else {
                    Request::RetireNamed(array)
                })
            }
            (Step::Next, Phase::Withdraw(_)) => {
                let nonce = me.own?;
                let object = Object(nonce * 3);
                let array = state.attempt(nonce).array?;
                Some(if self.setup.keeps(SafetyStep::WithdrawByWaitingName) {
                    Request::Withdraw(nonce)
                } else {
                    Request::WithdrawObject(array, object)
                })
            }
            (Step::Next, Phase::Commit(nonce, _)) => {
                let attempt = state.attempt(*nonce);
                match (attempt.array, attempt.waiting) {
                    (Some(array), Some(object))
                        if !self.setup.keeps(SafetyStep::CommitByWaitingName) =>
                    {
                        Some(Request::CommitObject(array, object))
                    }
                    _ => Some(Request::Commit(*nonce)),
                }
            }
            (Step::Next, Phase::Kill(nonce, Kill::Withdraw | Kill::Spend, _)) => {
                Some(Request::Withdraw(*nonce))
            }
            (Step::Next, Phase::Kill(nonce, Kill::Stop, _)) => Some(Request::Stop(*nonce)),
            _ => None,
        }
    }

    pub(super) fn next_nonce(self, me: &Creator) -> Nonce {
        if self.lone {
            LONE + me.tries
        } else {
            self.node * TRIES + me.tries
        }
    }
}
