//! Programs run, end in time, and are ended with all that they started.

use std::time::{Duration, Instant};

use lab::process::{Program, find_binary, processes, wait_gone};

#[tokio::test]
async fn output_status_and_input() {
    let finished = Program::new("sh")
        .args(["-c", "cat; echo oops >&2; exit 3"])
        .input(b"hello".to_vec())
        .run()
        .await
        .unwrap();
    assert_eq!(finished.stdout, "hello");
    assert_eq!(finished.stderr, "oops\n");
    assert_eq!(finished.status.code(), Some(3));
    let error = Program::new("sh")
        .args(["-c", "echo oops >&2; exit 3"])
        .succeed()
        .await;
    assert!(error.unwrap_err().to_string().contains("oops"));
}

#[tokio::test]
async fn output_is_bounded() {
    let program = Program::new("head").args(["-c", "3000000", "/dev/zero"]);
    assert_eq!(program.run().await.unwrap().stdout.len(), 1 << 20);
}

#[tokio::test]
async fn a_deadline_ends_the_whole_group() {
    let start = Instant::now();
    let error = Program::new("sh")
        .args(["-c", "echo before; sleep 1234.5 & sleep 1234.5"])
        .deadline(Duration::from_millis(300))
        .run()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("before"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(30));
    let left: Vec<_> = processes()
        .into_iter()
        .filter(|process| process.command == "sleep 1234.5")
        .collect();
    wait_gone(&left, Duration::from_secs(10)).await.unwrap();
}

#[tokio::test]
async fn a_guard_logs_stops_and_kills() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let program = Program::new("sh").args([
        "-c",
        "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done",
    ]);
    let mut guard = program.start(&log).unwrap();
    guard
        .wait_for_log("up", Duration::from_secs(10))
        .await
        .unwrap();
    let status = guard.stop(Duration::from_secs(10)).await.unwrap();
    assert_eq!(status.code(), Some(7));
    assert!(guard.log_tail(1).ends_with("bye"), "{}", guard.log_tail(1));

    let mut guard = Program::new("sleep").arg("1000").start(&log).unwrap();
    assert!(guard.is_running());
    guard.kill_9().await.unwrap();
    assert!(!guard.is_running());

    let guard = Program::new("sleep").arg("1000").start(&log).unwrap();
    let own: Vec<_> = processes()
        .into_iter()
        .filter(|process| process.id == guard.id())
        .collect();
    assert_eq!(own.len(), 1);
    drop(guard);
    wait_gone(&own, Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn an_early_end_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut guard = Program::new("sh")
        .args(["-c", "echo why; exit 1"])
        .start(&folder.path().join("log"))
        .unwrap();
    let error = guard
        .wait_for_log("up", Duration::from_secs(10))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("why"), "{error}");
}

#[test]
fn a_missing_binary_is_told() {
    let error = find_binary("no-such-program").unwrap_err().to_string();
    assert!(error.contains("cargo build"), "{error}");
}
