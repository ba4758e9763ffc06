//! The fence: the whole protocol holds within the bounds, and without any one of its steps the
//! checker finds out.

#![expect(
    clippy::print_stdout,
    clippy::panic,
    reason = "helpers of tests: a run tells its size, a violation its way"
)]

use protocol_models::fence::state::Budget;
use protocol_models::fence::{Bounds, Fence, Kernel, Mutant, Violation};

use crate::check::{holds, long, look_for};

fn bounds(hosts: u8, mounts: u8, rights: u8, more: impl FnOnce(&mut Budget)) -> Bounds {
    let mut bounds = Bounds::new(hosts, mounts, rights);
    more(&mut bounds.budget);
    bounds
}

#[test]
fn three_hosts_with_idle_mounts_and_a_crash() {
    let bounds = bounds(3, 3, 1, |more| {
        more.crashes = 1;
        more.holds = 1;
    });
    holds(
        Fence::new(bounds),
        "3 hosts, 3 mounts, 1 right, 1 crash, 1 held mount",
    );
}

#[test]
fn a_request_goes_wrong_and_a_host_crashes() {
    let bounds = bounds(2, 3, 1, |more| {
        more.faults = 1;
        more.crashes = 1;
    });
    holds(
        Fence::new(bounds),
        "2 hosts, 3 mounts, 1 right, 1 crash, 1 fault",
    );
}

#[test]
fn callers_give_up_and_mount_ids_come_again() {
    let bounds = bounds(2, 3, 1, |more| {
        more.gives_up = 1;
        more.agains = 1;
        more.holds = 1;
        more.foreigners = 1;
    });
    holds(
        Fence::new(bounds),
        "2 hosts, 3 mounts, 1 right, 1 caller that gives up, 1 mount ID again, 1 held mount, 1 foreign host",
    );
}

#[test]
fn the_name_is_removed_and_made_anew() {
    let bounds = bounds(2, 2, 1, |more| {
        more.deletes = 2;
        more.creates = 1;
        more.faults = 1;
    });
    holds(
        Fence::new(bounds),
        "2 hosts, 2 mounts, 1 right, 2 removes, 1 create, 1 fault",
    );
}

#[test]
fn a_map_that_takes_new_paths_when_it_is_scanned() {
    let bounds = Bounds {
        kernel: Kernel::Scanned,
        ..bounds(2, 3, 2, |more| {
            more.faults = 1;
            more.holds = 1;
            more.losses = 1;
        })
    };
    holds(
        Fence::new(bounds),
        "multipath, scanned: 2 hosts, 3 mounts, 2 rights, 1 fault, 1 held mount, 1 lost ledger",
    );
}

/// No protocol of publishers can help a kernel that takes paths by itself: a late POST is enough.
#[test]
fn a_map_that_takes_paths_by_itself_is_not_safe() {
    let bounds = Bounds {
        kernel: Kernel::ByItself,
        ..bounds(2, 3, 1, |more| more.faults = 1)
    };
    let violation = Violation::StaleWriter.name();
    let found = look_for(
        Fence::new(bounds),
        violation,
        "multipath that scans by itself",
    );
    assert!(found.is_some(), "a counterexample");
}

#[test]
fn after_the_faults_a_mount_ends() {
    let lost = Bounds {
        converges: true,
        ..bounds(2, 3, 2, |more| more.faults = 1)
    };
    holds(
        Fence::new(lost),
        "convergence: 2 hosts, 3 mounts, 2 rights, 1 fault",
    );
    let crashed = Bounds {
        converges: true,
        ..bounds(2, 2, 2, |more| {
            more.crashes = 1;
            more.faults = 1;
            more.holds = 1;
            more.foreigners = 1;
        })
    };
    holds(
        Fence::new(crashed),
        "convergence: 2 hosts, 2 mounts, 2 rights, 1 crash, 1 fault, 1 held mount, 1 foreign host",
    );
    let made_anew = Bounds {
        converges: true,
        ..bounds(2, 2, 1, |more| {
            more.deletes = 1;
            more.creates = 1;
            more.faults = 1;
        })
    };
    holds(
        Fence::new(made_anew),
        "convergence: 2 hosts, 2 mounts, 1 right, 1 remove, 1 create, 1 fault",
    );
}

type Case = (Mutant, Bounds, Violation);

fn faulty(mounts: u8, rights: u8) -> Bounds {
    bounds(2, mounts, rights, |more| more.faults = 1)
}

fn removed() -> Bounds {
    bounds(2, 2, 0, |more| {
        more.deletes = 2;
        more.creates = 1;
        more.faults = 1;
    })
}

fn converging(bounds: Bounds) -> Bounds {
    Bounds {
        converges: true,
        ..bounds
    }
}

