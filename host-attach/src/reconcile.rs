//! Observing: what the host has of a volume now, whatever the ledger hoped for; and making ready
//! for a publish by clearing what an earlier grant left.
//!
//! Nothing is ever inferred from a step that was once done. After kill -9 or a reboot the same
//! looks decide what comes next.

use rustix::fs::OFlags;
use storage_core::{ArrayId, Attachment, AttachmentState, ErrorKind, Result, Volume};

use crate::attach::still_held;
use crate::connector::Connector;
use crate::device::{BlockNode, Use, VerifiedDevice};
use crate::failure::refused;
use crate::ledger::{FormatPhase, Intent, Key, Record};
use crate::machine::{Machine, attachment};
use crate::mount::{is_healthy, mounts_at};
use crate::mountinfo::MountEntry;
use crate::teardown::Mode;

/// What a device said when it was asked who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Proof {
    /// Certainly not this volume under this grant: it was fenced, or shows another volume.
    Wrong,
    /// It could not be asked, or there is no device.
    Unknown,
    /// This volume, under this grant.
    Right,
}

/// What the host has of one record.
#[derive(Debug)]
pub(crate) struct View {
    /// The record's devices.
    pub(crate) devices: Vec<BlockNode>,
    /// The mount at the record's place, if one of its devices is mounted there.
    pub(crate) mounted: Option<(BlockNode, MountEntry)>,
    /// Whether something else is mounted at the record's place.
    pub(crate) obstructed: bool,
    /// Whether the devices prove now to be the volume under the record's grant.
    pub(crate) proof: Proof,
}

impl View {
    /// Whether the devices are certainly the right ones.
    pub(crate) fn proven(&self) -> bool {
        self.proof == Proof::Right
    }

    /// Whether nothing at all is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.devices.is_empty() && self.mounted.is_none() && !self.obstructed
    }
}

impl Machine {
    /// Looks at the host.
    pub(crate) fn view(&self, record: &Record) -> Result<View> {
        let connector = self.connector_of(record)?;
        let devices = connector.owned(record)?;
        let top = mounts_at(&record.mountpoint)?.pop();
        let mounted = top.clone().and_then(|entry| {
            let node = devices.iter().find(|node| node.number == entry.device)?;
            Some((node.clone(), entry))
        });
        let mut proof = if devices.is_empty() {
            Proof::Unknown
        } else {
            Proof::Right
        };
        for node in &devices {
            let verified = VerifiedDevice::verify(connector, record, node, Use::Mounted);
            if let Err(error) = verified {
                tracing::debug!(volume = %record.volume(), device = node.name, error = %error.chain(), "the device does not prove to be the volume");
                let wrong = certainly_wrong(connector, record, node);
                proof = if wrong {
                    Proof::Wrong
                } else {
                    proof.min(Proof::Unknown)
                };
            }
        }
        Ok(View {
            obstructed: top.is_some() && mounted.is_none(),
            devices,
            mounted,
            proof,
        })
    }

    /// Whether the file system is mounted, on the proven device, and works.
    pub(crate) fn is_intact(record: &Record, view: &View, ask_device: bool) -> bool {
        view.proven()
            && view
                .mounted
                .as_ref()
                .is_some_and(|(_, entry)| is_healthy(entry, &record.filesystem, ask_device))
    }

    /// The record's state, observed. To ask the device as well costs a flush.
    pub(crate) fn state(&self, record: &Record, ask_device: bool) -> Result<AttachmentState> {
        let view = self.view(record)?;
        Ok(match record.intent {
            Intent::Attach if Self::is_intact(record, &view, ask_device) => {
                AttachmentState::Mounted
            }
            Intent::Released | Intent::Forgotten
                if view.devices.is_empty() && view.mounted.is_none() =>
            {
                AttachmentState::Released
            }
            _ => AttachmentState::Incomplete,
        })
    }

    /// One volume's attachment.
    pub(crate) fn status(&self, volume: &storage_core::VolumeId) -> Result<Option<Attachment>> {
        let shown = |record: &Record| record.intent != Intent::Forgotten;
        let Some(record) = self.load(volume)?.filter(shown) else {
            return Ok(None);
        };
        Ok(Some(attachment(&record, self.state(&record, true)?)))
    }

    /// Every attachment.
    pub(crate) fn attachments(&self) -> Result<Vec<Attachment>> {
        let records = self.ledger.load_all()?;
        let shown = records
            .iter()
            .filter(|record| record.intent != Intent::Forgotten);
        shown
            .map(|record| Ok(attachment(record, self.state(record, false)?)))
            .collect()
    }

