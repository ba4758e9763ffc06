//! What most cases begin with: a node on the array, names, requests with sensible values, and
//! the comparisons that hold with and without faults.

use std::collections::BTreeSet;

use storage_core::{
    Access, ArrayNumber, Backend, ClaimNonce, CreateVolume, DeleteVolume, Error, ErrorKind,
    Filesystem, FilesystemSpec, FormatGrant, Host, Labels, Limits, ListVolumes, Namespace, Outcome,
    Preemption, Publication, PublishVolume, Result, Size, UnpublishVolume, Volume, VolumeKey,
    VolumeName, VolumeState, is_reserved, trash_name,
};
use uuid::Uuid;

use crate::harness::{Harness, Hook, known_namespace};
use crate::retrying::Retrying;

/// Size of the volumes that cases make unless size matters.
const SIZE: Size = Size::from_gib(1);

/// A listing that is longer than this many pages does not end.
const PAGES_MAX: usize = 1000;

/// The scene of a case.
pub(crate) struct Stage<'a> {
    pub(crate) harness: &'a dyn Harness,
    pub(crate) node: Retrying,
}

impl<'a> Stage<'a> {
    pub(crate) async fn new(harness: &'a dyn Harness) -> Self {
        let node = node_of(harness, &harness.namespace()).await;
        Self { harness, node }
    }

    /// Another node of the same cluster.
    pub(crate) async fn another_node(&self) -> Retrying {
        node_of(self.harness, self.node.namespace()).await
    }

    /// A node of another cluster, whose namespace has the first one's as its beginning.
    pub(crate) async fn other_cluster(&self) -> Retrying {
        let namespace = known_namespace(&format!("{}-two", self.node.namespace()));
        node_of(self.harness, &namespace).await
    }

    pub(crate) fn host(&self, index: usize) -> Host {
        self.harness.host(index)
    }

    /// Makes a volume and asserts that it was made now.
    pub(crate) async fn create(&self, text: &str) -> Volume {
        create_on(&self.node, text).await
    }

    pub(crate) async fn get(&self, text: &str) -> Option<Volume> {
        get_on(&self.node, text).await
    }

    pub(crate) async fn get_id(&self, volume: &Volume) -> Option<Volume> {
        let key = VolumeKey::Id(volume.id.clone());
        self.node.get(key).await.expect("get by id")
    }

    /// Leaves the volume as a delete does that is cut off after its first step, and looks it up
    /// then; `None` where the harness cannot.
    pub(crate) async fn cut_off_delete(&self, volume: &Volume) -> Option<Volume> {
        let trash = trash_name(self.node.namespace(), &volume.name, Uuid::new_v4());
        if self.harness.rename_foreign(&volume.object, &trash).await == Hook::Missing {
            return None;
        }
        let found = self.get(volume.name.as_str()).await;
        let found = found.expect("a half-removed volume is not absent");
        assert_eq!(found.state, VolumeState::Deleting, "it is not usable");
        assert_eq!((&found.id, &found.object), (&volume.id, &trash));
        Some(found)
    }

    pub(crate) async fn delete(&self, volume: &Volume) -> Result<Outcome<()>> {
        let volume = volume.clone();
        self.node.delete(DeleteVolume { volume }).await
    }

    pub(crate) async fn publish(&self, volume: &Volume, host: usize) -> Result<Outcome<Access>> {
        publish_on(&self.node, volume, self.host(host)).await
    }

    pub(crate) async fn unpublish(&self, volume: &Volume, host: usize) -> Result<Outcome<()>> {
        let request = UnpublishVolume {
            volume: volume.id.clone(),
            object: volume.object.clone(),
            host: self.host(host),
        };
        self.node.unpublish(request).await
    }

    pub(crate) async fn published(&self, volume: &Volume) -> Vec<Publication> {
        self.node.published(volume).await.expect("published")
    }

    /// Asserts that exactly this host can reach the volume, with this access's grant.
    pub(crate) async fn assert_alone(&self, volume: &Volume, access: &Access) {
        let published = self.published(volume).await;
        assert_eq!(published.len(), 1, "exactly one host: {published:?}");
        assert_eq!(published[0].host, access.grant.host, "the grant's host");
        assert_eq!(published[0].nonce, Some(access.grant.nonce), "its nonce");
        assert!(!published[0].group, "a host of ours is no group");
    }

    /// All volumes of the namespace, read in pages of that size.
    pub(crate) async fn list(&self, limit: Option<usize>) -> Vec<Volume> {
        list_on(&self.node, limit).await
    }

