//! What a FlashArray knows, and the rules by which it changes: no HTTP, no files, no clock.
//!
//! A request is *planned* against the state ([`State`]'s `plan_…` methods read only) and, if the
//! array would accept it, the resulting [`Plan`] is *applied*. A plan is a list of whole records
//! to store or drop, so the same list is what the journal keeps, and a restart is a replay. A
//! request on several objects is planned as a whole: it happens for all of them or for none.

mod change;
mod connections;
mod containers;
mod groups;
mod hosts;
mod lifecycle;
mod model;
mod names;
mod protection;
mod refusal;
mod rules;
mod snapshots;
mod table;
mod tags;
mod volumes;

pub(crate) use change::{Change, DataStep, Plan};
pub(crate) use connections::{Connect, Disconnect, HostLun, Side, Target};
pub(crate) use containers::{Move, NewPod, NewVolumeGroup, PodPatch, VolumeGroupPatch};
pub use containers::{Pod, VolumeGroup};
pub(crate) use hosts::{Chap, HostPatch, Initiators, NewHost};
pub use model::{
    Connection, ConnectionTarget, Destroyed, Host, HostGroup, Origin, Qos, Snapshot, Tag, Volume,
};
pub use protection::{ProtectionGroup, ProtectionGroupSeed};
pub(crate) use refusal::{ErrorItem, Kind, Refusal};
pub(crate) use rules::{BANDWIDTH_LIMIT, IOPS_LIMIT, MAX_LUN, Rules};
pub use rules::{Limits, OnDestroy, SpaceLeft};
pub(crate) use snapshots::{NewSnapshots, SnapshotPatch};
pub(crate) use tags::{TagInput, Tagged};
pub(crate) use volumes::{NewVolumes, SourceReference, VolumePatch};

pub(crate) use table::{Record, Table};

use std::collections::{BTreeSet, HashMap};

/// All records of one array.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) volumes: Table<Volume>,
    pub(crate) snapshots: Table<Snapshot>,
    pub(crate) hosts: Table<Host>,
    pub(crate) groups: Table<HostGroup>,
    pub(crate) connections: Table<Connection>,
    pub(crate) pods: Table<Pod>,
    pub(crate) volume_groups: Table<VolumeGroup>,
    pub(crate) protection_groups: Table<ProtectionGroup>,
    snapshots_of: HashMap<u64, BTreeSet<u64>>,
    connections_of_volume: HashMap<u64, BTreeSet<u64>>,
    connections_of_target: HashMap<ConnectionTarget, BTreeSet<u64>>,
    initiators: HashMap<String, u64>,
    members: HashMap<u64, BTreeSet<u64>>,
    next_sequence: u64,
    next_serial: u32,
    /// When the next destroyed object is to be eradicated, in the array's milliseconds.
    next_eradication_ms: Option<u64>,
}

impl State {
    /// The sequence number that the next record gets. It grows for ever, so listings in its order
    /// can be continued under changes.
    pub(crate) const fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    pub(crate) const fn next_serial(&self) -> u32 {
        self.next_serial
    }

    /// The connections of a volume, oldest first.
    pub(crate) fn connections_of_volume(&self, volume: u64) -> impl Iterator<Item = &Connection> {
        self.connections_of_volume
            .get(&volume)
            .into_iter()
            .flatten()
            .filter_map(|sequence| self.connections.get(*sequence))
    }

    /// The connections made for a host itself, or for a host group, oldest first.
    pub(crate) fn connections_of_target(
        &self,
        target: ConnectionTarget,
    ) -> impl Iterator<Item = &Connection> {
        self.connections_of_target
            .get(&target)
            .into_iter()
            .flatten()
            .filter_map(|sequence| self.connections.get(*sequence))
    }

    /// The snapshots of a volume, oldest first, destroyed ones included.
    pub(crate) fn snapshots_of(&self, volume: u64) -> impl Iterator<Item = &Snapshot> {
        self.snapshots_of
            .get(&volume)
            .into_iter()
            .flatten()
            .filter_map(|sequence| self.snapshots.get(*sequence))
    }

