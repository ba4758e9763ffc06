//! Claim and fence together: create, mount and mkfs, fence, remove, create again.

use protocol_models::combined::{Combined, Missing, ONE_NAME};
use protocol_models::fence::{Bounds, Fence};

use crate::check::{holds, long, look_for};

fn combined(mounts: u8, rights: u8, deletes: u8) -> Combined {
    let mut bounds = Bounds::new(2, mounts, rights);
    bounds.budget.deletes = deletes;
    bounds.arrays_apart = true;
    Combined {
        fence: Fence::new(bounds),
        calls: 2,
        deaths: 0,
        late: 0,
        missing: None,
    }
}

#[test]
fn a_name_is_created_used_fenced_removed_and_created_again() {
    let late = Combined {
        late: 1,
        ..combined(1, 0, 1)
    };
    holds(
        late,
        "combined: 2 creators, 2 arrays, 1 mount, 1 remove, 1 late commit",
    );
    let dying = Combined {
        deaths: 1,
        ..combined(1, 0, 1)
    };
    holds(
        dying,
        "combined: 2 creators, 2 arrays, 1 mount, 1 remove, 1 creator dies",
    );
    let fenced = Combined {
        calls: 1,
        ..combined(2, 1, 1)
    };
    holds(
        fenced,
        "combined: 2 creators, 2 arrays, 2 mounts, 1 right, 1 remove",
    );
}

#[test]
fn each_step_at_the_seam_is_missed_when_it_is_left_out() {
    for missing in [
        Missing::AsideIsBusy,
        Missing::AsideIsNotDead,
        Missing::Vote,
        Missing::AcknowledgeAfterCommit,
    ] {
        // An answer before the commit is wrong only when its giver dies before it.
        let dies = missing == Missing::AcknowledgeAfterCommit;
        let bounds = Combined {
            late: u8::from(!dies),
            deaths: u8::from(dies),
            ..combined(1, 0, 1)
        };
        let what = format!("combined, without {missing:?}");
        let found = look_for(
            Combined {
                missing: Some(missing),
                ..bounds
            },
            ONE_NAME,
            &what,
        );
        let found = found.unwrap_or_else(|| panic!("{what}: missed"));
        println!("  {}, after {} steps", found.property, found.steps.len());
    }
}

#[test]
fn full_bounds() {
    if !long("the full bounds of claim and fence together") {
        return;
    }
    let fenced = Combined {
        late: 1,
        ..combined(2, 1, 1)
    };
    holds(
        fenced,
        "combined, full: 2 creators, 2 arrays, 2 mounts, 1 right, 1 remove, 1 late commit",
    );
    let mut one_array = combined(2, 1, 1);
    one_array.fence.bounds.arrays_apart = false;
    holds(
        one_array,
        "combined, full: 2 creators, 1 array, 2 mounts, 1 right, 1 remove",
    );
}
