//! What a worker was told, written down before it goes on: so what a killed one knew is known.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use storage_core::{Clock as _, SystemClock};
use uuid::Uuid;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Entry {
    /// A process began.
    Started,
    /// It has listed every array.
    Listed,
    /// A create was answered: this volume has the name.
    Acknowledged {
        /// The name.
        name: String,
        /// The volume's id.
        volume: String,
        /// Whether this call made it.
        made: bool,
    },
    /// A call was refused.
    Refused {
        /// The name.
        name: String,
        /// Which call.
        call: String,
        /// The error's kind.
        kind: String,
        /// The error with its causes.
        message: String,
    },
    /// A name was given up after all its tries.
    GaveUp {
        /// The name.
        name: String,
    },
    /// The host uses the volume from now on.
    Granted {
        /// The name.
        name: String,
        /// The volume's id.
        volume: String,
        /// The grant.
        nonce: Uuid,
        /// The number under which the host sees it.
        lun: u16,
    },
    /// The host has let go of it.
    Released {
        /// The volume's id.
        volume: String,
        /// The grant.
        nonce: Uuid,
    },
    /// All is done.
    Ended,
}

/// An entry with its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Milliseconds since the Unix epoch, by this machine's clock.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal(Mutex<File>);

impl Journal {
    /// Opens it to go on after what is there. A line that a kill cut off is dropped.
    ///
    /// # Errors
    /// When the file cannot be opened or read.
    pub fn open(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options
            .open(path)
            .with_context(|| format!("open {}", path.display()))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).context("read the journal")?;
        let whole = text.iter().rposition(|byte| *byte == b'\n');
        let whole = whole.map_or(0, |at| at + 1);
        file.set_len(whole as u64).context("cut the journal")?;
        file.seek(SeekFrom::End(0)).context("go to its end")?;
        Ok(Self(Mutex::new(file)))
    }

    /// Writes an entry down for good.
    ///
    /// # Errors
    /// When it cannot be written; the worker must then not go on.
    pub fn note(&self, entry: Entry) -> Result<()> {
        let line = Line {
            at_ms: SystemClock.now_ms(),
            entry,
        };
        let mut text = serde_json::to_string(&line).context("write an entry")?;
        text.push('\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes())
            .context("write the journal")?;
        file.sync_data().context("write the journal")
    }
}

/// Reads a journal; none is an empty one.
///
/// # Errors
/// When the file, or a whole line of it, cannot be read.
pub fn read(path: &Path) -> Result<Vec<Line>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let whole = text.rfind('\n').map_or(0, |at| at + 1);
    let lines = text.get(..whole).unwrap_or_default().lines();
    lines
        .map(|line| serde_json::from_str(line).with_context(|| format!("read {line}")))
        .collect()
}
