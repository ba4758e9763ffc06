//! The smallest backend that passes the conformance suite: a shelf of volumes in memory, without
//! any optional power. It shows which promise each method keeps; what a real array makes of them
//! is in `backend-flasharray`.
//!
//! ```sh
//! cargo run -p examples --example own_backend     # a volume's life on the shelf
//! cargo test -p examples --example own_backend    # the suite, with and without faults
//! ```
#![expect(clippy::print_stdout, reason = "an example talks")]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use storage_core::{
    Access, AccessPath, ArrayId, ArrayNumber, Backend, Capabilities, ClaimNonce, CreateVolume,
    DeleteVolume, DeviceIdentity, Error, ErrorKind, ExpandVolume, Filesystem, FilesystemSpec,
    Grant, Host, Initiators, Labels, Limits, ListVolumes, Namespace, Outcome, Ownership,
    Preemption, Protocol, Publication, PublishVolume, Result, Size, Telemetry, UnpublishVolume,
    Volume, VolumeId, VolumeKey, VolumeName, VolumePage, VolumeState,
};
use uuid::Uuid;

const CAPACITY: Size = Size::from_gib(1 << 20);
const PAGE: usize = 100;
const AFTER: &str = "after:";

/// The "array": what all nodes and namespaces share.
#[derive(Debug, Default)]
struct Shelf {
    /// By the object's own id, which counts up and is never given twice.
    objects: Mutex<(u64, BTreeMap<String, Object>)>,
}

#[derive(Debug)]
struct Object {
    namespace: Namespace,
    volume: Volume,
    /// Who has it, and the grant's nonce.
    holder: Option<(String, Uuid)>,
}

/// One namespace's view of the shelf.
#[derive(Debug)]
struct ShelfBackend {
    shelf: Arc<Shelf>,
    namespace: Namespace,
}

fn gone() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such volume on the shelf")
}

impl ShelfBackend {
    /// All steps of a call happen under this lock: that is what makes them atomic here.
    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<String, Object>)> {
        let objects = self.shelf.objects.lock();
        objects.unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a volume of this namespace; another namespace's is not there.
    fn change<T>(&self, id: &VolumeId, f: impl FnOnce(&mut Object) -> Result<T>) -> Result<T> {
        let mut shelf = self.lock();
        let found = shelf.1.get_mut(id.object());
        let ours = found.filter(|object| object.namespace == self.namespace);
        f(ours.ok_or_else(gone)?)
    }

    fn told(object: &Object) -> Volume {
        Volume {
            holder: object.holder.as_ref().map(|(host, _)| host.clone()),
            ..object.volume.clone()
        }
    }

    fn new_volume(&self, request: CreateVolume, id: String) -> Result<Volume> {
        Ok(Volume {
            object: format!("{}/{}", self.namespace, request.name),
            identity: Some(DeviceIdentity {
                serial: id.clone(),
                wwid: id.to_ascii_lowercase(),
            }),
            id: VolumeId::new(ArrayId::new("the-shelf"), id)?,
            name: request.name,
            array_name: "shelf".to_owned(),
            size: self.capabilities().round(request.size)?,
            used: None,
            created_ms: None,
            filesystem: Some(request.filesystem),
            format_grant: request.format_grant,
            fresh_uuid: None,
            limits: Limits::default(),
            holder: None,
            attributes: request.attributes,
            state: VolumeState::Ready,
            ownership: Ownership::Recorded,
        })
    }
}

impl fmt::Display for ShelfBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the shelf")
    }
}

