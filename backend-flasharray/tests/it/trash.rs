//! The trash: what it costs, how long it keeps, and that no lost call, crash or race on the way
//! back loses a volume or shares a name.

use std::time::Duration;

use array_sim::{FaultAction, FaultRule};
use storage_core::{
    Backend, ErrorKind, ListConnections, ListTrash, Outcome, RecoverVolume, Result, Survey, Trash,
    TrashedVolume, Volume, VolumeState,
};

use crate::support::{Rig, Verbs, host, name, request};

async fn removed(node: &dyn Backend, text: &str) -> Volume {
    let made = node.make(text).await;
    node.remove(&made).await.unwrap().into_inner();
    made
}

async fn recover(node: &dyn Trash, volume: &Volume, new: Option<&str>) -> Result<Outcome<Volume>> {
    let request = RecoverVolume {
        volume: volume.id.clone(),
        name: new.map(name),
    };
    node.recover(request).await
}

async fn trash(node: &dyn Trash) -> Vec<TrashedVolume> {
    let page = node.list_trash(ListTrash::default()).await.unwrap();
    assert_eq!(page.next, None);
    page.volumes
}

#[tokio::test]
async fn the_trash_keeps_to_its_budget() {
    let rig = Rig::new().await;
    let node = rig.node();
    let made = removed(&node, "data").await;
    rig.taken();
    let page = node.list_trash(ListTrash::default()).await.unwrap();
    assert_eq!((page.volumes.len(), page.calls), (1, 2));
    let looked = [
        ("GET volumes".to_owned(), 1),
        ("GET volumes/tags".to_owned(), 1),
    ];
    assert_eq!(rig.taken(), looked.clone().into());

    // What it is, and what bears its name (itself, by its trash name): two each. Then two changes.
    assert!(recover(&node, &made, None).await.unwrap().is_done());
    let counts = rig.taken();
    assert_eq!(
        (
            counts["GET volumes"],
            counts["GET volumes/tags"],
            counts["PATCH volumes"]
        ),
        (2, 2, 2),
        "{counts:?}"
    );
    assert_eq!(counts.values().sum::<usize>(), 6, "{counts:?}");

    // So already: a look.
    assert!(!recover(&node, &made, None).await.unwrap().is_done());
    assert_eq!(rig.taken(), looked.into());

    // Another name: one more, for the tag.
    node.remove(&made).await.unwrap().into_inner();
    rig.taken();
    recover(&node, &made, Some("new"))
        .await
        .unwrap()
        .into_inner();
    let counts = rig.taken();
    assert_eq!(counts["PUT volumes/tags/batch"], 1);
    assert_eq!(counts["PATCH volumes"], 2);
    assert!(counts.values().sum::<usize>() <= 7, "{counts:?}");
}

#[tokio::test]
async fn a_page_of_connections_is_one_call_and_one_for_its_tags() {
    const VOLUMES: usize = 130;
    for version in ["2.2", "2.26", "2.50"] {
        let rig = Rig::with(|config| config.rest_versions = vec![version.to_owned()]).await;
        let node = rig.node();
        for number in 0..VOLUMES {
            let volume = node.make(&format!("data{number}")).await;
            node.give(&volume, number % 3).await.unwrap().into_inner();
        }
        rig.taken();
        let page = node.connections(ListConnections::default()).await.unwrap();
        assert_eq!((page.connections.len(), page.calls), (VOLUMES, 3));
        let counts = rig.taken();
        assert_eq!(
            (counts["GET connections"], counts["GET volumes/tags"]),
            (1, 2)
        );
        let luns = page.connections.iter().all(|one| one.lun.is_some());
        assert!(
            luns && page
                .connections
                .iter()
                .all(storage_core::Connection::is_recorded)
        );
        let identity = node.identity().unwrap();
        assert_eq!(identity.interface.as_deref(), Some(version));
        assert!(identity.software.is_some());
    }
}

