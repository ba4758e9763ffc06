//! The model as the checker sees it: its first states, its steps, and what always holds.

use stateright::{Model, Property as Checked};

use super::canonical::canonical;
use super::creator::{Creator, Phase, Step, Who};
use super::others::{self, Changer, Deleter, Other, Sweeper};
use super::rules::Setup;
use super::votes::Listing;
use super::world::{
    ARRAYS, ATTEMPTS, Array, ArrayIndex, Attempt, Fate, LATE, Left, Marker, Object, Request, State,
};

/// The claim, within the bounds of one setup.
#[derive(Clone, Debug)]
pub struct Claim(pub Setup);

/// One step of anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A node that creates the name.
    Node(u8, Step, Fate),
    /// Such a node dies and is started again.
    Dies(u8),
    /// Anybody else.
    Other(Other, Fate),
    /// A request that nobody waits for is executed.
    Arrives(Request),
    /// Half a day passes: every claim under way is older than 60 s, and what was late is lost.
    HalfDay,
    /// An array falls silent for everybody.
    Falls(ArrayIndex),
}

/// What always holds.
pub struct Property;

impl Property {
    /// At most one volume has the name.
    pub const ONE_VOLUME: &str = "one name, one volume";
    /// What callers were told is there, unless it was removed on purpose.
    pub const KEPT: &str = "what was acknowledged is there";
    /// A volume that is adopted is never destroyed.
    pub const ADOPTED: &str = "an adopted volume is never lost";
    /// From every state, a create that is alone, with all arrays answering, gets its volume.
    pub const CONVERGES: &str = "a repeated create gets its volume";
    /// The same with any one array silent, unless the name is contested there.
    pub const CONVERGES_WITHOUT_ONE: &str =
        "a repeated create gets its volume with one array silent";
}

impl std::fmt::Debug for Property {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Property")
    }
}

impl Setup {
    /// Where the volume is that some run adopts: on the last array.
    #[expect(clippy::unused_self, reason = "belongs to the run")]
    pub(super) const fn source(&self) -> ArrayIndex {
        2
    }
}

impl Claim {
    fn who(&self, node: u8) -> Who<'_> {
        Who {
            setup: &self.0,
            node,
            lone: false,
        }
    }

    /// The state before anything happens.
    #[must_use]
    pub fn first(&self) -> State {
        let setup = &self.0;
        let mut state = State {
            arrays: [Array::default(); ARRAYS],
            attempts: [Attempt::default(); ATTEMPTS],
            creators: [Creator {
                rounds: setup.rounds,
                ..Creator::default()
            }; super::CREATORS],
            late: [None; LATE],
            deleter: Deleter::Idle,
            sweeper: Sweeper::Idle,
            changer: Changer::Idle,
            now: 0,
            fallen: None,
            acknowledged: 0,
            removed: 0,
            left: Left {
                faults: setup.faults,
                crashes: setup.crashes,
                deletes: setup.deletes,
                slow: setup.slow,
            },
        };
        if let Some(array) = setup.inherited {
            state.array_mut(array).volume = Some(Object::INHERITED);
            state.acknowledged = Object::INHERITED.bit();
        }
        if setup.adopts != 0 {
            state.array_mut(setup.source()).source = true;
        }
        if setup.remains {
            leave_remains(&mut state);
        }
        state
    }

    /// Whether a create that is alone from here on, with every array answering, gets its volume.
    #[must_use]
    pub fn converges(&self, state: &State) -> bool {
        let mut state = self.afterwards(state);
        self.creates_alone(&mut state)
    }

    /// Whether a create that is alone from here on, with any one array silent that it has listed,
    /// gets its volume; unless the name is on that array, or an attempt whose volume would be.
    #[must_use]
    pub fn converges_without_one(&self, state: &State) -> bool {
        let after = self.afterwards(state);
        let fleet = self.0.fleet(after.creators[0].epoch);
        (0..3_u8).all(|silent| {
            let is_member = fleet.members & (1 << silent) != 0;
            let all_votes = fleet.claim_arrays == [silent];
            let contested = after.array(silent).volume.is_some()
                || after.waits_on(silent)
                || after.arrays.iter().any(|one| {
                    let nonce = one.marker.map(|marker| marker.nonce);
                    nonce.is_some_and(|nonce| after.attempt(nonce).array == Some(silent))
                });
            if !is_member || all_votes || contested {
                return true;
            }
            let mut state = after.clone();
            state.fallen = Some(silent);
            state.creators[0].listing = Some(Listing {
                begun: state.now,
                epoch: state.creators[0].epoch,
                clean: true,
            });
            self.creates_alone(&mut state)
        })
    }

    /// When everything is over but the left-overs: deletes and changes under way are finished.
    fn afterwards(&self, state: &State) -> State {
        let mut state = state.clone();
        state.fallen = None;
        for array in &mut state.arrays {
            array.aside = None;
        }
        let begun = state.arrays.iter().any(|array| array.epoch > 0);
        let last = self.0.fleets.len().try_into().unwrap_or(1_u8) - 1;
        let epoch = if begun { last } else { 0 };
        for array in &mut state.arrays {
            array.epoch = epoch;
        }
        state.creators[0] = Creator {
            rounds: 6,
            epoch,
            ..Creator::default()
        };
        state
    }

    fn creates_alone(&self, state: &mut State) -> bool {
        let who = Who {
            lone: true,
            ..self.who(0)
        };
        let mut steps = Vec::new();
        for _ in 0..80 {
            if let Phase::Done(volume) = state.creators[0].phase {
                return state.arrays.iter().any(|one| one.volume == Some(volume));
            }
            steps.clear();
            who.steps(state, &mut steps);
            let Some(step) = steps.first() else {
                return false;
            };
            who.take(state, *step, Fate::Fine);
        }
        false
    }
}

