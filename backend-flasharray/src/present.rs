//! Who is connected to a volume, read from its connections, and the refusals that name them.

use storage_core::{Error, ErrorKind, Result, VolumeName};

use crate::api::WireConnection;
use crate::hosts::machine_of;

/// Who is connected to a volume.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Present {
    /// This host's private connection: its LUN.
    pub(crate) own: Option<Option<u64>>,
    /// Other hosts.
    pub(crate) hosts: Vec<String>,
    /// Host groups.
    pub(crate) groups: Vec<String>,
}

impl Present {
    pub(crate) fn of(connections: &[WireConnection], host: &str) -> Self {
        let mut present = Self::default();
        for connection in connections {
            if let Some(group) = &connection.host_group.name {
                if !present.groups.contains(group) {
                    present.groups.push(group.clone());
                }
            } else if let Some(name) = &connection.host.name {
                if name.eq_ignore_ascii_case(host) {
                    present.own = Some(connection.lun);
                } else {
                    present.hosts.push(name.clone());
                }
            }
        }
        present
    }

    /// Nobody but perhaps this host.
    pub(crate) const fn alone(&self) -> bool {
        self.hosts.is_empty() && self.groups.is_empty()
    }

    /// The refusal that names whoever else has the volume, and the way out.
    pub(crate) fn held(&self, volume: &VolumeName) -> Error {
        let message = if let Some(group) = self.groups.first() {
            format!("host group {group} has the volume: an administrator connected it")
        } else {
            let hosts = self.hosts.join(", ");
            match self.hosts.iter().find(|host| machine_of(host).is_some()) {
                Some(host) if self.hosts.iter().all(|host| machine_of(host).is_some()) => format!(
                    "host {hosts} has the volume; it has to be unmounted there, or, if that host is dead: `fairlead volume release {volume} --host {host}`"
                ),
                _ => format!("host {hosts}, which Fairlead did not make, has the volume"),
            }
        };
        Error::new(ErrorKind::FailedPrecondition, message)
    }

    /// The refusal after a race.
    pub(crate) fn busy(&self) -> Error {
        let others: Vec<&str> = self
            .hosts
            .iter()
            .chain(&self.groups)
            .map(String::as_str)
            .collect();
        Error::new(
            ErrorKind::Busy,
            format!(
                "{} asked for the volume at the same time",
                others.join(", ")
            ),
        )
    }

    /// This host's LUN.
    pub(crate) fn lun(&self) -> Result<u16> {
        let lun = self.own.flatten().and_then(|lun| u16::try_from(lun).ok());
        lun.ok_or_else(|| {
            Error::new(
                ErrorKind::FailedPrecondition,
                "the connection has no LUN: the host object is set up for another protocol",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use storage_core::VolumeName;

    use super::Present;
    use crate::api::{Reference, WireConnection};

    fn wire(host: &str, group: &str, lun: u64) -> WireConnection {
        let reference = |name: &str| Reference {
            id: None,
            name: (!name.is_empty()).then(|| name.to_owned()),
        };
        WireConnection {
            host: reference(host),
            host_group: reference(group),
            volume: Reference::default(),
            lun: Some(lun),
        }
    }

    #[test]
    fn a_host_is_alone_only_without_groups() {
        let own = Present::of(&[wire("A-00000000", "", 7)], "a-00000000");
        assert!(own.alone() && own.lun().unwrap() == 7);
        let by_group = Present::of(&[wire("a-00000000", "cluster", 7)], "a-00000000");
        assert!(!by_group.alone() && by_group.own.is_none());
        let name = VolumeName::new("v").unwrap();
        assert!(by_group.held(&name).to_string().contains("cluster"));
        let other = Present::of(&[wire("esx", "", 1)], "a-00000000");
        assert!(
            other
                .held(&name)
                .to_string()
                .contains("esx, which Fairlead did not make")
        );
    }
}
