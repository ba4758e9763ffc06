//! What comes of an event.

use super::array::Fate;
use super::events::Event;
use super::model::Fence;
use super::state::{Caller, Device, Operation, Record, State, Step, User, VOLUMES};

impl Fence {
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
