//! A private engine: containers, restart, and a crash.

use std::time::Duration;

use lab::docker::Engine;
use lab::environment::{Need, ready};
use lab::leftovers::Watch;

#[tokio::test]
async fn an_engine_runs_containers_and_survives_a_crash() {
    if !ready(&[Need::Root, Need::Docker]) {
        return;
    }
    let folder = tempfile::Builder::new().prefix("fl").tempdir().unwrap();
    let watch = Watch::new().folder(folder.path()).begin().unwrap();
    let mut engine = Engine::start(folder.path()).await.unwrap();
    engine.import_busybox("busybox").await.unwrap();
    let run = [
        "run",
        "--rm",
        "--network",
        "none",
        "busybox",
        "echo",
        "hello",
    ];
    assert_eq!(engine.docker(run).await.unwrap(), "hello");
    assert_eq!(
        engine
            .try_docker(["run", "no-such-image"])
            .await
            .unwrap()
            .status
            .code(),
        Some(125)
    );

    let sleeper = "trap 'exit 0' TERM; while :; do sleep 0.1; done";
    let options = [
        "run",
        "-d",
        "--name",
        "long",
        "--restart=always",
        "--network",
        "none",
    ];
    engine
        .docker(options.into_iter().chain(["busybox", "sh", "-c", sleeper]))
        .await
        .unwrap();
    for crash in [true, false] {
        if crash {
            engine.kill_9().await.unwrap();
            engine.start_again().await.unwrap();
        } else {
            engine.restart().await.unwrap();
        }
        lab::wait::until(
            "the container runs again",
            Duration::from_secs(30),
            || async {
                let state = engine
                    .docker(["inspect", "-f", "{{.State.Running}}", "long"])
                    .await?;
                Ok(match state.as_str() {
                    "true" => lab::wait::Seen::Ready(()),
                    _ => lab::wait::Seen::NotYet(state),
                })
            },
        )
        .await
        .unwrap();
    }
    // what the engine mounts for itself and its containers is not left over while it runs
    watch.assert_none(Duration::ZERO).await.unwrap();
    engine.docker(["rm", "-f", "long"]).await.unwrap();
    engine.stop().await.unwrap();
    drop(engine);
    watch.assert_none(Duration::from_secs(10)).await.unwrap();
    assert!(lab::mounts::mounts_under(folder.path()).unwrap().is_empty());
}
