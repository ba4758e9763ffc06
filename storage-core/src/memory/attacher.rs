//! The reference attacher: a host whose devices are [`MemoryArray`]s. Mount points are paths and
//! nothing more; nothing is mounted.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::access::{Host, Protocol};
use crate::attach::{AdoptVolume, AttachVolume, Attacher, Attachment, AttachmentState, Unrecorded};
use crate::backend::HeldVolume;
use crate::error::{Error, ErrorKind, Result};
use crate::filesystem::Filesystem;
use crate::memory::array::MemoryArray;
use crate::outcome::Outcome;
use crate::size::Size;
use crate::volume::{Volume, VolumeId};

/// A host in memory.
#[derive(Debug)]
pub struct MemoryAttacher {
    host: Host,
    arrays: Vec<Arc<MemoryArray>>,
    ledger: Mutex<HashMap<VolumeId, Attachment>>,
    /// What is mounted and not on the ledger, by serial.
    lost: Mutex<HashMap<String, Attachment>>,
    held: Mutex<Option<String>>,
    intentions: Mutex<HashMap<VolumeId, HeldVolume>>,
}

impl MemoryAttacher {
    /// A host that can reach those arrays.
    #[must_use]
    pub fn new(host: Host, arrays: Vec<Arc<MemoryArray>>) -> Self {
        Self {
            host,
            arrays,
            ledger: Mutex::new(HashMap::new()),
            lost: Mutex::new(HashMap::new()),
            held: Mutex::new(None),
            intentions: Mutex::new(HashMap::new()),
        }
    }

    /// Makes every detach fail because something (named) holds the mount; `None` ends that.
    pub fn hold(&self, holder: Option<&str>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = holder.map(str::to_owned);
    }

    /// Loses the record of a volume over its live mount, as when the state folder is deleted.
    pub fn lose_record(&self, volume: &Volume) {
        let serial = volume.identity.as_ref().map(|identity| &identity.serial);
        if let (Some(serial), Some(attachment)) = (serial, self.ledger().remove(&volume.id)) {
            self.lost().insert(serial.clone(), attachment);
        }
    }

    fn lost(&self) -> MutexGuard<'_, HashMap<String, Attachment>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn intentions_now(&self) -> MutexGuard<'_, HashMap<VolumeId, HeldVolume>> {
        self.intentions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn ledger(&self) -> MutexGuard<'_, HashMap<VolumeId, Attachment>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn array(&self, id: &VolumeId) -> Result<&Arc<MemoryArray>> {
        self.arrays
            .iter()
            .find(|array| array.id() == id.array())
            .ok_or_else(|| Error::new(ErrorKind::Unavailable, "no path to the array"))
    }

    /// Makes the file system or recognises it, by the rules of the format grant.
    fn format(&self, request: &AttachVolume) -> Result<()> {
        let access = &request.access;
        let array = self.array(&access.volume)?;
        let object = access.volume.object();
        match (
            array.content(object, &access.grant.host)?,
            &access.format_grant,
        ) {
            (Some(_), _) => match (request.fresh_uuid, request.filesystem.kind) {
                (Some(uuid), Filesystem::Xfs) => array.renew(object, &access.grant.host, uuid),
                _ => Ok(()),
            },
            (None, Some(grant)) => array.format(object, &access.grant.host, grant.uuid),
            (None, None) => Err(Error::new(
                ErrorKind::FailedPrecondition,
                "the device is blank and the volume carries no format grant; it is not formatted",
            )),
        }
    }
}

#[async_trait]
impl Attacher for MemoryAttacher {
    fn host(&self) -> &Host {
        &self.host
    }

