//! What all GET calls share: query parameters, filter, sort and pages.
//!
//! Knows nothing of volumes or hosts: a listing gives it [`Row`]s, which can be asked for one
//! property at a time (so that a filter over ten thousand volumes renders none of them) and
//! rendered as a whole.

mod base64;
mod filter;
mod page;
mod params;
mod value;

pub(crate) use filter::Filter;
pub(crate) use page::{Listing, Row, list};
pub(crate) use params::Params;
pub(crate) use value::{Field, from_json};

/// What is wrong with a query. The text goes to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct QueryError(pub(crate) String);

impl QueryError {
    pub(crate) fn parameter(name: &str) -> Self {
        Self(format!("Invalid value for query parameter {name}."))
    }
}
