//! After the faults: does a mount end?
//!
//! From any state, nothing more goes wrong and everybody finishes what is begun. Then a caller
//! asks for a mount: it succeeds, or is refused for one of the reasons that the protocol names.

use super::array::Fate;
use super::events::Event;
use super::model::Fence;
use super::state::{
    Budget, Caller, Content, FOREIGN, Intent, Operation, Place, State, Step, User, VOLUMES,
};

/// More steps than any operation of all hosts together takes.
const ENOUGH: usize = 200;

impl Fence {
    /// Whether every live host's mount comes to a right end, with the right to preempt and without,
    /// whatever becomes of the requests under way.
    pub(super) fn comes_to_an_end(&self, state: &State) -> bool {
        [false, true].into_iter().all(|executed| {
            let Some(quiet) = self.quiet(*state, executed) else {
                return false;
            };
            (0..self.bounds.hosts).all(|host| {
                let live = !quiet.host(host).off && self.object(host) == host;
                let ends = |caller| self.mount_ends(quiet, host, caller);
                !live || (ends(Caller::Plain) && ends(Caller::Preempting))
            })
        })
    }

    /// Everybody finishes; `None` if that does not end.
    fn quiet(&self, mut state: State, executed: bool) -> Option<State> {
        state.budget = Budget::default();
        for at in 0..state.pending.len() {
            if executed {
                self.apply(&mut state, Event::Arrives(at));
            } else {
                state.pending[at] = None;
            }
        }
        for _ in 0..ENOUGH {
            let event = (0..self.bounds.hosts).find_map(|host| self.next_of(&state, host));
            let Some(event) = event else {
                return Some(state);
            };
            self.apply(&mut state, event);
        }
        None
    }

    fn next_of(&self, state: &State, host: u8) -> Option<Event> {
        let own = state.host(host);
        if own.off {
            return None;
        }
        if own.operation.is_some() {
            return Some(Event::Step(host, Fate::Fine));
        }
        if own
            .devices
            .iter()
            .flatten()
            .any(|one| one.user == User::Mkfs)
        {
            return Some(Event::ChildEnds(host));
        }
        if self.heals(state, host).is_some() {
            return Some(Event::Heal(host));
        }
        let told = (0..VOLUMES).find(|volume| self.has_to_tell(state, host, *volume));
        told.map(|volume| Event::Tell(host, volume))
    }

    fn mount_ends(&self, mut state: State, host: u8, caller: Caller) -> bool {
        state.go_on(
            host,
            Operation {
                caller,
                waiting: true,
                ..Operation::new(Step::Look, 0)
            },
        );
        let Some(after) = self.quiet(state, true) else {
            return false;
        };
        let trash = |one: &u8| matches!(after.volume(*one).place, Place::Trash(_));
        let Some(volume) = after.named().or_else(|| (0..VOLUMES).find(trash)) else {
            return true;
        };
        let own = after.host(host);
        let at = usize::from(volume);
        let mounted = own.devices.iter().flatten().any(|one| {
            one.volume == volume
                && one.user == User::Mounted
                && self.reached(&after, host, *one) == Some(volume)
        });
        if mounted && own.records[at].intent == Intent::Attach {
            return true;
        }
        // The reasons that are named: something on this host is not clean, a file system that
        // another host did not finish, an administrator's connection.
        let unclean = own.devices.iter().flatten().any(|one| {
            let unknown = own.records[usize::from(one.volume)].intent == Intent::Nothing;
            one.user == User::Held || unknown
        });
        let half = matches!(after.volume(volume).content, Content::Half(_));
        let others = self.others(&after, host, volume);
        if unclean || half || others & FOREIGN != 0 {
            return true;
        }
        // Without the right: whoever holds it, or is without power and cannot be asked.
        let holds =
            |other: u8| self.grant(&after, other, volume).is_some() || after.host(other).off;
        let held = (0..self.bounds.hosts).filter(|other| others & (1 << other) != 0);
        caller == Caller::Plain && others != 0 && held.into_iter().all(holds)
    }
}