/// The fates that a request may have. The rename of an adoption is not executed a second time after
/// it was given up: the page says so, and what that would break.
fn with_fates(
    state: &State,
    request: Request,
    actions: &mut Vec<Action>,
    make: impl Fn(Fate) -> Action,
) {
    actions.push(make(Fate::Fine));
    if state.fault_possible() {
        actions.extend([Fate::Unheard, Fate::Late].map(&make));
        if !matches!(request, Request::Adopt(_)) {
            actions.push(make(Fate::Twice));
        }
    }
}

/// Two dead claims: n = 4 has the votes of arrays 1 and 2's former round, and somebody who found
/// them dead retires their markers, late.
fn leave_remains(state: &mut State) {
    for (array, nonce) in [(1, 4), (2, 5)] {
        let attempt: &mut Attempt = state.attempt_mut(nonce);
        attempt.array = Some(0);
        attempt.spent = true;
        state.array_mut(array).marker = Some(Marker { nonce, born: 0 });
    }
    state.late = [
        Some(Request::Retire(1, Marker { nonce: 4, born: 0 })),
        Some(Request::Retire(2, Marker { nonce: 5, born: 0 })),
        None,
    ];
    state.late.sort_unstable();
}

impl Model for Claim {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.first()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let mut steps = Vec::new();
        for node in 0..self.0.creators {
            let who = self.who(node);
            steps.clear();
            who.steps(state, &mut steps);
            for step in &steps {
                let reached = who
                    .asks(state, *step)
                    .is_some_and(|array| who.reaches(state, array));
                if let Some(request) = who.request(state, *step).filter(|_| reached) {
                    with_fates(state, request, actions, |fate| {
                        Action::Node(node, *step, fate)
                    });
                } else {
                    actions.push(Action::Node(node, *step, Fate::Fine));
                }
            }
            let idle = matches!(
                state.creators[usize::from(node)].phase,
                Phase::Idle | Phase::Done(_) | Phase::Failed
            );
            if state.left.crashes > 0 && !idle {
                actions.push(Action::Dies(node));
            }
        }
        let mut others = Vec::new();
        others::steps(&self.0, state, &mut others);
        for step in others {
            if let Some(request) = others::request(&self.0, state, step) {
                with_fates(state, request, actions, |fate| Action::Other(step, fate));
            } else {
                actions.push(Action::Other(step, Fate::Fine));
            }
        }
        let mut last = None;
        for request in state.late.iter().flatten() {
            if last != Some(request) {
                actions.push(Action::Arrives(*request));
            }
            last = Some(request);
        }
        if state.now < self.0.half_days {
            actions.push(Action::HalfDay);
        }
        if let Some(array) = self.0.may_fall.filter(|_| state.fallen.is_none()) {
            actions.push(Action::Falls(array));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Node(node, step, fate) => self.who(node).take(&mut state, step, fate),
            Action::Dies(node) => {
                state.left.crashes -= 1;
                let creator = &mut state.creators[usize::from(node)];
                *creator = Creator {
                    tries: creator.tries,
                    rounds: creator.rounds.max(1),
                    ..Creator::default()
                };
            }
            Action::Other(step, fate) => others::take(&self.0, &mut state, step, fate),
            Action::Arrives(request) => state.deliver(&self.0, request),
            Action::HalfDay => {
                state.now += 1;
                state.late = [None; LATE];
            }
            Action::Falls(array) => state.fallen = Some(array),
        }
        (state != *last).then(|| canonical(&self.0, state))
    }

    fn properties(&self) -> Vec<Checked<Self>> {
        vec![
            Checked::always(Property::ONE_VOLUME, |_, state: &State| {
                let named = state.arrays.iter().filter(|one| one.volume.is_some());
                named.count() <= 1 && state.promised().count_ones() <= 1
            }),
            Checked::always(Property::KEPT, |_, state: &State| {
                let named = state.arrays.iter().filter_map(|one| one.volume);
                let there = named.fold(0, |all, one| all | one.bit());
                state.promised() & !there == 0
            }),
            Checked::always(Property::ADOPTED, |claim: &Self, state: &State| {
                claim.0.adopts == 0 || state.removed & Object::ADOPTED.bit() != 0 || {
                    let named = |one: &Array| one.source || one.volume == Some(Object::ADOPTED);
                    let waits = |one: &Attempt| one.waiting == Some(Object::ADOPTED);
                    state.arrays.iter().any(named) || state.attempts.iter().any(waits)
                }
            }),
            Checked::always(Property::CONVERGES, |claim: &Self, state: &State| {
                !claim.0.converges || claim.converges(state)
            }),
            Checked::always(
                Property::CONVERGES_WITHOUT_ONE,
                |claim: &Self, state: &State| {
                    !claim.0.converges || claim.converges_without_one(state)
                },
            ),
        ]
    }
}
