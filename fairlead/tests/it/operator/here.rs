//! Beside an engine that works on this host and has its state's lock: what its ledger says is told.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use array_sim::{ArrayConfig, Simulator};
use fairlead::config::{Environment, load};
use fairlead::fleet;
use lab::environment::{Need, ready};
use serde_json::json;
use storage_core::{Engine, VolumeOptions};
use tempfile::TempDir;
use tokio::time::Instant;

use super::{Scene, name};

const NEEDS: [Need; 4] = [Need::Root, Need::Fuse, Need::Loop, Need::Tool("mkfs.xfs")];

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// An array that shows its LUNs, and the configuration of a host that attaches them.
async fn scene() -> Scene {
    let folder = TempDir::new().unwrap();
    let simulator = Simulator::builder()
        .array(ArrayConfig::new("array-a"))
        .state_dir(folder.path().join("array"))
        .lun_folder(folder.path().join("luns"))
        .start()
        .await
        .unwrap();
    let scene = Scene { simulator, folder };
    let array = scene.array(0);
    let folder = array.lun_folder().unwrap().to_owned();
    scene.configure(&json!({"Namespace": "ns", "FlashArrays": [{
        "MgmtEndPoint": array.address().to_string(), "APIToken": array.api_token(),
        "Fingerprint": array.fingerprint(), "SanType": "LOOP", "LoopFolder": folder}]}));
    scene
}

fn engine(scene: &Scene, state: &Path) -> Arc<Engine> {
    let environment = Environment::from_lookup(|_name| None);
    let config = load(&scene.file(), &environment).unwrap().config;
    fleet::assemble(&config, state).unwrap().engine
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_hosts_ledger_says_is_told_while_the_plugin_has_its_lock() {
    if !ready(&NEEDS) {
        return;
    }
    let scene = scene().await;
    let state = scene.folder.path().join("state");
    let engine = engine(&scene, &state);
    let options = [("size".to_owned(), "512MiB".to_owned())];
    let options = VolumeOptions::parse(options, &Default::default()).unwrap();
    let _made = engine.create(name("data"), options, soon()).await.unwrap();
    let mountpoint = engine.mount(name("data"), soon()).await.unwrap();

    let told = scene.json(&["volume", "inspect", "data"]).await;
    let one = &told["volumes"][0];
    let mountpoint = mountpoint.to_str().unwrap();
    assert_eq!(one["ledger"]["mountpoint"], mountpoint);
    assert_eq!(
        (&one["ledger"]["mounted"], &one["ledger"]["recorded"]),
        (&json!(true), &json!("attach"))
    );
    assert_eq!(one["ledger"]["grant"], one["grant"]);
    let device = one["ledger"]["device"].as_str().unwrap();
    assert!(device.starts_with("/dev/loop"), "{device}");
    let said = scene.run(&["volume", "inspect", "data"]).await;
    assert!(
        said.out.contains("this host has it") && said.out.contains(mountpoint),
        "{}",
        said.out
    );
    let told = scene.json(&["connections"]).await;
    let one = &told["connections"][0];
    assert_eq!(
        (&one["this_host"], &one["hints"]),
        (&json!(true), &json!([]))
    );

    // The same machine with a state folder that knows nothing of it.
    let other = scene.folder.path().join("other");
    std::fs::create_dir_all(other.join("ledger")).unwrap();
    let words = ["connections", "--state-dir", other.to_str().unwrap()];
    let told = scene.json(&words).await;
    let hints = told["connections"][0]["hints"].to_string();
    assert!(hints.contains("ledger does not know it"), "{hints}");

    engine.unmount(name("data"), soon()).await.unwrap();
    let told = scene.json(&["volume", "inspect", "data"]).await;
    assert_eq!(told["volumes"][0]["hosts"], json!([]));
    engine.stop(Duration::from_secs(5)).await;
    let Scene { simulator, folder } = scene;
    lab::mounts::unmount_under(folder.path()).unwrap();
    simulator.stop().await.unwrap();
    assert_eq!(lab::leftovers::sweep(folder.path()), Vec::<String>::new());
}
