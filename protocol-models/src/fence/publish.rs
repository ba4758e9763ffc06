//! F1 to F6: the steps of a publish, each one request to the array.

use super::array::{Fate, Reply};
use super::model::Fence;
use super::rules::{Mutant, Violation};
use super::state::{Caller, FOREIGN, Holder, Operation, Request, State, Step};

/// What a publisher reads under the volume's name.
enum Read {
    /// Everybody else who is connected, and this host's own number.
    Connections(u8, u8),
    /// The name is nobody's, or it is certainly another volume's.
    Moved,
}

impl Fence {
    /// The connections of whatever has the name. That it is another volume shows only where there
    /// is a connection to tell it.
    fn by_name(&self, state: &State, host: u8, operation: Operation) -> Read {
        let named = !self.without(Mutant::ConnectById);
        let Some(volume) = self.meant(state, operation.volume, named) else {
            return Read::Moved;
        };
        let others = self.others(state, host, volume);
        let own = self.own(state, host, volume);
        let told = others != 0 || own != 0;
        if volume != operation.volume && told && !self.without(Mutant::IdCheck) {
            return Read::Moved;
        }
        Read::Connections(others, own)
    }

    pub(super) fn f1(&self, state: &mut State, host: u8, mut operation: Operation, fate: Fate) {
        let conflict = self.object(host) != host && !self.without(Mutant::CloneCheck);
        let read = self.by_name(state, host, operation);
        let Read::Connections(others, own) = read else {
            return Self::fail(state, host, operation);
        };
        if conflict || fate == Fate::Lost {
            return Self::fail(state, host, operation);
        }
        let tag = state.volume(operation.volume).holder;
        let tagged = tag.is_some_and(|tag| tag.host == host)
            || (own != 0 && self.without(Mutant::HolderTag));
        if others != 0 {
            return self.f2(state, host, operation, (others, own));
        }
        operation.frozen = operation.frozen.or(Some(0));
        operation.step = Step::F5;
        if own != 0 {
            operation.step = Step::F6;
            if let Some(tag) = tag.filter(|_| tagged) {
                return self.grant_now(state, host, operation, (own, tag.nonce, Step::Attach));
            }
        }
        state.go_on(host, operation);
    }

    /// Others are connected.
    fn f2(&self, state: &mut State, host: u8, mut operation: Operation, (others, own): (u8, u8)) {
        let foreign = others & FOREIGN != 0 && !self.without(Mutant::ForeignCheck);
        let frozen = *operation.frozen.get_or_insert(others);
        let newcomers = others & !frozen != 0 && !self.without(Mutant::FrozenVictims);
        if foreign || newcomers || !self.may_preempt(operation) {
            // A leftover of this host's own would keep the holder's successors out.
            let leftover = own != 0 && !Self::tagged(state, host, operation.volume);
            operation.posted |= leftover && !self.without(Mutant::LeftoverStays);
            return self.refuse(state, host, operation);
        }
        operation.step = Step::F3;
        state.go_on(host, operation);
    }

    fn tagged(state: &State, host: u8, volume: u8) -> bool {
        state
            .volume(volume)
            .holder
            .is_some_and(|tag| tag.host == host)
    }

    /// The right, and the permit.
    fn may_preempt(&self, operation: Operation) -> bool {
        let right = match operation.caller {
            Caller::Preempting => true,
            Caller::Plain => self.without(Mutant::RightCheck),
            Caller::Again => {
                self.without(Mutant::AgainPreempts) || self.without(Mutant::RightCheck)
            }
        };
        right && (operation.waiting || self.without(Mutant::PermitCheck))
    }

    pub(super) fn f3(&self, state: &mut State, host: u8, mut operation: Operation, fate: Fate) {
        if !self.may_preempt(operation) {
            return Self::fail(state, host, operation);
        }
        let frozen = operation.frozen.unwrap_or_default();
        let victims = if self.without(Mutant::FrozenVictims) {
            self.others(state, host, operation.volume)
        } else {
            frozen
        };
        if !operation.waiting || operation.caller != Caller::Preempting || victims & !frozen != 0 {
            state.breaks(Violation::FenceWithoutRight);
        }
        let named = self.without(Mutant::FenceByName);
        let request = Request::Fence {
            hosts: victims,
            volume: operation.volume,
            named,
        };
        let met = self.meant(state, operation.volume, named);
        let strange =
            |met: u8| met != operation.volume && self.others(state, host, met) & victims != 0;
        if met.is_some_and(strange) {
            state.breaks(Violation::FenceWithoutRight);
        }
        state.send(self, request, fate);
        operation.unseen = victims & self.others(state, host, operation.volume);
        operation.step = Step::F4;
        if self.without(Mutant::SeenGone) {
            operation.step = Step::F5;
        }
        state.go_on(host, operation);
    }

    pub(super) fn f4(&self, state: &mut State, host: u8, mut operation: Operation, fate: Fate) {
        match self.by_name(state, host, operation) {
            Read::Connections(0, own) if fate == Fate::Fine => {
                operation.step = if own == 0 { Step::F5 } else { Step::F6 };
                operation.unseen = 0;
                state.go_on(host, operation);
            }
            _ => Self::fail(state, host, operation),
        }
    }

