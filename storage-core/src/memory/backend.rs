//! The reference backend: one namespace's view of a [`MemoryArray`], call by call. What the calls
//! find and change is in `view`.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use crate::access::{Access, AccessPath, Grant, Protocol};
use crate::backend::{
    Backend, CreateVolume, DeleteVolume, ExpandVolume, ListVolumes, Publication, PublishVolume,
    UnpublishVolume, VolumeKey, VolumePage,
};
use crate::capability::{Capabilities, Telemetry};
use crate::clone::Clones;
use crate::error::{Error, ErrorKind, Result};
use crate::label::Labels;
use crate::limits::LimitRanges;
use crate::memory::array::{MemoryArray, Object, gone};
use crate::memory::page::{PAGE, continuation, next_page};
use crate::memory::view::{RULES, identity};
use crate::name::{Namespace, is_reserved, object_names, trash_name};
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

/// A view of a [`MemoryArray`].
#[derive(Debug)]
pub struct MemoryBackend {
    pub(super) array: Arc<MemoryArray>,
    pub(super) namespace: Namespace,
    labels: Labels,
}

impl MemoryBackend {
    /// A view of the array through the namespace.
    #[must_use]
    pub fn new(array: Arc<MemoryArray>, namespace: Namespace) -> Self {
        let labels = Labels::from([("hostname".to_owned(), array.name().to_owned())]);
        Self {
            array,
            namespace,
            labels,
        }
    }

