//! A host lets go: detach, unpublish, the read that shows it gone; and what was fenced is healed.

use super::array::{Fate, Reply};
use super::model::Fence;
use super::rules::{Mutant, Violation};
use super::state::{Content, Intent, Operation, Record, Request, State, Step, User};

impl Fence {
    pub(super) fn first_of_unmount(&self) -> Step {
        if self.without(Mutant::UnpublishFirst) {
            Step::Unpublish
        } else {
            Step::Detach
        }
    }

    pub(super) fn detach(&self, state: &mut State, host: u8, mut operation: Operation) {
        if state.take_down(host, operation.volume).is_err() {
            return state.end(host);
        }
        operation.step = if self.without(Mutant::UnpublishFirst) {
            Step::ReadBack
        } else {
            Step::Unpublish
        };
        state.go_on(host, operation);
    }

    pub(super) fn unpublish(
        &self,
        state: &mut State,
        host: u8,
        mut operation: Operation,
        fate: Fate,
    ) {
        let volume = operation.volume;
        for device in state.host(host).devices.into_iter().flatten() {
            let used = device.user != User::Nobody && device.nonce == state.volume(volume).latest;
            if used && self.reached(state, host, device) == Some(volume) {
                state.breaks(Violation::CutUnderOwnMount);
            }
        }
        // In doubt: its POST may have met what has the name now.
        let doubt = state.record(host, volume).intent == Intent::Nothing;
        let other = self.bearer(state, volume).unwrap_or(volume);
        let attached = state.record(host, other).intent != Intent::Nothing;
        let named = doubt && !attached && !self.without(Mutant::DoubtByIdOnly);
        let request = Request::Disconnect {
            host,
            volume,
            named,
        };
        // Looked at again as long as the POST may come; the agent knows that by the time gone by.
        operation.posted = state.may_be_connected(host);
        if state.send(self, request, fate) == Reply::Lost {
            return state.end(host);
        }
        operation.step = if state.record(host, volume).intent == Intent::Attach {
            Step::Detach
        } else {
            Step::ReadBack
        };
        state.go_on(host, operation);
    }

    /// Seen gone: the ledger forgets.
    pub(super) fn read_back(&self, state: &mut State, host: u8, operation: Operation, fate: Fate) {
        let volume = operation.volume;
        if fate == Fate::Fine && self.own(state, host, volume) == 0 {
            let began = state.record(host, volume).began
                && state.volume(volume).content == Content::Half(host);
            *state.record(host, volume) = Record {
                began,
                ..Record::default()
            };
            if !operation.posted {
                state.host_mut(host).intends[usize::from(volume)] = false;
            }
        }
        state.end(host);
    }

    /// What is certainly fenced is taken down, where nothing holds it.
    pub(super) fn heals(&self, state: &State, host: u8) -> Option<u8> {
        let own = state.host(host);
        own.devices.into_iter().flatten().find_map(|device| {
            let known = own.records[usize::from(device.volume)].intent == Intent::Attach;
            let free = matches!(device.user, User::Nobody | User::Mounted);
            let wrong = self.reached(state, host, device) != Some(device.volume);
            (known && free && wrong).then_some(device.volume)
        })
    }

    pub(super) fn heal(&self, state: &mut State, host: u8) {
        if let Some(volume) = self.heals(state, host) {
            let _held = state.take_down(host, volume);
        }
    }

    /// mkfs that outlived its agent comes to its end.
    pub(super) fn child_ends(&self, state: &mut State, host: u8) {
        let devices = state.host(host).devices.into_iter().flatten();
        for device in devices.filter(|one| one.user == User::Mkfs) {
            if let Some(volume) = self.reached(state, host, device) {
                state.volume_mut(volume).content = Content::Formatted;
            }
            state.set_user(host, device, User::Nobody);
        }
    }
}
