//! What all handles and tasks of one array share.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::calls::CallLog;
use crate::clock::SimClock;
use crate::config::ArrayConfig;
use crate::faults::Faults;
use crate::flasharray::routes::{self, Route};
use crate::flasharray::state::Refusal;
use crate::flasharray::{Core, Reply, Request, Settings};
use crate::lun_table::LunTable;
use crate::luns::LunMount;
use crate::server::Listener;
use crate::sessions::Sessions;
use crate::store::Identity;

/// Everything of one array. Held by its handles and by the tasks that serve it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: ArrayConfig,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) faults: Faults,
    pub(crate) calls: CallLog,
    pub(crate) sessions: Sessions,
    pub(crate) silent: watch::Sender<bool>,
    pub(super) identity: Identity,
    pub(super) luns: LunTable,
    pub(super) core: Mutex<Core>,
    pub(super) tasks: Mutex<JoinSet<()>>,
    pub(super) address: SocketAddr,
    pub(super) tls: Arc<rustls::ServerConfig>,
    pub(super) listener: tokio::sync::Mutex<Option<Listener>>,
    pub(super) mount: Mutex<Option<LunMount>>,
    pub(super) lun_folder: Option<PathBuf>,
    /// The simulator is gone: nothing brings the array back.
    pub(super) ended: AtomicBool,
    /// Keeps the port while the array is stopped.
    pub(super) _port: TcpSocket,
}

impl Shared {
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) const fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn session_is_good(&self, session: Option<&str>) -> bool {
        session.is_some_and(|session| {
            self.sessions
                .check(session, self.clock.now_ms(), self.config.idle_timeout_ms)
        })
    }

    /// Runs one call in one step.
    pub(crate) fn run(&self, route: &Route, request: &Request) -> Result<Reply, Refusal> {
        let (result, removed) = {
            let mut core = self.core();
            core.space = self.faults.plan().space;
            let result = core
                .expire()
                .and_then(|()| routes::serve(route, &mut core, request));
            (result, core.take_removed())
        };
        if !removed.is_empty()
            && let Some(mount) = &*self.mount.lock().unwrap_or_else(PoisonError::into_inner)
        {
            for serial in removed {
                mount.forget_volume(&serial);
            }
        }
        result
    }

    /// Runs a task that ends with the array.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Whether the simulator is gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Ends everything at once, as if the process were killed.
    pub(crate) fn abort(&self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Ok(mut listener) = self.listener.try_lock()
            && let Some(listener) = listener.take()
        {
            listener.abort();
        }
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .abort_all();
    }
}

pub(super) fn settings(config: &ArrayConfig, id: &str) -> Settings {
    let short: String = id
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(16)
        .collect();
    Settings {
        id: id.to_owned(),
        name: config.name.clone(),
        version: config.purity_version.clone(),
        model: config.model.clone(),
        iqn: config
            .iqn
            .clone()
            .unwrap_or_else(|| format!("iqn.2010-06.com.purestorage:flasharray.{short}")),
        nqn: config
            .nqn
            .clone()
            .unwrap_or_else(|| format!("nqn.2010-06.com.purestorage:flasharray.{short}")),
        ports: config.ports.clone(),
        capacity: config.capacity,
        used: config.used,
        performance: config.performance,
        idle_timeout_ms: config.idle_timeout_ms,
        eradication_delay_ms: config.eradication_delay_ms,
        eradication_disabled: config.eradication_disabled,
        limits: config.limits,
        on_destroy: config.on_destroy,
        refuse_rename_to_own_name: config.refuse_rename_to_own_name,
    }
}

pub(super) fn tls(identity: &Identity) -> io::Result<Arc<rustls::ServerConfig>> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes())
        .map_err(io::Error::other)?;
    let key =
        PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
