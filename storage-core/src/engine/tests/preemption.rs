//! The right to shut another host out: whose it is, and when it is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::claims::{Rule, Setting, build};
use super::{Node, arrays, name, node, options, soon};
use crate::attach::{Attacher, AttachmentState};
use crate::engine::MountVolume;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{Fate, MemoryArray, Wire};

fn by_right() -> MountVolume {
    MountVolume {
        name: name("v"),
        may_preempt: true,
    }
}

/// Two nodes; the first has the volume mounted.
async fn held() -> (Vec<Arc<MemoryArray>>, Node, Node) {
    let arrays = arrays();
    let (one, two) = (node(&arrays, "one"), node(&arrays, "two"));
    let made = one.engine.create(name("v"), options(&[]), soon()).await;
    assert!(made.unwrap().is_done());
    one.engine.mount(by_right(), soon()).await.unwrap();
    (arrays, one, two)
}

/// Whether the volume is mounted there on a device that works.
async fn mounted(node: &Node) -> bool {
    drop(node.attacher.heal().await.unwrap());
    let attachments = node.attacher.attachments().await.unwrap();
    attachments
        .iter()
        .any(|one| one.state == AttachmentState::Mounted)
}

fn refused(result: Result<std::path::PathBuf>) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    error
}

#[tokio::test(start_paused = true)]
async fn a_mount_by_right_takes_the_volume_over() {
    let (_arrays, one, two) = held().await;
    let error = refused(two.engine.mount(name("v"), soon()).await);
    assert!(error.message().contains("one-"), "{error}");
    two.engine.mount(by_right(), soon()).await.unwrap();
    assert!(mounted(&two).await && !mounted(&one).await);
    two.engine.unmount(name("v"), soon()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_shut_out_does_not_take_it_back() {
    let (_arrays, one, two) = held().await;
    two.engine.mount(by_right(), soon()).await.unwrap();
    // A second container, a copy: whatever has to do with the old mount, seen gone or not.
    let error = refused(one.engine.mount(by_right(), soon()).await);
    assert!(error.to_string().contains("nobody was shut out"), "{error}");
    assert!(mounted(&two).await && !mounted(&one).await);
    refused(one.engine.mount(by_right(), soon()).await);
    // Nothing is on record any more once its array knows: a restart policy asks again all the same.
    one.engine.unmount(name("v"), soon()).await.unwrap();
    assert!(one.engine.attachments().await.unwrap().is_empty());
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        refused(one.engine.mount(by_right(), soon()).await);
    }
    assert!(mounted(&two).await);
    // Nobody has asked here for long: who comes now was placed here.
    tokio::time::sleep(Duration::from_secs(601)).await;
    one.engine.mount(by_right(), soon()).await.unwrap();
    assert!(mounted(&one).await && !mounted(&two).await);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_shut_out_has_the_volume_again_once_it_is_free() {
    let (_arrays, one, two) = held().await;
    two.engine.mount(by_right(), soon()).await.unwrap();
    refused(one.engine.mount(by_right(), soon()).await);
    two.engine.unmount(name("v"), soon()).await.unwrap();
    one.engine.mount(by_right(), soon()).await.unwrap();
    assert!(mounted(&one).await);
    // And is a host like others then.
    one.engine.unmount(name("v"), soon()).await.unwrap();
    two.engine.mount(by_right(), soon()).await.unwrap();
    one.engine.mount(by_right(), soon()).await.unwrap();
    assert!(mounted(&one).await);
}

#[tokio::test(start_paused = true)]
async fn two_hosts_whose_restart_policies_never_rest_do_not_take_the_volume_from_each_other() {
    let (_arrays, one, two) = held().await;
    two.engine.mount(by_right(), soon()).await.unwrap();
    // The container ends with its errors before anybody looked; its policy starts it again.
    one.engine.unmount(name("v"), soon()).await.unwrap();
    for _ in 0..30 {
        refused(one.engine.mount(by_right(), soon()).await);
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert!(mounted(&two).await);
}

/// Its plugin died with it, and another host has the volume by the time it is back.
#[tokio::test(start_paused = true)]
async fn a_host_that_comes_back_takes_nothing_back_for_its_restart_policy() {
    let (arrays, one, two) = held().await;
    two.engine.mount(by_right(), soon()).await.unwrap();
    let back = super::process(&arrays, Arc::clone(&one.attacher));
    back.engine.start().await.unwrap();
    for _ in 0..30 {
        refused(back.engine.mount(by_right(), soon()).await);
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert!(mounted(&two).await && !mounted(&back).await);
    assert!(back.engine.attachments().await.unwrap().is_empty());
    back.engine.stop(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gave_up_shuts_nobody_out() {
    let (arrays, one, two) = held().await;
    let found = two.engine.find(&name("v"), soon()).await.unwrap();
    assert!(found.is_some(), "known, so that the publish comes first");
    arrays
        .iter()
        .for_each(|array| array.set_delay(Duration::from_secs(5)));
    // By its deadline; and by going away.
    let impatient = Instant::now() + Duration::from_secs(1);
    let error = two.engine.mount(by_right(), impatient).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(mounted(&one).await && !mounted(&two).await);
    let engine = Arc::clone(&two.engine);
    let gone = tokio::spawn(async move { engine.mount(by_right(), soon()).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    gone.abort();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(mounted(&one).await && !mounted(&two).await);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_keeps_the_right_of_one_that_gave_up() {
    let (arrays, one, two) = held().await;
    arrays
        .iter()
        .for_each(|array| array.set_delay(Duration::from_secs(2)));
    let impatient = Instant::now() + Duration::from_secs(1);
    let patient = two.engine.mount(by_right(), soon());
    let (first, second) = tokio::join!(two.engine.mount(by_right(), impatient), patient);
    assert_eq!(first.unwrap_err().kind(), ErrorKind::Timeout);
    second.unwrap();
    assert!(mounted(&two).await && !mounted(&one).await);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_comes_later_brings_its_own_right() {
    let (arrays, one, two) = held().await;
    arrays
        .iter()
        .for_each(|array| array.set_delay(Duration::from_secs(5)));
    let impatient = Instant::now() + Duration::from_secs(1);
    drop(two.engine.mount(by_right(), impatient).await);
    // The abandoned one is still under way, and is not joined.
    let later = Instant::now() + Duration::from_secs(100);
    two.engine.mount(by_right(), later).await.unwrap();
    assert!(mounted(&two).await && !mounted(&one).await);
}

#[tokio::test(start_paused = true)]
async fn background_work_shuts_nobody_out() {
    let (_arrays, one, two) = held().await;
    two.engine.mount(by_right(), soon()).await.unwrap();
    one.engine.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(mounted(&two).await);
    assert!(one.engine.attachments().await.unwrap().is_empty());
    assert_eq!(one.engine.mountpoint(&name("v")), None);
    one.engine.stop(Duration::from_secs(5)).await;
}

/// The first request of a step by this node has this fate, all others are answered.
fn once(step: &'static str, fate: Fate) -> Arc<dyn Wire> {
    let over = AtomicBool::new(false);
    Rule::new(move |request| {
        let first = request.step == step && !over.swap(true, Ordering::SeqCst);
        first.then_some(fate)
    })
}

/// The array took the connection away, and its answer was lost: nobody has shut this host out. Else a
/// scheduler that tries again and again would be refused for ever when the next host dies.
#[tokio::test(start_paused = true)]
async fn an_unmount_whose_answer_was_lost_is_no_fence() {
    let arrays = super::claims::arrays(2);
    let one = build(&Setting {
        arrays: &arrays,
        host: "one",
        namespace: "test",
        wire: Some(once("disconnect", Fate::AnswerLost)),
    });
    let two = node(&arrays, "two");
    one.start().await.unwrap();
    let made = one.create(name("v"), options(&[]), soon()).await;
    assert!(made.unwrap().is_done());
    one.mount(by_right(), soon()).await.unwrap();
    one.unmount(name("v"), soon()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(one.attachments().await.unwrap().is_empty());
    two.engine.mount(by_right(), soon()).await.unwrap();
    one.mount(by_right(), soon()).await.unwrap();
    assert!(!mounted(&two).await);
}

/// A host that was shut out, and whose container ended while its array was silent.
#[tokio::test(start_paused = true)]
async fn a_host_that_could_not_tell_its_array_does_not_take_the_volume_back() {
    let (arrays, one, two) = held().await;
    one.engine.start().await.unwrap();
    two.engine.mount(by_right(), soon()).await.unwrap();
    arrays.iter().for_each(|array| array.set_down(true));
    one.engine.unmount(name("v"), soon()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1500)).await;
    arrays.iter().for_each(|array| array.set_down(false));
    for _ in 0..60 {
        refused(one.engine.mount(by_right(), soon()).await);
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    assert!(one.engine.attachments().await.unwrap().is_empty());
    assert!(mounted(&two).await && !mounted(&one).await);
}
