//! `/volume-snapshots`.

use serde::{Deserialize, Serialize};
use storage_http::{Call, Method, Page};

use super::{Api, Reference, nullable};
use crate::error::{Failure, REPEATABLE};

/// A snapshot as the array describes it `[2.2, 2.26, VolumeSnapshot]`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WireSnapshot {
    pub(crate) id: String,
    /// `VOLUME.SUFFIX` with the volume's present name; those of protection groups have other forms.
    pub(crate) name: String,
    /// Milliseconds since the Unix epoch.
    #[serde(default)]
    pub(crate) created: Option<u64>,
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) destroyed: bool,
    /// Bytes of the volume when it was made.
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) provisioned: u64,
    /// The volume.
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) source: Reference,
}

#[derive(Serialize)]
struct NewSnapshot<'a> {
    suffix: &'a str,
}

#[derive(Serialize)]
struct SnapshotChange {
    destroyed: bool,
}

/// Which snapshots a listing is about.
#[derive(Clone, Debug)]
pub(crate) enum Which<'a> {
    /// Those of the volume with this id. The whole is refused when there is no such volume.
    Of(&'a str),
    /// Those that the filter finds.
    Filter(String),
}

impl Which<'_> {
    fn on(self, call: Call) -> Call {
        match self {
            Self::Of(volume) => call.query("source_ids", volume),
            Self::Filter(filter) => call.query("filter", filter),
        }
    }
}

impl Api {
    /// POST `/volume-snapshots?source_ids=` `[2.2, 2.26]`: refused when the suffix is taken.
    pub(crate) async fn make_snapshot(
        &self,
        volume_id: &str,
        suffix: &str,
    ) -> Result<Option<WireSnapshot>, Failure> {
        let call = Call::new(Method::Post, "/volume-snapshots", REPEATABLE)
            .query("source_ids", volume_id)
            .json(&NewSnapshot { suffix });
        self.changed(call).await
    }

    /// GET `/volume-snapshots?source_ids=`: all of a volume's, destroyed ones included
    /// `[2.2, 2.26]`.
    pub(crate) async fn snapshots_of(&self, volume_id: &str) -> Result<Vec<WireSnapshot>, Failure> {
        let call = Call::get("/volume-snapshots").query("source_ids", volume_id);
        self.list(call).await
    }

    /// GET `/volume-snapshots?source_ids=&filter=&destroyed=false`: the usable ones of a volume
    /// that a filter finds `[2.2, 2.26]`.
    pub(crate) async fn find_snapshots(
        &self,
        volume_id: &str,
        filter: String,
    ) -> Result<Vec<WireSnapshot>, Failure> {
        let call = Call::get("/volume-snapshots")
            .query("source_ids", volume_id)
            .query("filter", filter)
            .query("destroyed", "false");
        self.list(call).await
    }

    /// One page of GET `/volume-snapshots` without destroyed ones `[2.2, 2.26]`.
    pub(crate) async fn page_of_snapshots(
        &self,
        which: Which<'_>,
        limit: usize,
        after: Option<String>,
    ) -> Result<Page<WireSnapshot>, Failure> {
        let call = Call::get("/volume-snapshots")
            .query("destroyed", "false")
            .query("limit", limit.to_string());
        self.page(which.on(call), after).await
    }

    /// PATCH `/volume-snapshots?ids=` with `destroyed`: recoverable until it is eradicated
    /// `[2.2, 2.26]`.
    pub(crate) async fn destroy_snapshot(&self, id: &str) -> Result<(), Failure> {
        let call = Call::new(Method::Patch, "/volume-snapshots", REPEATABLE)
            .query("ids", id)
            .json(&SnapshotChange { destroyed: true });
        self.send(call).await.map(drop)
    }
}
