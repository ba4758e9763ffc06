//! The records of an array: plain data, as the journal stores them and tests look at them.
//!
//! Records refer to each other by sequence number, not by name, so that a rename touches one
//! record. They are the simulator's own view; how REST shows them is in `view`.

use serde::{Deserialize, Serialize};

use super::rules::Rules;
use super::table::Record;

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Volume {
    /// Place in the order of creation among all records of the array.
    pub sequence: u64,
    /// A uuid, the array's own id of the object.
    pub id: String,
    /// The name as it was given; looked up ignoring case.
    pub name: String,
    /// 24 upper-case hexadecimal digits.
    pub serial: String,
    /// Size in bytes.
    pub provisioned: u64,
    /// Milliseconds since the epoch, by the array's clock.
    pub created_ms: u64,
    /// Set while the volume is pending eradication.
    pub destroyed: Option<Destroyed>,
    /// What it was copied from.
    pub source: Option<Origin>,
    /// Limits.
    pub qos: Qos,
    /// Tags, in no order that matters.
    pub tags: Vec<Tag>,
    /// `regular` or `protocol_endpoint`.
    pub subtype: String,
    /// Whether `requested_promotion_state` is `demoted`.
    pub demoted: bool,
    /// Operator and value of the priority adjustment.
    pub priority_adjustment: (String, i64),
    /// The number that the next snapshot without a suffix gets.
    pub next_suffix: u64,
}

/// Since when, and until when, an object is pending eradication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Destroyed {
    /// Milliseconds since the epoch, by the array's clock.
    pub at_ms: u64,
    /// When the array eradicates it by itself.
    pub eradicate_at_ms: u64,
    /// For a snapshot: destroyed because its volume was, and recovered with it.
    pub with_volume: bool,
    /// For a volume or volume group: destroyed because its pod or volume group was, and recovered
    /// with it.
    #[serde(default)]
    pub with_container: bool,
}

impl Destroyed {
    /// From now on, for as long as the array keeps things.
    pub(super) const fn now(rules: &Rules) -> Self {
        Self {
            at_ms: rules.now_ms,
            eradicate_at_ms: rules.now_ms.saturating_add(rules.eradication_delay_ms),
            with_volume: false,
            with_container: false,
        }
    }
}

/// A reference to what a volume was copied from, which may be gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Origin {
    /// Id of the volume.
    pub id: String,
    /// Its name when the copy was made.
    pub name: String,
}

/// Limits of a volume; `None` means unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Qos {
    /// Bytes per second.
    pub bandwidth_limit: Option<u64>,
    /// Operations per second.
    pub iops_limit: Option<u64>,
}

/// A tag of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tag {
    /// Category of the key; `default` unless given.
    pub namespace: String,
    /// At most 64 characters.
    pub key: String,
    /// At most 256 characters.
    pub value: String,
    /// Whether copies of the volume get the tag too.
    pub copyable: bool,
}

/// A snapshot of one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// Place in the order of creation among all records of the array.
    pub sequence: u64,
    /// A uuid.
    pub id: String,
    /// Sequence number of the volume. The snapshot's name is the volume's current name, a dot, and
    /// the suffix.
    pub volume: u64,
    /// The part of the name after the dot.
    pub suffix: String,
    /// 24 upper-case hexadecimal digits, from the same counter as volumes.
    pub serial: String,
    /// Size in bytes of the volume when the snapshot was taken.
    pub provisioned: u64,
    /// Milliseconds since the epoch, by the array's clock.
    pub created_ms: u64,
    /// Set while the snapshot is pending eradication.
    pub destroyed: Option<Destroyed>,
    /// The volume's copyable tags when the snapshot was taken.
    pub tags: Vec<Tag>,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Host {
    /// Place in the order of creation among all records of the array.
    pub sequence: u64,
    /// The name as it was given; looked up ignoring case.
    pub name: String,
    /// iSCSI names.
    pub iqns: Vec<String>,
    /// NVMe names.
    pub nqns: Vec<String>,
    /// Fibre Channel names, upper case with colons.
    pub wwns: Vec<String>,
    /// CHAP user of the host; secrets are accepted and never stored.
    pub chap_host_user: Option<String>,
    /// CHAP user of the target.
    pub chap_target_user: Option<String>,
    /// Whether a CHAP secret of the host, and one of the target, was given.
    pub chap_secrets: (bool, bool),
    /// Operating system, if set.
    pub personality: Option<String>,
    /// `any`, `untagged` or a number, if set.
    pub vlan: Option<String>,
    /// Sequence number of its host group.
    pub group: Option<u64>,
}

impl Host {
    /// All initiator names.
    pub fn initiators(&self) -> impl Iterator<Item = &str> {
        self.iqns
            .iter()
            .chain(&self.nqns)
            .chain(&self.wwns)
            .map(String::as_str)
    }

    /// Whether the host speaks NVMe only: its connections have an NSID and no LUN.
    #[must_use]
    pub const fn is_nvme(&self) -> bool {
        !self.nqns.is_empty() && self.iqns.is_empty() && self.wwns.is_empty()
    }
}

/// A host group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HostGroup {
    /// Place in the order of creation among all records of the array.
    pub sequence: u64,
    /// The name as it was given; looked up ignoring case.
    pub name: String,
}

/// A connection of a volume to a host or to a host group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Connection {
    /// Place in the order of creation among all records of the array.
    pub sequence: u64,
    /// Sequence number of the volume.
    pub volume: u64,
    /// To whom.
    pub target: ConnectionTarget,
    /// LUN, or NSID for a host that speaks NVMe only.
    pub number: u16,
}

/// To whom a volume is connected, by sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ConnectionTarget {
    /// One host (a private connection).
    Host(u64),
    /// All members of a host group (a shared connection).
    Group(u64),
}

impl Record for Volume {
    fn sequence(&self) -> u64 {
        self.sequence
    }
    fn name_key(&self) -> Option<String> {
        Some(self.name.to_ascii_lowercase())
    }
    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }
}

impl Record for Snapshot {
    fn sequence(&self) -> u64 {
        self.sequence
    }
    fn name_key(&self) -> Option<String> {
        Some(Self::key(self.volume, &self.suffix))
    }
    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }
}

impl Snapshot {
    /// The key of a snapshot by its volume's sequence number and its suffix.
    pub(crate) fn key(volume: u64, suffix: &str) -> String {
        format!("{volume}.{}", suffix.to_ascii_lowercase())
    }
}

impl Record for Host {
    fn sequence(&self) -> u64 {
        self.sequence
    }
    fn name_key(&self) -> Option<String> {
        Some(self.name.to_ascii_lowercase())
    }
    fn id(&self) -> Option<&str> {
        None
    }
}

impl Record for HostGroup {
    fn sequence(&self) -> u64 {
        self.sequence
    }
    fn name_key(&self) -> Option<String> {
        Some(self.name.to_ascii_lowercase())
    }
    fn id(&self) -> Option<&str> {
        None
    }
}

impl Record for Connection {
    fn sequence(&self) -> u64 {
        self.sequence
    }
    fn name_key(&self) -> Option<String> {
        None
    }
    fn id(&self) -> Option<&str> {
        None
    }
}
