//! What is left by crashes, lost answers and impatient callers, and how it is put right.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{arrays, name, node, options, soon};
use crate::attach::{Attacher, AttachmentState};
use crate::error::ErrorKind;
use crate::memory::MemoryArray;
use crate::name::Namespace;
use crate::size::Size;

#[tokio::test(start_paused = true)]
async fn a_destroyed_namesake_does_not_hide_the_live_volume_on_a_slower_array() {
    let arrays = arrays();
    arrays[0].add_foreign("test-x", Size::from_gib(1)).unwrap();
    arrays[0].destroy_foreign("test-x").unwrap();
    let one = node(&arrays[1..], "one");
    let _made = one
        .engine
        .create(name("x"), options(&[]), soon())
        .await
        .unwrap();
    arrays[1].set_delay(Duration::from_secs(2));
    let two = node(&arrays, "two");
    assert!(two.engine.find(&name("x"), soon()).await.unwrap().is_some());
    let again = two.engine.create(name("x"), options(&[]), soon()).await;
    assert!(
        !again.unwrap().is_done(),
        "the live one is the answer to a create"
    );
    arrays[1].set_delay(Duration::from_secs(60));
    let unknown = node(&arrays, "three")
        .engine
        .find(&name("x"), soon())
        .await
        .unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_mount_is_undone_and_one_that_somebody_was_told_of_is_not() {
    let arrays = arrays();
    let node = node(&arrays, "one");
    let _made = node
        .engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap();
    arrays
        .iter()
        .for_each(|array| array.set_delay(Duration::from_secs(5)));
    let impatient = Instant::now() + Duration::from_secs(1);
    let error = node.engine.mount(name("v"), impatient).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert!(
        node.engine.attachments().await.unwrap().is_empty(),
        "nobody wanted it"
    );

    // Given up once, and wanted again while the undo is still to come.
    let impatient = Instant::now() + Duration::from_secs(1);
    drop(node.engine.mount(name("v"), impatient).await);
    tokio::time::sleep(Duration::from_secs(58)).await;
    node.engine.mount(name("v"), soon()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(
        node.engine.attachments().await.unwrap().len(),
        1,
        "somebody was told of it"
    );

    // A caller that goes away without waiting for its time.
    node.engine.unmount(name("v"), soon()).await.unwrap();
    let engine = Arc::clone(&node.engine);
    let gone = tokio::spawn(async move { engine.mount(name("v"), soon()).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    gone.abort();
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert!(node.engine.attachments().await.unwrap().is_empty());
}

fn cut_off_a_delete(arrays: &[Arc<MemoryArray>], made: &crate::Volume) {
    let namespace = Namespace::new("test").unwrap();
    let trash = crate::name::trash_name(&namespace, &made.name, uuid::Uuid::new_v4());
    for array in arrays {
        drop(array.begin_delete(&made.object, &trash));
    }
}

#[tokio::test(start_paused = true)]
async fn a_remove_that_died_half_way_is_finished_by_the_next_and_undone_by_a_mount() {
    let arrays = arrays();
    let one = node(&arrays, "one");
    let made = one
        .engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap()
        .into_inner();
    cut_off_a_delete(&arrays, &made);
    let two = node(&arrays, "two");
    let found = two.engine.find(&name("v"), soon()).await.unwrap().unwrap();
    assert_eq!(
        found.state,
        crate::VolumeState::Deleting,
        "neither absent nor there"
    );
    let busy = two
        .engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Busy);
    assert!(
        two.engine
            .remove(name("v"), soon())
            .await
            .unwrap()
            .is_done()
    );
    assert_eq!(two.engine.find(&name("v"), soon()).await.unwrap(), None);

    let made = one
        .engine
        .create(name("w"), options(&[]), soon())
        .await
        .unwrap()
        .into_inner();
    cut_off_a_delete(&arrays, &made);
    two.engine.mount(name("w"), soon()).await.unwrap();
    assert_eq!(two.engine.known(&name("w")).unwrap().id, made.id);
}

#[tokio::test(start_paused = true)]
async fn a_publish_whose_answer_was_lost_keeps_no_other_host_out() {
    let arrays = arrays();
    let (one, two) = (node(&arrays, "one"), node(&arrays, "two"));
    one.engine.start().await.unwrap();
    let _made = one
        .engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap();
    arrays
        .iter()
        .for_each(|array| array.lose_next_publish(true));
    let lost = one.engine.mount(name("v"), soon()).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Timeout);
    arrays
        .iter()
        .for_each(|array| array.lose_next_publish(false));
    two.engine.mount(name("v"), soon()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_left_by_a_process_that_died_is_given_back_at_the_next_start() {
    let arrays = arrays();
    let (one, two) = (node(&arrays, "one"), node(&arrays, "two"));
    let made = one
        .engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap()
        .into_inner();
    let held = crate::HeldVolume {
        volume: made.id.clone(),
        name: made.name.clone(),
        object: made.object.clone(),
    };
    one.attacher.intend(&held).await.unwrap();
    for array in &arrays {
        drop(array.connect_foreign(&made.object, &one.attacher.host().object_name()));
    }
    assert!(two.engine.mount(name("v"), soon()).await.is_err());
    one.engine.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    two.engine.mount(name("v"), soon()).await.unwrap();
    two.engine.unmount(name("v"), soon()).await.unwrap();
    // What the dead process had sent is executed only now, after a mount that came to its end.
    one.engine.mount(name("v"), soon()).await.unwrap();
    one.engine.unmount(name("v"), soon()).await.unwrap();
    for array in &arrays {
        drop(array.connect_foreign(&made.object, &one.attacher.host().object_name()));
    }
    assert!(two.engine.mount(name("v"), soon()).await.is_err());
    tokio::time::sleep(Duration::from_secs(300)).await;
    two.engine.mount(name("v"), soon()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(one.attacher.intentions().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_another_process_on_this_host_mounted_is_left_alone() {
    let arrays = arrays();
    let first = node(&arrays, "one");
    let made = first
        .engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap()
        .into_inner();
    first.engine.mount(name("v"), soon()).await.unwrap();
    // Another state folder, the same machine.
    let second = node(&arrays, "one");
    second.engine.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1200)).await;
    let handle = second
        .engine
        .handle(&name("v"), soon())
        .await
        .unwrap()
        .unwrap();
    let publications = handle.backend.published(&made).await.unwrap();
    assert_eq!(publications.len(), 1, "the first one's connection is there");
}

#[tokio::test(start_paused = true)]
async fn a_stray_beside_the_holder_takes_nothing_down() {
    let arrays = arrays();
    let one = node(&arrays, "one");
    let made = one
        .engine
        .create(name("v"), options(&[]), soon())
        .await
        .unwrap()
        .into_inner();
    let path = one.engine.mount(name("v"), soon()).await.unwrap();
    for array in &arrays {
        drop(array.connect_foreign(&made.object, "two-00000000"));
    }
    assert_eq!(one.engine.mount(name("v"), soon()).await.unwrap(), path);
    assert_eq!(
        one.engine.attachments().await.unwrap()[0].state,
        AttachmentState::Mounted
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_made_from_the_inventory_is_known_to_be_out_of_date() {
    let arrays = arrays();
    let node = node(&arrays, "one");
    let engine = &node.engine;
    let mut before = engine.changes();
    let mut changed = || {
        let now = engine.changes();
        std::mem::replace(&mut before, now) != now
    };
    assert!(!changed());
    let _made = engine.create(name("v"), options(&[]), soon()).await;
    assert!(changed());
    assert!(engine.known(&name("v")).is_some() && !changed());
    engine.mount(name("v"), soon()).await.unwrap();
    assert!(changed());
    engine.unmount(name("v"), soon()).await.unwrap();
    assert!(changed());
    let _gone = engine.remove(name("v"), soon()).await.unwrap();
    assert!(changed());
    engine.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(changed(), "listed for the first time");
    assert_eq!(engine.inventory_age(), engine.inventory().age);
}

#[tokio::test(start_paused = true)]
async fn a_lost_record_is_made_again_and_what_does_not_match_is_not_asked_about_for_ever() {
    let arrays = arrays();
    let node = node(&arrays, "one");
    for volume in ["ours", "other"] {
        let options = options(&[("size", "1GiB")]);
        let _made = node.engine.create(name(volume), options, soon()).await;
        node.engine.mount(name(volume), soon()).await.unwrap();
    }
    let [ours, other] = ["ours", "other"].map(|volume| node.engine.known(&name(volume)).unwrap());
    node.attacher.lose_record(&ours);
    node.attacher.lose_record(&other);
    // The array gave the other to somebody else meanwhile.
    for array in &arrays {
        drop(array.disconnect_foreign(&other.object, &node.attacher.host().object_name()));
    }
    node.engine.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before: Vec<u64> = arrays.iter().map(|array| array.calls()).collect();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    for (array, before) in arrays.iter().zip(before) {
        let calls = array.calls() - before;
        assert!(calls <= 120, "{calls} calls in an hour to {}", array.name());
    }
    let known = node.engine.attachments().await.unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].name, name("ours"));
    assert_eq!(node.engine.adopted(), [name("ours")]);
    assert!(node.engine.take_adopted(&name("ours")));
    assert!(!node.engine.take_adopted(&name("ours")));
    let error = node.engine.mount(name("other"), soon()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error}");
    assert_eq!(node.attacher.unrecorded().await.unwrap().len(), 1);
}
