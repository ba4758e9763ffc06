//! Every call of create, publish, unpublish and delete is lost once, before or after its effect,
//! or for good; then the same operation is done again. It must converge, with nothing left over.

use array_sim::{FaultAction, FaultRule};
use backend_flasharray::FlashArray;
use storage_core::{Backend, ErrorKind, Volume, VolumeState, is_reserved};

use crate::support::{Rig, Verbs, request};

const LOSSES: [FaultAction; 4] = [
    FaultAction::ResetBefore,
    FaultAction::ResetAfter,
    FaultAction::Late { ms: 20 },
    FaultAction::Busy,
];

fn forever(method: &str, path: &str, action: FaultAction) -> FaultRule {
    let mut rule = FaultRule::once(method, path, action);
    rule.times = None;
    rule
}

/// After whatever happened: one usable volume of that name, whole, and no strays.
async fn assert_one(rig: &Rig, node: &dyn Backend, what: &str) -> Volume {
    let found = node
        .find("data")
        .await
        .unwrap_or_else(|| panic!("{what}: not there"));
    assert_eq!(found.state, VolumeState::Ready, "{what}");
    assert!(
        found.format_grant.is_some(),
        "{what}: the record is complete"
    );
    // What comes late may make a stray of its own, which says what it is.
    let mut objects = rig.objects();
    let late = what.contains("Late");
    objects.retain(|object| !(late && object.contains("-fl-new-")));
    assert_eq!(objects, [found.object.as_str()], "{what}");
    found
}

#[tokio::test]
async fn a_call_of_create_that_is_lost_once_costs_nothing() {
    for (method, path) in [
        ("POST", "volumes"),
        ("PUT", "volumes/tags/batch"),
        ("PATCH", "volumes"),
    ] {
        for action in LOSSES {
            let what = format!("{method} {path} {action:?}");
            let rig = Rig::new().await;
            let node = rig.node();
            node.telemetry().await.unwrap();
            rig.array.add_rule(FaultRule::once(method, path, action));
            let outcome = node.create(request("data")).await.expect(&what);
            assert!(outcome.is_done(), "{what}");
            let found = assert_one(&rig, &node, &what).await;
            assert_eq!(found.id, outcome.into_inner().id, "{what}");
        }
    }
}

#[tokio::test]
async fn a_create_that_fails_for_good_leaves_strays_at_most_and_the_next_one_works() {
    for (method, path) in [
        ("POST", "volumes"),
        ("PUT", "volumes/tags/batch"),
        ("PATCH", "volumes"),
    ] {
        for action in [FaultAction::ResetBefore, FaultAction::ResetAfter] {
            let what = format!("{method} {path} {action:?}");
            let rig = Rig::new().await;
            let node = rig.node();
            node.telemetry().await.unwrap();
            rig.array.add_rule(forever(method, path, action.clone()));
            let result = node.create(request("data")).await;
            rig.array.clear_faults();
            let committed = rig.array.volume("ns-data").is_some();
            match result {
                Ok(outcome) => assert!(committed && outcome.is_done(), "{what}"),
                Err(error) if error.kind() == ErrorKind::Timeout => {}
                // Every other error promises that none came to be.
                Err(error) => {
                    assert!(!committed, "{what}: {error:?}");
                    assert!(node.find("data").await.is_none(), "{what}: {error:?}");
                }
            }
            let made = node.make("data").await;
            let found = node.find("data").await.unwrap();
            assert_eq!(found.id, made.id, "{what}");
            let namespace = node.namespace();
            for object in rig.objects() {
                assert!(
                    object == found.object || is_reserved(namespace, &object),
                    "{what}: {object} is neither the volume nor recognisable"
                );
            }
            let strays = rig
                .array
                .volumes()
                .into_iter()
                .filter(|v| is_reserved(namespace, &v.name));
            for stray in strays {
                let connected = rig
                    .array
                    .connections()
                    .iter()
                    .any(|c| c.volume == stray.name);
                assert!(!connected, "{what}: a stray is empty and unconnected");
            }
        }
    }
}

