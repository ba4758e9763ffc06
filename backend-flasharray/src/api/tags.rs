//! `/volumes/tags`.

use serde::{Deserialize, Serialize};
use storage_http::{Call, Method};

use super::{Api, Reference};
use crate::error::{Failure, REPEATABLE};
use crate::record::TAG_NAMESPACE;

/// A tag as the array lists it `[2.26, Tag]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Tag {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) value: String,
    #[serde(default)]
    pub(crate) namespace: String,
    /// The volume.
    #[serde(default)]
    pub(crate) resource: Reference,
}

/// A tag to write `[2.26, TagBatch]`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NewTag {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) namespace: &'static str,
    /// Whether clones of the volume get it too.
    pub(crate) copyable: bool,
}

impl Api {
    /// GET `/volumes/tags?resource_ids=`: the tags of these volumes in every namespace. An id that
    /// does not exist is a refusal of the whole. `namespaces=` is not in 2.2, so it is not used
    /// `[2.2, 2.26]`.
    pub(crate) async fn tags_of(&self, volume_ids: &[&str]) -> Result<Vec<Tag>, Failure> {
        let call = Call::get("/volumes/tags").query("resource_ids", volume_ids.join(","));
        self.list(call).await
    }

    /// PUT `/volumes/tags/batch?resource_ids=`: adds or overwrites these tags `[2.26]`.
    pub(crate) async fn put_tags(&self, volume_id: &str, tags: &[NewTag]) -> Result<(), Failure> {
        let call = Call::new(Method::Put, "/volumes/tags/batch", REPEATABLE)
            .query("resource_ids", volume_id)
            .json(&tags);
        self.send(call).await.map(drop)
    }

    /// As [`Self::put_tags`], by the name that the volume has: one that was renamed is spared.
    pub(crate) async fn put_tags_by_name(
        &self,
        volume: &str,
        tags: &[NewTag],
    ) -> Result<(), Failure> {
        let call = Call::new(Method::Put, "/volumes/tags/batch", REPEATABLE)
            .query("resource_names", volume)
            .json(&tags);
        self.send(call).await.map(drop)
    }

    /// DELETE `/volumes/tags?resource_ids=&namespaces=&keys=`: refused as a whole when one of the keys
    /// is not there `[2.26]`.
    pub(crate) async fn remove_tags(&self, volume_id: &str, keys: &[&str]) -> Result<(), Failure> {
        let call = Call::new(Method::Delete, "/volumes/tags", REPEATABLE)
            .query("resource_ids", volume_id)
            .query("namespaces", TAG_NAMESPACE)
            .query("keys", keys.join(","));
        self.send(call).await.map(drop)
    }

    /// As [`Self::remove_tags`], by the name that the volume has: one that was renamed is spared.
    pub(crate) async fn remove_tags_by_name(
        &self,
        volume: &str,
        keys: &[&str],
    ) -> Result<(), Failure> {
        let call = Call::new(Method::Delete, "/volumes/tags", REPEATABLE)
            .query("resource_names", volume)
            .query("namespaces", TAG_NAMESPACE)
            .query("keys", keys.join(","));
        self.send(call).await.map(drop)
    }
}
