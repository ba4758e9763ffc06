//! What publish hands to attach: how a host reaches a volume, and the proof that it may.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::size::Size;
use crate::volume::{DeviceIdentity, FormatGrant, VolumeId};

/// How a host talks to an array's volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Protocol {
    /// SCSI over TCP.
    Iscsi,
    /// SCSI over Fibre Channel.
    FibreChannel,
    /// NVMe over TCP.
    NvmeTcp,
    /// Network file system.
    Nfs,
    /// A file that a simulator shows, attached by a loop device.
    Loop,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iscsi => "iSCSI",
            Self::FibreChannel => "Fibre Channel",
            Self::NvmeTcp => "NVMe/TCP",
            Self::Nfs => "NFS",
            Self::Loop => "LOOP",
        })
    }
}

/// The names under which a machine's adapters log in to arrays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Initiators {
    /// iSCSI qualified names.
    pub iqns: Vec<String>,
    /// NVMe qualified names.
    pub nqns: Vec<String>,
    /// Fibre Channel world-wide port names, upper case hex without separators.
    pub wwns: Vec<String>,
}

/// A machine, told from every other one even if both are called `localhost`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    name: String,
    machine: String,
    /// Exactly this machine's initiators.
    pub initiators: Initiators,
}

impl Host {
    /// Describes a machine by its host name and the content of `/etc/machine-id`. The machine id
    /// is hashed: systemd's machine-id(5) asks that it is not shown outside the machine.
    #[must_use]
    pub fn new(hostname: &str, machine_id: &str, initiators: Initiators) -> Self {
        let digest = Sha256::digest(format!("fairlead:{}", machine_id.trim()));
        let machine = digest
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            name: host_stem(hostname),
            machine,
            initiators,
        }
    }

    /// The machine's short name with everything but letters, digits and `-` replaced, at most
    /// 54 characters.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Eight hex digits that tell this machine from others of the same name.
    #[must_use]
    pub fn machine(&self) -> &str {
        &self.machine
    }

    /// The name of this machine's object on arrays: `<name>-<machine>`, at most 63 characters.
    #[must_use]
    pub fn object_name(&self) -> String {
        format!("{}-{}", self.name, self.machine)
    }
}

/// The longest host stem: 63 characters of an array's host name less `-` and eight hex digits.
const HOST_STEM_MAX: usize = 54;

fn host_stem(hostname: &str) -> String {
    let short = hostname.split('.').next().unwrap_or_default();
    let mapped: String = short
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(HOST_STEM_MAX)
        .collect();
    let stem = mapped.trim_matches('-');
    if stem.is_empty() {
        "host".to_owned()
    } else {
        stem.to_owned()
    }
}

/// Proof that a publish gave this host, and no other, the volume. A mount made under one nonce
/// must never do I/O under another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Random, new for every publish that gives access.
    pub nonce: Uuid,
    /// The object name of the host that holds it.
    pub host: String,
}

/// The way to the device or export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AccessPath {
    /// SCSI logical unit behind iSCSI portals.
    Iscsi {
        /// The target's qualified name and its portals (`address:port`), in no order.
        targets: Vec<IscsiTarget>,
        /// Logical unit number, 1 to 4095.
        lun: u16,
    },
    /// A simulator's file, named by LUN; `<file>.serial` beside it holds the serial.
    Loop {
        /// Absolute path of the file.
        file: PathBuf,
    },
}

impl AccessPath {
    /// The protocol that this path belongs to.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        match self {
            Self::Iscsi { .. } => Protocol::Iscsi,
            Self::Loop { .. } => Protocol::Loop,
        }
    }
}

/// One iSCSI target port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IscsiTarget {
    /// The target's qualified name.
    pub iqn: String,
    /// `address:port`; IPv6 in brackets.
    pub portal: String,
}

/// Everything a host needs to attach, and nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The volume that was published.
    pub volume: VolumeId,
    /// How to reach it.
    pub path: AccessPath,
    /// What the device must answer before anything touches it.
    pub identity: DeviceIdentity,
    /// The volume's size at publish.
    pub size: Size,
    /// The proof of exclusive access.
    pub grant: Grant,
    /// The format grant as it stands on the array now, read by this publish.
    pub format_grant: Option<FormatGrant>,
}

#[cfg(test)]
mod tests {
    use super::{Host, Initiators};

    #[test]
    fn hosts_of_one_name_differ_by_machine() {
        let one = Host::new("localhost", "aaaa\n", Initiators::default());
        let two = Host::new("localhost.example", "bbbb", Initiators::default());
        assert_eq!(one.name(), two.name());
        assert_ne!(one.object_name(), two.object_name());
        assert!(!one.object_name().contains("aaaa"));
    }

    #[test]
    fn odd_host_names_give_valid_object_names() {
        for name in ["", "-", "a_b.c", &"x".repeat(300), "Ünicode"] {
            let object = Host::new(name, "m", Initiators::default()).object_name();
            assert!(
                object.len() <= 63
                    && object
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || c == '-')
            );
            assert!(
                object.starts_with(|c: char| c.is_ascii_alphanumeric()),
                "{object}"
            );
        }
    }
}
