//! One writer: races, leftovers, foreign hosts and groups.

use std::sync::Arc;

use array_sim::{FaultAction, FaultRule};
use backend_flasharray::{FlashArray, FlashArrayConfig, San};
use storage_core::{AccessPath, Backend, ErrorKind, Outcome, Preemption, Protocol, PublishVolume};
use storage_http::Method;

use crate::support::{Rig, Verbs, host};

#[tokio::test]
async fn two_hosts_that_race_end_with_one_grant_and_one_refusal() {
    let mut refusals = 0;
    for round in 0..20 {
        let rig = Rig::new().await;
        let maker = rig.node();
        let volume = maker.make("data").await;
        let mut tasks = tokio::task::JoinSet::new();
        // Both read before either connects: the race at its worst.
        if round % 2 == 0 {
            let mut rule = FaultRule::once("POST", "connections", FaultAction::HoldBefore);
            rule.times = Some(2);
            rig.array.add_rule(rule);
        }
        for number in 1..=2 {
            let (node, volume) = (rig.node(), volume.clone());
            tasks.spawn(async move { (number, node.give(&volume, number).await) });
        }
        if round % 2 == 0 {
            let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
            while rig.array.held_calls() < 2 {
                assert!(tokio::time::Instant::now() < deadline);
                tokio::task::yield_now().await;
            }
            rig.array.release_held();
        }
        let mut granted = Vec::new();
        while let Some(result) = tasks.join_next().await {
            match result.unwrap() {
                (number, Ok(outcome)) => granted.push((number, outcome.into_inner())),
                (number, Err(error)) => {
                    refusals += 1;
                    let other = host(3 - number).object_name();
                    let kinds = [ErrorKind::Busy, ErrorKind::FailedPrecondition];
                    assert!(kinds.contains(&error.kind()), "{error:?}");
                    assert!(error.message().contains(&other), "{error}");
                }
            }
        }
        assert_eq!(granted.len(), 1, "round {round}");
        let (number, access) = &granted[0];
        let connections = rig.array.connections();
        assert_eq!(connections.len(), 1, "round {round}: {connections:?}");
        assert_eq!(
            connections[0].host.as_ref(),
            Some(&host(*number).object_name())
        );
        let published = maker.published(&volume).await.unwrap();
        assert_eq!(published[0].nonce, Some(access.grant.nonce));
    }
    assert_eq!(refusals, 20);
}

#[tokio::test]
async fn many_hosts_that_race_never_share() {
    let rig = Rig::new().await;
    let volume = rig.node().make("data").await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=8 {
        let (node, volume) = (rig.node(), volume.clone());
        tasks.spawn(async move { node.give(&volume, number).await });
    }
    let mut granted = 0;
    while let Some(result) = tasks.join_next().await {
        granted += usize::from(result.unwrap().is_ok());
    }
    assert!(granted <= 1, "{granted} grants");
    assert_eq!(
        rig.array.connections().len(),
        granted,
        "{:?}",
        rig.array.connections()
    );
}

#[tokio::test]
async fn one_host_that_asks_twice_at_once_gets_the_volume() {
    let rig = Rig::new().await;
    let node = Arc::new(rig.node());
    let volume = node.make("data").await;
    let (one, two) = tokio::join!(node.give(&volume, 1), node.give(&volume, 1));
    one.unwrap().into_inner();
    two.unwrap().into_inner();
    assert_eq!(rig.array.connections().len(), 1);
    let again = node.give(&volume, 1).await.unwrap();
    assert!(matches!(again, Outcome::AlreadySo(_)));
}

#[tokio::test]
async fn a_leftover_of_ones_own_does_not_block_the_holder() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    node.give(&volume, 1).await.unwrap().into_inner();
    // Host 2 is connected without a grant, as after a crash in its own publish.
    let other = node.make("other").await;
    node.give(&other, 2).await.unwrap().into_inner();
    rig.admin().connect("ns-data", &host(2).object_name()).await;

    let error = node.give(&volume, 2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.message().contains(&host(1).object_name()), "{error}");
    let again = node.give(&volume, 1).await.unwrap();
    assert!(!again.is_done(), "the holder holds on");
}

#[tokio::test]
async fn the_holder_is_not_disturbed_by_a_newcomer() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    node.give(&volume, 1).await.unwrap().into_inner();
    let admin = rig.admin();
    admin.add_host("esx", &["iqn.esx"]).await;
    admin.connect("ns-data", "esx").await;
    let error = node.give(&volume, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    assert_eq!(
        rig.array.connections().len(),
        2,
        "nothing was taken from anybody"
    );
    admin.disconnect("ns-data", "esx").await;
    assert!(!node.give(&volume, 1).await.unwrap().is_done());
}

#[tokio::test]
async fn foreign_hosts_and_groups_are_refused_by_name() {
    let rig = Rig::new().await;
    let node = rig.node();
    let admin = rig.admin();
    let volume = node.make("data").await;
    admin.add_host("esx", &["iqn.esx"]).await;
    admin.connect("ns-data", "esx").await;
    let error = node.give(&volume, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.message().contains("esx") && error.message().contains("did not make"));
    admin.disconnect("ns-data", "esx").await;

    let none = serde_json::Value::Null;
    admin
        .call(
            Method::Post,
            "/host-groups",
            &[("names", "cluster")],
            serde_json::json!({}),
        )
        .await;
    let member = [("group_names", "cluster"), ("member_names", "esx")];
    admin
        .call(Method::Post, "/host-groups/hosts", &member, none.clone())
        .await;
    let query = [("volume_names", "ns-data"), ("host_group_names", "cluster")];
    admin.call(Method::Post, "/connections", &query, none).await;
    let error = node.give(&volume, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.message().contains("host group cluster"), "{error}");
    let published = node.published(&volume).await.unwrap();
    assert!(
        published
            .iter()
            .any(|one| one.group && one.host == "cluster"),
        "{published:?}"
    );
    let error = node.remove(&volume).await.unwrap_err();
    assert!(error.message().contains("cluster"), "{error}");
    assert_eq!(rig.objects(), ["ns-data"]);
}