#[async_trait]
impl Backend for ShelfBackend {
    fn endpoint(&self) -> &str {
        "shelf.example.com"
    }

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn labels(&self) -> Labels {
        Labels::from([("kind".to_owned(), "shelf".to_owned())])
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            protocol: Protocol::Loop,
            size_min: Size::from_mib(1),
            size_max: CAPACITY,
            size_step: Size::from_bytes(4096),
            expand: true,
            exclusive_publish: true,
            preemption: false,
            snapshots: false,
            clones: false,
            limits: None,
        }
    }

    /// Refusals first, then the look at the name, then everything in one step.
    async fn create(&self, request: CreateVolume) -> Result<Outcome<Volume>> {
        if !request.limits.is_empty() {
            let message = "the shelf cannot limit what a volume does";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let mut shelf = self.lock();
        let mut objects = shelf.1.values();
        let bears =
            |one: &&Object| one.namespace == self.namespace && one.volume.name == request.name;
        if let Some(existing) = objects.find(bears) {
            return Ok(Outcome::AlreadySo(Self::told(existing)));
        }
        shelf.0 += 1;
        let id = format!("{:024X}", shelf.0);
        let volume = self.new_volume(request, id.clone())?;
        let object = Object {
            namespace: self.namespace.clone(),
            volume: volume.clone(),
            holder: None,
        };
        shelf.1.insert(id, object);
        Ok(Outcome::Done(volume))
    }

    async fn get(&self, key: VolumeKey) -> Result<Option<Volume>> {
        let shelf = self.lock();
        let mut ours = shelf.1.values().filter(|o| o.namespace == self.namespace);
        let found = ours.find(|object| match &key {
            VolumeKey::Name(name) => object.volume.name == *name,
            VolumeKey::Id(id) => object.volume.id == *id,
        });
        Ok(found.map(Self::told))
    }

    /// Pages go by what never changes: the id. So what others do meanwhile does not matter.
    async fn list(&self, request: ListVolumes) -> Result<VolumePage> {
        let after = match request.after.as_deref().map(|it| it.strip_prefix(AFTER)) {
            None => "",
            Some(Some(id)) => id,
            Some(None) => {
                let message = "the listing cannot go on from there";
                return Err(Error::new(ErrorKind::InvalidArgument, message));
            }
        };
        let limit = request.limit.unwrap_or(PAGE).clamp(1, PAGE);
        let shelf = self.lock();
        let ours = shelf
            .1
            .iter()
            .filter(|(_, o)| o.namespace == self.namespace);
        let rest = ours.filter(|(id, _)| id.as_str() > after);
        let mut volumes: Vec<Volume> = rest
            .take(limit + 1)
            .map(|(_, object)| Self::told(object))
            .collect();
        let more = volumes.len() > limit;
        volumes.truncate(limit);
        let last = volumes.last().filter(|_| more);
        let next = last.map(|last| format!("{AFTER}{}", last.id.object()));
        Ok(VolumePage {
            objects: None,
            volumes,
            next,
            calls: 1,
        })
    }

    async fn expand(&self, request: ExpandVolume) -> Result<Outcome<Volume>> {
        let size = self.capabilities().round(request.size)?;
        self.change(&request.volume.id, |object| {
            if size < object.volume.size {
                let message = "a volume is never made smaller";
                return Err(Error::new(ErrorKind::OutOfRange, message));
            }
            let grows = size > object.volume.size;
            object.volume.size = size;
            let volume = Self::told(object);
            Ok(if grows {
                Outcome::Done(volume)
            } else {
                Outcome::AlreadySo(volume)
            })
        })
    }

    /// By id, and by the shelf's word, not the caller's: the name may be another volume's by now.
    async fn delete(&self, request: DeleteVolume) -> Result<Outcome<()>> {
        let id = request.volume.id.object();
        let mut shelf = self.lock();
        match shelf.1.get(id) {
            None => return Ok(Outcome::AlreadySo(())),
            Some(object) if object.namespace != self.namespace => {
                let message = "the volume is another namespace's";
                return Err(Error::new(ErrorKind::FailedPrecondition, message));
            }
            Some(object) => {
                if let Some((host, _)) = &object.holder {
                    let message = format!("the volume is connected to host {host}");
                    return Err(Error::new(ErrorKind::FailedPrecondition, message));
                }
            }
        }
        shelf.1.remove(id);
        Ok(Outcome::Done(()))
    }

    /// A delete has one step here, so nothing is ever half removed.
    async fn restore(&self, volume: &Volume) -> Result<Outcome<Volume>> {
        let present = self.change(&volume.id, |object| Ok(Self::told(object)))?;
        Ok(Outcome::AlreadySo(present))
    }

    /// One host, alone. The nonce is new for every grant, and stays while the host holds it.
    async fn publish(&self, request: PublishVolume) -> Result<Outcome<Access>> {
        let host = request.host.object_name();
        self.change(&request.volume.id, |object| {
            let (nonce, had) = match &object.holder {
                Some((holder, nonce)) if *holder == host => (*nonce, true),
                Some((holder, _)) => {
                    let message = format!("host {holder} has the volume");
                    return Err(Error::new(ErrorKind::FailedPrecondition, message));
                }
                None => (Uuid::new_v4(), false),
            };
            object.holder = Some((host.clone(), nonce));
            let volume = &object.volume;
            let access = Access {
                volume: volume.id.clone(),
                path: AccessPath::Loop {
                    file: format!("/shelf/{}", volume.id.object()).into(),
                },
                identity: volume.identity.clone().ok_or_else(gone)?,
                size: volume.size,
                grant: Grant { nonce, host },
                format_grant: volume.format_grant.clone(),
            };
            Ok(if had {
                Outcome::AlreadySo(access)
            } else {
                Outcome::Done(access)
            })
        })
    }

    async fn unpublish(&self, request: UnpublishVolume) -> Result<Outcome<()>> {
        let host = request.host.object_name();
        let taken = self.change(&request.volume, |object| {
            let holds = |(holder, _): &mut (String, Uuid)| *holder == host;
            Ok(object.holder.take_if(holds).is_some())
        });
        // Nobody has what is not there.
        Ok(match taken {
            Ok(true) => Outcome::Done(()),
            Ok(false) | Err(_) => Outcome::AlreadySo(()),
        })
    }

    async fn published(&self, volume: &Volume) -> Result<Vec<Publication>> {
        self.change(&volume.id, |object| {
            let holder = object.holder.iter();
            let told = holder.map(|(host, nonce)| Publication {
                host: host.clone(),
                group: false,
                nonce: Some(*nonce),
            });
            Ok(told.collect())
        })
    }

    async fn withdraw_format_grant(&self, volume: &Volume) -> Result<Outcome<()>> {
        let taken = self.change(&volume.id, |object| Ok(object.volume.format_grant.take()));
        // What is gone permits nothing any more.
        Ok(match taken {
            Ok(Some(_)) => Outcome::Done(()),
            Ok(None) | Err(_) => Outcome::AlreadySo(()),
        })
    }

    async fn telemetry(&self) -> Result<Telemetry> {
        let shelf = self.lock();
        let used = shelf.1.values().map(|one| one.volume.size.bytes()).sum();
        Ok(Telemetry {
            array: ArrayId::new("the-shelf"),
            array_name: "shelf".to_owned(),
            capacity: CAPACITY,
            used: Size::from_bytes(used),
        })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let backend = ShelfBackend {
        shelf: Arc::default(),
        namespace: Namespace::new("shop")?,
    };
    let host = Host::new("node-1", "8f3c5a0d7b1e4c2d", Initiators::default());
    let asked = CreateVolume {
        name: VolumeName::new("orders")?,
        size: Size::from_gib(20),
        filesystem: FilesystemSpec::new(Filesystem::Ext4),
        format_grant: None,
        limits: Limits::default(),
        attributes: Labels::new(),
        nonce: ClaimNonce::by_chance(ArrayNumber::default()),
    };
    let volume = backend.create(asked).await?.into_inner();
    println!("{}: {} on {backend}", volume.name, volume.size);
    let request = PublishVolume {
        volume: volume.clone(),
        host: host.clone(),
        preemption: Preemption::Refuse,
        avoid_luns: Vec::new(),
    };
    let access = backend.publish(request).await?.into_inner();
    println!("{}: given to {}", volume.name, access.grant.host);
    let request = UnpublishVolume {
        volume: volume.id.clone(),
        object: volume.object.clone(),
        host,
    };
    let taken = backend.unpublish(request).await?;
    let removed = backend.delete(DeleteVolume { volume }).await?;
    println!(
        "orders: taken back {}, removed {}",
        taken.is_done(),
        removed.is_done()
    );
    Ok(())
}

/// The proof. The shelf has no hooks for what an administrator may do to it, and no optional
/// powers: the cases that need them are skipped, each by its name.
#[cfg(test)]
mod suite {
    use std::sync::Arc;

    use storage_conformance::{Harness, WithFaults, async_trait, seed};
    use storage_core::{Backend, Namespace};

    use super::{Shelf, ShelfBackend};

    #[derive(Default)]
    struct Empty(Arc<Shelf>);

    #[async_trait]
    impl Harness for Empty {
        async fn backend(&self, namespace: &Namespace) -> Arc<dyn Backend> {
            Arc::new(ShelfBackend {
                shelf: Arc::clone(&self.0),
                namespace: namespace.clone(),
            })
        }

        fn describe(&self) -> String {
            "the shelf".to_owned()
        }
    }

    mod plain {
        use super::Empty;
        storage_conformance::backend_suite!(Empty::default());
    }

    mod with_faults {
        use super::{Empty, WithFaults, seed};
        storage_conformance::backend_suite!(WithFaults::new(Empty::default(), seed()));
    }
}
