//! A real Docker engine, whose plugin is killed in the middle of each kind of call: what Docker
//! tells its users, and that its view and ours agree once they did what it tells them.

use std::time::Duration;

use lab::process::armed_plugin;
use serde_json::Value;

use super::node::{Passage, Points};
use crate::world::{SLEEPER, World};

/// The plugin comes to the point within this, or the test is wrong.
const DEATH: Duration = Duration::from_secs(30);

/// Runs a docker command during which the plugin dies at a point and is started again, and once
/// more where it failed.
async fn cut_off(world: &mut World, points: &mut Points, point: &str, words: [&[&str]; 2]) {
    points.order(&Passage {
        point: point.to_owned(),
        number: 1,
    });
    let World { engine, plugin, .. } = &mut *world;
    let engine = engine.as_ref().unwrap();
    let killed = async {
        assert!(plugin.ends_by_itself(DEATH).await, "{point}: not reached");
        points.spare();
        plugin.start_again().await.unwrap();
    };
    let (finished, ()) = tokio::join!(engine.try_docker(words[0]), killed);
    let finished = finished.unwrap();
    if !finished.success() {
        // Docker's client has lost the request's body: it cannot go on by itself.
        world.docker(words[1]).await;
    }
}

/// The mounts that the plugin counts, of all volumes.
fn counted(world: &World) -> usize {
    let folder = world.plugin.state().join("docker/mounts");
    std::fs::read_dir(folder).unwrap().count()
}

/// Get and List: afterwards Docker still knows what it knew. An answered error would have made it
/// forget the volume's options.
async fn reading(world: &mut World, points: &mut Points) {
    let inspect = ["volume", "inspect", "vol"];
    let again: [&[&str]; 2] = [&inspect, &inspect];
    cut_off(world, points, "docker.call.after Get", again).await;
    let size = ["volume", "inspect", "-f", "{{.Options.size}}", "vol"];
    assert_eq!(world.docker(&size).await, "64MiB");
    let list = ["volume", "ls", "-q"];
    cut_off(world, points, "docker.call.after List", [&list, &list]).await;
    let listed = world.docker(&list).await;
    assert!(listed.lines().any(|line| line == "vol"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_is_killed_in_the_middle_of_each_call_of_an_engine() {
    let armed = armed_plugin().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut points = None;
    let world = World::start_with(true, |options| {
        let folder = folder.path().join("points");
        points = Some(Points::arm(folder, &armed, options));
    });
    let (Some(mut world), Some(mut points)) = (world.await, points) else {
        return;
    };
    let driver = world.plugin.name().to_owned();
    let options = ["-o", "size=64MiB", "-o", "fstype=ext4", "vol"];
    let create = [&["volume", "create", "-d", &driver][..], &options].concat();
    cut_off(
        &mut world,
        &mut points,
        "claim.C3.before",
        [&create, &create],
    )
    .await;
    let listed = world.docker(&["volume", "ls", "-q"]).await;
    assert_eq!(listed.lines().filter(|line| *line == "vol").count(), 1);
    let live = |world: &World| {
        let volumes = world.array().volumes().into_iter();
        volumes
            .filter(|volume| volume.destroyed.is_none() && volume.name == "it-vol")
            .count()
    };
    assert_eq!(live(&world), 1);

    reading(&mut world, &mut points).await;

    let begin = [
        "run",
        "-d",
        "--name",
        "one",
        "--network",
        "none",
        "-v",
        "vol:/data",
    ];
    let run = [&begin[..], &["busybox", "sh", "-c", SLEEPER]].concat();
    let start = ["start", "one"];
    cut_off(&mut world, &mut points, "host mount.after", [&run, &start]).await;
    world.exec("one", "echo hello > /data/a; sync").await;
    let inspect = ["inspect", "-f", "{{.State.Running}}", "one"];
    assert_eq!(world.docker(&inspect).await, "true");
    assert_eq!(counted(&world), 1);

    let stop = ["stop", "one"];
    cut_off(&mut world, &mut points, "unmount.detached", [&stop, &stop]).await;
    world.nothing_left().await;
    world.docker(&start).await;
    assert_eq!(world.exec("one", "cat /data/a").await, "hello");
    world.docker(&["rm", "-f", "one"]).await;
    world.nothing_left().await;

    let remove = ["volume", "rm", "vol"];
    cut_off(
        &mut world,
        &mut points,
        "delete.destroy",
        [&remove, &remove],
    )
    .await;
    let listed = world.docker(&["volume", "ls", "-q"]).await;
    assert!(listed.lines().all(|line| line != "vol"), "{listed}");
    assert_eq!(live(&world), 0);
    let get = serde_json::json!({"Name": "vol"});
    let got: Result<Value, _> = world.plugin.call("VolumeDriver.Get", &get).await;
    assert!(got.unwrap_err().to_string().contains("no such volume"));
    world.end().await;
}