    /// Adds a label.
    #[must_use]
    pub fn with_label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }
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
        self.labels.clone()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            protocol: Protocol::Loop,
            size_min: SIZE_MIN,
            size_max: SIZE_MAX,
            size_step: Size::from_bytes(512),
            expand: true,
            exclusive_publish: true,
            snapshots: true,
            clones: true,
            limits: Some(LIMITS),
        }
    }

    async fn create(&self, request: CreateVolume) -> Result<Outcome<Volume>> {
        self.array.reachable().await?;
        self.make(request, None)
    }

    async fn get(&self, key: VolumeKey) -> Result<Option<Volume>> {
        self.array.reachable().await?;
        match key {
            VolumeKey::Name(name) => self.by_name(&name),
            VolumeKey::Id(id) => self.by_id(&id),
        }
    }

    async fn list(&self, request: ListVolumes) -> Result<VolumePage> {
        self.array.reachable().await?;
        let limit = request.limit.unwrap_or(PAGE).clamp(1, PAGE);
        let after = request.after.as_deref().map(continuation).transpose()?;
        let objects = self.array.lock();
        let mut volumes: Vec<Volume> = objects
            .values()
            .filter(|object| object.state == VolumeState::Ready)
            .filter(|object| !is_reserved(&self.namespace, &object.object))
            .filter_map(|object| {
                let record = object.record.as_ref()?;
                let ours = record.namespace == self.namespace.as_str();
                ours.then(|| self.volume(object, &record.name).ok())
                    .flatten()
            })
            .filter(|volume| after.is_none_or(|after| volume.id.object() > after))
            .collect();
        drop(objects);
        let next = next_page(&mut volumes, limit);
        Ok(VolumePage {
            objects: None,
            volumes,
            next,
            calls: 1,
        })
    }

    async fn expand(&self, request: ExpandVolume) -> Result<Outcome<Volume>> {
        self.array.reachable().await?;
        let size = self.capabilities().round(request.size)?;
        let changed = self.array.change(request.volume.id.object(), |object| {
            if object.state != VolumeState::Ready || self.is_foreign(object) {
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
        let volume = self.by_id(&request.volume.id)?.ok_or_else(gone)?;
        Ok(if changed {
            Outcome::Done(volume)
        } else {
            Outcome::AlreadySo(volume)
        })
    }

    async fn delete(&self, request: DeleteVolume) -> Result<Outcome<()>> {
        self.array.reachable().await?;
        let volume = &request.volume;
        let trash = trash_name(&self.namespace, &volume.name, Uuid::new_v4());
        let state = VolumeState::Destroyed;
        let mut already = false;
        let removed = self
            .array
            .rename_if(volume.id.object(), &trash, state, |object| {
                already = object.state == VolumeState::Destroyed;
                if already {
                    return Err(gone());
                }
                if volume.state == VolumeState::Deleting && object.state == VolumeState::Ready {
                    return Err(Error::new(
                        ErrorKind::Busy,
                        "the volume was taken into use again",
                    ));
                }
                self.removable(object)
            });
        match removed {
            Ok(()) => Ok(Outcome::Done(())),
            Err(error) if already || error.kind() == ErrorKind::NotFound => {
                Ok(Outcome::AlreadySo(()))
            }
            Err(error) => {
                // Refused with everything as it was: a half-removed volume gets its name back.
                if volume.state == VolumeState::Deleting
                    && error.kind() == ErrorKind::FailedPrecondition
                    && let Err(kept) = self.restore(volume).await
                {
                    return Err(error.with_context("restore", kept.to_string()));
                }
                Err(error)
            }
        }
    }

    async fn restore(&self, volume: &Volume) -> Result<Outcome<Volume>> {
        self.array.reachable().await?;
        let current = self.by_id(&volume.id)?.ok_or_else(gone)?;
        match current.state {
            VolumeState::Ready => return Ok(Outcome::AlreadySo(current)),
            VolumeState::Destroyed => return Err(gone()),
            VolumeState::Deleting => {}
        }
        let names = object_names(&self.namespace, &volume.name, &RULES);
        for object in names.iter() {
            let id = volume.id.object();
            let aside = |object: &Object| match object.state {
                VolumeState::Deleting => Ok(()),
                VolumeState::Ready | VolumeState::Destroyed => Err(gone()),
            };
            let renamed = self.array.rename_if(id, object, VolumeState::Ready, aside);
            let present = self.by_id(&volume.id)?.ok_or_else(gone)?;
            match (renamed, present.state) {
                (Ok(()), _) => return Ok(Outcome::Done(present)),
                (Err(_), VolumeState::Ready) => return Ok(Outcome::AlreadySo(present)),
                (Err(_), VolumeState::Destroyed) => return Err(gone()),
                // By its name's new holder.
                (Err(_), VolumeState::Deleting) => {}
            }
        }
        Err(Error::new(
            ErrorKind::Busy,
            "the volume's name was taken meanwhile",
        ))
    }

    async fn publish(&self, request: PublishVolume) -> Result<Outcome<Access>> {
        self.array.reachable().await?;
        let host = request.host.object_name();
        let volume = &request.volume;
        let outcome = self.array.change(volume.id.object(), |object| {
            let usable = object.state == VolumeState::Ready && !self.is_foreign(object);
            if object.object != volume.object || !usable {
                return Err(gone());
            }
            if let Some(holder) = object.hosts.iter().find(|holder| **holder != host) {
                return Err(Error::new(
                    ErrorKind::FailedPrecondition,
                    format!("the volume is held by host {holder}"),
                ));
            }
            let held = object
                .record
                .as_ref()
                .and_then(|record| record.holder.clone());
            let connected = object.hosts.contains(&host);
            let nonce = match held {
                Some((holder, nonce)) if connected && holder == host => nonce,
                _ => Uuid::new_v4(),
            };
            if !connected {
                object.hosts.push(host.clone());
            }
            if let Some(record) = object.record.as_mut() {
                record.holder = Some((host.clone(), nonce));
            }
            let access = Access {
                volume: volume.id.clone(),
                path: AccessPath::Loop {
                    file: format!("/memory/{host}/{}", object.id).into(),
                },
                identity: identity(object),
                size: object.size,
                grant: Grant {
                    nonce,
                    host: host.clone(),
                },
                format_grant: object.record.as_ref().and_then(|r| r.format_grant.clone()),
            };
            Ok(if connected {
                Outcome::AlreadySo(access)
            } else {
                Outcome::Done(access)
            })
        })?;
        self.array.publish_answer()?;
        Ok(outcome)
    }

    async fn unpublish(&self, request: UnpublishVolume) -> Result<Outcome<()>> {
        self.array.reachable().await?;
        let host = request.host.object_name();
        let result = self.array.change(request.volume.object(), |object| {
            let before = object.hosts.len();
            object.hosts.retain(|connected| *connected != host);
            Ok(object.hosts.len() < before)
        });
        match result {
            Ok(true) => Ok(Outcome::Done(())),
            Ok(false) => Ok(Outcome::AlreadySo(())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Outcome::AlreadySo(())),
            Err(error) => Err(error),
        }
    }

    async fn published(&self, volume: &Volume) -> Result<Vec<Publication>> {
        self.array.reachable().await?;
        self.array.change(volume.id.object(), |object| {
            let holder = object
                .record
                .as_ref()
                .and_then(|record| record.holder.as_ref());
            Ok(object
                .hosts
                .iter()
                .map(|host| Publication {
                    host: host.clone(),
                    group: false,
                    nonce: holder
                        .filter(|(holder, _)| holder == host)
                        .map(|(_, nonce)| *nonce),
                })
                .collect())
        })
    }

    async fn withdraw_format_grant(&self, volume: &Volume) -> Result<Outcome<()>> {
        self.array.reachable().await?;
        self.array.change(volume.id.object(), |object| {
            if self.is_foreign(object) {
                return Err(gone());
            }
            let taken = object
                .record
                .as_mut()
                .and_then(|record| record.format_grant.take());
            Ok(if taken.is_some() {
                Outcome::Done(())
            } else {
                Outcome::AlreadySo(())
            })
        })
    }

    async fn telemetry(&self) -> Result<Telemetry> {
        self.array.reachable().await?;
        let used = self.array.lock().values().fold(0, |sum: u64, object| {
            sum.saturating_add(object.size.bytes())
        });
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
}
