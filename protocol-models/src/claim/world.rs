//! What the arrays have of one name, and what a request does when one executes it.

use super::creator::Creator;
use super::others::{Changer, Deleter, Sweeper};
use super::rules::{SafetyStep, Setup};

/// Arrays of every run.
pub const ARRAYS: usize = 3;
/// Nodes of every run; those that a run does not need stay out of it.
pub const CREATORS: usize = 3;
/// Attempts of one node.
pub const TRIES: u8 = 2;
/// Attempts in all, with those of the lone creator that every state is tried with.
pub const ATTEMPTS: usize = 9;
/// The first attempt of the lone creator.
pub(super) const LONE: u8 = 6;
/// Requests under way that nobody waits for any more.
pub const LATE: usize = 3;

/// An array.
pub type ArrayIndex = u8;
/// An attempt to take the name.
pub type Nonce = u8;

/// A volume's own id: which attempt made it, and the how many-th of that attempt it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Object(pub u8);

impl Object {
    /// The volume that is adopted.
    pub const ADOPTED: Self = Self(30);
    /// The volume that was there before any claim.
    pub const INHERITED: Self = Self(31);
    /// Volumes that one attempt can make.
    const GENERATIONS: u8 = 3;

    pub(super) const fn of(nonce: Nonce, generation: u8) -> Self {
        Self(nonce * Self::GENERATIONS + generation)
    }

    /// The attempt that made it, and the how many-th of it this is.
    pub(super) const fn maker(self) -> Option<(Nonce, u8)> {
        if self.0 >= Self::ADOPTED.0 {
            return None;
        }
        Some((self.0 / Self::GENERATIONS, self.0 % Self::GENERATIONS))
    }

    pub(super) const fn bit(self) -> u32 {
        1 << self.0
    }
}

/// An array's vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Marker {
    /// For whom.
    pub nonce: Nonce,
    /// In which half day it was made.
    pub born: u8,
}

/// One array, as far as the name goes; what waits there is with the attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Array {
    /// The volume under the name.
    pub volume: Option<Object>,
    /// The volume that a delete renamed aside.
    pub aside: Option<Object>,
    /// The vote.
    pub marker: Option<Marker>,
    /// The volume that may be adopted, under its old name.
    pub source: bool,
    /// The epoch of its fleet record.
    pub epoch: u8,
}

/// One attempt, as its array has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Attempt {
    /// Where its volume waits; `None` for one that was never begun.
    pub array: Option<ArrayIndex>,
    /// What waits.
    pub waiting: Option<Object>,
    /// What waits was made to be destroyed.
    pub stopper: bool,
    /// A destroyed object has the waiting name.
    pub spent: bool,
    /// Volumes made under it so far.
    made: u8,
    /// In which half day the last one was made.
    pub born: u8,
}

/// What changes something on an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Request {
    /// C1: make a volume under the attempt's waiting name.
    Propose(Nonce),
    /// Kill: make something under the waiting name, to be destroyed.
    Stop(Nonce),
    /// C1: rename the volume that is adopted to the waiting name.
    Adopt(Nonce),
    /// C2.
    Vote(ArrayIndex, Nonce),
    /// C3 by the waiting name.
    Commit(Nonce),
    /// C3 by id, as it must not be.
    CommitObject(ArrayIndex, Object),
    /// By the waiting name.
    Withdraw(Nonce),
    /// By id, as it must not be.
    WithdrawObject(ArrayIndex, Object),
    /// By the marker's id, which is what it votes for and when it was made.
    Retire(ArrayIndex, Marker),
    /// By the marker's name, as it must not be.
    RetireNamed(ArrayIndex),
    /// D1 by id.
    SetAside(ArrayIndex, Object),
    /// D1 by name, as it must not be.
    SetAsideNamed(ArrayIndex, Object),
    /// D3 by the name aside.
    Destroy(ArrayIndex, Object),
    /// D3 by id, as it must not be.
    DestroyObject(ArrayIndex, Object),
    /// D2 saw somebody connected.
    GiveBack(ArrayIndex, Object),
}

