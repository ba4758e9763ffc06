//! A machine: what its kernel has mounted, and what Fairlead has on its disk. Both outlive the
//! process; a reboot takes the first. And the hands of one process on it.
//!
//! As on a real one, a mount goes on using its logical unit number, whatever is behind it by now.
//! Nothing here protects anybody from that but what an attacher is for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use storage_core::{
    AccessPath, AdoptVolume, AttachVolume, Attacher, Attachment, AttachmentState, Error, ErrorKind,
    Filesystem, HeldVolume, Host, Initiators, MemoryArray, Outcome, Protocol, Result, Size,
    Unrecorded, Volume, VolumeId,
};
use uuid::Uuid;

use crate::sabotage::Sabotage;
use crate::wire::{Life, pause};
use crate::world::World;

/// What the kernel has.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    pub(crate) volume: VolumeId,
    pub(crate) nonce: Uuid,
    pub(crate) array: usize,
    pub(crate) lun: u16,
    /// The connection that it was made on: what it may write to.
    connection: u64,
    /// Written by an application, and not yet by the kernel.
    dirty: Option<u64>,
    /// The file system has met an I/O error and writes nothing any more.
    broken: bool,
}

/// A line of the ledger.
#[derive(Clone, Debug)]
struct Entry {
    attachment: Attachment,
    array: usize,
    lun: u16,
}

#[derive(Debug, Default)]
struct State {
    ledger: BTreeMap<VolumeId, Entry>,
    intents: BTreeMap<VolumeId, HeldVolume>,
    mounts: Vec<Mount>,
}

/// A machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) host: Host,
    pub(crate) name: String,
    world: Arc<World>,
    state: Mutex<State>,
}

