//! `/ports`: the array's target ports.

use serde::Deserialize;
use storage_http::Call;

use super::Api;
use crate::error::Failure;

/// A target port `[2.26, Port]`. What does not apply to its protocol is null.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WirePort {
    pub(crate) iqn: Option<String>,
    /// `address:port`, IPv6 in brackets.
    pub(crate) portal: Option<String>,
}

impl Api {
    /// GET `/ports` `[2.26]`.
    pub(crate) async fn ports(&self) -> Result<Vec<WirePort>, Failure> {
        self.list(Call::get("/ports")).await
    }
}
