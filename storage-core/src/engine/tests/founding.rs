//! The fleet record: who founds it, who completes it, and what it lets whom do.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::claims::{Setting, arrays, build, engine, engine_with, in_a_while, on};
use super::{name, options, soon, volumes_on};
use crate::error::ErrorKind;
use crate::memory::Fate;
use crate::name::Namespace;
use crate::outcome::Outcome;

#[tokio::test(start_paused = true)]
async fn a_configuration_that_lacks_an_array_takes_no_new_names() {
    let arrays = arrays(3);
    let whole = engine(&arrays, "whole");
    let _made = whole.create(name("v"), on(3), soon()).await.unwrap();
    let _made = whole.create(name("w"), on(1), soon()).await.unwrap();
    let outdated = engine(&arrays[..2], "outdated");
    for text in ["v", "new"] {
        let refused = outdated.create(name(text), options(&[]), soon()).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::FailedPrecondition, "{refused}");
        assert!(refused.message().contains("array-3"), "{refused}");
    }
    let found = outdated
        .create(name("w"), options(&[]), soon())
        .await
        .unwrap();
    assert!(!found.is_done(), "what exists is found");
    assert_eq!(volumes_on(&arrays), ["test-w", "test-v"]);
}

#[tokio::test(start_paused = true)]
async fn a_configured_array_that_is_no_member_gets_no_volumes() {
    let arrays = arrays(3);
    let small = engine(&arrays[..2], "small");
    let _made = small.create(name("v"), options(&[]), soon()).await.unwrap();
    let large = engine(&arrays, "large");
    let refused = large.create(name("w"), on(3), soon()).await.unwrap_err();
    assert!(
        refused.message().contains("fairlead array add"),
        "{refused}"
    );
    let made = large.create(name("w"), options(&[]), soon()).await.unwrap();
    assert_ne!(made.get().array_name, "array-3");
    assert!(arrays[2].objects().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_fleet_is_founded_by_one_of_many_and_by_none_with_an_array_down() {
    let arrays = arrays(5);
    arrays[4].set_down(true);
    let refused = engine(&arrays, "zero")
        .create(name("v"), options(&[]), soon())
        .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(arrays.iter().all(|array| array.objects().is_empty()));
    arrays[4].set_down(false);
    for (index, array) in arrays.iter().enumerate() {
        array.set_delay(Duration::from_millis(5 + index as u64));
    }
    let engines: Vec<_> = (0..6)
        .map(|host| engine(&arrays, &format!("h{host}")))
        .collect();
    let mut creating = JoinSet::new();
    for (index, engine) in engines.iter().enumerate() {
        let engine = Arc::clone(engine);
        creating.spawn(async move {
            let wanted = name(&format!("v{index}"));
            engine.create(wanted, options(&[]), in_a_while()).await
        });
    }
    assert!(creating.join_all().await.iter().all(Result::is_ok));
    let records: Vec<_> = engines
        .iter()
        .map(|engine| engine.fleet_record().unwrap())
        .collect();
    assert!(records.iter().all(|record| *record == records[0]));
    let record = &records[0];
    assert_eq!((record.members.len(), record.claim_arrays.len()), (5, 3));
    for array in &arrays {
        assert!(array.objects().contains(&"fl-fleet-1".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_founding_that_was_cut_off_is_completed_by_its_like_alone() {
    let arrays = arrays(3);
    let dying = engine_with(&arrays, "dying", |request| {
        (request.step.contains("fleet")
            && request.step.contains("put")
            && request.array == "array-2")
            .then_some(Fate::Dead)
    });
    let died = dying
        .create(
            name("v"),
            options(&[]),
            Instant::now() + Duration::from_secs(1),
        )
        .await;
    assert!(died.is_err());
    assert_eq!(arrays[0].objects(), ["fl-fleet-1"]);
    let other = engine(&arrays[..2], "other");
    let refused = other
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("array-3"), "{refused}");
    let like = engine(&arrays, "like");
    assert!(like.create(name("v"), options(&[]), soon()).await.is_ok());
    assert!(
        arrays
            .iter()
            .all(|array| array.objects().contains(&"fl-fleet-1".to_owned()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_namespace_enters_itself_in_the_record() {
    let arrays = arrays(3);
    let _made = engine(&arrays, "one")
        .create(name("v"), options(&[]), soon())
        .await;
    let other = build(&Setting {
        arrays: &arrays,
        host: "two",
        namespace: "test-eu",
        wire: None,
    });
    let made = other.create(name("v"), options(&[]), soon()).await.unwrap();
    assert!(made.is_done(), "another volume of the same name");
    let record = other.fleet_record().unwrap();
    assert_eq!(record.epoch.0, 2);
    let namespaces: Vec<_> = record.namespaces.iter().map(Namespace::as_str).collect();
    assert_eq!(namespaces, ["test", "test-eu"]);
    let again = engine(&arrays, "three")
        .create(name("v"), options(&[]), soon())
        .await;
    assert!(matches!(again, Ok(Outcome::AlreadySo(_))));
}

/// An array may be silent for longer than one epoch: namespaces are entered without it.
#[tokio::test(start_paused = true)]
async fn an_array_that_missed_several_epochs_gets_the_record_when_it_is_back() {
    for silent in 0..3 {
        let arrays = arrays(3);
        let one = engine(&arrays, "one");
        let _made = one.create(name("v"), options(&[]), soon()).await.unwrap();
        let mut others = Vec::new();
        for (host, namespace) in [("two", "second"), ("three", "third")] {
            let other = build(&Setting {
                arrays: &arrays,
                host,
                namespace,
                wire: None,
            });
            other.start().await.unwrap();
            others.push(other);
        }
        sleep(Duration::from_secs(60)).await;
        arrays[silent].set_down(true);
        for (number, other) in (2..).zip(&others) {
            let made = other.create(name("v"), options(&[]), in_a_while()).await;
            drop(made);
            assert_eq!(other.fleet_record().unwrap().epoch.0, number);
        }
        arrays[silent].set_down(false);
        let made = one.create(name("w"), options(&[]), in_a_while()).await;
        assert!(made.expect("all arrays answer").is_done(), "{silent}");
        let fresh = engine(&arrays, "fresh");
        let made = fresh.create(name("x"), options(&[]), in_a_while()).await;
        assert!(made.expect("all arrays answer").is_done(), "{silent}");
    }
}
