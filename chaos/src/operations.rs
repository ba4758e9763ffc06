//! The orchestrator: what is done to nodes, arrays and hosts while a run lasts, by chance.

use std::sync::Arc;
use std::time::Duration;

use storage_core::{
    Error, ErrorKind, Membership, MembershipStep, MountVolume, Namespace, OptionDefaults, Outcome,
    Result, SeededChance, Size, Volume, VolumeName, VolumeOptions, VolumeState,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::node::{Node, Process, backends};
use crate::run::Plan;
use crate::wire::Life;
use crate::world::World;

/// Names that volumes get.
const NAMES: [&str; 8] = [
    "data", "Data", "web", "db.main", "cache", "queue", "log 1", "x",
];

/// As Docker gives a Create or a Mount.
const LONG: Duration = Duration::from_secs(120);
/// As it gives everything else.
const SHORT: Duration = Duration::from_secs(60);

/// The orchestrator and its nodes.
#[derive(Debug)]
pub(crate) struct Orchestrator {
    world: Arc<World>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) tasks: JoinSet<()>,
    /// Data that was written so far: each write writes something else.
    written: u64,
}

pub(crate) fn names() -> Vec<VolumeName> {
    let names = NAMES.iter().filter_map(|name| VolumeName::new(*name).ok());
    names.collect()
}

/// An operator adds the last array to the fleet. Returns why that did not work.
pub(crate) async fn join_fleet(world: &Arc<World>) -> Option<String> {
    let life = Life::new(OPERATOR);
    let all: Vec<usize> = (0..world.arrays.len()).collect();
    let last = world.arrays.last()?.name().to_owned();
    let seed = world.dice().bits();
    let membership = Membership::new(
        backends(world, &life, &all),
        "operator".to_owned(),
        Arc::new(SeededChance::new(seed)),
    );
    world.say(&format!("{last} is to join the fleet"));
    let progress = |step: MembershipStep| world.say(&format!("{step:?}"));
    // The operator may be killed on the way, and then never ends.
    let joined = timeout(OPERATOR_WAITS, membership.add(&last, &progress)).await;
    let joined = joined.unwrap_or_else(|_elapsed| {
        Err(Error::new(
            ErrorKind::Timeout,
            "the operator waits no longer",
        ))
    });
    let answer = text(&joined);
    world.say(&format!("{last} joins: {answer}"));
    if joined.is_ok() && !life.is_over() {
        world.is_joined();
        return None;
    }
    Some(answer)
}

/// How long the operator waits for a change of the fleet: several times what one takes.
const OPERATOR_WAITS: Duration = Duration::from_secs(900);

/// The number of the machine that changes the fleet.
const OPERATOR: usize = 99;

fn text(result: &Result<impl Sized>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => format!("{:?}: {}", error.kind(), error.message()),
    }
}

impl Orchestrator {
    pub(crate) fn new(plan: &Plan, namespace: Namespace) -> Self {
        let mut dice = crate::dice::Dice::new(plan.seed ^ 0x5eed);
        let arrays = 1 + dice.index(4);
        let nodes = 2 + dice.index(3);
        // In some runs the last one joins later.
        let members = arrays - usize::from(arrays > 1 && dice.one_in(2));
        let world = World::new(plan, namespace, arrays, members);
        let all: Vec<usize> = (0..members).collect();
        let node = |index| Node::new(&world, index, all.clone());
        let mut nodes: Vec<Node> = (0..nodes).map(node).collect();
        world.say(&format!(
            "{arrays} arrays, {members} of them a fleet, {} nodes",
            nodes.len()
        ));
        for node in &mut nodes {
            node.start(&world);
        }
        Self {
            world,
            nodes,
            tasks: JoinSet::new(),
            written: 0,
        }
    }

    pub(crate) fn world(&self) -> Arc<World> {
        Arc::clone(&self.world)
    }

    fn name(&self) -> Option<VolumeName> {
        let names = names();
        self.world.dice().pick(&names).cloned()
    }

    /// Mostly one that somebody was told of.
    fn known_name(&self) -> Option<VolumeName> {
        let known = self.world.known_names();
        if known.is_empty() || self.world.dice().one_in(5) {
            return self.name();
        }
        self.world.dice().pick(&known).cloned()
    }

    fn some_node(&self) -> Option<Process> {
        let index = self.world.dice().index(self.nodes.len());
        self.nodes.get(index)?.running()
    }