#[tokio::test]
async fn through_a_group_nobody_is_the_recorded_holder() {
    let rig = Rig::new().await;
    let (node, admin) = (rig.node(), rig.admin());
    let made = node.make("data").await;
    node.give(&made, 1).await.unwrap().into_inner();
    let ours = host(1).object_name();
    node.take(&made, 1).await.unwrap().into_inner();
    let none = serde_json::Value::Null;
    let (post, group) = (storage_http::Method::Post, [("names", "cluster")]);
    admin
        .call(post, "/host-groups", &group, serde_json::json!({}))
        .await;
    let member = [("group_names", "cluster"), ("member_names", ours.as_str())];
    admin
        .call(post, "/host-groups/hosts", &member, none.clone())
        .await;
    let query = [("volume_names", "ns-data"), ("host_group_names", "cluster")];
    admin.call(post, "/connections", &query, none).await;
    let page = node.connections(ListConnections::default()).await.unwrap();
    let one = &page.connections[0];
    assert_eq!(one.group.as_deref(), Some("cluster"));
    assert_eq!(one.host.as_deref(), Some(ours.as_str()));
    assert!(one.recorded.is_some() && !one.is_recorded());
    // A record of a newer format is not ours to tell.
    admin.tag("ns-data", "owner", "9 ns").await;
    let page = node.connections(ListConnections::default()).await.unwrap();
    assert_eq!(page.connections, []);
}

#[tokio::test]
async fn the_time_left_is_told_and_ends() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    for (version, told) in [("2.2", false), ("2.26", true)] {
        let rig = Rig::with(|config| {
            config.rest_versions = vec![version.to_owned()];
            config.eradication_delay_ms = 86_400_000;
        })
        .await;
        let node = rig.node();
        let made = removed(&node, "data").await;
        rig.array.advance_clock(Duration::from_secs(3600));
        let one = trash(&node).await.remove(0);
        let left = one.time_left.unwrap();
        assert!(
            left < DAY && left > DAY - Duration::from_secs(3700),
            "{left:?}"
        );
        assert_eq!(one.removed_ago.is_some(), told, "REST {version}");
        assert!(
            one.removed_ago
                .is_none_or(|ago| ago >= Duration::from_secs(3600))
        );
        rig.array.advance_clock(DAY);
        assert_eq!(trash(&node).await, []);
        let error = recover(&node, &made, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    }
}

#[tokio::test]
async fn a_call_of_recover_that_is_lost_once_costs_nothing() {
    for new in [None, Some("new")] {
        for (method, path, skip) in [
            ("GET", "volumes", 0),
            ("GET", "volumes/tags", 0),
            ("PATCH", "volumes", 0),
            ("PATCH", "volumes", 1),
            ("PUT", "volumes/tags/batch", 0),
        ] {
            for action in [
                FaultAction::ResetBefore,
                FaultAction::ResetAfter,
                FaultAction::Late { ms: 20 },
                FaultAction::Busy,
            ] {
                let what = format!("{method} {path} {skip} {action:?} {new:?}");
                let rig = Rig::new().await;
                let node = rig.node();
                let made = removed(&node, "data").await;
                let mut rule = FaultRule::once(method, path, action);
                rule.skip = skip;
                rig.array.add_rule(rule);
                let back = recover(&node, &made, new).await.expect(&what);
                assert!(back.is_done(), "{what}");
                let text = new.unwrap_or("data");
                let seen = node.find(text).await.expect(&what);
                assert_eq!(
                    (&seen.id, seen.state),
                    (&made.id, VolumeState::Ready),
                    "{what}"
                );
                assert_eq!(rig.objects(), [format!("ns-{text}")], "{what}");
            }
        }
    }
}

