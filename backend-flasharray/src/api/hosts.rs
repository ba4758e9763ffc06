//! `/hosts`.

use serde::{Deserialize, Serialize};
use storage_http::{Call, Method};

use super::{Api, nullable};
use crate::error::{Failure, REPEATABLE};

/// A host object `[2.26, Host]`. Hosts have names only, no ids.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WireHost {
    pub(crate) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) iqns: Vec<String>,
}

#[derive(Serialize)]
struct HostInitiators<'a> {
    iqns: &'a [String],
}

impl Api {
    /// GET `/hosts?filter=` `[2.26]`.
    pub(crate) async fn find_hosts(&self, filter: String) -> Result<Vec<WireHost>, Failure> {
        self.list(Call::get("/hosts").query("filter", filter)).await
    }

    /// POST `/hosts?names=` `[2.26, HostPost]`.
    pub(crate) async fn make_host(&self, name: &str, iqns: &[String]) -> Result<(), Failure> {
        let call = Call::new(Method::Post, "/hosts", REPEATABLE)
            .query("names", name)
            .json(&HostInitiators { iqns });
        self.send(call).await.map(drop)
    }

    /// PATCH `/hosts?names=`: replaces the list `[2.26, HostPatch]`.
    pub(crate) async fn set_iqns(&self, name: &str, iqns: &[String]) -> Result<(), Failure> {
        let call = Call::new(Method::Patch, "/hosts", REPEATABLE)
            .query("names", name)
            .json(&HostInitiators { iqns });
        self.send(call).await.map(drop)
    }
}
