//! The state together with everything that must change in the same step: the journal, the files
//! of the volumes' bytes, the LUN table, the audit.
//!
//! One lock of the array holds a [`Core`]; what a request does under it is one step to everybody
//! else.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::state::{
    Change, ConnectionTarget, DataStep, HostLun, Plan, Refusal, Rules, SpaceLeft, State,
};
use crate::clock::SimClock;
use crate::events::{Audit, ConnectionEvent, ConnectionEventKind, next_order};
use crate::lun_table::{Lun, LunTable};
use crate::store::{DataFiles, Journal};
use crate::witness::Witness;

use super::figures::VolumeFigures;
use super::naming;
use super::settings::Settings;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) state: State,
    pub(crate) settings: Settings,
    pub(crate) data: DataFiles,
    pub(crate) luns: LunTable,
    pub(crate) audit: Audit,
    pub(crate) witness: Witness,
    /// Given figures of volumes, by sequence number.
    pub(crate) figures: BTreeMap<u64, VolumeFigures>,
    /// Refuse creation, as if the array were full.
    pub(crate) space: SpaceLeft,
    clock: Arc<SimClock>,
    journal: Journal,
    serial_prefix: u64,
    /// Serials whose bytes are gone since somebody last asked.
    removed: Vec<String>,
}

/// What a host could reach before a change, to be compared with after.
struct Before {
    name: String,
    seen: Vec<Seen>,
}

/// A LUN with the names of that moment: afterwards the volume may be gone.
struct Seen {
    lun: HostLun,
    volume: String,
    serial: String,
    group: Option<String>,
}

impl Core {
    pub(crate) fn open(
        folder: &Path,
        settings: Settings,
        clock: Arc<SimClock>,
        luns: LunTable,
    ) -> io::Result<Self> {
        let (journal, state) = Journal::open(folder)?;
        tracing::debug!(journal = %journal.path().display(), volumes = state.volumes.len(), "state read");
        let serials: HashSet<String> = state
            .volumes
            .iter()
            .map(|volume| volume.serial.clone())
            .chain(
                state
                    .snapshots
                    .iter()
                    .map(|snapshot| snapshot.serial.clone()),
            )
            .collect();
        let data = DataFiles::open(folder.join("data"), &serials)?;
        for volume in state.volumes.iter() {
            // A kill between the record and the cut leaves bytes that a later growth would show.
            data.truncate(&volume.serial, volume.provisioned)?;
        }
        let serial_prefix = serial_prefix(&settings.id);
        let mut core = Self {
            state,
            settings,
            data,
            luns,
            audit: Audit::default(),
            witness: Witness::default(),
            figures: BTreeMap::new(),
            space: SpaceLeft::Enough,
            clock,
            journal,
            serial_prefix,
            removed: Vec::new(),
        };
        for host in core.state.hosts.iter() {
            core.luns.add_host(&host.name);
            for lun in core.state.luns_of(host.sequence) {
                core.show(&host.name, lun);
            }
        }
        core.witness_what_is_there();
        Ok(core)
    }

