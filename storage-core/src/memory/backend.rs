//! The reference backend: one namespace's view of a [`MemoryArray`], call by call. What the calls
//! find is in `view`, how they get to the array in `wire`, and those of several steps in `claims`,
//! `publish` and `removal`.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::access::{Access, Protocol};
use crate::backend::{
    Backend, CreateVolume, DeleteVolume, ExpandVolume, ListVolumes, Publication, PublishVolume,
    UnpublishVolume, VolumeKey, VolumePage,
};
use crate::capability::{Capabilities, Telemetry};
use crate::claim::Claims;
use crate::clone::Clones;
use crate::error::{Error, ErrorKind, Result};
use crate::label::Labels;
use crate::limits::LimitRanges;
use crate::memory::array::{MemoryArray, Object, gone};
use crate::memory::page::{self, PAGE, continuation};
use crate::memory::wire::{Direct, Wire};
use crate::name::{Namespace, is_reserved};
use crate::numbers::AskedNumbers;
use crate::outcome::Outcome;
use crate::size::Size;
use crate::snapshot::Snapshots;
use crate::survey::Survey;
use crate::trash::Trash;
use crate::volume::{Volume, VolumeState};

/// As a FlashArray's: 1 MiB to 4 PiB.
const SIZE_MIN: Size = Size::from_bytes(1 << 20);
const SIZE_MAX: Size = Size::from_bytes(1 << 52);

/// As a FlashArray's.
pub(super) const LIMITS: LimitRanges = LimitRanges {
    iops: 100..=100_000_000,
    bandwidth: 1_048_576..=549_755_813_888,
};

/// A view of a [`MemoryArray`]. Copies are the same node.
#[derive(Clone, Debug)]
pub struct MemoryBackend {
    pub(super) array: Arc<MemoryArray>,
    pub(super) namespace: Namespace,
    pub(super) wire: Arc<dyn Wire>,
    /// Numbers that are not to be asked for again yet.
    pub(super) asked: Arc<AskedNumbers>,
    labels: Arc<Labels>,
}

impl MemoryBackend {
    /// A view of the array through the namespace.
    #[must_use]
    pub fn new(array: Arc<MemoryArray>, namespace: Namespace) -> Self {
        let labels = Labels::from([("hostname".to_owned(), array.name().to_owned())]);
        Self {
            array,
            namespace,
            wire: Arc::new(Direct),
            asked: Arc::default(),
            labels: Arc::new(labels),
        }
    }