#[tokio::test]
async fn a_taken_lun_is_not_the_end() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    let message = "LUN 7 is already in use.".to_owned();
    rig.array.add_rule(FaultRule::once(
        "POST",
        "connections",
        FaultAction::Refuse { message },
    ));
    let access = node.give(&volume, 1).await.unwrap().into_inner();
    let AccessPath::Iscsi { targets, lun } = &access.path else {
        panic!("{:?}", access.path);
    };
    assert_eq!(*lun, rig.array.connections()[0].lun);
    assert_eq!(targets.len(), 4);
    assert!(
        targets
            .iter()
            .all(|target| target.portal.ends_with(":3260")),
        "{targets:?}"
    );
}

#[tokio::test]
async fn a_publish_that_meets_a_delete_gives_no_access() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    rig.array.add_rule(FaultRule::once(
        "POST",
        "connections",
        FaultAction::HoldBefore,
    ));
    let (publisher, copy) = (rig.node(), volume.clone());
    let task = tokio::spawn(async move { publisher.give(&copy, 1).await });
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while rig.array.held_calls() == 0 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    node.remove(&volume).await.unwrap().into_inner();
    rig.array.release_held();
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    assert!(rig.array.connections().is_empty());
}

#[tokio::test]
async fn a_late_unpublish_spares_the_next_volume_of_the_name() {
    for version in ["2.2", "2.26"] {
        let rig = Rig::with(|config| config.rest_versions = vec![version.to_owned()]).await;
        let node = rig.node();
        let old = node.make("data").await;
        node.remove(&old).await.unwrap().into_inner();
        let new = node.make("data").await;
        let access = node.give(&new, 1).await.unwrap().into_inner();
        assert!(!node.take(&old, 1).await.unwrap().is_done());
        let published = node.published(&new).await.unwrap();
        assert_eq!(
            published[0].nonce,
            Some(access.grant.nonce),
            "REST {version}"
        );
    }
}

#[tokio::test]
async fn a_leftover_under_a_number_to_avoid_gets_another_one() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    // A publish that ended before its grant.
    let mut rule = FaultRule::once("PUT", "volumes/tags/batch", FaultAction::ResetBefore);
    rule.times = None;
    rig.array.add_rule(rule);
    let mut rule = FaultRule::once("DELETE", "connections", FaultAction::ResetBefore);
    rule.times = None;
    rig.array.add_rule(rule);
    node.give(&volume, 1).await.unwrap_err();
    rig.array.clear_faults();
    let left = rig.array.connections()[0].lun;
    let request = PublishVolume {
        volume: volume.clone(),
        host: host(1),
        preemption: Preemption::Refuse,
        avoid_luns: vec![left],
    };
    let access = node.publish(request).await.unwrap().into_inner();
    let AccessPath::Iscsi { lun, .. } = &access.path else {
        panic!("{:?}", access.path);
    };
    assert_ne!(*lun, left);
    let connections = rig.array.connections();
    assert_eq!(connections.len(), 1, "{connections:?}");
    assert_eq!(connections[0].lun, *lun);
}

#[tokio::test]
async fn the_last_open_number_is_found() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    let mut request = PublishVolume {
        volume: volume.clone(),
        host: host(1),
        preemption: Preemption::Refuse,
        avoid_luns: (0..=u16::MAX).filter(|lun| *lun != 4095).collect(),
    };
    let access = node.publish(request.clone()).await.unwrap().into_inner();
    assert_eq!(rig.array.connections()[0].lun, 4095);
    node.take(&volume, 1).await.unwrap().into_inner();
    request.avoid_luns.push(4095);
    let error = node.publish(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error:?}");
    assert!(rig.array.connections().is_empty());
    drop(access);
}

#[tokio::test]
async fn an_array_whose_transport_is_not_built_does_all_but_publish() {
    for (protocol, called) in [
        (Protocol::FibreChannel, "Fibre Channel"),
        (Protocol::NvmeTcp, "NVMe/TCP"),
    ] {
        let rig = Rig::new().await;
        let base = rig.config("ns");
        let san = San::NotBuilt(protocol);
        let mut config = FlashArrayConfig::new(base.endpoint, base.token, base.namespace, san);
        config.trust = base.trust;
        let node = FlashArray::new(config).unwrap();
        assert_eq!(node.capabilities().protocol, protocol);
        let volume = node.make("data").await;
        assert_eq!(node.find("data").await.unwrap().id, volume.id);
        assert_eq!(
            node.list(Default::default()).await.unwrap().volumes.len(),
            1
        );
        node.telemetry().await.unwrap();
        rig.taken();
        let error = node.give(&volume, 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(error.message().contains(called), "{error}");
        assert!(rig.taken().is_empty(), "refused without asking the array");
        assert_eq!(node.published(&volume).await.unwrap(), []);
        assert!(node.remove(&volume).await.unwrap().is_done());
    }
}
