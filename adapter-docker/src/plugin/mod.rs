//! The protocol's calls on the engine, the mount counts and the name cache.
//!
//! One method a call, each in the file of its name; this file holds what they share. A call runs
//! to its end in a task of its own, whether or not the caller still listens.

pub(crate) mod answer;
mod answers;
mod create;
mod gate;
mod get;
mod mounting;
mod reconcile;
mod remove;
mod status;

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use storage_core::{Engine, Namespace, OptionDefaults, Result, VolumeName};
use thiserror::Error;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::answers::Answers;
use self::gate::Gate;
use self::get::Listing;
use crate::error;
use crate::message::{self, Call};
use crate::state::{MountCounts, Mounts, NameCache, StateLock, UsedIds};
use crate::swarm::SwarmProbe;

/// Docker gives Create and Mount 120 s and everything else 60 s (moby, volume/drivers/proxy.go);
/// an answer that comes just before is better than none.
const SLOW_CALL: Duration = Duration::from_secs(110);
const QUICK_CALL: Duration = Duration::from_secs(50);

/// What a plugin is made of.
#[derive(Clone, Debug)]
pub struct PluginSettings {
    /// The namespace that names of files are made with.
    pub namespace: Namespace,
    /// What a volume gets when its options do not say.
    pub defaults: OptionDefaults,
    /// Folder for mount counts and the name cache.
    pub state: PathBuf,
    /// Nobody chose the namespace, so that it is this host's alone.
    pub own_namespace: bool,
    /// Where to look for a Swarm.
    pub swarm: SwarmProbe,
    /// Longest time until a call is answered, where Docker's own limits are not shorter.
    pub answer_within: Duration,
    /// Docker starts and stops this plugin with its daemon, and never activates it.
    pub managed: bool,
    /// Whether a container that is new on this host may take a volume from the host that has it.
    pub preempt: bool,
}

/// Why a plugin could not begin.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process uses the folder.
    #[error("{} is in use by another process: is the plugin running already?", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder cannot be used.
    #[error("the state folder {} cannot be used", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Who calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peer {
    /// Process id, as the kernel knows it; `None` from another process namespace.
    pub pid: Option<i32>,
}

/// What to do with a call's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Send this JSON with that status.
    Answer(StatusCode, Bytes),
    /// Close the connection without an answer: the daemon then keeps what it knows.
    HangUp,
}

/// The plugin, without its socket.
#[derive(Debug)]
pub struct Plugin {
    engine: Arc<Engine>,
    defaults: OptionDefaults,
    /// Where to look for a Swarm, which a namespace of this host's own does not suit.
    swarm: Option<SwarmProbe>,
    answer_within: Duration,
    managed: bool,
    preempt: bool,
    counts: MountCounts,
    answers: Answers,
    names: NameCache,
    gate: Gate,
    /// The last answer to List.
    listing: Mutex<Option<Listing>>,
    /// Volumes without mounts that may still be mounted on the host: to be unmounted.
    unreleased: Mutex<HashSet<VolumeName>>,
    /// Volumes of which it was logged that they could not be looked up.
    doubted: Mutex<HashSet<VolumeName>>,
    /// Wakes the reconciler.
    attention: Notify,
    /// When the present daemon began, as far as it told.
    epoch: Mutex<Instant>,
    background: Mutex<JoinSet<()>>,
    _lock: StateLock,
}

