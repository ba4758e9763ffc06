//! Shutting a host out: who may be, by whom, in which order, and what races and lost answers
//! leave. The array's own audit tells who was connected when.

mod release;

use array_sim::{Array, FaultAction, FaultRule};
use backend_flasharray::FlashArray;
use storage_core::{
    AccessPath, Backend, ErrorKind, FenceReason, Permit, PermitGuard, Volume, VolumeKey,
};
use tokio::task::JoinHandle;

use crate::support::{Rig, Verbs, host};

type Answer = storage_core::Result<storage_core::Outcome<storage_core::Access>>;

fn object(number: usize) -> String {
    host(number).object_name()
}

fn connected(array: &Array) -> Vec<String> {
    let mut hosts: Vec<String> = array
        .connections()
        .into_iter()
        .filter_map(|one| one.host)
        .collect();
    hosts.sort();
    hosts
}

/// One volume, held by host 1; and host 2 known to the node that will fence.
async fn held() -> (Rig, FlashArray, Volume) {
    let rig = Rig::new().await;
    let node = rig.node();
    let other = node.make("other").await;
    node.give(&other, 2).await.unwrap().into_inner();
    node.take(&other, 2).await.unwrap().into_inner();
    let volume = node.make("data").await;
    node.give(&volume, 1).await.unwrap().into_inner();
    rig.taken();
    (rig, node, volume)
}

fn hold(rig: &Rig, method: &str, action: FaultAction) {
    rig.array
        .add_rule(FaultRule::once(method, "connections", action));
}

/// A publish with the right to shut out, in a task of its own.
fn wresting(rig: &Rig, volume: &Volume, number: usize, permit: &Permit) -> JoinHandle<Answer> {
    let (node, volume, permit) = (rig.node(), volume.clone(), permit.clone());
    tokio::spawn(async move { node.wrest_with(&volume, number, permit).await })
}

#[tokio::test]
async fn a_fail_over_keeps_to_its_budget_and_is_recorded() {
    let (rig, node, volume) = held().await;
    let before = rig.array.connection_events().len();
    let access = node.wrest(&volume, 2).await.unwrap().into_inner();
    // Five, and the tags: read once, written once.
    let expected = [
        ("DELETE connections", 1),
        ("GET connections", 3),
        ("GET volumes/tags", 1),
        ("POST connections", 1),
        ("PUT volumes/tags/batch", 1),
    ];
    let expected = expected.map(|(call, count)| (call.to_owned(), count));
    assert_eq!(rig.taken().into_iter().collect::<Vec<_>>(), expected);

    let events = rig.array.connection_events().split_off(before);
    let steps: Vec<String> = events
        .iter()
        .map(|event| format!("{:?} {}", event.kind, event.host))
        .collect();
    assert_eq!(
        steps,
        [
            format!("Disconnected {}", object(1)),
            format!("Connected {}", object(2))
        ]
    );
    let published = node.published(&volume).await.unwrap();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].nonce, Some(access.grant.nonce));

    let fence = node.last_fence_of(&volume).await.unwrap();
    assert_eq!(fence.old_hosts, [object(1)]);
    assert_eq!(fence.new_host, Some(object(2)));
    assert_eq!(fence.reason, FenceReason::Mount);
    assert_eq!(fence.evidence, "read back: nobody connected");
    assert!(fence.at_ms > 1_700_000_000_000 && fence.duration_ms < 60_000);
    // What the volume is has not changed by it.
    let read = node.get(VolumeKey::Id(volume.id.clone())).await.unwrap();
    assert_eq!(read.unwrap().format_grant, volume.format_grant);
}