    fn supports(&self, protocol: Protocol) -> Result<()> {
        if protocol == Protocol::Loop {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            format!("{protocol} is not available in memory"),
        ))
    }

    async fn prepare(&self, volume: &Volume) -> Result<()> {
        let mut ledger = self.ledger();
        if ledger
            .get(&volume.id)
            .is_some_and(|a| a.state == AttachmentState::Incomplete)
        {
            ledger.remove(&volume.id);
        }
        drop(ledger);
        if self.lost().values().any(|lost| lost.volume == volume.id) {
            let message = "this host still shows the volume, and the ledger does not know it";
            return Err(Error::new(ErrorKind::FailedPrecondition, message));
        }
        Ok(())
    }

    async fn intend(&self, held: &HeldVolume) -> Result<()> {
        self.intentions_now()
            .insert(held.volume.clone(), held.clone());
        Ok(())
    }

    async fn settle(&self, volume: &VolumeId) -> Result<()> {
        self.intentions_now().remove(volume);
        Ok(())
    }

    async fn intentions(&self) -> Result<Vec<HeldVolume>> {
        Ok(self.intentions_now().values().cloned().collect())
    }

    async fn attach(&self, request: AttachVolume) -> Result<Outcome<Attachment>> {
        let id = request.access.volume.clone();
        if let Some(existing) = self.ledger().get(&id)
            && existing.state == AttachmentState::Mounted
        {
            if existing.nonce == request.access.grant.nonce {
                return Ok(Outcome::AlreadySo(existing.clone()));
            }
            return Err(Error::new(
                ErrorKind::FailedPrecondition,
                "the volume is mounted here under an earlier grant",
            ));
        }
        self.format(&request)?;
        let attachment = Attachment {
            volume: id.clone(),
            name: request.name,
            object: request.object,
            nonce: request.access.grant.nonce,
            state: AttachmentState::Mounted,
            mountpoint: PathBuf::from(format!("/memory/mounts/{}", id.object())),
            formatted: true,
        };
        self.ledger().insert(id, attachment.clone());
        Ok(Outcome::Done(attachment))
    }

    async fn unrecorded(&self) -> Result<Vec<Unrecorded>> {
        let lost = self.lost();
        let found = lost.keys().map(|serial| Unrecorded {
            device: format!("memory-{serial}"),
            serial: Some(serial.clone()),
        });
        Ok(found.collect())
    }

    async fn adopt(&self, request: AdoptVolume) -> Result<Outcome<Attachment>> {
        if let Some(known) = self.ledger().get(&request.volume.id) {
            return Ok(Outcome::AlreadySo(known.clone()));
        }
        let mut lost = self.lost();
        let matching = lost
            .extract_if(|_, one| {
                one.volume == request.volume.id && one.nonce == request.grant.nonce
            })
            .next();
        drop(lost);
        let Some((_, attachment)) = matching else {
            let message = "it is left as it is: made under another grant";
            return Err(Error::new(ErrorKind::FailedPrecondition, message));
        };
        self.ledger()
            .insert(attachment.volume.clone(), attachment.clone());
        Ok(Outcome::Done(attachment))
    }

    async fn detach(&self, volume: &VolumeId) -> Result<Outcome<()>> {
        if let Some(holder) = self
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
        {
            return Err(Error::new(
                ErrorKind::Busy,
                format!("the mount is held by {holder}"),
            ));
        }
        match self.ledger().get_mut(volume) {
            Some(attachment) if attachment.state != AttachmentState::Released => {
                attachment.state = AttachmentState::Released;
                Ok(Outcome::Done(()))
            }
            _ => Ok(Outcome::AlreadySo(())),
        }
    }

    async fn forget(&self, volume: &VolumeId) -> Result<()> {
        let mut ledger = self.ledger();
        if ledger
            .get(volume)
            .is_some_and(|a| a.state != AttachmentState::Released)
        {
            return Err(Error::new(
                ErrorKind::FailedPrecondition,
                "the volume is not released",
            ));
        }
        ledger.remove(volume);
        Ok(())
    }

    async fn resize(&self, volume: &VolumeId, _size: Size) -> Result<Outcome<()>> {
        if self.ledger().contains_key(volume) {
            return Ok(Outcome::Done(()));
        }
        Err(Error::new(
            ErrorKind::NotFound,
            "the volume is not attached here",
        ))
    }

    async fn status(&self, volume: &VolumeId) -> Result<Option<Attachment>> {
        Ok(self.ledger().get(volume).cloned())
    }

    async fn luns_in_use(&self) -> Result<Vec<u16>> {
        Ok(Vec::new())
    }

    async fn heal(&self) -> Result<Vec<Attachment>> {
        let mut released = Vec::new();
        for attachment in self.ledger().values_mut() {
            let fenced = self.array(&attachment.volume).is_ok_and(|array| {
                let content = array.content(attachment.volume.object(), &self.host.object_name());
                content.is_err()
            });
            if fenced && attachment.state == AttachmentState::Mounted {
                attachment.state = AttachmentState::Released;
                released.push(attachment.clone());
            }
        }
        Ok(released)
    }

    async fn attachments(&self) -> Result<Vec<Attachment>> {
        Ok(self.ledger().values().cloned().collect())
    }
}
