//! The attacher as the engine sees it: a lock a volume, a thread an operation, a deadline a call.
//! What is done, and in which order, is in [`crate::attach`] and [`crate::teardown`].

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use storage_core::{
    AdoptVolume, ArrayId, AttachVolume, Attacher, Attachment, AttachmentState, Error, ErrorKind,
    HeldVolume, Host, Outcome, Protocol, Result, Size, Unrecorded, Volume, VolumeId,
};

use crate::blocking::{Progress, Workers};
use crate::connector::LoopConnector;
use crate::intents::Intents;
use crate::ledger::{Key, Ledger, Record};
use crate::locks::KeyLocks;
use crate::looks::Looks;
use crate::machine::{Machine, attachment};
use crate::mount::MountFolder;
use crate::runner::Runner;
use crate::steps::{Observer, Steps};

/// Threads for operations that change the host, and again as many for looks at it.
const THREADS_MAX: usize = 64;

/// How long a glance at all volumes waits for those that do not answer: it takes milliseconds.
const GLANCE_PATIENCE: Duration = Duration::from_secs(5);

/// How long each of several volumes is waited for once the others have used up the time for all.
const WAIT_LEAST: Duration = Duration::from_millis(250);

/// How long a look at one volume takes at most: it has a busy device write back what is cached.
const STATUS_PATIENCE: Duration = Duration::from_secs(60);

/// What an attacher needs to know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The ledger's folder's parent, made with mode 0700. One attacher at a time owns it.
    pub state_dir: PathBuf,
    /// Where volumes are mounted; `mounts` in the state folder by default.
    pub mounts_dir: Option<PathBuf>,
    /// This machine.
    pub host: Host,
    /// The folders searched for tools (mkfs and the like); the usual four by default.
    pub tool_dirs: Vec<PathBuf>,
    /// How long a call waits. The work goes on after that.
    pub patience: Duration,
    /// How long healing, also before a publish, waits for fenced volumes to be taken down. That
    /// goes on after it, too. The default is a little more than one teardown waits for whoever is
    /// in its way.
    pub healing_patience: Duration,
    /// Sees every step; for tests.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Config {
    /// The usual settings for a machine with this state folder.
    #[must_use]
    pub fn new(state_dir: impl Into<PathBuf>, host: Host) -> Self {
        Self {
            state_dir: state_dir.into(),
            mounts_dir: None,
            host,
            tool_dirs: Vec::new(),
            patience: Duration::from_secs(900),
            healing_patience: Duration::from_secs(20),
            observer: None,
        }
    }
}

/// Attaches volumes to this Linux machine.
#[derive(Debug)]
pub struct LinuxAttacher {
    machine: Arc<Machine>,
    intents: Arc<Intents>,
    changes: Workers,
    looks: Workers,
    looking: Looks,
    patience: Duration,
    healing_patience: Duration,
}

impl LinuxAttacher {
    /// Takes the state folder into possession. Changes nothing else on the host.
    ///
    /// # Errors
    /// `FailedPrecondition` when another process works with this folder; otherwise when a folder
    /// cannot be made.
    pub fn open(config: Config) -> Result<Arc<Self>> {
        let ledger = Ledger::open(&config.state_dir)?;
        let intents = Intents::open(&config.state_dir)?;
        let mounts = MountFolder::open(
            &config
                .mounts_dir
                .unwrap_or_else(|| config.state_dir.join("mounts")),
        )?;
        let runner = if config.tool_dirs.is_empty() {
            Runner::default()
        } else {
            Runner::new(config.tool_dirs)
        };
        let machine = Machine {
            loop_device: LoopConnector::new(&config.host),
            host: config.host,
            ledger,
            mounts,
            runner,
            steps: Steps::new(config.observer),
            locks: KeyLocks::default(),
            healed: Mutex::default(),
        };
        Ok(Arc::new(Self {
            machine: Arc::new(machine),
            intents: Arc::new(intents),
            changes: Workers::new(THREADS_MAX),
            looks: Workers::new(THREADS_MAX),
            looking: Looks::default(),
            patience: config.patience,
            healing_patience: config.healing_patience.min(config.patience),
        }))
    }