#[tokio::test]
async fn without_the_right_the_holder_is_named_and_stays() {
    let (rig, node, volume) = held().await;
    let (guard, permit) = PermitGuard::new();
    drop(guard);
    for answer in [
        node.give(&volume, 2).await,
        node.wrest_with(&volume, 2, permit).await,
    ] {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
        assert!(error.message().contains(&object(1)), "{error}");
    }
    assert!(!rig.taken().contains_key("DELETE connections"));
    assert_eq!(connected(&rig.array), [object(1)]);
    assert_eq!(node.last_fence_of(&volume).await, None);
}

#[tokio::test]
async fn the_way_out_is_named() {
    let (_rig, node, volume) = held().await;
    let error = node.give(&volume, 2).await.unwrap_err();
    let way = format!("fairlead volume release data --host {}", object(1));
    assert!(error.message().contains(&way), "{error}");
}

#[tokio::test]
async fn a_caller_that_gave_up_after_the_first_read_shuts_nobody_out() {
    let (rig, node, volume) = held().await;
    let (guard, permit) = PermitGuard::new();
    hold(&rig, "GET", FaultAction::HoldAfter);
    let task = wresting(&rig, &volume, 2, &permit);
    rig.until_held(1).await;
    drop(guard);
    rig.array.release_held();
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    assert!(
        error.message().contains("does not wait any more"),
        "{error}"
    );
    assert_eq!(connected(&rig.array), [object(1)]);
    assert!(!node.give(&volume, 1).await.unwrap().is_done());
}

#[tokio::test]
async fn a_fence_that_has_begun_is_finished_without_its_caller() {
    let (rig, node, volume) = held().await;
    let (guard, permit) = PermitGuard::new();
    hold(&rig, "DELETE", FaultAction::HoldAfter);
    let task = wresting(&rig, &volume, 2, &permit);
    rig.until_held(1).await;
    drop(guard);
    rig.array.release_held();
    let access = task.await.unwrap().unwrap().into_inner();
    let published = node.published(&volume).await.unwrap();
    assert_eq!(published[0].nonce, Some(access.grant.nonce));
}

#[tokio::test]
async fn foreign_hosts_and_groups_are_never_shut_out() {
    let rig = Rig::new().await;
    let (node, admin) = (rig.node(), rig.admin());
    let volume = node.make("data").await;
    admin.add_host("esx", &["iqn.esx"]).await;
    admin.connect("ns-data", "esx").await;
    let error = node.wrest(&volume, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    assert!(error.message().contains("esx, which Fairlead did not make"));

    // Also where one of ours is beside it: nothing of either is touched.
    node.give_to(&node.make("other").await, host(2))
        .await
        .unwrap()
        .into_inner();
    admin.connect("ns-data", &object(2)).await;
    rig.taken();
    let error = node.wrest(&volume, 1).await.unwrap_err();
    assert!(error.message().contains("esx"), "{error}");
    assert!(!rig.taken().contains_key("DELETE connections"));
    let here = rig.array.connections();
    let here = here.iter().filter(|one| one.volume == "ns-data").count();
    assert_eq!(here, 2);
}

#[tokio::test]
async fn an_administrators_host_that_holds_a_grant_of_ours_can_be_shut_out() {
    let rig = Rig::new().await;
    let node = rig.node();
    let iqn = host(1).initiators.iqns[0].clone();
    rig.admin().add_host("rack7-blade2", &[&iqn]).await;
    let volume = node.make("data").await;
    node.give(&volume, 1).await.unwrap().into_inner();
    assert_eq!(connected(&rig.array), ["rack7-blade2"]);
    node.wrest(&volume, 2).await.unwrap().into_inner();
    assert_eq!(connected(&rig.array), [object(2)]);
    let fence = node.last_fence_of(&volume).await.unwrap();
    assert_eq!(fence.old_hosts, ["rack7-blade2"]);
    // And now that the record names another one, it is a foreign host.
    rig.admin().connect("ns-data", "rack7-blade2").await;
    let error = node.wrest(&volume, 3).await.unwrap_err();
    assert!(error.message().contains("rack7-blade2"), "{error}");
    assert_eq!(connected(&rig.array).len(), 2);
}

#[tokio::test]
async fn who_comes_while_the_old_host_is_shut_out_is_not_touched() {
    let (rig, node, volume) = held().await;
    node.give(&node.make("more").await, 3)
        .await
        .unwrap()
        .into_inner();
    let (_guard, permit) = PermitGuard::new();
    hold(&rig, "DELETE", FaultAction::HoldAfter);
    let task = wresting(&rig, &volume, 2, &permit);
    rig.until_held(1).await;
    let newcomer = rig.node().give(&volume, 3).await.unwrap().into_inner();
    rig.array.release_held();
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    assert!(error.message().contains(&object(3)), "{error}");
    assert!(
        error
            .to_string()
            .contains(&format!("shut out all the same: {}", object(1))),
        "{error}"
    );
    let published = node.published(&volume).await.unwrap();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].nonce, Some(newcomer.grant.nonce));
}

