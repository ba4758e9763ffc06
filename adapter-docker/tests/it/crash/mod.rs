//! kill -9 at every step of every operation, and what is there afterwards.
//!
//! The plugin's own program in its armed build (see the crate `crash-points`), on its socket, over
//! simulated arrays and this machine's kernel.

mod absent;
mod case;
mod index;
mod node;
mod operation;
mod site;
mod sweep;

use case::Next;
use operation::Operation;
use sweep::Sweep;

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_survives_a_crash_at_every_step() {
    sweep::run(Sweep {
        operations: Operation::ALL.to_vec(),
        filesystem: "ext4",
        next: Next::Same,
    })
    .await;
}
