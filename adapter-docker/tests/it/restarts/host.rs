//! The host is rebooted: containers, mounts and devices are gone, files and connections are not.

use lab::wait;

use super::{change_record, files};
use crate::world::{PATIENCE, SLEEPER, World};

/// What a power cut leaves: no process, no mount, no device, and a ledger of an earlier boot.
async fn power_cut(world: &mut World) {
    world.engine().kill_9().await.unwrap();
    world.plugin.kill_9().await.unwrap();
    let state = world.plugin.state();
    assert!(lab::mounts::unmount_under(&state).unwrap() > 0);
    let luns = world.folder().join("luns");
    for (device, file) in lab::leftovers::loop_devices().unwrap() {
        if file.starts_with(&luns) {
            let losetup = lab::process::Program::new("losetup").arg("-d").arg(&device);
            losetup.succeed().await.unwrap();
        }
    }
    for record in files(&state.join("ledger")) {
        change_record(&record, |record| {
            assert!(record["device"]["boot_id"].is_string(), "{record}");
            record["device"]["boot_id"] = "00000000-0000-4000-8000-000000000000".into();
        });
    }
}

async fn run_always(world: &World, container: &str, volume: &str) {
    let mount = format!("{volume}:/data");
    let words = ["run", "-d", "--name", container, "--network", "none"];
    let more = [
        "--restart",
        "always",
        "-v",
        &mount,
        "busybox",
        "sh",
        "-c",
        SLEEPER,
    ];
    world.docker(&[&words[..], &more].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reboot_containers_mount_again_and_the_rest_is_given_back() {
    let Some(mut world) = World::start(true, &[]).await else {
        return;
    };
    for volume in ["first", "second", "third"] {
        world.create(volume, &["size=32MiB", "fstype=ext4"]).await;
    }
    run_always(&world, "again", "second").await;
    for (container, volume) in [("one", "first"), ("two", "second"), ("three", "third")] {
        world.run(container, volume).await;
        let write = format!("echo {volume} > /data/{container}; sync");
        world.exec(container, &write).await;
    }
    assert_eq!(world.array().connections().len(), 3);

    power_cut(&mut world).await;
    assert_eq!(
        world.array().connections().len(),
        3,
        "an array knows no reboot"
    );
    world.plugin.start_again().await.unwrap();
    world.engine().start_again().await.unwrap();

    wait::until("the container is restarted", PATIENCE, || async {
        let engine = world.engine.as_ref().unwrap();
        let words = ["exec", "again", "cat", "/data/two"];
        let seen = engine.try_docker(words).await?;
        Ok(if seen.status.success() {
            wait::Seen::Ready(seen.stdout)
        } else {
            wait::Seen::NotYet(seen.stderr)
        })
    })
    .await
    .map(|text| assert_eq!(text.trim(), "second"))
    .unwrap();
    // In another order, so that numbers would be mixed up if they could be.
    world.docker(&["start", "three"]).await;
    assert_eq!(world.exec("three", "cat /data/three").await, "third");
    // Nobody mounts the first again: its connection is given back, unasked.
    wait::until_true("the first is given back", PATIENCE, || {
        world.array().connections().len() == 2
    })
    .await
    .unwrap();
    world.docker(&["start", "one"]).await;
    assert_eq!(world.exec("one", "cat /data/one").await, "first");

    // "two" had the second mounted, too, and never came back: its count does not keep the volume.
    world.docker(&["rm", "-f", "again", "one", "three"]).await;
    world.nothing_left().await;
    for (container, volume) in [("one", "first"), ("two", "second"), ("three", "third")] {
        let file = format!("cat /data/{container}");
        assert_eq!(world.once(volume, &file).await, volume);
    }
    world.docker(&["rm", "two"]).await;
    world
        .docker(&["volume", "rm", "first", "second", "third"])
        .await;
    world.end().await;
}
