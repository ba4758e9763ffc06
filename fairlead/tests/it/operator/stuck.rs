//! What somebody sees whose volume does not come up because a dead host has it.

use serde_json::json;

use super::{Scene, give, host};

/// What somebody sees whose volume does not come up because a dead host has it.
#[tokio::test(flavor = "multi_thread")]
async fn who_holds_a_stuck_volume_is_seen_and_what_to_do() {
    let scene = Scene::new(&["array-a", "array-b"]).await;
    let (node, dead) = (scene.node(1), host("dead-node"));
    let volume = scene.make(1, "data").await;
    scene.make(0, "free").await;
    give(&node, &volume, &dead).await;
    let object = dead.object_name();

    let said = scene.run(&["volume", "inspect", "data"]).await;
    assert_eq!(said.code, 0, "{}", said.err);
    for told in [
        object.as_str(),
        "by a grant on record",
        &format!("fairlead volume release data --host {object}"),
        "is dead",
    ] {
        assert!(said.out.contains(told), "{told}: {}", said.out);
    }
    let said = scene.run(&["volume", "inspect", "free"]).await;
    assert!(said.out.contains("no host can reach it"), "{}", said.out);
    for who in ["dead-node", object.as_str()] {
        let said = scene.json(&["connections", "--host", who]).await;
        assert_eq!(said["connections"].as_array().unwrap().len(), 1, "{who}");
        assert_eq!(said["connections"][0]["this_host"], false);
    }
    let said = scene.json(&["connections", "--host", "another"]).await;
    assert_eq!(said["connections"], json!([]));

    // A second host, connected by hand: nothing is more dangerous.
    let other = scene.make(1, "other").await;
    give(&node, &other, &host("esx")).await;
    let array = scene.array(1);
    let address = array.address().to_string();
    let admin = lab::array_rest::ArrayRest::login(&address, array.api_token());
    let connection = format!(
        "connections?volume_names=ns-data&host_names={}",
        host("esx").object_name()
    );
    let admin = admin.await.unwrap();
    admin.make(&connection, &json!({})).await.unwrap();
    let said = scene.run(&["volume", "inspect", "data"]).await;
    assert!(
        said.out.contains("DANGER") && said.out.contains(&object),
        "{}",
        said.out
    );
    let said = scene.json(&["connections", "--volume", "data"]).await;
    let hints = said["connections"][1]["hints"].to_string();
    assert!(
        hints.contains("2 hosts") && hints.contains("stale?"),
        "{said}"
    );
}
