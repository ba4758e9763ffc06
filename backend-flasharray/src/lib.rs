//! Pure Storage `FlashArray` (REST 2.x) as a Fairlead backend.
//!
//! [`FlashArray`] is one array seen through one namespace. How a volume is made, found, given to
//! a host and removed with few calls, so that a crash after any of them leaves something that the
//! next call understands, stands at the head of `claim` and its parts, `create`, `snapshot`, `lookup`, `publish` and `delete`;
//! what is kept in tags, in `record` and `fleet_tags`; what each answer of the array means, in the one table of
//! `error`. Facts about the REST interface cite the vendor's published documents for versions 2.2
//! to 2.50.
//!
//! Not here: sessions, retries and TLS (`storage-http`), and everything a host does with an
//! access (`host-attach`).

mod access;
mod api;
mod backend;
mod claim;
mod config;
mod create;
mod delete;
mod error;
mod fence_tag;
mod fleet_tags;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod hosts;
mod lookup;
mod name;
mod present;
mod publish;
mod record;
mod release;
mod restore;
mod session;
mod snapshot;
mod survey;
mod trash;
mod unpublish;

pub use backend::FlashArray;
pub use config::{FlashArrayConfig, San};
