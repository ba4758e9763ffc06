//! The one REST client under every array backend.
//!
//! A [`Client`] talks to one array over HTTPS. It owns what every vendor needs alike: trust in
//! the array's certificate ([`Trust`]), one shared session ([`Login`]), retries that depend on
//! how far a request got and on what its caller declared about it ([`Idempotency`]), time-outs,
//! a limit on concurrent calls, bounded answers, paging, counters ([`Calls`]) and silence about
//! secrets. It knows no vendor, no volume and no error text.
//!
//! # Order of the layers
//! `deadline( retry( session( limit( time-out( exchange )))))`. The time-out of one attempt lies
//! inside the retry: the other way round, one slow attempt would use up the whole budget and
//! there would be nothing left to retry with. Waiting for a free slot counts against the deadline.

mod answer;
mod call;
mod calls;
mod client;
mod config;
mod endpoint;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod page;
mod retry;
mod session;
mod trust;
mod verify;
mod wire;

pub use answer::Answer;
pub use call::{Call, Idempotency, Method};
pub use calls::{CallName, Calls};
pub use client::Client;
pub use config::{ClientConfig, Limits, RetryPolicy, Timeouts};
pub use endpoint::Endpoint;
pub use error::{HttpError, Stage};
pub use page::{Page, collect_pages};
pub use session::{Login, LoginCalls, Session};
pub use trust::{Fingerprint, Trust};
pub use verify::UntrustedCertificate;
