//! Putting an engine together.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::attach::Attacher;
use crate::backend::Backend;
use crate::chance::{Chance, SystemChance};
use crate::clock::{Clock, SystemClock};
use crate::engine::callers::Callers;
use crate::engine::doubts::Doubts;
use crate::engine::fleet::Fleet;
use crate::engine::inventory::Known;
use crate::engine::operations::Operations;
use crate::engine::rights::Rights;
use crate::engine::shut_out::ShutOut;
use crate::engine::{Engine, Shared};
use crate::filesystem::Filesystem;
use crate::placement::DefaultSelector;
use crate::select::Selector;
use crate::size::Size;

/// What an engine can be told about defaults and limits.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The size of a volume whose creator gave none: 32 GiB, the predecessor's default.
    pub default_size: Size,
    /// The file system looked for on a volume without a record.
    pub default_filesystem: Filesystem,
    /// How long one array gets to answer one question (look-up, telemetry), retries included.
    /// 20 s: below every orchestrator's limit on the call that waits for it.
    pub ask_limit: Duration,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            default_size: Size::from_gib(32),
            default_filesystem: Filesystem::Xfs,
            ask_limit: Duration::from_secs(20),
        }
    }
}

/// Collects the parts of an [`Engine`].
#[derive(Debug)]
pub struct EngineBuilder {
    backends: Vec<Arc<dyn Backend>>,
    attacher: Arc<dyn Attacher>,
    selector: Arc<dyn Selector>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    draining: HashSet<String>,
    settings: EngineSettings,
}

impl EngineBuilder {
    pub(crate) fn new(backends: Vec<Arc<dyn Backend>>, attacher: Arc<dyn Attacher>) -> Self {
        Self {
            backends,
            attacher,
            selector: Arc::new(DefaultSelector),
            clock: Arc::new(SystemClock),
            chance: Arc::new(SystemChance),
            draining: HashSet::new(),
            settings: EngineSettings::default(),
        }
    }

    /// Replaces the default selector.
    #[must_use]
    pub fn selector(mut self, selector: Arc<dyn Selector>) -> Self {
        self.selector = selector;
        self
    }

    /// Replaces the machine's clock: what the time in a volume's record is read from.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Replaces the operating system's randomness: what nonces, UUIDs and jitter are drawn from.
    #[must_use]
    pub fn chance(mut self, chance: Arc<dyn Chance>) -> Self {
        self.chance = chance;
        self
    }

    /// Names an array, by its endpoint, that takes no new volumes.
    #[must_use]
    pub fn draining(mut self, endpoint: impl Into<String>) -> Self {
        self.draining.insert(endpoint.into());
        self
    }

    /// Replaces the default settings.
    #[must_use]
    pub fn settings(mut self, settings: EngineSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The engine. It does nothing in the background until it is started.
    #[must_use]
    pub fn build(self) -> Arc<Engine> {
        let members = self
            .backends
            .into_iter()
            .map(|backend| {
                let draining = self.draining.contains(backend.endpoint());
                (backend, draining)
            })
            .collect();
        let shared = Shared {
            fleet: Arc::new(Fleet::new(members, self.settings.ask_limit)),
            attacher: self.attacher,
            selector: self.selector,
            clock: self.clock,
            chance: self.chance,
            known: Arc::new(Known::default()),
            settings: self.settings,
            releases: Notify::new(),
            doubts: Doubts::default(),
            shut_out: ShutOut::default(),
            callers: Callers::default(),
            rights: Rights::default(),
            mounted: Mutex::new(HashMap::new()),
            mount_changes: AtomicU64::new(0),
            adopted: Mutex::new(BTreeSet::new()),
        };
        Arc::new(Engine {
            shared: Arc::new(shared),
            operations: Arc::new(Operations::default()),
            background: Mutex::new(JoinSet::new()),
        })
    }
}
