//! `/volume-snapshots`.

use serde::Deserialize;
use storage_http::Call;

use super::Api;
use crate::error::Failure;

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WireSnapshot {
    pub(crate) name: String,
}

impl Api {
    /// GET `/volume-snapshots?source_ids=&destroyed=false`: the first few of a volume's snapshots
    /// `[2.2, 2.26]`.
    pub(crate) async fn some_snapshots(&self, volume_id: &str) -> Result<Vec<String>, Failure> {
        let call = Call::get("/volume-snapshots")
            .query("source_ids", volume_id)
            .query("destroyed", "false")
            .query("limit", "5");
        let page = self.page::<WireSnapshot>(call, None).await?;
        Ok(page
            .items
            .into_iter()
            .map(|snapshot| snapshot.name)
            .collect())
    }
}
