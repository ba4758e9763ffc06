//! The backend as a node is given it: an array in memory, with the grants that it gives out noted,
//! and with the sabotage of the run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use storage_core::{
    Access, AccessPath, Backend, Capabilities, ClaimNonce, Claims, CloneVolume, Clones, Commit,
    CreateVolume, DeleteVolume, DeviceIdentity, Error, ErrorKind, ExpandVolume, FleetRecord, Grant,
    ImportVolume, Labels, ListVolumes, Marker, MemoryArray, MemoryBackend, NameView, Namespace,
    Outcome, Publication, PublishVolume, Result, Snapshots, Stray, StrayKind, Survey, Telemetry,
    Tentative, Trash, UnpublishVolume, Volume, VolumeKey, VolumeName, VolumePage, VolumeState,
};
use uuid::Uuid;

use crate::sabotage::Sabotage;
use crate::world::World;

/// What a node has of one array.
#[derive(Debug)]
pub(crate) struct Seam {
    pub(crate) inner: MemoryBackend,
    pub(crate) array: Arc<MemoryArray>,
    pub(crate) world: Arc<World>,
}

impl fmt::Display for Seam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Seam {
    fn does(&self, sabotage: Sabotage) -> bool {
        self.world.sabotage == Some(sabotage)
    }

    /// Connects whoever asks.
    async fn publish_carelessly(&self, request: &PublishVolume) -> Result<Outcome<Access>> {
        let volume = &request.volume;
        let host = request.host.object_name();
        let _now = self.inner.published(volume).await?;
        let device = |lun| self.array.device(&host, lun).ok();
        let shows = |lun: &u16| device(*lun).is_some_and(|one| one.object == volume.id.object());
        let lun = match (1..64).find(shows) {
            Some(lun) => lun,
            None => {
                self.array.connect_foreign(&volume.object, &host)?;
                (1..64).find(shows).unwrap_or_default()
            }
        };
        let nonce = u128::from(self.world.dice().bits());
        Ok(Outcome::Done(Access {
            volume: volume.id.clone(),
            path: AccessPath::Loop {
                file: format!("/memory/{}/{host}/{lun}", self.array.name()).into(),
            },
            identity: DeviceIdentity {
                serial: volume.id.object().to_owned(),
                wwid: String::new(),
            },
            size: volume.size,
            grant: Grant {
                nonce: Uuid::from_u128(nonce),
                host,
            },
            format_grant: volume.format_grant.clone(),
        }))
    }

    fn destroy(&self, id: &str) {
        let objects = self.array.look();
        if let Some(object) = objects.iter().find(|object| object.id == id) {
            // Not being there any more is what was wanted.
            drop(self.array.destroy_foreign(&object.object));
        }
    }
}

#[async_trait]
impl Backend for Seam {
    fn endpoint(&self) -> &str {
        self.inner.endpoint()
    }

    fn namespace(&self) -> &Namespace {
        self.inner.namespace()
    }

    fn labels(&self) -> Labels {
        self.inner.labels()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn create(&self, request: CreateVolume) -> Result<Outcome<Volume>> {
        self.inner.create(request).await
    }

    async fn get(&self, key: VolumeKey) -> Result<Option<Volume>> {
        self.inner.get(key).await
    }

    async fn list(&self, request: ListVolumes) -> Result<VolumePage> {
        self.inner.list(request).await
    }

    async fn expand(&self, request: ExpandVolume) -> Result<Outcome<Volume>> {
        self.inner.expand(request).await
    }

    async fn delete(&self, request: DeleteVolume) -> Result<Outcome<()>> {
        self.inner.delete(request).await
    }

    async fn restore(&self, volume: &Volume) -> Result<Outcome<Volume>> {
        self.inner.restore(volume).await
    }

    async fn publish(&self, request: PublishVolume) -> Result<Outcome<Access>> {
        let outcome = if self.does(Sabotage::SkipsTheFence) {
            self.publish_carelessly(&request).await?
        } else {
            self.inner.publish(request).await?
        };
        let access = outcome.get();
        self.world
            .granted(&access.volume, &access.grant.host, access.grant.nonce);
        Ok(outcome)
    }

    async fn unpublish(&self, request: UnpublishVolume) -> Result<Outcome<()>> {
        self.inner.unpublish(request).await
    }

    async fn published(&self, volume: &Volume) -> Result<Vec<Publication>> {
        self.inner.published(volume).await
    }

    async fn withdraw_format_grant(&self, volume: &Volume) -> Result<Outcome<()>> {
        if self.does(Sabotage::FormatsWhatIsThere) {
            return Ok(Outcome::AlreadySo(()));
        }
        self.inner.withdraw_format_grant(volume).await
    }

    async fn telemetry(&self) -> Result<Telemetry> {
        self.inner.telemetry().await
    }

    fn trash(&self) -> Option<&dyn Trash> {
        self.inner.trash()
    }

    fn survey(&self) -> Option<&dyn Survey> {
        self.inner.survey()
    }

    fn snapshots(&self) -> Option<&dyn Snapshots> {
        self.inner.snapshots()
    }

    fn clones(&self) -> Option<&dyn Clones> {
        self.inner.clones()
    }

    fn claims(&self) -> Option<&dyn Claims> {
        Some(self)
    }
}

#[async_trait]
impl Claims for Seam {
    async fn view(&self, name: &VolumeName) -> Result<NameView> {
        let mut view = self.inner.view(name).await?;
        if self.does(Sabotage::SkipsMarkers) {
            view.marker = None;
        }
        Ok(view)
    }

