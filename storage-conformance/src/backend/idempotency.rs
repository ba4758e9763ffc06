//! The same call again, from any node, at any time.

use std::collections::BTreeSet;
use std::sync::Arc;

use storage_core::{ArrayNumber, Backend, ClaimNonce, CreateVolume, Ownership, Size};
use tokio::task::JoinSet;

use crate::harness::{Harness, Hook, Verdict};
use crate::stage::{Stage, essence, request};

/// The volume that carries the name is what every later create gives, whatever it asked for.
pub async fn creating_again_gives_the_same_volume(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("data").await;
    let elsewhere = stage.another_node().await;
    for node in [&stage.node, &elsewhere] {
        let larger = CreateVolume {
            size: Size::from_gib(9),
            ..request("data")
        };
        for asked in [request("data"), larger] {
            let again = node.create(asked).await.expect("create again");
            assert!(!again.is_done(), "it is there already");
            assert_eq!(essence(again.get()), essence(&made));
        }
    }
    assert_eq!(stage.list(None).await.len(), 1);
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// However many nodes create one name at once, there is one volume, and all of them get it.
pub async fn racing_creates_of_one_name_give_one_volume(harness: &dyn Harness) -> Verdict {
    const NODES: usize = 8;
    let stage = Stage::new(harness).await;
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(Arc::new(stage.another_node().await));
    }
    for text in ["raced", "Raced Again"] {
        let mut racers = JoinSet::new();
        for node in &nodes {
            let node = Arc::clone(node);
            let asked = request(text);
            racers.spawn(async move { node.create(asked).await });
        }
        let mut ids = BTreeSet::new();
        let mut made = 0;
        while let Some(racer) = racers.join_next().await {
            let outcome = racer.expect("no panic").expect("every create succeeds");
            made += usize::from(outcome.is_done());
            ids.insert(outcome.into_inner().id);
        }
        assert_eq!(ids.len(), 1, "all get one volume");
        assert!(
            made == 1 || harness.faulty(),
            "{made} say that they made it"
        );
        let seen = stage.get(text).await.expect("found");
        assert!(ids.contains(&seen.id));
    }
    assert_eq!(stage.list(None).await.len(), 2);
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// Creates of different names do not disturb each other.
pub async fn racing_creates_of_many_names_give_all(harness: &dyn Harness) -> Verdict {
    const VOLUMES: usize = 16;
    let stage = Stage::new(harness).await;
    let node = Arc::new(stage.another_node().await);
    let mut racers = JoinSet::new();
    for index in 0..VOLUMES {
        let node = Arc::clone(&node);
        let asked = request(&format!("volume{index}"));
        racers.spawn(async move { node.create(asked).await });
    }
    let mut ids = BTreeSet::new();
    while let Some(racer) = racers.join_next().await {
        let outcome = racer.expect("no panic").expect("every create succeeds");
        ids.insert(outcome.into_inner().id);
    }
    assert_eq!(ids.len(), VOLUMES);
    let listed: BTreeSet<_> = stage.list(None).await.into_iter().map(|v| v.id).collect();
    assert_eq!(listed, ids);
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// The permission to format goes once and for all, and nothing else with it. What never had one
/// does not get one.
pub async fn the_format_grant_is_withdrawn_once(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("data").await;
    assert!(made.format_grant.is_some());
    let withdrawn = stage.node.withdraw_format_grant(&made).await;
    stage.assert_done(&withdrawn.expect("withdraw"), "withdraw");
    let mut expected = essence(&made);
    expected.format_grant = None;
    let seen = stage.get("data").await.expect("found");
    assert_eq!(essence(&seen), expected);
    let elsewhere = stage.another_node().await;
    for volume in [&made, &seen] {
        let again = elsewhere.withdraw_format_grant(volume).await;
        assert!(!again.expect("withdraw again").is_done());
    }
    let again = stage
        .node
        .create(request("data"))
        .await
        .expect("create again");
    assert_eq!(
        again.get().format_grant,
        None,
        "create gives no second grant"
    );

    let object = format!("{}-legacy", stage.node.namespace());
    if harness.add_foreign(&object, Size::from_gib(1)).await == Hook::Done {
        let legacy = stage.get("legacy").await.expect("found");
        drop(stage.node.withdraw_format_grant(&legacy).await);
        let seen = stage.get("legacy").await.expect("found");
        assert_eq!(essence(&seen), essence(&legacy));
        assert_eq!(
            seen.ownership,
            Ownership::Unrecorded,
            "it is not adopted by this"
        );
    }
    Verdict::Passed
}

/// Create, publish, unpublish and delete, several times under one name, by alternating nodes.
pub async fn a_life_can_be_lived_again_and_again(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let elsewhere = stage.another_node().await;
    let mut ids = BTreeSet::new();
    for round in 0..5 {
        let node = if round % 2 == 0 {
            &stage.node
        } else {
            &elsewhere
        };
        let made = node.create(request("cyclic")).await.expect("create");
        let made = made.into_inner();
        assert!(ids.insert(made.id.clone()), "an identity is for ever");
        let access = stage.publish(&made, round % 2).await.expect("publish");
        stage.assert_alone(&made, access.get()).await;
        let _outcome = stage.unpublish(&made, round % 2).await.expect("unpublish");
        let _outcome = stage.delete(&made).await.expect("delete");
        assert_eq!(stage.get("cyclic").await, None);
    }
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// When all volumes are gone, nothing that is in use is left on the array.
pub async fn nothing_is_left_over(harness: &dyn Harness) -> Verdict {
    if harness.objects().await.is_none() {
        return Verdict::skipped("the harness cannot list the array's objects");
    }
    let stage = Stage::new(harness).await;
    for index in 0..4 {
        let text = format!("Passing Volume {index}");
        let asked = CreateVolume {
            nonce: ClaimNonce::by_chance(ArrayNumber::default()),
            ..request(&text)
        };
        let made = stage.node.create(asked).await.expect("create").into_inner();
        let _outcome = stage.publish(&made, 0).await.expect("publish");
        let _outcome = stage.unpublish(&made, 0).await.expect("unpublish");
        let _outcome = stage.delete(&made).await.expect("delete");
    }
    assert_eq!(stage.list(None).await, []);
    stage.assert_no_strays().await;
    Verdict::Passed
}
