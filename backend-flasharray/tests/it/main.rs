//! The backend against simulated arrays and single scripted answers.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's way to fail"
)]

mod budgets;
mod claims;
mod clones;
mod conformance;
mod delete;
mod faults;
mod fence;
mod hosts;
#[cfg(feature = "live-array")]
mod live;
mod names;
mod publish;
mod restore;
mod scale;
mod secrets;
mod session;
mod snapshots;
mod support;
mod trash;
