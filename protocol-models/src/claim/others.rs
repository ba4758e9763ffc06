//! Everybody else: who removes the volume, who sweeps, who changes the membership.

use super::rules::{SafetyStep, Setup};
use super::world::{
    ARRAYS, ATTEMPTS, ArrayIndex, Fate, Marker, Nonce, Object, Reply, Request, State,
};

/// Where a delete is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Deleter {
    /// None runs.
    #[default]
    Idle,
    /// It has read the volume.
    Seen(ArrayIndex, Object),
    /// D1 is done.
    Aside(ArrayIndex, Object),
}

/// Where the sweeper is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Sweeper {
    /// Nothing is at hand.
    #[default]
    Idle,
    /// It saw something wait for more than an hour.
    Waiting(Nonce, Object),
    /// It saw an old marker.
    Marker(ArrayIndex, Marker),
}

/// Where a change of the membership is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Changer {
    /// Not begun, or it died.
    #[default]
    Idle,
    /// A record of this epoch is written, to all members of before and after.
    Write(u8),
    /// More than 60 s are waited for.
    Wait,
    /// What waits is withdrawn.
    Drain,
    /// All is done.
    Done,
}

/// One step of somebody who creates nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Other {
    /// The delete reads the volume.
    Read(ArrayIndex),
    /// D1.
    SetAside,
    /// D3.
    Destroy,
    /// Somebody was connected.
    GiveBack,
    /// What a delete left aside is taken up.
    TakeUp(ArrayIndex),
    /// The process that deletes dies.
    DeleterDies,
    /// The sweeper sees something wait.
    SeeWaiting(Nonce),
    /// The sweeper sees an old marker.
    SeeMarker(ArrayIndex),
    /// The sweeper removes what it saw.
    Sweep,
    /// The change begins, or goes on after a crash.
    Change,
    /// The record is written to one array.
    Write(ArrayIndex),
    /// 60 s are over.
    Waited,
    /// Something that waits is withdrawn.
    Drain(Nonce),
    /// The next epoch.
    Drained,
    /// The process that changes the membership dies.
    ChangerDies,
}

fn arrays() -> impl Iterator<Item = ArrayIndex> {
    (0..).take(ARRAYS)
}

fn attempts() -> impl Iterator<Item = Nonce> {
    (0..).take(ATTEMPTS)
}

fn answers(state: &State, array: ArrayIndex) -> bool {
    state.fallen != Some(array)
}

/// The steps that are possible now.
pub(super) fn steps(setup: &Setup, state: &State, steps: &mut Vec<Other>) {
    delete_steps(setup, state, steps);
    if setup.sweeps {
        sweep_steps(setup, state, steps);
    }
    if setup.changes {
        change_steps(setup, state, steps);
    }
}

fn delete_steps(setup: &Setup, state: &State, steps: &mut Vec<Other>) {
    match state.deleter {
        Deleter::Idle => {
            steps.extend(
                arrays()
                    .filter(|array| state.array(*array).aside.is_some() && answers(state, *array))
                    .map(Other::TakeUp),
            );
            if state.left.deletes > 0 {
                steps.extend(
                    arrays()
                        .filter(|array| {
                            state.array(*array).volume.is_some() && answers(state, *array)
                        })
                        .map(Other::Read),
                );
            }
        }
        Deleter::Seen(..) => steps.push(Other::SetAside),
        Deleter::Aside(..) => {
            steps.push(Other::Destroy);
            if setup.gives_back {
                steps.push(Other::GiveBack);
            }
        }
    }
    if state.deleter != Deleter::Idle && state.left.crashes > 0 {
        steps.push(Other::DeleterDies);
    }
}

fn sweep_steps(setup: &Setup, state: &State, steps: &mut Vec<Other>) {
    if state.sweeper != Sweeper::Idle {
        steps.push(Other::Sweep);
        return;
    }
    steps.extend(
        attempts()
            .filter(|nonce| {
                let attempt = state.attempt(*nonce);
                attempt.waiting.is_some() && attempt.born < state.now
            })
            .map(Other::SeeWaiting),
    );
    let age = if setup.keeps(SafetyStep::SweepOldMarkersOnly) {
        2
    } else {
        1
    };
    steps.extend(
        arrays()
            .filter(|array| {
                let marker = state.array(*array).marker;
                marker.is_some_and(|one| state.now - one.born >= age)
            })
            .map(Other::SeeMarker),
    );
}

fn change_steps(setup: &Setup, state: &State, steps: &mut Vec<Other>) {
    match state.changer {
        Changer::Idle => steps.push(Other::Change),
        Changer::Write(epoch) => steps.extend(to_write(setup, state, epoch).map(Other::Write)),
        Changer::Wait => steps.push(Other::Waited),
        Changer::Drain => {
            let before = steps.len();
            if setup.keeps(SafetyStep::FreezeDrains) {
                steps.extend(
                    attempts()
                        .filter(|nonce| state.attempt(*nonce).waiting.is_some())
                        .map(Other::Drain),
                );
            }
            if steps.len() == before && may_leave(setup, state) {
                steps.push(Other::Drained);
            }
        }
        Changer::Done => {}
    }
    let at_work = !matches!(state.changer, Changer::Idle | Changer::Done);
    if at_work && state.left.crashes > 0 {
        steps.push(Other::ChangerDies);
    }
}