/// What the array answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done, or it was so before.
    Done,
    /// There is nothing to do it to.
    Nothing,
    /// The name is held by something destroyed.
    Refused,
    /// The volume has the name now.
    Named(Object),
    /// The vote that is there now.
    Voted(Marker),
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// Executed and answered.
    Fine,
    /// Executed; the answer is lost.
    Unheard,
    /// No answer; executed at any later time, or never.
    Late,
    /// Executed and answered; executed once more at any later time.
    Twice,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct State {
    /// The arrays.
    pub arrays: [Array; ARRAYS],
    /// All attempts.
    pub attempts: [Attempt; ATTEMPTS],
    /// The nodes that create the name.
    pub creators: [Creator; CREATORS],
    /// Requests that nobody waits for any more, sorted.
    pub late: [Option<Request>; LATE],
    /// Who removes the volume.
    pub deleter: Deleter,
    /// Who sweeps.
    pub sweeper: Sweeper,
    /// Who changes the membership.
    pub changer: Changer,
    /// The half day that it is.
    pub now: u8,
    /// The array that fell silent.
    pub fallen: Option<ArrayIndex>,
    /// Volumes that some caller was told of.
    pub acknowledged: u32,
    /// Volumes whose removal was begun on purpose.
    pub removed: u32,
    /// What is left of the bounds.
    pub left: Left,
}

/// What is left of the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Left {
    /// See [`Setup::faults`].
    pub faults: u8,
    /// See [`Setup::crashes`].
    pub crashes: u8,
    /// See [`Setup::deletes`].
    pub deletes: u8,
    /// See [`Setup::slow`].
    pub slow: u8,
}

impl State {
    pub(super) fn array(&self, array: ArrayIndex) -> &Array {
        &self.arrays[usize::from(array)]
    }

    pub(super) fn array_mut(&mut self, array: ArrayIndex) -> &mut Array {
        &mut self.arrays[usize::from(array)]
    }

    pub(super) fn attempt(&self, nonce: Nonce) -> &Attempt {
        &self.attempts[usize::from(nonce)]
    }

    pub(super) fn attempt_mut(&mut self, nonce: Nonce) -> &mut Attempt {
        &mut self.attempts[usize::from(nonce)]
    }

    /// What waits on an array, whatever the attempt.
    pub(super) fn waits_on(&self, array: ArrayIndex) -> bool {
        self.attempts
            .iter()
            .any(|one| one.array == Some(array) && one.waiting.is_some())
    }

    /// Volumes that somebody was told of and nobody removed.
    pub(super) const fn promised(&self) -> u32 {
        self.acknowledged & !self.removed
    }

    /// Sends a request. `None`: no answer.
    pub(super) fn send(&mut self, setup: &Setup, request: Request, fate: Fate) -> Option<Reply> {
        if fate != Fate::Fine {
            self.left.faults -= 1;
        }
        match fate {
            Fate::Fine => Some(self.execute(setup, request)),
            Fate::Unheard => {
                self.execute(setup, request);
                None
            }
            Fate::Late => {
                self.leave_late(request);
                None
            }
            Fate::Twice => {
                let reply = self.execute(setup, request);
                self.leave_late(request);
                Some(reply)
            }
        }
    }

    /// Whether a fault may happen now.
    pub(super) fn fault_possible(&self) -> bool {
        self.left.faults > 0 && self.late.iter().any(Option::is_none)
    }

    fn leave_late(&mut self, request: Request) {
        if let Some(free) = self.late.iter_mut().find(|one| one.is_none()) {
            *free = Some(request);
        }
        self.late.sort_unstable();
    }

    /// Executes what is late.
    pub(super) fn deliver(&mut self, setup: &Setup, request: Request) {
        if let Some(found) = self.late.iter_mut().find(|one| **one == Some(request)) {
            *found = None;
        }
        self.late.sort_unstable();
        self.execute(setup, request);
    }

    fn execute(&mut self, setup: &Setup, request: Request) -> Reply {
        match request {
            Request::Propose(nonce) => self.propose(nonce, false),
            Request::Stop(nonce) => self.propose(nonce, true),
            Request::Adopt(nonce) => self.adopt(nonce),
            Request::Vote(array, nonce) => {
                let born = self.now;
                let slot = &mut self.array_mut(array).marker;
                Reply::Voted(*slot.get_or_insert(Marker { nonce, born }))
            }
            Request::Commit(nonce) => self.commit(nonce),
            Request::CommitObject(array, object) => self.commit_object(array, object),
            Request::Withdraw(nonce) => self.withdraw(setup, nonce),
            Request::WithdrawObject(array, object) => self.destroy_object(array, object),
            Request::Retire(array, marker) => {
                let slot = &mut self.array_mut(array).marker;
                take_if(slot, &marker)
            }
            Request::RetireNamed(array) => {
                self.array_mut(array).marker = None;
                Reply::Done
            }
            Request::SetAside(array, object) => self.set_aside(array, object),
            Request::SetAsideNamed(array, meant) => {
                let Some(object) = self.array(array).volume else {
                    return Reply::Nothing;
                };
                self.removed |= meant.bit();
                self.set_aside_unasked(array, object)
            }
            Request::Destroy(array, object) => take_if(&mut self.array_mut(array).aside, &object),
            Request::DestroyObject(array, object) => self.destroy_object(array, object),
            Request::GiveBack(array, object) => self.give_back(array, object),
        }
    }

