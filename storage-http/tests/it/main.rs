//! How the client behaves against servers that answer well, badly, late or not at all.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's way to fail"
)]

mod exchange;
mod retry;
mod secrets;
mod session;
mod support;
mod tls;
