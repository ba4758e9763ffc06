//! One simulated array, and the handle by which tests drive it.

mod adjust;
mod objects;
mod shared;

pub use objects::ConnectionInfo;
pub(crate) use shared::Shared;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::calls::{Call, CallLog};
use crate::clock::SimClock;
use crate::config::ArrayConfig;
use crate::events::ConnectionEvent;
use crate::faults::{FaultKind, FaultPlan, FaultRule, Faults};
use crate::flasharray::Core;
use crate::lun_table::{LunOperation, LunTable};
use crate::luns::LunMount;
use crate::server::{Listener, reserve, serve_call};
use crate::sessions::Sessions;
use crate::store::Identity;
use crate::witness::{NameEvent, SharedMoment};

use shared::{settings, tls};

/// Handle of a running array. Clones are the same array.
#[derive(Debug, Clone)]
pub struct Array {
    pub(crate) shared: Arc<Shared>,
}

/// What is needed to open an array, besides its configuration.
pub(crate) struct Place<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) lun_folder: Option<PathBuf>,
    pub(crate) seed: u64,
    pub(crate) log_calls: bool,
}

impl Array {
    pub(crate) async fn open(config: ArrayConfig, place: Place<'_>) -> io::Result<Self> {
        let folder = place.folder;
        std::fs::create_dir_all(folder)?;
        let mut identity = Identity::open(folder, &config.name, config.api_token.as_deref())?;
        let wanted = if config.port == 0 {
            identity.port.unwrap_or(0)
        } else {
            config.port
        };
        let (port, address) = match reserve(SocketAddr::new(config.bind, wanted)).await {
            // The port of the last run was only a preference.
            Err(_) if config.port == 0 && wanted != 0 => {
                reserve(SocketAddr::new(config.bind, 0)).await?
            }
            reserved => reserved?,
        };
        identity.set_port(address.port())?;
        let clock = Arc::new(SimClock::new(config.clock_offset_ms));
        let luns = LunTable::new();
        let core = Core::open(
            folder,
            settings(&config, &identity.id),
            Arc::clone(&clock),
            luns.clone(),
        )?;
        let calls = CallLog::default();
        if place.log_calls {
            calls.write_to(&folder.join("rest.log"))?;
        }
        let mount = match &place.lun_folder {
            Some(folder) => Some(crate::luns::mount(luns.clone(), folder)?),
            None => None,
        };
        let array = Self {
            shared: Arc::new(Shared {
                faults: Faults::new(place.seed, &config.name, FaultPlan::default()),
                calls,
                sessions: Sessions::default(),
                silent: watch::Sender::new(false),
                tls: tls(&identity)?,
                luns,
                core: Mutex::new(core),
                tasks: Mutex::new(JoinSet::new()),
                address,
                listener: tokio::sync::Mutex::new(None),
                mount: Mutex::new(mount),
                lun_folder: place.lun_folder,
                ended: AtomicBool::new(false),
                _port: port,
                identity,
                clock,
                config,
            }),
        };
        array.seed_protection_groups()?;
        array.set_faults(array.shared.config.faults.clone());
        array.start().await?;
        Ok(array)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.config.name
    }

