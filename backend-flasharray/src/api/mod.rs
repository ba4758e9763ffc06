//! The REST calls, one function each, and the envelope that all lists share.
//!
//! Functions here send and parse; what a refusal means to an operation is decided by whoever
//! calls them. Vendor documents: "FlashArray REST 2.2", "2.26" and "2.50" (OpenAPI); `[2.26]`
//! beside a function names the one that it was written against.

mod arrays;
mod connections;
mod hosts;
mod ports;
mod snapshots;
mod tags;
mod volumes;

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use storage_http::{Answer, Call, Client, HttpError, Page, collect_pages};
use tokio::time::Instant;

use crate::error::Failure;
use crate::session::Identity;

pub(crate) use connections::{WireConnection, WireVolumeKey};
pub(crate) use hosts::WireHost;
pub(crate) use ports::WirePort;
pub(crate) use snapshots::{Which, WireSnapshot};
pub(crate) use tags::{NewTag, Tag};
pub(crate) use volumes::{NewVolume, WireSpace, WireVolume};

/// No list has more pages: a million objects at the array's thousand a page.
const PAGES_MAX: usize = 1000;

/// What every list is wrapped in. Unknown fields are newer versions' business.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope<T> {
    #[serde(default = "Vec::new")]
    pub(crate) items: Vec<T>,
    #[serde(default)]
    continuation_token: Option<String>,
    #[serde(default)]
    more_items_remaining: Option<bool>,
}

impl<T> Envelope<T> {
    pub(crate) fn into_page(self) -> Page<T> {
        let more = self.more_items_remaining.unwrap_or(true);
        Page {
            items: self.items,
            next: self
                .continuation_token
                .filter(|token| more && !token.is_empty()),
        }
    }
}

/// A reference to another object; unused ones are `{}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Reference {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
}

/// Reads `null` as the default: arrays write either for what is not there.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The calls of one operation: all within its deadline.
#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
    deadline: Instant,
    /// Who answered when the operation began.
    pub(crate) identity: Arc<Identity>,
}

impl Api {
    pub(crate) const fn new(client: Client, deadline: Instant, identity: Arc<Identity>) -> Self {
        Self {
            client,
            deadline,
            identity,
        }
    }

    /// The same with another deadline: for cleaning up, which must not fall victim to the
    /// operation's own.
    pub(crate) fn until(&self, deadline: Instant) -> Self {
        Self::new(self.client.clone(), deadline, Arc::clone(&self.identity))
    }

    /// When the operation ends, whatever it waits for.
    pub(crate) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Only to the array that the operation began with: after a new login another one may answer
    /// at the address, which knows nothing of the ids and names that were read.
    async fn send(&self, call: Call) -> Result<Answer, Failure> {
        let call = call.deadline(self.deadline);
        let call = call.pinned(self.identity.id.as_str());
        Ok(self.client.send(call).await?)
    }

    /// All items of a list.
    async fn list<T: DeserializeOwned>(&self, call: Call) -> Result<Vec<T>, Failure> {
        let too_long = || HttpError::unusable("a list of the array does not end").into();
        collect_pages(PAGES_MAX, too_long, |token| self.page(call.clone(), token)).await
    }

    /// One page of a list.
    async fn page<T: DeserializeOwned>(
        &self,
        call: Call,
        after: Option<String>,
    ) -> Result<Page<T>, Failure> {
        let call = match after {
            Some(token) => call.query("continuation_token", token),
            None => call,
        };
        let envelope: Envelope<T> = self.send(call).await?.json()?;
        Ok(envelope.into_page())
    }

    /// The one item that a change answers with.
    async fn changed<T: DeserializeOwned>(&self, call: Call) -> Result<Option<T>, Failure> {
        let envelope: Envelope<T> = self.send(call).await?.json()?;
        Ok(envelope.items.into_iter().next())
    }
}
