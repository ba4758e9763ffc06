//! Everything outside the nodes: arrays, what lies between, chance, the log, and the truth that
//! is compared with what nodes say.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use storage_core::{ArrayId, MemoryArray, Namespace, Size};
use tokio::time::Instant;

use crate::dice::Dice;
use crate::log::Log;
use crate::run::Plan;
use crate::sabotage::Sabotage;
use crate::truth::Truth;

/// What is wrong with the connections now.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// Nothing is lost, late or slow any more.
    pub(crate) calm: bool,
    /// Arrays that answer nobody.
    pub(crate) silent: BTreeSet<usize>,
    /// Arrays that refuse everything.
    pub(crate) refusing: BTreeSet<usize>,
    /// Nodes that an array does not hear.
    pub(crate) apart: BTreeSet<(usize, usize)>,
}

/// The scene of one run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) namespace: Namespace,
    pub(crate) arrays: Vec<Arc<MemoryArray>>,
    pub(crate) sabotage: Option<Sabotage>,
    /// How many of the arrays the fleet has so far: the others have not joined.
    members: AtomicUsize,
    began: Instant,
    dice: Mutex<Dice>,
    log: Mutex<Log>,
    trouble: Mutex<Trouble>,
    truth: Mutex<Truth>,
}

/// Nobody panics with one of these locked and goes on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(crate) fn new(
        plan: &Plan,
        namespace: Namespace,
        arrays: usize,
        members: usize,
    ) -> Arc<Self> {
        let array = |index: usize| {
            let id = ArrayId::new(format!("00000000-0000-4000-8000-0000000000{index:02}"));
            MemoryArray::with_id(id, format!("array-{index}"), Size::from_gib(1 << 20))
        };
        Arc::new(Self {
            namespace,
            arrays: (0..arrays).map(array).collect(),
            sabotage: plan.sabotage,
            members: AtomicUsize::new(members),
            began: Instant::now(),
            dice: Mutex::new(Dice::new(plan.seed)),
            log: Mutex::new(Log::new(plan.keep)),
            trouble: Mutex::default(),
            truth: Mutex::default(),
        })
    }

    pub(crate) fn dice(&self) -> MutexGuard<'_, Dice> {
        lock(&self.dice)
    }

    pub(crate) fn trouble(&self) -> MutexGuard<'_, Trouble> {
        lock(&self.trouble)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    pub(crate) fn truth(&self) -> MutexGuard<'_, Truth> {
        lock(&self.truth)
    }

    /// Milliseconds since the run began.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn say(&self, what: &str) {
        let ms = self.now_ms();
        let line = format!("{:>6}.{:03} {what}", ms / 1000, ms % 1000);
        self.log().add(line);
    }

    /// Something happened that must not.
    pub(crate) fn violation(&self, what: &str) {
        self.say(&format!("VIOLATION {what}"));
        self.truth().violations.push(what.to_owned());
    }

    pub(crate) fn violated(&self) -> bool {
        !self.truth().violations.is_empty()
    }

    /// Whether every array knows of the fleet: before, a configuration is all that a node goes by.
    pub(crate) fn is_founded(&self) -> bool {
        let knows = |array: &Arc<MemoryArray>| {
            let objects = array.look();
            objects.iter().any(|one| one.object == "fl-fleet-1")
        };
        self.arrays.iter().take(self.members()).all(knows)
    }

    /// The arrays of the fleet.
    pub(crate) fn members(&self) -> usize {
        self.members.load(Ordering::SeqCst)
    }

    /// All arrays have joined.
    pub(crate) fn is_joined(&self) {
        self.members.store(self.arrays.len(), Ordering::SeqCst);
    }

    pub(crate) fn array_index(&self, name: &str) -> usize {
        let position = self.arrays.iter().position(|array| array.name() == name);
        position.unwrap_or(usize::MAX)
    }

    pub(crate) fn array_of(&self, id: &ArrayId) -> Option<&Arc<MemoryArray>> {
        self.arrays.iter().find(|array| array.id() == id)
    }
}
