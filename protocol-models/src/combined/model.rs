//! The two models as one.

use stateright::{Model, Property};

use crate::fence::state::{Place, State as FenceState};
use crate::fence::{Event as FenceEvent, Fence};

use super::claim::{Creator, Stage};

/// Nodes that create: each has a volume to propose.
const CREATORS: u8 = 2;

/// The property of the claim: see [`Combined`].
pub const ONE_NAME: &str = "one volume a name";

/// A step at the seam that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// C0: what is being removed counts as absent.
    AsideIsBusy,
    /// Resolve: what is being removed counts as dead.
    AsideIsNotDead,
    /// C2: whoever votes has won.
    Vote,
    /// C3: acknowledged before.
    AcknowledgeAfterCommit,
}

/// Claim and fence. [`ONE_NAME`]: no two volumes have the name at once, and none appears beside
/// one that a caller was told of and that is not destroyed.
#[derive(Clone, Copy, Debug)]
pub struct Combined {
    /// The fence, with its bounds; its first volume is not there yet.
    pub fence: Fence,
    /// How often each node is asked to create.
    pub calls: u8,
    /// How many of them may die.
    pub deaths: u8,
    /// How many commits may come late.
    pub late: u8,
    /// What is left out.
    pub missing: Option<Missing>,
}

/// Both states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The fence's.
    pub fence: FenceState,
    /// Who creates.
    pub creators: [Creator; CREATORS as usize],
    /// Whose marker is on the claim array.
    pub marker: Option<u8>,
    /// A commit that may be executed at any time.
    pub under_way: Option<u8>,
    /// Volumes that a caller was told of.
    pub acknowledged: u8,
    /// Deaths that may still be.
    pub deaths: u8,
    /// Requests that may still be late.
    pub late: u8,
    /// Two volumes had the name.
    pub broken: bool,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Of the fence.
    Fence(FenceEvent),
    /// A caller asks a node to create the name.
    Create(u8),
    /// That node takes its next step.
    Step(u8),
    /// Its commit gets no answer, and may be executed later.
    Late(u8),
    /// It is executed.
    Arrives,
    /// The node dies.
    Dies(u8),
    /// The sweeper takes a marker away that is a day old: no create that saw it goes on.
    Sweep,
}

impl Combined {
    fn apply(&self, state: &mut State, event: Event) -> Option<()> {
        match event {
            Event::Fence(event) => state.fence = self.fence.next_state(&state.fence, event)?,
            Event::Create(who) => {
                let creator = &mut state.creators[usize::from(who)];
                creator.calls -= 1;
                creator.stage = Stage::C0;
            }
            Event::Step(who) => self.create(state, who),
            Event::Late(who) => {
                state.late -= 1;
                state.under_way = Some(committed(who, state.creators[usize::from(who)].stage)?);
                state.creators[usize::from(who)].stage = Stage::Idle;
            }
            Event::Arrives => {
                let whose = state.under_way.take()?;
                self.commit(state, whose);
            }
            Event::Dies(who) => {
                state.deaths -= 1;
                state.creators[usize::from(who)].stage = Stage::Idle;
            }
            Event::Sweep => state.marker = None,
        }
        Some(())
    }
}

/// Whose volume a stage commits.
const fn committed(who: u8, stage: Stage) -> Option<u8> {
    match stage {
        Stage::C3 => Some(who),
        Stage::Help(other) => Some(other),
        _ => None,
    }
}

fn two_volumes(state: &State) -> bool {
    let [first, second] = &state.fence.volumes;
    let named = |place: Place| place == Place::Named;
    let told = |at: u8, place: Place| {
        state.acknowledged & (1 << at) != 0
            && matches!(place, Place::Named | Place::Trash(_) | Place::Absent)
    };
    (named(first.place) && (named(second.place) || told(1, second.place)))
        || (named(second.place) && told(0, first.place))
}

impl Model for Combined {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        let mut fence = self.fence.start();
        fence.volumes[0] = crate::fence::state::Volume::default();
        let creator = Creator {
            calls: self.calls,
            ..Creator::default()
        };
        vec![State {
            fence,
            creators: [creator; CREATORS as usize],
            marker: None,
            under_way: None,
            acknowledged: 0,
            deaths: self.deaths,
            late: self.late,
            broken: false,
        }]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        if state.broken || state.fence.broken != 0 {
            return;
        }
        let mut of_fence = Vec::new();
        self.fence.actions(&state.fence, &mut of_fence);
        events.extend(of_fence.into_iter().map(Event::Fence));
        for (who, creator) in (0..CREATORS).zip(state.creators) {
            if creator.stage == Stage::Idle {
                if creator.calls > 0 {
                    events.push(Event::Create(who));
                }
                continue;
            }
            events.push(Event::Step(who));
            if state.deaths > 0 {
                events.push(Event::Dies(who));
            }
            if state.late > 0
                && state.under_way.is_none()
                && committed(who, creator.stage).is_some()
            {
                events.push(Event::Late(who));
            }
        }
        if state.under_way.is_some() {
            events.push(Event::Arrives);
        }
        let at_rest = state.creators.iter().all(|one| one.stage == Stage::Idle);
        if state.marker.is_some() && at_rest && state.under_way.is_none() {
            events.push(Event::Sweep);
        }
    }

    fn next_state(&self, last: &State, event: Event) -> Option<State> {
        let mut state = *last;
        self.apply(&mut state, event)?;
        state.broken |= two_volumes(&state);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always("no violation of the fence", |_, state| {
                state.fence.broken == 0
            }),
            Property::<Self>::always(ONE_NAME, |_, state| !state.broken),
            Property::<Self>::sometimes("a name is made anew and mounted", |_, state| {
                let [first, second] = &state.fence.volumes;
                (first.place == Place::Destroyed && second.latest != 0)
                    || (second.place == Place::Destroyed && first.latest != 0)
            }),
        ]
    }
}