/// Whether the arrays that leave have no volume; otherwise the change waits here to be taken back.
fn may_leave(setup: &Setup, state: &State) -> bool {
    let leaving = setup.all_members() & !setup.fleet(2).members;
    let empty = |array: ArrayIndex| {
        let here = state.array(array);
        here.volume.is_none() && here.aside.is_none()
    };
    !setup.keeps(SafetyStep::LeavesEmpty)
        || arrays().all(|array| leaving & (1 << array) == 0 || empty(array))
}

/// The arrays that a record is to be written to next: those that decide about it first.
fn to_write(setup: &Setup, state: &State, epoch: u8) -> impl Iterator<Item = ArrayIndex> {
    let lacks = move |array: &ArrayIndex| state.array(*array).epoch < epoch;
    let claim_arrays = setup.claim_arrays(epoch - 1);
    let deciding = claim_arrays.iter().any(lacks);
    let all = setup.all_members();
    arrays().filter(move |array| {
        all & (1 << array) != 0 && lacks(array) && (!deciding || claim_arrays.contains(array))
    })
}

/// The request that a step sends.
pub(super) fn request(setup: &Setup, state: &State, step: Other) -> Option<Request> {
    let keeps = |step| setup.keeps(step);
    Some(match (step, state.deleter, state.sweeper) {
        (Other::SetAside, Deleter::Seen(array, object), _) => {
            if keeps(SafetyStep::DeleteById) {
                Request::SetAside(array, object)
            } else {
                Request::SetAsideNamed(array, object)
            }
        }
        (Other::Destroy, Deleter::Aside(array, object), _) => {
            if keeps(SafetyStep::DestroyByNameAside) {
                Request::Destroy(array, object)
            } else {
                Request::DestroyObject(array, object)
            }
        }
        (Other::GiveBack, Deleter::Aside(array, object), _) => Request::GiveBack(array, object),
        (Other::Sweep, _, Sweeper::Waiting(nonce, object)) => {
            let array = state.attempt(nonce).array?;
            if keeps(SafetyStep::WithdrawByWaitingName) {
                Request::Withdraw(nonce)
            } else {
                Request::WithdrawObject(array, object)
            }
        }
        (Other::Sweep, _, Sweeper::Marker(array, marker)) => {
            if keeps(SafetyStep::RetireById) {
                Request::Retire(array, marker)
            } else {
                Request::RetireNamed(array)
            }
        }
        (Other::Drain(nonce), ..) => Request::Withdraw(nonce),
        _ => return None,
    })
}

/// Takes a step.
pub(super) fn take(setup: &Setup, state: &mut State, step: Other, fate: Fate) {
    let reply = request(setup, state, step).and_then(|request| state.send(setup, request, fate));
    match step {
        Other::Read(array) => {
            if let Some(object) = state.array(array).volume {
                state.deleter = Deleter::Seen(array, object);
                state.left.deletes -= 1;
            }
        }
        Other::SetAside => {
            state.deleter = match (state.deleter, reply) {
                (Deleter::Seen(array, object), Some(Reply::Done)) => Deleter::Aside(array, object),
                _ => Deleter::Idle,
            };
        }
        Other::TakeUp(array) => {
            if let Some(object) = state.array(array).aside {
                state.deleter = Deleter::Aside(array, object);
            }
        }
        Other::Destroy | Other::GiveBack | Other::DeleterDies => {
            state.left.crashes -= u8::from(step == Other::DeleterDies);
            state.deleter = Deleter::Idle;
        }
        Other::SeeWaiting(nonce) => {
            if let Some(object) = state.attempt(nonce).waiting {
                state.sweeper = Sweeper::Waiting(nonce, object);
            }
        }
        Other::SeeMarker(array) => {
            if let Some(marker) = state.array(array).marker {
                state.sweeper = Sweeper::Marker(array, marker);
            }
        }
        Other::Sweep => state.sweeper = Sweeper::Idle,
        Other::Drain(_) => {}
        Other::Change | Other::Write(_) | Other::Waited | Other::Drained | Other::ChangerDies => {
            change(setup, state, step);
        }
    }
}

fn change(setup: &Setup, state: &mut State, step: Other) {
    match step {
        Other::Change => {
            let highest = state.arrays.iter().map(|array| array.epoch).max();
            state.changer = Changer::Write(highest.unwrap_or(0).max(1));
        }
        Other::Write(array) => {
            let Changer::Write(epoch) = state.changer else {
                return;
            };
            state.array_mut(array).epoch = epoch;
        }
        Other::Waited => {
            if setup.keeps(SafetyStep::FreezeWaits) {
                for creator in &mut state.creators {
                    creator.late |= creator.epoch == 0;
                }
            }
            state.changer = Changer::Drain;
        }
        Other::Drained => state.changer = Changer::Write(2),
        Other::ChangerDies => {
            state.left.crashes -= 1;
            state.changer = Changer::Idle;
        }
        _ => {}
    }
    if let Changer::Write(epoch) = state.changer
        && to_write(setup, state, epoch).next().is_none()
    {
        state.changer = if epoch == 1 {
            Changer::Wait
        } else {
            Changer::Done
        };
    }
}
