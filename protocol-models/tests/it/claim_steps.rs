//! The claim's safety steps: each is missed when it is left out.

use protocol_models::claim::{
    Claim, GROWING, LEAVING, ONE_OF_THREE, Property, SHRINKING, SafetyStep as Step, Setup,
};

use crate::check::look_for;

/// What is violated without the step.
fn violated(step: Step) -> &'static str {
    match step {
        Step::WithdrawByWaitingName
        | Step::AcknowledgeAfterCommit
        | Step::DeleteById
        | Step::DestroyByNameAside => Property::KEPT,
        Step::WithdrawSparesAdopted => Property::ADOPTED,
        _ => Property::ONE_VOLUME,
    }
}

/// Small bounds in which it is: two nodes, and what is needed beside.
fn bounds(step: Step) -> Setup {
    let two = Setup {
        converges: false,
        without: Some(step),
        ..Setup::calm("", 2)
    };
    match step {
        Step::ListingNeeded
        | Step::ListingIsClean
        | Step::ListingIsFresh
        | Step::ListingOfThisEpoch
        | Step::Expiry
        | Step::SweepOldMarkersOnly
        | Step::YoungVotesOnly
        | Step::RetireById => with_time(step, two),
        Step::NewerEpochLoads
        | Step::AllMembersKnown
        | Step::FreezeWaits
        | Step::LeavesEmpty
        | Step::FreezeDrains => with_members(step, two),
        Step::AsideIsBusy | Step::DeleteById | Step::DestroyByNameAside => with_deletes(step, two),
        _ => with_claims(step, two),
    }
}

fn with_time(step: Step, two: Setup) -> Setup {
    let one_is_silent = [0b100, 0, 0];
    match step {
        Step::ListingNeeded | Step::ListingIsClean => Setup {
            inherited: Some(2),
            silent_for: one_is_silent,
            ..two
        },
        Step::ListingOfThisEpoch => Setup {
            changes: true,
            fleets: LEAVING,
            silent_for: [0b100, 0b010, 0],
            ..two
        },
        Step::YoungVotesOnly => Setup {
            half_days: 2,
            sweeps: true,
            crashes: 1,
            fleets: ONE_OF_THREE,
            ..two
        },
        Step::RetireById => Setup {
            half_days: 2,
            sweeps: true,
            proposals: 2,
            fleets: ONE_OF_THREE,
            ..two
        },
        step => Setup {
            half_days: if step == Step::SweepOldMarkersOnly {
                1
            } else {
                2
            },
            sweeps: true,
            silent_for: one_is_silent,
            ..two
        },
    }
}

fn with_members(step: Step, two: Setup) -> Setup {
    let leaving = Setup {
        changes: true,
        fleets: LEAVING,
        silent_for: [0b010, 0, 0],
        ..two
    };
    match step {
        Step::NewerEpochLoads => Setup {
            changes: true,
            fleets: GROWING,
            silent_for: [0, 0b001, 0],
            ..two
        },
        Step::AllMembersKnown => Setup {
            inherited: Some(2),
            config: [0b011, 0b111, 0b111],
            ..two
        },
        Step::LeavesEmpty => Setup {
            changes: true,
            fleets: SHRINKING,
            config: [0b011; 3],
            ..two
        },
        Step::FreezeDrains => Setup {
            faults: 1,
            ..leaving
        },
        _ => leaving,
    }
}

fn with_deletes(step: Step, two: Setup) -> Setup {
    match step {
        Step::DeleteById => Setup {
            deletes: 2,
            faults: 1,
            ..two
        },
        step => Setup {
            deletes: 1,
            gives_back: true,
            faults: u8::from(step == Step::DestroyByNameAside),
            ..two
        },
    }
}

fn with_claims(step: Step, two: Setup) -> Setup {
    match step {
        Step::Majority => Setup {
            silent_for: [0b001, 0, 0],
            ..two
        },
        Step::NoTieRule => Setup {
            remains: true,
            silent_for: [0, 0b001, 0],
            ..two
        },
        Step::FreshLook => Setup { creators: 3, ..two },
        Step::KillBeforeRetire => Setup {
            deletes: 1,
            faults: 1,
            rounds: 4,
            repeats: true,
            fleets: ONE_OF_THREE,
            ..two
        },
        Step::WithdrawByWaitingName => Setup { slow: 1, ..two },
        Step::WithdrawSparesAdopted => Setup {
            slow: 1,
            adopts: 1,
            ..two
        },
        Step::CommitByWaitingName => Setup {
            slow: 1,
            adopts: 1,
            faults: 1,
            ..two
        },
        _ => two,
    }
}

#[test]
fn every_safety_step_is_missed_when_it_is_left_out() {
    let mut missed = Vec::new();
    for step in Step::ALL {
        let what = format!("claim without {step:?}");
        if look_for(Claim(bounds(step)), violated(step), &what).is_none() {
            missed.push(step);
        }
    }
    assert!(missed.is_empty(), "the checker does not see: {missed:?}");
}
