//! Adoption of an object that is on the array already: aside, under the name, or back.

use super::*;

async fn with_theirs() -> (Rig, FlashArray) {
    let rig = Rig::new().await;
    let node = rig.node();
    node.telemetry().await.unwrap();
    rig.admin().add_volume("theirs", Size::from_gib(1)).await;
    (rig, node)
}

#[tokio::test]
async fn what_an_earlier_attempt_left_aside_is_taken_over() {
    let (rig, node) = with_theirs().await;
    let first = node
        .propose_import(&import("data", "theirs"))
        .await
        .unwrap();
    let elsewhere = rig.node();
    let asked = import("data", "theirs");
    let second = elsewhere.propose_import(&asked).await.unwrap();
    assert_eq!(second.object, first.object);
    assert_eq!(second.nonce, asked.nonce);
    let gone = node.commit(&name("data"), first.nonce).await;
    assert!(matches!(gone, Ok(Commit::Gone)), "{gone:?}");
    // Another name's attempt does not find it.
    let error = node.propose_import(&import("other", "theirs")).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    let withdrawn = node.withdraw(&name("data"), asked.nonce).await.unwrap();
    assert!(withdrawn.is_done());
    assert_eq!(rig.objects(), ["theirs"]);
}

#[tokio::test]
async fn of_two_attempts_at_one_object_one_gets_it() {
    for _round in 0..10 {
        let (rig, node) = with_theirs().await;
        let elsewhere = rig.node();
        let (mine, theirs) = (import("one", "theirs"), import("two", "theirs"));
        let (one, two) = tokio::join!(
            node.propose_import(&mine),
            elsewhere.propose_import(&theirs)
        );
        let got = [&one, &two].into_iter().filter(|one| one.is_ok()).count();
        assert_eq!(got, 1, "{one:?} {two:?}");
        assert_eq!(rig.objects().len(), 1);
    }
}

#[tokio::test]
async fn a_rename_aside_that_comes_late_takes_nothing_away_that_is_in_use() {
    let (rig, _) = with_theirs().await;
    let mut config = rig.config("ns");
    config.retry.attempts = 1;
    let node = FlashArray::new(config).unwrap();
    node.telemetry().await.unwrap();
    let late = FaultAction::Late { ms: 300 };
    rig.array
        .add_rule(FaultRule::once("PATCH", "volumes", late));
    let mut lost = FaultRule::once("GET", "volumes", FaultAction::ResetBefore);
    lost.skip = 1;
    rig.array.add_rule(lost);
    let error = node.propose_import(&import("data", "theirs")).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Timeout);
    // Meanwhile somebody else adopts it.
    let elsewhere = rig.node();
    let asked = import("data", "theirs");
    elsewhere.propose_import(&asked).await.unwrap();
    let volume = committed(elsewhere.commit(&name("data"), asked.nonce).await);
    arrived(&rig).await;
    assert_eq!(rig.objects(), ["ns-data"]);
    assert_eq!(elsewhere.find("data").await.unwrap().id, volume.id);
}

#[tokio::test]
async fn an_object_that_has_the_volumes_own_name_gets_the_other_one() {
    let (rig, node) = with_theirs().await;
    rig.admin().rename("theirs", "ns-data").await;
    let asked = import("data", "ns-data");
    node.propose_import(&asked).await.unwrap();
    let volume = committed(node.commit(&name("data"), asked.nonce).await);
    assert_ne!(volume.object, "ns-data");
    let found = node.find("data").await.unwrap();
    assert_eq!(
        (&found.id, found.ownership),
        (&volume.id, storage_core::Ownership::Recorded)
    );
    assert_eq!(
        node.list(ListVolumes::default())
            .await
            .unwrap()
            .volumes
            .len(),
        1
    );
}

#[tokio::test]
async fn a_record_means_nothing_under_the_old_name() {
    let (rig, node) = with_theirs().await;
    let asked = import("data", "theirs");
    let waiting = node.propose_import(&asked).await.unwrap();
    // As a crash between the rename back and the tidying leaves it.
    rig.admin().rename(&waiting.object_name, "theirs").await;
    assert!(node.find("data").await.is_none());
    assert!(
        node.list(ListVolumes::default())
            .await
            .unwrap()
            .volumes
            .is_empty()
    );
    // As a crash before the rename aside left it.
    let asked = import("other", "theirs");
    let waiting = node.propose_import(&asked).await.unwrap();
    assert_eq!(
        waiting.object_name,
        import_name(node.namespace(), &asked.name, asked.nonce)
    );
    let volume = committed(node.commit(&asked.name, asked.nonce).await);
    assert_eq!(volume.object, "ns-other");
}

#[tokio::test]
async fn what_is_left_of_an_earlier_life_goes() {
    let (rig, node) = with_theirs().await;
    let grant = "ext4 9f4b1f0e-8f6f-4a7e-9d0b-6c1d1c0f5b11";
    rig.admin().tag("theirs", "format-grant", grant).await;
    let asked = import("data", "theirs");
    node.propose_import(&asked).await.unwrap();
    let volume = committed(node.commit(&name("data"), asked.nonce).await);
    assert_eq!(volume.format_grant, None);
    assert_eq!(node.find("data").await.unwrap().format_grant, None);
}

#[tokio::test]
async fn what_is_in_use_or_reserved_or_a_volume_of_ours_is_refused() {
    let (rig, node) = with_theirs().await;
    let admin = rig.admin();
    node.make("data").await;
    let marker = node.mark(&name("data"), nonce()).await.unwrap();
    let object = marker_name(node.namespace(), &name("data"));
    let group = serde_json::json!({});
    let post = storage_http::Method::Post;
    let null = serde_json::Value::Null;
    admin
        .call(post, "/host-groups", &[("names", "cluster")], group)
        .await;
    let query = [("volume_names", "theirs"), ("host_group_names", "cluster")];
    admin.call(post, "/connections", &query, null).await;
    for (asked, named) in [
        ("theirs", "host group cluster"),
        ("ns-data", "`data`"),
        (object.as_str(), "reserved"),
        ("fl-fleet-1", "reserved"),
        ("pod::theirs", "pod"),
    ] {
        let error = node.propose_import(&import("x", asked)).await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::FailedPrecondition,
            "{asked}: {error:?}"
        );
        assert!(error.to_string().contains(named), "{asked}: {error}");
    }
    assert_eq!(
        node.view(&name("data"))
            .await
            .unwrap()
            .marker
            .unwrap()
            .object,
        marker.object
    );
}

#[tokio::test]
async fn a_name_that_was_taken_meanwhile_leaves_the_volume_aside() {
    let (rig, node) = with_theirs().await;
    let asked = import("data", "theirs");
    let waiting = node.propose_import(&asked).await.unwrap();
    rig.admin().add_volume("theirs", Size::from_gib(2)).await;
    let error = node.withdraw(&name("data"), asked.nonce).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().contains(&waiting.object_name), "{error}");
    let strays = node.strays().await.unwrap();
    assert_eq!(strays[0].kind, StrayKind::Imported(asked.nonce));
    assert!(rig.objects().contains(&waiting.object_name));
    rig.admin().rename("theirs", "elsewhere").await;
    let withdrawn = node.withdraw(&name("data"), asked.nonce).await.unwrap();
    assert_eq!(withdrawn, Outcome::Done(()));
}
