//! Arrays that join a fleet and leave it, while nodes go on creating volumes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::claims::{Rule, Setting, arrays, build, engine, in_a_while, on};
use super::{name, options, soon, volumes_on};
use crate::backend::Backend;
use crate::chance::SeededChance;
use crate::engine::{Engine, Membership, MembershipStep};
use crate::error::{Error, ErrorKind};
use crate::fleet_record::FleetPhase;
use crate::memory::{Fate, MemoryArray, MemoryBackend, Wire};
use crate::name::Namespace;
use crate::size::Size;

fn backends(
    arrays: &[Arc<MemoryArray>],
    namespace: &str,
    wire: Option<&Arc<Rule>>,
) -> Vec<Arc<dyn Backend>> {
    let namespace = Namespace::new(namespace).unwrap();
    let backends = arrays.iter().map(|array| {
        let mut backend = MemoryBackend::new(Arc::clone(array), namespace.clone());
        if let Some(wire) = wire {
            let wire: Arc<dyn Wire> = Arc::<Rule>::clone(wire);
            backend = backend.with_wire(wire);
        }
        Arc::new(backend) as Arc<dyn Backend>
    });
    backends.collect()
}

fn membership(arrays: &[Arc<MemoryArray>]) -> Membership {
    let chance = Arc::new(SeededChance::new(99));
    Membership::new(backends(arrays, "test", None), "admin".to_owned(), chance)
}

fn silently(_step: MembershipStep) {}

#[tokio::test(start_paused = true)]
async fn an_array_joins_while_nodes_create_and_no_name_is_doubled() {
    let arrays = arrays(3);
    let old: Vec<_> = (0..3)
        .map(|host| engine(&arrays[..2], &format!("old{host}")))
        .collect();
    let _founded = old[0]
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap();
    for (index, array) in arrays.iter().enumerate() {
        array.set_delay(Duration::from_millis(20 + 9 * index as u64));
    }
    let engines: Vec<_> = (0..3)
        .map(|host| engine(&arrays, &format!("new{host}")))
        .collect();
    let mut creating = JoinSet::new();
    for (host, engine) in engines.iter().enumerate() {
        let engine = Arc::clone(engine);
        creating.spawn(async move {
            for round in 0..200 {
                // The same names on all nodes, each on another array.
                let mut wish = on((host + round) % 2 + 1);
                wish.size = Some(Size::from_gib(1));
                let made = engine.create(name(&format!("v{round}")), wish, in_a_while());
                let _made = made.await.unwrap();
                sleep(Duration::from_millis(500)).await;
            }
        });
    }
    sleep(Duration::from_secs(5)).await;
    let steps = Mutex::new(Vec::new());
    let told = |step| steps.lock().unwrap().push(step);
    let record = membership(&arrays).add("array-3", &told).await.unwrap();
    assert!(record.is_done());
    let record = record.into_inner();
    assert_eq!((record.epoch.0, record.phase), (3, FleetPhase::Open));
    assert_eq!((record.members.len(), record.claim_arrays.len()), (3, 3));
    assert!(matches!(
        steps.into_inner().unwrap().as_slice(),
        [
            MembershipStep::Frozen(_),
            MembershipStep::Waiting(_),
            MembershipStep::Drained(_),
            MembershipStep::Checking,
            MembershipStep::Open(_)
        ]
    ));
    assert_eq!(creating.join_all().await.len(), 3);
    let mut volumes = volumes_on(&arrays);
    volumes.retain(|volume| !volume.contains("-fl-"));
    volumes.sort();
    let before = volumes.len();
    volumes.dedup();
    assert_eq!((before, volumes.len()), (201, 201));
    let made = engines[0]
        .create(name("there"), on(3), soon())
        .await
        .unwrap();
    assert_eq!(made.get().array_name, "array-3");
    // Whose configuration was not changed does not fork names.
    let refused = old[0].create(name("there"), options(&[]), soon()).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("array-3"), "{refused}");
    let again = membership(&arrays).add("array-3", &silently).await.unwrap();
    assert!(!again.is_done());
}

#[tokio::test(start_paused = true)]
async fn an_array_with_a_name_of_the_fleet_does_not_join() {
    let arrays = arrays(3);
    let one = engine(&arrays[..2], "one");
    let _made = one.create(name("v"), options(&[]), soon()).await.unwrap();
    arrays[2].add_foreign("Test-V", Size::from_gib(1)).unwrap();
    let refused = membership(&arrays).add("array-3", &silently).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("test-v"), "{refused}");
    let record = membership(&arrays).record().await.unwrap();
    assert_eq!((record.phase, record.members.len()), (FleetPhase::Open, 2));
    let unknown = membership(&arrays).add("array-9", &silently).await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn an_array_leaves_when_it_has_no_volumes() {
    let arrays = arrays(4);
    let one = engine(&arrays, "one");
    let _made = one.create(name("v"), on(1), soon()).await.unwrap();
    let refused = membership(&arrays).remove("array-1", &silently).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition, "{refused}");
    assert!(refused.message().contains(": v"), "{refused}");
    let _gone = one.remove(name("v"), soon()).await.unwrap();
    let record = membership(&arrays).remove("array-1", &silently).await;
    let record = record.unwrap().into_inner();
    assert_eq!(record.members.len(), 3);
    let numbers: Vec<u16> = record.claim_arrays.iter().map(|number| number.0).collect();
    assert_eq!(numbers, [2, 3, 4], "another one votes in its place");
    // The votes of the removed volume name an array that is no member any more.
    let made = one.create(name("v"), options(&[]), soon()).await.unwrap();
    assert_ne!(made.get().array_name, "array-1");
    let back = membership(&arrays).add("array-1", &silently).await.unwrap();
    let back = back.into_inner();
    let number = back.members.iter().map(|member| member.number.0).max();
    assert_eq!(number, Some(5), "a number is never given twice");
}

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