#[tokio::test]
async fn a_rename_that_comes_late_is_told_as_unknown_and_found_afterwards() {
    let rig = Rig::new().await;
    let node = rig.node();
    node.telemetry().await.unwrap();
    // All tries are lost and so are the reads; the renames happen a moment later.
    rig.array
        .add_rule(forever("PATCH", "volumes", FaultAction::Late { ms: 30 }));
    rig.array
        .add_rule(forever("GET", "volumes", FaultAction::ResetBefore));
    let error = node.create(request("data")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    rig.array.clear_faults();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    let found = loop {
        if let Some(found) = node.find("data").await {
            break found;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "the late rename never came"
        );
        tokio::task::yield_now().await;
    };
    let again = node.create(request("data")).await.unwrap();
    assert!(!again.is_done());
    assert_eq!(again.into_inner().id, found.id);
    assert_eq!(rig.objects(), ["ns-data"]);
}

#[tokio::test]
async fn a_call_of_publish_that_is_lost_once_costs_no_more_than_a_repetition() {
    for (method, path, skip) in [
        ("GET", "connections", 0),
        ("POST", "connections", 0),
        ("GET", "connections", 1),
        ("GET", "volumes/tags", 0),
        ("PUT", "volumes/tags/batch", 0),
        ("POST", "hosts", 0),
        ("GET", "hosts", 0),
        ("GET", "ports", 0),
    ] {
        for action in LOSSES {
            let what = format!("{method} {path} {skip} {action:?}");
            let rig = Rig::new().await;
            let node = rig.node();
            let volume = node.make("data").await;
            let mut rule = FaultRule::once(method, path, action);
            rule.skip = skip;
            rig.array.add_rule(rule);
            let access = match node.give(&volume, 1).await {
                // A connection is asked for once: the caller repeats.
                Err(error) if (method, path) == ("POST", "connections") => {
                    assert_eq!(error.kind(), ErrorKind::Timeout, "{what}: {error:?}");
                    node.give(&volume, 1).await.expect(&what).into_inner()
                }
                answer => answer.expect(&what).into_inner(),
            };
            assert_eq!(rig.array.connections().len(), 1, "{what}");
            assert_eq!(rig.array.hosts().len(), 1, "{what}");
            let published = node.published(&volume).await.unwrap();
            assert_eq!(published[0].nonce, Some(access.grant.nonce), "{what}");
            assert_eq!(access.format_grant, volume.format_grant, "{what}");
        }
    }
}

#[tokio::test]
async fn a_publish_that_fails_for_good_is_finished_by_the_next() {
    for (method, path, skip) in [
        ("POST", "connections", 0),
        ("GET", "connections", 1),
        ("GET", "volumes/tags", 0),
        ("PUT", "volumes/tags/batch", 0),
    ] {
        for action in [FaultAction::ResetBefore, FaultAction::ResetAfter] {
            let what = format!("{method} {path} {skip} {action:?}");
            let rig = Rig::new().await;
            let node = rig.node();
            let volume = node.make("data").await;
            let mut rule = forever(method, path, action);
            rule.skip = skip;
            rig.array.add_rule(rule);
            drop(node.give(&volume, 1).await);
            rig.array.clear_faults();
            let access = node.give(&volume, 1).await.expect(&what).into_inner();
            let again = node.give(&volume, 1).await.expect(&what);
            assert!(!again.is_done(), "{what}");
            assert_eq!(again.into_inner(), access, "{what}");
            assert_eq!(rig.array.connections().len(), 1, "{what}");
        }
    }
}

#[tokio::test]
async fn a_call_of_unpublish_that_is_lost_once_costs_nothing() {
    for (method, path) in [("DELETE", "connections"), ("GET", "connections")] {
        for action in LOSSES {
            let what = format!("{method} {path} {action:?}");
            let rig = Rig::new().await;
            let node = rig.node();
            let volume = node.make("data").await;
            node.give(&volume, 1).await.unwrap().into_inner();
            rig.array.add_rule(FaultRule::once(method, path, action));
            node.take(&volume, 1).await.expect(&what).into_inner();
            assert!(rig.array.connections().is_empty(), "{what}");
            assert!(
                !node.take(&volume, 1).await.expect(&what).is_done(),
                "{what}"
            );
        }
    }
}

#[tokio::test]
async fn a_call_of_delete_that_is_lost_once_costs_nothing() {
    for (method, path, skip) in [
        ("GET", "volume-snapshots", 0),
        ("PATCH", "volumes", 0),
        ("GET", "connections", 0),
        ("PATCH", "volumes", 1),
    ] {
        for action in LOSSES {
            let what = format!("{method} {path} {skip} {action:?}");
            let rig = Rig::new().await;
            let node = rig.node();
            let volume = node.make("data").await;
            let mut rule = FaultRule::once(method, path, action);
            rule.skip = skip;
            rig.array.add_rule(rule);
            assert!(node.remove(&volume).await.expect(&what).is_done(), "{what}");
            assert!(rig.objects().is_empty(), "{what}");
            assert!(node.find("data").await.is_none(), "{what}");
        }
    }
}

#[tokio::test]
async fn a_delete_that_fails_for_good_is_finished_by_the_next() {
    for (method, path, skip) in [
        ("PATCH", "volumes", 0),
        ("GET", "connections", 0),
        ("PATCH", "volumes", 1),
    ] {
        for action in [FaultAction::ResetBefore, FaultAction::ResetAfter] {
            let what = format!("{method} {path} {skip} {action:?}");
            let rig = Rig::new().await;
            let node = rig.node();
            let volume = node.make("data").await;
            let mut rule = forever(method, path, action);
            rule.skip = skip;
            rig.array.add_rule(rule);
            drop(node.remove(&volume).await);
            rig.array.clear_faults();
            // From another node, which knows what it finds.
            let elsewhere = rig.node();
            if let Some(found) = elsewhere.find("data").await {
                assert!(
                    matches!(found.state, VolumeState::Ready | VolumeState::Deleting),
                    "{what}"
                );
                assert!(
                    elsewhere.remove(&found).await.expect(&what).is_done(),
                    "{what}"
                );
            }
            assert!(rig.objects().is_empty(), "{what}: {:?}", rig.objects());
            assert!(elsewhere.find("data").await.is_none(), "{what}");
            // The name is free at once.
            elsewhere.make("data").await;
        }
    }
}

#[tokio::test]
async fn a_full_array_is_told_as_such_and_keeps_nothing() {
    for space in [
        array_sim::SpaceLeft::Full,
        array_sim::SpaceLeft::VolumeLimit,
    ] {
        let rig = Rig::new().await;
        let node = rig.node();
        let mut plan = array_sim::FaultPlan::default();
        plan.space = space;
        rig.array.set_faults(plan);
        let error = node.create(request("data")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error:?}");
        assert!(rig.objects().is_empty());
    }
}

/// A node that sends each call once, and a create whose first rename comes late.
async fn late_rename(own_name_refused: bool) -> (Rig, FlashArray) {
    let rig = Rig::with(|config| config.refuse_rename_to_own_name = own_name_refused).await;
    let mut config = rig.config("ns");
    config.retry.attempts = 1;
    let node = FlashArray::new(config).unwrap();
    node.telemetry().await.unwrap();
    rig.array.add_rule(FaultRule::once(
        "PATCH",
        "volumes",
        FaultAction::Late { ms: 300 },
    ));
    (rig, node)
}

#[tokio::test]
async fn a_volume_that_was_named_late_is_never_taken_for_anothers() {
    let (rig, node) = late_rename(true).await;
    // The second rename arrives after the first one was executed, and is refused: the array says
    // of the volume's own name that it is taken.
    rig.array
        .add_rule(FaultRule::once("PATCH", "volumes", FaultAction::HoldBefore));
    let task = tokio::spawn(async move { node.create(request("data")).await });
    rig.until_held(1).await;
    rig.until(|array| array.volume("ns-data").is_some()).await;
    rig.array.release_held();
    let outcome = task.await.unwrap().unwrap();
    assert!(outcome.is_done(), "it is this call's volume");
    let found = assert_one(&rig, &rig.node(), "a late rename").await;
    assert_eq!(found.id, outcome.into_inner().id);
}

#[tokio::test]
async fn a_volume_that_is_named_while_its_name_is_looked_up_is_this_calls() {
    let (rig, node) = late_rename(false).await;
    let message = "Volume already exists.".to_owned();
    rig.array.add_rule(FaultRule::once(
        "PATCH",
        "volumes",
        FaultAction::Refuse { message },
    ));
    // After two looks at the volume itself: the look for whoever has the name.
    let mut rule = FaultRule::once("GET", "volumes", FaultAction::HoldBefore);
    rule.skip = 2;
    rig.array.add_rule(rule);
    let task = tokio::spawn(async move { node.create(request("data")).await });
    rig.until_held(1).await;
    rig.until(|array| array.volume("ns-data").is_some()).await;
    rig.array.release_held();
    let outcome = task.await.unwrap().unwrap();
    assert!(outcome.is_done(), "it is this call's volume");
    let found = assert_one(&rig, &rig.node(), "named meanwhile").await;
    assert_eq!(found.id, outcome.into_inner().id);
}

#[tokio::test]
async fn an_end_without_proof_after_a_lost_rename_is_unknown() {
    let refuse = |message: &str| FaultAction::Refuse {
        message: message.to_owned(),
    };
    let forever = |method, path, action, skip| {
        let mut rule = forever(method, path, action);
        rule.skip = skip;
        rule
    };
    // What comes after the lost rename: refused for another reason; refused as taken, and who has
    // it cannot be looked up; refused as taken by nobody.
    let taken = || FaultRule::once("PATCH", "volumes", refuse("Volume already exists."));
    let endings = [
        vec![FaultRule::once("PATCH", "volumes", refuse("Not today."))],
        vec![
            taken(),
            forever("GET", "volumes", FaultAction::ResetBefore, 2),
        ],
        vec![taken(), taken()],
        vec![forever("GET", "volumes", FaultAction::ResetBefore, 0)],
    ];
    for rules in endings {
        let what = format!("{rules:?}");
        let (rig, node) = late_rename(false).await;
        for rule in rules {
            rig.array.add_rule(rule);
        }
        let error = node.create(request("data")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{what}: {error:?}");
        rig.array.clear_faults();
        // The volume was left alone, so the late rename finds it.
        rig.until(|array| array.volume("ns-data").is_some()).await;
        assert_one(&rig, &node, &what).await;
    }
}

#[tokio::test]
async fn a_lost_rename_and_anothers_volume_under_the_name_are_so_already() {
    let (rig, node) = late_rename(false).await;
    // Another node is faster than the late rename.
    rig.array
        .add_rule(FaultRule::once("PATCH", "volumes", FaultAction::HoldBefore));
    let task = tokio::spawn(async move { node.create(request("data")).await });
    rig.until_held(1).await;
    let other = rig.node().make("data").await;
    rig.array.release_held();
    let outcome = task.await.unwrap().unwrap();
    assert!(!outcome.is_done());
    assert_eq!(outcome.into_inner().id, other.id);
    assert_eq!(rig.objects(), ["ns-data"], "the tentative volume went");
}

#[tokio::test]
async fn a_taken_name_whose_volume_cannot_be_looked_up_is_unknown() {
    let rig = Rig::new().await;
    let node = rig.node();
    node.telemetry().await.unwrap();
    rig.array
        .add_rule(FaultRule::once("PATCH", "volumes", FaultAction::HoldBefore));
    let task = tokio::spawn(async move { node.create(request("data")).await });
    rig.until_held(1).await;
    // Another node's rename wins, and who has the name cannot be looked up.
    let other = rig.node().make("data").await;
    rig.array
        .add_rule(forever("GET", "volumes", FaultAction::ResetBefore));
    rig.array.release_held();
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    assert!(error.message().contains("repeat the call"), "{error}");
    rig.array.clear_faults();
    assert_eq!(rig.objects(), ["ns-data"], "the tentative volume went");
    let again = rig.node().create(request("data")).await.unwrap();
    assert!(!again.is_done());
    assert_eq!(again.into_inner().id, other.id);
}

/// What may go wrong between a connection that was made and its grant.
fn ends_after_the_connection() -> Vec<FaultRule> {
    let refuse = || FaultAction::Refuse {
        message: "Not today.".to_owned(),
    };
    let moved = FaultAction::Refuse {
        message: "Volume does not exist.".to_owned(),
    };
    let mut read_back = forever("GET", "connections", moved);
    read_back.skip = 1;
    vec![
        forever("GET", "volumes/tags", refuse()),
        forever("PUT", "volumes/tags/batch", refuse()),
        forever("PUT", "volumes/tags/batch", FaultAction::ResetBefore),
        read_back,
    ]
}

#[tokio::test]
async fn a_publish_that_fails_after_its_connection_takes_it_away() {
    for version in ["2.2", "2.26"] {
        for rule in ends_after_the_connection() {
            let what = format!("REST {version} {rule:?}");
            let rig = Rig::with(|config| config.rest_versions = vec![version.to_owned()]).await;
            let node = rig.node();
            let volume = node.make("data").await;
            rig.array.add_rule(rule);
            node.give(&volume, 1).await.expect_err(&what);
            let posts = rig.taken()["POST connections"];
            assert_eq!(posts, 1, "{what}");
            assert!(rig.array.connections().is_empty(), "{what}");
        }
    }
}

#[tokio::test]
async fn a_publish_that_cannot_take_its_connection_away_says_so() {
    for rule in ends_after_the_connection() {
        let what = format!("{rule:?}");
        let rig = Rig::new().await;
        let node = rig.node();
        let volume = node.make("data").await;
        rig.array.add_rule(rule);
        rig.array
            .add_rule(forever("DELETE", "connections", FaultAction::ResetBefore));
        let error = node.give(&volume, 1).await.expect_err(&what);
        assert_eq!(error.kind(), ErrorKind::Timeout, "{what}: {error:?}");
        assert_eq!(rig.array.connections().len(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_publish_that_fails_before_its_connection_is_told_as_it_is() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    rig.array
        .add_rule(forever("GET", "connections", FaultAction::ResetBefore));
    let error = node.give(&volume, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(!rig.taken().contains_key("DELETE connections"));
}
