//! The cases for [`storage_core::Attacher`], over a backend that publishes to its host.

pub mod attaching;
pub mod copying;
pub mod detaching;

use std::sync::Arc;
use storage_core::{
    Access, AttachVolume, Attacher, Attachment, Backend, Outcome, Preemption, PublishVolume,
    Result, UnpublishVolume, Volume,
};

use crate::harness::AttachHarness;
use crate::retrying::Retrying;
use crate::stage::{create_on, node_of};

/// An array and a host.
struct Scene {
    node: Retrying,
    host: Arc<dyn Attacher>,
}

impl Scene {
    async fn new(harness: &impl AttachHarness) -> Self {
        Self {
            node: node_of(harness, &harness.namespace()).await,
            host: harness.attacher(),
        }
    }

    async fn create(&self, text: &str) -> Volume {
        create_on(&self.node, text).await
    }

    /// What the engine does before an attach.
    async fn publish(&self, volume: &Volume) -> Access {
        self.host.prepare(volume).await.expect("prepare");
        let request = PublishVolume {
            volume: volume.clone(),
            host: self.host.host().clone(),
            preemption: Preemption::Refuse,
            avoid_luns: Vec::new(),
        };
        let access = self.node.publish(request).await.expect("publish");
        access.into_inner()
    }

    async fn unpublish(&self, volume: &Volume) {
        let request = UnpublishVolume {
            volume: volume.id.clone(),
            object: volume.object.clone(),
            host: self.host.host().clone(),
        };
        let _outcome = self.node.unpublish(request).await.expect("unpublish");
    }

    async fn attach(&self, volume: &Volume, access: &Access) -> Result<Outcome<Attachment>> {
        let request = AttachVolume {
            name: volume.name.clone(),
            object: volume.object.clone(),
            access: access.clone(),
            filesystem: volume.filesystem.clone().expect("recorded at create"),
            fresh_uuid: volume.fresh_uuid,
        };
        self.host.attach(request).await
    }

    /// Lets go of everything, so that the host is as it was.
    async fn leave(&self, volume: &Volume) {
        let _released = self.host.detach(&volume.id).await.expect("detach");
        self.unpublish(volume).await;
        self.host.forget(&volume.id).await.expect("forget");
    }
}
