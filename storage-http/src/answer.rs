//! An answer that arrived whole: status, headers, and a bounded body.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::calls::CallName;
use crate::error::HttpError;

/// A complete answer of any status.
#[derive(Clone)]
pub struct Answer {
    name: CallName,
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) const fn new(
        name: CallName,
        status: u16,
        headers: reqwest::header::HeaderMap,
        body: Vec<u8>,
    ) -> Self {
        Self {
            name,
            status,
            headers,
            body,
        }
    }

    /// HTTP status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is 2xx.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// A header's value where it is text. The name is lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as it came.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body read as JSON.
    ///
    /// # Errors
    /// Stage `Unreadable` when it is not the JSON that was expected.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            HttpError::unreadable(
                self.name,
                self.status,
                format!("not as documented: {error}"),
            )
        })
    }
}

/// Headers and body are left out: one holds session tokens, the other may hold anything.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("call", &self.name)
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
