//! States that differ only by which of several equal nodes is which are one state.

use super::creator::{After, Creator, Phase};
use super::others::{Deleter, Sweeper};
use super::rules::Setup;
use super::votes::{Ballot, View, Votes};
use super::world::{CREATORS, LONE, Marker, Nonce, Object, Request, State, TRIES};

/// Where each node goes.
type Places = [u8; CREATORS];

/// All ways to exchange three nodes but the one that leaves all where they are.
const EXCHANGES: [Places; 5] = [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// The state that stands for all that differ from it by the nodes' numbers. Sound where nodes have
/// the same reach, configuration and task, and none has traces from before the run; left as it is
/// elsewhere.
pub(super) fn canonical(setup: &Setup, state: State) -> State {
    let equal = setup.creators == 3
        && setup.config == [setup.config[0]; CREATORS]
        && setup.silent_for == [setup.silent_for[0]; CREATORS]
        && setup.adopts == 0
        && !setup.remains;
    if !equal {
        return state;
    }
    let others = EXCHANGES.iter().map(|places| exchanged(&state, places));
    others.fold(state.clone(), State::min)
}

fn exchanged(state: &State, places: &Places) -> State {
    let mut new = state.clone();
    for (from, to) in places.iter().enumerate() {
        let mut creator = state.creators[from];
        rename_creator(&mut creator, places);
        new.creators[usize::from(*to)] = creator;
        for attempt in 0..usize::from(TRIES) {
            let old = from * usize::from(TRIES) + attempt;
            let new_place = usize::from(*to) * usize::from(TRIES) + attempt;
            new.attempts[new_place] = state.attempts[old];
        }
    }
    for attempt in &mut new.attempts {
        attempt.waiting = attempt.waiting.map(|one| object(one, places));
    }
    for array in &mut new.arrays {
        array.volume = array.volume.map(|one| object(one, places));
        array.aside = array.aside.map(|one| object(one, places));
        array.marker = array.marker.map(|one| marker(one, places));
    }
    for late in new.late.iter_mut().flatten() {
        *late = request(*late, places);
    }
    new.late.sort_unstable();
    new.deleter = match new.deleter {
        Deleter::Idle => Deleter::Idle,
        Deleter::Seen(array, one) => Deleter::Seen(array, object(one, places)),
        Deleter::Aside(array, one) => Deleter::Aside(array, object(one, places)),
    };
    new.sweeper = match new.sweeper {
        Sweeper::Idle => Sweeper::Idle,
        Sweeper::Waiting(who, one) => Sweeper::Waiting(nonce(who, places), object(one, places)),
        Sweeper::Marker(array, one) => Sweeper::Marker(array, marker(one, places)),
    };
    new.acknowledged = objects(new.acknowledged, places);
    new.removed = objects(new.removed, places);
    new
}

fn nonce(old: Nonce, places: &Places) -> Nonce {
    if old >= LONE {
        return old;
    }
    places[usize::from(old / TRIES)] * TRIES + old % TRIES
}

fn object(old: Object, places: &Places) -> Object {
    match old.maker() {
        Some((maker, generation)) => Object::of(nonce(maker, places), generation),
        None => old,
    }
}

fn objects(old: u32, places: &Places) -> u32 {
    (0..32)
        .filter(|one| old & (1 << one) != 0)
        .fold(0, |all, one| all | object(Object(one), places).bit())
}

fn marker(old: Marker, places: &Places) -> Marker {
    Marker {
        nonce: nonce(old.nonce, places),
        ..old
    }
}

fn votes(old: &mut Votes, places: &Places) {
    for vote in old {
        if let Ballot::For { nonce: who, .. } = vote {
            *who = nonce(*who, places);
        }
    }
}

fn rename_creator(creator: &mut Creator, places: &Places) {
    creator.own = creator.own.map(|one| nonce(one, places));
    match &mut creator.phase {
        Phase::Idle | Phase::Failed => {}
        Phase::Look(View {
            volume,
            votes: seen,
            ..
        }) => {
            *volume = volume.map(|one| object(one, places));
            votes(seen, places);
        }
        Phase::Propose(seen) | Phase::Withdraw(After::Resolve(seen) | After::Settle(seen)) => {
            votes(seen, places);
        }
        Phase::Withdraw(After::Restart | After::Stop) => {}
        Phase::Vote(who, seen)
        | Phase::Resolve(who, seen, _)
        | Phase::Commit(who, seen)
        | Phase::Kill(who, _, seen)
        | Phase::Retire(who, seen) => {
            *who = nonce(*who, places);
            votes(seen, places);
        }
        Phase::Done(one) => *one = object(*one, places),
    }
}

fn request(old: Request, places: &Places) -> Request {
    let object = |one| object(one, places);
    let nonce = |one| nonce(one, places);
    match old {
        Request::Propose(one) => Request::Propose(nonce(one)),
        Request::Stop(one) => Request::Stop(nonce(one)),
        Request::Adopt(one) => Request::Adopt(nonce(one)),
        Request::Vote(array, one) => Request::Vote(array, nonce(one)),
        Request::Commit(one) => Request::Commit(nonce(one)),
        Request::CommitObject(array, one) => Request::CommitObject(array, object(one)),
        Request::Withdraw(one) => Request::Withdraw(nonce(one)),
        Request::WithdrawObject(array, one) => Request::WithdrawObject(array, object(one)),
        Request::Retire(array, one) => Request::Retire(array, marker(one, places)),
        Request::RetireNamed(array) => Request::RetireNamed(array),
        Request::SetAside(array, one) => Request::SetAside(array, object(one)),
        Request::SetAsideNamed(array, one) => Request::SetAsideNamed(array, object(one)),
        Request::Destroy(array, one) => Request::Destroy(array, object(one)),
        Request::DestroyObject(array, one) => Request::DestroyObject(array, object(one)),
        Request::GiveBack(array, one) => Request::GiveBack(array, object(one)),
    }
}