    async fn propose(&self, request: &CreateVolume) -> Result<Tentative> {
        self.inner.propose(request).await
    }

    async fn propose_copy(&self, request: &CloneVolume) -> Result<Tentative> {
        self.inner.propose_copy(request).await
    }

    async fn propose_import(&self, request: &ImportVolume) -> Result<Tentative> {
        self.inner.propose_import(request).await
    }

    async fn find_object(&self, object: &str) -> Result<Option<String>> {
        self.inner.find_object(object).await
    }

    async fn mark(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Marker> {
        if self.does(Sabotage::SkipsMarkers) {
            return Ok(Marker {
                object: "none".to_owned(),
                nonce,
                age: Duration::ZERO,
            });
        }
        self.inner.mark(name, nonce).await
    }

    async fn commit(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Commit> {
        if !self.does(Sabotage::AcknowledgesTooEarly) {
            return self.inner.commit(name, nonce).await;
        }
        let view = self.inner.view(name).await?;
        let waiting = view.tentatives.iter().find(|one| one.nonce == nonce);
        let Some(waiting) = waiting else {
            return Ok(Commit::Gone);
        };
        let id = storage_core::VolumeId::new(self.array.id().clone(), waiting.object.clone())?;
        let volume = self.inner.get(VolumeKey::Id(id)).await?;
        let volume = volume.ok_or_else(|| Error::new(ErrorKind::NotFound, "gone"))?;
        Ok(Commit::Committed(Box::new(volume)))
    }

    async fn withdraw(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Outcome<()>> {
        self.inner.withdraw(name, nonce).await
    }

    async fn retire(&self, marker: &Marker) -> Result<Outcome<()>> {
        self.inner.retire(marker).await
    }

    async fn strays(&self) -> Result<Vec<Stray>> {
        let mut strays = self.inner.strays().await?;
        if self.does(Sabotage::SweepsVolumes) {
            let ready = self.array.look().into_iter();
            let ready = ready.filter(|object| object.state == VolumeState::Ready);
            strays.extend(
                ready
                    .filter(|object| object.name.is_some())
                    .map(|object| Stray {
                        object: object.id,
                        object_name: object.object,
                        kind: StrayKind::Tentative(ClaimNonce::new(
                            storage_core::ArrayNumber(1),
                            1,
                        )),
                        age: Duration::from_secs(7200),
                    }),
            );
        }
        Ok(strays)
    }

    async fn sweep(&self, stray: &Stray) -> Result<Outcome<()>> {
        if self.does(Sabotage::SweepsVolumes) {
            self.destroy(&stray.object);
            self.world.check_names();
            return Ok(Outcome::Done(()));
        }
        self.inner.sweep(stray).await
    }

    async fn fleet_record(&self) -> Result<Option<FleetRecord>> {
        self.inner.fleet_record().await
    }

    async fn put_fleet_record(&self, record: &FleetRecord) -> Result<FleetRecord> {
        self.inner.put_fleet_record(record).await
    }

    async fn drop_fleet_record(&self, record: &FleetRecord) -> Result<Outcome<()>> {
        self.inner.drop_fleet_record(record).await
    }
}