/// Cut off after each change, the volume is in the trash still, and the next call ends it.
#[tokio::test]
async fn a_recover_that_was_cut_off_is_gone_on_with() {
    for (method, path, skip) in [
        ("PATCH", "volumes", 0),
        ("PUT", "volumes/tags/batch", 0),
        ("PATCH", "volumes", 1),
    ] {
        let rig = Rig::new().await;
        let made = removed(&rig.node(), "data").await;
        let mut rule = FaultRule::once(method, path, FaultAction::HoldBefore);
        rule.skip = skip;
        rig.array.add_rule(rule);
        let (node, volume) = (rig.node(), made.clone());
        let task = tokio::spawn(async move { recover(&node, &volume, Some("new")).await });
        rig.until_held(1).await;
        task.abort();
        task.await.unwrap_err();
        let node = rig.node();
        let found = trash(&node).await;
        assert_eq!(found.len(), 1, "{method} {path} {skip}");
        assert_eq!(found[0].volume.id, made.id);
        // Meanwhile the names are nobody's but the volume's own.
        assert!(node.find("new").await.is_none());
        rig.array.clear_faults();
        let back = recover(&node, &made, Some("new")).await.unwrap();
        assert_eq!(node.find("new").await.unwrap().id, made.id);
        assert_eq!(back.get().name, name("new"));
        // What was held comes late, and finds nothing under the trash name.
        rig.array.release_held();
        node.remove(back.get()).await.unwrap().into_inner();
        assert!(node.find("new").await.is_none());
        assert_eq!(trash(&node).await.len(), 1);
    }
}

#[tokio::test]
async fn what_was_recovered_is_not_brought_down_by_a_late_remove() {
    let rig = Rig::new().await;
    let node = rig.node();
    let made = node.make("data").await;
    // The remove is about to destroy; its last call comes when the volume is in use again.
    let mut rule = FaultRule::once("PATCH", "volumes", FaultAction::HoldBefore);
    rule.skip = 1;
    rig.array.add_rule(rule);
    let (remover, volume) = (rig.node(), made.clone());
    let task = tokio::spawn(async move { remover.remove(&volume).await });
    rig.until_held(1).await;
    let back = recover(&node, &made, None).await.unwrap().into_inner();
    let access = node.give(&back, 1).await.unwrap().into_inner();
    rig.array.release_held();
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    let published = node.published(&back).await.unwrap();
    assert_eq!(published[0].nonce, Some(access.grant.nonce));
}

#[tokio::test]
async fn a_name_that_is_taken_on_the_way_is_not_shared() {
    let rig = Rig::new().await;
    let node = rig.node();
    let made = removed(&node, "data").await;
    let mut rule = FaultRule::once("PATCH", "volumes", FaultAction::HoldBefore);
    rule.skip = 1;
    rig.array.add_rule(rule);
    let (recoverer, volume) = (rig.node(), made.clone());
    let task = tokio::spawn(async move { recover(&recoverer, &volume, None).await });
    rig.until_held(1).await;
    let other = node.make("data").await;
    rig.array.release_held();
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:?}");
    assert!(error.message().contains("ns-data"), "{error}");
    assert_eq!(node.find("data").await.unwrap().id, other.id);
    // It is half removed, and can be had back under another name.
    let back = recover(&node, &made, Some("before")).await.unwrap();
    assert_eq!(back.get().id, made.id);
}

#[tokio::test]
async fn what_never_was_a_volume_is_not_in_the_trash() {
    let rig = Rig::new().await;
    let node = rig.node();
    let mut rule = FaultRule::once("PATCH", "volumes", FaultAction::ResetBefore);
    rule.times = None;
    rig.array.add_rule(rule);
    node.create(request("data")).await.unwrap_err();
    rig.array.clear_faults();
    let wire = rig.array.volumes().into_iter().next().unwrap();
    rig.admin().destroy(&wire.name).await;
    // And what carries no record, or one of a newer format, is somebody's.
    let admin = rig.admin();
    admin
        .add_volume("ns-his", storage_core::Size::from_gib(1))
        .await;
    admin.destroy("ns-his").await;
    let newer = node.make("newer").await;
    admin.tag("ns-newer", "owner", "9 ns").await;
    admin.destroy("ns-newer").await;
    assert_eq!(trash(&node).await, []);
    let error = recover(&node, &newer, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
}
