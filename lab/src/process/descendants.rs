//! Processes that were started indirectly: found in `/proc`, ended by id.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// One process as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its id.
    pub id: u32,
    /// Its parent's id.
    pub parent: u32,
    /// Its command line, arguments separated by spaces; empty for kernel threads and zombies.
    pub command: String,
    /// When it started, in clock ticks since boot: with the id it names a process for good.
    pub started: u64,
}

/// The processes that can be seen now. One that ends meanwhile is left out.
#[must_use]
pub fn processes() -> Vec<ProcessInfo> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(read_process)
        .collect()
}

fn read_process(id: u32) -> Option<ProcessInfo> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // the name is in parentheses and may contain anything, parentheses too: fields follow the last
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let command = std::fs::read(format!("/proc/{id}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    Some(ProcessInfo {
        id,
        // proc(5): after the name come state (3), ppid (4); starttime is field 22
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
        command: command.trim_end().to_owned(),
    })
}

/// The given processes and all that they started, directly or not.
#[must_use]
pub fn descendants_of(roots: &[ProcessInfo], all: &[ProcessInfo]) -> Vec<ProcessInfo> {
    let mut children: BTreeMap<u32, Vec<&ProcessInfo>> = BTreeMap::new();
    for process in all {
        children.entry(process.parent).or_default().push(process);
    }
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let mut next: Vec<ProcessInfo> = roots.to_vec();
    while let Some(process) = next.pop() {
        if seen.insert(process.id) {
            let below = children.get(&process.id).into_iter().flatten();
            next.extend(below.map(|&child| child.clone()));
            found.push(process);
        }
    }
    found
}

/// The only process that the given one started and that is still there.
pub(super) fn child_of(parent: u32) -> Option<ProcessInfo> {
    let mut children = processes()
        .into_iter()
        .filter(|process| process.parent == parent && !process.command.is_empty());
    children.next().filter(|_| children.next().is_none())
}

/// Kills processes by id, each only if the id still means the same process.
pub fn kill_9(processes: &[ProcessInfo]) {
    for process in processes {
        if is_there(process) {
            let id = i32::try_from(process.id).ok().and_then(Pid::from_raw);
            match id.map(|id| kill_process(id, Signal::KILL)) {
                Some(Ok(()) | Err(Errno::SRCH)) | None => {}
                Some(Err(error)) => tracing::warn!(%error, ?process, "kill a process"),
            }
        }
    }
}

/// Waits until none of the processes is there any more.
///
/// # Errors
/// When one still is at the deadline.
pub async fn wait_gone(processes: &[ProcessInfo], deadline: Duration) -> Result<()> {
    wait::until("processes are gone", deadline, || async {
        let left: Vec<_> = processes
            .iter()
            .filter(|process| is_there(process))
            .collect();
        Ok(if left.is_empty() {
            wait::Seen::Ready(())
        } else {
            wait::Seen::NotYet(format!("{left:?}"))
        })
    })
    .await
}

/// True while the process exists and is not a zombie (those are their parents' to collect).
fn is_there(process: &ProcessInfo) -> bool {
    read_process(process.id)
        .is_some_and(|now| now.started == process.started && !now.command.is_empty())
}
