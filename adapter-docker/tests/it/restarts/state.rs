//! What the host keeps on disk is lost or damaged over live mounts, or cannot be written.

use std::path::Path;

use lab::wait;
use serde_json::json;

use super::{create, file_with, log, mount, refused, unmount};
use crate::world::{PATIENCE, World};

/// Waits until the plugin knows the mount.
async fn until_adopted(world: &World, name: &str) {
    wait::until("the mount is on record again", PATIENCE, || async {
        let body = json!({"Name": name});
        let answer = world.plugin.call("VolumeDriver.Path", &body).await;
        let mounted = answer.is_ok_and(|answer| answer["Mountpoint"] != "");
        Ok(if mounted {
            wait::Seen::Ready(())
        } else {
            wait::Seen::NotYet(world.plugin.log_tail(5))
        })
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_state_deleted_the_plugin_adopts_what_containers_use() {
    let Some(mut world) = World::start(true, &[]).await else {
        return;
    };
    let small = ["size=32MiB", "fstype=ext4"];
    world.create("vol", &small).await;
    world.create("idle", &small).await;
    world.run("one", "vol").await;
    world.run("two", "vol").await;
    world.exec("one", "echo hello > /data/a; sync").await;
    // A mount that no container has.
    mount(&world.plugin, "idle", "i").await;

    world.plugin.stop().await.unwrap();
    let state = world.plugin.state();
    for folder in ["ledger", "intents", "docker"] {
        std::fs::remove_dir_all(state.join(folder)).unwrap();
    }
    world.plugin.start_again().await.unwrap();
    until_adopted(&world, "vol").await;

    // IDs that nobody counted, one that is, and neither takes the volume from the other.
    world.docker(&["rm", "-f", "one"]).await;
    assert_eq!(world.exec("two", "cat /data/a").await, "hello");
    world.run("three", "vol").await;
    world.docker(&["rm", "-f", "three"]).await;
    world.exec("two", "echo again >> /data/a; sync").await;
    let said = world.docker_fails(&["volume", "rm", "vol"]).await;
    assert!(said.contains("in use"), "{said}");
    let forced = refused(&world.plugin, "Remove", json!({"Name": "vol"})).await;
    assert!(forced.contains("found in use"), "{forced}");
    world.docker(&["rm", "-f", "two"]).await;
    // With the last of them, and what nobody had from the start.
    world.nothing_left().await;
    assert_eq!(world.once("vol", "cat /data/a").await, "hello\nagain");
    world.docker(&["volume", "rm", "vol", "idle"]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_set_aside_and_its_neighbours_go_on() {
    let Some(mut world) = World::start(false, &[]).await else {
        return;
    };
    for name in ["torn", "away", "well"] {
        create(&world.plugin, name).await;
        let place = mount(&world.plugin, name, "a").await;
        std::fs::write(place.join("precious"), name).unwrap();
    }
    world.plugin.stop().await.unwrap();
    let ledger = world.plugin.state().join("ledger");
    let (torn, away) = (file_with(&ledger, "torn"), file_with(&ledger, "away"));
    for path in [&torn, &away] {
        let text = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, text.get(..text.len() / 2).unwrap()).unwrap();
    }
    // And one of the two is not as this host would have it.
    let mounts = lab::mounts::mounts_under(&world.plugin.state()).unwrap();
    let is_away = |mount: &&lab::mounts::Mount| mount.point.to_string_lossy().contains("/away-");
    let away_at = mounts.iter().find(is_away).unwrap().point.clone();
    rustix::mount::unmount(&away_at, rustix::mount::UnmountFlags::empty()).unwrap();

    world.plugin.start_again().await.unwrap();
    unmount(&world.plugin, "well", "a").await;
    until_adopted(&world, "torn").await;
    let said = refused(&world.plugin, "Mount", json!({"Name": "away", "ID": "b"})).await;
    assert!(said.contains("ledger record is damaged"), "{said}");
    let told = "not mounted at";
    wait::until_true("what does not match is told", PATIENCE, || {
        log(&world.plugin).contains(told)
    })
    .await
    .unwrap();
    unmount(&world.plugin, "torn", "a").await;
    let aside = torn.with_extension("json.damaged");
    std::fs::remove_file(&aside).unwrap();

    // Somebody deals with the other, as the message says.
    std::fs::remove_file(&away).unwrap();
    let said = refused(&world.plugin, "Mount", json!({"Name": "away", "ID": "b"})).await;
    assert!(said.contains("losetup -d"), "{said}");
    for (device, file) in lab::leftovers::loop_devices().unwrap() {
        if file.starts_with(world.folder().join("luns")) {
            let losetup = lab::process::Program::new("losetup").arg("-d").arg(&device);
            losetup.succeed().await.unwrap();
        }
    }
    for name in ["torn", "away", "well"] {
        let place = mount(&world.plugin, name, "c").await;
        assert_eq!(
            std::fs::read_to_string(place.join("precious")).unwrap(),
            name
        );
        unmount(&world.plugin, name, "c").await;
        // The count of then, whose Unmount never comes.
        unmount(&world.plugin, name, "a").await;
    }
    world.nothing_left().await;
    world.end().await;
}

/// The folder's file system is full.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_full_disk_nothing_is_half_done() {
    let Some(mut world) = World::start(false, &[]).await else {
        return;
    };
    create(&world.plugin, "vol").await;
    create(&world.plugin, "other").await;
    world.plugin.stop().await.unwrap();
    let state = world.plugin.state();
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("tmpfs", &state, "tmpfs", flags, Some(c"size=128k")).unwrap();
    world.plugin.start_again().await.unwrap();
    let filler = state.join("filler");

    fill(&filler);
    let said = refused(&world.plugin, "Mount", json!({"Name": "vol", "ID": "a"})).await;
    assert!(said.contains("No space left"), "{said}");
    assert!(world.array().connections().is_empty());
    std::fs::remove_file(&filler).unwrap();
    let place = mount(&world.plugin, "vol", "a").await;
    assert_eq!(mount(&world.plugin, "vol", "b").await, place);
    std::fs::write(place.join("precious"), "data").unwrap();

    fill(&filler);
    for (method, name, id) in [
        ("Unmount", "vol", "a"),
        ("Mount", "vol", "c"),
        ("Mount", "other", "a"),
    ] {
        let said = refused(&world.plugin, method, json!({"Name": name, "ID": id})).await;
        assert!(said.contains("No space left"), "{method} {name}: {said}");
    }
    world.plugin.stop().await.unwrap();
    world.plugin.start_again().await.unwrap();
    assert_eq!(
        std::fs::read_to_string(place.join("precious")).unwrap(),
        "data"
    );
    std::fs::remove_file(&filler).unwrap();
    unmount(&world.plugin, "vol", "a").await;
    assert!(place.join("precious").exists(), "the other one is counted");
    unmount(&world.plugin, "vol", "b").await;
    assert!(world.array().connections().is_empty());
    let place = mount(&world.plugin, "vol", "a").await;
    assert_eq!(
        std::fs::read_to_string(place.join("precious")).unwrap(),
        "data"
    );
    unmount(&world.plugin, "vol", "a").await;
    world.plugin.stop().await.unwrap();
    rustix::mount::unmount(&state, rustix::mount::UnmountFlags::empty()).unwrap();
    world.plugin.start_again().await.unwrap();
    world.end().await;
}

fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
}
