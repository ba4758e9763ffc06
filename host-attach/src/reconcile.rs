//! Observing: what the host has of a volume now, whatever the ledger hoped for; and making ready
//! for a publish by clearing what an earlier grant left.
//!
//! Nothing is ever inferred from a step that was once done. After kill -9 or a reboot the same
//! looks decide what comes next.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use rustix::fs::OFlags;
use storage_core::{Attachment, AttachmentState, ErrorKind, Result, Volume, VolumeId};

use crate::attach::still_held;
use crate::blocking::Progress;
use crate::connector::{Connector, lun_of};
use crate::device::{BlockNode, Use, VerifiedDevice};
use crate::failure::refused;
use crate::ledger::{FormatPhase, Intent, Key, Record};
use crate::machine::{Machine, attachment};
use crate::mount::{is_healthy, mounts_at};
use crate::mountinfo::{MountEntry, own_mounts};
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

    /// Whether a file system of the volume is alive, here or in another mount namespace.
    pub(crate) fn is_alive(&self) -> bool {
        self.mounted.is_some() || self.devices.iter().any(BlockNode::superblock_alive)
    }

    /// How to take it down. Only what certainly is another device is stopped without asking who
    /// uses it: one that cannot be asked may be fine, with containers working on it.
    pub(crate) fn mode(&self) -> Mode {
        match self.proof {
            Proof::Wrong => Mode::Discard,
            Proof::Unknown | Proof::Right => Mode::Flush,
        }
    }

    /// Refuses what nobody asked to be taken down as long as its device cannot tell what it is.
    ///
    /// # Errors
    /// `Unavailable` if a file system of the volume is alive on a device that cannot be asked.
    pub(crate) fn must_be_askable(&self, volume: &VolumeId) -> Result<()> {
        if self.proof != Proof::Unknown || !self.is_alive() {
            return Ok(());
        }
        let names: Vec<&str> = self.devices.iter().map(|node| node.name.as_str()).collect();
        Err(crate::failure::error(
            ErrorKind::Unavailable,
            format!(
                "the device cannot be asked now whether it still is the volume, and its file system is mounted ({}): nothing was changed",
                names.join(", ")
            ),
        )
        .with_context("volume", volume.to_string()))
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
    pub(crate) fn status(&self, volume: &VolumeId) -> Result<Option<Attachment>> {
        let shown = |record: &Record| record.intent != Intent::Forgotten;
        let Some(record) = self.load(volume)?.filter(shown) else {
            return Ok(None);
        };
        Ok(Some(attachment(&record, self.state(&record, true)?)))
    }

    /// The record of every attachment.
    pub(crate) fn recorded(&self) -> Result<Vec<Record>> {
        let mut records = self.ledger.load_all()?;
        records.retain(|record| record.intent != Intent::Forgotten);
        // Without the mounts nothing can be said of any of them.
        own_mounts().map(|_mounts| records)
    }

    /// The LUN numbers under which this host has devices, or may have by what it recorded. A
    /// record that cannot be read has none to tell; its device, if there is one, is among the
    /// kernel's.
    pub(crate) fn luns_in_use(&self) -> Result<Vec<u16>> {
        let records = self.ledger.load_all()?;
        let held = |record: &&Record| matches!(record.intent, Intent::Attach | Intent::Detach);
        let mut numbers: BTreeSet<u16> = records
            .iter()
            .filter(held)
            .filter_map(|record| lun_of(&record.access.path))
            .collect();
        for connector in self.connectors() {
            numbers.extend(connector.luns_shown()?);
        }
        Ok(numbers.into_iter().collect())
    }

    /// Clears what an earlier grant left of this volume, before the next is given. Other volumes
    /// that were fenced are taken down before this: see the caller.
    pub(crate) fn prepare(&self, volume: &Volume) -> Result<()> {
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
        let list = names.join(", ");
        Err(refused(format!(
            "{list} on this host still shows the volume {}, and this plugin's ledger does not know it: {}",
            volume.name,
            by_hand(&names)
        ))
        .with_context("volume", volume.id.to_string()))
    }

    /// Takes down what is not intact. What can still be proven is written back first; what is
    /// certainly wrong must not write any more; what cannot be asked stays.
    pub(crate) fn clear(&self, record: &mut Record, view: &View) -> Result<()> {
        if view.is_empty() && matches!(record.intent, Intent::Released | Intent::Forgotten) {
            return Ok(());
        }
        view.must_be_askable(record.volume())?;
        self.release(record, view.mode())
    }

    /// Takes down everything of the record and remembers that.
    pub(crate) fn release(&self, record: &mut Record, mode: Mode) -> Result<()> {
        if mode == Mode::Discard {
            self.view(record)?.must_be_askable(record.volume())?;
        }
        if record.intent != Intent::Detach {
            record.intent = Intent::Detach;
            self.store(record)?;
        }
        self.teardown(record, mode)?;
        record.intent = Intent::Released;
        record.device = None;
        self.store(record)
    }

    /// What a fenced host does: takes the attachment down if its device certainly does not show
    /// its volume any more; and mounts again what is in use and lost its mount. What something else
    /// works on is left to that.
    pub(crate) fn heal(&self, volume: &VolumeId, progress: &Progress) -> Result<()> {
        let Some(turn) = self.locks.try_lock(&Key::of(volume)) else {
            return Ok(());
        };
        turn.begins("heal", progress);
        progress.set("looking for a fence");
        // Read again under the lock.
        let Some(mut record) = self.load(volume)? else {
            return Ok(());
        };
        let view = self.view(&record)?;
        if view.proof != Proof::Wrong {
            progress.set("mounting again what is in use");
            return self.remount(self.connector_of(&record)?, &mut record, &view);
        }
        progress.set("taking down what was fenced");
        self.release(&mut record, Mode::Discard)?;
        self.note_healed(attachment(&record, AttachmentState::Released));
        Ok(())
    }

    fn note_healed(&self, released: Attachment) {
        let mut healed = self.healed.lock().unwrap_or_else(PoisonError::into_inner);
        healed.retain(|earlier| earlier.volume != released.volume);
        healed.push(released);
    }

    /// What was taken down since this was last asked, whenever it came to its end.
    pub(crate) fn take_healed(&self) -> Vec<Attachment> {
        let mut healed = self.healed.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *healed)
    }

    /// Takes down another volume's device that lies on this volume's path: the array reuses LUN
    /// numbers, and the old device now shows the new volume.
    ///
    /// # Errors
    /// When the device's owner is not known, its record cannot be read, or something works on it.
    pub(crate) fn evict_strangers(&self, record: &Record, progress: &Progress) -> Result<()> {
        for stranger in self.connector_of(record)?.strangers(record)? {
            let name = stranger.node.name;
            let short = stranger.owner.as_deref();
            let owner = short.map(|short| self.ledger.load_short(short));
            let Some(owner) = owner.transpose()?.flatten() else {
                return Err(refused(format!(
                    "{name} already shows the LUN of the volume {}, and this plugin's ledger does not know it: {}",
                    record.volume(),
                    by_hand(std::slice::from_ref(&name))
                )));
            };
            let key = Key::of(owner.volume());
            let Some(turn) = self.locks.try_lock(&key) else {
                return Err(crate::failure::error(
                    ErrorKind::Busy,
                    format!(
                        "{name} of the volume {} has to go first, and something works on it: {}",
                        owner.volume(),
                        self.locks.doing(&key)
                    ),
                ));
            };
            turn.begins("eviction", progress);
            progress.set(format!("taking down {} on the same path", owner.volume()));
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

/// What to do about devices that are there and not in the ledger. They may be in use by what this
/// ledger cannot see, so taking them away is the last thing that is advised.
pub(crate) fn by_hand(names: &[String]) -> String {
    let commands: Vec<String> = names
        .iter()
        .map(|name| {
            if name.starts_with("loop") {
                format!("only if `findmnt -S /dev/{name}` shows nothing, `losetup -d /dev/{name}`")
            } else {
                format!("only if `findmnt -S /dev/{name}` shows nothing, detach it by hand")
            }
        })
        .collect();
    format!(
        "another fairlead plugin or a container may use it. Run one plugin per host; {}",
        commands.join("; ")
    )
}

/// Whether the device itself says that it is not the volume, or not under this grant. One that
/// cannot be asked, or that something is stacked on, is not certain to be wrong.
pub(crate) fn certainly_wrong(
    connector: &dyn Connector,
    record: &Record,
    node: &BlockNode,
) -> bool {
    let asked = node
        .open(OFlags::RDONLY)
        .map(|file| connector.prove_identity(record, node, &file));
    matches!(asked, Ok(Err(error)) if error.kind() == ErrorKind::FailedPrecondition)
}

#[cfg(test)]
mod tests {
    use super::by_hand;

    #[test]
    fn taking_a_device_away_is_advised_last_and_under_a_condition() {
        let advice = by_hand(&["loop7".to_owned()]);
        assert!(
            advice.starts_with("another fairlead plugin or a container"),
            "{advice}"
        );
        let end = "only if `findmnt -S /dev/loop7` shows nothing, `losetup -d /dev/loop7`";
        assert!(advice.ends_with(end), "{advice}");
    }
}
