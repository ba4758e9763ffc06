//! A host's side of mount and unmount: F0, the device, the file system, the way back.

use super::array::Fate;
use super::model::Fence;
use super::rules::{Kernel, Mutant, Violation};
use super::state::{Content, Device, Intent, Operation, Place, Record, State, Step, User};

impl State {
    pub(super) fn host(&self, host: u8) -> &super::state::Host {
        &self.hosts[usize::from(host)]
    }

    pub(super) fn host_mut(&mut self, host: u8) -> &mut super::state::Host {
        &mut self.hosts[usize::from(host)]
    }

    pub(super) fn record(&mut self, host: u8, volume: u8) -> &mut Record {
        &mut self.host_mut(host).records[usize::from(volume)]
    }

    pub(super) fn go_on(&mut self, host: u8, operation: Operation) {
        self.host_mut(host).operation = Some(operation);
    }

    pub(super) fn end(&mut self, host: u8) {
        self.host_mut(host).operation = None;
    }

    pub(super) fn device_of(&self, host: u8, volume: u8, nonce: u8) -> Option<Device> {
        let devices = self.host(host).devices;
        let found = devices.into_iter().flatten();
        found
            .into_iter()
            .find(|one| one.volume == volume && one.nonce == nonce)
    }

    pub(super) fn set_user(&mut self, host: u8, device: Device, user: User) {
        for one in self.host_mut(host).devices.iter_mut().flatten() {
            if *one == device {
                one.user = user;
            }
        }
    }

    fn drop_device(&mut self, host: u8, device: Device) {
        for one in &mut self.host_mut(host).devices {
            if *one == Some(device) {
                *one = None;
            }
        }
    }

    /// Takes down what the ledger owns of a volume.
    ///
    /// # Errors
    /// When something holds it, or the ledger does not know it.
    pub(super) fn take_down(&mut self, host: u8, volume: u8) -> Result<(), ()> {
        let record = *self.record(host, volume);
        for device in self.host(host).devices.into_iter().flatten() {
            if device.volume != volume {
                continue;
            }
            if matches!(device.user, User::Held | User::Mkfs) || record.intent == Intent::Nothing {
                return Err(());
            }
            self.drop_device(host, device);
        }
        if record.intent != Intent::Nothing {
            self.record(host, volume).intent = Intent::Released;
        }
        Ok(())
    }
}

impl Fence {
    /// Finds the volume; serves the mount that is here if it stands; else F0.
    pub(super) fn find(&self, state: &mut State, host: u8, mut operation: Operation) {
        let trash = (0..super::state::VOLUMES)
            .find(|one| matches!(state.volume(*one).place, Place::Trash(_)));
        let Some(volume) = state.named().or(trash) else {
            return state.end(host);
        };
        operation.volume = volume;
        if let Place::Trash(name) = state.volume(volume).place {
            operation.trash = name;
            operation.step = Step::Restore;
            return state.go_on(host, operation);
        }
        operation.trash = 0;
        // An earlier volume of the name goes first.
        for other in (0..super::state::VOLUMES).filter(|other| *other != volume) {
            let known = state.record(host, other).intent == Intent::Attach;
            if known && state.take_down(host, other).is_err() {
                return state.end(host);
            }
        }
        match self.mounted(state, host, volume) {
            Some(true) => return self.told(state, host, operation),
            Some(false) => {
                let record = *state.record(host, volume);
                let alone = self.others(state, host, volume) == 0;
                if alone && record.nonce == state.volume(volume).latest {
                    state.breaks(Violation::RightMountTakenDown);
                }
            }
            None => {}
        }
        let unclean = state.take_down(host, volume).is_err();
        let looked = !self.without(Mutant::HostClean) && !self.without(Mutant::CleanTooLate);
        if unclean && looked {
            return state.end(host);
        }
        operation.in_doubt = state.host(host).intends[usize::from(volume)];
        state.host_mut(host).intends[usize::from(volume)] = true;
        operation.step = Step::F1;
        state.go_on(host, operation);
    }

    /// Whether the volume is mounted here on a device that proves to be it, and whether that
    /// mount's grant stands.
    fn mounted(&self, state: &mut State, host: u8, volume: u8) -> Option<bool> {
        let record = *state.record(host, volume);
        if record.intent != Intent::Attach {
            return None;
        }
        let device = state.device_of(host, volume, record.nonce)?;
        let right = self.reached(state, host, device) == Some(volume);
        if device.user != User::Mounted || !right {
            return None;
        }
        let tagged = state
            .volume(volume)
            .holder
            .is_some_and(|holder| holder.host == host && holder.nonce == record.nonce);
        let alone = self.others(state, host, volume) == 0 && !self.without(Mutant::LateTag);
        Some(tagged || alone)
    }

