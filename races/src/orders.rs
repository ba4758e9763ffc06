//! What a worker is to do.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One worker's orders, as a file of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Orders {
    /// The product's configuration file.
    pub config: PathBuf,
    /// The host's name; each worker has its own.
    pub host: String,
    /// A folder of its own: the host's ledger. It survives the process.
    pub folder: PathBuf,
    /// Where it says what it was told.
    pub journal: PathBuf,
    /// Where the protocols' steps go, if anybody wants them.
    pub trace: Option<PathBuf>,
    /// Decides waits and choices.
    pub seed: u64,
    /// How long its engine waits for one array's answer, in milliseconds.
    pub ask_limit_ms: u64,
    /// What to do.
    pub task: Task,
}

/// What a worker does until it ends by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Makes volumes.
    Create(Creates),
    /// Mounts a volume again and again.
    Mount(Mounts),
    /// Lets go of whatever its ledger says that it holds.
    Release,
}

/// Names to be had, in this order; those that its journal has as acknowledged are left out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Creates {
    /// The names.
    pub names: Vec<String>,
    /// How many at once.
    pub at_once: usize,
    /// How often a refused one is tried again.
    pub tries: u32,
    /// How long one try may take, in milliseconds.
    pub limit_ms: u64,
    /// Whether it first waits until it has listed every array.
    pub listed: bool,
}

/// Mounts of one volume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mounts {
    /// The volume.
    pub name: String,
    /// How many tries.
    pub rounds: u32,
    /// How long one try may take, in milliseconds.
    pub limit_ms: u64,
    /// How long it keeps what it got, at most, in milliseconds; and the longest wait between tries.
    pub keep_ms: u64,
    /// Of a hundred mounts, how many are not unmounted before the next try.
    pub kept_percent: u64,
    /// Of a hundred tries, how many may shut others out.
    pub preempting_percent: u64,
}