    /// How many operations run, or hang in the kernel, now.
    #[must_use]
    pub fn busy_threads(&self) -> usize {
        self.changes.busy() + self.looks.busy()
    }

    /// Runs one change under the volume's lock. Lock and work go on when the caller leaves.
    async fn change<T, W>(&self, operation: &'static str, volume: &VolumeId, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Machine, &Progress) -> Result<T> + Send + 'static,
    {
        let key = Key::of(volume);
        let begun = tokio::time::Instant::now();
        let turn = tokio::time::timeout(self.patience, self.machine.locks.lock(&key))
            .await
            .map_err(|elapsed| {
                let doing = self.machine.locks.doing(&key);
                Error::new(
                    ErrorKind::Busy,
                    format!("an earlier operation on this volume is not done yet: {doing}"),
                )
                .with_operation(operation)
                .with_context("volume", volume.to_string())
                .with_source(elapsed)
            })?;
        let machine = Arc::clone(&self.machine);
        let left = self.patience.saturating_sub(begun.elapsed());
        let result = self.changes.run(operation, left, move |progress| {
            turn.begins(operation, progress);
            let result = work(&machine, progress);
            // With the work, and not with the caller, whatever becomes of that.
            drop(turn);
            result
        });
        result
            .await
            .map_err(|error| error.with_context("volume", volume.to_string()))
    }

    /// Takes down what was fenced, of all arrays or of one: each volume in a thread of its own, so
    /// that one that fails or hangs stops neither the others nor, for long, the caller.
    async fn heal_fenced(&self, only: Option<&ArrayId>) -> Result<()> {
        let records = self.look("heal", Machine::recorded).await?;
        let volumes = records.iter().map(Record::volume);
        let deadline = tokio::time::Instant::now() + self.healing_patience;
        for volume in volumes.filter(|volume| only.is_none_or(|only| only == volume.array())) {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let (machine, wanted) = (Arc::clone(&self.machine), volume.clone());
            let healed = self
                .changes
                .run("heal", left.max(WAIT_LEAST), move |progress| {
                    machine.heal(&wanted, progress)
                });
            if let Err(failure) = healed.await {
                tracing::error!(%volume, error = %failure.chain(), "the volume could not be healed");
            }
        }
        Ok(())
    }

    async fn look<T, W>(&self, operation: &'static str, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Machine) -> Result<T> + Send + 'static,
    {
        let machine = Arc::clone(&self.machine);
        self.looks
            .run(operation, self.patience, move |progress| {
                progress.set("looking at the host");
                work(&machine)
            })
            .await
    }

    /// As [`Self::look`], at one volume, which may not answer.
    async fn look_at<T, W>(
        &self,
        operation: &'static str,
        volume: &VolumeId,
        (patience, limit): (Duration, Duration),
        work: W,
    ) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Machine) -> Result<T> + Send + 'static,
    {
        let look = self.looking.begin(operation, Key::of(volume), limit)?;
        let machine = Arc::clone(&self.machine);
        self.looks
            .run(operation, patience.min(self.patience), move |progress| {
                progress.set("looking at the volume's device and mount");
                let result = work(&machine);
                drop(look);
                result
            })
            .await
    }

    /// A record's state at a glance. A volume that cannot be observed (its device does not answer,
    /// its protocol is not in this build) is `Incomplete`; the others are what they are.
    async fn glance(&self, record: Record, patience: Duration) -> Attachment {
        let volume = record.volume().clone();
        let incomplete = attachment(&record, AttachmentState::Incomplete);
        let limits = (patience, GLANCE_PATIENCE);
        let seen = self.look_at("attachments", &volume, limits, move |machine| {
            let state = machine.state(&record, false)?;
            Ok(attachment(&record, state))
        });
        seen.await.unwrap_or_else(|failure| {
            tracing::warn!(%volume, error = %failure.chain(), "the volume cannot be observed");
            incomplete
        })
    }
}

#[async_trait]
impl Attacher for LinuxAttacher {
    async fn intend(&self, held: &HeldVolume) -> Result<()> {
        let (intents, held) = (Arc::clone(&self.intents), held.clone());
        self.changes
            .run("intend", self.patience, move |_progress| intents.put(&held))
            .await
    }

