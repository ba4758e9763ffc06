//! What each step does, and what its answer leads to.

use super::{After, Kill, Phase, Step, Who};
use crate::claim::rules::SafetyStep;
use crate::claim::votes::{
    Ballot, Listing, Seen, View, Votes, carriers, decide, first_vote, is_young, judge, rival,
};
use crate::claim::world::{ArrayIndex, Fate, Marker, Nonce, Reply, Request, State};

impl Who<'_> {
    /// Takes a step.
    pub(in crate::claim) fn take(self, state: &mut State, step: Step, fate: Fate) {
        match step {
            Step::List(array) => self.list(state, array),
            Step::Begin => self.begin(state),
            Step::Look(array) => self.look(state, array),
            Step::GiveUp => self.stop(state, Phase::Failed),
            Step::Expire => self.expire(state),
            Step::Propose(array) => self.propose(state, array, fate),
            Step::Vote(array) => self.vote(state, array, fate),
            Step::Retire(array) => self.retire(state, array, fate),
            Step::Next => self.next(state, fate),
        }
    }

    fn list(self, state: &mut State, array: ArrayIndex) {
        let here = state.array(array);
        let clean = here.volume.is_none() && here.aside.is_none() && !state.waits_on(array);
        let begun = state.now;
        // Before it lists, it reads which fleet it lists for.
        let members = self.members(self.me(state).epoch);
        let epoch = (0..3)
            .filter(|one| members & (1 << one) != 0 && self.reaches(state, *one))
            .map(|one| state.array(one).epoch)
            .max()
            .filter(|epoch| self.setup.fleet(*epoch).open);
        let me = self.me_mut(state);
        me.epoch = epoch.map_or(me.epoch, |epoch| epoch.max(me.epoch));
        me.listing = Some(Listing {
            begun,
            epoch: me.epoch,
            clean,
        });
    }

    fn begin(self, state: &mut State) {
        let now = state.now;
        let config = self.setup.config[usize::from(self.node)];
        let me = self.me_mut(state);
        if me.rounds == 0 {
            self.stop(state, Phase::Failed);
            return;
        }
        me.rounds -= 1;
        me.own = None;
        me.begun = now;
        me.late = false;
        let members = self.setup.fleet(me.epoch).members;
        let knows_all = self.lone || members & !config == 0;
        if !knows_all && self.setup.keeps(SafetyStep::AllMembersKnown) {
            self.stop(state, Phase::Failed);
            return;
        }
        me.phase = Phase::Look(View::default());
    }

    fn look(self, state: &mut State, array: ArrayIndex) {
        let answers = self.reaches(state, array);
        let here = *state.array(array);
        let epoch = self.me(state).epoch;
        let loads = self.setup.keeps(SafetyStep::NewerEpochLoads);
        if answers && here.epoch > epoch && loads {
            self.load(state, here.epoch);
            return;
        }
        let members = self.members(epoch);
        let me = self.me_mut(state);
        let Phase::Look(view) = &mut me.phase else {
            return;
        };
        view.asked |= 1 << array;
        if answers {
            view.volume = view.volume.or(here.volume);
            view.aside |= here.aside.is_some();
            view.votes[usize::from(array)] =
                here.marker.map_or(Ballot::Open, |marker| Ballot::For {
                    nonce: marker.nonce,
                    born: marker.born,
                });
        } else {
            view.silent |= 1 << array;
            view.votes[usize::from(array)] = Ballot::Silent;
        }
        if members & !view.asked == 0 {
            let view = *view;
            self.looked(state, &view);
        }
    }

    fn load(self, state: &mut State, epoch: u8) {
        self.me_mut(state).epoch = epoch;
        if self.setup.fleet(epoch).open {
            self.begin(state);
        } else {
            self.wait(state);
        }
    }

    /// While the membership changes: it looks again as long as its caller's time allows.
    fn wait(self, state: &mut State) {
        let me = self.me_mut(state);
        me.phase = Phase::Idle;
        me.rounds = me.rounds.max(1);
    }

    fn looked(self, state: &mut State, view: &View) {
        let now = state.now;
        let me = self.me(state);
        let (epoch, listing) = (me.epoch, me.listing);
        let fleet = self.setup.fleet(epoch);
        if !fleet.open {
            self.wait(state);
            return;
        }
        let mut votes = view.votes;
        for array in 0..3 {
            if !fleet.claim_arrays.contains(&array) {
                votes[usize::from(array)] = Ballot::Open;
            }
        }
        match judge(self.setup, (epoch, now), view, listing) {
            Seen::Volume(volume) => self.acknowledge(state, volume),
            Seen::Refused => self.stop(state, Phase::Failed),
            Seen::Free => self.go(state, Phase::Propose(votes)),
            Seen::Tried(_)
                if self.votes_against() && decide(self.setup, &fleet, &votes).is_none() =>
            {
                self.go(state, Phase::Propose(votes));
            }
            Seen::Tried(nonce) => self.voted(state, nonce, votes),
        }
    }

    fn propose(self, state: &mut State, array: ArrayIndex, fate: Fate) {
        let me = *self.me(state);
        let Phase::Propose(votes) = me.phase else {
            return;
        };
        let nonce = self.next_nonce(&me);
        let Some(request) = self.request(state, Step::Propose(array)) else {
            return;
        };
        self.me_mut(state).tries += 1;
        state.attempt_mut(nonce).array = Some(array);
        let reply = state.send(self.setup, request, fate);
        if reply == Some(Reply::Done) {
            self.me_mut(state).own = Some(nonce);
            self.voted(state, nonce, votes);
        }
    }

    fn vote(self, state: &mut State, array: ArrayIndex, fate: Fate) {
        let Phase::Vote(nonce, mut votes) = self.me(state).phase else {
            return;
        };
        let reply = if self.reaches(state, array) {
            state.send(self.setup, Request::Vote(array, nonce), fate)
        } else {
            None
        };
        votes[usize::from(array)] = match reply {
            Some(Reply::Voted(Marker { nonce, born })) => Ballot::For { nonce, born },
            _ => Ballot::Silent,
        };
        let fleet = self.setup.fleet(self.me(state).epoch);
        let first = first_vote(&fleet, &votes).filter(|_| !self.votes_against());
        self.voted(state, first.unwrap_or(nonce), votes);
    }

    /// C2 goes on, or is decided: by C0's look already, or when all were asked.
    fn voted(self, state: &mut State, nonce: Nonce, votes: Votes) {
        let me = *self.me(state);
        let fleet = self.setup.fleet(me.epoch);
        let open = fleet
            .claim_arrays
            .iter()
            .any(|array| votes[usize::from(*array)] == Ballot::Open);
        let winner = decide(self.setup, &fleet, &votes);
        let looked = matches!(me.phase, Phase::Look(_));
        match (winner, me.own) {
            _ if open && !(looked && winner.is_some()) => {
                self.go(state, Phase::Vote(nonce, votes));
            }
            (Some(winner), Some(own)) if winner == own => {
                let early = !self.setup.keeps(SafetyStep::AcknowledgeAfterCommit);
                if let Some(object) = state.attempt(own).waiting.filter(|_| early) {
                    state.acknowledged |= object.bit();
                }
                self.go(state, Phase::Commit(own, votes));
            }
            (Some(_), Some(_)) => self.go(state, Phase::Withdraw(After::Resolve(votes))),
            (Some(winner), None) => self.go(state, Phase::Resolve(winner, votes, false)),
            (None, own) => self.split(state, own, votes),
        }
    }

    fn split(self, state: &mut State, own: Option<Nonce>, votes: Votes) {
        let fleet = self.setup.fleet(self.me(state).epoch);
        let rival = rival(&fleet, &votes);
        let keeps_own = rival.is_some() && own == first_vote(&fleet, &votes);
        match (own, rival) {
            (Some(_), Some(_)) if !keeps_own => {
                self.go(state, Phase::Withdraw(After::Settle(votes)));
            }
            (Some(_), None) => self.go(state, Phase::Withdraw(After::Stop)),
            (_, Some(rival)) => self.go(state, Phase::Resolve(rival, votes, true)),
            (None, None) => self.stop(state, Phase::Failed),
        }
    }

    fn retire(self, state: &mut State, array: ArrayIndex, fate: Fate) {
        let request = self.request(state, Step::Retire(array));
        if let Some(request) = request.filter(|_| self.reaches(state, array)) {
            state.send(self.setup, request, fate);
        }
        let me = self.me_mut(state);
        let Phase::Retire(nonce, votes) = &mut me.phase else {
            return;
        };
        votes[usize::from(array)] = Ballot::Open;
        if carriers(votes, *nonce).next().is_none() {
            self.begin(state);
        }
    }

    fn next(self, state: &mut State, fate: Fate) {
        let me = *self.me(state);
        let answers = self
            .asks(state, Step::Next)
            .is_some_and(|array| self.reaches(state, array));
        let request = self.request(state, Step::Next);
        let reply = match request {
            Some(request) if answers => state.send(self.setup, request, fate),
            _ => None,
        };
        match me.phase {
            Phase::Withdraw(after) => self.withdrawn(state, after),
            Phase::Resolve(nonce, votes, settles) => {
                self.resolve(state, (nonce, votes), settles, answers);
            }
            Phase::Commit(nonce, votes) => match reply {
                Some(Reply::Named(volume)) => self.acknowledge(state, volume),
                Some(_) => self.begin(state),
                None => {
                    self.me_mut(state).own = None;
                    self.go(state, Phase::Resolve(nonce, votes, false));
                }
            },
            Phase::Kill(nonce, stage, votes) => self.killed(state, nonce, (stage, votes), reply),
            _ => {}
        }
    }

    fn withdrawn(self, state: &mut State, after: After) {
        self.me_mut(state).own = None;
        let fleet = self.setup.fleet(self.me(state).epoch);
        match after {
            After::Resolve(votes) => match decide(self.setup, &fleet, &votes) {
                Some(winner) => self.go(state, Phase::Resolve(winner, votes, false)),
                None => self.begin(state),
            },
            After::Settle(votes) => match rival(&fleet, &votes) {
                Some(rival) => self.go(state, Phase::Resolve(rival, votes, true)),
                None => self.begin(state),
            },
            After::Restart => self.begin(state),
            After::Stop => self.stop(state, Phase::Failed),
        }
    }

    fn resolve(
        self,
        state: &mut State,
        (nonce, votes): (Nonce, Votes),
        settles: bool,
        answers: bool,
    ) {
        let Some(array) = state.attempt(nonce).array.filter(|_| answers) else {
            self.stop(state, Phase::Failed);
            return;
        };
        let here = *state.array(array);
        if let Some(volume) = here
            .volume
            .filter(|_| self.setup.keeps(SafetyStep::FreshLook))
        {
            self.acknowledge(state, volume);
        } else if here.aside.is_some() && self.setup.keeps(SafetyStep::AsideIsBusy) {
            self.stop(state, Phase::Failed);
        } else {
            let attempt = state.attempt(nonce);
            let waits = attempt.waiting.is_some();
            let is_volume = waits && !attempt.stopper;
            let young =
                is_young(&votes, nonce, state.now) || !self.setup.keeps(SafetyStep::YoungVotesOnly);
            if is_volume && young && !settles {
                self.go(state, Phase::Commit(nonce, votes));
            } else if self.setup.keeps(SafetyStep::KillBeforeRetire) || waits {
                self.go(state, Phase::Kill(nonce, Kill::Withdraw, votes));
            } else {
                self.go(state, Phase::Retire(nonce, votes));
            }
        }
    }

    fn killed(
        self,
        state: &mut State,
        nonce: Nonce,
        (stage, votes): (Kill, Votes),
        reply: Option<Reply>,
    ) {
        let next = match (stage, reply) {
            (Kill::Withdraw | Kill::Spend, Some(Reply::Done))
            | (Kill::Stop, Some(Reply::Refused)) => Phase::Retire(nonce, votes),
            (Kill::Withdraw, Some(Reply::Nothing)) => Phase::Kill(nonce, Kill::Stop, votes),
            (Kill::Stop, Some(Reply::Done)) => Phase::Kill(nonce, Kill::Spend, votes),
            _ => {
                self.begin(state);
                return;
            }
        };
        self.go(state, next);
    }

    fn expire(self, state: &mut State) {
        if !self.is_expired(state) {
            state.left.slow -= 1;
        }
        if self.me(state).own.is_some() {
            self.go(state, Phase::Withdraw(After::Restart));
        } else {
            self.begin(state);
        }
    }
}
