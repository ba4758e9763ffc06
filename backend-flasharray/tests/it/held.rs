//! What a host can reach: host objects of all kinds, groups, volumes on their way out.

use storage_core::{Backend, HeldVolume};
use storage_http::Method;

use crate::support::{Rig, Verbs, host};

fn names(held: &[HeldVolume]) -> Vec<&str> {
    let mut names: Vec<&str> = held.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn what_a_group_or_an_administrator_connected_is_told_apart() {
    let rig = Rig::new().await;
    let (node, admin) = (rig.node(), rig.admin());
    for text in ["mine", "groups", "others"] {
        node.make(text).await;
    }
    let mine = node.find("mine").await.unwrap();
    node.give(&mine, 1).await.unwrap().into_inner();
    // By a group that the host is in.
    let ours = host(1).object_name();
    let none = serde_json::Value::Null;
    let group = [("names", "cluster")];
    admin
        .call(Method::Post, "/host-groups", &group, serde_json::json!({}))
        .await;
    let member = [("group_names", "cluster"), ("member_names", ours.as_str())];
    admin
        .call(Method::Post, "/host-groups/hosts", &member, none.clone())
        .await;
    let query = [
        ("volume_names", "ns-groups"),
        ("host_group_names", "cluster"),
    ];
    admin.call(Method::Post, "/connections", &query, none).await;
    // And an object that is nobody's volume.
    admin
        .add_volume("somebodys", storage_core::Size::from_gib(1))
        .await;
    admin.connect("somebodys", &ours).await;

    let held = node.held_by(&host(1)).await.unwrap();
    assert_eq!(names(&held), ["mine"]);
    assert_eq!(held[0].volume, mine.id);
    // A record of a newer format is not ours to judge.
    admin.tag("ns-mine", "owner", "9 ns").await;
    assert_eq!(node.held_by(&host(1)).await.unwrap(), []);
}

#[tokio::test]
async fn an_administrators_host_object_holds_what_its_machine_was_granted() {
    let rig = Rig::new().await;
    let admin = rig.admin();
    let iqn = host(1).initiators.iqns[0].clone();
    admin.add_host("rack7-blade2", &[&iqn]).await;
    let node = rig.node();
    let (granted, _his) = (node.make("granted").await, node.make("his").await);
    node.give(&granted, 1).await.unwrap().into_inner();
    admin.connect("ns-his", "rack7-blade2").await;
    for node in [&node, &rig.node()] {
        let held = node.held_by(&host(1)).await.unwrap();
        assert_eq!(names(&held), ["granted"]);
    }
    assert_eq!(node.held_by(&host(2)).await.unwrap(), []);
}

#[tokio::test]
async fn a_host_object_that_was_removed_holds_nothing() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    node.give(&volume, 1).await.unwrap().into_inner();
    node.take(&volume, 1).await.unwrap().into_inner();
    let ours = host(1).object_name();
    rig.admin()
        .call(
            Method::Delete,
            "/hosts",
            &[("names", &ours)],
            serde_json::Value::Null,
        )
        .await;
    assert_eq!(node.held_by(&host(1)).await.unwrap(), []);
}

#[tokio::test]
async fn an_object_with_other_initiators_is_not_the_machines_to_judge() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    node.give(&volume, 1).await.unwrap().into_inner();
    let ours = host(1).object_name();
    let own = host(1).initiators.iqns[0].clone();
    for (iqns, count) in [
        (vec!["iqn.clone"], 0),
        (vec![own.as_str(), "iqn.clone"], 0),
        (vec![], 0),
        (vec![own.as_str()], 1),
    ] {
        let query = [("names", ours.as_str())];
        let body = serde_json::json!({"iqns": iqns});
        rig.admin()
            .call(Method::Patch, "/hosts", &query, body)
            .await;
        for node in [&node, &rig.node()] {
            let held = node.held_by(&host(1)).await.unwrap();
            assert_eq!(held.len(), count, "{iqns:?}");
        }
    }
    // A machine that has no initiator is nobody's where they are needed.
    let mut bare = host(1);
    bare.initiators.iqns.clear();
    assert_eq!(node.held_by(&bare).await.unwrap(), []);
}

#[tokio::test]
async fn many_volumes_are_told_in_chunks() {
    const VOLUMES: usize = 130;
    let rig = Rig::new().await;
    let node = rig.node();
    for number in 0..VOLUMES {
        let volume = node.make(&format!("data{number}")).await;
        node.give(&volume, 1).await.unwrap().into_inner();
    }
    rig.taken();
    let held = node.held_by(&host(1)).await.unwrap();
    assert_eq!(held.len(), VOLUMES);
    let counts = rig.taken();
    assert_eq!(
        (counts["GET connections"], counts["GET volumes/tags"]),
        (1, 2)
    );
}