    /// The mount is there: its caller is told, or it is undone.
    pub(super) fn told(&self, state: &mut State, host: u8, operation: Operation) {
        let settled = !state.may_be_connected(host);
        if settled {
            state.host_mut(host).intends[usize::from(operation.volume)] = false;
        }
        if operation.waiting {
            state.end(host);
        } else {
            state.go_on(
                host,
                Operation::new(self.first_of_unmount(), operation.volume),
            );
        }
    }

    /// Makes the device and looks what is on it.
    pub(super) fn attach(&self, state: &mut State, host: u8, mut operation: Operation) {
        let volume = operation.volume;
        let previous = *state.record(host, volume);
        let same = previous.intent == Intent::Attach && previous.nonce == operation.nonce;
        let left = state
            .device_of(host, volume, operation.nonce)
            .filter(|_| same);
        if left.is_none()
            && state.take_down(host, volume).is_err()
            && !self.without(Mutant::HostClean)
        {
            return self.back_out(state, host, operation);
        }
        *state.record(host, volume) = Record {
            intent: Intent::Attach,
            nonce: operation.nonce,
            lun: operation.lun,
            began: previous.began,
        };
        if self.shown(state, host, operation.lun) != Some(volume) {
            return self.back_out(state, host, operation);
        }
        let device = left.unwrap_or(Device {
            volume,
            lun: operation.lun,
            nonce: operation.nonce,
            user: User::Nobody,
        });
        if left.is_none() {
            let Some(free) = state
                .host_mut(host)
                .devices
                .iter_mut()
                .find(|one| one.is_none())
            else {
                return self.back_out(state, host, operation);
            };
            *free = Some(device);
        }
        if self.bounds.kernel == Kernel::Scanned {
            for one in state.host_mut(host).devices.iter_mut().flatten() {
                if one.volume == volume {
                    one.lun = operation.lun;
                }
            }
        }
        if matches!(device.user, User::Held | User::Mkfs) {
            return state.end(host);
        }
        let make = match state.volume(volume).content {
            Content::Formatted => self.without(Mutant::Blankness) && operation.format_grant,
            Content::Blank if operation.format_grant => true,
            Content::Half(whose) if operation.format_grant && whose == host && previous.began => {
                true
            }
            Content::Blank | Content::Half(_) => return self.back_out(state, host, operation),
        };
        operation.step = if make { Step::Mkfs } else { Step::Mount };
        if make {
            state.record(host, volume).began = true;
        }
        state.go_on(host, operation);
    }

    /// The device of an operation, if it reaches a volume.
    fn working(&self, state: &State, host: u8, operation: Operation) -> Option<(Device, u8)> {
        let device = state.device_of(host, operation.volume, operation.nonce)?;
        Some((device, self.reached(state, host, device)?))
    }

    /// mkfs begins, or ends.
    pub(super) fn format(&self, state: &mut State, host: u8, mut operation: Operation) {
        let Some((device, volume)) = self.working(state, host, operation) else {
            return self.back_out(state, host, operation);
        };
        if operation.step == Step::Mkfs {
            if state.volume(volume).content == Content::Formatted {
                state.breaks(Violation::FormattedTwice);
            }
            state.volume_mut(volume).content = Content::Half(host);
            state.set_user(host, device, User::Mkfs);
            operation.step = Step::MkfsEnd;
        } else {
            state.volume_mut(volume).content = Content::Formatted;
            state.set_user(host, device, User::Nobody);
            operation.step = Step::Mount;
        }
        state.go_on(host, operation);
    }

    pub(super) fn mount(&self, state: &mut State, host: u8, mut operation: Operation) {
        let Some((device, _)) = self.working(state, host, operation) else {
            return self.back_out(state, host, operation);
        };
        if device.user == User::Nobody {
            state.set_user(host, device, User::Mounted);
        }
        if operation.format_grant {
            operation.step = Step::Withdraw;
            return state.go_on(host, operation);
        }
        self.told(state, host, operation);
    }

    /// The grant to format goes; that it did not is no reason to fail.
    pub(super) fn withdraw(&self, state: &mut State, host: u8, operation: Operation, fate: Fate) {
        if fate == Fate::Fine {
            state.volume_mut(operation.volume).format_grant = false;
        }
        self.told(state, host, operation);
    }

    /// After an attach that failed: what it made goes, then the access.
    fn back_out(&self, state: &mut State, host: u8, operation: Operation) {
        if let Some(device) = state.device_of(host, operation.volume, operation.nonce)
            && device.user == User::Mkfs
        {
            state.set_user(host, device, User::Nobody);
        }
        let volume = operation.volume;
        let down = state.take_down(host, volume);
        if down.is_err() && !self.without(Mutant::HostClean) {
            return state.end(host);
        }
        state.record(host, volume).intent = Intent::Released;
        state.go_on(host, Operation::new(Step::Unpublish, volume));
    }
}
