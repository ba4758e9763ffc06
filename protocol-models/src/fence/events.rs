//! What may happen next in a state.

use super::array::Fate;
use super::model::Fence;
use super::rules::Mutant;
use super::state::{Caller, Device, Intent, Operation, State, Step, User, VOLUMES};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A caller asks a host for a mount.
    Mount(u8, Caller),
    /// It gives up; the work goes on.
    GivesUp(u8),
    /// A host's operation takes its next step.
    Step(u8, Fate),
    /// Somebody wants it unmounted.
    Unmount(u8, u8),
    /// Somebody removes the name.
    Delete(u8),
    /// Background: the array is told of what was let go of, or a connection in doubt is taken away.
    Tell(u8, u8),
    /// Background: what was fenced is taken down.
    Heal(u8),
    /// The agent is killed and starts again.
    Kill(u8),
    /// The host loses power.
    PowerOff(u8),
    /// It has power again.
    Boot(u8),
    /// A mount gets another user, and cannot be taken down.
    Hold(u8),
    /// That one lets go.
    LetGo(u8),
    /// mkfs that outlived its agent ends.
    ChildEnds(u8),
    /// The ledger is lost.
    LoseLedger(u8),
    /// A request that was under way is executed.
    Arrives(usize),
    /// The name is made anew.
    Create,
    /// An administrator connects a host.
    Administrator,
}

impl Fence {
    pub(super) fn events_of(&self, state: &State, host: u8, events: &mut Vec<Event>) {
        let own = state.host(host);
        let budget = state.budget;
        if own.off {
            events.push(Event::Boot(host));
            return;
        }
        let held = |user: User| own.devices.iter().flatten().any(|one| one.user == user);
        if budget.holds > 0 && held(User::Mounted) {
            events.push(Event::Hold(host));
        }
        if held(User::Held) {
            events.push(Event::LetGo(host));
        }
        if budget.crashes > 0 {
            if own.operation.is_some() {
                events.push(Event::Kill(host));
            }
            if own.operation.is_some() || own.devices.iter().any(Option::is_some) {
                events.push(Event::PowerOff(host));
            }
        }
        if let Some(operation) = own.operation {
            if operation.waiting && budget.gives_up > 0 {
                events.push(Event::GivesUp(host));
            }
            Self::fates(state, host, operation, events);
            return;
        }
        if held(User::Mkfs) {
            events.push(Event::ChildEnds(host));
        }
        if budget.losses > 0
            && own
                .records
                .iter()
                .any(|one| one.intent != Intent::Nothing || one.began)
        {
            events.push(Event::LoseLedger(host));
        }
        self.calls(state, host, events);
    }

    /// What may be asked of a host that is at nothing.
    fn calls(&self, state: &State, host: u8, events: &mut Vec<Event>) {
        let own = state.host(host);
        let budget = state.budget;
        let had = own.records.iter().any(|one| one.intent != Intent::Nothing);
        if budget.mounts > 0 {
            events.push(Event::Mount(host, Caller::Plain));
            // A mount ID that was live when this host was shut out has no right, whoever sends it.
            if budget.rights > 0 && !had {
                events.push(Event::Mount(host, Caller::Preempting));
            }
            if budget.agains > 0 && had {
                events.push(Event::Mount(host, Caller::Again));
            }
        }
        if budget.deletes > 0 && Self::begin_delete(state).is_some() {
            events.push(Event::Delete(host));
        }
        for volume in 0..VOLUMES {
            if own.records[usize::from(volume)].intent == Intent::Attach {
                events.push(Event::Unmount(host, volume));
            }
            if self.has_to_tell(state, host, volume) {
                events.push(Event::Tell(host, volume));
            }
        }
        if self.heals(state, host).is_some() {
            events.push(Event::Heal(host));
        }
    }

    /// Whether the background work has something to tell the array about a volume.
    pub(super) fn has_to_tell(&self, state: &State, host: u8, volume: u8) -> bool {
        let own = state.host(host);
        let at = usize::from(volume);
        let shows = |device: &Device| device.volume == volume;
        match own.records[at].intent {
            Intent::Released => true,
            Intent::Nothing => {
                own.intends[at]
                    && !self.without(Mutant::DoubtsForgotten)
                    && !own.devices.iter().flatten().any(shows)
            }
            Intent::Attach => false,
        }
    }

    fn fates(state: &State, host: u8, operation: Operation, events: &mut Vec<Event>) {
        events.push(Event::Step(host, Fate::Fine));
        if state.budget.faults == 0 {
            return;
        }
        let (writes, twice) = match operation.step {
            // Sent once under each number and name: only a client that repeats makes copies.
            Step::F5 | Step::D1 => (true, false),
            Step::F3
            | Step::Holder
            | Step::Undo(_)
            | Step::Unpublish
            | Step::D3
            | Step::GiveBack
            | Step::Restore => (true, true),
            _ => (false, false),
        };
        if writes && state.room_for_pending() {
            events.push(Event::Step(host, Fate::Lost));
            if twice {
                events.push(Event::Step(host, Fate::Twice));
            }
            if operation.step == Step::F3 {
                events.push(Event::Step(host, Fate::Early));
            }
        }
        // No answer to a question; the grant to format stays.
        if matches!(
            operation.step,
            Step::F4 | Step::F6 | Step::ReadBack | Step::D2 | Step::Withdraw
        ) {
            events.push(Event::Step(host, Fate::Lost));
        }
    }
}
