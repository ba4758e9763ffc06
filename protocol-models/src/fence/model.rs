//! The model as the checker takes it: states, events, and what must hold.

use stateright::{Model, Property};

use super::events::Event;
use super::rules::{Bounds, Mutant, Violation};
use super::state::{Place, State};

/// The fence, whole or with one step left out.
#[derive(Clone, Copy, Debug)]
pub struct Fence {
    /// What a run looks at.
    pub bounds: Bounds,
    /// What is left out.
    pub mutant: Option<Mutant>,
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
