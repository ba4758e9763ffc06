//! Removed volumes, had back from the command line.

use serde_json::json;
use storage_core::{ArrayNumber, Backend, Epoch, FleetMember, FleetPhase, FleetRecord, Namespace};

use super::{Scene, remove};

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_volume_is_had_back_and_no_name_is_given_twice() {
    let scene = Scene::new(&["array-a", "array-b"]).await;
    let (near, far) = (scene.node(0), scene.node(1));
    let first = scene.make(0, "data").await;
    remove(&near, &first).await;
    let listed = scene.json(&["volume", "trash", "ls"]).await;
    let object = listed["volumes"][0]["object"].as_str().unwrap().to_owned();

    // The name is taken on the other array.
    let second = scene.make(1, "data").await;
    for which in ["data", object.as_str()] {
        let said = scene.run(&["volume", "trash", "recover", which]).await;
        assert_eq!(said.code, 1, "{}", said.out);
        assert!(
            said.err.contains("taken by ns-data") && said.err.contains("--name"),
            "{}",
            said.err
        );
    }
    let listed = scene.json(&["volume", "trash", "ls"]).await;
    assert_eq!(listed["volumes"][0]["name_taken"], true);
    let words = ["volume", "trash", "recover", &object, "--name", "before"];
    let back = scene.json(&words).await;
    assert_eq!(
        (&back["changed"], &back["volume"]["name"]),
        (&json!(true), &json!("before"))
    );
    let said = scene
        .run(&["volume", "trash", "recover", "data", "--name", "before"])
        .await;
    assert_eq!(
        said.code, 1,
        "nothing called data is in the trash: {}",
        said.out
    );

    // Under its own name once that is free, and again is so already.
    remove(&far, &second).await;
    let back = scene.json(&["volume", "trash", "recover", "data"]).await;
    assert_eq!(back["volume"]["id"], second.id.to_string());
    let again = scene.json(&["volume", "trash", "recover", "data"]).await;
    assert_eq!(again["changed"], false);
    let said = scene.run(&["volume", "trash", "recover", "data"]).await;
    let told = "volume data is there and not in the trash: ns-data on array-b";
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.starts_with(told), "{}", said.out);

    // Of two with one name, the object says which.
    remove(&far, &second).await;
    let third = scene.make(0, "data").await;
    remove(&near, &third).await;
    let said = scene.run(&["volume", "trash", "recover", "data"]).await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("several removed volumes"), "{}", said.err);
    let back = scene
        .json(&["volume", "trash", "recover", "data", "--array", "array-b"])
        .await;
    assert_eq!(back["volume"]["id"], second.id.to_string());
    let inspected = scene.json(&["volume", "inspect", "before"]).await;
    assert_eq!(inspected["volumes"][0]["id"], first.id.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_fleet_the_name_is_voted_on_before_a_volume_has_it_back() {
    let scene = Scene::new(&["array-a", "array-b"]).await;
    let nodes = [scene.node(0), scene.node(1)];
    let mut members = Vec::new();
    for (number, node) in (1..).zip(&nodes) {
        let told = node.telemetry().await.unwrap();
        members.push(FleetMember {
            number: ArrayNumber(number),
            array: told.array,
            name: told.array_name,
        });
    }
    let record = FleetRecord {
        epoch: Epoch(1),
        nonce: 7,
        phase: FleetPhase::Open,
        members,
        claim_arrays: vec![ArrayNumber(1)],
        next_number: ArrayNumber(3),
        namespaces: vec![Namespace::new("ns").unwrap()],
    };
    for node in &nodes {
        let put = node.claims().unwrap().put_fleet_record(&record).await;
        assert_eq!(put.unwrap(), record);
    }
    let volume = scene.make(1, "data").await;
    remove(&nodes[1], &volume).await;
    let back = scene.json(&["volume", "trash", "recover", "data"]).await;
    assert_eq!(back["volume"]["id"], volume.id.to_string());
    let seen = nodes[0].claims().unwrap().view(&volume.name).await.unwrap();
    assert_eq!(seen.marker.unwrap().nonce.array(), ArrayNumber(2));
}
