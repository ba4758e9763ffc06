//! What every operation works with: the ledger, the mount folder, the connectors, the tools and
//! the observer. The order of steps is in [`crate::attach`] and [`crate::teardown`].

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use storage_core::{Attachment, AttachmentState, Host, Protocol, Result, VolumeId};

use crate::connector::{Connector, LoopConnector, not_built};
use crate::failure::io_error;
use crate::ledger::{FormatPhase, Key, Ledger, Record};
use crate::locks::KeyLocks;
use crate::mount::MountFolder;
use crate::runner::Runner;
use crate::steps::{Step, Steps};

/// The host and our memory of it. Blocking: runs on the threads of [`crate::blocking`] only.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) host: Host,
    pub(crate) ledger: Ledger,
    pub(crate) mounts: MountFolder,
    pub(crate) runner: Runner,
    pub(crate) steps: Steps,
    pub(crate) locks: KeyLocks,
    /// Attachments that were fenced and taken down, and that nobody was told of yet.
    pub(crate) healed: Mutex<Vec<Attachment>>,
    pub(crate) loop_device: LoopConnector,
}

impl Machine {
    /// The connector of a protocol.
    ///
    /// # Errors
    /// `Unsupported` for what this build cannot attach.
    pub(crate) fn connector(&self, protocol: Protocol) -> Result<&dyn Connector> {
        match protocol {
            Protocol::Loop => Ok(&self.loop_device),
            other => Err(not_built(other)),
        }
    }

    /// Every connector of this build.
    pub(crate) fn connectors(&self) -> [&dyn Connector; 1] {
        [&self.loop_device]
    }

    pub(crate) fn connector_of(&self, record: &Record) -> Result<&dyn Connector> {
        self.connector(record.access.path.protocol())
    }

    /// Writes a record, as a step.
    pub(crate) fn store(&self, record: &Record) -> Result<()> {
        self.steps.run(Step::Record, || self.ledger.store(record))
    }

    pub(crate) fn load(&self, volume: &VolumeId) -> Result<Option<Record>> {
        self.ledger.load(&Key::of(volume))
    }
}

/// The record as the traits show it.
pub(crate) fn attachment(record: &Record, state: AttachmentState) -> Attachment {
    Attachment {
        volume: record.volume().clone(),
        name: record.name.clone(),
        object: record.object.clone(),
        nonce: record.nonce(),
        state,
        mountpoint: record.mountpoint.clone(),
        formatted: record.format == FormatPhase::Exists,
    }
}

/// This boot's id; facts about devices are void under another.
pub(crate) fn boot_id() -> Result<String> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text =
        fs::read_to_string(path).map_err(|source| io_error("reading the boot id", path, source))?;
    Ok(text.trim().to_owned())
}
