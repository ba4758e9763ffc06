//! The end of a run: everything works again, and what should be there is, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use storage_core::{ErrorKind, VolumeName, VolumeState};
use tokio::time::{Instant, sleep, timeout};

use crate::node::Process;
use crate::operations::{Orchestrator, join_fleet, names};
use crate::world::World;

/// Until nothing of before is executed any more, and nodes have looked at what was in doubt.
const QUIET: Duration = Duration::from_secs(1200);

/// For one call, with everything working.
const LIMIT: Duration = Duration::from_secs(120);

/// How often a call is repeated that meets what another node does.
const TRIES: usize = 5;

/// No call may last longer than this: many times its deadline.
const ENDS_WITHIN: Duration = Duration::from_secs(3600);

/// How long sweepers get, and how often it is looked whether they are done.
const SWEEP_LOOKS: usize = 12;
const SWEEP_WAIT: Duration = Duration::from_secs(1800);

/// Makes everything well, and checks.
pub(crate) async fn settle(orchestrator: &mut Orchestrator) {
    let world = orchestrator.world();
    {
        let mut trouble = world.trouble();
        trouble.calm = true;
        trouble.silent.clear();
        trouble.refusing.clear();
        trouble.apart.clear();
    }
    world.say("everything works again");
    loop {
        match timeout(ENDS_WITHIN, orchestrator.tasks.join_next()).await {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(_elapsed) => {
                world.violation("a call has not ended long after everything works again");
                return;
            }
        }
    }
    let all: Vec<usize> = (0..world.members()).collect();
    for node in &mut orchestrator.nodes {
        let whole = node.config.len() == all.len();
        node.config.clone_from(&all);
        if node.running().is_none() || !whole {
            node.start(&world);
        }
    }
    sleep(QUIET).await;
    if world.members() < world.arrays.len() && world.is_founded() {
        if let Some(problem) = join_fleet(&world).await {
            world.violation(&format!("the last array cannot join: {problem}"));
        }
        for node in &mut orchestrator.nodes {
            node.config = (0..world.members()).collect();
            node.start(&world);
        }
        sleep(QUIET).await;
    }
    check_answers(orchestrator, &world).await;
    unmount_all(orchestrator, &world).await;
    world.check_data();
    if !world.violated() {
        remove_all(orchestrator, &world).await;
    }
    if !world.violated() {
        sweep(orchestrator, &world).await;
    }
}

fn processes(orchestrator: &Orchestrator) -> Vec<Process> {
    let running = orchestrator.nodes.iter().map(crate::node::Node::running);
    running.flatten().collect()
}

/// Every node finds what is there, and the same.
async fn check_answers(orchestrator: &Orchestrator, world: &Arc<World>) {
    for process in processes(orchestrator) {
        for name in names() {
            let standing = world.standing(&name);
            let found = process.engine.find(&name, Instant::now() + LIMIT).await;
            let node = process.life.node;
            match (&found, standing.as_slice()) {
                (Ok(Some(volume)), [id]) if volume.id == *id => {}
                (Ok(Some(_)), []) | (Ok(None), []) => {}
                (Ok(found), [id]) => {
                    let found = found.as_ref().map(|volume| &volume.id);
                    world.violation(&format!("node {node}: {name} is {id}, found {found:?}"));
                }
                (Err(error), _) => {
                    world.violation(&format!("node {node}: find {name}: {}", error.chain()));
                }
                (Ok(_), two) => world.violation(&format!("{name} is {two:?}")),
            }
        }
    }
}

async fn unmount_all(orchestrator: &Orchestrator, world: &Arc<World>) {
    for process in processes(orchestrator) {
        for name in names() {
            let mut last = None;
            for _ in 0..TRIES {
                let deadline = Instant::now() + LIMIT;
                match process.engine.unmount(name.clone(), deadline).await {
                    Ok(()) => {
                        last = None;
                        break;
                    }
                    Err(error) => last = Some(error),
                }
            }
            if let Some(error) = last {
                let node = process.life.node;
                world.violation(&format!("node {node}: unmount {name}: {}", error.chain()));
            }
        }
    }
    for node in &orchestrator.nodes {
        for mount in node.machine.mounts() {
            let name = &node.machine.name;
            world.violation(&format!("{} is still mounted on {name}", mount.volume));
        }
    }
    // Arrays that could not be told are told in the background.
    sleep(Duration::from_secs(900)).await;
    for array in &world.arrays {
        for object in array.look() {
            if let Some((host, _)) = object.connections.first() {
                let object = &object.object;
                world.violation(&format!("{host} is still connected to {object}"));
            }
        }
    }
}

async fn remove_all(orchestrator: &Orchestrator, world: &Arc<World>) {
    let Some(process) = processes(orchestrator).into_iter().next() else {
        return;
    };
    for name in names() {
        world.remove_begins(&name);
        if let Some(problem) = remove(&process, &name).await {
            world.violation(&problem);
        }
    }
}

async fn remove(process: &Process, name: &VolumeName) -> Option<String> {
    let mut last = String::new();
    for _ in 0..TRIES {
        let deadline = Instant::now() + LIMIT;
        match process.engine.remove(name.clone(), deadline).await {
            Ok(_outcome) => return None,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => last = format!("remove {name}: {}", error.chain()),
        }
    }
    Some(last)
}

/// What is on the arrays beside the fleet record, alive.
fn left_over(world: &World) -> Vec<String> {
    let mut left = Vec::new();
    for array in &world.arrays {
        let alive = array.look().into_iter();
        let alive = alive.filter(|object| object.state != VolumeState::Destroyed);
        let others = alive.filter(|object| !object.object.starts_with("fl-fleet-"));
        left.extend(others.map(|object| format!("{} on {}", object.object, array.name())));
    }
    left
}

/// Days later, nothing at all is left. One node is enough for that.
async fn sweep(orchestrator: &mut Orchestrator, world: &Arc<World>) {
    for object in left_over(world) {
        if !object.starts_with("prod-fl-") {
            world.violation(&format!("{object} is left, and is no stray"));
        }
    }
    for node in orchestrator.nodes.iter_mut().skip(1) {
        node.kill(world);
    }
    for array in &world.arrays {
        array.advance_clock(Duration::from_secs(30 * 3600));
    }
    for _ in 0..SWEEP_LOOKS {
        if left_over(world).is_empty() || world.violated() {
            break;
        }
        sleep(SWEEP_WAIT).await;
    }
    let left = left_over(world);
    if !left.is_empty() {
        world.violation(&format!("never swept: {left:?}"));
    }
}
