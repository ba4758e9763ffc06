//! One node's way to the arrays, and its death: at any request, before or after it is executed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use storage_core::{ArrayRequest, Error, ErrorKind, Fate, Wire};

use crate::world::World;

/// Whether a process runs. It never comes back; the next one has a life of its own.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) node: usize,
    over: AtomicBool,
}

impl Life {
    pub(crate) fn new(node: usize) -> Arc<Self> {
        Arc::new(Self {
            node,
            over: AtomicBool::new(false),
        })
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub(crate) fn end(&self, world: &World) {
        if !self.over.swap(true, Ordering::SeqCst) {
            world.say(&format!("node {} is killed", self.node));
            world.count("kills");
        }
    }
}

/// How often in a thousand requests what happens.
const REFUSED: u64 = 12;
const REQUEST_LOST: u64 = 8;
const ANSWER_LOST: u64 = 12;
const LATE: u64 = 12;
const TWICE: u64 = 8;
const KILLED_BEFORE: u64 = 1;
const KILLED_AFTER: u64 = 1;
const SLOW: u64 = 250;

/// How late a request is executed at most: minutes, as boxes between node and array do it.
const LATE_MAX_MS: u64 = 180_000;

#[derive(Debug)]
pub(crate) struct NodeWire {
    pub(crate) world: Arc<World>,
    pub(crate) life: Arc<Life>,
}

impl NodeWire {
    fn decide(&self, request: &ArrayRequest) -> Fate {
        if self.life.is_over() {
            return Fate::Dead;
        }
        let array = self.world.array_index(&request.array);
        let trouble = self.world.trouble();
        if trouble.calm {
            return Fate::Answered;
        }
        if trouble.silent.contains(&array) || trouble.apart.contains(&(self.life.node, array)) {
            return Fate::RequestLost;
        }
        if trouble.refusing.contains(&array) {
            return Fate::Refused(ErrorKind::Unavailable);
        }
        drop(trouble);
        self.roll(request)
    }

    fn roll(&self, request: &ArrayRequest) -> Fate {
        let mut dice = self.world.dice();
        let mut left = dice.below(1000);
        let mut hits = |share: u64| {
            let hit = left < share;
            left = left.wrapping_sub(share);
            hit
        };
        if hits(REFUSED) {
            let full = request.step.starts_with("propose") && dice.one_in(2);
            return Fate::Refused(if full {
                ErrorKind::ResourceExhausted
            } else {
                ErrorKind::Unavailable
            });
        }
        if hits(REQUEST_LOST) {
            return Fate::RequestLost;
        }
        if hits(ANSWER_LOST) {
            return Fate::AnswerLost;
        }
        if hits(LATE) {
            return Fate::Late(dice.time(LATE_MAX_MS));
        }
        // A connection is asked for once under a number, and what is between does not copy it:
        // rule 1 of the fence.
        if hits(TWICE) && request.step != "connect" {
            return Fate::Twice(dice.time(LATE_MAX_MS));
        }
        if hits(KILLED_BEFORE) {
            drop(dice);
            self.life.end(&self.world);
            return Fate::Dead;
        }
        if hits(KILLED_AFTER) {
            drop(dice);
            self.life.end(&self.world);
            return Fate::Answered;
        }
        if hits(SLOW) {
            return Fate::Slow(dice.time(4000), dice.time(2000));
        }
        Fate::Answered
    }
}

/// Steps after which names, connections or data may be other ones.
fn changes(step: &str) -> bool {
    matches!(
        step,
        "commit"
            | "destroy"
            | "rename aside"
            | "restore"
            | "recover"
            | "withdraw"
            | "propose import"
    )
}

impl Wire for NodeWire {
    fn fate(&self, request: &ArrayRequest) -> Fate {
        let fate = self.decide(request);
        if fate != Fate::Dead && !self.world.trouble().calm {
            self.world
                .say(&format!("n{} > {request}: {fate:?}", self.life.node));
        }
        fate
    }

    fn executed(&self, request: &ArrayRequest, error: Option<&Error>) {
        if let Some(error) = error {
            let kind = error.kind();
            self.world
                .say(&format!("n{} . {request}: {kind:?}", self.life.node));
        } else {
            self.world.say(&format!("n{} . {request}", self.life.node));
        }
        if changes(request.step) {
            self.world.check_names();
        }
    }

    fn alive(&self) -> bool {
        !self.life.is_over()
    }
}

/// So many milliseconds at most between two steps on a host.
pub(crate) async fn pause(world: &World, life: &Life) {
    let calm = world.trouble().calm;
    let wait = if calm {
        Duration::ZERO
    } else {
        let mut dice = world.dice();
        if dice.one_in(1500) {
            drop(dice);
            life.end(world);
            Duration::ZERO
        } else if dice.one_in(3) {
            dice.time(1500)
        } else {
            Duration::ZERO
        }
    };
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    if life.is_over() {
        std::future::pending::<()>().await;
    }
}