/// Steps of a fence and a grant that are left out, within which bounds, and what that breaks.
fn of_the_grant() -> Vec<Case> {
    use Mutant as M;
    use Violation as V;
    let fenced_anew = bounds(2, 3, 2, |more| {
        more.deletes = 1;
        more.creates = 1;
    });
    let foreign = bounds(2, 2, 1, |more| more.foreigners = 1);
    let given_up = bounds(2, 2, 1, |more| more.gives_up = 1);
    let again = bounds(2, 3, 1, |more| more.agains = 1);
    vec![
        (M::ForeignCheck, foreign, V::ForeignCut),
        (M::RightCheck, Bounds::new(2, 2, 0), V::FenceWithoutRight),
        (M::PermitCheck, given_up, V::FenceWithoutRight),
        (M::AgainPreempts, again, V::FenceWithoutRight),
        (M::FrozenVictims, Bounds::new(3, 3, 2), V::FenceWithoutRight),
        (M::FenceByName, fenced_anew, V::FenceWithoutRight),
        (M::SeenGone, faulty(2, 1), V::TwoConnected),
        (M::NumbersRepeat, faulty(3, 1), V::TwoGrants),
        (M::PostResent, faulty(3, 1), V::TwoGrants),
        (M::ConnectById, removed(), V::DestroyedInUse),
        (M::ReadBack, Bounds::new(2, 2, 0), V::UnprovenGrant),
        (M::IdCheck, removed(), V::UnprovenGrant),
        (M::LoserCuts, Bounds::new(2, 2, 0), V::FenceWithoutRight),
        (M::HolderTag, faulty(3, 1), V::SharedNonce),
    ]
}

/// The same of a host, of a remove, and of what makes mounts end.
fn of_the_host() -> Vec<Case> {
    use Mutant as M;
    use Violation as V;
    let held = |kernel| Bounds {
        kernel,
        ..bounds(2, 3, 2, |more| more.holds = 1)
    };
    let made_anew = bounds(2, 2, 0, |more| {
        more.deletes = 1;
        more.creates = 1;
        more.faults = 1;
    });
    let cloned = Bounds {
        cloned: true,
        ..Bounds::new(2, 2, 0)
    };
    vec![
        (M::HostClean, held(Kernel::Scanned), V::StaleWriter),
        (M::CleanTooLate, held(Kernel::ByItself), V::StaleWriter),
        (M::LateTag, Bounds::new(2, 3, 1), V::RightMountTakenDown),
        (M::UnpublishFirst, Bounds::new(2, 1, 0), V::CutUnderOwnMount),
        (M::DoubtsForgotten, converging(faulty(2, 0)), V::Stuck),
        (M::EndAfterLostAnswer, converging(faulty(2, 0)), V::Stuck),
        (M::LeftoverStays, converging(faulty(3, 2)), V::Stuck),
        (M::DoubtByIdOnly, converging(made_anew), V::Stuck),
        (M::AsideResent, removed(), V::DestroyedInUse),
        (M::LookBeforeDestroy, removed(), V::DestroyedInUse),
        (M::DestroyById, removed(), V::DestroyedInUse),
        (M::Blankness, faulty(3, 1), V::FormattedTwice),
        (M::CloneCheck, cloned, V::TwoGrants),
    ]
}

fn left_out(cases: Vec<Case>) {
    for (mutant, bounds, violation) in cases {
        let what = format!("without {mutant:?}");
        let Some(found) = look_for(Fence::lacking(bounds, mutant), violation.name(), &what) else {
            panic!("{what}: missed");
        };
        println!("  {}, after {} steps", found.property, found.steps.len());
        // It says nothing of the step if the whole protocol breaks within these bounds too.
        if mutant != Mutant::CleanTooLate {
            holds(Fence::new(bounds), "  and with it");
        }
    }
}

#[test]
fn each_step_of_a_grant_is_missed_when_it_is_left_out() {
    left_out(of_the_grant());
}

#[test]
fn each_step_of_a_host_and_a_remove_is_missed_when_it_is_left_out() {
    left_out(of_the_host());
}

/// A look after the publish comes too late where the kernel takes paths by itself; F0 does not.
#[test]
fn looking_before_the_publish_is_in_time() {
    let bounds = Bounds {
        kernel: Kernel::ByItself,
        ..bounds(2, 3, 2, |more| more.holds = 1)
    };
    holds(
        Fence::new(bounds),
        "multipath that scans by itself, no fault",
    );
}

/// The bounds that are demanded of a release.
#[test]
fn full_bounds() {
    if !long("the fence's full bounds") {
        return;
    }
    let two_crashes = bounds(3, 3, 2, |more| {
        more.crashes = 2;
        more.holds = 1;
    });
    holds(
        Fence::new(two_crashes),
        "full: 3 hosts, 3 mounts, 2 rights, 2 crashes, 1 held mount",
    );
    let faulty = bounds(3, 3, 2, |more| {
        more.crashes = 1;
        more.faults = 1;
    });
    holds(
        Fence::new(faulty),
        "full: 3 hosts, 3 mounts, 2 rights, 1 crash, 1 fault",
    );
    let all = bounds(2, 3, 2, |more| {
        more.gives_up = 1;
        more.crashes = 1;
        more.faults = 1;
        more.holds = 1;
    });
    holds(
        Fence::new(all),
        "full: 2 hosts, 3 mounts, 2 rights, 1 caller that gives up, 1 crash, 1 fault, 1 held mount",
    );
    let anew = bounds(2, 3, 2, |more| {
        more.deletes = 1;
        more.creates = 1;
        more.crashes = 1;
    });
    holds(
        Fence::new(anew),
        "full: 2 hosts, 3 mounts, 2 rights, 1 remove, 1 create, 1 crash",
    );
}
