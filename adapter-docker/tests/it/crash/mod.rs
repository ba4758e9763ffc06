//! kill -9 at every step of every operation, and what is there afterwards.
//!
//! The plugin's own program in its armed build (see the crate `crash-points`), on its socket, over
//! simulated arrays and this machine's kernel.

mod absent;
mod case;
mod engine;
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
        operations: Operation::all_but(&[Operation::MountCopy]),
        filesystem: "ext4",
        next: Next::Same,
        late: false,
        preempt: false,
    })
    .await;
}

/// What a node takes from others: an administrator's object, and a volume that another host has,
/// whose writes fail from then on.
fn takings(next: Next) -> Sweep {
    Sweep {
        operations: vec![Operation::Import, Operation::TakeOver],
        filesystem: "ext4",
        next,
        late: false,
        preempt: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_and_mounts_that_shut_a_host_out_survive_one() {
    sweep::run(takings(Next::Same)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_and_mounts_that_shut_a_host_out_survive_two() {
    if lab::environment::long_or_skipped() {
        sweep::run(takings(Next::Twice)).await;
    }
}

/// The second node is a plugin with a host name, a state folder and so a LUN folder of its own.
#[tokio::test(flavor = "multi_thread")]
async fn another_node_goes_on_where_the_first_one_died() {
    if !lab::environment::long_or_skipped() {
        return;
    }
    sweep::run(Sweep {
        operations: Operation::all_but(&[Operation::Get, Operation::List, Operation::MountCopy]),
        filesystem: "ext4",
        next: Next::Other,
        late: false,
        preempt: false,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xfs_survives_them_too() {
    if !lab::environment::long_or_skipped() {
        return;
    }
    sweep::run(Sweep {
        operations: vec![
            Operation::MountNew,
            Operation::MountExisting,
            Operation::UnmountLast,
            Operation::Copy,
            Operation::MountCopy,
        ],
        filesystem: "xfs",
        next: Next::Same,
        late: false,
        preempt: false,
    })
    .await;
}

/// Arrays, and the boxes before them, may execute a request when the one who sent it is long dead.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_executed_late_change_nothing() {
    if !lab::environment::long_or_skipped() {
        return;
    }
    for next in [Next::Same, Next::Other] {
        sweep::run(Sweep {
            operations: Operation::all_but(&[]),
            filesystem: "ext4",
            next,
            late: true,
            preempt: false,
        })
        .await;
    }
}

/// A mount whose caller gave up must not keep the volume.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_asks_for_again_is_given_back() {
    if !lab::environment::long_or_skipped() {
        return;
    }
    sweep::run(Sweep {
        operations: vec![
            Operation::MountNew,
            Operation::MountExisting,
            Operation::MountTrash,
            Operation::MountCopy,
        ],
        filesystem: "ext4",
        next: Next::Nobody,
        late: false,
        preempt: false,
    })
    .await;
}

/// A crash while the crash before is put right.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_crash_changes_nothing() {
    if !lab::environment::long_or_skipped() {
        return;
    }
    sweep::run(Sweep {
        operations: Operation::all_but(&[Operation::Get, Operation::List, Operation::MountCopy]),
        filesystem: "ext4",
        next: Next::Twice,
        late: false,
        preempt: false,
    })
    .await;
}