    /// Clears what an earlier grant left, before the next is given.
    ///
    /// The array may give the volume a LUN number that another one had here. What was fenced goes
    /// now, while its writes still fail, and not when the number is back.
    pub(crate) fn prepare(&self, volume: &Volume) -> Result<()> {
        if let Err(error) = self.heal(Some(volume.id.array())) {
            tracing::warn!(error = %error.chain(), "other volumes could not be looked at");
        }
        if let Some(mut record) = self.load(&volume.id)? {
            let view = self.view(&record)?;
            if Self::is_intact(&record, &view, true) {
                return Ok(());
            }
            self.clear(&mut record, &view).map_err(still_held)?;
        }
        // What is left now is not ours to touch.
        let mut names = Vec::new();
        for connector in self.connectors() {
            names.extend(connector.showing(volume)?.into_iter().map(|node| node.name));
        }
        if names.is_empty() {
            return Ok(());
        }
        Err(refused(format!(
            "{} on this host still shows the volume, and the ledger does not know it; detach it by hand",
            names.join(", ")
        ))
        .with_context("volume", volume.id.to_string()))
    }

    /// Takes down what is not intact. What can still be proven is written back first; what cannot
    /// must not write any more.
    pub(crate) fn clear(&self, record: &mut Record, view: &View) -> Result<()> {
        if view.is_empty() && matches!(record.intent, Intent::Released | Intent::Forgotten) {
            return Ok(());
        }
        let mode = if view.proven() {
            Mode::Flush
        } else {
            Mode::Discard
        };
        self.release(record, mode)
    }

    /// Takes down everything of the record and remembers that.
    pub(crate) fn release(&self, record: &mut Record, mode: Mode) -> Result<()> {
        if record.intent != Intent::Detach {
            record.intent = Intent::Detach;
            self.store(record)?;
        }
        self.teardown(record, mode)?;
        record.intent = Intent::Released;
        record.device = None;
        self.store(record)
    }

    /// What a fenced host does: takes down every attachment whose device does not prove to be its
    /// volume any more, of all arrays or of one. Volumes that something else works on are left to
    /// that.
    pub(crate) fn heal(&self, only: Option<&ArrayId>) -> Result<Vec<Attachment>> {
        let mut released = Vec::new();
        for record in self.ledger.load_all()? {
            if only.is_some_and(|array| array != record.volume().array()) {
                continue;
            }
            let key = Key::of(record.volume());
            let Some(_turn) = self.locks.try_lock(&key) else {
                continue;
            };
            // Read again under the lock.
            let Some(mut record) = self.ledger.load(&key)? else {
                continue;
            };
            let view = self.view(&record)?;
            if view.proof != Proof::Wrong {
                continue;
            }
            match self.release(&mut record, Mode::Discard) {
                Ok(()) => released.push(attachment(&record, AttachmentState::Released)),
                Err(error) => {
                    tracing::error!(volume = %record.volume(), error = %error.chain(), "a fenced volume could not be taken down");
                }
            }
        }
        Ok(released)
    }

    /// Takes down another volume's device that lies on this volume's path: the array reuses LUN
    /// numbers, and the old device now shows the new volume.
    pub(crate) fn evict_strangers(&self, record: &Record) -> Result<()> {
        for stranger in self.connector_of(record)?.strangers(record)? {
            let name = stranger.node.name;
            let records = self.ledger.load_all()?;
            let owner = stranger.owner.as_deref().and_then(|short| {
                records
                    .into_iter()
                    .find(|candidate| Key::of(candidate.volume()).short() == short)
            });
            let Some(owner) = owner else {
                return Err(refused(format!(
                    "{name} already shows this LUN, and the ledger does not know it; detach it by hand"
                )));
            };
            let key = Key::of(owner.volume());
            let Some(_turn) = self.locks.try_lock(&key) else {
                return Err(crate::failure::error(
                    ErrorKind::Busy,
                    format!(
                        "{name} of the volume {} has to go first, and something works on it",
                        owner.volume()
                    ),
                ));
            };
            if let Some(mut owner) = self.ledger.load(&key)? {
                tracing::error!(volume = %owner.volume(), device = name, "a device of an earlier connection shows another volume: taken down without writing");
                self.release(&mut owner, Mode::Discard)
                    .map_err(still_held)?;
            }
        }
        Ok(())
    }

    /// Whether a file system is known to be there, for a record carried over from an earlier
    /// grant.
    pub(crate) fn carried_format(previous: Option<&Record>) -> FormatPhase {
        previous.map_or(FormatPhase::Unknown, |record| record.format.clone())
    }
}

/// Whether the device itself says that it is not the volume, or not under this grant. One that
/// cannot be asked, or that something is stacked on, is not certain to be wrong.
fn certainly_wrong(connector: &dyn Connector, record: &Record, node: &BlockNode) -> bool {
    let asked = node
        .open(OFlags::RDONLY)
        .map(|file| connector.prove_identity(record, node, &file));
    matches!(asked, Ok(Err(error)) if error.kind() == ErrorKind::FailedPrecondition)
}
