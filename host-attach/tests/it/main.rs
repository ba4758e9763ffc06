//! The attacher on a real kernel: loop devices, real file systems, real mounts. Needs root; what
//! cannot run says so and is skipped.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(
    unreachable_pub,
    reason = "helpers shared between the modules of one binary"
)]

mod adopt;
mod bed;
mod conformance;
mod copies;
mod crash;
mod detach;
mod fence;
mod format;
mod lifecycle;
mod namespaces;
mod neighbours;
mod numbers;
mod script;
