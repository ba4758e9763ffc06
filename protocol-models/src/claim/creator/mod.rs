//! A node that creates the name: its phases. Which steps it may take in each is in `steps`, what
//! each answer leads to in `take`.

mod steps;
mod take;

use super::rules::Setup;
use super::votes::{Listing, View, Votes};
use super::world::{ArrayIndex, Nonce, Object, State};

/// What follows a withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum After {
    /// Somebody else has won.
    Resolve(Votes),
    /// Nobody has won.
    Settle(Votes),
    /// From C0.
    Restart,
    /// The caller is told that it did not work.
    Stop,
}

/// How far a kill is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kill {
    /// What waits is withdrawn.
    Withdraw,
    /// Nothing waited: the name is taken by a stopper.
    Stop,
    /// And spent.
    Spend,
}

/// Where a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Phase {
    /// Its caller has not asked yet, or it was just started.
    #[default]
    Idle,
    /// C0.
    Look(View),
    /// C1.
    Propose(Votes),
    /// C2.
    Vote(Nonce, Votes),
    /// One's own goes.
    Withdraw(After),
    /// A fresh look at the nonce's array; true when settling.
    Resolve(Nonce, Votes, bool),
    /// C3.
    Commit(Nonce, Votes),
    /// The nonce is made dead for good.
    Kill(Nonce, Kill, Votes),
    /// Its markers go.
    Retire(Nonce, Votes),
    /// The caller was told of this volume.
    Done(Object),
    /// The caller was told that it did not work.
    Failed,
}

/// A node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Creator {
    /// Where it is.
    pub phase: Phase,
    /// Its attempt whose volume waits, as far as it knows.
    pub own: Option<Nonce>,
    /// Attempts begun.
    pub tries: u8,
    /// Looks at all arrays that are left.
    pub rounds: u8,
    /// The half day of its C0.
    pub begun: u8,
    /// More than 60 s ago, for another reason.
    pub late: bool,
    /// The epoch it knows.
    pub epoch: u8,
    /// What it holds of the array that may be silent.
    pub listing: Option<Listing>,
}

/// One step of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// A listing of the array that may be silent.
    List(ArrayIndex),
    /// C0 begins.
    Begin,
    /// One array is looked at.
    Look(ArrayIndex),
    /// C1: a volume is proposed there.
    Propose(ArrayIndex),
    /// C1: there is nowhere left to propose.
    GiveUp,
    /// C2: one vote.
    Vote(ArrayIndex),
    /// The next request of a phase that has one at a time.
    Next,
    /// A marker goes.
    Retire(ArrayIndex),
    /// More than 60 s.
    Expire,
}

/// Who takes a step, in which run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who<'a> {
    pub(super) setup: &'a Setup,
    pub(super) node: u8,
    /// It is alone, everything answers, and it has tries of its own.
    pub(super) lone: bool,
}

impl Who<'_> {
    pub(super) fn reaches(self, state: &State, array: ArrayIndex) -> bool {
        let never = self.setup.silent_for[usize::from(self.node)] & (1 << array) != 0;
        !(never && !self.lone || state.fallen == Some(array))
    }

    fn members(self, epoch: u8) -> u8 {
        let known = self.setup.config[usize::from(self.node)];
        self.setup.fleet(epoch).members & if self.lone { u8::MAX } else { known }
    }

    fn me(self, state: &State) -> &Creator {
        &state.creators[usize::from(self.node)]
    }

    fn me_mut(self, state: &mut State) -> &mut Creator {
        &mut state.creators[usize::from(self.node)]
    }

    fn go(self, state: &mut State, phase: Phase) {
        self.me_mut(state).phase = phase;
    }

    fn stop(self, state: &mut State, phase: Phase) {
        let now = state.now;
        let me = self.me_mut(state);
        me.phase = phase;
        me.own = None;
        me.begun = now;
        me.late = false;
        me.listing = None;
    }

    fn acknowledge(self, state: &mut State, volume: Object) {
        state.acknowledged |= volume.bit();
        self.stop(state, Phase::Done(volume));
    }
}