impl Plugin {
    /// Opens the state on disk. Nothing is asked of any array.
    ///
    /// # Errors
    /// When another process has the folder, or the file system refuses.
    pub async fn open(
        engine: Arc<Engine>,
        settings: PluginSettings,
    ) -> Result<Arc<Self>, OpenError> {
        let folder = settings.state.join("docker");
        let failed = |source: io::Error| OpenError::Folder {
            folder: folder.clone(),
            source,
        };
        make_private(&folder).map_err(failed)?;
        let lock = StateLock::take(&folder).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse {
                folder: folder.clone(),
            },
            _ => failed(source),
        })?;
        let used = UsedIds::open(folder.join("used-ids"), settings.namespace.clone())
            .await
            .map_err(failed)?;
        let counts = MountCounts::open(folder.join("mounts"), settings.namespace, used)
            .await
            .map_err(failed)?;
        Ok(Arc::new(Self {
            engine,
            defaults: settings.defaults,
            swarm: settings.own_namespace.then_some(settings.swarm),
            answer_within: settings.answer_within,
            managed: settings.managed,
            preempt: settings.preempt,
            counts,
            answers: Answers::default(),
            names: NameCache::open(folder.join("names.json")).await,
            gate: Gate::default(),
            listing: Mutex::new(None),
            unreleased: Mutex::new(HashSet::new()),
            doubted: Mutex::new(HashSet::new()),
            attention: Notify::new(),
            epoch: Mutex::new(Instant::now()),
            background: Mutex::new(JoinSet::new()),
            _lock: lock,
        }))
    }

    /// Compares counts with what is mounted, and begins the background work.
    ///
    /// # Errors
    /// When the host's ledger cannot be read.
    pub async fn start(self: &Arc<Self>) -> Result<()> {
        self.engine.start().await?;
        self.compare_with_host().await?;
        let mut background = self
            .background
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let plugin = Arc::clone(self);
        background.spawn(async move { plugin.reconcile_for_ever().await });
        let plugin = Arc::clone(self);
        background.spawn(async move { plugin.names.keep_written().await });
        let plugin = Arc::clone(self);
        background.spawn(async move { plugin.note_answers_for_ever().await });
        Ok(())
    }

    /// Ends the background work and the engine's, waiting at most so long. Mounts stay mounted.
    /// Returns whether everything had ended.
    pub async fn stop(&self, limit: Duration) -> bool {
        let mut background = std::mem::take(
            &mut *self
                .background
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        background.shutdown().await;
        // What is not noted stays as from before, which is harmless; a stop that is killed is not.
        drop(tokio::time::timeout(limit, self.note_answers()).await);
        self.names.write().await;
        self.engine.stop(limit).await
    }

    /// Answers a call.
    pub(crate) async fn call(self: Arc<Self>, call: Call, body: &[u8], peer: Peer) -> Reply {
        let began = Instant::now();
        let quick = began + QUICK_CALL.min(self.answer_within);
        let slow = began + SLOW_CALL.min(self.answer_within);
        crash_points::point!("docker.call.before", call.as_str());
        let result = match call {
            Call::Activate => self.activate().await,
            Call::Capabilities => Ok(answer::capabilities()),
            Call::List => Ok(self.list()),
            Call::Get => self.get(body, quick).await,
            Call::Create => self.create(body, peer, slow).await.map(done),
            Call::Mount => self
                .mount(body, slow)
                .await
                .map(|path| answer::mountpoint(&path)),
            Call::Unmount => self.unmount(body, quick).await.map(done),
            Call::Path => self.path(body).map(|path| answer::mountpoint(&path)),
            Call::Remove => self.remove(body, quick).await.map(done),
        };
        let reply = result.unwrap_or_else(|error| refused(call, body, &error));
        let elapsed_ms = began.elapsed().as_millis();
        tracing::debug!(call = call.as_str(), elapsed_ms, "answered");
        crash_points::point!("docker.call.after", call.as_str());
        reply
    }

    fn unreleased(&self) -> std::sync::MutexGuard<'_, HashSet<VolumeName>> {
        self.unreleased
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn done((): ()) -> Reply {
    answer::error(StatusCode::OK, "")
}

fn refused(call: Call, body: &[u8], error: &storage_core::Error) -> Reply {
    let volume = message::named(body).unwrap_or_default();
    tracing::info!(call = call.as_str(), volume, error = %error.chain(), kind = %error.kind(), "refused");
    answer::error(error::status(error.kind()), &error::text(error))
}

/// Reads a request, with the error that the caller is to see.
fn parse<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T> {
    message::parse(body)
        .map_err(|text| storage_core::Error::new(storage_core::ErrorKind::InvalidArgument, text))
}

/// Makes a folder that nobody else can look into.
fn make_private(folder: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}
