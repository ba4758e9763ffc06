//! States that differ by names only are one state: hosts are sorted, numbers that only have to
//! differ are counted anew.

use super::state::{Content, Device, HOSTS, Holder, Host, PENDING, Place, Request, State, VOLUMES};

/// Counts what it meets anew, from one.
struct Renaming([u8; 32], u8);

impl Renaming {
    const fn new() -> Self {
        Self([0; 32], 0)
    }

    fn apply(&mut self, value: &mut u8) {
        let Some(slot) = self.0.get_mut(usize::from(*value)) else {
            return;
        };
        if *value == 0 {
            return;
        }
        if *slot == 0 {
            self.1 += 1;
            *slot = self.1;
        }
        *value = *slot;
    }
}

impl State {
    /// The state that stands for all that differ from it by names only. The first `sorted` hosts
    /// are alike.
    #[must_use]
    pub fn canonical(mut self, sorted: u8) -> Self {
        for host in &mut self.hosts {
            host.devices.sort_unstable();
        }
        self.rename_luns();
        self.sort_hosts(usize::from(sorted));
        self.rename_nonces();
        self.rename_trash();
        self.pending.sort_unstable();
        self
    }

    fn rename_luns(&mut self) {
        for host in 0..HOSTS {
            let at = usize::from(host);
            let mut names = Renaming::new();
            for volume in &mut self.volumes {
                names.apply(&mut volume.connections[at]);
            }
            let own = &mut self.hosts[at];
            own.devices
                .iter_mut()
                .flatten()
                .for_each(|one| names.apply(&mut one.lun));
            own.records
                .iter_mut()
                .for_each(|one| names.apply(&mut one.lun));
            if let Some(operation) = &mut own.operation {
                names.apply(&mut operation.lun);
            }
            for request in self.pending.iter_mut().flatten() {
                if let Request::Post {
                    host: whose, lun, ..
                } = request
                    && *whose == host
                {
                    names.apply(lun);
                }
            }
        }
    }

    /// What tells a host from another without names.
    fn key(&self, host: u8) -> impl Ord + use<> {
        let at = usize::from(host);
        let mut own = self.hosts[at];
        own.devices
            .iter_mut()
            .flatten()
            .for_each(|one: &mut Device| one.nonce = 0);
        own.records.iter_mut().for_each(|one| one.nonce = 0);
        if let Some(operation) = &mut own.operation {
            operation.nonce = 0;
            operation.frozen = operation.frozen.map(|_| 0);
            operation.unseen = 0;
        }
        let at_array = self.volumes.map(|volume| {
            let tagged = volume.holder.is_some_and(|holder| holder.host == host);
            let half = volume.content == Content::Half(host);
            (volume.connections[at], tagged, half)
        });
        let under_way = self.pending.map(|one| {
            one.is_some_and(|request| match request {
                Request::Post { host: whose, .. } | Request::Disconnect { host: whose, .. } => {
                    whose == host
                }
                Request::Fence { hosts, .. } => hosts & (1 << host) != 0,
                Request::Tag { holder, .. } => holder.host == host,
                Request::Aside { .. } | Request::Restore { .. } | Request::Destroy { .. } => false,
            })
        });
        (own, at_array, under_way)
    }

    fn sort_hosts(&mut self, sorted: usize) {
        let mut order = [0, 1, 2];
        order[..sorted].sort_by_key(|host| self.key(*host));
        if order == [0, 1, 2] {
            return;
        }
        let mut place = [0_u8; HOSTS as usize];
        for (new, old) in order.iter().enumerate() {
            place[usize::from(*old)] = u8::try_from(new).unwrap_or_default();
        }
        let old = *self;
        for (new, from) in order.iter().enumerate() {
            self.hosts[new] = moved(old.hosts[usize::from(*from)], place);
            for (volume, before) in self.volumes.iter_mut().zip(old.volumes) {
                volume.connections[new] = before.connections[usize::from(*from)];
            }
        }
        let host = |one: u8| place[usize::from(one)];
        for volume in &mut self.volumes {
            if let Some(holder) = &mut volume.holder {
                holder.host = host(holder.host);
            }
            if let Content::Half(whose) = &mut volume.content {
                *whose = host(*whose);
            }
        }
        for request in self.pending.iter_mut().flatten() {
            match request {
                Request::Post { host: whose, .. } | Request::Disconnect { host: whose, .. } => {
                    *whose = host(*whose);
                }
                Request::Fence { hosts, .. } => *hosts = set(*hosts, place),
                Request::Tag { holder, .. } => holder.host = host(holder.host),
                Request::Aside { .. } | Request::Restore { .. } | Request::Destroy { .. } => {}
            }
        }
    }

    fn rename_nonces(&mut self) {
        let mut names = Renaming::new();
        for volume in &mut self.volumes {
            names.apply(&mut volume.latest);
            if let Some(Holder { nonce, .. }) = &mut volume.holder {
                names.apply(nonce);
            }
        }
        for host in &mut self.hosts {
            host.devices
                .iter_mut()
                .flatten()
                .for_each(|one| names.apply(&mut one.nonce));
            host.records
                .iter_mut()
                .for_each(|one| names.apply(&mut one.nonce));
            if let Some(operation) = &mut host.operation {
                names.apply(&mut operation.nonce);
            }
        }
        for request in self.pending.iter_mut().flatten() {
            if let Request::Tag { holder, .. } = request {
                names.apply(&mut holder.nonce);
            }
        }
    }

    fn rename_trash(&mut self) {
        let mut names = Renaming::new();
        for at in 0..VOLUMES {
            if let Place::Trash(name) = &mut self.volumes[usize::from(at)].place {
                names.apply(name);
            }
        }
        for host in &mut self.hosts {
            if let Some(operation) = &mut host.operation {
                names.apply(&mut operation.trash);
            }
        }
        for at in 0..PENDING {
            if let Some(
                Request::Aside { trash, .. }
                | Request::Restore { trash }
                | Request::Destroy { trash, .. },
            ) = &mut self.pending[at]
            {
                names.apply(trash);
            }
        }
    }
}

fn moved(mut host: Host, place: [u8; HOSTS as usize]) -> Host {
    if let Some(operation) = &mut host.operation {
        operation.frozen = operation.frozen.map(|hosts| set(hosts, place));
        operation.unseen = set(operation.unseen, place);
    }
    host
}

/// A set of hosts under their new names.
fn set(hosts: u8, place: [u8; HOSTS as usize]) -> u8 {
    let mut moved = hosts & super::state::FOREIGN;
    for (old, new) in place.iter().enumerate() {
        if hosts & (1 << old) != 0 {
            moved |= 1 << new;
        }
    }
    moved
}