    /// The hosts in a host group, oldest first.
    pub(crate) fn members(&self, group: u64) -> impl Iterator<Item = &Host> {
        self.members
            .get(&group)
            .into_iter()
            .flatten()
            .filter_map(|sequence| self.hosts.get(*sequence))
    }

    /// The host that owns an initiator, given in the form in which it is stored.
    pub(crate) fn initiator_owner(&self, initiator: &str) -> Option<&Host> {
        self.hosts
            .get(*self.initiators.get(&initiator.to_ascii_lowercase())?)
    }

    /// Applies changes that were planned against this very state, or are read from a journal.
    pub(crate) fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Counters { sequence, serial } => {
                    self.next_sequence = (*sequence).max(self.next_sequence);
                    self.next_serial = (*serial).max(self.next_serial);
                }
                Change::Volume(volume) => {
                    self.expect_eradication(volume.destroyed.as_ref());
                    self.volumes.put(volume.clone());
                }
                Change::VolumeGone(sequence) => {
                    self.volumes.remove(*sequence);
                    self.leave_protection(|group| &mut group.volumes, *sequence);
                }
                Change::Snapshot(snapshot) => {
                    self.expect_eradication(snapshot.destroyed.as_ref());
                    self.snapshots_of
                        .entry(snapshot.volume)
                        .or_default()
                        .insert(snapshot.sequence);
                    self.snapshots.put(snapshot.clone());
                }
                Change::SnapshotGone(sequence) => {
                    if let Some(old) = self.snapshots.remove(*sequence) {
                        drop_index(&mut self.snapshots_of, &old.volume, *sequence);
                    }
                }
                Change::Host(host) => self.put_host(host),
                Change::HostGone(sequence) => {
                    self.remove_host(*sequence);
                    self.leave_protection(|group| &mut group.hosts, *sequence);
                }
                Change::Group(group) => self.groups.put(group.clone()),
                Change::GroupGone(sequence) => {
                    self.groups.remove(*sequence);
                    self.leave_protection(|group| &mut group.host_groups, *sequence);
                }
                Change::Connection(connection) => self.put_connection(connection),
                Change::ConnectionGone(sequence) => self.remove_connection(*sequence),
                other => self.apply_container(other),
            }
        }
    }

    fn apply_container(&mut self, change: &Change) {
        match change {
            Change::Pod(pod) => {
                self.expect_eradication(pod.destroyed.as_ref());
                self.pods.put(pod.clone());
            }
            Change::PodGone(sequence) => {
                self.pods.remove(*sequence);
            }
            Change::VolumeGroup(group) => {
                self.expect_eradication(group.destroyed.as_ref());
                self.volume_groups.put(group.clone());
            }
            Change::VolumeGroupGone(sequence) => {
                self.volume_groups.remove(*sequence);
            }
            Change::ProtectionGroup(group) => self.protection_groups.put(group.clone()),
            Change::ProtectionGroupGone(sequence) => {
                self.protection_groups.remove(*sequence);
            }
            _ => {}
        }
    }

    fn put_host(&mut self, host: &Host) {
        self.remove_host(host.sequence);
        for initiator in host.initiators() {
            self.initiators
                .insert(initiator.to_ascii_lowercase(), host.sequence);
        }
        if let Some(group) = host.group {
            self.members.entry(group).or_default().insert(host.sequence);
        }
        self.hosts.put(host.clone());
    }

    fn remove_host(&mut self, sequence: u64) {
        if let Some(old) = self.hosts.remove(sequence) {
            for initiator in old.initiators() {
                self.initiators.remove(&initiator.to_ascii_lowercase());
            }
            if let Some(group) = old.group {
                drop_index(&mut self.members, &group, sequence);
            }
        }
    }

    fn put_connection(&mut self, connection: &Connection) {
        let sequence = connection.sequence;
        self.remove_connection(sequence);
        self.connections_of_volume
            .entry(connection.volume)
            .or_default()
            .insert(sequence);
        self.connections_of_target
            .entry(connection.target)
            .or_default()
            .insert(sequence);
        self.connections.put(connection.clone());
    }

    fn remove_connection(&mut self, sequence: u64) {
        if let Some(old) = self.connections.remove(sequence) {
            drop_index(&mut self.connections_of_volume, &old.volume, sequence);
            drop_index(&mut self.connections_of_target, &old.target, sequence);
        }
    }

    fn expect_eradication(&mut self, destroyed: Option<&Destroyed>) {
        if let Some(at) = destroyed.map(|destroyed| destroyed.eradicate_at_ms) {
            self.next_eradication_ms = Some(self.next_eradication_ms.map_or(at, |old| old.min(at)));
        }
    }

    /// The records as one list of changes that builds this state from nothing.
    pub(crate) fn as_changes(&self) -> Vec<Change> {
        let mut changes = vec![Change::Counters {
            sequence: self.next_sequence,
            serial: self.next_serial,
        }];
        changes.extend(self.pods.iter().cloned().map(Change::Pod));
        let volume_groups = self.volume_groups.iter().cloned();
        changes.extend(volume_groups.map(Change::VolumeGroup));
        changes.extend(self.groups.iter().cloned().map(Change::Group));
        changes.extend(self.hosts.iter().cloned().map(Change::Host));
        changes.extend(self.volumes.iter().cloned().map(Change::Volume));
        changes.extend(self.snapshots.iter().cloned().map(Change::Snapshot));
        changes.extend(self.connections.iter().cloned().map(Change::Connection));
        let protection_groups = self.protection_groups.iter().cloned();
        changes.extend(protection_groups.map(Change::ProtectionGroup));
        changes
    }

    /// Plans the eradication of what has been destroyed for longer than the array keeps it, and
    /// remembers when to look again. `None`: nothing is due.
    pub(crate) fn plan_expired(&mut self, now_ms: u64) -> Option<Plan> {
        if self.next_eradication_ms.is_none_or(|due| due > now_ms) {
            return None;
        }
        let mut next: Option<u64> = None;
        let mut is_due = |destroyed: Option<&Destroyed>| match destroyed {
            Some(destroyed) if destroyed.eradicate_at_ms <= now_ms => true,
            Some(Destroyed {
                eradicate_at_ms: at,
                ..
            }) => {
                next = Some(next.map_or(*at, |old| old.min(*at)));
                false
            }
            None => false,
        };
        let mut due = due(&self.volumes, |volume| is_due(volume.destroyed.as_ref()));
        let snapshots = self::due(&self.snapshots, |one| is_due(one.destroyed.as_ref()));
        let groups = self::due(&self.volume_groups, |one| is_due(one.destroyed.as_ref()));
        let pods = self::due(&self.pods, |one| is_due(one.destroyed.as_ref()));
        self.next_eradication_ms = next;
        // What is in a container goes with it at the latest.
        let prefixes = pods
            .iter()
            .filter_map(|at| Some(self.pods.get(*at)?.prefix()));
        let prefixes: Vec<String> = prefixes
            .chain(
                groups
                    .iter()
                    .filter_map(|at| Some(self.volume_groups.get(*at)?.prefix())),
            )
            .collect();
        let contents = prefixes.iter().flat_map(|prefix| self.volumes_in(prefix));
        due.extend(contents.map(|volume| volume.sequence));
        let mut plan = Plan::new(self);
        for sequence in due {
            self.eradicate_volume(&mut plan, sequence);
        }
        for sequence in snapshots {
            self.eradicate_snapshot(&mut plan, sequence);
        }
        plan.changes
            .extend(groups.into_iter().map(Change::VolumeGroupGone));
        plan.changes.extend(pods.into_iter().map(Change::PodGone));
        (!plan.changes.is_empty()).then_some(plan)
    }
}

fn due<T: Record>(table: &Table<T>, mut is_due: impl FnMut(&T) -> bool) -> BTreeSet<u64> {
    let records = table.iter().filter(|record| is_due(record));
    records.map(Record::sequence).collect()
}

fn drop_index<K: std::hash::Hash + Eq>(
    index: &mut HashMap<K, BTreeSet<u64>>,
    key: &K,
    sequence: u64,
) {
    if let Some(set) = index.get_mut(key) {
        set.remove(&sequence);
        if set.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
