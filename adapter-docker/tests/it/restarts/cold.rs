//! Everything starts at once, and the arrays last, one after another, and one never.

use std::time::{Duration, Instant};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_start_serves_what_is_known_and_then_what_answers() {
    let names = ["a1", "a2", "a3"];
    let Some(mut world) = World::start_over(&names, true, |_options| {}).await else {
        return;
    };
    for (volume, array) in [("vol1", "a1"), ("vol2", "a2"), ("vol3", "a3")] {
        let selector = format!("volume_label_selector=name={array}");
        let options = ["size=32MiB", "fstype=ext4", &selector];
        world.create(volume, &options).await;
        world
            .once(volume, &format!("echo {volume} > /data/a; sync"))
            .await;
    }
    world
        .docker(&[
            "create",
            "--name",
            "late",
            "--network",
            "none",
            "-v",
            "vol1:/data",
            "busybox",
            "cat",
            "/data/a",
        ])
        .await;
    world.engine().stop().await.unwrap();
    world.plugin.stop().await.unwrap();
    for array in world.simulator.arrays() {
        array.stop().await;
    }

    world.plugin.start_again().await.unwrap();
    let began = Instant::now();
    world.engine().start_again().await.unwrap();
    let took = began.elapsed();
    println!("the engine started in {took:?} with every array down");
    // An absent plugin would cost it 15 s a volume, 45 s in all, and one that does not answer as much.
    assert!(took < Duration::from_secs(40), "{took:?}");
    let listed = world.docker(&["volume", "ls", "-q"]).await;
    for volume in ["vol1", "vol2", "vol3"] {
        assert!(listed.lines().any(|line| line == volume), "{listed}");
        let words = ["volume", "inspect", "-f", "{{.Options.size}}", volume];
        assert_eq!(world.docker(&words).await, "32MiB");
    }
    let said = world.docker_fails(&["start", "-a", "late"]).await;
    assert!(said.contains("does not answer"), "{said}");

    let start = |index: usize| world.simulator.arrays()[index].start();
    start(1).await.unwrap();
    assert_eq!(world.once("vol2", "cat /data/a").await, "vol2");
    let said = world.docker_fails(&["start", "-a", "late"]).await;
    assert!(said.contains("does not answer"), "{said}");
    start(0).await.unwrap();
    assert_eq!(world.docker(&["start", "-a", "late"]).await, "vol1");
    // The third stays away: its volume is still Docker's, and no name is taken that it may hold.
    let words = ["volume", "inspect", "-f", "{{.Options.size}}", "vol3"];
    assert_eq!(world.docker(&words).await, "32MiB");
    let driver = world.plugin.name().to_owned();
    let said = world
        .docker_fails(&["volume", "create", "-d", &driver, "vol4"])
        .await;
    // Which one depends on whether it was asked for this create or a moment ago.
    let why = [
        "does not answer",
        "did not answer since this process started",
    ];
    assert!(why.iter().any(|why| said.contains(why)), "{said}");

    start(2).await.unwrap();
    assert_eq!(world.once("vol3", "cat /data/a").await, "vol3");
    world.docker(&["rm", "late"]).await;
    world
        .docker(&["volume", "rm", "vol1", "vol2", "vol3"])
        .await;
    world.end().await;
}
