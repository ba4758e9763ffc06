//! Simulated arrays in this process, and workers as processes of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use array_sim::{ArrayConfig, FaultPlan, Simulator};
use fairlead::config::{Environment, load};
use fairlead::fleet::builder_over;
use lab::process::{Guard, Program};
use races::journal::{Entry, Journal, Line, read};
use races::{Orders, PaperHost, Task, Traced, note_death, read_trace};
use serde_json::json;
use storage_core::{Chance, Engine, Host, Initiators};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// All workers' namespace.
pub(crate) const NAMESPACE: &str = "race";

/// Arrays, a configuration that names them, and a folder for the workers.
pub(crate) struct Site {
    pub(crate) simulator: Simulator,
    pub(crate) config: PathBuf,
    pub(crate) folder: TempDir,
    seed: u64,
}

impl Site {
    pub(crate) async fn start(arrays: usize, seed: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let mut simulator = Simulator::builder()
            .state_dir(folder.path().join("arrays"))
            .seed(seed);
        for number in 0..arrays {
            simulator = simulator.array(ArrayConfig::new(format!("array-{number}")));
        }
        let simulator = simulator.start().await.unwrap();
        let entries: Vec<_> = simulator
            .arrays()
            .iter()
            .map(|array| {
                json!({
                    "MgmtEndPoint": array.address().to_string(),
                    "APIToken": array.api_token(),
                    "Fingerprint": array.fingerprint(),
                    "SanType": "LOOP",
                    "LoopFolder": folder.path(),
                })
            })
            .collect();
        let config = folder.path().join("pure.json");
        lab::simulator::write_config(&config, NAMESPACE, &entries).unwrap();
        Self {
            simulator,
            config,
            folder,
            seed,
        }
    }

    pub(crate) fn set_faults(&self, plan: &FaultPlan) {
        for array in self.simulator.arrays() {
            array.set_faults(plan.clone());
        }
    }

    pub(crate) fn clear_faults(&self) {
        for array in self.simulator.arrays() {
            array.clear_faults();
        }
    }

    /// An engine of this process over the same arrays, started, with the fleet record known.
    pub(crate) async fn engine(&self) -> Arc<Engine> {
        let config = load(&self.config, &Environment::default()).unwrap().config;
        let folder = self.folder.path().join("observer");
        std::fs::create_dir_all(&folder).unwrap();
        let journal = Arc::new(Journal::open(&folder.join("journal")).unwrap());
        let host = PaperHost::open("observer", &folder, journal).unwrap();
        let engine = builder_over(&config, Arc::new(host)).unwrap().build();
        engine.start().await.unwrap();
        let known = || engine.fleet_record().is_some();
        lab::wait::until_true("the fleet record is known", Duration::from_secs(20), known)
            .await
            .unwrap();
        engine
    }

    /// A worker that is not started yet. One of the same number goes on with the same ledger and
    /// journal.
    pub(crate) fn worker(&self, number: usize, task: Task) -> Worker {
        let host = format!("node-{number}");
        let folder = self.folder.path().join(&host);
        std::fs::create_dir_all(&folder).unwrap();
        let orders = Orders {
            config: self.config.clone(),
            journal: folder.join("journal"),
            trace: Some(folder.join("trace")),
            seed: self.seed.wrapping_mul(1009).wrapping_add(number as u64),
            ask_limit_ms: 10_000,
            folder,
            host,
            task,
        };
        Worker {
            orders,
            process: None,
            kills: 0,
        }
    }
}

/// One host, and its process while it runs.
pub(crate) struct Worker {
    pub(crate) orders: Orders,
    process: Option<Guard>,
    pub(crate) kills: usize,
}

impl Worker {
    pub(crate) fn start(&mut self) {
        let path = self.orders.folder.join("orders.json");
        std::fs::write(&path, serde_json::to_vec(&self.orders).unwrap()).unwrap();
        let program = Program::new(Path::new(env!("CARGO_BIN_EXE_race-worker"))).arg(path);
        self.process = Some(program.start(&self.orders.folder.join("log")).unwrap());
    }

    pub(crate) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill_9().await.unwrap();
            self.kills += 1;
            if let Some(trace) = &self.orders.trace {
                note_death(trace, &self.host()).unwrap();
            }
        }
    }

    /// Whether it has ended by itself; it must have done so in order.
    pub(crate) fn ended(&mut self) -> bool {
        let Some(process) = &mut self.process else {
            return true;
        };
        let Some(status) = process.ended() else {
            return false;
        };
        assert!(status.success(), "{status}: {}", process.log_tail(20));
        true
    }

    pub(crate) fn journal(&self) -> Vec<Line> {
        read(&self.orders.journal).unwrap()
    }

    /// The name of its host object on arrays.
    pub(crate) fn host(&self) -> String {
        let host = &self.orders.host;
        Host::new(host, host, Initiators::default()).object_name()
    }
}

/// Kills to strike while workers work.
pub(crate) struct Kills {
    /// How many at most.
    pub(crate) most: usize,
    /// The longest time between two.
    pub(crate) every: Duration,
}

/// Starts all workers and waits until each has ended by itself. Until then, one after another is
/// killed and started again, by chance.
pub(crate) async fn run(
    workers: &mut [Worker],
    kills: Kills,
    chance: &dyn Chance,
    limit: Duration,
) {
    let begin = Instant::now();
    for worker in workers.iter_mut() {
        worker.start();
    }
    let mut next = begin + chance.jitter(kills.every);
    let mut left = kills.most;
    loop {
        let running: Vec<usize> = (0..workers.len())
            .filter(|at| !workers[*at].ended())
            .collect();
        if running.is_empty() {
            return;
        }
        if begin.elapsed() > limit {
            let tails: Vec<String> = running
                .iter()
                .map(|at| {
                    let journal = workers[*at].journal();
                    let last: Vec<_> = journal.iter().rev().take(3).collect();
                    format!("{}: {last:?}", workers[*at].orders.host)
                })
                .collect();
            panic!("not ended within {limit:?}: {tails:#?}");
        }
        if left > 0 && Instant::now() >= next {
            let which = chance.bits() % running.len() as u64;
            let worker = &mut workers[running[usize::try_from(which).unwrap()]];
            worker.kill().await;
            worker.start();
            left -= 1;
            next = Instant::now() + chance.jitter(kills.every);
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// The protocols' steps of all workers, in order.
pub(crate) fn trace(workers: &[Worker]) -> Vec<Traced> {
    let traces = workers
        .iter()
        .filter_map(|worker| worker.orders.trace.clone());
    let traces: Vec<PathBuf> = traces.filter(|path| path.exists()).collect();
    read_trace(&traces).unwrap()
}

/// What the journals say of refusals: how many of each call, kind and message.
pub(crate) fn refusals(workers: &[Worker]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in workers.iter().flat_map(Worker::journal) {
        if let Entry::Refused {
            call,
            kind,
            message,
            ..
        } = line.entry
        {
            let message: String = message.chars().take(90).collect();
            *counts
                .entry(format!("{call}: {kind}: {message}"))
                .or_default() += 1;
        }
    }
    counts
}