    /// Begins one operation. What cannot be done now (no node runs) is left out.
    pub(crate) fn operate(&mut self) {
        self.revive();
        let what = self.world.dice().below(100);
        match what {
            0..15 => self.create(),
            15..37 => self.mount(),
            37..45 => self.unmount(),
            45..61 => self.write(),
            61..66 => self.write_back(),
            66..71 => self.read(),
            71..76 => self.find(),
            76..79 => self.remove(),
            79..82 => self.copy(),
            82..84 => self.expand(),
            84..86 => self.kill(),
            86..90 => self.trouble(),
            90..98 => self.heal(),
            _ => self.reconfigure(),
        }
    }

    /// Nodes that are down come back, sooner or later, some after a reboot.
    fn revive(&mut self) {
        for index in 0..self.nodes.len() {
            let Some(node) = self.nodes.get_mut(index) else {
                continue;
            };
            if node.running().is_some() || !self.world.dice().one_in(5) {
                continue;
            }
            if self.world.dice().one_in(3) {
                self.world.say(&format!("{} reboots", node.machine.name));
                node.machine.reboot();
            }
            node.start(&self.world);
        }
    }

    fn spawn(
        &mut self,
        what: String,
        process: Process,
        work: impl Future<Output = String> + Send + 'static,
    ) {
        let world = Arc::clone(&self.world);
        let node = process.life.node;
        world.say(&format!("node {node} is asked: {what}"));
        self.tasks.spawn(async move {
            let answer = work.await;
            let dead = if process.life.is_over() {
                " (dead)"
            } else {
                ""
            };
            world.say(&format!("node {node} answers {what}: {answer}{dead}"));
        });
    }

    fn create(&mut self) {
        let Some(name) = self.name() else { return };
        let everywhere = self.world.dice().one_in(2);
        let running: Vec<Process> = self.nodes.iter().filter_map(Node::running).collect();
        let first = self.world.dice().index(running.len());
        for (index, process) in running.into_iter().enumerate() {
            if everywhere || index == first {
                self.create_on(process, name.clone(), Vec::new());
            }
        }
    }

    fn create_on(&mut self, process: Process, name: VolumeName, options: Vec<(String, String)>) {
        let world = Arc::clone(&self.world);
        let what = format!("create {name} {options:?}");
        let doing = process.clone();
        self.spawn(what, process, async move {
            let options = match VolumeOptions::parse(options, &OptionDefaults::default()) {
                Ok(options) => options,
                Err(error) => return format!("{error}"),
            };
            let deadline = Instant::now() + LONG;
            let made = doing.engine.create(name, options, deadline).await;
            let answer = text(&made);
            if let Ok(outcome) = made
                && !doing.life.is_over()
            {
                let volume: Volume = Outcome::into_inner(outcome);
                world.acknowledged(&volume);
                return format!("{answer} {}", volume.id);
            }
            answer
        });
    }

    fn copy(&mut self) {
        let (Some(name), Some(source)) = (self.name(), self.known_name()) else {
            return;
        };
        if let Some(process) = self.some_node() {
            let source = ("source".to_owned(), source.to_string());
            self.create_on(process, name, vec![source]);
        }
    }

    fn mount(&mut self) {
        let (Some(name), Some(process)) = (self.known_name(), self.some_node()) else {
            return;
        };
        let may_preempt = self.world.dice().one_in(2);
        let doing = process.clone();
        let right = if may_preempt { " by right" } else { "" };
        self.spawn(format!("mount {name}{right}"), process, async move {
            let request = MountVolume { name, may_preempt };
            let mounted = doing.engine.mount(request, Instant::now() + LONG).await;
            text(&mounted)
        });
    }

    fn unmount(&mut self) {
        let (Some(name), Some(process)) = (self.known_name(), self.some_node()) else {
            return;
        };
        let doing = process.clone();
        self.spawn(format!("unmount {name}"), process, async move {
            let done = doing.engine.unmount(name, Instant::now() + SHORT).await;
            text(&done)
        });
    }

    fn expand(&mut self) {
        let (Some(name), Some(process)) = (self.known_name(), self.some_node()) else {
            return;
        };
        let size = Size::from_bytes((2 + self.world.dice().below(4)) << 30);
        let doing = process.clone();
        self.spawn(format!("expand {name} to {size}"), process, async move {
            let deadline = Instant::now() + SHORT;
            text(&doing.engine.expand(name, size, deadline).await)
        });
    }

