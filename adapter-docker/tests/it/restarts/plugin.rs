//! The plugin is replaced under mounted volumes, by a program that knows the same formats, and by
//! one that meets newer ones.

use serde_json::json;

use super::{call, create, file_with, log, mount, refused, unmount};
use crate::world::World;

/// Stopped in order, or killed.
#[tokio::test(flavor = "multi_thread")]
async fn mounts_and_counts_outlive_the_program() {
    let Some(mut world) = World::start(false, &[]).await else {
        return;
    };
    create(&world.plugin, "vol").await;
    for killed in [false, true] {
        let place = mount(&world.plugin, "vol", "a").await;
        assert_eq!(mount(&world.plugin, "vol", "b").await, place);
        std::fs::write(place.join("precious"), "data").unwrap();
        if killed {
            world.plugin.kill_9().await.unwrap();
        } else {
            world.plugin.stop().await.unwrap();
        }
        let while_away = std::fs::read_to_string(place.join("precious")).unwrap();
        assert_eq!(while_away, "data", "it stays mounted");
        drop(world.array().take_calls());
        world.plugin.start_again().await.unwrap();
        let path = call(&world.plugin, "Path", json!({"Name": "vol"})).await;
        assert_eq!(path["Mountpoint"], place.to_str().unwrap());
        unmount(&world.plugin, "vol", "a").await;
        assert!(place.join("precious").exists(), "the other one is left");
        let connections = world.array().connections();
        assert_eq!(connections.len(), 1, "{connections:?}");
        unmount(&world.plugin, "vol", "b").await;
        world.nothing_left().await;
    }
    let place = mount(&world.plugin, "vol", "c").await;
    assert_eq!(
        std::fs::read_to_string(place.join("precious")).unwrap(),
        "data"
    );
    unmount(&world.plugin, "vol", "c").await;
    call(&world.plugin, "Remove", json!({"Name": "vol"})).await;
    world.end().await;
}

/// A downgrade: each file of a newer version refuses its own volume, stays as it is, and the
/// volume stays mounted.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_version_wrote_is_refused_and_left_untouched() {
    let Some(mut world) = World::start(false, &[]).await else {
        return;
    };
    for name in ["ledgered", "counted", "well"] {
        create(&world.plugin, name).await;
        let place = mount(&world.plugin, name, "a").await;
        std::fs::write(place.join("precious"), name).unwrap();
    }
    world.plugin.stop().await.unwrap();
    let state = world.plugin.state();
    let ledger = file_with(&state.join("ledger"), "ledgered");
    let counts = file_with(&state.join("docker/mounts"), "counted");
    let names = state.join("docker/names.json");
    let mut before = Vec::new();
    for (path, from, to) in [
        (&ledger, "\"version\":1", "\"version\":2"),
        (&counts, "\"format\":1", "\"format\":2"),
        (&names, "\"format\":1", "\"format\":2"),
    ] {
        let old = std::fs::read_to_string(path).unwrap();
        let new = old.replacen(from, to, 1);
        assert_ne!(old, new);
        std::fs::write(path, &new).unwrap();
        before.push((path.clone(), old, new));
    }
    world.plugin.start_again().await.unwrap();
    for (name, words) in [("ledgered", "newer version"), ("counted", "has format 2")] {
        for method in ["Mount", "Unmount"] {
            let body = json!({"Name": name, "ID": "a"});
            // Of a volume whose record cannot be read nothing is known here, so an unmount has
            // nothing to do; the count is kept for who can read it.
            if (name, method) == ("ledgered", "Unmount") {
                continue;
            }
            let said = refused(&world.plugin, method, body).await;
            assert!(said.contains(words), "{method} {name}: {said}");
        }
    }
    let place = mount(&world.plugin, "well", "b").await;
    unmount(&world.plugin, "well", "b").await;
    assert_eq!(
        std::fs::read_to_string(place.join("precious")).unwrap(),
        "well"
    );
    world.plugin.stop().await.unwrap();
    let said = log(&world.plugin);
    for (path, old, new) in before {
        assert!(said.contains(path.file_stem().unwrap().to_str().unwrap()));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), new);
        std::fs::write(&path, old).unwrap();
    }
    // The newer version is back.
    world.plugin.start_again().await.unwrap();
    for name in ["ledgered", "counted", "well"] {
        let place = mount(&world.plugin, name, "z").await;
        assert_eq!(
            std::fs::read_to_string(place.join("precious")).unwrap(),
            name
        );
        unmount(&world.plugin, name, "z").await;
        unmount(&world.plugin, name, "a").await;
    }
    world.nothing_left().await;
    world.end().await;
}
