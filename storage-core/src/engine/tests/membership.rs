//! Arrays that join a fleet and leave it, while nodes go on creating volumes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::claims::{Rule, arrays, engine, in_a_while, on};
use super::{name, options, soon, volumes_on};
use crate::backend::Backend;
use crate::chance::SeededChance;
use crate::engine::{Membership, MembershipStep};
use crate::error::ErrorKind;
use crate::fleet_record::FleetPhase;
use crate::memory::{Fate, MemoryArray, MemoryBackend, Wire};
use crate::name::Namespace;
use crate::size::Size;

pub(super) fn backends(
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

pub(super) fn membership(arrays: &[Arc<MemoryArray>]) -> Membership {
    let chance = Arc::new(SeededChance::new(99));
    Membership::new(backends(arrays, "test", None), "admin".to_owned(), chance)
}

pub(super) fn silently(_step: MembershipStep) {}

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

/// Whoever asks through it is dead as it writes its n-th copy of a record.
pub(super) fn dies_at_copy(number: usize) -> Arc<Rule> {
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