#[tokio::test]
async fn who_comes_before_the_proof_keeps_what_it_has() {
    for newcomer in [1, 3] {
        let (rig, node, volume) = held().await;
        node.give(&node.make("more").await, 3)
            .await
            .unwrap()
            .into_inner();
        let (_guard, permit) = PermitGuard::new();
        hold(&rig, "POST", FaultAction::HoldBefore);
        let task = wresting(&rig, &volume, 2, &permit);
        rig.until_held(1).await;
        // The old host was seen gone. If it is back, it is a newcomer as any other.
        let access = rig
            .node()
            .give(&volume, newcomer)
            .await
            .unwrap()
            .into_inner();
        rig.array.release_held();
        let error = task.await.unwrap().unwrap_err();
        let kinds = [ErrorKind::Busy, ErrorKind::FailedPrecondition];
        assert!(kinds.contains(&error.kind()), "{error:?}");
        assert!(error.message().contains(&object(newcomer)), "{error}");
        assert_eq!(node.published(&volume).await.unwrap().len(), 1);
        let again = node.give(&volume, newcomer).await.unwrap();
        assert!(!again.is_done(), "its grant stands");
        assert_eq!(again.into_inner().grant, access.grant);
    }
}

#[tokio::test]
async fn two_that_shut_the_same_host_out_end_with_one_grant() {
    for round in 0..20 {
        let (rig, node, volume) = held().await;
        if round % 2 == 0 {
            // Both have seen the old host before either acts: the race at its worst.
            let mut rule = FaultRule::once("DELETE", "connections", FaultAction::HoldBefore);
            rule.times = Some(2);
            rig.array.add_rule(rule);
        }
        let (_guard, permit) = PermitGuard::new();
        let tasks = [2, 3].map(|number| wresting(&rig, &volume, number, &permit));
        if round % 2 == 0 {
            rig.until_held(2).await;
            rig.array.release_held();
        }
        let mut granted = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(outcome) => granted.push(outcome.into_inner().grant),
                Err(error) => {
                    let kinds = [ErrorKind::Busy, ErrorKind::FailedPrecondition];
                    assert!(kinds.contains(&error.kind()), "{error:?}");
                }
            }
        }
        // One after the other, the second shuts the first out: then its grant is the last.
        let last = granted.last().map(|grant| grant.nonce);
        assert!(last.is_some(), "round {round}");
        let published = node.published(&volume).await.unwrap();
        assert_eq!(published.len(), 1, "round {round}: {published:?}");
        assert!(
            granted
                .iter()
                .any(|grant| Some(grant.nonce) == published[0].nonce),
            "round {round}"
        );
        if round % 2 == 0 {
            assert_eq!(granted.len(), 1, "round {round}: frozen before");
        }
    }
}

