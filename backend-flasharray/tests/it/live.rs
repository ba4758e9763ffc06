//! The public suite on an array that the environment names: for a real one, set aside for tests.
//! Built with the feature `live-array` alone, so that nothing reaches for an array by accident.
//! `docs/adding-a-backend.md` says how to run it.

use std::sync::Arc;

use backend_flasharray::{FlashArray, FlashArrayConfig, San};
use storage_conformance::{Harness, Retrying, async_trait};
use storage_core::{
    Backend, DeleteVolume, Error, ListSnapshots, ListVolumes, Namespace, Secret, Snapshots,
    UnpublishVolume, Volume,
};
use storage_http::Trust;
use uuid::Uuid;

/// The management address: a name or an IP address, with `:port` where it is not 443.
const ADDRESS: &str = "FAIRLEAD_LIVE_ARRAY";
/// A file with the API token, as secrets do not belong into the environment.
const TOKEN_FILE: &str = "FAIRLEAD_LIVE_TOKEN_FILE";
/// The certificate's SHA-256, where the system's authorities do not know it.
const FINGERPRINT: &str = "FAIRLEAD_LIVE_FINGERPRINT";

#[expect(
    clippy::disallowed_methods,
    reason = "the settings of this suite, read in one place"
)]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A namespace of its own on the array, so that runs do not meet.
struct Live(Namespace);

impl Live {
    fn new() -> Self {
        let nonce: String = Uuid::new_v4()
            .simple()
            .to_string()
            .chars()
            .take(10)
            .collect();
        Self(Namespace::new(format!("cf{nonce}")).unwrap())
    }

    async fn clean(&self, namespace: &Namespace) -> Result<(), Error> {
        let node = Retrying::new(self.backend(namespace).await, true);
        let mut volumes = Vec::new();
        let mut after = None;
        loop {
            let page = node.list(ListVolumes { after, limit: None }).await?;
            volumes.extend(page.volumes);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        for volume in volumes {
            self.remove(&node, volume).await?;
        }
        node.close().await;
        Ok(())
    }

    async fn remove(&self, node: &Retrying, volume: Volume) -> Result<(), Error> {
        for index in [0, 1] {
            let request = UnpublishVolume {
                volume: volume.id.clone(),
                object: volume.object.clone(),
                host: self.host(index),
            };
            let _taken = node.unpublish(request).await?;
        }
        let request = ListSnapshots {
            volume: Some(volume.id.clone()),
            ..ListSnapshots::default()
        };
        for snapshot in node.list_snapshots(request).await?.snapshots {
            let _gone = node.delete_snapshot(&snapshot).await?;
        }
        let _gone = node.delete(DeleteVolume { volume }).await?;
        Ok(())
    }
}

#[async_trait]
impl Harness for Live {
    async fn backend(&self, namespace: &Namespace) -> Arc<dyn Backend> {
        let file = setting(TOKEN_FILE).unwrap();
        let token = std::fs::read_to_string(file).unwrap();
        let san = San::Iscsi {
            allowed_networks: Vec::new(),
        };
        let mut config = FlashArrayConfig::new(
            setting(ADDRESS).unwrap(),
            Secret::new(token.trim()),
            namespace.clone(),
            san,
        );
        if let Some(fingerprint) = setting(FINGERPRINT) {
            config.trust = Trust::Fingerprint(fingerprint.parse().unwrap());
        }
        Arc::new(FlashArray::new(config).unwrap())
    }

    fn describe(&self) -> String {
        let address = setting(ADDRESS).unwrap_or_default();
        format!("the array at {address}, namespace {}", self.0)
    }

    fn missing(&self) -> Option<String> {
        let unset = [ADDRESS, TOKEN_FILE].into_iter();
        let unset: Vec<&str> = unset.filter(|name| setting(name).is_none()).collect();
        (!unset.is_empty()).then(|| format!("{} is not set", unset.join(", ")))
    }

    fn namespace(&self) -> Namespace {
        self.0.clone()
    }

    /// Removes, recoverably, what the case made in its two namespaces.
    async fn finish(&self) {
        let other = Namespace::new(format!("{}-two", self.0)).unwrap();
        for namespace in [&self.0, &other] {
            self.clean(namespace).await.unwrap();
        }
    }
}

storage_conformance::backend_suite!(Live::new());
