//! Mounts whose ledger record is lost or damaged: finding them, and taking them into the ledger
//! again. Only the ledger is written here; what does not match is left exactly as it is.
//!
//! What has to match: exactly one device of this host carries the volume's key, and the nonce of
//! the grant that the array says this host holds; asked live it answers with the volume's
//! identity; it is mounted, whole and alone, where this host mounts that volume; and its file
//! system is the expected one, and that of the format grant while there is one. A device that is
//! not mounted is never adopted: it may be another plugin's that is just being attached.

use std::path::Path;

use storage_core::{
    Access, AdoptVolume, Attachment, AttachmentState, ErrorKind, Outcome, Result, Size, Unrecorded,
};

use crate::attach::device_fact;
use crate::blocking::Progress;
use crate::connector::Marked;
use crate::device::{BlockNode, Use, VerifiedDevice};
use crate::failure::{call_error, refused};
use crate::filesystem;
use crate::ledger::{FormatPhase, Intent, Key, Record};
use crate::machine::{Machine, attachment, boot_id};
use crate::mount::{kernel_name, mounts_at};
use crate::reconcile::by_hand;
use crate::sys;

impl Machine {
    /// Devices with our mark that the ledger does not know.
    pub(crate) fn unrecorded(&self) -> Result<Vec<Unrecorded>> {
        let marked = self.marked()?.into_iter().map(|found| Unrecorded {
            device: found.node.name,
            serial: found.serial,
        });
        Ok(marked.collect())
    }

    fn marked(&self) -> Result<Vec<Marked>> {
        let records = self.ledger.load_all()?;
        let boot = boot_id()?;
        let facts = || records.iter().filter_map(|record| record.device.as_ref());
        let known = |node: &BlockNode| facts().any(|fact| fact.is(node, &boot));
        let mut found = Vec::new();
        for connector in self.connectors() {
            found.extend(connector.marked(&known)?);
        }
        // Made right before a crash, so that the record has no device yet.
        let recorded = |marked: &Marked| {
            let key = |record: &Record| Key::of(record.volume());
            records
                .iter()
                .any(|record| key(record).short() == marked.key)
        };
        found.retain(|marked| !recorded(marked));
        Ok(found)
    }

    /// Writes the record of a mount anew.
    pub(crate) fn adopt_lost(
        &self,
        request: &AdoptVolume,
        progress: &Progress,
    ) -> Result<Outcome<Attachment>> {
        let key = Key::of(&request.volume.id);
        let damaged = self.ledger.is_damaged(&key);
        if !damaged && let Some(record) = self.ledger.load(&key)? {
            let state = self.state(&record, true)?;
            return Ok(Outcome::AlreadySo(attachment(&record, state)));
        }
        progress.set("proving a mount that is not on the ledger");
        let node = self.only_device(&key, request)?;
        let record = self
            .lost_record(request, &node)
            .and_then(|record| self.prove_mount(&record, request).map(|()| record))
            .map_err(|failure| left_alone(&node.node.name, &failure))?;
        progress.set("writing the record anew");
        if damaged {
            self.ledger.set_aside(&key)?;
        }
        self.store(&record)?;
        Ok(Outcome::Done(attachment(&record, AttachmentState::Mounted)))
    }

    fn only_device(&self, key: &Key, request: &AdoptVolume) -> Result<Marked> {
        let mut marked = self.marked()?;
        marked.retain(|found| found.key == key.short());
        let names: Vec<String> = marked.iter().map(|found| found.node.name.clone()).collect();
        match (marked.pop(), marked.is_empty()) {
            (Some(one), true) => {
                if one.nonce == request.grant.nonce.simple().to_string() {
                    return Ok(one);
                }
                let other = refused(
                    "it was made under another grant than the one that the array says this host holds",
                );
                Err(left_alone(&one.node.name, &other))
            }
            (Some(_), false) => Err(refused(format!(
                "several devices carry this volume's mark, and nothing is done with any: {}",
                names.join(", ")
            ))),
            (None, _) => Err(refused("no device here carries this volume's mark")),
        }
    }

    /// The record as it must have been.
    fn lost_record(&self, request: &AdoptVolume, found: &Marked) -> Result<Record> {
        let volume = &request.volume;
        let identity = volume
            .identity
            .clone()
            .ok_or_else(|| refused("the array does not tell the volume's identity"))?;
        let file = found.node.open(rustix::fs::OFlags::RDONLY)?;
        let bytes = sys::block_size_bytes(&file)
            .map_err(|source| call_error("asking for the device's size", source))?;
        Ok(Record {
            version: Record::VERSION,
            name: volume.name.clone(),
            object: volume.object.clone(),
            access: Access {
                volume: volume.id.clone(),
                path: found.path.clone(),
                identity,
                // The volume may have grown since; resizing catches up with that.
                size: volume.size.min(Size::from_bytes(bytes)),
                grant: request.grant.clone(),
                format_grant: volume.format_grant.clone(),
            },
            filesystem: request.filesystem.clone(),
            intent: Intent::Attach,
            format: FormatPhase::Exists,
            mountpoint: self.mounts.mountpoint(&volume.name, &Key::of(&volume.id)),
            device: Some(device_fact(&found.node)?),
            fresh_uuid: None,
        })
    }

    fn prove_mount(&self, record: &Record, request: &AdoptVolume) -> Result<()> {
        let connector = self.connector_of(record)?;
        let view = self.view(record)?;
        let [node] = view.devices.as_slice() else {
            return Err(refused("it is not the volume's only device"));
        };
        let device = VerifiedDevice::verify(connector, record, node, Use::Mounted)?;
        let place = record.mountpoint.display();
        let Some((_, entry)) = &view.mounted else {
            return Err(refused(format!("it is not mounted at {place}")));
        };
        let kind = kernel_name(record.filesystem.kind)?;
        if mounts_at(&record.mountpoint)?.len() != 1 || entry.root != Path::new("/") {
            return Err(refused(format!(
                "there is more than its one mount at {place}"
            )));
        }
        if entry.kind != kind {
            return Err(refused(format!(
                "it is mounted as {} and not as {kind}",
                entry.kind
            )));
        }
        if !Self::is_intact(record, &view, true) {
            return Err(refused("its file system does not work any more"));
        }
        let superblock = filesystem::superblock(&device)?
            .filter(|found| found.kind == record.filesystem.kind)
            .ok_or_else(|| refused(format!("it shows no {kind} file system")))?;
        let granted = request.volume.format_grant.as_ref();
        if granted.is_some_and(|grant| grant.uuid != superblock.uuid) {
            return Err(refused(format!(
                "its file system has the UUID {}, and the volume's format grant another",
                superblock.uuid
            )));
        }
        Ok(())
    }
}

fn left_alone(device: &str, why: &storage_core::Error) -> storage_core::Error {
    let kind = match why.kind() {
        ErrorKind::Unavailable => ErrorKind::Unavailable,
        _ => ErrorKind::FailedPrecondition,
    };
    let advice = by_hand(&[device.to_owned()]);
    let message = format!(
        "{device} is not on this plugin's ledger and is left as it is: {}; {advice}",
        why.chain()
    );
    crate::failure::error(kind, message)
}