impl Machine {
    pub(crate) fn new(world: &Arc<World>, index: usize) -> Arc<Self> {
        let host = Host::new(
            &format!("host{index}"),
            &format!("machine {index}"),
            Initiators::default(),
        );
        Arc::new(Self {
            name: host.object_name(),
            host,
            world: Arc::clone(world),
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn array(&self, index: usize) -> Option<&Arc<MemoryArray>> {
        self.world.arrays.get(index)
    }

    pub(crate) fn mounts(&self) -> Vec<Mount> {
        self.state().mounts.clone()
    }

    /// The kernel starts anew: nothing is mounted, and what was not written is lost.
    pub(crate) fn reboot(&self) {
        self.state().mounts.clear();
    }

    /// An application writes: into the page cache.
    pub(crate) fn write(&self, index: usize, data: u64) {
        if let Some(mount) = self.state().mounts.get_mut(index) {
            mount.dirty = Some(data);
        }
    }

    /// The kernel writes back what is dirty, of one mount or of all.
    pub(crate) fn write_back(&self, only: Option<&VolumeId>) {
        let mut state = self.state();
        let mut landed = Vec::new();
        for mount in &mut state.mounts {
            if only.is_none_or(|volume| mount.volume == *volume) {
                landed.extend(self.write_mount(mount));
            }
        }
        drop(state);
        for (volume, data) in landed {
            self.world.landed(&volume, data);
        }
    }

    fn write_mount(&self, mount: &mut Mount) -> Option<(VolumeId, u64)> {
        let data = mount.dirty.filter(|_| !mount.broken)?;
        let array = self.array(mount.array)?;
        let Ok(device) = array.write_device(&self.name, mount.lun, data) else {
            mount.broken = true;
            return None;
        };
        mount.dirty = None;
        let (volume, name) = (&mount.volume, &self.name);
        if device.object != volume.object() {
            let other = &device.object;
            self.world.violation(&format!(
                "{name} wrote {data} of {volume} on another volume, {other}"
            ));
        } else if device.connection != mount.connection {
            let (now, then) = (device.connection, mount.connection);
            self.world.violation(&format!(
                "a stale mount on {name} wrote {data} on {volume}: made on connection {then}, landed by {now}"
            ));
        }
        self.world.say(&format!("{name} wrote {data} on {volume}"));
        Some((volume.clone(), data))
    }

    /// An application reads through a mount that works.
    pub(crate) fn read(&self, index: usize) {
        let Some(mount) = self.state().mounts.get(index).cloned() else {
            return;
        };
        let Some(array) = self.array(mount.array) else {
            return;
        };
        let Ok(device) = array.device(&self.name, mount.lun) else {
            return;
        };
        let landed = self.world.truth().landed.get(&mount.volume).copied();
        let same = device.object == mount.volume.object() && device.connection == mount.connection;
        if let Some(landed) = landed
            && same
            && device.data != landed
        {
            let (found, volume) = (device.data, &mount.volume);
            self.world
                .violation(&format!("{volume} reads {found}, written was {landed}"));
        }
    }

    /// Whether the device under the mount is its volume, asked live.
    fn is_its_volume(&self, mount: &Mount) -> bool {
        let device = self
            .array(mount.array)
            .map(|array| array.device(&self.name, mount.lun));
        matches!(device, Some(Ok(device)) if device.object == mount.volume.object())
    }
}

/// The hands of one process.
#[derive(Debug)]
pub(crate) struct Hands {
    pub(crate) machine: Arc<Machine>,
    pub(crate) life: Arc<Life>,
}

fn refused(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::FailedPrecondition, what)
}

impl Hands {
    fn world(&self) -> &World {
        &self.machine.world
    }

    async fn step(&self) {
        pause(self.world(), &self.life).await;
    }

    /// Array and number of a path `/memory/<array>/<host>/<number>`.
    fn place(&self, path: &AccessPath) -> Result<(usize, u16)> {
        let AccessPath::Loop { file } = path else {
            return Err(refused("only paths of arrays in memory"));
        };
        let parts: Vec<&str> = file.iter().filter_map(|part| part.to_str()).collect();
        let [.., array, _host, lun] = parts.as_slice() else {
            return Err(refused("a path of another kind"));
        };
        let lun = lun
            .parse()
            .map_err(|error| refused("a number").with_source(error))?;
        Ok((self.world().array_index(array), lun))
    }

    /// The device, if it is the volume.
    fn verified(&self, entry: &Entry) -> Result<storage_core::MemoryDevice> {
        let array = self.machine.array(entry.array);
        let array = array.ok_or_else(|| refused("no path to the array"))?;
        let device = array.device(&self.machine.name, entry.lun)?;
        if device.object == entry.attachment.volume.object() {
            return Ok(device);
        }
        Err(refused("the device is another volume"))
    }

    async fn make_filesystem(&self, request: &AttachVolume, entry: &Entry) -> Result<()> {
        let device = self.verified(entry)?;
        let array = self.machine.array(entry.array);
        let array = array.ok_or_else(|| refused("no path to the array"))?;
        let name = &self.machine.name;
        let volume = &entry.attachment.volume;
        let careless = self.world().sabotage == Some(Sabotage::FormatsWhatIsThere);
        let grant = request.access.format_grant.as_ref();
        match (device.filesystem, grant) {
            (Some(_), None) => self.renew(request, entry),
            (Some(_), Some(_)) if !careless => self.renew(request, entry),
            (_, Some(grant)) => {
                self.step().await;
                // Looked at again just before.
                let now = self.verified(entry)?;
                if now.filesystem.is_some() && !careless {
                    return Ok(());
                }
                let before = array.format_device(name, entry.lun, grant.uuid)?;
                self.world().say(&format!("{name} formatted {volume}"));
                let again = !self.world().truth().formatted.insert(volume.clone());
                if again || before.filesystem.is_some() || before.object != volume.object() {
                    self.world()
                        .violation(&format!("{name} formatted {volume}, which was {before:?}"));
                }
                Ok(())
            }
            (None, None) => Err(refused("blank, and no format grant")),
        }
    }

    fn renew(&self, request: &AttachVolume, entry: &Entry) -> Result<()> {
        let array = self.machine.array(entry.array);
        let array = array.ok_or_else(|| refused("no path to the array"))?;
        match (request.fresh_uuid, request.filesystem.kind) {
            (Some(uuid), Filesystem::Xfs) => array
                .renew_device(&self.machine.name, entry.lun, uuid)
                .map(drop),
            _ => Ok(()),
        }
    }

    /// Unmounts a volume, with what is dirty written or lost.
    fn unmount(&self, volume: &VolumeId) {
        self.machine.write_back(Some(volume));
        let mut state = self.machine.state();
        state.mounts.retain(|mount| mount.volume != *volume);
    }

    fn set_state(&self, volume: &VolumeId, to: AttachmentState) {
        if let Some(entry) = self.machine.state().ledger.get_mut(volume) {
            entry.attachment.state = to;
        }
    }
}

/// The attachment as it is seen now: a reboot leaves a ledger without mounts.
fn observed(state: &State, entry: &Entry) -> Attachment {
    let mut attachment = entry.attachment.clone();
    let mounted = state
        .mounts
        .iter()
        .any(|mount| mount.volume == attachment.volume && mount.nonce == attachment.nonce);
    if attachment.state == AttachmentState::Mounted && !mounted {
        attachment.state = AttachmentState::Incomplete;
    }
    attachment
}

#[async_trait]
impl Attacher for Hands {
    fn host(&self) -> &Host {
        &self.machine.host
    }

    fn supports(&self, _protocol: Protocol) -> Result<()> {
        Ok(())
    }

    async fn prepare(&self, volume: &Volume) -> Result<()> {
        self.step().await;
        if self.world().sabotage == Some(Sabotage::LeavesOldMounts) {
            self.machine.state().ledger.remove(&volume.id);
            return Ok(());
        }
        let mounts = self.machine.mounts();
        let mounted = mounts.iter().find(|mount| mount.volume == volume.id);
        let known = self.machine.state().ledger.get(&volume.id).cloned();
        match (mounted, known) {
            (Some(mount), Some(_)) if self.machine.is_its_volume(mount) => Ok(()),
            (Some(_), Some(_)) => {
                self.unmount(&volume.id);
                self.step().await;
                self.set_state(&volume.id, AttachmentState::Released);
                Ok(())
            }
            (Some(_), None) => Err(refused("mounted here, and not on the ledger")),
            (None, Some(_)) => {
                // The array is told, unless the volume is attached again.
                self.set_state(&volume.id, AttachmentState::Released);
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }

    async fn intend(&self, held: &HeldVolume) -> Result<()> {
        self.step().await;
        let mut state = self.machine.state();
        state.intents.insert(held.volume.clone(), held.clone());
        Ok(())
    }

    async fn settle(&self, volume: &VolumeId) -> Result<()> {
        self.step().await;
        self.machine.state().intents.remove(volume);
        Ok(())
    }

    async fn intentions(&self) -> Result<Vec<HeldVolume>> {
        self.step().await;
        Ok(self.machine.state().intents.values().cloned().collect())
    }

    async fn attach(&self, request: AttachVolume) -> Result<Outcome<Attachment>> {
        self.step().await;
        let access = &request.access;
        let (array, lun) = self.place(&access.path)?;
        let id = access.volume.clone();
        let nonce = access.grant.nonce;
        let there = self.machine.mounts();
        let forgetful = self.world().sabotage == Some(Sabotage::LeavesOldMounts);
        let there = there.iter().find(|mount| mount.volume == id && !forgetful);
        if let Some(mount) = there {
            let known = self.machine.state().ledger.get(&id).cloned();
            return match known {
                Some(entry) if mount.nonce == nonce => Ok(Outcome::AlreadySo(entry.attachment)),
                _ => Err(refused("mounted here under an earlier grant")),
            };
        }
        let mut entry = Entry {
            attachment: Attachment {
                volume: id.clone(),
                name: request.name.clone(),
                object: request.object.clone(),
                nonce,
                state: AttachmentState::Incomplete,
                mountpoint: PathBuf::from(format!("/mnt/{}/{}", id.array(), id.object())),
                formatted: false,
            },
            array,
            lun,
        };
        self.machine
            .state()
            .ledger
            .insert(id.clone(), entry.clone());
        self.step().await;
        self.make_filesystem(&request, &entry).await?;
        self.step().await;
        let device = self.verified(&entry)?;
        entry.attachment.state = AttachmentState::Mounted;
        entry.attachment.formatted = true;
        let mount = Mount {
            volume: id.clone(),
            nonce,
            array,
            lun,
            connection: device.connection,
            dirty: None,
            broken: false,
        };
        let attachment = entry.attachment.clone();
        {
            let mut state = self.machine.state();
            state.mounts.push(mount);
            state.ledger.insert(id.clone(), entry);
        }
        let name = &self.machine.name;
        self.world().say(&format!("{name} mounted {id} as {lun}"));
        self.world().count("mounts");
        self.world().check_grants(&id);
        self.step().await;
        Ok(Outcome::Done(attachment))
    }

    async fn unrecorded(&self) -> Result<Vec<Unrecorded>> {
        Ok(Vec::new())
    }

    async fn adopt(&self, _request: AdoptVolume) -> Result<Outcome<Attachment>> {
        Err(refused("nothing here is without a record"))
    }

    async fn detach(&self, volume: &VolumeId) -> Result<Outcome<()>> {
        self.step().await;
        let known = self.machine.state().ledger.get(volume).cloned();
        let Some(entry) = known else {
            return Ok(Outcome::AlreadySo(()));
        };
        if entry.attachment.state == AttachmentState::Released {
            return Ok(Outcome::AlreadySo(()));
        }
        if !self.world().trouble().calm && self.world().dice().one_in(20) {
            return Err(Error::new(ErrorKind::Busy, "something holds the mount"));
        }
        if self.world().sabotage != Some(Sabotage::LeavesOldMounts) {
            self.unmount(volume);
        }
        self.step().await;
        self.set_state(volume, AttachmentState::Released);
        self.world()
            .say(&format!("{} released {volume}", self.machine.name));
        Ok(Outcome::Done(()))
    }

    async fn forget(&self, volume: &VolumeId) -> Result<()> {
        self.step().await;
        let mut state = self.machine.state();
        let entry = state.ledger.get(volume);
        if entry.is_some_and(|one| one.attachment.state != AttachmentState::Released) {
            return Err(refused("the volume is not released"));
        }
        state.ledger.remove(volume);
        Ok(())
    }

    async fn resize(&self, volume: &VolumeId, _size: Size) -> Result<Outcome<()>> {
        self.step().await;
        let mounted = self.machine.mounts();
        if mounted.iter().any(|mount| mount.volume == *volume) {
            return Ok(Outcome::Done(()));
        }
        Err(Error::new(ErrorKind::NotFound, "not attached here"))
    }

    async fn status(&self, volume: &VolumeId) -> Result<Option<Attachment>> {
        self.step().await;
        let state = self.machine.state();
        let entry = state.ledger.get(volume);
        Ok(entry.map(|entry| observed(&state, entry)))
    }

    async fn attachments(&self) -> Result<Vec<Attachment>> {
        self.step().await;
        let state = self.machine.state();
        let all = state.ledger.values();
        Ok(all.map(|entry| observed(&state, entry)).collect())
    }

    async fn luns_in_use(&self) -> Result<Vec<u16>> {
        self.step().await;
        if self.world().sabotage == Some(Sabotage::LeavesOldMounts) {
            return Ok(Vec::new());
        }
        let mounts = self.machine.mounts();
        Ok(mounts.iter().map(|mount| mount.lun).collect())
    }

    async fn heal(&self) -> Result<Vec<Attachment>> {
        self.step().await;
        if self.world().sabotage == Some(Sabotage::LeavesOldMounts) {
            return Ok(Vec::new());
        }
        let mut released = Vec::new();
        for mount in self.machine.mounts() {
            if self.machine.is_its_volume(&mount) {
                continue;
            }
            self.unmount(&mount.volume);
            self.set_state(&mount.volume, AttachmentState::Released);
            let state = self.machine.state();
            let entry = state.ledger.get(&mount.volume);
            released.extend(entry.map(|entry| entry.attachment.clone()));
        }
        Ok(released)
    }
}