    pub(super) fn f5(&self, state: &mut State, host: u8, mut operation: Operation, fate: Fate) {
        let named = !self.without(Mutant::ConnectById);
        let met = self.meant(state, operation.volume, named);
        let connected = |to| self.others(state, host, to) & operation.unseen != 0;
        if met.is_some_and(connected) {
            state.breaks(Violation::TwoConnected);
        }
        let lun = self.new_number(state, host);
        let request = Request::Post {
            host,
            lun,
            volume: operation.volume,
            named,
        };
        let reply = state.send(self, request, fate);
        operation.posted = true;
        operation.lost = reply == Reply::Lost;
        if operation.lost && self.without(Mutant::PostResent) {
            let _again = state.execute(self, request);
        } else if reply == Reply::Refused && met.is_none() {
            return Self::fail(state, host, operation);
        }
        operation.step = Step::F6;
        if self.without(Mutant::ReadBack) {
            return self.grant_new(state, host, operation, lun);
        }
        state.go_on(host, operation);
    }

    pub(super) fn f6(&self, state: &mut State, host: u8, mut operation: Operation, fate: Fate) {
        let Read::Connections(others, own) = self.by_name(state, host, operation) else {
            return Self::undo_then(state, host, operation, false);
        };
        let again = operation.lost && self.without(Mutant::EndAfterLostAnswer);
        if fate == Fate::Fine && own == 0 && others == 0 && again {
            operation.step = Step::F5;
            return state.go_on(host, operation);
        }
        if fate == Fate::Lost || own == 0 {
            return Self::undo_then(state, host, operation, false);
        }
        if others != 0 {
            if self.without(Mutant::LoserCuts) {
                let request = Request::Fence {
                    hosts: others,
                    volume: operation.volume,
                    named: false,
                };
                let frozen = operation.frozen.unwrap_or_default();
                if others & !frozen != 0 || operation.caller != Caller::Preempting {
                    state.breaks(Violation::FenceWithoutRight);
                }
                state.execute(self, request);
                return;
            }
            // One of the two tries again; which one is a matter of names.
            let again = !operation.raced;
            operation.raced = true;
            return Self::undo_then(state, host, operation, again);
        }
        let shown = state
            .host(host)
            .devices
            .iter()
            .flatten()
            .any(|one| one.lun == own);
        if shown && !self.without(Mutant::NumbersRepeat) {
            let again = !operation.raced;
            operation.raced = true;
            return Self::undo_then(state, host, operation, again);
        }
        self.grant_new(state, host, operation, own);
    }

    fn grant_new(&self, state: &mut State, host: u8, operation: Operation, lun: u8) {
        let nonce = Self::new_nonce(state);
        self.grant_now(state, host, operation, (lun, nonce, Step::Holder));
    }

    /// From here on this host holds the grant.
    fn grant_now(
        &self,
        state: &mut State,
        host: u8,
        mut operation: Operation,
        (lun, nonce, then): (u8, u8, Step),
    ) {
        let volume = operation.volume;
        let alone = self.own(state, host, volume) == lun && self.others(state, host, volume) == 0;
        if !alone {
            state.breaks(Violation::UnprovenGrant);
        }
        let elsewhere = |other: &super::state::Host| {
            other.devices.iter().flatten().any(|one| one.nonce == nonce)
                || other.records.iter().any(|one| one.nonce == nonce)
                || other.operation.is_some_and(|one| one.nonce == nonce)
        };
        let own = usize::from(host);
        let shared = state
            .hosts
            .iter()
            .enumerate()
            .any(|(at, other)| at != own && elsewhere(other));
        if shared
            || state
                .volume(volume)
                .holder
                .is_some_and(|tag| tag.nonce == nonce && tag.host != host)
        {
            state.breaks(Violation::SharedNonce);
        }
        state.volume_mut(volume).latest = nonce;
        operation.nonce = nonce;
        operation.lun = lun;
        operation.format_grant = state.volume(volume).format_grant;
        operation.step = then;
        state.go_on(host, operation);
    }

    pub(super) fn holder(&self, state: &mut State, host: u8, mut operation: Operation, fate: Fate) {
        let holder = Holder {
            host,
            nonce: operation.nonce,
        };
        let request = Request::Tag {
            volume: operation.volume,
            holder,
        };
        if state.send(self, request, fate) == Reply::Lost {
            operation.nonce = 0;
            operation.lun = 0;
            return Self::undo_then(state, host, operation, false);
        }
        operation.step = Step::Attach;
        state.go_on(host, operation);
    }

    fn undo_then(state: &mut State, host: u8, mut operation: Operation, again: bool) {
        operation.step = Step::Undo(again);
        state.go_on(host, operation);
    }

    pub(super) fn undo(&self, state: &mut State, host: u8, mut operation: Operation, fate: Fate) {
        let Step::Undo(again) = operation.step else {
            return;
        };
        let request = Request::Disconnect {
            host,
            volume: operation.volume,
            named: true,
        };
        let may_come = state.may_be_connected(host);
        let lost = state.send(self, request, fate) == Reply::Lost;
        operation.posted = false;
        if lost || !again {
            if !lost && !may_come {
                state.host_mut(host).intends[usize::from(operation.volume)] = false;
            }
            return state.end(host);
        }
        operation.step = Step::F1;
        state.go_on(host, operation);
    }

    /// The publish is refused: there is nothing to look for later, unless there was before.
    fn refuse(&self, state: &mut State, host: u8, operation: Operation) {
        let doubt = operation.in_doubt && !self.without(Mutant::LeftoverStays);
        if !operation.posted && !doubt {
            state.host_mut(host).intends[usize::from(operation.volume)] = false;
        }
        Self::fail(state, host, operation);
    }

    /// The publish fails: what its POST may have left goes first.
    fn fail(state: &mut State, host: u8, operation: Operation) {
        if operation.posted {
            return Self::undo_then(state, host, operation, false);
        }
        // Whether it left something is looked at in the background.
        state.end(host);
    }
}
