//! What a host can reach.

use std::collections::BTreeSet;

use storage_core::{Backend, HeldVolume, Volume};

use crate::harness::{Harness, Hook, Verdict};
use crate::retrying::Retrying;
use crate::stage::{NO_RENAME, Stage, create_on, publish_on};

/// What a node tells of a host, in an order.
async fn held(
    node: &Retrying,
    stage: &Stage<'_>,
    host: usize,
) -> BTreeSet<(String, String, String)> {
    let held = node.held_by(&stage.host(host)).await.expect("held by");
    let count = held.len();
    let told: BTreeSet<_> = held.iter().map(entry).collect();
    assert_eq!(told.len(), count, "each volume once: {held:?}");
    told
}

fn entry(held: &HeldVolume) -> (String, String, String) {
    let id = held.volume.to_string();
    (id, held.name.as_str().to_owned(), held.object.clone())
}

fn entries(volumes: &[&Volume]) -> BTreeSet<(String, String, String)> {
    let one = |volume: &&Volume| {
        let name = volume.name.as_str().to_owned();
        (volume.id.to_string(), name, volume.object.clone())
    };
    volumes.iter().map(one).collect()
}

/// Every volume of the namespace that the host was given, and no other: not other hosts', not
/// other clusters', not an administrator's. Any node tells it.
pub async fn exactly_what_the_host_holds_is_told(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let other_cluster = stage.other_cluster().await;
    let one = stage.create("one").await;
    let two = stage.create("A name that does not fit").await;
    let others = stage.create("others").await;
    stage.create("nobodys").await;
    let theirs = create_on(&other_cluster, "one").await;
    for volume in [&one, &two] {
        let _outcome = stage.publish(volume, 0).await.expect("publish");
    }
    let _outcome = stage.publish(&others, 1).await.expect("publish");
    let _outcome = publish_on(&other_cluster, &theirs, stage.host(0))
        .await
        .expect("publish");
    let elsewhere = stage.another_node().await;
    for node in [&stage.node, &elsewhere] {
        assert_eq!(held(node, &stage, 0).await, entries(&[&one, &two]));
        assert_eq!(held(node, &stage, 1).await, entries(&[&others]));
    }
    let told = held(&other_cluster, &stage, 0).await;
    assert_eq!(told, entries(&[&theirs]));

    let foreign = "administrators-host";
    if harness.connect_foreign(&others.object, foreign).await == Hook::Done {
        assert_eq!(held(&stage.node, &stage, 0).await, entries(&[&one, &two]));
    }
    Verdict::Passed
}

/// The array has no object for it: it reaches nothing.
pub async fn a_host_unheard_of_holds_nothing(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    stage.create("data").await;
    assert_eq!(held(&stage.node, &stage, 0).await, BTreeSet::new());
    Verdict::Passed
}

/// After an unpublish.
pub async fn what_was_taken_away_is_not_held(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let (kept, gone) = (stage.create("kept").await, stage.create("gone").await);
    for volume in [&kept, &gone] {
        let _outcome = stage.publish(volume, 0).await.expect("publish");
    }
    let _outcome = stage.unpublish(&gone, 0).await.expect("unpublish");
    assert_eq!(held(&stage.node, &stage, 0).await, entries(&[&kept]));
    let _outcome = stage.unpublish(&kept, 0).await.expect("unpublish");
    assert_eq!(held(&stage.node, &stage, 0).await, BTreeSet::new());
    Verdict::Passed
}

/// A connection counts whatever the object is called, and the user's name is told.
pub async fn a_half_removed_volume_is_still_held(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("used").await;
    let _outcome = stage.publish(&made, 0).await.expect("publish");
    let Some(found) = stage.cut_off_delete(&made).await else {
        return Verdict::skipped(NO_RENAME);
    };
    assert_eq!(held(&stage.node, &stage, 0).await, entries(&[&found]));
    Verdict::Passed
}

/// A volume tells people its holder for as long as somebody is connected.
pub async fn a_volume_tells_its_holder(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("data").await;
    assert_eq!(made.holder, None);
    for host in [0, 1] {
        let _given = stage.publish(&made, host).await.expect("publish");
        let machine = stage.host(host).object_name();
        let by_name = stage.get("data").await.expect("found");
        let by_id = stage.get_id(&made).await.expect("found");
        let listed = stage.list(None).await;
        for seen in [&by_name, &by_id, &listed[0]] {
            assert_eq!(seen.holder.as_ref(), Some(&machine));
        }
        let _taken = stage.unpublish(&made, host).await.expect("unpublish");
        let seen = stage.get("data").await.expect("found");
        assert_eq!(seen.holder, None, "nobody is connected");
    }
    Verdict::Passed
}
