//! The claim: many engines, one name, arrays that are silent, late or dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};

use super::{name, options, soon, volumes_on};
use crate::access::{Host, Initiators};
use crate::attach::Attacher;
use crate::backend::Backend;
use crate::chance::SeededChance;
use crate::engine::{Engine, EngineSettings};
use crate::error::{Error, ErrorKind};
use crate::memory::{ArrayRequest, Fate, MemoryArray, MemoryAttacher, MemoryBackend, Wire};
use crate::name::Namespace;
use crate::size::Size;
use crate::volume::ArrayId;

const HOUR: Duration = Duration::from_secs(3600);

/// Arrays whose numbers in the fleet are their places, from 1.
pub(super) fn arrays(count: usize) -> Vec<Arc<MemoryArray>> {
    (1..=count)
        .map(|index| {
            let id = ArrayId::new(format!("id-{index}"));
            MemoryArray::with_id(id, format!("array-{index}"), Size::from_gib(1000))
        })
        .collect()
}

type BoxedRule = Box<dyn Fn(&ArrayRequest) -> Option<Fate> + Send + Sync>;

/// What becomes of a node's requests, by a rule that a test writes.
pub(super) struct Rule {
    rule: BoxedRule,
    dead: AtomicBool,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rule")
    }
}

impl Rule {
    pub(super) fn new(
        rule: impl Fn(&ArrayRequest) -> Option<Fate> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            rule: Box::new(rule),
            dead: AtomicBool::new(false),
        })
    }
}

impl Wire for Rule {
    fn fate(&self, request: &ArrayRequest) -> Fate {
        if self.dead.load(Ordering::SeqCst) {
            return Fate::Dead;
        }
        let fate = (self.rule)(request).unwrap_or(Fate::Answered);
        if fate == Fate::Dead {
            self.dead.store(true, Ordering::SeqCst);
        }
        fate
    }

    fn executed(&self, _request: &ArrayRequest, _error: Option<&Error>) {}

    fn alive(&self) -> bool {
        !self.dead.load(Ordering::SeqCst)
    }
}

pub(super) struct Setting<'a> {
    pub(super) arrays: &'a [Arc<MemoryArray>],
    pub(super) host: &'a str,
    pub(super) namespace: &'a str,
    pub(super) wire: Option<Arc<dyn Wire>>,
}

pub(super) fn build(setting: &Setting<'_>) -> Arc<Engine> {
    let namespace = Namespace::new(setting.namespace).unwrap();
    let backends = setting.arrays.iter().map(|array| {
        let mut backend = MemoryBackend::new(Arc::clone(array), namespace.clone())
            .with_label("tier", array.name());
        if let Some(wire) = &setting.wire {
            backend = backend.with_wire(Arc::clone(wire));
        }
        Arc::new(backend) as Arc<dyn Backend>
    });
    let host = Host::new(setting.host, setting.host, Initiators::default());
    let attacher: Arc<dyn Attacher> = Arc::new(MemoryAttacher::new(host, setting.arrays.to_vec()));
    let seed = setting.host.bytes().map(u64::from).sum();
    Engine::builder(backends.collect(), attacher)
        .settings(EngineSettings {
            ask_limit: Duration::from_secs(5),
            ..Default::default()
        })
        .chance(Arc::new(SeededChance::new(seed)))
        .build()
}

pub(super) fn engine(arrays: &[Arc<MemoryArray>], host: &str) -> Arc<Engine> {
    build(&Setting {
        arrays,
        host,
        namespace: "test",
        wire: None,
    })
}

pub(super) fn engine_with(
    arrays: &[Arc<MemoryArray>],
    host: &str,
    rule: impl Fn(&ArrayRequest) -> Option<Fate> + Send + Sync + 'static,
) -> Arc<Engine> {
    build(&Setting {
        arrays,
        host,
        namespace: "test",
        wire: Some(Rule::new(rule)),
    })
}

pub(super) fn on(array: usize) -> crate::options::VolumeOptions {
    options(&[("volume_label_selector", &format!("tier=array-{array}"))])
}

