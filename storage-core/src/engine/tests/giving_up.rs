//! Arrays that are broken for good and given up, with crashes, ties and arrays that come back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::claims::{Rule, Setting, arrays, build, engine, in_a_while, on};
use super::membership::{backends, dies_at_copy, membership, silently};
use super::{name, options, soon};
use crate::chance::SeededChance;
use crate::engine::{Engine, Membership};
use crate::error::{Error, ErrorKind};
use crate::fleet_record::FleetPhase;
use crate::memory::{Fate, MemoryArray, Wire};

/// A fleet of so many arrays with `lost` on the n-th and `kept` on another; the n-th is down.
async fn broken(count: usize, lost: usize) -> (Vec<Arc<MemoryArray>>, Arc<Engine>) {
    let arrays = arrays(count);
    let one = engine(&arrays, "one");
    let other = lost % count + 1;
    for (text, array) in [("lost", lost), ("kept", other)] {
        let made = one.create(name(text), on(array), soon()).await.unwrap();
        assert!(made.is_done());
    }
    arrays[lost - 1].set_down(true);
    (arrays, one)
}

#[tokio::test(start_paused = true)]
async fn an_array_that_is_broken_for_good_is_given_up() {
    for (count, lost) in [(2, 1), (2, 2), (3, 1), (4, 1), (4, 4)] {
        let (arrays, one) = broken(count, lost).await;
        let what = format!("{lost} of {count}");
        // Longer than what anybody saw of it is good for.
        sleep(Duration::from_secs(13 * 3600)).await;
        let refused = one.create(name("new"), options(&[]), soon()).await;
        assert_eq!(
            refused.unwrap_err().kind(),
            ErrorKind::Unavailable,
            "{what}"
        );
        let array = format!("array-{lost}");
        let record = membership(&arrays)
            .give_up(&array, &silently)
            .await
            .unwrap();
        let record = record.into_inner();
        assert_eq!(
            (record.phase, record.members.len()),
            (FleetPhase::Open, count - 1)
        );
        assert!(record.members.iter().all(|member| member.name != array));
        // As long as it is configured it may have anything.
        let refused = one.create(name("new"), options(&[]), soon()).await;
        assert_eq!(
            refused.unwrap_err().kind(),
            ErrorKind::Unavailable,
            "{what}"
        );
        let mut others = arrays.clone();
        others.remove(lost - 1);
        let two = engine(&others, "two");
        let made = two.create(name("new"), options(&[]), soon()).await;
        assert!(made.expect(&what).is_done());
        let kept = two.create(name("kept"), options(&[]), soon()).await;
        assert!(!kept.unwrap().is_done(), "{what}");
        let doubled = two.create(name("lost"), options(&[]), soon()).await;
        assert!(doubled.unwrap().is_done(), "its names are free: {what}");
        arrays[lost - 1].set_down(false);
        let refused = membership(&arrays)
            .add(&array, &silently)
            .await
            .unwrap_err();
        assert_eq!(
            refused.kind(),
            ErrorKind::FailedPrecondition,
            "{what}: {refused}"
        );
        assert!(refused.message().contains("lost"), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_array_that_answers_is_not_given_up_and_neither_are_two() {
    let (arrays, _one) = broken(4, 1).await;
    for (array, kind, word) in [
        ("array-2", ErrorKind::FailedPrecondition, "answers"),
        ("array-9", ErrorKind::NotFound, "array-1"),
    ] {
        let refused = membership(&arrays).give_up(array, &silently).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), kind, "{refused}");
        assert!(refused.message().contains(word), "{refused}");
    }
    arrays[2].set_down(true);
    let refused = membership(&arrays).give_up("array-1", &silently).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
    arrays[2].set_down(false);
    let record = membership(&arrays).record().await.unwrap();
    assert_eq!((record.phase, record.members.len()), (FleetPhase::Open, 4));
    // One that goes silent on the way: everything is as it was, but who votes.
    let (gave_up, ()) = tokio::join!(
        async { membership(&arrays).give_up("array-1", &silently).await },
        async {
            sleep(Duration::from_secs(60)).await;
            arrays[2].set_down(true);
        }
    );
    assert_eq!(gave_up.unwrap_err().kind(), ErrorKind::Unavailable);
    arrays[2].set_down(false);
    let record = membership(&arrays).give_up("array-1", &silently).await;
    assert_eq!(record.unwrap().get().members.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn giving_up_that_was_cut_off_is_finished_by_the_next() {
    for (count, lost) in [(2, 1), (4, 1)] {
        for dies_at in 1..=7 {
            let (arrays, _one) = broken(count, lost).await;
            let dying = Membership::new(
                backends(&arrays, "test", Some(&dies_at_copy(dies_at))),
                "admin".to_owned(),
                Arc::new(SeededChance::new(7)),
            );
            let died = timeout(
                Duration::from_secs(900),
                dying.give_up("array-1", &silently),
            );
            let died = died.await;
            let ended = membership(&arrays).give_up("array-1", &silently).await;
            let what = format!("{count}, {dies_at}: {died:?}, then {ended:?}");
            // Done before, and only the answer was missing.
            let gone = |error: &Error| error.kind() == ErrorKind::NotFound;
            assert!(ended.as_ref().map_or_else(gone, |_| true), "{what}");
            let record = membership(&arrays).record().await.unwrap();
            assert_eq!(
                (record.phase, record.members.len()),
                (FleetPhase::Open, count - 1),
                "{what}"
            );
            let two = engine(&arrays[1..], "two");
            let made = two.create(name("w"), options(&[]), in_a_while()).await;
            assert!(made.expect(&what).is_done());
        }
    }
}

/// A change that is taken back leaves the votes as they were: with one vote for three arrays, names would
/// wait for that array alone, and nobody would ever ask the others again.
#[tokio::test(start_paused = true)]
async fn giving_up_that_is_refused_on_the_way_leaves_who_votes_as_it_was() {
    for count in [3, 4] {
        let (arrays, one) = broken(count, 1).await;
        let before = one.fleet_record().unwrap().claim_arrays.clone();
        let (gave_up, ()) = tokio::join!(
            async { membership(&arrays).give_up("array-1", &silently).await },
            async {
                sleep(Duration::from_secs(60)).await;
                arrays[count - 1].set_down(true);
                sleep(Duration::from_secs(35)).await;
                arrays[count - 1].set_down(false);
            }
        );
        assert_eq!(gave_up.unwrap_err().kind(), ErrorKind::Unavailable);
        arrays[0].set_down(false);
        let record = membership(&arrays).record().await.unwrap();
        assert_eq!(
            (record.phase, record.members.len()),
            (FleetPhase::Open, count)
        );
        assert_eq!(record.claim_arrays, before, "{count}");
        let made = one.create(name("new"), options(&[]), in_a_while()).await;
        assert!(made.expect("all is as before").is_done());
    }
}

/// What answers is not broken for good, whenever it is seen.
#[tokio::test(start_paused = true)]
async fn an_array_that_answers_again_on_the_way_is_not_given_up() {
    for count in [2, 3, 4] {
        let (arrays, one) = broken(count, 1).await;
        let (gave_up, ()) = tokio::join!(
            async { membership(&arrays).give_up("array-1", &silently).await },
            async {
                sleep(Duration::from_secs(60)).await;
                arrays[0].set_down(false);
            }
        );
        let refused = gave_up.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::FailedPrecondition, "{refused}");
        let record = membership(&arrays).record().await.unwrap();
        assert_eq!(
            (record.phase, record.members.len()),
            (FleetPhase::Open, count)
        );
        let found = one.create(name("lost"), options(&[]), in_a_while()).await;
        assert!(!found.unwrap().is_done(), "{count}");
        let made = one.create(name("new"), options(&[]), in_a_while()).await;
        assert!(made.unwrap().is_done(), "{count}");
    }
}

/// An array that refuses to answer is there all the same, and so are its volumes.
#[tokio::test(start_paused = true)]
async fn an_array_that_refuses_to_tell_is_not_given_up() {
    for (step, kind) in [
        ("fleet record", ErrorKind::FailedPrecondition),
        ("fleet record", ErrorKind::Unavailable),
        ("telemetry", ErrorKind::Unauthenticated),
        ("telemetry", ErrorKind::PermissionDenied),
    ] {
        let (arrays, _one) = broken(3, 1).await;
        arrays[0].set_down(false);
        let refuses = Rule::new(move |request| {
            let asked = request.array == "array-1" && request.step == step;
            asked.then_some(Fate::Refused(kind))
        });
        let seen = backends(&arrays, "test", Some(&refuses));
        let chance = Arc::new(SeededChance::new(5));
        let admin = Membership::new(seen, "admin".to_owned(), chance);
        let refused = admin.give_up("array-1", &silently).await.unwrap_err();
        let what = format!("{step}: {refused}");
        assert_eq!(refused.kind(), ErrorKind::FailedPrecondition, "{what}");
        let record = membership(&arrays).record().await.unwrap();
        assert_eq!((record.epoch.0, record.members.len()), (1, 3), "{what}");
    }
}

/// Nobody has asked it.
#[tokio::test(start_paused = true)]
async fn an_array_that_is_not_configured_is_not_given_up() {
    let (arrays, _one) = broken(3, 1).await;
    arrays[0].set_down(false);
    let refused = membership(&arrays[1..]).give_up("array-1", &silently).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition, "{refused}");
    let record = membership(&arrays).record().await.unwrap();
    assert_eq!((record.epoch.0, record.members.len()), (1, 3));
}

/// Who gives an array up dies half way, and the array comes back: names must not wait for a change
/// that nobody can finish any more.
#[tokio::test(start_paused = true)]
async fn giving_up_that_was_cut_off_is_taken_back_once_the_array_answers() {
    for count in [2, 3, 4] {
        for dies_at in 1..=6 {
            let (arrays, one) = broken(count, 1).await;
            let dying = Membership::new(
                backends(&arrays, "test", Some(&dies_at_copy(dies_at))),
                "admin".to_owned(),
                Arc::new(SeededChance::new(7)),
            );
            let died = timeout(
                Duration::from_secs(900),
                dying.give_up("array-1", &silently),
            );
            drop(died.await);
            arrays[0].set_down(false);
            let ended = membership(&arrays).give_up("array-1", &silently).await;
            let what = format!("{count}, {dies_at}: {ended:?}");
            let ended = ended.unwrap_err();
            if ended.kind() == ErrorKind::NotFound {
                continue;
            }
            assert_eq!(ended.kind(), ErrorKind::FailedPrecondition, "{what}");
            let record = membership(&arrays).record().await.unwrap();
            assert_eq!(
                (record.phase, record.members.len()),
                (FleetPhase::Open, count),
                "{what}"
            );
            assert_eq!(record.claim_arrays.len(), [1, 3, 3][count - 2], "{what}");
            let found = one.create(name("lost"), options(&[]), in_a_while()).await;
            assert!(!found.expect(&what).is_done(), "{what}");
            let made = one.create(name("new"), options(&[]), in_a_while()).await;
            assert!(made.expect(&what).is_done(), "{what}");
        }
    }
}

/// Two epochs that were proposed at the same moment, each with one vote, while the array that has the
/// third one is broken for good: giving that one up decides it.
#[tokio::test(start_paused = true)]
async fn a_tie_that_only_the_lost_array_could_break_ends_as_it_is_given_up() {
    let arrays = arrays(3);
    let one = engine(&arrays, "one");
    let _made = one.create(name("v"), on(2), soon()).await.unwrap();
    let proposer = |namespace: &'static str, array: &'static str, fate: Fate| {
        let rule = Rule::new(move |request| {
            let put = request.array == array && request.step == "put fleet record";
            put.then_some(fate)
        });
        let wire: Arc<dyn Wire> = rule;
        build(&Setting {
            arrays: &arrays,
            host: namespace,
            namespace,
            wire: Some(wire),
        })
    };
    let second = proposer("second", "array-2", Fate::Refused(ErrorKind::Unavailable));
    let slow = Fate::Slow(Duration::from_secs(5), Duration::ZERO);
    let third = proposer("third", "array-3", slow);
    for engine in [&second, &third] {
        engine.start().await.unwrap();
    }
    sleep(Duration::from_secs(60)).await;
    arrays[0].set_down(true);
    let (made, other_made) = tokio::join!(
        second.create(name("w"), options(&[]), soon()),
        third.create(name("w"), options(&[]), soon()),
    );
    for undecided in [made, other_made] {
        assert_eq!(undecided.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let record = membership(&arrays).record().await;
    assert_eq!(record.unwrap_err().kind(), ErrorKind::Unavailable);
    let all = |namespace| backends(&arrays, namespace, None);
    let admin = membership(&arrays)
        .through(all("second"))
        .through(all("third"));
    let record = admin.give_up("array-1", &silently).await;
    let record = record.expect("a tie").into_inner();
    assert_eq!((record.members.len(), record.namespaces.len()), (2, 3));
    let made = engine(&arrays[1..], "after")
        .create(name("x"), options(&[]), in_a_while())
        .await;
    assert!(made.expect("all arrays answer").is_done());
}

/// A member breaks for good while names wait for another array, whoever adds that one being dead too.
#[tokio::test(start_paused = true)]
async fn a_member_that_breaks_in_the_middle_of_a_change_is_given_up() {
    for count in [2, 3] {
        for dies_at in 2..=count * 4 {
            let arrays = arrays(count + 1);
            let one = engine(&arrays[..count], "one");
            let made = one.create(name("v"), on(count), soon()).await;
            assert!(made.unwrap().is_done());
            let joining = format!("array-{}", count + 1);
            let dying = Membership::new(
                backends(&arrays, "test", Some(&dies_at_copy(dies_at))),
                "admin".to_owned(),
                Arc::new(SeededChance::new(7)),
            );
            let died = timeout(Duration::from_secs(600), dying.add(&joining, &silently));
            drop(died.await);
            arrays[0].set_down(true);
            let record = membership(&arrays).give_up("array-1", &silently).await;
            let what = format!("{count}, {dies_at}");
            let record = record.expect(&what).into_inner();
            assert_eq!(record.phase, FleetPhase::Open, "{what}");
            assert!(record.members.iter().all(|member| member.name != "array-1"));
            let joined = membership(&arrays[1..]).add(&joining, &silently).await;
            assert_eq!(joined.expect(&what).get().members.len(), count, "{what}");
            let two = engine(&arrays[1..], "two");
            let found = two.create(name("v"), options(&[]), in_a_while()).await;
            assert!(!found.expect(&what).is_done());
            let made = two.create(name("w"), options(&[]), in_a_while()).await;
            assert!(made.expect(&what).is_done());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_who_give_an_array_up_at_once_end_with_one_fleet() {
    for count in [2, 3, 4] {
        for apart in [0, 1, 45, 89, 90, 91, 100, 130] {
            let (arrays, one) = broken(count, 1).await;
            for (index, array) in arrays.iter().enumerate() {
                array.set_delay(Duration::from_millis(150 + 70 * index as u64));
            }
            let second = Membership::new(
                backends(&arrays, "test", None),
                "other".to_owned(),
                Arc::new(SeededChance::new(3)),
            );
            let (first, second) = tokio::join!(
                async { membership(&arrays).give_up("array-1", &silently).await },
                async {
                    sleep(Duration::from_secs(apart)).await;
                    second.give_up("array-1", &silently).await
                }
            );
            let what = format!("{count}, {apart}: {first:?}, {second:?}");
            assert!(first.is_ok() || second.is_ok(), "{what}");
            let record = membership(&arrays).record().await.unwrap();
            assert_eq!(
                (record.phase, record.members.len()),
                (FleetPhase::Open, count - 1),
                "{what}"
            );
            let copies = arrays[1..].iter().map(|array| array.objects());
            let epoch = format!("fl-fleet-{}", record.epoch);
            assert!(
                copies.into_iter().all(|objects| objects.contains(&epoch)),
                "{what}"
            );
            drop(one.create(name("w"), options(&[]), soon()).await);
            let two = engine(&arrays[1..], "two");
            let made = two.create(name("w"), options(&[]), in_a_while()).await;
            assert!(made.expect(&what).is_done());
        }
    }
}