    /// Its id, a uuid, as `/arrays` says.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.shared.identity.id
    }

    /// `https://127.0.0.1:PORT`, the same for its whole life.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.shared.address)
    }

    /// Where it listens when it is not stopped.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// The API token that it accepts.
    #[must_use]
    pub fn api_token(&self) -> &str {
        &self.shared.identity.api_token
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.shared.identity.certificate_pem
    }

    /// Where its certificate lies.
    #[must_use]
    pub fn certificate_path(&self) -> &Path {
        &self.shared.identity.certificate_path
    }

    /// SHA-256 of its certificate (DER), lower-case hexadecimal without separators.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.shared.identity.fingerprint
    }

    /// Where its LUNs are shown as files, if they are.
    #[must_use]
    pub fn lun_folder(&self) -> Option<&Path> {
        self.shared.lun_folder.as_deref()
    }

    /// Which host sees what; also the faults and counters of the data path.
    #[must_use]
    pub fn luns(&self) -> &LunTable {
        &self.shared.luns
    }

    /// Listens again after [`Array::stop`]. Does nothing if it listens.
    ///
    /// # Errors
    /// If the port cannot be bound.
    pub async fn start(&self) -> io::Result<()> {
        let mut listener = self.shared.listener.lock().await;
        if listener.is_some() {
            return Ok(());
        }
        let router = Router::new()
            .fallback(serve_call)
            .with_state(Arc::clone(&self.shared));
        *listener = Some(Listener::start(
            self.shared.address,
            Arc::clone(&self.shared.tls),
            self.shared.silent.subscribe(),
            router,
        )?);
        Ok(())
    }

    /// Stops listening and ends all connections; new ones are refused until [`Array::start`].
    /// Calls that are running are dropped where they wait, and late ones never take effect. State
    /// and sessions stay; so does the data path.
    pub async fn stop(&self) {
        let listener = self.shared.listener.lock().await.take();
        let tasks = {
            let mut tasks = self
                .shared
                .tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *tasks)
        };
        drop(tasks);
        if let Some(listener) = listener {
            listener.stop().await;
        }
    }

    /// In silence connections are accepted and nothing is ever answered. What arrived in silence
    /// is not served when it ends.
    pub fn set_silent(&self, silent: bool) {
        self.shared.silent.send_replace(silent);
    }

    /// The faults in force.
    #[must_use]
    pub fn faults(&self) -> FaultPlan {
        self.shared.faults.plan()
    }

    /// Replaces the faults in force. Rules stay.
    pub fn set_faults(&self, plan: FaultPlan) {
        let luns = self.shared.luns.faults();
        luns.set_delay(
            LunOperation::Read,
            Duration::from_millis(plan.luns.read_delay_ms),
        );
        luns.set_delay(
            LunOperation::Write,
            Duration::from_millis(plan.luns.write_delay_ms),
        );
        luns.fail_all(LunOperation::Read, plan.luns.fail_reads);
        luns.fail_all(LunOperation::Write, plan.luns.fail_writes);
        self.shared.faults.set_plan(plan);
    }

    /// Adds a fault for certain calls.
    pub fn add_rule(&self, rule: FaultRule) {
        self.shared.faults.add_rule(rule);
    }

    /// Ends all faults and rules, of the data path too, and releases held calls.
    pub fn clear_faults(&self) {
        self.set_faults(FaultPlan::default());
        self.shared.luns.faults().clear();
        self.shared.faults.clear();
    }

    /// How often each kind of fault struck.
    #[must_use]
    pub fn fault_counts(&self) -> BTreeMap<FaultKind, u64> {
        self.shared.faults.counts()
    }

    /// How many calls a rule holds right now.
    #[must_use]
    pub fn held_calls(&self) -> usize {
        self.shared.faults.held()
    }

    /// Lets the calls go on that are held right now.
    pub fn release_held(&self) {
        self.shared.faults.release();
    }

    /// Ends all sessions: the next call of each client is answered with 401.
    pub fn expire_sessions(&self) {
        self.shared.sessions.close_all();
    }

    /// The tokens of the open sessions, for tests that search what a client writes for them.
    #[must_use]
    pub fn session_tokens(&self) -> Vec<String> {
        self.shared.sessions.tokens()
    }

    /// How many sessions are open.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.shared.sessions.count()
    }

    /// Sets the array's clock forward: sessions age, and what is pending eradication goes when
    /// its time is up.
    pub fn advance_clock(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    /// The array's clock, milliseconds since the epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.shared.clock.now_ms()
    }

    /// The calls so far, oldest first; logins and discovery too.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.all()
    }

    /// The calls so far, which are then forgotten, counters too.
    #[must_use]
    pub fn take_calls(&self) -> Vec<Call> {
        self.shared.calls.take()
    }

    /// How many calls there were of each kind: `GET volumes` and so on.
    #[must_use]
    pub fn call_counts(&self) -> BTreeMap<String, u64> {
        self.shared.calls.counts()
    }

    /// The largest number of calls that ran at once since the log was last taken.
    #[must_use]
    pub fn peak_calls(&self) -> usize {
        self.shared.calls.peak()
    }

    /// Every change of a host's access to a volume since the start, oldest first.
    #[must_use]
    pub fn connection_events(&self) -> Vec<ConnectionEvent> {
        self.shared.core().audit.all()
    }

    /// Every moment since the start from which more than one host could reach a volume, oldest
    /// first.
    #[must_use]
    pub fn shared_moments(&self) -> Vec<SharedMoment> {
        self.shared.core().witness.shared()
    }

    /// Every change of a volume's name since the start, beginning with the names that were there,
    /// oldest first.
    #[must_use]
    pub fn name_events(&self) -> Vec<NameEvent> {
        self.shared.core().witness.names()
    }

    /// Unmounts the LUN folder, if there is one.
    ///
    /// # Errors
    /// If it is busy, or cannot be unmounted.
    pub fn unmount_luns(&self) -> io::Result<()> {
        let mount = self
            .shared
            .mount
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        mount.map_or(Ok(()), LunMount::unmount)
    }
}
