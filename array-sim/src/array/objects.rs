//! What is on an array, for tests to look at.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::PoisonError;

use super::Array;
use crate::flasharray::state::{
    Host, HostGroup, Pod, ProtectionGroup, Snapshot, Volume, VolumeGroup,
};
use crate::luns::VolumeIo;

/// A connection as `/connections` lists it, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The volume's name.
    pub volume: String,
    /// The volume's serial.
    pub serial: String,
    /// The host; `None` for a connection of a group without members.
    pub host: Option<String>,
    /// The host group, for a shared connection.
    pub host_group: Option<String>,
    /// LUN, or NSID for a host that speaks NVMe only.
    pub lun: u16,
}

impl Array {
    /// All volumes, destroyed ones too, oldest first.
    #[must_use]
    pub fn volumes(&self) -> Vec<Volume> {
        self.shared.core().state.volumes.iter().cloned().collect()
    }

    /// A volume by name, ignoring case.
    #[must_use]
    pub fn volume(&self, name: &str) -> Option<Volume> {
        self.shared.core().state.volumes.by_name(name).cloned()
    }

    /// All snapshots, destroyed ones too, by full name.
    #[must_use]
    pub fn snapshots(&self) -> BTreeMap<String, Snapshot> {
        let core = self.shared.core();
        let snapshots = core.state.snapshots.iter();
        snapshots
            .map(|snapshot| (core.state.snapshot_name(snapshot), snapshot.clone()))
            .collect()
    }

    /// All hosts, oldest first.
    #[must_use]
    pub fn hosts(&self) -> Vec<Host> {
        self.shared.core().state.hosts.iter().cloned().collect()
    }

    /// All host groups, oldest first.
    #[must_use]
    pub fn host_groups(&self) -> Vec<HostGroup> {
        self.shared.core().state.groups.iter().cloned().collect()
    }

    /// All connections, by volume and host.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let core = self.shared.core();
        let state = &core.state;
        let mut connections: Vec<ConnectionInfo> = state
            .connections
            .iter()
            .flat_map(|connection| state.sides(connection))
            .filter_map(|side| {
                let volume = state.volumes.get(side.connection.volume)?;
                let host = side.host.and_then(|host| state.hosts.get(host));
                let group = side.group.and_then(|group| state.groups.get(group));
                Some(ConnectionInfo {
                    volume: volume.name.clone(),
                    serial: volume.serial.clone(),
                    host: host.map(|host| host.name.clone()),
                    host_group: group.map(|group| group.name.clone()),
                    lun: side.connection.number,
                })
            })
            .collect();
        connections.sort();
        connections
    }

    /// The file with the bytes of a volume or snapshot, by serial. It may be shorter than the
    /// volume; what is missing reads as zeros.
    #[must_use]
    pub fn data_file(&self, serial: &str) -> PathBuf {
        self.shared.core().data.path(serial)
    }

    /// What was read and written on a volume through the LUN folder, by serial, since it was
    /// mounted. `None`: there is no LUN folder.
    #[must_use]
    pub fn volume_io(&self, serial: &str) -> Option<VolumeIo> {
        let mount = self.shared.mount.lock();
        let mount = mount.unwrap_or_else(PoisonError::into_inner);
        mount.as_ref().map(|mount| mount.volume_io(serial))
    }

    /// All pods, destroyed ones too, oldest first.
    #[must_use]
    pub fn pods(&self) -> Vec<Pod> {
        self.shared.core().state.pods.iter().cloned().collect()
    }

    /// All volume groups, destroyed ones too, oldest first.
    #[must_use]
    pub fn volume_groups(&self) -> Vec<VolumeGroup> {
        let core = self.shared.core();
        core.state.volume_groups.iter().cloned().collect()
    }

    /// All protection groups, oldest first.
    #[must_use]
    pub fn protection_groups(&self) -> Vec<ProtectionGroup> {
        let core = self.shared.core();
        core.state.protection_groups.iter().cloned().collect()
    }
}
