//! D1 to D3: rename aside, look, destroy; and the name that comes back.

use super::array::{Fate, Reply};
use super::model::Fence;
use super::rules::Mutant;
use super::state::{Operation, Place, Request, State, Step, VOLUMES};

impl Fence {
    /// A remove begins with what has the name, or was renamed aside before.
    pub(super) fn begin_delete(state: &State) -> Option<Operation> {
        if let Some(volume) = state.named() {
            return Some(Operation::new(Step::D1, volume));
        }
        (0..VOLUMES).find_map(|volume| match state.volume(volume).place {
            Place::Trash(trash) => Some(Operation {
                trash,
                ..Operation::new(Step::D2, volume)
            }),
            Place::Absent | Place::Named | Place::Destroyed => None,
        })
    }

    pub(super) fn d1(&self, state: &mut State, host: u8, mut operation: Operation, fate: Fate) {
        operation.trash = self.new_trash(state);
        let request = Request::Aside {
            volume: operation.volume,
            trash: operation.trash,
        };
        operation.step = match state.send(self, request, fate) {
            Reply::Done => Step::D2,
            Reply::Refused => return state.end(host),
            Reply::Lost if self.without(Mutant::AsideResent) => {
                let _again = state.execute(self, request);
                Step::D2
            }
            Reply::Lost => Step::D1Read,
        };
        state.go_on(host, operation);
    }

    pub(super) fn d1_read(state: &mut State, host: u8, mut operation: Operation) {
        match state.volume(operation.volume).place {
            Place::Trash(trash) => {
                operation.trash = trash;
                operation.step = Step::D2;
            }
            Place::Named => operation.step = Step::D1,
            Place::Absent | Place::Destroyed => return state.end(host),
        }
        state.go_on(host, operation);
    }

    pub(super) fn d2(&self, state: &mut State, host: u8, mut operation: Operation, fate: Fate) {
        if fate == Fate::Lost {
            return state.end(host);
        }
        let volume = state.volume(operation.volume);
        let users = volume.foreign || volume.connections.iter().any(|lun| *lun != 0);
        operation.step = if users && !self.without(Mutant::LookBeforeDestroy) {
            Step::GiveBack
        } else {
            Step::D3
        };
        state.go_on(host, operation);
    }

    pub(super) fn d3(&self, state: &mut State, host: u8, operation: Operation, fate: Fate) {
        let by_id = self.without(Mutant::DestroyById);
        let request = Request::Destroy {
            trash: operation.trash,
            volume: by_id.then_some(operation.volume),
        };
        state.send(self, request, fate);
        state.end(host);
    }

    pub(super) fn give_back(&self, state: &mut State, host: u8, operation: Operation, fate: Fate) {
        state.send(
            self,
            Request::Restore {
                trash: operation.trash,
            },
            fate,
        );
        state.end(host);
    }

    /// A mount takes a half-removed volume back, and looks again.
    pub(super) fn restore(
        &self,
        state: &mut State,
        host: u8,
        mut operation: Operation,
        fate: Fate,
    ) {
        if state.send(
            self,
            Request::Restore {
                trash: operation.trash,
            },
            fate,
        ) == Reply::Lost
        {
            return state.end(host);
        }
        operation.step = Step::Look;
        operation.trash = 0;
        state.go_on(host, operation);
    }

    /// Whether an administrator may connect a host of his to the volume.
    pub(super) fn administrator_may(state: &State) -> bool {
        let free = state.named().is_some_and(|one| !state.volume(one).foreign);
        free && state.budget.foreigners > 0
    }
}
