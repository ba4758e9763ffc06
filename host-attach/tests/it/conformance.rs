//! The public suite for attachers, on a real kernel: the reference backend's volumes get bytes, and
//! its publications show them as LUNs.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use array_sim::{Lun, LunTable};
use storage_conformance::{AttachHarness, Harness, WithFaults, async_trait, seed};
use storage_core::{
    Access, AccessPath, Attacher, Backend, Capabilities, CloneSource, CloneVolume, Clones,
    CreateVolume, DeleteVolume, ExpandVolume, Labels, ListVolumes, MemoryArray, MemoryBackend,
    Namespace, Outcome, Publication, PublishVolume, Result, Size, Telemetry, UnpublishVolume,
    Volume, VolumeKey, VolumePage,
};
use uuid::Uuid;

use crate::bed::{self, Bed};

/// Where publications show LUNs.
#[derive(Debug)]
struct Shows {
    table: LunTable,
    host: String,
    folder: PathBuf,
    data: PathBuf,
    /// By serial.
    numbers: Mutex<BTreeMap<String, u16>>,
}

impl Shows {
    fn show(&self, mut access: Access, avoid: &[u16]) -> Access {
        let serial = access.identity.serial.clone();
        let mut numbers = self.numbers.lock().unwrap();
        let free = (1..).find(|n| !avoid.contains(n) && numbers.values().all(|taken| taken != n));
        let number = *numbers.entry(serial.clone()).or_insert(free.unwrap());
        let data = self.data.join(&serial);
        let file = File::options().create(true).append(true).open(&data);
        file.unwrap().set_len(access.size.bytes()).unwrap();
        let lun = Lun::new(serial, data, access.size.bytes());
        self.table.connect(&self.host, number, lun);
        access.path = AccessPath::Loop {
            file: self.folder.join(number.to_string()),
        };
        access
    }

    /// As an array copies: the bytes of that moment.
    fn copy(&self, from: &str, to: &str) {
        let input = format!("if={}", self.data.join(from).display());
        let output = format!("of={}", self.data.join(to).display());
        let _shown = bed::tool("dd", &[&input, &output, "bs=1M", "conv=sparse"]);
    }

    fn hide(&self, serial: &str) {
        if let Some(number) = self.numbers.lock().unwrap().remove(serial) {
            self.table.disconnect(&self.host, number);
        }
    }
}

/// The reference backend with a data path. Its objects' ids are their serials.
#[derive(Debug)]
struct Shown {
    inner: MemoryBackend,
    shows: Arc<Shows>,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Backend for Shown {
    async fn publish(&self, request: PublishVolume) -> Result<Outcome<Access>> {
        let avoid = request.avoid_luns.clone();
        let outcome = self.inner.publish(request).await?;
        Ok(outcome.map(|access| self.shows.show(access, &avoid)))
    }

    async fn unpublish(&self, request: UnpublishVolume) -> Result<Outcome<()>> {
        let serial = request.volume.object().to_owned();
        let outcome = self.inner.unpublish(request).await?;
        self.shows.hide(&serial);
        Ok(outcome)
    }

    async fn expand(&self, request: ExpandVolume) -> Result<Outcome<Volume>> {
        let outcome = self.inner.expand(request).await?;
        let volume = outcome.get();
        self.shows
            .table
            .resize(volume.id.object(), volume.size.bytes());
        Ok(outcome)
    }

    // The rest is as it is.

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

    async fn delete(&self, request: DeleteVolume) -> Result<Outcome<()>> {
        self.inner.delete(request).await
    }

    async fn restore(&self, volume: &Volume) -> Result<Outcome<Volume>> {
        self.inner.restore(volume).await
    }

    async fn published(&self, volume: &Volume) -> Result<Vec<Publication>> {
        self.inner.published(volume).await
    }

    async fn withdraw_format_grant(&self, volume: &Volume) -> Result<Outcome<()>> {
        self.inner.withdraw_format_grant(volume).await
    }

    async fn telemetry(&self) -> Result<Telemetry> {
        self.inner.telemetry().await
    }

    fn clones(&self) -> Option<&dyn Clones> {
        Some(self)
    }
}

#[async_trait]
impl Clones for Shown {
    async fn clone_volume(&self, request: CloneVolume) -> Result<Outcome<Volume>> {
        let source = match &request.source {
            CloneSource::Volume(volume) => volume.id.object().to_owned(),
            CloneSource::Snapshot(_) => panic!("this bed has no snapshots"),
        };
        let outcome = self.inner.clone_volume(request).await?;
        if let Outcome::Done(made) = &outcome {
            self.shows.copy(&source, made.id.object());
        }
        Ok(outcome)
    }
}

/// One array and this machine; nothing where the machine cannot run it.
struct Real(Option<Parts>);

struct Parts {
    array: Arc<MemoryArray>,
    shows: Arc<Shows>,
    attacher: Arc<dyn Attacher>,
    /// Ends last.
    _bed: Bed,
}

impl Real {
    fn new() -> Self {
        if bed::missing().is_some() {
            return Self(None);
        }
        let mut bed = Bed::fuse();
        let shows = Shows {
            table: bed.table().clone(),
            host: bed.host.object_name(),
            folder: bed.lun_folder(),
            data: bed.folder.path().join("data"),
            numbers: Mutex::default(),
        };
        Self(Some(Parts {
            array: MemoryArray::new("array", Size::from_gib(1024)),
            shows: Arc::new(shows),
            attacher: bed.attacher(),
            _bed: bed,
        }))
    }

    fn with_faults() -> WithFaults<Self> {
        WithFaults::new(Self::new(), seed())
    }

    fn parts(&self) -> &Parts {
        self.0.as_ref().unwrap()
    }
}

#[async_trait]
impl Harness for Real {
    async fn backend(&self, namespace: &Namespace) -> Arc<dyn Backend> {
        let parts = self.parts();
        Arc::new(Shown {
            inner: MemoryBackend::new(Arc::clone(&parts.array), namespace.clone()),
            shows: Arc::clone(&parts.shows),
        })
    }

    fn describe(&self) -> String {
        "loop devices".to_owned()
    }

    fn missing(&self) -> Option<String> {
        bed::missing().map(str::to_owned)
    }
}

impl AttachHarness for Real {
    fn attacher(&self) -> Arc<dyn Attacher> {
        Arc::clone(&self.parts().attacher)
    }

    fn filesystem_uuid(&self, volume: &Volume) -> Option<Uuid> {
        let data = self.parts().shows.data.join(volume.id.object());
        let path = data.display().to_string();
        let told = bed::tool("blkid", &["-p", "-o", "value", "-s", "UUID", &path]);
        told.trim().parse().ok()
    }
}

mod attacher {
    use super::Real;
    storage_conformance::attach_suite!(Real::new());
}

mod attacher_with_faults {
    use super::Real;
    storage_conformance::attach_suite!(Real::with_faults());
}