#[tokio::test]
async fn a_victim_that_leaves_by_itself_does_not_spare_the_others() {
    let (rig, node, volume) = held().await;
    rig.admin().connect("ns-data", &object(2)).await;
    let (_guard, permit) = PermitGuard::new();
    hold(&rig, "DELETE", FaultAction::HoldBefore);
    let task = wresting(&rig, &volume, 3, &permit);
    rig.until_held(1).await;
    rig.admin().disconnect("ns-data", &object(2)).await;
    rig.array.release_held();
    task.await.unwrap().unwrap().into_inner();
    assert_eq!(connected(&rig.array), [object(3)]);
    let mut old = node.last_fence_of(&volume).await.unwrap().old_hosts;
    old.sort();
    assert_eq!(old, [object(1), object(2)]);
}

#[tokio::test]
async fn a_call_of_a_fail_over_that_is_lost_once_costs_nothing() {
    for (method, path, skip) in [
        ("GET", "connections", 0),
        ("DELETE", "connections", 0),
        ("GET", "connections", 1),
        ("POST", "connections", 0),
        ("GET", "connections", 2),
        ("GET", "volumes/tags", 0),
        ("PUT", "volumes/tags/batch", 0),
    ] {
        for action in [
            FaultAction::ResetBefore,
            FaultAction::ResetAfter,
            FaultAction::Busy,
        ] {
            if (method, &action) == ("POST", &FaultAction::ResetBefore) {
                // Not asked again: see below.
                continue;
            }
            let what = format!("{method} {path} {skip} {action:?}");
            let (rig, node, volume) = held().await;
            let mut rule = FaultRule::once(method, path, action);
            rule.skip = skip;
            rig.array.add_rule(rule);
            let access = node.wrest(&volume, 2).await.expect(&what).into_inner();
            assert_eq!(connected(&rig.array), [object(2)], "{what}");
            let published = node.published(&volume).await.unwrap();
            assert_eq!(published[0].nonce, Some(access.grant.nonce), "{what}");
            let fence = node.last_fence_of(&volume).await.expect(&what);
            assert_eq!(fence.old_hosts, [object(1)], "{what}");
        }
    }
}

#[tokio::test]
async fn a_fail_over_that_fails_for_good_is_finished_by_the_next() {
    for (method, path, skip) in [
        ("DELETE", "connections", 0),
        ("GET", "connections", 1),
        ("POST", "connections", 0),
        ("PUT", "volumes/tags/batch", 0),
    ] {
        for action in [FaultAction::ResetBefore, FaultAction::ResetAfter] {
            let what = format!("{method} {path} {skip} {action:?}");
            let (rig, node, volume) = held().await;
            let mut rule = FaultRule::once(method, path, action);
            (rule.skip, rule.times) = (skip, None);
            rig.array.add_rule(rule);
            // Where the answer alone was lost, it may have come through all the same.
            drop(node.wrest(&volume, 2).await);
            rig.array.clear_faults();
            let access = node.wrest(&volume, 2).await.expect(&what).into_inner();
            assert_eq!(connected(&rig.array), [object(2)], "{what}");
            let published = node.published(&volume).await.unwrap();
            assert_eq!(published[0].nonce, Some(access.grant.nonce), "{what}");
        }
    }
}

/// A number that was asked for once, without an answer, never comes back under a mount: the next
/// call gets another, and the late request finds it connected, or brings a number to life under which
/// nothing is mounted.
#[tokio::test]
async fn a_connection_that_comes_late_has_another_number_than_the_grant() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    let once = FaultRule::once("POST", "connections", FaultAction::Late { ms: 700 });
    rig.array.add_rule(once);
    let error = node.give(&volume, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    assert_eq!(rig.taken()["POST connections"], 1, "asked for once");
    let access = node.give(&volume, 1).await.unwrap().into_inner();
    let AccessPath::Iscsi { lun, .. } = access.path else {
        panic!("{access:?}");
    };
    let other = rig.node().wrest(&volume, 2).await.unwrap().into_inner();
    rig.until(|array| array.connections().len() == 2).await;
    let late = rig.array.connections();
    let late = late.iter().find(|one| one.host == Some(object(1))).unwrap();
    assert_ne!(late.lun, lun);
    // The holder holds on, and the next one who may shuts both out.
    let again = node.give(&volume, 2).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Busy, "{again:?}");
    assert!(
        rig.node()
            .published(&volume)
            .await
            .unwrap()
            .iter()
            .any(|one| one.nonce == Some(other.grant.nonce))
    );
    node.wrest(&volume, 3).await.unwrap().into_inner();
    assert_eq!(connected(&rig.array), [object(3)]);
}

