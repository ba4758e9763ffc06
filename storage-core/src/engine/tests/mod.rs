//! The engine on the reference implementations: what it promises, and what it refuses.

mod claims;
mod copies;
mod founding;
mod giving_up;
mod membership;
mod preemption;
mod recovery;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Engine, EngineSettings};
use crate::access::{Host, Initiators};
use crate::attach::{Attacher, AttachmentState};
use crate::backend::Backend;
use crate::error::ErrorKind;
use crate::memory::{MemoryArray, MemoryAttacher, MemoryBackend};
use crate::name::{Namespace, VolumeName};
use crate::options::{OptionDefaults, VolumeOptions};
use crate::outcome::Outcome;
use crate::size::Size;

struct Node {
    engine: Arc<Engine>,
    attacher: Arc<MemoryAttacher>,
}

fn arrays() -> Vec<Arc<MemoryArray>> {
    vec![
        MemoryArray::new("array-a", Size::from_gib(1000)),
        MemoryArray::new("array-b", Size::from_gib(2000)),
    ]
}

fn node(arrays: &[Arc<MemoryArray>], hostname: &str) -> Node {
    let host = Host::new(hostname, hostname, Initiators::default());
    process(arrays, Arc::new(MemoryAttacher::new(host, arrays.to_vec())))
}

/// A process on a machine that has what it has.
fn process(arrays: &[Arc<MemoryArray>], attacher: Arc<MemoryAttacher>) -> Node {
    let namespace = Namespace::new("test").unwrap();
    let backends = arrays
        .iter()
        .map(|array| {
            let backend = MemoryBackend::new(Arc::clone(array), namespace.clone())
                .with_label("tier", array.name());
            Arc::new(backend) as Arc<dyn Backend>
        })
        .collect();
    let hands: Arc<dyn Attacher> = Arc::<MemoryAttacher>::clone(&attacher);
    let settings = EngineSettings {
        ask_limit: Duration::from_secs(5),
        ..Default::default()
    };
    Node {
        engine: Engine::builder(backends, hands).settings(settings).build(),
        attacher,
    }
}

/// What is on the arrays but for votes and fleet records.
fn volumes_on(arrays: &[Arc<MemoryArray>]) -> Vec<String> {
    let objects = arrays.iter().flat_map(|array| array.objects());
    let is_ours =
        |object: &String| object.contains("-fl-claim-") || object.starts_with("fl-fleet-");
    objects.filter(|object| !is_ours(object)).collect()
}

fn name(text: &str) -> VolumeName {
    VolumeName::new(text).unwrap()
}

