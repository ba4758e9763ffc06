//! Host objects: ours, an administrator's, a clone's.

use storage_core::{Backend, ErrorKind, Host, Initiators};

use crate::support::{Rig, Verbs, host};

fn machine(name: &str, id: &str, iqn: &str) -> Host {
    let initiators = Initiators {
        iqns: vec![iqn.to_owned()],
        ..Initiators::default()
    };
    Host::new(name, id, initiators)
}

#[tokio::test]
async fn a_host_is_made_with_exactly_its_initiators() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    node.give(&volume, 1).await.unwrap().into_inner();
    let hosts = rig.array.hosts();
    assert_eq!(hosts.len(), 1);
    assert_eq!(hosts[0].name, host(1).object_name());
    assert_eq!(hosts[0].iqns, host(1).initiators.iqns);
}

#[tokio::test]
async fn two_machines_with_one_host_name_are_two_hosts() {
    let rig = Rig::new().await;
    let node = rig.node();
    let (one, two) = (
        machine("localhost", "a", "iqn.a"),
        machine("localhost", "b", "iqn.b"),
    );
    let volume = node.make("data").await;
    node.give_to(&volume, one.clone())
        .await
        .unwrap()
        .into_inner();
    let error = node.give_to(&volume, two).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.message().contains(&one.object_name()), "{error}");
}

#[tokio::test]
async fn a_cloned_machine_is_refused_loudly() {
    let rig = Rig::new().await;
    let original = machine("web", "first machine id", "iqn.same");
    let clone = machine("web", "second machine id", "iqn.same");
    let volume = rig.node().make("data").await;
    rig.node()
        .give_to(&volume, original.clone())
        .await
        .unwrap()
        .into_inner();
    let other = rig.node().make("other").await;
    for volume in [&volume, &other] {
        let error = rig.node().give_to(volume, clone.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
        assert!(error.message().contains(&original.object_name()), "{error}");
        assert!(error.message().contains("cloned"), "{error}");
    }
    assert_eq!(rig.array.hosts().len(), 1);
    assert_eq!(rig.array.connections().len(), 1);
}

#[tokio::test]
async fn an_administrators_object_is_used_and_never_edited() {
    let rig = Rig::new().await;
    let admin = rig.admin();
    let iqn = host(1).initiators.iqns[0].clone();
    admin.add_host("rack7-blade2", &[&iqn]).await;
    let node = rig.node();
    let volume = node.make("data").await;
    let access = node.give(&volume, 1).await.unwrap().into_inner();
    let hosts = rig.array.hosts();
    assert_eq!(hosts.len(), 1);
    assert_eq!(hosts[0].name, "rack7-blade2");
    assert_eq!(hosts[0].iqns, [iqn]);
    assert_eq!(
        access.grant.host,
        host(1).object_name(),
        "grants name the machine"
    );
    let published = node.published(&volume).await.unwrap();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].host, host(1).object_name());
    assert_eq!(published[0].nonce, Some(access.grant.nonce));
    // From a node that has not seen it yet.
    let elsewhere = rig.node();
    assert!(!elsewhere.give(&volume, 1).await.unwrap().is_done());
    assert!(elsewhere.take(&volume, 1).await.unwrap().is_done());
    assert!(rig.array.connections().is_empty());
}

#[tokio::test]
async fn an_object_that_shares_initiators_is_refused() {
    let rig = Rig::new().await;
    let iqn = host(1).initiators.iqns[0].clone();
    rig.admin()
        .add_host("cluster-host", &[&iqn, "iqn.another"])
        .await;
    let node = rig.node();
    let volume = node.make("data").await;
    let error = node.give(&volume, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.message().contains("cluster-host"), "{error}");
    // What that object has is not this machine's to take, nor to deny.
    rig.admin().connect("ns-data", "cluster-host").await;
    let error = node.take(&volume, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.message().contains("cluster-host"), "{error}");
    assert_eq!(rig.array.connections().len(), 1);
}

#[tokio::test]
async fn a_connection_of_ones_own_object_goes_in_spite_of_a_conflict() {
    let rig = Rig::new().await;
    let volume = rig.node().make("data").await;
    rig.node().give(&volume, 1).await.unwrap().into_inner();
    // The initiator moves to an object of somebody else's, the connection stays.
    let ours = host(1).object_name();
    let query = [("names", ours.as_str())];
    let none = serde_json::json!({"iqns": []});
    let admin = rig.admin();
    admin
        .call(storage_http::Method::Patch, "/hosts", &query, none)
        .await;
    admin.add_host("esx", &[&host(1).initiators.iqns[0]]).await;
    let node = rig.node();
    assert!(node.take(&volume, 1).await.unwrap().is_done());
    assert!(rig.array.connections().is_empty());
    let error = node.take(&volume, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.message().contains("esx"), "{error}");
}

#[tokio::test]
async fn a_machine_with_a_new_initiator_keeps_its_object() {
    let rig = Rig::new().await;
    let volume = rig.node().make("data").await;
    let (before, after) = (
        machine("web", "id", "iqn.old"),
        machine("web", "id", "iqn.new"),
    );
    rig.node()
        .give_to(&volume, before)
        .await
        .unwrap()
        .into_inner();
    rig.node()
        .give_to(&volume, after)
        .await
        .unwrap()
        .into_inner();
    let hosts = rig.array.hosts();
    assert_eq!(hosts.len(), 1);
    assert_eq!(hosts[0].iqns, ["iqn.new"]);
}

#[tokio::test]
async fn a_host_object_that_was_removed_is_made_again() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    node.give(&volume, 1).await.unwrap().into_inner();
    node.take(&volume, 1).await.unwrap().into_inner();
    let query = [("names", host(1).object_name())];
    let query = query.each_ref().map(|(key, value)| (*key, value.as_str()));
    rig.admin()
        .call(
            storage_http::Method::Delete,
            "/hosts",
            &query,
            serde_json::Value::Null,
        )
        .await;
    assert!(node.give(&volume, 1).await.unwrap().is_done());
    assert_eq!(rig.array.hosts().len(), 1);
}

#[tokio::test]
async fn a_machine_without_initiator_is_told_what_is_missing() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    let bare = Host::new("bare", "id", Initiators::default());
    let error = node.give_to(&volume, bare).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.message().contains("open-iscsi"), "{error}");
}

#[tokio::test]
async fn an_array_without_iscsi_ports_is_refused_before_anything_is_connected() {
    let rig = Rig::with(|config| config.ports.clear()).await;
    let node = rig.node();
    let volume = node.make("data").await;
    let error = node.give(&volume, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.message().contains("iSCSI"), "{error}");
    assert!(rig.array.connections().is_empty() && rig.array.hosts().is_empty());
}