/// A DELETE that is executed a second time, when its victim has the volume again: that host's
/// access ends. Nobody gets any by it.
#[tokio::test]
async fn a_duplicate_of_a_fence_gives_nobody_access() {
    let (rig, node, volume) = held().await;
    let late = FaultRule::once("DELETE", "connections", FaultAction::Late { ms: 700 });
    rig.array.add_rule(late);
    // Sent again after the lost answer, and executed at once.
    node.wrest(&volume, 2).await.unwrap().into_inner();
    node.take(&volume, 2).await.unwrap().into_inner();
    rig.node().give(&volume, 1).await.unwrap().into_inner();
    rig.until(|array| array.connections().is_empty()).await;
    node.wrest(&volume, 3).await.unwrap().into_inner();
    assert_eq!(connected(&rig.array), [object(3)]);
}

#[tokio::test]
async fn a_fence_spares_the_next_volume_of_the_name() {
    for version in ["2.2", "2.26"] {
        let rig = Rig::with(|config| config.rest_versions = vec![version.to_owned()]).await;
        let node = rig.node();
        let old = node.make("data").await;
        node.remove(&old).await.unwrap().into_inner();
        let new = node.make("data").await;
        node.give(&new, 1).await.unwrap().into_inner();
        let error = rig.node().wrest(&old, 2).await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::NotFound,
            "REST {version}: {error:?}"
        );
        assert_eq!(connected(&rig.array), [object(1)], "REST {version}");
        rig.node().wrest(&new, 2).await.unwrap().into_inner();
        assert_eq!(connected(&rig.array), [object(2)], "REST {version}");
    }
}

#[tokio::test]
async fn a_clone_of_this_machine_is_refused_before_anybody_is_shut_out() {
    let (rig, node, volume) = held().await;
    let original = host(2);
    let clone = storage_core::Host::new("node2", "another machine id", original.initiators);
    let (_guard, permit) = PermitGuard::new();
    let request = storage_core::PublishVolume {
        volume: volume.clone(),
        host: clone,
        preemption: storage_core::Preemption::ShutOut(permit),
        avoid_luns: Vec::new(),
    };
    let error = node.publish(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    assert!(error.message().contains("cloned"), "{error}");
    assert_eq!(connected(&rig.array), [object(1)]);
}

/// A refusal takes a leftover of the host's own away, whatever right it had (rule 8).
#[tokio::test]
async fn a_refusal_leaves_nothing_of_its_own() {
    let (rig, node, volume) = held().await;
    rig.admin().connect("ns-data", &object(2)).await;
    let (guard, permit) = PermitGuard::new();
    drop(guard);
    let error = node.wrest_with(&volume, 2, permit).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    assert_eq!(connected(&rig.array), [object(1)]);

    // The same where a newcomer is met.
    rig.admin().connect("ns-data", &object(2)).await;
    let more = node.make("more").await;
    node.give(&more, 3).await.unwrap().into_inner();
    node.take(&more, 3).await.unwrap().into_inner();
    let (_guard, permit) = PermitGuard::new();
    hold(&rig, "DELETE", FaultAction::HoldAfter);
    let task = wresting(&rig, &volume, 2, &permit);
    rig.until_held(1).await;
    rig.admin().connect("ns-data", &object(3)).await;
    rig.array.release_held();
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    assert_eq!(connected(&rig.array), [object(3)]);
}
