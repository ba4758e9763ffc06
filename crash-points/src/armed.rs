//! What a point does in the test build: it is recorded, and the ordered one kills.
//!
//! The order is one line, `<id> <passage> <name>`: at which passage of that point, counted from
//! the moment at which the order with this id was first seen, the process ends. A file and not
//! the environment alone, so that a process can be made ready before it is told where to die.

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::process::{Signal, getpid, kill_process};

/// Names the folder. Unset: points do nothing.
const VARIABLE: &str = "FAIRLEAD_CRASH_POINTS";

struct Armed {
    kill: PathBuf,
    state: Mutex<State>,
}

struct State {
    passed: File,
    order: String,
    seen: HashMap<String, u64>,
}

fn open() -> Option<Armed> {
    let folder = PathBuf::from(std::env::var_os(VARIABLE)?);
    let passed = folder.join("passed");
    let passed = OpenOptions::new().create(true).append(true).open(passed);
    Some(Armed {
        kill: folder.join("kill"),
        state: Mutex::new(State {
            passed: passed.ok()?,
            order: String::new(),
            seen: HashMap::new(),
        }),
    })
}

/// Passes a point: what [`crate::point!`] calls.
pub fn pass(name: fmt::Arguments<'_>) {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    let Some(armed) = ARMED.get_or_init(open) else {
        return;
    };
    let name = name.to_string();
    let mut state = armed.state.lock().unwrap_or_else(PoisonError::into_inner);
    // One write a line: what was passed before the end is whole on record.
    let recorded = state.passed.write_all(format!("{name}\n").as_bytes());
    debug_assert!(recorded.is_ok(), "{recorded:?}");
    let order = std::fs::read_to_string(&armed.kill).unwrap_or_default();
    if order != state.order {
        state.seen.clear();
        state.order = order;
    }
    let mut words = state.order.trim_end().splitn(3, ' ');
    let (Some(_id), Some(passage), Some(wanted)) = (words.next(), words.next(), words.next())
    else {
        return;
    };
    if wanted != name {
        return;
    }
    let passage = passage.parse::<u64>();
    let seen = state.seen.entry(name).or_default();
    *seen += 1;
    if passage == Ok(*seen) {
        end();
    }
}

/// With the lock held: no other thread passes a point any more.
fn end() -> ! {
    loop {
        let killed = kill_process(getpid(), Signal::KILL);
        debug_assert!(killed.is_ok(), "{killed:?}");
        std::thread::yield_now();
    }
}
