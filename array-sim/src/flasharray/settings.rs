//! What the configuration says about one `FlashArray`, besides its records.

use serde::{Deserialize, Serialize};

use super::figures::Performance;
use super::state::{Limits, OnDestroy};

/// A target port, as `/ports` and `/network-interfaces` show it. One of `portal` (with or without
/// `nvme`) and `wwn` makes sense.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Port {
    /// Upper case, `CT0.ETH4` or `CT0.FC0`.
    pub name: String,
    /// `address:port` of an iSCSI or NVMe/TCP portal; an IPv6 address in brackets.
    #[serde(default)]
    pub portal: Option<String>,
    /// The portal speaks NVMe/TCP instead of iSCSI.
    #[serde(default)]
    pub nvme: bool,
    /// Name of a Fibre Channel port.
    #[serde(default)]
    pub wwn: Option<String>,
    /// Whether the interface is enabled.
    #[serde(default = "yes")]
    pub enabled: bool,
}

const fn yes() -> bool {
    true
}

impl Port {
    /// An iSCSI portal, `address:port`.
    #[must_use]
    pub fn iscsi(name: impl Into<String>, portal: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            portal: Some(portal.into()),
            nvme: false,
            wwn: None,
            enabled: true,
        }
    }

    /// An NVMe/TCP portal, `address:port`.
    #[must_use]
    pub fn nvme_tcp(name: impl Into<String>, portal: impl Into<String>) -> Self {
        Self {
            nvme: true,
            ..Self::iscsi(name, portal)
        }
    }

    /// A Fibre Channel port.
    #[must_use]
    pub fn fibre_channel(name: impl Into<String>, wwn: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            portal: None,
            nvme: false,
            wwn: Some(wwn.into()),
            enabled: true,
        }
    }
}

/// Configuration of one array as its routes need it.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) model: String,
    pub(crate) iqn: String,
    pub(crate) nqn: String,
    pub(crate) ports: Vec<Port>,
    /// Bytes.
    pub(crate) capacity: u64,
    /// Bytes in use besides what the simulated volumes hold.
    pub(crate) used: u64,
    pub(crate) performance: Performance,
    pub(crate) idle_timeout_ms: u64,
    pub(crate) eradication_delay_ms: u64,
    pub(crate) eradication_disabled: bool,
    pub(crate) limits: Limits,
    pub(crate) on_destroy: OnDestroy,
    pub(crate) refuse_rename_to_own_name: bool,
}
