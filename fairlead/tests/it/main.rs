//! Tests of the configuration, of the fleet made from it, and of the command line, as their users
//! meet them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code: a failed expectation is a failed test"
)]

mod check;
mod command;
mod environment;
mod fleet;
mod never_formatted;
mod operator;
mod schema;
mod tables;
