//! The plugin as Docker's daemon meets it: over its unix socket, in raw HTTP, over arrays and a
//! host in memory; and under a real daemon with simulated arrays.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "test code: a failed expectation is a failed test"
)]

mod abuse;
mod crash;
mod docker;
mod hang_up;
mod hostile;
mod kept;
mod managed;
mod mounting;
mod node;
mod nonsense;
mod preemption;
mod program;
mod protocol;
mod raw;
mod restarts;
mod socket;
mod swarm;
mod systemd;
mod target;
mod unreachable;
mod world;
