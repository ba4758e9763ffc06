//! Another engine takes over on the same host: the old one was killed, and its data root is not
//! the new one's. What it counted comes from nobody any more, and may be in use all the same.

use lab::docker::Engine;
use lab::wait;

use super::call;
use crate::world::{PATIENCE, World};

/// Containers of a daemon with live-restore go on without it.
#[tokio::test(flavor = "multi_thread")]
async fn with_another_data_root_counts_neither_leak_nor_take_a_volume_away() {
    let Some(mut world) = World::start(true, &[]).await else {
        return;
    };
    drop(world.engine.take());
    let (old, new) = (world.folder().join("o"), world.folder().join("n"));
    std::fs::create_dir(&old).unwrap();
    std::fs::create_dir(&new).unwrap();
    let engine = Engine::start_with(&old, &["--live-restore"]).await.unwrap();
    engine.import_busybox("busybox").await.unwrap();
    world.engine = Some(engine);
    world.create("vol", &["size=32MiB", "fstype=ext4"]).await;
    let writer = "while :; do date +%s%N > /data/tick; sync /data/tick; sleep 0.1; done";
    let words = [
        "run",
        "-d",
        "--name",
        "one",
        "--network",
        "none",
        "-v",
        "vol:/data",
    ];
    world
        .docker(&[&words[..], &["busybox", "sh", "-c", writer]].concat())
        .await;

    world.engine().kill_9_daemon().await.unwrap();
    let mut first = world.engine.take().unwrap();
    let second = first.start_beside(&new, &[]).await.unwrap();
    second.import_busybox("busybox").await.unwrap();
    world.engine = Some(second);
    assert!(
        world
            .docker(&["volume", "ls", "-q"])
            .await
            .lines()
            .any(|line| line == "vol")
    );
    world.run("two", "vol").await;
    let tick = world.exec("two", "cat /data/tick").await;
    world.exec("two", "echo hello > /data/a; sync").await;
    world.docker(&["rm", "-f", "two"]).await;

    // Beyond the time that a new daemon has for starting its containers anew: the old one's
    // container still writes, and is asked for no leave.
    let name = serde_json::json!({"Name": "vol"});
    let begin = std::time::Instant::now();
    let path = call(&world.plugin, "Path", name).await["Mountpoint"].clone();
    let file = std::path::Path::new(path.as_str().unwrap()).join("tick");
    wait::until("a round of the plugin has passed", PATIENCE * 2, || async {
        let seen = std::fs::read_to_string(&file)?;
        let enough = begin.elapsed() > std::time::Duration::from_secs(35) && seen.trim() != tick;
        Ok(if enough {
            wait::Seen::Ready(())
        } else {
            wait::Seen::NotYet(seen)
        })
    })
    .await
    .unwrap();
    assert_eq!(world.once("vol", "cat /data/a").await, "hello");

    // And back on the first root, which has the container, and Unmounts with the ID of then.
    world.engine().stop().await.unwrap();
    first.start_again().await.unwrap();
    drop(world.engine.replace(first));
    assert_eq!(world.exec("one", "cat /data/a").await, "hello");
    world.docker(&["rm", "-f", "one"]).await;
    world.nothing_left().await;
    world.docker(&["volume", "rm", "vol"]).await;
    world.end().await;
}
