//! Numbers, nonces and names that nothing has: what is drawn by chance, taken as certain.

use super::model::Fence;
use super::rules::Mutant;
use super::state::{Place, Request, State};

impl Fence {
    /// A number for a connection: any that differs from all that could matter. By chance, and the
    /// ones that the host has devices under or that are under way are left out.
    pub(super) fn new_number(&self, state: &State, host: u8) -> u8 {
        let object = usize::from(self.object(host));
        let own = &state.hosts[usize::from(host)];
        let connected = |lun: u8| {
            state
                .volumes
                .iter()
                .any(|one| one.connections[object] == lun)
        };
        let shown = |lun: u8| own.devices.iter().flatten().any(|one| one.lun == lun);
        let recorded = |lun: u8| own.records.iter().any(|one| one.lun == lun);
        let posted = |lun: u8| {
            let same = |one: &Request| matches!(one, Request::Post { host: whose, lun: number, .. } if *whose == host && *number == lun);
            state.pending.iter().flatten().any(same)
        };
        let repeats = self.without(Mutant::NumbersRepeat);
        (1..31)
            .find(|lun| {
                !connected(*lun) && (repeats || !(shown(*lun) || recorded(*lun) || posted(*lun)))
            })
            .unwrap_or(31)
    }

    /// A nonce that nothing has.
    pub(super) fn new_nonce(state: &State) -> u8 {
        let used = |nonce: u8| {
            state.volumes.iter().any(|one| {
                one.latest == nonce || one.holder.is_some_and(|holder| holder.nonce == nonce)
            }) || state.hosts.iter().any(|host| {
                host.devices.iter().flatten().any(|one| one.nonce == nonce)
                    || host.records.iter().any(|one| one.nonce == nonce)
                    || host.operation.is_some_and(|one| one.nonce == nonce)
            }) || state
                .pending
                .iter()
                .flatten()
                .any(|one| matches!(one, Request::Tag { holder, .. } if holder.nonce == nonce))
        };
        (1..31).find(|nonce| !used(*nonce)).unwrap_or(31)
    }

    /// A trash name that nothing has.
    pub(super) fn new_trash(&self, state: &State) -> u8 {
        if self.without(Mutant::AsideResent) {
            return 1;
        }
        let used = |name: u8| {
            state.volumes.iter().any(|one| one.place == Place::Trash(name))
                || state.hosts.iter().any(|host| host.operation.is_some_and(|one| one.trash == name))
                || state.pending.iter().flatten().any(|one| {
                    matches!(one, Request::Aside { trash, .. } | Request::Restore { trash } | Request::Destroy { trash, .. } if *trash == name)
                })
        };
        (1..31).find(|name| !used(*name)).unwrap_or(31)
    }
}
