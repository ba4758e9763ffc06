//! What survives: everything that was acknowledged, however the simulator ended.
#![expect(
    clippy::unwrap_used,
    reason = "support of tests: a failure is a failed test"
)]

use array_sim::{ArrayConfig, Simulator};
use serde_json::json;

use crate::client::Client;

async fn start(folder: &std::path::Path) -> Simulator {
    Simulator::builder()
        .array(ArrayConfig::new("array-a"))
        .state_dir(folder)
        .start()
        .await
        .unwrap()
}

/// A destroyed pod with a group and a volume, a group alone, and a tag of the snapshot `w.s`.
async fn containers(client: &Client) {
    client.post("pods?names=p", json!({})).await.done();
    for name in ["g", "p%3A%3Ag"] {
        let path = format!("volume-groups?names={name}");
        client.post(&path, json!({})).await.done();
    }
    client
        .post("volumes?names=p%3A%3Ag%2Fv", json!({}))
        .await
        .done();
    let path = "pods?names=p&destroy_contents=true";
    client
        .patch(path, json!({ "destroyed": true }))
        .await
        .done();
    let tags = json!([{ "key": "k", "value": "v" }]);
    let path = "volume-snapshots/tags/batch?resource_names=w.s";
    client.send("PUT", path, Some(tags)).await.done();
}

#[tokio::test]
async fn a_killed_array_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = start(folder.path()).await;
    let array = simulator.array("array-a").unwrap().clone();
    let client = Client::login(&array).await;
    client.volume("v").await;
    client.volume("gone").await;
    let tags = json!([{ "key": "k", "value": "v", "copyable": false }]);
    client
        .send("PUT", "volumes/tags/batch?resource_names=v", Some(tags))
        .await
        .done();
    client.host("h1").await;
    client.connect("v", "h1").await.done();
    client
        .post("volume-snapshots?source_names=v", json!({ "suffix": "s" }))
        .await
        .done();
    client
        .send("POST", "host-groups?names=g", None)
        .await
        .done();
    client
        .patch("volumes?names=v", json!({ "name": "w" }))
        .await
        .done();
    client.destroy("gone").await.done();
    containers(&client).await;
    std::fs::write(array.data_file(&array.volumes()[0].serial), b"bytes").unwrap();
    let before = (
        array.volumes(),
        array.snapshots(),
        array.hosts(),
        array.host_groups(),
        array.connections(),
        array.pods(),
        array.volume_groups(),
    );
    let (id, url) = (array.id().to_owned(), array.url());
    let (token, print) = (array.api_token().to_owned(), array.fingerprint().to_owned());
    drop((simulator, array));

    let simulator = start(folder.path()).await;
    let array = simulator.array("array-a").unwrap();
    let after = (
        array.volumes(),
        array.snapshots(),
        array.hosts(),
        array.host_groups(),
        array.connections(),
        array.pods(),
        array.volume_groups(),
    );
    assert_eq!(before, after);
    assert_eq!((array.id(), array.url()), (id.as_str(), url));
    assert_eq!(
        (array.api_token(), array.fingerprint()),
        (token.as_str(), print.as_str())
    );
    let lun = array.luns().lookup("h1", 1).unwrap();
    assert_eq!(std::fs::read(lun.data).unwrap(), b"bytes");
    // Sessions are gone, and nothing that was used is used again.
    assert_eq!(client.get("volumes").await.status, 401);
    let client = Client::login(array).await;
    let fresh = client.volume("fresh").await;
    assert!(
        before
            .0
            .iter()
            .all(|volume| fresh["serial"] != volume.serial.as_str())
    );
    assert_eq!(
        client.get("volumes").await.names(),
        ["w", "gone", "p::g/v", "fresh"]
    );
}

#[tokio::test]
async fn a_torn_last_line_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = start(folder.path()).await;
    let client = Client::login(simulator.array("array-a").unwrap()).await;
    client.volume("v").await;
    simulator.stop().await.unwrap();
    let journal = folder.path().join("array-a/journal.jsonl");
    let mut text = std::fs::read_to_string(&journal).unwrap();
    text.push_str("[{\"volume_gone\":");
    std::fs::write(&journal, text).unwrap();
    let simulator = start(folder.path()).await;
    assert_eq!(simulator.array("array-a").unwrap().volumes().len(), 1);
}

#[tokio::test]
async fn what_was_cut_off_stays_away() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = start(folder.path()).await;
    let array = simulator.array("array-a").unwrap().clone();
    let client = Client::login(&array).await;
    let body = json!({ "provisioned": 2 << 20 });
    client.post("volumes?names=v", body.clone()).await.done();
    let file = array.data_file(&array.volumes()[0].serial);
    std::fs::write(&file, vec![7; 2 << 20]).unwrap();
    let path = "volumes?names=v&truncate=true";
    client
        .patch(path, json!({ "provisioned": 1 << 20 }))
        .await
        .done();
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 1 << 20);
    // As if the kill had come between the record and the cut.
    std::fs::write(&file, vec![7; 2 << 20]).unwrap();
    drop((simulator, array));
    let _simulator = start(folder.path()).await;
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 1 << 20);
}

#[tokio::test]
async fn a_state_folder_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let _simulator = start(folder.path()).await;
    let second = Simulator::builder().state_dir(folder.path()).start().await;
    assert!(matches!(second, Err(array_sim::StartError::InUse(_))));
}

#[tokio::test]
async fn ten_thousand_volumes_are_no_burden() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = start(folder.path()).await;
    let array = simulator.array("array-a").unwrap().clone();
    let client = Client::login(&array).await;
    let names: Vec<String> = (0..10_000).map(|number| format!("v{number:05}")).collect();
    for chunk in names.chunks(500) {
        let path = format!("volumes?names={}", chunk.join(","));
        client.post(&path, json!({})).await.done();
    }
    let began = std::time::Instant::now();
    for number in 0..20 {
        let filter = crate::client::encode(&format!("name='v{number:05}' and not destroyed"));
        client.get(&format!("volumes?filter={filter}")).await.item();
        client.volume(&format!("extra-{number}")).await;
    }
    // Generous: a debug build on a busy machine. Linear work in every call would take minutes.
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    drop((simulator, array));
    let began = std::time::Instant::now();
    let simulator = start(folder.path()).await;
    assert_eq!(simulator.array("array-a").unwrap().volumes().len(), 10_020);
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}
