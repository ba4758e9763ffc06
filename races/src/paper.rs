//! A host whose mounts are entries in a ledger: no device, no file system, as many hosts on one
//! machine as a test wants. Its ledger survives a kill, as a real one's does.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use storage_core::{
    AccessPath, AdoptVolume, AttachVolume, Attacher, Attachment, AttachmentState, Error, ErrorKind,
    HeldVolume, Host, Initiators, Outcome, Protocol, Result, Size, Unrecorded, Volume, VolumeId,
    VolumeName,
};
use uuid::Uuid;

use crate::journal::{Entry, Journal};

/// A mount on paper.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    volume: VolumeId,
    name: VolumeName,
    object: String,
    nonce: Uuid,
    lun: u16,
    mounted: bool,
}

impl Record {
    fn told(&self) -> Attachment {
        Attachment {
            volume: self.volume.clone(),
            name: self.name.clone(),
            object: self.object.clone(),
            nonce: self.nonce,
            state: if self.mounted {
                AttachmentState::Mounted
            } else {
                AttachmentState::Released
            },
            mountpoint: Path::new("/paper").join(self.volume.object()),
            formatted: true,
        }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Ledger {
    records: BTreeMap<String, Record>,
    intentions: BTreeMap<String, HeldVolume>,
}

/// The host. Says in its journal from when until when it uses a volume.
#[derive(Debug)]
pub struct PaperHost {
    host: Host,
    /// Where the ledger lies, and the journal. Without them the host lives as long as its process.
    kept: Option<(PathBuf, Arc<Journal>)>,
    ledger: Mutex<Ledger>,
}

impl PaperHost {
    /// Opens the ledger in that folder.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub fn open(name: &str, folder: &Path, journal: Arc<Journal>) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).context("make the host's folder")?;
        let path = folder.join("ledger.json");
        let ledger = match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).context("read the ledger")?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ledger::default(),
            Err(error) => return Err(error).context("read the ledger"),
        };
        Ok(Self {
            host: Host::new(name, name, Initiators::default()),
            kept: Some((path, journal)),
            ledger: Mutex::new(ledger),
        })
    }

    /// A host that writes nothing down: for measurements.
    #[must_use]
    pub fn forgetful(name: &str) -> Self {
        Self {
            host: Host::new(name, name, Initiators::default()),
            kept: None,
            ledger: Mutex::default(),
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the ledger, whole or not at all.
    fn save(&self, ledger: &Ledger) -> Result<()> {
        let Some((path, _)) = &self.kept else {
            return Ok(());
        };
        let write = || -> anyhow::Result<()> {
            let new = path.with_extension("new");
            let mut file = File::create(&new).context("make the ledger")?;
            file.write_all(&serde_json::to_vec(ledger).context("write the ledger")?)?;
            file.sync_data()?;
            std::fs::rename(&new, path).context("put the ledger in place")
        };
        write().map_err(|error| broken(&error))
    }

    fn note(&self, entry: Entry) -> Result<()> {
        let Some((_, journal)) = &self.kept else {
            return Ok(());
        };
        journal.note(entry).map_err(|error| broken(&error))
    }
}

fn broken(error: &anyhow::Error) -> Error {
    Error::new(ErrorKind::FailedPrecondition, format!("{error:#}"))
}

/// The number that the path of a LOOP volume ends with.
fn lun_of(path: &AccessPath) -> Option<u16> {
    match path {
        AccessPath::Loop { file } => file.file_name()?.to_str()?.parse().ok(),
        AccessPath::Iscsi { lun, .. } => Some(*lun),
        _ => None,
    }
}

#[async_trait]
impl Attacher for PaperHost {
    fn host(&self) -> &Host {
        &self.host
    }

    fn supports(&self, _protocol: Protocol) -> Result<()> {
        Ok(())
    }

    async fn prepare(&self, _volume: &Volume) -> Result<()> {
        Ok(())
    }

    async fn intend(&self, held: &HeldVolume) -> Result<()> {
        let mut ledger = self.ledger();
        ledger
            .intentions
            .insert(held.volume.to_string(), held.clone());
        self.save(&ledger)
    }

    async fn settle(&self, volume: &VolumeId) -> Result<()> {
        let mut ledger = self.ledger();
        ledger.intentions.remove(&volume.to_string());
        self.save(&ledger)
    }

    async fn intentions(&self) -> Result<Vec<HeldVolume>> {
        Ok(self.ledger().intentions.values().cloned().collect())
    }

    /// The journal has the grant before the ledger: a kill in between leaves a grant that was
    /// given and is not used, which is what the arrays' record shows too.
    async fn attach(&self, request: AttachVolume) -> Result<Outcome<Attachment>> {
        let access = request.access;
        let key = access.volume.to_string();
        let mut ledger = self.ledger();
        if let Some(known) = ledger.records.get(&key).filter(|known| known.mounted) {
            if known.nonce == access.grant.nonce {
                return Ok(Outcome::AlreadySo(known.told()));
            }
            let message = "the volume is mounted here under an earlier grant";
            return Err(Error::new(ErrorKind::FailedPrecondition, message));
        }
        let lun = lun_of(&access.path)
            .ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "a path without a number"))?;
        let record = Record {
            volume: access.volume,
            name: request.name,
            object: request.object,
            nonce: access.grant.nonce,
            lun,
            mounted: true,
        };
        self.note(Entry::Granted {
            name: record.name.to_string(),
            volume: key.clone(),
            nonce: record.nonce,
            lun,
        })?;
        let told = record.told();
        ledger.records.insert(key, record);
        self.save(&ledger)?;
        Ok(Outcome::Done(told))
    }

    async fn unrecorded(&self) -> Result<Vec<Unrecorded>> {
        Ok(Vec::new())
    }

    async fn adopt(&self, _request: AdoptVolume) -> Result<Outcome<Attachment>> {
        let message = "nothing is mounted on paper without a record";
        Err(Error::new(ErrorKind::FailedPrecondition, message))
    }

    /// The ledger has the release before the journal: what a kill leaves in between, the arrays'
    /// record ends.
    async fn detach(&self, volume: &VolumeId) -> Result<Outcome<()>> {
        let mut ledger = self.ledger();
        let record = ledger.records.get_mut(&volume.to_string());
        let Some(record) = record.filter(|record| record.mounted) else {
            return Ok(Outcome::AlreadySo(()));
        };
        record.mounted = false;
        let nonce = record.nonce;
        self.save(&ledger)?;
        self.note(Entry::Released {
            volume: volume.to_string(),
            nonce,
        })?;
        Ok(Outcome::Done(()))
    }

    async fn forget(&self, volume: &VolumeId) -> Result<()> {
        let mut ledger = self.ledger();
        let key = volume.to_string();
        if ledger
            .records
            .get(&key)
            .is_some_and(|record| record.mounted)
        {
            let message = "the volume is not released";
            return Err(Error::new(ErrorKind::FailedPrecondition, message));
        }
        ledger.records.remove(&key);
        self.save(&ledger)
    }

    async fn resize(&self, _volume: &VolumeId, _size: Size) -> Result<Outcome<()>> {
        Ok(Outcome::AlreadySo(()))
    }

    async fn status(&self, volume: &VolumeId) -> Result<Option<Attachment>> {
        let ledger = self.ledger();
        Ok(ledger.records.get(&volume.to_string()).map(Record::told))
    }

    async fn attachments(&self) -> Result<Vec<Attachment>> {
        Ok(self.ledger().records.values().map(Record::told).collect())
    }

    async fn luns_in_use(&self) -> Result<Vec<u16>> {
        let ledger = self.ledger();
        let mounted = ledger.records.values().filter(|record| record.mounted);
        Ok(mounted.map(|record| record.lun).collect())
    }

    /// Without devices a host does not notice that it was shut out.
    async fn heal(&self) -> Result<Vec<Attachment>> {
        Ok(Vec::new())
    }
}
