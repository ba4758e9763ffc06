//! The array: what each request does when it is executed, and how requests get there.

use super::model::Fence;
use super::rules::{Kernel, Violation};
use super::state::{Budget, Content, FOREIGN, HOSTS, Place, Request, State, VOLUMES, Volume};

/// What the array answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Done,
    /// There is no such volume, or there is such a connection already.
    Refused,
    /// Nothing came back.
    Lost,
}

/// What becomes of the next request of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Executed, answered.
    Fine,
    /// No answer; executed at any later time, or never.
    Lost,
    /// Executed and answered; a copy of it may be executed at any later time.
    Twice,
    /// Answered, and executed at any later time.
    Early,
}

impl State {
    pub(super) fn volume(&self, volume: u8) -> &Volume {
        &self.volumes[usize::from(volume)]
    }

    pub(super) fn volume_mut(&mut self, volume: u8) -> &mut Volume {
        &mut self.volumes[usize::from(volume)]
    }

    /// The volume that has the user's name.
    pub(super) fn named(&self) -> Option<u8> {
        (0..VOLUMES).find(|one| self.volume(*one).place == Place::Named)
    }

    pub(super) fn breaks(&mut self, violation: Violation) {
        self.broken |= violation.bit();
    }

    fn under_trash(&self, trash: u8) -> Option<u8> {
        (0..VOLUMES).find(|one| self.volume(*one).place == Place::Trash(trash))
    }

    pub(super) fn room_for_pending(&self) -> bool {
        self.pending.iter().any(Option::is_none)
    }

    fn leave_pending(&mut self, request: Request) {
        if let Some(free) = self.pending.iter_mut().find(|one| one.is_none()) {
            *free = Some(request);
        }
    }

    /// Whether a connection of this host may still come to be.
    pub(super) fn may_be_connected(&self, host: u8) -> bool {
        let posts = |request: &Request| matches!(request, Request::Post { host: whose, .. } if *whose == host);
        self.pending.iter().flatten().any(posts)
    }

    /// Sends a request.
    pub(super) fn send(&mut self, fence: &Fence, request: Request, fate: Fate) -> Reply {
        match fate {
            Fate::Fine => self.execute(fence, request),
            Fate::Lost => {
                self.leave_pending(request);
                Reply::Lost
            }
            Fate::Twice => {
                let reply = self.execute(fence, request);
                self.leave_pending(request);
                reply
            }
            Fate::Early => {
                self.leave_pending(request);
                Reply::Done
            }
        }
    }

    /// Executes a request.
    pub(super) fn execute(&mut self, fence: &Fence, request: Request) -> Reply {
        match request {
            Request::Post {
                host,
                lun,
                volume,
                named,
            } => {
                let volume = fence.meant(self, volume, named);
                volume.map_or(Reply::Refused, |one| self.post(fence, (host, lun), one))
            }
            Request::Fence {
                hosts,
                volume,
                named,
            } => {
                let volume = fence.meant(self, volume, named);
                volume.map_or(Reply::Refused, |one| self.shut_out(hosts, one))
            }
            Request::Disconnect {
                host,
                volume,
                named,
            } => {
                let at = usize::from(fence.object(host));
                self.volume_mut(volume).connections[at] = 0;
                if let Some(other) = fence.bearer(self, volume).filter(|_| named) {
                    self.volume_mut(other).connections[at] = 0;
                }
                Reply::Done
            }
            Request::Tag { volume, holder } => {
                self.volume_mut(volume).holder = Some(holder);
                Reply::Done
            }
            Request::Aside { volume, trash } => {
                let place = &mut self.volume_mut(volume).place;
                if matches!(place, Place::Named | Place::Trash(_)) {
                    *place = Place::Trash(trash);
                    return Reply::Done;
                }
                Reply::Refused
            }
            Request::Restore { trash } => match self.under_trash(trash) {
                Some(volume) if fence.bearer(self, volume).is_none() => {
                    self.volume_mut(volume).place = Place::Named;
                    Reply::Done
                }
                _ => Reply::Refused,
            },
            Request::Destroy { trash, volume } => {
                let Some(volume) = volume.or_else(|| self.under_trash(trash)) else {
                    return Reply::Refused;
                };
                self.volume_mut(volume).place = Place::Destroyed;
                Reply::Done
            }
        }
    }

    fn post(&mut self, fence: &Fence, (host, lun): (u8, u8), volume: u8) -> Reply {
        let at = usize::from(fence.object(host));
        let taken = self.volumes.iter().any(|one| one.connections[at] == lun);
        let connection = &mut self.volume_mut(volume).connections[at];
        if *connection != 0 || taken {
            return Reply::Refused;
        }
        *connection = lun;
        Reply::Done
    }

    fn shut_out(&mut self, hosts: u8, volume: u8) -> Reply {
        if hosts & FOREIGN != 0 && self.volume(volume).foreign {
            self.volume_mut(volume).foreign = false;
            self.breaks(Violation::ForeignCut);
        }
        for host in 0..HOSTS {
            if hosts & (1 << host) != 0 {
                self.volume_mut(volume).connections[usize::from(host)] = 0;
            }
        }
        Reply::Done
    }
}

impl Fence {
    /// What has the name on the array of a volume.
    pub(super) fn bearer(&self, state: &State, volume: u8) -> Option<u8> {
        if self.bounds.arrays_apart {
            return (state.volume(volume).place == Place::Named).then_some(volume);
        }
        state.named()
    }

    /// What a request goes to: by name, or the volume itself while it is there.
    pub(super) fn meant(&self, state: &State, volume: u8, named: bool) -> Option<u8> {
        if named {
            return self.bearer(state, volume);
        }
        let there = !matches!(state.volume(volume).place, Place::Absent | Place::Destroyed);
        there.then_some(volume)
    }

    /// The host object of a host.
    pub(super) const fn object(&self, host: u8) -> u8 {
        if self.bounds.cloned && host == 1 {
            0
        } else {
            host
        }
    }

    /// Everybody but this host who is connected to a volume.
    pub(super) fn others(&self, state: &State, host: u8, volume: u8) -> u8 {
        let own = self.object(host);
        let volume = state.volume(volume);
        let mut others = if volume.foreign { FOREIGN } else { 0 };
        for (object, lun) in (0..HOSTS).zip(volume.connections) {
            if object != own && lun != 0 {
                others |= 1 << object;
            }
        }
        others
    }

    /// The number of this host's own connection; 0: none.
    pub(super) fn own(&self, state: &State, host: u8, volume: u8) -> u8 {
        state.volume(volume).connections[usize::from(self.object(host))]
    }

    /// Which volume a host reaches under a number.
    pub(super) fn shown(&self, state: &State, host: u8, lun: u8) -> Option<u8> {
        (0..VOLUMES).find(|volume| lun != 0 && self.own(state, host, *volume) == lun)
    }

    /// Which volume a device of a host reaches now.
    pub(super) fn reached(
        &self,
        state: &State,
        host: u8,
        device: super::state::Device,
    ) -> Option<u8> {
        if self.bounds.kernel == Kernel::ByItself {
            return (self.own(state, host, device.volume) != 0).then_some(device.volume);
        }
        self.shown(state, host, device.lun)
    }

    /// A volume that was just made.
    #[must_use]
    pub fn fresh_volume() -> Volume {
        Volume {
            place: Place::Named,
            content: Content::Blank,
            format_grant: true,
            ..Volume::default()
        }
    }

    /// What is still allowed.
    pub(super) fn budget(&self) -> Budget {
        self.bounds.budget
    }
}
