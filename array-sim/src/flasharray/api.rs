//! One call as a route sees it: version, parameters, body; and what it answers.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::state::Refusal;
use crate::query::{Params, QueryError};

/// The minor number of REST 2.x.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RestVersion(pub(crate) u32);

impl RestVersion {
    /// `2.26` and the like.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.strip_prefix("2.")?.parse().ok().map(Self)
    }
}

impl std::fmt::Display for RestVersion {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "2.{}", self.0)
    }
}

/// A call, decoded.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) version: RestVersion,
    pub(crate) params: Params,
    pub(crate) body: Vec<u8>,
}

/// A call's answer: 200 with a body, 207 with one that also tells what is missing, or 200 without.
#[derive(Debug)]
pub(crate) enum Reply {
    Json(Value),
    Partial(Value),
    Empty,
}

impl Reply {
    /// `{"items": [...]}`, the answer of POST, PATCH and PUT.
    pub(crate) fn items(items: impl IntoIterator<Item = Value>) -> Self {
        let items: Vec<Value> = items.into_iter().collect();
        Self::Json(json!({ "items": items }))
    }
}

impl From<QueryError> for Refusal {
    /// The texts are assumed.
    fn from(error: QueryError) -> Self {
        Self::new(error.0, None)
    }
}

impl Request {
    /// The body of a call that must have one. Unknown properties are ignored: public clients send
    /// some.
    pub(crate) fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Refusal::new(format!("Invalid request body: {error}."), None))
    }

    /// The body of a call that may do without.
    pub(crate) fn optional_body<T: DeserializeOwned + Default>(&self) -> Result<T, Refusal> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(T::default());
        }
        self.body()
    }

    /// A list that the call needs.
    pub(crate) fn required_list(&self, name: &str) -> Result<Vec<String>, Refusal> {
        self.params
            .list(name)?
            .ok_or_else(|| Refusal::required(name))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        Ok(self.params.flag(name)?.unwrap_or(false))
    }
}
