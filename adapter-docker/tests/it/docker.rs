//! Under a real Docker engine: what its users do, and what happens to them. After each: no data
//! lost, and nothing left over on the host, on the array, or in the plugin's books.

use array_sim::{FaultAction, FaultRule};
use lab::wait::{self, Seen};

use crate::kept;
use crate::world::{PATIENCE, World};

/// Docker takes a name of one letter before a colon for a Windows drive, so names are longer.
const SMALL: [&str; 2] = ["size=64MiB", "fstype=ext4"];

#[tokio::test(flavor = "multi_thread")]
async fn containers_share_a_volume() {
    let Some(world) = World::start(true, &[]).await else {
        return;
    };
    world.create("vol", &SMALL).await;
    let options = world
        .docker(&["volume", "inspect", "-f", "{{.Options.size}}", "vol"])
        .await;
    assert_eq!(options, "64MiB");
    assert_eq!(
        world
            .docker(&["volume", "inspect", "-f", "{{.Scope}}", "vol"])
            .await,
        "global"
    );
    assert!(
        world
            .docker(&["volume", "ls", "-q"])
            .await
            .lines()
            .any(|line| line == "vol")
    );

    world.run("one", "vol").await;
    world.run("two", "vol").await;
    world.exec("one", "echo hello > /data/a; sync").await;
    assert_eq!(world.exec("two", "cat /data/a").await, "hello");

    // A copy sends Mount and Unmount with the ID of the container's own mount.
    let file = world.folder().join("copied");
    std::fs::write(&file, "copied").unwrap();
    world
        .docker(&["cp", file.to_str().unwrap(), "one:/data/b"])
        .await;
    assert_eq!(world.exec("two", "cat /data/b").await, "copied");
    assert_eq!(world.exec("one", "cat /data/a").await, "hello");

    assert!(
        world
            .docker_fails(&["volume", "rm", "vol"])
            .await
            .contains("in use")
    );
    let forced = serde_json::json!({"Name": "vol"});
    let refused = world
        .plugin
        .call("VolumeDriver.Remove", &forced)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("mounts on this host"),
        "{refused}"
    );

    world.docker(&["rm", "-f", "one"]).await;
    assert_eq!(world.exec("two", "cat /data/a").await, "hello");
    world.docker(&["stop", "two"]).await;
    world.nothing_left().await;
    world.docker(&["start", "two"]).await;
    assert_eq!(
        world.exec("two", "cat /data/a /data/b").await,
        "hello\ncopied"
    );
    world.docker(&["rm", "-f", "two"]).await;

    world.docker(&["volume", "rm", "vol"]).await;
    world.create("vol", &SMALL).await;
    assert_eq!(world.once("vol", "ls /data").await, "lost+found");
    world.docker(&["volume", "rm", "vol"]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_is_restarted_and_killed() {
    let Some(mut world) = World::start(true, &[]).await else {
        return;
    };
    world.create("vol", &SMALL).await;
    world.run("one", "vol").await;
    world.exec("one", "echo hello > /data/a; sync").await;

    world.engine().restart().await.unwrap();
    world.docker(&["start", "one"]).await;
    assert_eq!(world.exec("one", "cat /data/a").await, "hello");

    // No Unmount is sent; the container starts with the ID that it had.
    for everything in [true, false] {
        if everything {
            world.engine().kill_9().await.unwrap();
        } else {
            world.engine().kill_9_daemon().await.unwrap();
        }
        world.engine().start_again().await.unwrap();
        let size = world
            .docker(&["volume", "inspect", "-f", "{{.Options.size}}", "vol"])
            .await;
        assert_eq!(size, "64MiB");
        world.docker(&["start", "one"]).await;
        assert_eq!(world.exec("one", "cat /data/a").await, "hello");
    }
    world.docker(&["stop", "one"]).await;
    world.nothing_left().await;
    world.docker(&["rm", "one"]).await;
    assert_eq!(world.once("vol", "cat /data/a").await, "hello");
    world.docker(&["volume", "rm", "vol"]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_outlives_its_daemon_with_live_restore() {
    let Some(mut world) = World::start(true, &[]).await else {
        return;
    };
    let engine = world.engine.take().unwrap();
    drop(engine);
    let folder = world.folder().join("live");
    std::fs::create_dir(&folder).unwrap();
    let engine = lab::docker::Engine::start_with(&folder, &["--live-restore"])
        .await
        .unwrap();
    engine.import_busybox("busybox").await.unwrap();
    world.engine = Some(engine);
    world.create("vol", &SMALL).await;
    world.run("one", "vol").await;
    world.exec("one", "echo hello > /data/a; sync").await;

    world.engine().kill_9_daemon().await.unwrap();
    world.engine().start_again().await.unwrap();
    let running = world
        .docker(&["inspect", "-f", "{{.State.Running}}", "one"])
        .await;
    assert_eq!(running, "true");
    // The new daemon mounts and unmounts with the ID that the old one's container still uses.
    let file = world.folder().join("copied");
    std::fs::write(&file, "copied").unwrap();
    world
        .docker(&["cp", file.to_str().unwrap(), "one:/data/b"])
        .await;
    assert_eq!(
        world.exec("one", "cat /data/a /data/b").await,
        "hello\ncopied"
    );
    world.docker(&["rm", "-f", "one"]).await;
    // dockerd 20.10 has forgotten the mount by now; Remove sees that no container has it.
    world.docker(&["volume", "rm", "vol"]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_is_killed_under_a_running_container() {
    let Some(mut world) = World::start(true, &[]).await else {
        return;
    };
    world.create("vol", &["size=1GiB"]).await;
    world.run("one", "vol").await;
    world.exec("one", "echo hello > /data/a; sync").await;

    world.plugin.kill_9().await.unwrap();
    world.exec("one", "echo while >> /data/a; sync").await;
    world.plugin.start_again().await.unwrap();
    world.exec("one", "echo after >> /data/a; sync").await;
    world.run("two", "vol").await;
    assert_eq!(
        world.exec("two", "cat /data/a").await,
        "hello\nwhile\nafter"
    );
    world.docker(&["rm", "-f", "one"]).await;
    assert_eq!(
        world.exec("two", "cat /data/a").await,
        "hello\nwhile\nafter"
    );

    world.plugin.stop().await.unwrap();
    assert_eq!(
        world.exec("two", "cat /data/a").await,
        "hello\nwhile\nafter"
    );
    world.plugin.start_again().await.unwrap();
    world.docker(&["rm", "-f", "two"]).await;
    world.nothing_left().await;
    assert_eq!(
        world.once("vol", "cat /data/a").await,
        "hello\nwhile\nafter"
    );
    world.docker(&["volume", "rm", "vol"]).await;
    world.end().await;
}

/// Docker forgets a volume's options for good when Get is answered with an error. With the array
/// silent and our own cache gone, Get is not answered at all, and Docker remembers.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_array_does_not_make_docker_forget() {
    let Some(mut world) = World::start(true, &[]).await else {
        return;
    };
    world.create("vol", &SMALL).await;
    world.once("vol", "echo hello > /data/a; sync").await;
    world.nothing_left().await;

    world.plugin.stop().await.unwrap();
    std::fs::remove_file(world.plugin.state().join("docker/names.json")).unwrap();
    world.array().stop().await;
    world.plugin.start_again().await.unwrap();
    world
        .docker_fails(&[
            "run",
            "--rm",
            "--network",
            "none",
            "-v",
            "vol:/data",
            "busybox",
            "true",
        ])
        .await;
    world.engine().restart().await.unwrap();

    world.array().start().await.unwrap();
    wait::until("the volume is found again", PATIENCE, || async {
        let engine = world.engine.as_ref().unwrap();
        let seen = engine
            .try_docker(["volume", "inspect", "-f", "{{.Options.size}}", "vol"])
            .await?;
        Ok(if seen.status.success() {
            Seen::Ready(seen.stdout)
        } else {
            Seen::NotYet(seen.stderr)
        })
    })
    .await
    .map(|size| assert_eq!(size.trim(), "64MiB"))
    .unwrap();
    assert_eq!(world.once("vol", "cat /data/a").await, "hello");
    world.docker(&["volume", "rm", "vol"]).await;
    world.end().await;
}

/// Every node would have its own volume under the name.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_swarm_nothing_is_created_without_a_namespace() {
    let world = World::start_with(true, |options| {
        options.host = Some("lonely".to_owned());
        let text = std::fs::read_to_string(&options.config).unwrap();
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        config.as_object_mut().unwrap().remove("Namespace").unwrap();
        std::fs::write(&options.config, config.to_string()).unwrap();
    });
    let Some(world) = world.await else {
        return;
    };
    world.create("before", &SMALL).await;
    world
        .docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"])
        .await;
    let driver = world.plugin.name().to_owned();
    let said = world
        .docker_fails(&["volume", "create", "-d", &driver, "vol"])
        .await;
    assert!(said.contains("member of a Docker Swarm"), "{said}");
    assert_eq!(
        world
            .once("before", "echo hello > /data/a; cat /data/a")
            .await,
        "hello"
    );
    world.docker(&["swarm", "leave", "--force"]).await;
    world.create("vol", &SMALL).await;
    world.docker(&["volume", "rm", "vol", "before"]).await;
    world.end().await;
}

/// The array takes the first step of a delete and not the last.
#[tokio::test(flavor = "multi_thread")]
async fn a_remove_that_was_cut_off_is_finished_by_the_next_or_taken_back_by_a_container() {
    let Some(mut world) = World::start(true, &[]).await else {
        return;
    };
    for volume in ["gone", "kept"] {
        world.create(volume, &SMALL).await;
        world.once(volume, "echo hello > /data/a; sync").await;
        world.nothing_left().await;
        let message = "not now".to_owned();
        let mut refuse_destroy = FaultRule::new(FaultAction::Refuse { message });
        refuse_destroy.method = Some("PATCH".to_owned());
        refuse_destroy.path = Some("volumes".to_owned());
        refuse_destroy.skip = 1;
        world.array().add_rule(refuse_destroy);
        let said = world.docker_fails(&["volume", "rm", volume]).await;
        assert!(said.contains("not now"), "{said}");
        world.array().clear_faults();
    }
    world.plugin.stop().await.unwrap();
    world.plugin.start_again().await.unwrap();

    for volume in ["gone", "kept"] {
        let state = ["volume", "inspect", "-f", "{{.Status.State}}", volume];
        let state = world.docker(&state).await;
        assert!(state.contains("remove it again to finish"), "{state}");
    }
    world.docker(&["volume", "rm", "gone"]).await;
    assert_eq!(world.once("kept", "cat /data/a").await, "hello");
    world.docker(&["volume", "rm", "kept"]).await;
    let volumes = kept::volumes(world.array());
    assert!(
        volumes.iter().all(|volume| volume.destroyed.is_some()),
        "{volumes:?}"
    );
    world.end().await;
}
