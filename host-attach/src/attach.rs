//! Attaching: the order of steps, and growing what is attached.
//!
//! Intent is recorded before the host is changed; each step is skipped when it is seen to be so;
//! the identity is proven when the device is made, right before mkfs and right before mount.

use storage_core::{AttachVolume, Attachment, AttachmentState, Error, ErrorKind, Outcome, Result};

use crate::blocking::Progress;
use crate::device::{BlockNode, Use, VerifiedDevice};
use crate::failure::{error, refused};
use crate::filesystem;
use crate::format;
use crate::fresh_uuid;
use crate::ledger::{DeviceFact, Intent, Key, Record};
use crate::machine::{Machine, attachment, boot_id};
use crate::mount::{make_mountpoint, mount_device, refuse_strange_mount};
use crate::steps::Step;
use crate::teardown::Mode;

/// A file system this much smaller than its device is grown; less may be room that it cannot use.
const GROW_FROM_BYTES: u64 = 1024 * 1024;

impl Machine {
    /// The whole of attaching. Blocking.
    pub(crate) fn attach(
        &self,
        request: AttachVolume,
        progress: &Progress,
    ) -> Result<Outcome<Attachment>> {
        let connector = self.connector(request.access.path.protocol())?;
        connector.available()?;
        progress.set("looking at the host");
        let previous = self.load(&request.access.volume)?;
        if let Some(mut record) = previous.clone() {
            let view = self.view(&record)?;
            let same = record.nonce() == request.access.grant.nonce;
            if same && Self::is_intact(&record, &view, true) {
                return self.keep(&mut record);
            }
            if (!same && !view.is_empty()) || view.mounted.is_some() || view.obstructed {
                // A mount under an old grant is never used again, and never written to again. One under
                // this grant that does not work is no reason to stop it under those who use it.
                progress.set("taking down what an earlier grant left");
                let mode = if same {
                    view.must_be_askable(record.volume())?;
                    view.mode()
                } else {
                    Mode::Discard
                };
                self.release(&mut record, mode).map_err(still_held)?;
            }
        }
        let mut record = self.new_record(request, previous.as_ref())?;
        progress.set("looking for the volume");
        connector.reach(&record)?;
        self.evict_strangers(&record, progress)?;
        // Before there is a record that would make it ours to take down.
        refuse_strange_mount(&record.mountpoint)?;
        self.store(&record)?;
        let mut alive = false;
        match self.build(&mut record, progress, &mut alive) {
            Ok(()) => Ok(Outcome::Done(attachment(&record, AttachmentState::Mounted))),
            Err(failure) => {
                if !alive {
                    self.roll_back(&record);
                }
                Err(failure)
            }
        }
    }

    /// It is mounted under this grant; only the intent may say otherwise, after a detach that was
    /// broken off.
    fn keep(&self, record: &mut Record) -> Result<Outcome<Attachment>> {
        if record.intent != Intent::Attach {
            record.intent = Intent::Attach;
            self.store(record)?;
        }
        Ok(Outcome::AlreadySo(attachment(
            record,
            AttachmentState::Mounted,
        )))
    }

    fn new_record(&self, request: AttachVolume, previous: Option<&Record>) -> Result<Record> {
        let key = Key::of(&request.access.volume);
        let mut access = request.access;
        access.path = self
            .connector(access.path.protocol())?
            .canonical(&access.path)?;
        let same = previous.filter(|record| record.nonce() == access.grant.nonce);
        Ok(Record {
            version: Record::VERSION,
            // Under another folder it is of a plugin that ran otherwise, and Docker would not see it.
            mountpoint: previous
                .map(|record| record.mountpoint.clone())
                .filter(|mountpoint| self.mounts.has(mountpoint))
                .unwrap_or_else(|| self.mounts.mountpoint(&request.name, &key)),
            name: request.name,
            object: request.object,
            filesystem: request.filesystem,
            fresh_uuid: request.fresh_uuid,
            intent: Intent::Attach,
            format: Self::carried_format(previous),
            device: same.and_then(|record| record.device.clone()),
            access,
        })
    }