pub(super) fn in_a_while() -> Instant {
    Instant::now() + Duration::from_secs(300)
}

#[tokio::test(start_paused = true)]
async fn however_many_create_one_name_all_get_one_volume() {
    for count in [1, 2, 3, 5] {
        let arrays = arrays(count);
        for (index, array) in arrays.iter().enumerate() {
            array.set_delay(Duration::from_millis(10 + 7 * index as u64));
        }
        let mut creating = JoinSet::new();
        for host in 0..8 {
            let engine = engine(&arrays, &format!("host{host}"));
            // Each would like another array.
            let wish = on(host % count + 1);
            creating.spawn(async move {
                sleep(Duration::from_millis(host as u64 * 3)).await;
                engine.create(name("v"), wish, in_a_while()).await
            });
        }
        let made: Vec<_> = creating
            .join_all()
            .await
            .into_iter()
            .map(|made| made.unwrap())
            .collect();
        let ids: std::collections::BTreeSet<_> =
            made.iter().map(|made| made.get().id.clone()).collect();
        assert_eq!(ids.len(), 1, "{count} arrays");
        assert!(made.iter().filter(|made| made.is_done()).count() <= 1);
        assert_eq!(volumes_on(&arrays), ["test-v"], "{count} arrays");
    }
}

/// A read on every array, the volume made and renamed on one, a vote on each claim array; telemetry
/// apart, which is one read an array here.
#[tokio::test(start_paused = true)]
async fn an_undisturbed_create_costs_no_more_than_its_budget() {
    for count in [1, 2, 3, 5] {
        let arrays = arrays(count);
        let engine = engine(&arrays, "one");
        let _first = engine.create(name("first"), on(1), soon()).await.unwrap();
        let voters = if count < 3 { 1 } else { 3 };
        for chosen in 1..=count {
            sleep(Duration::from_secs(11)).await;
            let before: Vec<u64> = arrays.iter().map(|array| array.calls()).collect();
            let wanted = name(&format!("v{chosen}"));
            let _made = engine.create(wanted, on(chosen), soon()).await.unwrap();
            for (index, (array, before)) in arrays.iter().zip(before).enumerate() {
                let place = index + 1;
                let own = if place == chosen { 2 } else { 0 };
                let vote = u64::from(place <= voters);
                let telemetry = 1;
                assert_eq!(
                    array.calls() - before,
                    1 + own + vote + telemetry,
                    "array {place} of {count}, volume on {chosen}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_array_is_passed_over_by_who_listed_it() {
    for silent in 0..3 {
        let arrays = arrays(3);
        let (listed, fresh) = (engine(&arrays, "listed"), engine(&arrays, "fresh"));
        let there = [(
            "volume_label_selector",
            &*format!("tier=array-{}", silent + 1),
        )];
        let made = listed.create(name("there"), options(&there), soon()).await;
        drop(made.unwrap());
        let _known = fresh.create(name("x"), options(&[]), soon()).await.unwrap();
        listed.start().await.unwrap();
        sleep(Duration::from_secs(1)).await;
        arrays[silent].set_down(true);
        let made = listed.create(name("new"), options(&[]), in_a_while()).await;
        assert!(made.unwrap().is_done(), "array {silent} silent");
        for (who, text) in [(&listed, "there"), (&fresh, "other")] {
            // Its name is on the silent one, or it may be.
            let refused = who.create(name(text), options(&[]), in_a_while()).await;
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
        }
        // Half a day later the listing is too old.
        sleep(HOUR * 13).await;
        let refused = listed
            .create(name("late"), options(&[]), in_a_while())
            .await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
        arrays[silent].set_down(false);
        let made = fresh
            .create(name("there"), options(&[]), in_a_while())
            .await;
        assert!(!made.unwrap().is_done());
    }
}

/// A node that dies as it sends a request of a step for the n-th time; on which array the volume
/// then comes to be that another node asks for on the third.
#[tokio::test(start_paused = true)]
async fn who_died_on_the_way_is_helped() {
    for (step, times, array) in [
        ("propose", 1, "array-3"),
        ("mark", 1, "array-3"),
        ("mark", 2, "array-2"),
        ("mark", 3, "array-2"),
        ("commit", 1, "array-2"),
    ] {
        let arrays = arrays(3);
        let _founded = engine(&arrays, "zero")
            .create(name("x"), on(1), soon())
            .await
            .unwrap();
        let left = AtomicUsize::new(times);
        let dying = engine_with(&arrays, "dying", move |request| {
            let dies = request.step == step && left.fetch_sub(1, Ordering::SeqCst) == 1;
            dies.then_some(Fate::Dead)
        });
        let a_moment = Instant::now() + Duration::from_secs(1);
        let died = dying.create(name("v"), on(2), a_moment).await;
        assert!(died.is_err(), "{step} {times}");
        let two = engine(&arrays, "two");
        let made = two.create(name("v"), on(3), in_a_while()).await;
        let made = made.unwrap().into_inner();
        assert_eq!(made.array_name, array, "{step} {times}");
        sleep(HOUR * 2).await;
        let _swept = two.sweep_now().await.unwrap();
        assert_eq!(volumes_on(&arrays).len(), 2, "{step} {times}");
    }
}

/// What waits under votes of long ago is not given the name any more.
#[tokio::test(start_paused = true)]
async fn old_votes_commit_nothing() {
    let arrays = arrays(3);
    let dying = engine_with(&arrays, "dying", |request| {
        (request.step == "commit").then_some(Fate::Dead)
    });
    let a_moment = Instant::now() + Duration::from_secs(1);
    let died = dying.create(name("v"), on(2), a_moment).await;
    assert!(died.is_err());
    sleep(HOUR + Duration::from_secs(1)).await;
    let two = engine(&arrays, "two");
    let made = two.create(name("v"), on(3), in_a_while()).await.unwrap();
    assert_eq!(made.get().array_name, "array-3");
    assert_eq!(volumes_on(&arrays), ["test-v"]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_without_an_answer_is_found_out_about() {
    for fate in [
        Fate::AnswerLost,
        Fate::Late(Duration::from_secs(20)),
        Fate::Late(Duration::from_secs(200)),
        Fate::Twice(Duration::from_secs(200)),
    ] {
        let arrays = arrays(3);
        let one = engine_with(&arrays, "one", move |request| {
            (request.step == "commit").then_some(fate)
        });
        let first = one.create(name("v"), on(2), in_a_while()).await;
        if let Err(error) = &first {
            assert_eq!(error.kind(), ErrorKind::Timeout, "{fate:?}: {error}");
        }
        let two = engine(&arrays, "two")
            .create(name("v"), on(3), in_a_while())
            .await;
        let two = two.unwrap().into_inner();
        assert_eq!(two.array_name, "array-2", "{fate:?}");
        sleep(HOUR).await;
        assert_eq!(volumes_on(&arrays), ["test-v"], "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_died_before_its_volume_waited_is_cleared_away() {
    let arrays = arrays(3);
    let first = engine(&arrays, "one");
    let made = first.create(name("v"), on(2), soon()).await.unwrap();
    let _gone = first.remove(name("v"), soon()).await.unwrap();
    // The votes are those of the volume that was removed.
    let again = engine(&arrays, "two")
        .create(name("v"), on(3), soon())
        .await;
    let again = again.unwrap();
    assert!(again.is_done());
    assert_ne!(again.get().id, made.get().id);
    assert_eq!(again.get().array_name, "array-3");
}

/// A node that had listed the arrays before it knew the record lists them again at once.
#[tokio::test(start_paused = true)]
async fn a_record_that_becomes_known_late_is_followed_by_listings() {
    let arrays = arrays(3);
    let node = engine(&arrays, "one");
    node.start().await.unwrap();
    sleep(Duration::from_secs(20)).await;
    let _founded = node.create(name("v"), on(1), soon()).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    arrays[1].set_down(true);
    let made = node.create(name("w"), on(1), in_a_while()).await;
    assert!(made.unwrap().is_done());
}

#[tokio::test(start_paused = true)]
async fn left_overs_go_and_volumes_stay() {
    let arrays = arrays(3);
    let one = engine(&arrays, "one");
    for index in 0..5 {
        let _made = one
            .create(name(&format!("v{index}")), on(2), soon())
            .await
            .unwrap();
    }
    let lost = engine_with(&arrays, "lost", |request| {
        (request.step == "propose").then_some(Fate::AnswerLost)
    });
    let refused = lost.create(name("w"), options(&[]), in_a_while()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(volumes_on(&arrays).len(), 8, "three that wait for a name");
    assert_eq!(one.sweep_now().await.unwrap(), 0, "nothing is old enough");
    advance(HOUR + Duration::from_secs(60)).await;
    assert_eq!(one.sweep_now().await.unwrap(), 3);
    assert_eq!(volumes_on(&arrays).len(), 5);
    advance(HOUR * 24).await;
    assert_eq!(one.sweep_now().await.unwrap(), 15, "three votes a volume");
    let objects = arrays.iter().flat_map(|array| array.objects());
    assert_eq!(
        objects
            .filter(|object| object.contains("-fl-claim-"))
            .count(),
        0
    );
    assert_eq!(volumes_on(&arrays).len(), 5);
    let again = one.create(name("v0"), on(2), soon()).await.unwrap();
    assert!(!again.is_done());
}

#[tokio::test(start_paused = true)]
async fn the_background_sweeps_within_its_allowance() {
    let arrays = arrays(3);
    let one = engine(&arrays, "one");
    for index in 0..3 {
        let _made = one
            .create(name(&format!("v{index}")), on(2), soon())
            .await
            .unwrap();
    }
    one.start().await.unwrap();
    sleep(HOUR * 30).await;
    let objects = arrays.iter().flat_map(|array| array.objects());
    assert_eq!(
        objects
            .filter(|object| object.contains("-fl-claim-"))
            .count(),
        0
    );
    assert_eq!(volumes_on(&arrays).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_object_is_adopted_under_a_name_and_never_formatted() {
    let arrays = arrays(3);
    arrays[1].add_foreign("legacy", Size::from_gib(3)).unwrap();
    arrays[2]
        .add_foreign("test-plain", Size::from_gib(4))
        .unwrap();
    let one = engine(&arrays, "one");
    let import = |object| options(&[("import_from_src", object), ("fstype", "ext4")]);
    let made = one
        .create(name("data"), import("legacy"), soon())
        .await
        .unwrap();
    assert!(made.is_done());
    let volume = made.into_inner();
    assert_eq!(
        (volume.object.as_str(), volume.size),
        ("test-data", Size::from_gib(3))
    );
    assert_eq!(volume.format_grant, None);
    let again = one
        .create(name("data"), import("legacy"), soon())
        .await
        .unwrap();
    assert!(!again.is_done());
    let other = one
        .create(name("data"), import("other"), soon())
        .await
        .unwrap_err();
    assert_eq!(other.kind(), ErrorKind::AlreadyExists, "{other}");
    // By its exact name it is found as it is, and adopted when that is asked for.
    let found = one
        .create(name("plain"), options(&[]), soon())
        .await
        .unwrap();
    assert_eq!(found.get().ownership, crate::Ownership::Unrecorded);
    let adopted = one
        .create(name("plain"), import("test-plain"), soon())
        .await
        .unwrap();
    assert_eq!(adopted.get().ownership, crate::Ownership::Recorded);
    let missing = one
        .create(name("m"), import("nothing"), soon())
        .await
        .unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    arrays[0].add_foreign("twice", Size::from_gib(1)).unwrap();
    arrays[1].add_foreign("twice", Size::from_gib(1)).unwrap();
    let twice = one
        .create(name("t"), import("twice"), soon())
        .await
        .unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::FailedPrecondition, "{twice}");
    let which = [
        ("import_from_src", "twice"),
        ("volume_label_selector", "tier=array-2"),
    ];
    let made = one
        .create(name("t"), options(&which), soon())
        .await
        .unwrap();
    assert_eq!(made.get().array_name, "array-2");
}