    /// Asserts that no listed volume has that name.
    pub(crate) async fn assert_not_listed(&self, text: &str) {
        let listed = self.list(None).await;
        let found = listed.iter().find(|volume| volume.name.as_str() == text);
        assert_eq!(found, None, "`{text}` is not listed");
    }

    /// Asserts that a mutation changed something. With faults, a repeated call may find that an
    /// earlier attempt did.
    pub(crate) fn assert_done<T>(&self, outcome: &Outcome<T>, what: &str) {
        assert!(
            outcome.is_done() || self.harness.faulty(),
            "{what}: Done is expected, not AlreadySo"
        );
    }

    /// Asserts that nothing is on the array but the listed volumes of this namespace. With faults
    /// an attempt that failed may leave strays: they must be recognisable by their names.
    pub(crate) async fn assert_no_strays(&self) {
        let Some(objects) = self.harness.objects().await else {
            return;
        };
        let volumes = self.list(None).await;
        let known: BTreeSet<&str> = volumes.iter().map(|v| v.object.as_str()).collect();
        let prefix = format!("{}-", self.node.namespace());
        let ours = objects.iter().filter(|o| o.starts_with(&prefix));
        for object in ours.filter(|object| !known.contains(object.as_str())) {
            let recognisable = is_reserved(self.node.namespace(), object);
            assert!(
                recognisable && self.harness.faulty(),
                "`{object}` is left over on the array"
            );
        }
    }
}

pub(crate) async fn node_of(harness: &dyn Harness, namespace: &Namespace) -> Retrying {
    Retrying::new(harness.backend(namespace).await, harness.faulty())
}

pub(crate) async fn create_on(node: &Retrying, text: &str) -> Volume {
    let made = node.create(request(text)).await.expect("create");
    made.into_inner()
}

pub(crate) async fn get_on(node: &Retrying, text: &str) -> Option<Volume> {
    let key = VolumeKey::Name(name(text));
    node.get(key).await.expect("get by name")
}

pub(crate) async fn publish_on(
    node: &Retrying,
    volume: &Volume,
    host: Host,
) -> Result<Outcome<Access>> {
    publish_avoiding(node, volume, host, Vec::new()).await
}

pub(crate) async fn publish_avoiding(
    node: &Retrying,
    volume: &Volume,
    host: Host,
    avoid_luns: Vec<u16>,
) -> Result<Outcome<Access>> {
    let request = PublishVolume {
        volume: volume.clone(),
        host,
        preemption: Preemption::Refuse,
        avoid_luns,
    };
    node.publish(request).await
}

pub(crate) async fn list_on(node: &Retrying, limit: Option<usize>) -> Vec<Volume> {
    let mut volumes = Vec::new();
    let mut after = None;
    for _ in 0..PAGES_MAX {
        let page = node.list(ListVolumes { after, limit }).await.expect("list");
        if let Some(limit) = limit {
            assert!(page.volumes.len() <= limit, "a page is within its limit");
        }
        volumes.extend(page.volumes);
        after = page.next;
        if after.is_none() {
            return volumes;
        }
    }
    panic!("a listing does not end after {PAGES_MAX} pages")
}

pub(crate) fn name(text: &str) -> VolumeName {
    VolumeName::new(text).expect("a good name")
}

/// What a case asks for when nothing in particular matters.
pub(crate) fn request(text: &str) -> CreateVolume {
    CreateVolume {
        name: name(text),
        size: SIZE,
        filesystem: FilesystemSpec::new(Filesystem::Ext4),
        limits: Limits::default(),
        format_grant: Some(FormatGrant {
            filesystem: Filesystem::Ext4,
            uuid: Uuid::new_v4(),
        }),
        attributes: Labels::from([("created-by".to_owned(), "conformance".to_owned())]),
        nonce: ClaimNonce::by_chance(ArrayNumber::default()),
    }
}

/// Why a case that needs a half-removed volume cannot be tried.
pub(crate) const NO_RENAME: &str = "the harness cannot rename objects past the backend";

/// A volume without what changes by itself, and without who holds it.
pub(crate) fn essence(volume: &Volume) -> Volume {
    Volume {
        used: None,
        created_ms: None,
        holder: None,
        ..volume.clone()
    }
}

/// Asserts a refusal of that kind and returns it.
pub(crate) fn refused<T>(result: Result<T>, kind: ErrorKind, what: &str) -> Error {
    match result {
        Ok(_) => panic!("{what}: a refusal is expected"),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{what}: {}", error.chain());
            error
        }
    }
}
