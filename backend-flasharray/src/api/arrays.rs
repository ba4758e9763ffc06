//! `/arrays/space`. The array's identity is read at login.

use serde::Deserialize;
use storage_http::Call;

use super::{Api, WireSpace, nullable};
use crate::error::Failure;

/// Capacity and use `[2.26, ArraySpace]`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WireArraySpace {
    /// Usable bytes.
    pub(crate) capacity: u64,
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) space: WireSpace,
}

impl Api {
    /// GET `/arrays/space` `[2.26]`.
    pub(crate) async fn array_space(&self) -> Result<Option<WireArraySpace>, Failure> {
        self.changed(Call::get("/arrays/space")).await
    }
}
