//! The abstract claim: nodes that create one name, each with one volume to propose.

use crate::fence::state::Place;

use super::model::{Combined, Missing, State};

/// Where a creator is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Nobody asked yet, or it was answered, or it died.
    #[default]
    Idle,
    /// Look what bears the name.
    C0,
    /// Propose a waiting volume.
    C1,
    /// Vote.
    C2,
    /// Commit one's own.
    C3,
    /// Withdraw one's own, as this one's marker was there.
    Withdraw(u8),
    /// See what became of the winner's.
    Resolve(u8),
    /// Help the winner: commit its volume.
    Help(u8),
    /// The winner is dead: take its marker away.
    Retire(u8),
}

/// One node that creates the name. Its number is its nonce, and its volume's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Creator {
    /// Where it is.
    pub stage: Stage,
    /// How often it was asked and may be asked still.
    pub calls: u8,
    /// Its volume is there under its waiting name.
    pub waiting: bool,
    /// Its nonce was used: the volume was committed or withdrawn.
    pub spent: bool,
}

impl Combined {
    /// One step of a creator; every one is one request to one array, or one look at all.
    pub(super) fn create(&self, state: &mut State, who: u8) {
        let at = usize::from(who);
        let stage = state.creators[at].stage;
        state.creators[at].stage = match stage {
            Stage::Idle => Stage::Idle,
            Stage::C0 => self.look(state, who),
            Stage::C1 => {
                state.creators[at].waiting = true;
                Stage::C2
            }
            Stage::C2 => self.vote(state, who),
            Stage::C3 | Stage::Help(_) => {
                let whose = if let Stage::Help(other) = stage {
                    other
                } else {
                    who
                };
                self.commit(state, whose);
                Stage::Resolve(whose)
            }
            Stage::Withdraw(winner) => {
                // By its waiting name: a volume that was committed meanwhile is not met.
                let own = &mut state.creators[at];
                own.spent = true;
                own.waiting = false;
                Stage::Resolve(winner)
            }
            Stage::Resolve(winner) => self.resolve(state, winner),
            Stage::Retire(winner) => {
                if state.marker == Some(winner) {
                    state.marker = None;
                }
                Stage::C0
            }
        };
    }

    fn look(&self, state: &mut State, who: u8) -> Stage {
        let bears = |place: Place| {
            state
                .fence
                .volumes
                .iter()
                .position(|one| one.place == place)
        };
        if let Some(found) = bears(Place::Named) {
            state.acknowledged |= 1 << found;
            return Stage::Idle;
        }
        let aside = state
            .fence
            .volumes
            .iter()
            .any(|one| matches!(one.place, Place::Trash(_)));
        if aside && self.missing != Some(Missing::AsideIsBusy) {
            return Stage::Idle;
        }
        if let Some(winner) = state.marker {
            return Stage::Resolve(winner);
        }
        if state.creators[usize::from(who)].spent {
            return Stage::Idle;
        }
        if state.creators[usize::from(who)].waiting {
            Stage::C2
        } else {
            Stage::C1
        }
    }

    fn vote(&self, state: &mut State, who: u8) -> Stage {
        let winner = *state.marker.get_or_insert(who);
        if winner != who && self.missing != Some(Missing::Vote) {
            return Stage::Withdraw(winner);
        }
        if self.missing == Some(Missing::AcknowledgeAfterCommit) {
            state.acknowledged |= 1 << who;
        }
        Stage::C3
    }

    /// The rename from the waiting name: it finds its source once.
    pub(super) fn commit(&self, state: &mut State, whose: u8) {
        let at = usize::from(whose);
        let there = state
            .fence
            .volumes
            .iter()
            .any(|one| one.place == Place::Named);
        let taken = there && !self.fence.bounds.arrays_apart;
        if !state.creators[at].waiting || taken {
            return;
        }
        state.creators[at].waiting = false;
        state.creators[at].spent = true;
        state.fence.volumes[at] = crate::fence::Fence::fresh_volume();
    }

    fn resolve(&self, state: &mut State, winner: u8) -> Stage {
        let at = usize::from(winner);
        match state.fence.volumes[at].place {
            Place::Named => {
                state.acknowledged |= 1 << winner;
                Stage::Idle
            }
            // Neither absent nor dead: a mount may take it back.
            Place::Trash(_) if self.missing != Some(Missing::AsideIsNotDead) => Stage::Idle,
            Place::Absent if state.creators[at].waiting => Stage::Help(winner),
            Place::Absent | Place::Destroyed | Place::Trash(_) => Stage::Retire(winner),
        }
    }
}
