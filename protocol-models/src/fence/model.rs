//! The model: what may happen next in a state, and what comes of it.

use stateright::{Model, Property};

use super::array::Fate;
use super::rules::{Bounds, Mutant, Violation};
use super::state::{Caller, Device, Intent, Operation, Place, Record, State, Step, User, VOLUMES};

/// The fence, whole or with one step left out.
#[derive(Clone, Copy, Debug)]
pub struct Fence {
    /// What a run looks at.
    pub bounds: Bounds,
    /// What is left out.
    pub mutant: Option<Mutant>,
}

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
    /// The fence as it is to be built.
    #[must_use]
    pub const fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            mutant: None,
        }
    }

    /// Without one of its steps.
    #[must_use]
    pub const fn lacking(bounds: Bounds, mutant: Mutant) -> Self {
        Self {
            bounds,
            mutant: Some(mutant),
        }
    }

    pub(super) fn without(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// The first state.
    #[must_use]
    pub fn start(&self) -> State {
        let mut state = State {
            budget: self.budget(),
            ..State::default()
        };
        *state.volume_mut(0) = Self::fresh_volume();
        state
    }

    fn events_of(&self, state: &State, host: u8, events: &mut Vec<Event>) {
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

    pub(super) fn step(&self, state: &mut State, host: u8, fate: Fate) {
        let Some(operation) = state.host(host).operation else {
            return;
        };
        if fate != Fate::Fine {
            state.budget.faults = state.budget.faults.saturating_sub(1);
        }
        match operation.step {
            Step::Look => self.find(state, host, operation),
            Step::Restore => self.restore(state, host, operation, fate),
            Step::F1 => self.f1(state, host, operation, fate),
            Step::F3 => self.f3(state, host, operation, fate),
            Step::F4 => self.f4(state, host, operation, fate),
            Step::F5 => self.f5(state, host, operation, fate),
            Step::F6 => self.f6(state, host, operation, fate),
            Step::Holder => self.holder(state, host, operation, fate),
            Step::Undo(_) => self.undo(state, host, operation, fate),
            Step::Attach => self.attach(state, host, operation),
            Step::Mkfs | Step::MkfsEnd => self.format(state, host, operation),
            Step::Mount => self.mount(state, host, operation),
            Step::Withdraw => self.withdraw(state, host, operation, fate),
            Step::Detach => self.detach(state, host, operation),
            Step::Unpublish => self.unpublish(state, host, operation, fate),
            Step::ReadBack => self.read_back(state, host, operation, fate),
            Step::D1 => self.d1(state, host, operation, fate),
            Step::D1Read => Self::d1_read(state, host, operation),
            Step::D2 => self.d2(state, host, operation, fate),
            Step::D3 => self.d3(state, host, operation, fate),
            Step::GiveBack => self.give_back(state, host, operation, fate),
        }
    }

    /// What comes of an event, hosts and numbers under the names that they have.
    pub(super) fn apply(&self, state: &mut State, event: Event) {
        match event {
            Event::Mount(host, caller) => {
                state.budget.mounts -= 1;
                state.budget.rights -= u8::from(caller == Caller::Preempting);
                state.budget.agains -= u8::from(caller == Caller::Again);
                let operation = Operation {
                    caller,
                    waiting: true,
                    ..Operation::new(Step::Look, 0)
                };
                state.go_on(host, operation);
            }
            Event::Step(host, fate) => self.step(state, host, fate),
            Event::Unmount(host, volume) => {
                state.go_on(host, Operation::new(self.first_of_unmount(), volume));
            }
            Event::Delete(host) => {
                state.budget.deletes -= 1;
                if let Some(operation) = Self::begin_delete(state) {
                    state.go_on(host, operation);
                }
            }
            Event::Tell(host, volume) => state.go_on(host, Operation::new(Step::Unpublish, volume)),
            Event::Heal(host) => self.heal(state, host),
            Event::ChildEnds(host) => self.child_ends(state, host),
            Event::Arrives(at) => {
                if let Some(request) = state.pending.get_mut(at).and_then(Option::take) {
                    let _reply = state.execute(self, request);
                }
            }
            Event::Create => {
                state.budget.creates -= 1;
                *state.volume_mut(1) = Self::fresh_volume();
            }
            Event::Administrator => {
                state.budget.foreigners -= 1;
                if let Some(volume) = state.named() {
                    state.volume_mut(volume).foreign = true;
                }
            }
            other => Self::trouble(state, other),
        }
    }

    /// What happens to a host rather than by it.
    fn trouble(state: &mut State, event: Event) {
        match event {
            Event::GivesUp(host) => {
                state.budget.gives_up -= 1;
                if let Some(operation) = &mut state.host_mut(host).operation {
                    operation.waiting = false;
                }
            }
            Event::Kill(host) => {
                state.budget.crashes -= 1;
                state.end(host);
            }
            Event::PowerOff(host) => {
                state.budget.crashes -= 1;
                state.end(host);
                state.host_mut(host).devices = [None; 2];
                state.host_mut(host).off = true;
            }
            Event::Boot(host) => state.host_mut(host).off = false,
            Event::Hold(host) => {
                state.budget.holds -= 1;
                Self::change_users(state, host, User::Mounted, Some(User::Held));
            }
            Event::LetGo(host) => Self::change_users(state, host, User::Held, None),
            Event::LoseLedger(host) => {
                state.budget.losses -= 1;
                state.host_mut(host).records = [Record::default(); VOLUMES as usize];
                state.host_mut(host).intends = [false; VOLUMES as usize];
            }
            _ => {}
        }
    }

    fn change_users(state: &mut State, host: u8, from: User, to: Option<User>) {
        for slot in &mut state.host_mut(host).devices {
            if let Some(device) = slot.filter(|one| one.user == from) {
                *slot = to.map(|user| Device { user, ..device });
            }
        }
    }
}

impl Model for Fence {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        vec![self.start()]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        if state.broken != 0 {
            return;
        }
        for host in 0..self.bounds.hosts {
            self.events_of(state, host, events);
        }
        for (at, request) in state.pending.iter().enumerate() {
            if request.is_some() {
                events.push(Event::Arrives(at));
            }
        }
        let removed =
            state.volume(0).place == Place::Destroyed && state.volume(1).place == Place::Absent;
        if removed && state.budget.creates > 0 {
            events.push(Event::Create);
        }
        if Self::administrator_may(state) {
            events.push(Event::Administrator);
        }
    }

    fn next_state(&self, last: &State, event: Event) -> Option<State> {
        let mut state = *last;
        self.apply(&mut state, event);
        self.look(&mut state);
        if self.bounds.converges && !self.comes_to_an_end(&state) {
            state.breaks(Violation::Stuck);
        }
        let state = state.canonical(if self.bounds.cloned {
            0
        } else {
            self.bounds.hosts
        });
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        Violation::ALL
            .into_iter()
            .map(|violation| Property {
                expectation: stateright::Expectation::Always,
                name: violation.name(),
                condition: condition(violation),
            })
            .collect()
    }
}

/// The checker takes plain functions, so each violation has one.
fn condition(violation: Violation) -> fn(&Fence, &State) -> bool {
    macro_rules! never {
        ($violation:ident) => {
            |_, state| state.broken & Violation::$violation.bit() == 0
        };
    }
    match violation {
        Violation::TwoGrants => never!(TwoGrants),
        Violation::StaleWriter => never!(StaleWriter),
        Violation::FormattedTwice => never!(FormattedTwice),
        Violation::DestroyedInUse => never!(DestroyedInUse),
        Violation::FenceWithoutRight => never!(FenceWithoutRight),
        Violation::ForeignCut => never!(ForeignCut),
        Violation::UnprovenGrant => never!(UnprovenGrant),
        Violation::SharedNonce => never!(SharedNonce),
        Violation::CutUnderOwnMount => never!(CutUnderOwnMount),
        Violation::TwoConnected => never!(TwoConnected),
        Violation::RightMountTakenDown => never!(RightMountTakenDown),
        Violation::Stuck => never!(Stuck),
    }
}
