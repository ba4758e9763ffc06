//! The data path of an array in memory: what a host reads and writes under a logical unit number,
//! and what there is on the array, for tests that model hosts.
//!
//! As with a real array, a number stands for whatever is connected under it now: a host that goes
//! on using a number under which it had another volume reaches the new one.

use std::time::Duration;

use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::memory::array::{MemoryArray, Object};
use crate::name::VolumeName;
use crate::volume::VolumeState;

/// What is under a logical unit number of a host now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryDevice {
    /// The object's own id.
    pub object: String,
    /// Which connection it is: never the same for two of them.
    pub connection: u64,
    /// The file system on it; `None` on a blank one.
    pub filesystem: Option<Uuid>,
    /// What stands for all data in the file system.
    pub data: u64,
}

/// An object as somebody sees it who looks into the array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryObject {
    /// Its own id.
    pub id: String,
    /// Its name on the array.
    pub object: String,
    /// Where it is in its life.
    pub state: VolumeState,
    /// The user's name and its namespace, from its record.
    pub name: Option<(String, VolumeName)>,
    /// Who is connected: host and number of the connection.
    pub connections: Vec<(String, u64)>,
    /// The file system on it.
    pub filesystem: Option<Uuid>,
    /// What stands for all data in the file system.
    pub data: u64,
}

impl MemoryArray {
    /// What the host has under the number.
    ///
    /// # Errors
    /// `FailedPrecondition`, an I/O error on a host, when nothing is connected under it.
    pub fn device(&self, host: &str, lun: u16) -> Result<MemoryDevice> {
        self.on_device(host, lun, |_| {})
    }

    /// Writes data into the file system; gives what it was written to.
    ///
    /// # Errors
    /// As [`Self::device`].
    pub fn write_device(&self, host: &str, lun: u16, data: u64) -> Result<MemoryDevice> {
        self.on_device(host, lun, |object| object.data = data)
    }

    /// Makes a file system, whatever is there; gives what it was made on, as it was before.
    ///
    /// # Errors
    /// As [`Self::device`].
    pub fn format_device(&self, host: &str, lun: u16, filesystem: Uuid) -> Result<MemoryDevice> {
        let before = self.device(host, lun)?;
        let _after = self.on_device(host, lun, |object| {
            object.content = Some(filesystem);
            object.data = 0;
        })?;
        Ok(before)
    }

    /// Gives the file system another UUID and leaves its data.
    ///
    /// # Errors
    /// As [`Self::device`].
    pub fn renew_device(&self, host: &str, lun: u16, filesystem: Uuid) -> Result<MemoryDevice> {
        self.on_device(host, lun, |object| object.content = Some(filesystem))
    }

    fn on_device(
        &self,
        host: &str,
        lun: u16,
        change: impl FnOnce(&mut Object),
    ) -> Result<MemoryDevice> {
        let mut objects = self.lock();
        for object in objects.values_mut() {
            let link = object.link(host).filter(|link| link.lun == lun);
            if let Some(connection) = link.map(|link| link.serial) {
                change(object);
                return Ok(MemoryDevice {
                    object: object.id.clone(),
                    connection,
                    filesystem: object.content,
                    data: object.data,
                });
            }
        }
        Err(Error::new(
            ErrorKind::FailedPrecondition,
            "the device answers with I/O errors",
        ))
    }

    /// Everything that is on the array, destroyed objects among them, by name.
    #[must_use]
    pub fn look(&self) -> Vec<MemoryObject> {
        let objects = self.lock();
        let seen = objects.values().map(|object| MemoryObject {
            id: object.id.clone(),
            object: object.object.clone(),
            state: object.state,
            name: object
                .record
                .as_ref()
                .map(|record| (record.namespace.clone(), record.name.clone())),
            connections: object
                .links
                .iter()
                .map(|link| (link.host.clone(), link.serial))
                .collect(),
            filesystem: object.content,
            data: object.data,
        });
        seen.collect()
    }

    /// Lets the array's own clock go ahead, as if that time had passed there.
    pub fn advance_clock(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.ahead_ms
            .fetch_add(ms, std::sync::atomic::Ordering::SeqCst);
    }

    /// Forgets what was destroyed, as an array does after some time: the names are free.
    pub fn eradicate(&self) {
        let mut objects = self.lock();
        objects.retain(|_, object| object.state != VolumeState::Destroyed);
    }
}