fn options(pairs: &[(&str, &str)]) -> VolumeOptions {
    let pairs = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    VolumeOptions::parse(pairs, &OptionDefaults::default()).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

#[tokio::test(start_paused = true)]
async fn a_volume_lives_from_create_to_remove() {
    let arrays = arrays();
    let node = node(&arrays, "one");
    let made = node
        .engine
        .create(name("data"), options(&[("size", "1GiB")]), soon())
        .await;
    let volume = made.unwrap().into_inner();
    assert_eq!(volume.size, Size::from_gib(1));
    assert!(volume.format_grant.is_some());
    let path = node.engine.mount(name("data"), soon()).await.unwrap();
    assert_eq!(node.engine.mount(name("data"), soon()).await.unwrap(), path);
    assert_eq!(node.engine.mountpoint(&name("data")), Some(path));
    let refused = node.engine.remove(name("data"), soon()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition);
    node.engine.unmount(name("data"), soon()).await.unwrap();
    assert!(node.engine.attachments().await.unwrap().is_empty());
    assert!(
        node.engine
            .remove(name("data"), soon())
            .await
            .unwrap()
            .is_done()
    );
    assert_eq!(node.engine.find(&name("data"), soon()).await.unwrap(), None);
    assert!(
        !node
            .engine
            .remove(name("data"), soon())
            .await
            .unwrap()
            .is_done()
    );
    assert_eq!(arrays.iter().map(|array| array.formats()).sum::<u64>(), 1);
    assert!(volumes_on(&arrays).is_empty());
}

#[derive(Debug)]
struct FixedClock;

impl crate::Clock for FixedClock {
    fn now_ms(&self) -> u64 {
        1_000_000_000_000
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_says_who_made_it_when_and_why_there() {
    let array = MemoryArray::new("array-a", Size::from_gib(100));
    let namespace = Namespace::new("test").unwrap();
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new(Arc::clone(&array), namespace));
    let host = Host::new("one", "one", Initiators::default());
    let attacher = Arc::new(MemoryAttacher::new(host, vec![array]));
    let engine = Engine::builder(vec![backend], attacher)
        .clock(Arc::new(FixedClock))
        .build();
    let made = engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(made.attributes["created-at"], "2001-09-09T01:46:40Z");
    assert!(
        made.attributes["created-by"].contains("on one-"),
        "{:?}",
        made.attributes
    );
    assert!(made.attributes["placement"].contains("array-a"));
}

/// The budget of an idle node: two calls a minute to each array, mean over an hour.
#[tokio::test(start_paused = true)]
async fn an_idle_node_asks_each_array_at_most_twice_a_minute() {
    let arrays = arrays();
    let node = node(&arrays, "one");
    for index in 0..50 {
        let _made = node
            .engine
            .create(name(&format!("v{index}")), options(&[]), soon())
            .await;
    }
    node.engine.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before: Vec<u64> = arrays.iter().map(|array| array.calls()).collect();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    for (array, before) in arrays.iter().zip(before) {
        let calls = array.calls() - before;
        assert!((1..=120).contains(&calls), "{calls} calls in an idle hour");
    }
}

#[tokio::test(start_paused = true)]
async fn create_is_idempotent_and_refuses_another_size() {
    let arrays = arrays();
    let node = node(&arrays, "one");
    let first = node
        .engine
        .create(name("v"), options(&[("size", "1GiB")]), soon())
        .await
        .unwrap();
    let again = node
        .engine
        .create(name("v"), options(&[("size", "1GiB")]), soon())
        .await
        .unwrap();
    assert!(matches!(&again, Outcome::AlreadySo(volume) if volume.id == first.get().id));
    let other = node
        .engine
        .create(name("v"), options(&[("size", "2GiB")]), soon())
        .await;
    assert_eq!(other.unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[tokio::test(start_paused = true)]
async fn a_silent_array_stops_creates_and_never_makes_a_name_absent() {
    let arrays = arrays();
    let node = node(&arrays, "one");
    arrays[0].set_down(true);
    let refused = node
        .engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.to_string().contains("array-a"), "{refused}");
    let unknown = node.engine.find(&name("v"), soon()).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Unavailable);
    assert_eq!(
        node.engine
            .remove(name("v"), soon())
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Unavailable
    );
    assert!(arrays.iter().all(|array| array.objects().is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_volume_on_an_array_that_answers_is_served_while_another_is_silent() {
    let arrays = arrays();
    let node = node(&arrays, "one");
    let selector = [("volume_label_selector", "tier=array-b")];
    node.engine
        .create(name("v"), options(&selector), soon())
        .await
        .unwrap()
        .into_inner();
    arrays[0].set_down(true);
    let other = self::node(&arrays, "two");
    assert!(
        other
            .engine
            .find(&name("v"), soon())
            .await
            .unwrap()
            .is_some()
    );
    other.engine.mount(name("v"), soon()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_second_host_is_refused_with_the_holders_name() {
    let arrays = arrays();
    let (one, two) = (node(&arrays, "one"), node(&arrays, "two"));
    let _made = one
        .engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap();
    one.engine.mount(name("v"), soon()).await.unwrap();
    let refused = two.engine.mount(name("v"), soon()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition);
    assert!(refused.chain().to_string().contains("one-"), "{refused}");
    one.engine.unmount(name("v"), soon()).await.unwrap();
    two.engine.mount(name("v"), soon()).await.unwrap();
    assert_eq!(arrays.iter().map(|array| array.formats()).sum::<u64>(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_volume_replaced_elsewhere_is_found_again_at_mount() {
    let arrays = arrays();
    let (one, two) = (node(&arrays, "one"), node(&arrays, "two"));
    let first = one
        .engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap()
        .into_inner();
    assert!(two.engine.find(&name("v"), soon()).await.unwrap().is_some());
    let _gone = one.engine.remove(name("v"), soon()).await.unwrap();
    let second = one
        .engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap()
        .into_inner();
    assert_ne!(first.id, second.id);
    two.engine.mount(name("v"), soon()).await.unwrap();
    assert_eq!(two.engine.known(&name("v")).unwrap().id, second.id);
}

#[tokio::test(start_paused = true)]
async fn a_destroyed_volume_keeps_its_name_and_the_error_says_what_to_do() {
    let arrays = arrays();
    let node = node(&arrays, "one");
    let made = node
        .engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap()
        .into_inner();
    for array in &arrays {
        drop(array.destroy_foreign(&made.object));
    }
    let refused = self::node(&arrays, "two")
        .engine
        .create(name("v"), options(&[]), soon())
        .await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.message().contains("recover"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_unrecorded_object_is_found_never_listed_never_removed_never_formatted() {
    let arrays = arrays();
    arrays[0]
        .add_foreign("test-legacy", Size::from_gib(1))
        .unwrap();
    let node = node(&arrays, "one");
    assert!(
        node.engine
            .find(&name("legacy"), soon())
            .await
            .unwrap()
            .is_some()
    );
    let refused = node
        .engine
        .remove(name("legacy"), soon())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition);
    let blank = node.engine.mount(name("legacy"), soon()).await.unwrap_err();
    assert_eq!(blank.kind(), ErrorKind::FailedPrecondition);
    assert_eq!(arrays[0].formats(), 0);
    assert!(node.attacher.intentions().await.unwrap().is_empty());
    assert!(node.engine.attachments().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_array_that_is_down_at_unmount_is_told_later() {
    let arrays = arrays();
    let (one, two) = (node(&arrays, "one"), node(&arrays, "two"));
    one.engine.start().await.unwrap();
    let _made = one
        .engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap();
    one.engine.mount(name("v"), soon()).await.unwrap();
    arrays.iter().for_each(|array| array.set_down(true));
    one.engine.unmount(name("v"), soon()).await.unwrap();
    assert_eq!(
        one.engine.attachments().await.unwrap().len(),
        1,
        "the record stays"
    );
    arrays.iter().for_each(|array| array.set_down(false));
    let told = async {
        while !one.engine.attachments().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1200), told)
        .await
        .expect("the array was told");
    two.engine.mount(name("v"), soon()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_is_there_serves_another_container_while_the_array_is_silent() {
    let arrays = arrays();
    let node = node(&arrays, "one");
    let _made = node
        .engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap();
    let path = node.engine.mount(name("v"), soon()).await.unwrap();
    arrays.iter().for_each(|array| array.set_down(true));
    assert_eq!(node.engine.mount(name("v"), soon()).await.unwrap(), path);
}

#[tokio::test(start_paused = true)]
async fn a_mount_whose_grant_was_taken_away_is_taken_down_before_anything_is_published() {
    let arrays = arrays();
    let (one, two) = (node(&arrays, "one"), node(&arrays, "two"));
    let made = one
        .engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap()
        .into_inner();
    one.engine.mount(name("v"), soon()).await.unwrap();
    let first = one.engine.attachments().await.unwrap().remove(0);
    let holder = one.attacher.host().object_name();
    for array in &arrays {
        drop(array.disconnect_foreign(&made.object, &holder));
    }
    one.engine.mount(name("v"), soon()).await.unwrap();
    let second = one.engine.attachments().await.unwrap().remove(0);
    assert_ne!(
        first.nonce, second.nonce,
        "a new grant, and a new mount under it"
    );
    for array in &arrays {
        drop(array.disconnect_foreign(&made.object, &holder));
    }
    assert!(two.engine.find(&name("v"), soon()).await.unwrap().is_some());
    two.engine.mount(name("v"), soon()).await.unwrap();
    let refused = one.engine.mount(name("v"), soon()).await.unwrap_err();
    assert!(refused.chain().to_string().contains("two-"), "{refused}");
    assert_eq!(
        one.engine.attachments().await.unwrap()[0].state,
        AttachmentState::Released
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_shut_out_lets_go_by_itself() {
    let arrays = arrays();
    let one = node(&arrays, "one");
    one.engine.start().await.unwrap();
    let made = one
        .engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap()
        .into_inner();
    one.engine.mount(name("v"), soon()).await.unwrap();
    for array in &arrays {
        drop(array.disconnect_foreign(&made.object, &one.attacher.host().object_name()));
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(one.engine.mountpoint(&name("v")), None);
    assert!(one.engine.attachments().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_is_held_is_not_forced() {
    let arrays = arrays();
    let node = node(&arrays, "one");
    let _made = node
        .engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap();
    node.engine.mount(name("v"), soon()).await.unwrap();
    node.attacher.hold(Some("pid 4711"));
    let busy = node.engine.unmount(name("v"), soon()).await.unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Busy);
    assert!(node.engine.mountpoint(&name("v")).is_some());
    node.attacher.hold(None);
    node.engine.unmount(name("v"), soon()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn too_small_for_the_file_system_is_refused_at_create() {
    let node = node(&arrays(), "one");
    let mut small = options(&[("fstype", "xfs")]);
    small.size = Some(Size::from_bytes(64 << 20));
    let refused = node
        .engine
        .create(name("v"), small, soon())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::OutOfRange);
}

#[tokio::test(start_paused = true)]
async fn no_array_fits_and_the_error_says_why_for_each() {
    let arrays = arrays();
    let node = node(&arrays, "one");
    let nowhere = options(&[("volume_label_selector", "tier=gold")]);
    let refused = node
        .engine
        .create(name("v"), nowhere, soon())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ResourceExhausted);
    assert!(refused.message().contains("array-a") && refused.message().contains("array-b"));
}

#[tokio::test(start_paused = true)]
async fn the_inventory_shows_its_age_and_all_volumes() {
    let arrays = arrays();
    let (one, two) = (node(&arrays, "one"), node(&arrays, "two"));
    assert_eq!(two.engine.inventory().age, None);
    for index in 0..20 {
        let _made = one
            .engine
            .create(name(&format!("v{index}")), options(&[]), soon())
            .await;
    }
    two.engine.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let inventory = two.engine.inventory();
    assert_eq!(inventory.volumes.len(), 20);
    assert!(inventory.age.is_some());
    let _gone = one.engine.remove(name("v0"), soon()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(301)).await;
    assert_eq!(two.engine.inventory().volumes.len(), 19);
    assert!(two.engine.stop(Duration::from_secs(1)).await);
}
