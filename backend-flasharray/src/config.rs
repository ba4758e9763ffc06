//! What one array's backend is made of. Reading it from a file is the adapters' business.

use std::path::PathBuf;
use std::time::Duration;

use storage_core::{Labels, Namespace, Protocol, Secret};
use storage_http::{Limits, RetryPolicy, Timeouts, Trust};

/// How hosts reach this array's volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum San {
    /// SCSI over TCP.
    Iscsi {
        /// Networks in CIDR notation; only portals in one of them are handed to hosts. Empty:
        /// all portals.
        allowed_networks: Vec<String>,
    },
    /// Files that the simulator shows.
    Loop {
        /// The folder with one folder a host: absolute, the same on every host.
        folder: PathBuf,
    },
    /// A transport that cannot be served yet. The array is asked about names and its volumes are
    /// made and removed as on any other; a publish is `Unsupported`.
    NotBuilt(Protocol),
}

/// One array, one namespace.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FlashArrayConfig {
    /// Management address: a host name or IP address, with `:port` where it is not 443.
    pub endpoint: String,
    /// API token of a user who may make volumes, hosts and connections.
    pub token: Secret,
    /// What makes the array's certificate acceptable. Default: the system's authorities.
    pub trust: Trust,
    /// How hosts reach the volumes.
    pub san: San,
    /// Labels of the configuration file. They win over the well-known ones of the same key.
    pub labels: Labels,
    /// Whose volumes this is a view of.
    pub namespace: Namespace,
    /// Time-outs of single calls.
    pub timeouts: Timeouts,
    /// Bounds on what one host takes of the array.
    pub limits: Limits,
    /// When calls are repeated.
    pub retry: RetryPolicy,
    /// How long one operation of the [`storage_core::Backend`] may take with all its calls.
    /// Default 60 s: callers wait less, and what they no longer wait for is finished or backed
    /// out in the background.
    pub operation: Duration,
}

impl FlashArrayConfig {
    /// A configuration with defaults for everything that is not named.
    #[must_use]
    pub fn new(endpoint: impl Into<String>, token: Secret, namespace: Namespace, san: San) -> Self {
        Self {
            endpoint: endpoint.into(),
            token,
            trust: Trust::System,
            san,
            labels: Labels::new(),
            namespace,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            retry: RetryPolicy::default(),
            operation: Duration::from_secs(60),
        }
    }
}
