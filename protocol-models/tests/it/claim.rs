//! The claim: nothing is violated within the bounds.

use protocol_models::claim::{Claim, GROWING, LEAVING, ONE_OF_THREE, SHRINKING, Setup};

use crate::check::{holds, long};

fn all_hold(setups: impl IntoIterator<Item = Setup>) {
    for setup in setups {
        let name = setup.name;
        holds(Claim(setup), name);
    }
}

/// Two nodes and whatever else the name says.
fn two(name: &'static str) -> Setup {
    Setup::calm(name, 2)
}

/// Removed and made again, by two nodes that are asked again and again.
fn again(name: &'static str) -> Setup {
    Setup {
        deletes: 1,
        faults: 1,
        rounds: 4,
        repeats: true,
        ..two(name)
    }
}

#[test]
fn nodes_that_create_one_name_get_one_volume() {
    all_hold([
        Setup::calm("claim: three nodes", 3),
        Setup {
            faults: 1,
            ..two("claim: a request lost, late or doubled")
        },
        Setup {
            crashes: 1,
            may_fall: Some(0),
            ..two("claim: a crash, the first claim array falls silent")
        },
        Setup {
            crashes: 1,
            may_fall: Some(2),
            ..two("claim: a crash, another array falls silent")
        },
        Setup {
            silent_for: [0b001, 0b100, 0],
            ..two("claim: nodes that reach different arrays")
        },
    ]);
}

#[test]
fn a_silent_array_with_the_name_is_never_passed_over() {
    all_hold([
        Setup {
            silent_for: [0b100, 0, 0],
            inherited: Some(2),
            ..two("claim: an old volume on an array that is silent for one node")
        },
        Setup {
            half_days: 1,
            sweeps: true,
            silent_for: [0b100, 0, 0],
            ..two("claim: a listing grows old")
        },
    ]);
}

#[test]
fn removes_and_creates_meet() {
    all_hold([
        Setup {
            deletes: 1,
            gives_back: true,
            rounds: 3,
            ..two("claim: removed, or given back")
        },
        Setup {
            deletes: 1,
            rounds: 3,
            silent_for: [0b100, 0b001, 0],
            ..two("claim: removed, nodes that reach different arrays")
        },
        Setup {
            remains: true,
            silent_for: [0, 0b001, 0],
            ..two("claim: left-overs of dead claims")
        },
    ]);
}

#[test]
fn an_adopted_volume_is_kept() {
    all_hold([
        Setup {
            adopts: 1,
            slow: 1,
            crashes: 1,
            deletes: 1,
            ..two("claim: one node adopts, one creates")
        },
        Setup {
            adopts: 1,
            slow: 1,
            faults: 1,
            rounds: 1,
            ..two("claim: one node adopts, a request goes astray")
        },
    ]);
}

#[test]
fn membership_changes_under_claims() {
    all_hold([
        Setup {
            changes: true,
            fleets: GROWING,
            config: [0b111, 0b011, 0b111],
            crashes: 1,
            ..two("claim: an array comes, one node does not know it")
        },
        Setup {
            changes: true,
            fleets: SHRINKING,
            config: [0b011; 3],
            faults: 1,
            ..two("claim: the claim array of two leaves")
        },
        Setup {
            changes: true,
            fleets: LEAVING,
            silent_for: [0b100, 0b010, 0],
            ..two("claim: the first of three leaves")
        },
    ]);
}

#[test]
fn larger_bounds_hold_too() {
    if !long("the claim's larger bounds") {
        return;
    }
    all_hold([
        Setup {
            silent_for: [0b001; 3],
            crashes: 1,
            ..Setup::calm(
                "claim: three nodes, the first claim array silent, a crash",
                3,
            )
        },
        Setup {
            silent_for: [0b100; 3],
            crashes: 1,
            ..Setup::calm("claim: three nodes, another array silent, a crash", 3)
        },
        Setup {
            crashes: 1,
            ..Setup::calm("claim: three nodes, a crash", 3)
        },
        Setup {
            deletes: 1,
            rounds: 3,
            faults: 1,
            ..two("claim: removed, a request goes astray")
        },
        Setup {
            fleets: ONE_OF_THREE,
            converges: false,
            ..again("claim: again and again, one claim array")
        },
        Setup {
            half_days: 2,
            sweeps: true,
            silent_for: [0b100, 0, 0],
            ..two("claim: a day, swept, an array silent for one node")
        },
        Setup {
            sweeps: true,
            half_days: 2,
            crashes: 1,
            fleets: ONE_OF_THREE,
            converges: false,
            ..two("claim: a day, swept, a crash, one claim array")
        },
        Setup {
            changes: true,
            fleets: LEAVING,
            silent_for: [0b010, 0, 0],
            faults: 1,
            converges: false,
            ..two("claim: the first of three leaves, a request goes astray")
        },
    ]);
}
