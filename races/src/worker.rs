//! Carrying orders out.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead::config::{Environment, load};
use fairlead::fleet::builder_over;
use storage_core::{
    Chance, Engine, EngineSettings, Error, MountVolume, OptionDefaults, SeededChance, VolumeName,
    VolumeOptions,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::journal::{Entry, Journal, read};
use crate::orders::{Creates, Mounts, Orders, Task};
use crate::paper::PaperHost;

/// How long an engine gets to end.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// The longest wait for a listing of every array, and for the arrays to take everything back.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two tries of a refused call: from half of this to the whole.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// What a task works with.
#[derive(Debug)]
struct Worker {
    engine: Arc<Engine>,
    journal: Arc<Journal>,
    chance: SeededChance,
}

/// Does it all, and ends.
///
/// # Errors
/// When something of the worker itself is wrong. What is refused by the product stands in the
/// journal and is no error.
pub async fn work(orders: Orders) -> Result<()> {
    let known = read(&orders.journal)?;
    let journal = Arc::new(Journal::open(&orders.journal)?);
    journal.note(Entry::Started)?;
    let host = PaperHost::open(&orders.host, &orders.folder, Arc::clone(&journal))?;
    if let Some(path) = &orders.trace {
        crate::trace::follow(path, &storage_core::Attacher::host(&host).object_name())?;
    }
    let config = load(&orders.config, &Environment::default())?.config;
    let engine = builder_over(&config, Arc::new(host))?
        .settings(EngineSettings {
            ask_limit: Duration::from_millis(orders.ask_limit_ms),
            ..EngineSettings::default()
        })
        .build();
    engine.start().await?;
    let worker = Arc::new(Worker {
        engine,
        journal,
        // A restarted worker does not repeat its choices.
        chance: SeededChance::new(orders.seed.wrapping_add(known.len() as u64)),
    });
    match orders.task {
        Task::Create(creates) => {
            let told: HashSet<String> = known
                .into_iter()
                .filter_map(|line| match line.entry {
                    Entry::Acknowledged { name, .. } => Some(name),
                    _ => None,
                })
                .collect();
            create_all(&worker, creates, &told).await?;
        }
        Task::Mount(mounts) => mount_often(&worker, &mounts).await?,
        Task::Release => release(&worker).await?,
    }
    let _ended = worker.engine.stop(STOP_LIMIT).await;
    worker.journal.note(Entry::Ended)
}

impl Worker {
    fn chance(&self) -> &dyn Chance {
        &self.chance
    }

    fn falls(&self, percent: u64) -> bool {
        self.chance.bits() % 100 < percent
    }

    fn refused(&self, call: &str, name: &VolumeName, error: &Error) -> Result<()> {
        self.journal.note(Entry::Refused {
            name: name.to_string(),
            call: call.to_owned(),
            kind: error.kind().as_str().to_owned(),
            message: error.chain().to_string(),
        })
    }
}

async fn create_all(worker: &Arc<Worker>, creates: Creates, told: &HashSet<String>) -> Result<()> {
    if creates.listed {
        let until = Instant::now() + PATIENCE;
        while worker.engine.inventory_age().is_none() {
            ensure!(Instant::now() < until, "not every array was listed");
            sleep(Duration::from_millis(10)).await;
        }
        worker.journal.note(Entry::Listed)?;
    }
    let creates = Arc::new(creates);
    let turns = Arc::new(Semaphore::new(creates.at_once));
    let mut running = JoinSet::new();
    for name in creates.names.iter().filter(|name| !told.contains(*name)) {
        let name = VolumeName::new(name)?;
        let turn = Arc::clone(&turns).acquire_owned().await?;
        let (worker, creates) = (Arc::clone(worker), Arc::clone(&creates));
        running.spawn(async move {
            let done = create(&worker, &creates, name).await;
            drop(turn);
            done
        });
    }
    while let Some(done) = running.join_next().await {
        done.context("a create ended")??;
    }
    Ok(())
}

async fn create(worker: &Worker, creates: &Creates, name: VolumeName) -> Result<()> {
    let pairs = [("size".to_owned(), "1GiB".to_owned())];
    let options = VolumeOptions::parse(pairs, &OptionDefaults::default())?;
    let limit = Duration::from_millis(creates.limit_ms);
    for _try in 0..creates.tries {
        let deadline = Instant::now() + limit;
        let answer = worker
            .engine
            .create(name.clone(), options.clone(), deadline);
        match answer.await {
            Ok(outcome) => {
                return worker.journal.note(Entry::Acknowledged {
                    name: name.to_string(),
                    made: outcome.is_done(),
                    volume: outcome.into_inner().id.to_string(),
                });
            }
            Err(error) => worker.refused("create", &name, &error)?,
        }
        sleep(worker.chance().jitter(TRY_AGAIN)).await;
    }
    worker.journal.note(Entry::GaveUp {
        name: name.to_string(),
    })
}

async fn mount_often(worker: &Worker, mounts: &Mounts) -> Result<()> {
    let name = VolumeName::new(&mounts.name)?;
    let limit = Duration::from_millis(mounts.limit_ms);
    let keep = Duration::from_millis(mounts.keep_ms);
    for _round in 0..mounts.rounds {
        let deadline = Instant::now() + limit;
        let wanted = MountVolume {
            name: name.clone(),
            may_preempt: worker.falls(mounts.preempting_percent),
        };
        let mounted = worker.engine.mount(wanted, deadline).await;
        sleep(worker.chance().jitter(keep)).await;
        match mounted {
            Ok(_path) if worker.falls(mounts.kept_percent) => {}
            Ok(_path) => {
                let deadline = Instant::now() + limit;
                if let Err(error) = worker.engine.unmount(name.clone(), deadline).await {
                    worker.refused("unmount", &name, &error)?;
                }
            }
            Err(error) => worker.refused("mount", &name, &error)?,
        }
    }
    // Who has done all its rounds must not keep the others from theirs.
    if let Err(error) = worker
        .engine
        .unmount(name.clone(), Instant::now() + limit)
        .await
    {
        worker.refused("unmount", &name, &error)?;
    }
    Ok(())
}

/// Unmounts everything, then is there for the arrays to be told, until it is ended.
async fn release(worker: &Worker) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        for attachment in worker.engine.attachments().await? {
            if let Err(error) = worker.engine.unmount(attachment.name.clone(), until).await {
                worker.refused("unmount", &attachment.name, &error)?;
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
