//! Changes, and plans made of them.

use serde::{Deserialize, Serialize};

use super::State;
use super::containers::{Pod, VolumeGroup};
use super::model::{Connection, Host, HostGroup, Snapshot, Volume};
use super::protection::ProtectionGroup;
use super::rules::Rules;

/// One step of the state, as the journal keeps it: a record to store in place of the one with the
/// same sequence number, or one to drop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    Counters { sequence: u64, serial: u32 },
    Volume(Volume),
    VolumeGone(u64),
    Snapshot(Snapshot),
    SnapshotGone(u64),
    Host(Host),
    HostGone(u64),
    Group(HostGroup),
    GroupGone(u64),
    Connection(Connection),
    ConnectionGone(u64),
    Pod(Pod),
    PodGone(u64),
    VolumeGroup(VolumeGroup),
    VolumeGroupGone(u64),
    ProtectionGroup(ProtectionGroup),
    ProtectionGroupGone(u64),
}

/// What a change does to the files that hold the volumes' bytes, by serial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DataStep {
    /// An empty volume. Before the change is recorded.
    Create(String),
    /// A copy under a new serial. Before the change is recorded.
    Copy { from: String, to: String },
    /// The bytes of an existing volume are replaced: copied aside before the change is recorded,
    /// and put in place after.
    Replace { from: String, to: String },
    /// The volume ends here. After the change is recorded.
    Truncate { serial: String, size: u64 },
    /// The bytes are gone. After the change is recorded.
    Remove(String),
}

/// What a request would do.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) changes: Vec<Change>,
    pub(crate) data: Vec<DataStep>,
    /// Sequence numbers of the records that the answer shows, in the order of the request.
    pub(crate) touched: Vec<u64>,
    next_sequence: u64,
    next_serial: u32,
}

impl Plan {
    pub(crate) fn new(state: &State) -> Self {
        Self {
            next_sequence: state.next_sequence(),
            next_serial: state.next_serial(),
            ..Self::default()
        }
    }

    /// A sequence number that no record has or had.
    pub(crate) fn sequence(&mut self) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.note_counters();
        sequence
    }

    /// A serial that no volume or snapshot has or had: 16 digits of the array, 8 of a counter.
    pub(crate) fn serial(&mut self, rules: &Rules) -> String {
        let serial = format!(
            "{:016X}{:08X}",
            rules.serial_prefix,
            // Samples from real arrays begin about here.
            self.next_serial.wrapping_add(0x0001_1010)
        );
        self.next_serial = self.next_serial.wrapping_add(1);
        self.note_counters();
        serial
    }

    fn note_counters(&mut self) {
        let counters = Change::Counters {
            sequence: self.next_sequence,
            serial: self.next_serial,
        };
        match self.changes.first_mut() {
            Some(first @ Change::Counters { .. }) => *first = counters,
            _ => self.changes.insert(0, counters),
        }
    }
}