    /// What an earlier run left.
    fn witness_what_is_there(&mut self) {
        let hosts: Vec<_> = self.state.hosts.iter().map(|host| host.sequence).collect();
        for host in hosts {
            let Some(name) = self.state.hosts.get(host).map(|host| host.name.clone()) else {
                continue;
            };
            for seen in self.seen_by(host) {
                let event = self.event(ConnectionEventKind::Connected, &name, &seen);
                self.witness.saw(&event);
            }
        }
        for event in naming::there(&self.state, self.now_ms()) {
            self.witness.named(event);
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules {
            limits: self.settings.limits,
            on_destroy: self.settings.on_destroy,
            refuse_rename_to_own_name: self.settings.refuse_rename_to_own_name,
            eradication_delay_ms: self.settings.eradication_delay_ms,
            eradication_disabled: self.settings.eradication_disabled,
            space: self.space,
            now_ms: self.now_ms(),
            serial_prefix: self.serial_prefix,
        }
    }

    /// The given figures of a volume; nothing where none were given.
    pub(crate) fn figures_of(&self, volume: u64) -> VolumeFigures {
        self.figures.get(&volume).copied().unwrap_or_default()
    }

    /// Eradicates what has been destroyed for long enough.
    pub(crate) fn expire(&mut self) -> Result<(), Refusal> {
        match self.state.plan_expired(self.clock.now_ms()) {
            Some(plan) => self.commit(&plan).map(drop),
            None => Ok(()),
        }
    }

    /// Makes a plan real: bytes, record, state, LUNs, audit. Returns the records to show.
    pub(crate) fn commit(&mut self, plan: &Plan) -> Result<Vec<u64>, Refusal> {
        let touched = plan.touched.clone();
        self.prepare_data(&plan.data).map_err(|e| storage(&e))?;
        self.journal
            .append(&plan.changes)
            .map_err(|e| storage(&e))?;
        let affected = self.affected_hosts(&plan.changes);
        let before: BTreeMap<u64, Before> = affected
            .iter()
            .filter_map(|host| {
                let name = self.state.hosts.get(*host)?.name.clone();
                let seen = self.seen_by(*host);
                Some((*host, Before { name, seen }))
            })
            .collect();
        for event in naming::events(&self.state, &plan.changes, self.now_ms()) {
            self.witness.named(event);
        }
        self.state.apply(&plan.changes);
        for change in &plan.changes {
            match change {
                Change::Volume(volume) => self.luns.resize(&volume.serial, volume.provisioned),
                Change::VolumeGone(volume) => drop(self.figures.remove(volume)),
                _ => {}
            }
        }
        for (host, before) in &before {
            self.take_away(*host, before);
        }
        for host in affected {
            self.show_new(host, before.get(&host));
        }
        self.finish_data(&plan.data);
        Ok(touched)
    }

    /// The serials whose bytes are gone since the last time.
    pub(crate) fn take_removed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.removed)
    }

    fn prepare_data(&self, steps: &[DataStep]) -> io::Result<()> {
        for step in steps {
            match step {
                DataStep::Create(serial) => self.data.create(serial)?,
                DataStep::Copy { from, to } => self.data.copy(from, to)?,
                DataStep::Replace { from, to } => self.data.stage(from, to)?,
                DataStep::Truncate { .. } | DataStep::Remove(_) => {}
            }
        }
        Ok(())
    }

    /// What fails here is logged and put right at the next start.
    fn finish_data(&mut self, steps: &[DataStep]) {
        for step in steps {
            let done = match step {
                DataStep::Create(_) | DataStep::Copy { .. } => Ok(()),
                DataStep::Replace { to, .. } => self.data.finish(to),
                DataStep::Truncate { serial, size } => self.data.truncate(serial, *size),
                DataStep::Remove(serial) => {
                    self.removed.push(serial.clone());
                    self.data.remove(serial)
                }
            };
            if let Err(error) = done {
                tracing::error!(?step, %error, "data file left behind");
            }
        }
    }

    /// The hosts whose access a list of changes may change.
    fn affected_hosts(&self, changes: &[Change]) -> BTreeSet<u64> {
        let mut hosts = BTreeSet::new();
        let mut add_target = |target: ConnectionTarget| match target {
            ConnectionTarget::Host(host) => {
                hosts.insert(host);
            }
            ConnectionTarget::Group(group) => {
                hosts.extend(self.state.members(group).map(|host| host.sequence));
            }
        };
        for change in changes {
            match change {
                Change::Connection(connection) => add_target(connection.target),
                Change::ConnectionGone(sequence) => {
                    if let Some(connection) = self.state.connections.get(*sequence) {
                        add_target(connection.target);
                    }
                }
                Change::Volume(volume) => {
                    for connection in self.state.connections_of_volume(volume.sequence) {
                        add_target(connection.target);
                    }
                }
                Change::Host(host) => add_target(ConnectionTarget::Host(host.sequence)),
                Change::HostGone(host) => add_target(ConnectionTarget::Host(*host)),
                Change::Counters { .. }
                | Change::VolumeGone(_)
                | Change::Snapshot(_)
                | Change::SnapshotGone(_)
                | Change::Group(_)
                | Change::GroupGone(_)
                | Change::Pod(_)
                | Change::PodGone(_)
                | Change::VolumeGroup(_)
                | Change::VolumeGroupGone(_)
                | Change::ProtectionGroup(_)
                | Change::ProtectionGroupGone(_) => {}
            }
        }
        hosts
    }

    fn seen_by(&self, host: u64) -> Vec<Seen> {
        let luns = self.state.luns_of(host).into_iter();
        luns.filter_map(|lun| {
            let volume = self.state.volumes.get(lun.volume)?;
            let group = lun.group.and_then(|group| self.state.groups.get(group));
            Some(Seen {
                lun,
                volume: volume.name.clone(),
                serial: volume.serial.clone(),
                group: group.map(|group| group.name.clone()),
            })
        })
        .collect()
    }

    fn record(&mut self, kind: ConnectionEventKind, host: &str, seen: &Seen) {
        let event = self.event(kind, host, seen);
        self.witness.saw(&event);
        self.audit.push(event);
    }

    fn event(&self, kind: ConnectionEventKind, host: &str, seen: &Seen) -> ConnectionEvent {
        ConnectionEvent {
            order: next_order(),
            at_ms: self.clock.now_ms(),
            kind,
            host: host.to_owned(),
            host_group: seen.group.clone(),
            volume: seen.volume.clone(),
            serial: seen.serial.clone(),
            lun: seen.lun.number,
        }
    }

    /// Takes from the LUN table what the host no longer has, and follows its name.
    fn take_away(&mut self, host: u64, before: &Before) {
        let after = self.state.luns_of(host);
        let gone = before.seen.iter().filter(|seen| !after.contains(&seen.lun));
        for seen in gone {
            self.luns.disconnect(&before.name, seen.lun.number);
            self.record(ConnectionEventKind::Disconnected, &before.name, seen);
        }
        match self.state.hosts.get(host) {
            None => {
                self.luns.remove_host(&before.name);
            }
            Some(now) if now.name != before.name => {
                self.luns.rename_host(&before.name, &now.name);
                self.witness.host_renamed(&before.name, &now.name);
            }
            Some(_) => {}
        }
    }

    /// Shows what the host did not have before.
    fn show_new(&mut self, host: u64, before: Option<&Before>) {
        let Some(name) = self.state.hosts.get(host).map(|host| host.name.clone()) else {
            return;
        };
        if before.is_none() {
            self.luns.add_host(&name);
        }
        for seen in self.seen_by(host) {
            let known = |old: &Before| old.seen.iter().any(|known| known.lun == seen.lun);
            if !before.is_some_and(known) {
                self.show(&name, seen.lun);
                self.record(ConnectionEventKind::Connected, &name, &seen);
            }
        }
    }

    fn show(&self, host: &str, lun: HostLun) {
        if let Some(volume) = self.state.volumes.get(lun.volume) {
            self.luns.connect(
                host,
                lun.number,
                Lun::new(
                    volume.serial.clone(),
                    self.data.path(&volume.serial),
                    volume.provisioned,
                ),
            );
        }
    }
}

/// Assumed: a real array has no such error.
fn storage(error: &io::Error) -> Refusal {
    Refusal::with_status(
        500,
        format!("The simulator's storage failed: {error}."),
        None,
    )
}

/// The first 16 digits of the array's serials: the first 16 hexadecimal digits of its id, with the
/// top bit set so that none is shown shorter.
fn serial_prefix(id: &str) -> u64 {
    let digits: String = id
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(16)
        .collect();
    u64::from_str_radix(&digits, 16).unwrap_or_default() | 1 << 63
}