    /// From a recorded intent to a mounted file system. `alive` tells that the file system was
    /// already in use when it began, so that a failure must not tear it down.
    fn build(&self, record: &mut Record, progress: &Progress, alive: &mut bool) -> Result<()> {
        let connector = self.connector_of(record)?;
        progress.set("making the device");
        let node = self
            .steps
            .run(Step::Connect, || connector.connect(record))?;
        self.remember(record, &node)?;
        *alive = node.superblock_alive();
        let usage = if *alive { Use::Mounted } else { Use::Exclusive };
        progress.set("proving the device");
        let device = VerifiedDevice::verify(connector, record, &node, usage)?;
        if !*alive {
            progress.set("looking at, making or checking the file system");
            format::ensure(self, connector, record, &device)?;
            progress.set("giving the copied file system its own UUID");
            fresh_uuid::ensure(self, connector, record, &device)?;
            self.steps.run(Step::Check, || {
                filesystem::check(&self.runner, &device, record.filesystem.kind)
            })?;
        }
        if *alive && fresh_uuid::is_wanted(record, &device)? {
            // Nobody mounts a copy before that: what is alive is a replay that was cut off.
            let message = "the copied file system is still being given its own UUID; try again";
            return Err(error(ErrorKind::Busy, message));
        }
        let superblock =
            filesystem::superblock(&device)?.ok_or_else(|| refused("the file system is gone"))?;
        if superblock.bytes > device.size().bytes() {
            return Err(refused(format!(
                "the file system has {} bytes and its device only {}",
                superblock.bytes,
                device.size().bytes()
            )));
        }
        let kind = record.filesystem.kind;
        let room = device.size().bytes() - superblock.bytes >= GROW_FROM_BYTES && !*alive;
        let mounted_growth = filesystem::grows_mounted(kind);
        if room && !mounted_growth {
            progress.set("growing the file system");
            self.grow_if_possible(record, || {
                device.verify_again(connector, record)?;
                filesystem::grow_unmounted(&self.runner, &device)
            });
        }
        progress.set("mounting");
        self.mount(record, &device)?;
        if room && mounted_growth {
            progress.set("growing the file system");
            self.grow_if_possible(record, || {
                filesystem::grow(&self.runner, &device, kind, &record.mountpoint)
            });
        }
        Ok(())
    }

    fn remember(&self, record: &mut Record, node: &BlockNode) -> Result<()> {
        let fact = device_fact(node)?;
        if record.device.as_ref() == Some(&fact) {
            return Ok(());
        }
        record.device = Some(fact);
        self.store(record)
    }

    pub(crate) fn mount(&self, record: &Record, device: &VerifiedDevice) -> Result<()> {
        let connector = self.connector_of(record)?;
        self.steps
            .run(Step::MakeMountpoint, || make_mountpoint(&record.mountpoint))?;
        self.steps.run(Step::Mount, || {
            device.verify_again(connector, record)?;
            mount_device(device.node(), &record.mountpoint, &record.filesystem)
        })
    }

    /// A volume that was expanded while it was not attached. Its old size is no reason to fail.
    fn grow_if_possible(&self, record: &Record, grow: impl FnOnce() -> Result<()>) {
        let grown = self.steps.run(Step::Grow, grow);
        if let Err(failure) = grown {
            tracing::warn!(volume = %record.volume(), error = %failure.chain(), "the file system keeps its old size");
        }
    }

    /// Removes what a failed attach made, so that nothing of it outlives the grant. The record
    /// stays, and with it the right to clean up what could not be removed now.
    fn roll_back(&self, record: &Record) {
        if self.steps.stopped() {
            return;
        }
        if let Err(failure) = self.teardown(record, Mode::Discard) {
            tracing::warn!(volume = %record.volume(), error = %failure.chain(), "a failed attach could not be taken back");
        }
    }
}

/// What the ledger keeps of a device.
pub(crate) fn device_fact(node: &BlockNode) -> Result<DeviceFact> {
    Ok(DeviceFact {
        name: node.name.clone(),
        number: node.number,
        diskseq: node.diskseq,
        boot_id: boot_id()?,
    })
}

/// What an earlier grant left is in use: that is no matter of waiting, somebody has to let go.
pub(crate) fn still_held(cause: Error) -> Error {
    if cause.kind() != ErrorKind::Busy {
        return cause;
    }
    let message = format!(
        "what an earlier grant left cannot be taken down: {}",
        cause.message()
    );
    refused(message).with_source(cause)
}