    /// Puts something between this node and the array.
    #[must_use]
    pub fn with_wire(mut self, wire: Arc<dyn Wire>) -> Self {
        self.wire = wire;
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn with_label(mut self, key: &str, value: &str) -> Self {
        Arc::make_mut(&mut self.labels).insert(key.to_owned(), value.to_owned());
        self
    }

    fn objects_by_id(&self) -> Vec<Object> {
        let mut objects: Vec<Object> = self.array.lock().values().cloned().collect();
        objects.sort_by(|one, two| one.id.cmp(&two.id));
        objects
    }

    /// The object as a volume of a listing, if it is one.
    fn recorded_volume(&self, object: &Object) -> Option<Volume> {
        let record = object.record.as_ref()?;
        let usable = object.state == VolumeState::Ready
            && record.namespace == self.namespace.as_str()
            && !is_reserved(&self.namespace, &object.object);
        usable
            .then(|| self.volume(object, &record.name).ok())
            .flatten()
    }

    /// Bytes that hosts could fill: what the array keeps of claims has none.
    fn provisioned(&self) -> u64 {
        let objects = self.array.lock();
        let volumes = objects.values().filter(|object| object.record.is_some());
        volumes.fold(0, |sum: u64, object| {
            sum.saturating_add(object.size.bytes())
        })
    }
}

/// Whether a listing tells the object's name; arrays compare names without case.
fn bears_a_name(object: &str, prefix: &str) -> bool {
    let start = object.get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

impl fmt::Display for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.array.name())
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    fn endpoint(&self) -> &str {
        self.array.name()
    }

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn labels(&self) -> Labels {
        self.labels.as_ref().clone()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            protocol: Protocol::Loop,
            size_min: SIZE_MIN,
            size_max: SIZE_MAX,
            size_step: Size::from_bytes(512),
            expand: true,
            exclusive_publish: true,
            preemption: true,
            snapshots: true,
            clones: true,
            limits: Some(LIMITS),
        }
    }

    async fn create(&self, request: CreateVolume) -> Result<Outcome<Volume>> {
        let (name, nonce) = (request.name.clone(), request.nonce);
        self.make(&name, nonce, self.propose(&request)).await
    }

    async fn get(&self, key: VolumeKey) -> Result<Option<Volume>> {
        let object = match &key {
            VolumeKey::Name(name) => name.to_string(),
            VolumeKey::Id(id) => id.object().to_owned(),
        };
        self.send("get", &object, move |node| match &key {
            VolumeKey::Name(name) => node.by_name(name),
            VolumeKey::Id(id) => node.by_id(id),
        })
        .await
    }

    async fn list(&self, request: ListVolumes) -> Result<VolumePage> {
        let limit = request.limit.unwrap_or(PAGE).clamp(1, PAGE);
        let after = request.after.as_deref().map(continuation).transpose()?;
        let (listed, prefix) = (self.clone(), format!("{}-", self.namespace));
        let objects = self
            .send("list", "", move |node| Ok(node.objects_by_id()))
            .await?;
        let mut page = VolumePage {
            objects: Some(Vec::new()),
            calls: 1,
            ..VolumePage::default()
        };
        let mut last: Option<String> = None;
        for object in objects {
            if after.is_some_and(|after| object.id.as_str() <= after) {
                continue;
            }
            if let Some(volume) = listed.recorded_volume(&object) {
                if page.volumes.len() == limit {
                    page.next = last.as_deref().map(page::after);
                    return Ok(page);
                }
                page.volumes.push(volume);
            }
            if bears_a_name(&object.object, &prefix)
                && let Some(names) = page.objects.as_mut()
            {
                names.push(object.object);
            }
            last = Some(object.id);
        }
        Ok(page)
    }

    async fn expand(&self, request: ExpandVolume) -> Result<Outcome<Volume>> {
        let size = self.capabilities().round(request.size)?;
        let id = request.volume.id;
        self.send("expand", &request.volume.object, move |node| {
            let changed = node.array.change(id.object(), |object| {
                if object.state != VolumeState::Ready || node.is_foreign(object) {
                    return Err(gone());
                }
                if size < object.size {
                    return Err(Error::new(
                        ErrorKind::OutOfRange,
                        "a volume is never made smaller",
                    ));
                }
                let changed = size > object.size;
                object.size = size;
                Ok(changed)
            })?;
            let volume = node.by_id(&id)?.ok_or_else(gone)?;
            Ok(if changed {
                Outcome::Done(volume)
            } else {
                Outcome::AlreadySo(volume)
            })
        })
        .await
    }

    async fn delete(&self, request: DeleteVolume) -> Result<Outcome<()>> {
        self.delete_by_steps(request).await
    }

    async fn restore(&self, volume: &Volume) -> Result<Outcome<Volume>> {
        self.restore_now(volume).await
    }

    async fn publish(&self, request: PublishVolume) -> Result<Outcome<Access>> {
        self.publish_by_steps(&request).await
    }

    async fn unpublish(&self, request: UnpublishVolume) -> Result<Outcome<()>> {
        self.unpublish_now(&request).await
    }

    async fn published(&self, volume: &Volume) -> Result<Vec<Publication>> {
        self.published_now(volume).await
    }

    async fn withdraw_format_grant(&self, volume: &Volume) -> Result<Outcome<()>> {
        let id = volume.id.object().to_owned();
        self.send("withdraw grant", &volume.object, move |node| {
            node.array.change(&id, |object| {
                if node.is_foreign(object) {
                    return Err(gone());
                }
                let record = object.record.as_mut();
                Ok(match record.and_then(|record| record.format_grant.take()) {
                    Some(_) => Outcome::Done(()),
                    None => Outcome::AlreadySo(()),
                })
            })
        })
        .await
    }

    async fn telemetry(&self) -> Result<Telemetry> {
        let used = self
            .send("telemetry", "", |node| Ok(node.provisioned()))
            .await?;
        Ok(Telemetry {
            array: self.array.id().clone(),
            array_name: self.array.name().to_owned(),
            capacity: self.array.capacity(),
            used: Size::from_bytes(used),
        })
    }

    fn snapshots(&self) -> Option<&dyn Snapshots> {
        Some(self)
    }

    fn clones(&self) -> Option<&dyn Clones> {
        Some(self)
    }

    fn trash(&self) -> Option<&dyn Trash> {
        Some(self)
    }

    fn survey(&self) -> Option<&dyn Survey> {
        Some(self)
    }

    fn claims(&self) -> Option<&dyn Claims> {
        Some(self)
    }
}
