//! Whose an object is: case, namespaces, records, destroyed ones.

use storage_core::{ErrorKind, Ownership, Size, VolumeKey, VolumeState};

use crate::support::{Rig, Verbs, name, request};
use storage_core::Backend;

#[tokio::test]
async fn data_and_data_are_two_volumes() {
    for order in [["Data", "data"], ["data", "Data"]] {
        let rig = Rig::new().await;
        let node = rig.node();
        for text in order {
            assert!(
                node.create(request(text)).await.unwrap().is_done(),
                "{text}"
            );
        }
        let (upper, lower) = (
            node.find("Data").await.unwrap(),
            node.find("data").await.unwrap(),
        );
        assert_ne!(upper.id, lower.id);
        assert_eq!(lower.object, "ns-data", "the predecessor's form");
        assert!(node.find("DATA").await.is_none());
    }
}

#[tokio::test]
async fn namespaces_whose_objects_have_one_name_stay_apart() {
    let rig = Rig::new().await;
    let (one, two) = (rig.node_in("prod"), rig.node_in("prod-eu"));
    let first = one.make("eu-db").await;
    assert_eq!(first.object, "prod-eu-db");
    assert!(two.find("db").await.is_none());
    let second = two.make("db").await;
    assert_ne!(first.id, second.id);
    assert_ne!(first.object, second.object, "the plain name was taken");
    assert_eq!(one.find("eu-db").await.unwrap().id, first.id);
    assert_eq!(two.find("db").await.unwrap().id, second.id);
    // Nor by identity.
    assert_eq!(
        two.get(VolumeKey::Id(first.id.clone())).await.unwrap(),
        None
    );
    two.remove(&second).await.unwrap().into_inner();
    assert_eq!(one.find("eu-db").await.unwrap().id, first.id);
}

#[tokio::test]
async fn what_carries_no_record_is_found_by_its_exact_name_only() {
    let rig = Rig::new().await;
    let node = rig.node();
    rig.admin().add_volume("ns-Legacy", Size::from_gib(1)).await;
    let found = node.find("Legacy").await.unwrap();
    assert_eq!(found.ownership, Ownership::Unrecorded);
    assert_eq!(found.format_grant, None);
    assert!(node.find("legacy").await.is_none());
    let page = node.list(Default::default()).await.unwrap();
    assert!(page.volumes.is_empty());
    let error = node.remove(&found).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    // The array refuses its plain name in any case, so the other name gets the hashed one.
    let made = node.make("legacy").await;
    assert_ne!(made.id, found.id);
    assert_eq!(node.find("Legacy").await.unwrap().id, found.id);
    // It can be used, and is then held like any other.
    let access = node.give(&found, 1).await.unwrap().into_inner();
    assert_eq!(access.format_grant, None);
    assert!(!node.give(&found, 1).await.unwrap().is_done());
    assert_eq!(
        node.find("Legacy").await.unwrap().ownership,
        Ownership::Unrecorded
    );
}

#[tokio::test]
async fn a_destroyed_object_keeps_its_name_until_it_is_moved() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    rig.admin().destroy("ns-data").await;
    let found = node.find("data").await.unwrap();
    assert_eq!(
        (found.state, &found.id),
        (VolumeState::Destroyed, &volume.id)
    );
    let error = node.create(request("data")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    assert!(error.message().contains("ns-data"), "{error}");
    assert!(
        rig.objects().is_empty(),
        "the tentative volume went: {:?}",
        rig.objects()
    );
    assert!(!node.remove(&found).await.unwrap().is_done());
}

#[tokio::test]
async fn two_objects_with_one_name_are_refused_by_both_names() {
    let rig = Rig::new().await;
    let node = rig.node();
    let made = node.make("Data").await;
    rig.admin().add_volume("ns-Data", Size::from_gib(1)).await;
    let error = node.get(VolumeKey::Name(name("Data"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.message().contains("ns-Data") && error.message().contains(&made.object));
}

#[tokio::test]
async fn a_record_of_a_newer_format_is_left_alone() {
    let rig = Rig::new().await;
    let node = rig.node();
    node.make("data").await;
    node.make("other").await;
    rig.admin().tag("ns-data", "owner", "9 ns").await;
    let error = node.get(VolumeKey::Name(name("data"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.message().contains("newer"), "{error}");
    let page = node.list(Default::default()).await.unwrap();
    assert_eq!(page.volumes.len(), 1);
    // It may be this volume, so no other array may make one.
    let error = node.create(request("data")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    assert!(error.chain().to_string().contains("newer"), "{error:?}");
    assert_eq!(rig.objects(), ["ns-data", "ns-other"]);
}

#[tokio::test]
async fn a_volume_that_was_renamed_keeps_its_identity() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    rig.admin().rename("ns-data", "somewhere-else").await;
    let found = node
        .get(VolumeKey::Id(volume.id.clone()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.object.as_str(), found.name.as_str()),
        ("somewhere-else", "data")
    );
    assert!(node.find("data").await.is_none());
    let error = node.give(&volume, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_copy_on_the_array_is_not_the_volume() {
    let rig = Rig::new().await;
    let node = rig.node();
    node.make("data").await;
    let body = serde_json::json!({"source": {"name": "ns-data"}});
    let query = [("names", "ns-copy")];
    rig.admin()
        .call(storage_http::Method::Post, "/volumes", &query, body)
        .await;
    let copy = node.find("copy").await.unwrap();
    assert_eq!(copy.ownership, Ownership::Unrecorded);
    assert_eq!(
        copy.format_grant, None,
        "a copy has data: it is never formatted"
    );
}