    fn propose(&mut self, nonce: Nonce, stopper: bool) -> Reply {
        let now = self.now;
        let attempt = self.attempt_mut(nonce);
        if attempt.waiting.is_some() {
            return Reply::Done;
        }
        if attempt.spent || attempt.made == Object::GENERATIONS {
            return Reply::Refused;
        }
        attempt.waiting = Some(Object::of(nonce, attempt.made));
        attempt.stopper = stopper;
        attempt.made += 1;
        attempt.born = now;
        Reply::Done
    }

    fn adopt(&mut self, nonce: Nonce) -> Reply {
        let now = self.now;
        let Some(array) = self.attempt(nonce).array else {
            return Reply::Nothing;
        };
        let array = self.array_mut(array);
        if !std::mem::take(&mut array.source) {
            return Reply::Nothing;
        }
        let attempt = self.attempt_mut(nonce);
        attempt.waiting = Some(Object::ADOPTED);
        attempt.born = now;
        Reply::Done
    }

    fn commit(&mut self, nonce: Nonce) -> Reply {
        let attempt = *self.attempt(nonce);
        let (Some(array), Some(object)) = (attempt.array, attempt.waiting) else {
            return Reply::Nothing;
        };
        if self.array(array).volume.is_some() {
            return Reply::Nothing;
        }
        self.array_mut(array).volume = Some(object);
        let attempt = self.attempt_mut(nonce);
        attempt.waiting = None;
        attempt.stopper = false;
        Reply::Named(object)
    }

    fn commit_object(&mut self, array: ArrayIndex, object: Object) -> Reply {
        if self.array(array).volume.is_some() || !self.lift(array, object) {
            return Reply::Nothing;
        }
        self.array_mut(array).volume = Some(object);
        Reply::Named(object)
    }

    /// Takes a volume out of whatever name it has; false when it has none.
    fn lift(&mut self, array: ArrayIndex, object: Object) -> bool {
        let here = self.array_mut(array);
        let named = here.volume == Some(object);
        let aside = here.aside == Some(object);
        let source = object == Object::ADOPTED && here.source;
        here.volume = here.volume.filter(|one| *one != object);
        here.aside = here.aside.filter(|one| *one != object);
        here.source &= object != Object::ADOPTED;
        let waiting = self
            .attempts
            .iter_mut()
            .find(|one| one.array == Some(array) && one.waiting == Some(object));
        let waited = waiting.map(|one| one.waiting = None).is_some();
        named || aside || source || waited
    }

    fn withdraw(&mut self, setup: &Setup, nonce: Nonce) -> Reply {
        let spares = setup.keeps(SafetyStep::WithdrawSparesAdopted);
        let attempt = self.attempt_mut(nonce);
        let (Some(array), Some(object)) = (attempt.array, attempt.waiting.take()) else {
            return Reply::Nothing;
        };
        attempt.stopper = false;
        if object == Object::ADOPTED && spares {
            self.array_mut(array).source = true;
        } else {
            attempt.spent = true;
        }
        Reply::Done
    }

    fn destroy_object(&mut self, array: ArrayIndex, object: Object) -> Reply {
        if self.lift(array, object) {
            Reply::Done
        } else {
            Reply::Nothing
        }
    }

    fn set_aside(&mut self, array: ArrayIndex, object: Object) -> Reply {
        if self.array(array).volume != Some(object) {
            return Reply::Nothing;
        }
        self.removed |= object.bit();
        self.set_aside_unasked(array, object)
    }

    fn set_aside_unasked(&mut self, array: ArrayIndex, object: Object) -> Reply {
        let here = self.array_mut(array);
        here.volume = None;
        here.aside = Some(object);
        Reply::Done
    }

    fn give_back(&mut self, array: ArrayIndex, object: Object) -> Reply {
        let here = self.array_mut(array);
        if here.volume.is_some() || here.aside != Some(object) {
            return Reply::Nothing;
        }
        here.aside = None;
        here.volume = Some(object);
        self.removed &= !object.bit();
        Reply::Done
    }
}

/// Empties a slot that holds exactly this.
fn take_if<T: PartialEq>(slot: &mut Option<T>, this: &T) -> Reply {
    if slot.as_ref() == Some(this) {
        *slot = None;
        Reply::Done
    } else {
        Reply::Nothing
    }
}
