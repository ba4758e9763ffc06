//! Limits and choices of one array: vendor figures where they are published, configuration where
//! they depend on the model or are not known.

use serde::{Deserialize, Serialize};

/// Sizes are multiples of this many bytes (vendor REST document, `provisioned`).
pub(crate) const SECTOR: u64 = 512;
/// Smaller volumes are raised to this size: 1 MiB (vendor user guide).
pub(crate) const MIN_VOLUME_SIZE: u64 = 1 << 20;
/// 4 PiB (vendor REST document, `provisioned`).
pub(crate) const MAX_VOLUME_SIZE: u64 = 4_503_599_627_370_496;
/// Range of `qos.bandwidth_limit`, bytes per second (vendor REST document).
pub(crate) const BANDWIDTH_LIMIT: std::ops::RangeInclusive<u64> = 1_048_576..=549_755_813_888;
/// Range of `qos.iops_limit`, operations per second (vendor REST document).
pub(crate) const IOPS_LIMIT: std::ops::RangeInclusive<u64> = 100..=100_000_000;
/// LUNs go from 1 to this (vendor REST document, `ConnectionPost.lun`).
pub(crate) const MAX_LUN: u16 = 4095;
/// Shared connections get LUNs from here down to 1, then from the next one up (same place).
pub(crate) const FIRST_SHARED_LUN: u16 = 254;
/// Longest tag key, in characters (vendor REST document, `Tag`).
pub(crate) const MAX_TAG_KEY: usize = 64;
/// Longest tag value, in characters (same place).
pub(crate) const MAX_TAG_VALUE: usize = 256;

/// How many objects the array holds. The true figures depend on the model and are not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// Volumes, destroyed ones included.
    pub volumes: usize,
    /// Snapshots, destroyed ones included.
    pub snapshots: usize,
    /// Hosts.
    pub hosts: usize,
    /// Host groups.
    pub host_groups: usize,
    /// Connections.
    pub connections: usize,
    /// Pods, destroyed ones included.
    pub pods: usize,
    /// Volume groups, destroyed ones included.
    pub volume_groups: usize,
    /// Tags on one volume.
    pub tags_per_volume: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            volumes: 20_000,
            snapshots: 100_000,
            hosts: 2_000,
            host_groups: 500,
            connections: 100_000,
            pods: 250,
            volume_groups: 500,
            tags_per_volume: 64,
        }
    }
}

/// What destroying a volume does to its connections. Not published; the default is what the
/// texts of the array suggest, the others let a client be tried against all three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnDestroy {
    /// The connections are removed at once; recovering the volume does not bring them back.
    #[default]
    Disconnect,
    /// The connections stay listed and can be removed; the hosts' access ends.
    Keep,
    /// The request is refused while there is a connection.
    Refuse,
}

/// Whether the array takes more data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SpaceLeft {
    /// Creation works.
    #[default]
    Enough,
    /// Creation is refused: the array holds as many volumes as it can.
    VolumeLimit,
    /// Creation is refused: no space.
    Full,
}

/// What the rules of the state machine depend on besides the state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) limits: Limits,
    pub(crate) on_destroy: OnDestroy,
    /// A rename to the volume's present name is refused.
    pub(crate) refuse_rename_to_own_name: bool,
    /// How long a destroyed object is kept.
    pub(crate) eradication_delay_ms: u64,
    /// Manual eradication is forbidden (`SafeMode`).
    pub(crate) eradication_disabled: bool,
    pub(crate) space: SpaceLeft,
    pub(crate) now_ms: u64,
    /// The first 16 digits of the array's serials.
    pub(crate) serial_prefix: u64,
}