/// Whoever asks through it is dead as it writes its n-th copy of a record.
fn dies_at_copy(number: usize) -> Arc<Rule> {
    let left = Mutex::new(number);
    Rule::new(move |request| {
        if !request.step.contains("put fleet") {
            return None;
        }
        let mut left = left.lock().unwrap();
        *left = left.saturating_sub(1);
        (*left == 0).then_some(Fate::Dead)
    })
}

/// Whoever changes the members dies as it writes its n-th copy of a record; repeated, it goes on.
#[tokio::test(start_paused = true)]
async fn a_change_that_was_cut_off_is_finished_by_the_next() {
    for dies_at in 1..=9 {
        let arrays = arrays(4);
        let one = engine(&arrays[..3], "one");
        let _made = one.create(name("v"), options(&[]), soon()).await.unwrap();
        let chance = Arc::new(SeededChance::new(7));
        let seen = backends(&arrays, "test", Some(&dies_at_copy(dies_at)));
        let dying = Membership::new(seen, "admin".to_owned(), chance);
        let died = timeout(Duration::from_secs(600), dying.add("array-4", &silently)).await;
        let record = membership(&arrays).add("array-4", &silently).await.unwrap();
        let record = record.into_inner();
        assert_eq!(record.members.len(), 4, "{dies_at}: {died:?}");
        assert_eq!(record.phase, FleetPhase::Open, "{dies_at}");
        let all = engine(&arrays, "all");
        let made = all.create(name("w"), on(4), in_a_while()).await.unwrap();
        assert!(made.is_done(), "{dies_at}");
    }
}

#[tokio::test(start_paused = true)]
async fn new_names_wait_while_arrays_change_and_say_so() {
    let arrays = arrays(3);
    let one = engine(&arrays, "one");
    let _made = one.create(name("v"), options(&[]), soon()).await.unwrap();
    let (changing, creating, impatient) = tokio::join!(
        async { membership(&arrays).remove("array-1", &silently).await },
        async {
            sleep(Duration::from_secs(10)).await;
            let began = Instant::now();
            let made = one.create(name("w"), options(&[]), in_a_while()).await;
            (made, began.elapsed())
        },
        async {
            sleep(Duration::from_secs(10)).await;
            let a_moment = Instant::now() + Duration::from_secs(5);
            one.create(name("x"), options(&[]), a_moment).await
        }
    );
    let v_is_there = changing.is_err();
    let (made, waited) = creating;
    assert!(made.is_ok());
    if !v_is_there {
        assert!(waited > Duration::from_secs(30), "{waited:?}");
        let refused = impatient.unwrap_err();
        assert!(
            matches!(refused.kind(), ErrorKind::Unavailable | ErrorKind::Timeout),
            "{refused}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn all_namespaces_of_the_fleet_are_looked_at() {
    let arrays = arrays(3);
    let one = engine(&arrays[..2], "one");
    let _made = one.create(name("v"), options(&[]), soon()).await.unwrap();
    let other = Membership::new(
        backends(&arrays, "other", None),
        "admin".to_owned(),
        Arc::new(SeededChance::new(1)),
    );
    let refused = other.add("array-3", &silently).await.unwrap_err();
    assert!(refused.message().contains("test"), "{refused}");
    let both = other.through(backends(&arrays, "test", None));
    assert!(both.add("array-3", &silently).await.unwrap().is_done());
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

/// The same for an array that was to join and has a name of the fleet by now.
#[tokio::test(start_paused = true)]
async fn a_change_that_was_cut_off_and_is_refused_now_is_taken_back() {
    let arrays = arrays(4);
    let one = engine(&arrays[..3], "one");
    let _made = one.create(name("v"), options(&[]), soon()).await.unwrap();
    let dying = Membership::new(
        backends(&arrays, "test", Some(&dies_at_copy(5))),
        "admin".to_owned(),
        Arc::new(SeededChance::new(7)),
    );
    let died = timeout(Duration::from_secs(600), dying.add("array-4", &silently));
    assert!(died.await.is_err());
    let record = membership(&arrays).record().await.unwrap();
    assert_eq!(record.phase, FleetPhase::Changing);
    arrays[3].add_foreign("test-v", Size::from_gib(1)).unwrap();
    let refused = membership(&arrays).add("array-4", &silently).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::FailedPrecondition);
    let record = membership(&arrays).record().await.unwrap();
    assert_eq!((record.phase, record.members.len()), (FleetPhase::Open, 3));
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