    async fn settle(&self, volume: &VolumeId) -> Result<()> {
        let (intents, volume) = (Arc::clone(&self.intents), volume.clone());
        self.changes
            .run("settle", self.patience, move |_progress| {
                intents.remove(&volume)
            })
            .await
    }

    async fn intentions(&self) -> Result<Vec<HeldVolume>> {
        let intents = Arc::clone(&self.intents);
        self.looks
            .run("read intentions", self.patience, move |_progress| {
                intents.all()
            })
            .await
    }

    fn host(&self) -> &Host {
        &self.machine.host
    }

    fn supports(&self, protocol: Protocol) -> Result<()> {
        self.machine.connector(protocol)?.available()
    }

    async fn prepare(&self, volume: &Volume) -> Result<()> {
        // First what was fenced of this array, while its writes still fail. What cannot be taken
        // down now (a container has it open, the kernel hangs) is no reason to refuse this
        // volume: it keeps its LUN number in `luns_in_use`, and publish avoids those, so nothing
        // comes to life behind the old device.
        if let Err(error) = self.heal_fenced(Some(volume.id.array())).await {
            tracing::warn!(volume = %volume.id, error = %error.chain(), "what was fenced could not be looked for");
        }
        let volume = volume.clone();
        self.change("prepare", &volume.id.clone(), move |machine, progress| {
            progress.set("clearing what an earlier grant left");
            machine.prepare(&volume)
        })
        .await
    }

    async fn attach(&self, request: AttachVolume) -> Result<Outcome<Attachment>> {
        let volume = request.access.volume.clone();
        self.change("attach", &volume, move |machine, progress| {
            machine.attach(request, progress)
        })
        .await
    }

    async fn unrecorded(&self) -> Result<Vec<Unrecorded>> {
        self.look("look for lost records", Machine::unrecorded)
            .await
    }

    async fn adopt(&self, request: AdoptVolume) -> Result<Outcome<Attachment>> {
        let volume = request.volume.id.clone();
        self.change("adopt", &volume, move |machine, progress| {
            machine.adopt_lost(&request, progress)
        })
        .await
    }

    async fn detach(&self, volume: &VolumeId) -> Result<Outcome<()>> {
        let wanted = volume.clone();
        self.change("detach", volume, move |machine, progress| {
            machine.detach(&wanted, progress)
        })
        .await
    }

    async fn forget(&self, volume: &VolumeId) -> Result<()> {
        let wanted = volume.clone();
        self.change("forget", volume, move |machine, _| machine.forget(&wanted))
            .await
    }

    async fn resize(&self, volume: &VolumeId, size: Size) -> Result<Outcome<()>> {
        let wanted = volume.clone();
        self.change("resize", volume, move |machine, progress| {
            machine.resize(&wanted, size, progress)
        })
        .await
    }

    async fn status(&self, volume: &VolumeId) -> Result<Option<Attachment>> {
        let wanted = volume.clone();
        let limits = (STATUS_PATIENCE, STATUS_PATIENCE);
        self.look_at("status", volume, limits, move |machine| {
            machine.status(&wanted)
        })
        .await
        .map_err(|error| error.with_context("volume", volume.to_string()))
    }

    async fn luns_in_use(&self) -> Result<Vec<u16>> {
        self.look("see the LUN numbers in use", Machine::luns_in_use)
            .await
    }

    async fn heal(&self) -> Result<Vec<Attachment>> {
        self.heal_fenced(None).await?;
        Ok(self.machine.take_healed())
    }

    async fn attachments(&self) -> Result<Vec<Attachment>> {
        let records = self.look("attachments", Machine::recorded).await?;
        let deadline = tokio::time::Instant::now() + GLANCE_PATIENCE;
        let mut found = Vec::with_capacity(records.len());
        for record in records {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            found.push(self.glance(record, left.max(WAIT_LEAST)).await);
        }
        Ok(found)
    }
}
