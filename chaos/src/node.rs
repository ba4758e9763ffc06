//! A node: a machine, and the process on it that is killed and started again.

use std::sync::Arc;

use storage_core::{Backend, Clock, Engine, EngineSettings, MemoryBackend, SeededChance, Size};

use crate::host::{Hands, Machine};
use crate::seam::Seam;
use crate::wire::{Life, NodeWire};
use crate::world::World;

/// The time of day, as far as anything shows it: the run's own.
#[derive(Debug)]
struct RunClock(Arc<World>);

impl Clock for RunClock {
    fn now_ms(&self) -> u64 {
        1_700_000_000_000 + self.0.now_ms()
    }
}

/// The arrays of a configuration, as a process is given them.
pub(crate) fn backends(
    world: &Arc<World>,
    life: &Arc<Life>,
    config: &[usize],
) -> Vec<Arc<dyn Backend>> {
    let backend = |index: &usize| {
        let array = Arc::clone(world.arrays.get(*index)?);
        let wire = NodeWire {
            world: Arc::clone(world),
            life: Arc::clone(life),
        };
        let inner = MemoryBackend::new(Arc::clone(&array), world.namespace.clone());
        let seam = Seam {
            inner: inner.with_wire(Arc::new(wire)),
            array,
            world: Arc::clone(world),
        };
        Some(Arc::new(seam) as Arc<dyn Backend>)
    };
    config.iter().filter_map(backend).collect()
}

/// A process.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) engine: Arc<Engine>,
    pub(crate) life: Arc<Life>,
}

/// A machine with its process.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) index: usize,
    pub(crate) machine: Arc<Machine>,
    /// The arrays of its configuration.
    pub(crate) config: Vec<usize>,
    pub(crate) process: Option<Process>,
}

impl Node {
    pub(crate) fn new(world: &Arc<World>, index: usize, config: Vec<usize>) -> Self {
        Self {
            index,
            machine: Machine::new(world, index),
            config,
            process: None,
        }
    }

    /// Ends the process, if one runs, and starts another with the present configuration.
    pub(crate) fn start(&mut self, world: &Arc<World>) {
        self.kill(world);
        let life = Life::new(self.index);
        let backends = backends(world, &life, &self.config);
        let hands = Hands {
            machine: Arc::clone(&self.machine),
            life: Arc::clone(&life),
        };
        let seed = world.dice().bits();
        let settings = EngineSettings {
            default_size: Size::from_gib(1),
            ..EngineSettings::default()
        };
        let engine = Engine::builder(backends, Arc::new(hands))
            .settings(settings)
            .clock(Arc::new(RunClock(Arc::clone(world))))
            .chance(Arc::new(SeededChance::new(seed)))
            .build();
        world.say(&format!(
            "node {} starts with arrays {:?}",
            self.index, self.config
        ));
        let starting = Arc::clone(&engine);
        // It may be killed while it starts, and never ends then.
        drop(tokio::spawn(async move { starting.start().await }));
        self.process = Some(Process { engine, life });
    }

    /// As `kill -9` does it.
    pub(crate) fn kill(&mut self, world: &World) {
        if let Some(process) = self.process.take() {
            process.life.end(world);
        }
    }

    /// The process, if it runs.
    pub(crate) fn running(&self) -> Option<Process> {
        let process = self.process.as_ref();
        process.filter(|process| !process.life.is_over()).cloned()
    }
}
