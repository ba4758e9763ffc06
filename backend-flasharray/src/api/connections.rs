//! `/connections`.

use serde::{Deserialize, Serialize};
use storage_http::{Call, Idempotency, Method, Page};

use super::{Api, Reference, nullable};
use crate::error::{Failure, REPEATABLE};

/// A connection as the array lists it: one item for a host, or one for each host of a group with
/// both set `[2.26, Connection]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WireConnection {
    #[serde(deserialize_with = "nullable")]
    pub(crate) host: Reference,
    #[serde(deserialize_with = "nullable")]
    pub(crate) host_group: Reference,
    #[serde(deserialize_with = "nullable")]
    pub(crate) volume: Reference,
    /// 1 to 4095; larger for virtual volumes, absent for `NVMe` hosts.
    pub(crate) lun: Option<u64>,
}

/// How a volume's connections are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WireVolumeKey {
    /// Name: fails when the volume was renamed, which is wanted where a connection is made.
    Name(String),
    /// Id: not in REST 2.2.
    Id(String),
}

impl WireVolumeKey {
    fn on(&self, call: Call) -> Call {
        match self {
            Self::Name(name) => call.query("volume_names", name),
            Self::Id(id) => call.query("volume_ids", id),
        }
    }
}

#[derive(Serialize)]
struct NewConnection {
    lun: u16,
}

impl Api {
    /// GET `/connections?volume_names=` or `volume_ids=` `[2.26]`.
    pub(crate) async fn connections(
        &self,
        volume: &WireVolumeKey,
    ) -> Result<Vec<WireConnection>, Failure> {
        self.list(volume.on(Call::get("/connections"))).await
    }

    /// One page of [`Self::connections`].
    pub(crate) async fn page_of_connections(
        &self,
        volume: &WireVolumeKey,
        limit: usize,
        after: Option<String>,
    ) -> Result<Page<WireConnection>, Failure> {
        let call = volume.on(Call::get("/connections"));
        self.page(call.query("limit", limit.to_string()), after)
            .await
    }

    /// One page of GET `/connections?filter=` `[2.2, 2.26]`.
    pub(crate) async fn page_of_all_connections(
        &self,
        filter: String,
        limit: usize,
        after: Option<String>,
    ) -> Result<Page<WireConnection>, Failure> {
        let call = Call::get("/connections")
            .query("filter", filter)
            .query("limit", limit.to_string());
        self.page(call, after).await
    }

    /// POST `/connections?volume_names=&host_names=` with a LUN `[2.26, ConnectionPost]`. Sent once:
    /// see publish.
    pub(crate) async fn connect(&self, volume: &str, host: &str, lun: u16) -> Result<(), Failure> {
        let call = Call::new(Method::Post, "/connections", Idempotency::Once)
            .query("volume_names", volume)
            .query("host_names", host)
            .json(&NewConnection { lun });
        self.send(call).await.map(drop)
    }

    /// DELETE `/connections?volume_…=&host_names=` `[2.26]`. Several hosts, joined by `,`, go in one
    /// step, or the whole is refused.
    pub(crate) async fn disconnect(
        &self,
        volume: &WireVolumeKey,
        host: &str,
    ) -> Result<(), Failure> {
        let call = Call::new(Method::Delete, "/connections", REPEATABLE);
        self.send(volume.on(call).query("host_names", host))
            .await
            .map(drop)
    }
}