    fn remove(&mut self) {
        let (Some(name), Some(process)) = (self.known_name(), self.some_node()) else {
            return;
        };
        let world = Arc::clone(&self.world);
        let doing = process.clone();
        world.remove_begins(&name);
        self.spawn(format!("remove {name}"), process, async move {
            let deadline = Instant::now() + SHORT;
            let done = doing.engine.remove(name.clone(), deadline).await;
            let timeout = |error: &Error| error.kind() == ErrorKind::Timeout;
            let ended = !done.as_ref().is_err_and(timeout) && !doing.life.is_over();
            world.remove_ends(&name, ended);
            text(&done)
        });
    }

    /// A look-up that says "no such volume" has to be right.
    fn find(&mut self) {
        let (Some(name), Some(process)) = (self.known_name(), self.some_node()) else {
            return;
        };
        let world = Arc::clone(&self.world);
        let doing = process.clone();
        self.spawn(format!("find {name}"), process, async move {
            let before = world.standing(&name);
            let found = doing.engine.find(&name, Instant::now() + SHORT).await;
            match &found {
                Ok(None) if !doing.life.is_over() => {
                    let after = world.standing(&name);
                    if let Some(id) = before.iter().find(|id| after.contains(*id)) {
                        let node = doing.life.node;
                        world.violation(&format!("node {node} says there is no {name}: {id} is"));
                    }
                }
                Ok(Some(volume)) if volume.state == VolumeState::Ready && !doing.life.is_over() => {
                    world.acknowledged(volume);
                }
                _ => {}
            }
            text(&found)
        });
    }

    /// An application writes on some machine, into whatever is mounted there.
    fn write(&mut self) {
        let index = self.world.dice().index(self.nodes.len());
        let Some(node) = self.nodes.get(index) else {
            return;
        };
        let mounts = node.machine.mounts();
        let at = self.world.dice().index(mounts.len());
        let Some(mount) = mounts.get(at) else {
            return;
        };
        self.written += 1;
        node.machine.write(at, self.written);
        if self.world.dice().one_in(2) {
            node.machine.write_back(Some(&mount.volume));
        }
    }

    fn write_back(&self) {
        for node in &self.nodes {
            node.machine.write_back(None);
        }
    }

    fn read(&self) {
        let index = self.world.dice().index(self.nodes.len());
        if let Some(node) = self.nodes.get(index) {
            for at in 0..node.machine.mounts().len() {
                node.machine.read(at);
            }
        }
    }

    fn kill(&mut self) {
        let index = self.world.dice().index(self.nodes.len());
        if let Some(node) = self.nodes.get_mut(index) {
            node.kill(&self.world);
        }
    }

    fn trouble(&self) {
        let (kind, node, array) = {
            let mut dice = self.world.dice();
            let kind = dice.below(3);
            (
                kind,
                dice.index(self.nodes.len()),
                dice.index(self.world.arrays.len()),
            )
        };
        let mut trouble = self.world.trouble();
        let what = match kind {
            0 => {
                trouble.silent.insert(array);
                format!("array {array} is silent")
            }
            1 => {
                trouble.refusing.insert(array);
                format!("array {array} refuses everything")
            }
            _ => {
                trouble.apart.insert((node, array));
                format!("array {array} does not hear node {node}")
            }
        };
        drop(trouble);
        self.world.say(&what);
    }

    fn heal(&self) {
        let mut trouble = self.world.trouble();
        trouble.silent.clear();
        trouble.refusing.clear();
        trouble.apart.clear();
        drop(trouble);
        self.world.say("all arrays answer all nodes");
    }

    /// A node starts again with a configuration that lacks an array, or with the whole one.
    fn reconfigure(&mut self) {
        if !self.world.is_founded() {
            return;
        }
        let arrays = self.world.members();
        if arrays < self.world.arrays.len() && self.world.dice().one_in(2) {
            let world = Arc::clone(&self.world);
            self.tasks.spawn(async move {
                join_fleet(&world).await;
            });
            return;
        }
        let (index, lacks) = {
            let mut dice = self.world.dice();
            (dice.index(self.nodes.len()), dice.index(arrays * 2))
        };
        if let Some(node) = self.nodes.get_mut(index) {
            node.config = (0..arrays).filter(|array| *array != lacks).collect();
            if node.config.is_empty() {
                node.config.push(0);
            }
            node.start(&self.world);
        }
    }
}
