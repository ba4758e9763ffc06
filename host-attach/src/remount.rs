//! Mounting once more what lost its mount and is in use.
//!
//! A managed plugin's mounts are in a mount namespace of its own. When it ends, or is killed, they
//! go; what containers have stays, and with it the device and the living file system. The next
//! process shows that file system at its place again, so that more containers can have it. Nothing
//! is made, checked or repaired: the kernel has it mounted already.

use storage_core::Result;

use crate::connector::Connector;
use crate::device::{Use, VerifiedDevice};
use crate::fresh_uuid;
use crate::ledger::{Intent, Key, Record};
use crate::machine::Machine;
use crate::reconcile::View;

impl Machine {
    /// Mounts the record's file system if only the mount is missing: it is to be attached, it is
    /// alive elsewhere, and its one device proves to be the volume under this grant.
    pub(crate) fn remount(
        &self,
        connector: &dyn Connector,
        record: &mut Record,
        view: &View,
    ) -> Result<()> {
        let [node] = view.devices.as_slice() else {
            return Ok(());
        };
        let missing = view.mounted.is_none() && !view.obstructed && node.superblock_alive();
        if record.intent != Intent::Attach || !view.proven() || !missing {
            return Ok(());
        }
        let device = VerifiedDevice::verify(connector, record, node, Use::Mounted)?;
        if fresh_uuid::is_wanted(record, &device)? {
            // What is alive is the replay of a copy's log that was cut off: nobody's mount.
            return Ok(());
        }
        if !self.mounts.has(&record.mountpoint) {
            let key = Key::of(record.volume());
            record.mountpoint = self.mounts.mountpoint(&record.name, &key);
            self.store(record)?;
        }
        tracing::warn!(
            volume = %record.volume(), device = node.name, path = %record.mountpoint.display(),
            "its file system is in use and was not mounted here any more: mounted again"
        );
        self.mount(record, &device)
    }
}
