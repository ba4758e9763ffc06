//! The claim.

use std::time::Instant;

use protocol_models::claim::*;
use stateright::{Checker, Model};

fn check(setup: Setup) -> bool {
    let name = setup.name;
    let start = Instant::now();
    let checker = Claim(setup).checker().threads(2).timeout(std::time::Duration::from_secs(400)).finish_when(stateright::HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!(
        "{name}: {} states ({} unique), depth {}, {:.1?} {}",
        checker.state_count(), checker.unique_state_count(), checker.max_depth(), start.elapsed(), if checker.is_done() {"all"} else {"CUT"}
    );
    let mut bad = false;
    for (property, path) in checker.discoveries() {
        println!("  VIOLATED {property}:");
        for action in path.into_actions() { println!("   {action:?}"); }
        bad = true;
    }
    bad
}

#[test]
fn explore() {
    let which = std::env::var("WHICH").unwrap_or_default();
    let all = [
        Setup{faults:1, ..Setup::calm("2fault", 2)},
        Setup{crashes:1, ..Setup::calm("3crash", 3)},
        Setup{deletes:1, rounds:3, ..Setup::calm("2delete", 2)},
        Setup{deletes:1, rounds:3, faults:1, ..Setup::calm("2deletefault", 2)},
        Setup{deletes:1, gives_back:true, rounds:3, ..Setup::calm("2giveback", 2)},
        Setup{silent_for:[0b001,0,0], ..Setup::calm("2silent0", 2)},
        Setup{silent_for:[0b100,0,0], deletes:1, rounds:3, ..Setup::calm("2silent2del", 2)},
        Setup{silent_for:[0b100,0b001,0], deletes:1, rounds:3, ..Setup::calm("2silent20del", 2)},
        Setup{may_fall:Some(2), crashes:1, ..Setup::calm("2fall2", 2)},
        Setup{may_fall:Some(0), crashes:1, ..Setup::calm("2fall0", 2)},
        Setup{silent_for:[0b100,0,0], inherited:Some(2), ..Setup::calm("2inherited", 2)},
        Setup{adopts:1, slow:1, faults:1, ..Setup::calm("2adopt", 2)},
        Setup{adopts:1, slow:1, crashes:1, deletes:1, ..Setup::calm("2adoptdel", 2)},
        Setup{sweeps:true, half_days:2, crashes:1, fleets:ONE_OF_THREE, rounds:3, ..Setup::calm("2sweep1of3", 2)},
        Setup{sweeps:true, half_days:3, silent_for:[0b100,0,0], fleets:ONE_OF_THREE, ..Setup::calm("2sweepsilent", 2)},
        Setup{sweeps:true, half_days:2, deletes:1, ..Setup::calm("2sweep3", 2)},
        Setup{changes:true, fleets:GROWING, config:[0b111;3], crashes:1, ..Setup::calm("2grow", 2)},
        Setup{changes:true, fleets:GROWING, config:[0b111,0b011,0b111], faults:1, ..Setup::calm("2growoutdated", 2)},
        Setup{changes:true, fleets:SHRINKING, config:[0b011;3], crashes:1, ..Setup::calm("2shrink", 2)},
        Setup{changes:true, fleets:SHRINKING, config:[0b011;3], faults:1, ..Setup::calm("2shrinkfault", 2)},
        Setup{changes:true, fleets:GROWING, silent_for:[0b010,0,0], ..Setup::calm("2growsilent", 2)},
        Setup{remains:true, silent_for:[0,0b001,0], ..Setup::calm("2remains", 2)},
        Setup{deletes:1, faults:1, rounds:4, repeats:true, fleets:ONE_OF_THREE, ..Setup::calm("2again1", 2)},
        Setup{deletes:1, faults:1, rounds:4, repeats:true, proposals:2, ..Setup::calm("2again", 2)},
        Setup{changes:true, fleets:LEAVING, silent_for:[0b100,0b010,0], ..Setup::calm("2leaving", 2)},
        Setup{changes:true, fleets:LEAVING, silent_for:[0b010,0,0], faults:1, converges:false, ..Setup::calm("2leavingfault", 2)},

    ];
    for s in all { if which.is_empty() || s.name == which { check(s); } }
}

#[test]
fn mutants() {
    use SafetyStep::*;
    let which = std::env::var("WHICH").unwrap_or_default();
    let two = || Setup{converges:false, ..Setup::calm("two", 2)};
    let three = || Setup{converges:false, ..Setup::calm("three", 3)};
    for step in SafetyStep::ALL {
        let setup = match step {
            ListingNeeded | ListingIsClean => Setup{inherited:Some(2), silent_for:[0b100,0,0], ..two()},
            ListingOfThisEpoch => Setup{changes:true, fleets:LEAVING, silent_for:[0b100,0b010,0], ..two()},
            ListingIsFresh => Setup{half_days:2, sweeps:true, silent_for:[0b100,0,0], ..two()},
            AsideIsBusy => Setup{deletes:1, gives_back:true, ..two()},
            NewerEpochLoads => Setup{changes:true, fleets:GROWING, silent_for:[0,0b001,0], ..two()},
            AllMembersKnown => Setup{inherited:Some(2), config:[0b011,0b111,0b111], ..two()},
            Majority => Setup{silent_for:[0b001,0,0], ..two()},
            NoTieRule => Setup{remains:true, silent_for:[0,0b001,0], ..two()},
            Expiry => Setup{half_days:2, sweeps:true, silent_for:[0b100,0,0], ..two()},
            FreshLook => three(),
            YoungVotesOnly => Setup{half_days:2, sweeps:true, crashes:1, fleets:ONE_OF_THREE, ..two()},
            KillBeforeRetire => Setup{deletes:1, faults:1, rounds:4, repeats:true, fleets:ONE_OF_THREE, ..two()},
            RetireById => Setup{deletes:1, faults:1, fleets:ONE_OF_THREE, rounds:4, repeats:true, proposals:2, ..two()},
            WithdrawByWaitingName => Setup{slow:1, ..two()},
            WithdrawSparesAdopted => Setup{slow:1, adopts:1, ..two()},
            CommitByWaitingName => Setup{slow:1, adopts:1, faults:1, ..two()},
            AcknowledgeAfterCommit => two(),
            SweepOldMarkersOnly => Setup{half_days:1, sweeps:true, silent_for:[0b100,0,0], ..two()},
            DeleteById => Setup{deletes:2, faults:1, ..two()},
            DestroyByNameAside => Setup{deletes:1, gives_back:true, faults:1, ..two()},
            FreezeWaits => Setup{changes:true, fleets:LEAVING, silent_for:[0b010,0,0], ..two()},
            LeavesEmpty => Setup{changes:true, fleets:SHRINKING, config:[0b011;3], ..two()},
            FreezeDrains => Setup{changes:true, faults:1, fleets:LEAVING, silent_for:[0b010,0,0], ..two()},
        };
        if !which.is_empty() && format!("{step:?}") != which { continue; }
        println!("----- {step:?}");
        if !check(Setup{without:Some(step), ..setup}) { println!("  ######## NOT FOUND"); }
    }
}

#[test]
fn probe() {
    for s in [
        Setup{may_fall:Some(2), crashes:1, converges:false, ..Setup::calm("3fallcrash", 3)},
        Setup{faults:1, converges:false, ..Setup::calm("3fault", 3)},
        Setup{deletes:1, faults:1, rounds:4, repeats:true, proposals:2, converges:false, ..Setup::calm("2again", 2)},
        Setup{deletes:1, faults:1, rounds:4, repeats:true, fleets:ONE_OF_THREE, converges:false, ..Setup::calm("2again1", 2)},
        Setup{sweeps:true, half_days:2, crashes:1, fleets:ONE_OF_THREE, rounds:3, converges:false, ..Setup::calm("2sweep1of3", 2)},
        Setup{sweeps:true, half_days:2, deletes:1, converges:false, ..Setup::calm("2sweep3", 2)},
        Setup{changes:true, fleets:LEAVING, silent_for:[0b010,0,0], faults:1, converges:false, ..Setup::calm("2leavingfault", 2)},
        Setup{faults:2, converges:false, ..Setup::calm("2fault2", 2)},
    ] { check(s); }
}
