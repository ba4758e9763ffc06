//! What can be seen to be wrong in a state as it is.

use super::model::Fence;
use super::rules::Violation;
use super::state::{Intent, Place, State, User, VOLUMES};

impl Fence {
    /// The grant of a host that it can use now: its nonce, for each volume.
    pub(super) fn grant(&self, state: &State, host: u8, volume: u8) -> Option<u8> {
        let connected = self.own(state, host, volume);
        let own = &state.hosts[usize::from(host)];
        if connected == 0 || own.off {
            return None;
        }
        let operation = own
            .operation
            .filter(|one| one.volume == volume && one.nonce != 0 && one.lun == connected);
        let record = own.records[usize::from(volume)];
        let recorded = record.intent == Intent::Attach && record.lun == connected;
        operation
            .map(|one| one.nonce)
            .or_else(|| recorded.then_some(record.nonce))
    }

    /// What can be seen to be wrong in a state as it is.
    pub(super) fn look(&self, state: &mut State) {
        for volume in 0..VOLUMES {
            let holders = (0..self.bounds.hosts)
                .filter(|host| self.grant(state, *host, volume).is_some())
                .count();
            if holders > 1 {
                state.breaks(Violation::TwoGrants);
            }
            if holders > 0 && state.volume(volume).place == Place::Destroyed {
                state.breaks(Violation::DestroyedInUse);
            }
        }
        for host in 0..self.bounds.hosts {
            for device in state.hosts[usize::from(host)].devices.into_iter().flatten() {
                if device.user == User::Nobody {
                    continue;
                }
                let Some(volume) = self.reached(state, host, device) else {
                    continue;
                };
                if volume != device.volume || state.volume(volume).latest != device.nonce {
                    state.breaks(Violation::StaleWriter);
                }
            }
        }
    }
}
