//! Taking a volume from a dead host, and what is told of it afterwards.

use serde_json::json;
use storage_core::{Backend as _, PermitGuard, Preemption, PublishVolume};

use super::{Scene, give, host};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_host_is_released_by_name_and_nobody_else() {
    let scene = Scene::new(&["array-a", "array-b"]).await;
    let (node, dead) = (scene.node(1), host("dead-node").object_name());
    let volume = scene.make(1, "data").await;
    give(&node, &volume, &host("dead-node")).await;

    for (words, code, told) in [
        (["data", "--host", "somebody"], 1, dead.as_str()),
        (["data", "--host", "dead-node"], 1, dead.as_str()),
        (["nothing", "--host", &dead], 1, "no array has a volume"),
    ] {
        let said = scene
            .run(&[&["volume", "release"], &words[..]].concat())
            .await;
        assert_eq!(said.code, code, "{words:?}: {}{}", said.out, said.err);
        assert!(said.err.contains(told), "{words:?}: {}", said.err);
        assert_eq!(scene.array(1).connections().len(), 1, "{words:?}");
    }
    let said = scene.run(&["volume", "release", "data"]).await;
    assert_eq!(said.code, 2, "without a host it is wrong usage");

    let told = scene
        .json(&["volume", "release", "data", "--host", &dead])
        .await;
    assert_eq!(
        (&told["changed"], &told["host"]),
        (&json!(true), &json!(dead))
    );
    assert_eq!(told["fence"]["old_hosts"], json!([dead]));
    assert_eq!(told["fence"]["reason"], "operator");
    assert_eq!(told["fence"]["new_host"], json!(null));
    assert_eq!(told["volume"]["hosts"], json!([]));
    assert!(scene.array(1).connections().is_empty());

    // Again: it is so already, and nothing is changed.
    let said = scene
        .run(&["volume", "release", "data", "--host", &dead])
        .await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("nothing was changed"), "{}", said.out);
    let said = scene.run(&["volume", "inspect", "data"]).await;
    assert!(
        said.out.contains("last fence") && said.out.contains(&dead),
        "{}",
        said.out
    );
    assert!(said.out.contains("operator"), "{}", said.out);
    give(&node, &volume, &host("node-2")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ours_is_not_released() {
    let scene = Scene::new(&["array-a"]).await;
    let volume = scene.make(0, "data").await;
    let array = scene.array(0);
    let address = array.address().to_string();
    let admin = lab::array_rest::ArrayRest::login(&address, array.api_token());
    let admin = admin.await.unwrap();
    admin.make("hosts?names=esx", &json!({})).await.unwrap();
    let connection = "connections?volume_names=ns-data&host_names=esx";
    admin.make(connection, &json!({})).await.unwrap();
    let said = scene
        .run(&["volume", "release", "data", "--host", "esx"])
        .await;
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.err.contains("did not make"), "{}", said.err);
    assert_eq!(array.connections().len(), 1);
    drop(volume);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_array_may_have_the_volume() {
    let scene = Scene::new(&["array-a", "array-b"]).await;
    scene.array(1).stop().await;
    let said = scene
        .run(&[
            "volume",
            "release",
            "data",
            "--host",
            "x-01234567",
            "--timeout",
            "5s",
        ])
        .await;
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_by_a_mount_is_told_by_inspect() {
    let scene = Scene::new(&["array-a"]).await;
    let node = scene.node(0);
    let volume = scene.make(0, "data").await;
    let before = scene.json(&["volume", "inspect", "data"]).await;
    assert_eq!(before["volumes"][0]["fence"], json!(null));
    give(&node, &volume, &host("one")).await;
    let (_guard, permit) = PermitGuard::new();
    let request = PublishVolume {
        volume: volume.clone(),
        host: host("two"),
        preemption: Preemption::ShutOut(permit),
        avoid_luns: Vec::new(),
    };
    node.publish(request).await.unwrap().into_inner();
    let told = scene.json(&["volume", "inspect", "data"]).await;
    let fence = &told["volumes"][0]["fence"];
    assert_eq!(fence["old_hosts"], json!([host("one").object_name()]));
    assert_eq!(fence["new_host"], json!(host("two").object_name()));
    assert_eq!(fence["reason"], "mount");
    let said = scene.run(&["volume", "inspect", "data"]).await;
    let line = format!(
        "{} -> {}",
        host("one").object_name(),
        host("two").object_name()
    );
    assert!(said.out.contains(&line), "{}", said.out);
}
