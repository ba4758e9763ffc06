//! Order, joining, deadlines and panics of the per-volume line.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Call, Operations, QUEUE_MAX};
use crate::error::{ErrorKind, Result};
use crate::name::VolumeName;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn name(text: &str) -> VolumeName {
    VolumeName::new(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_same_call_joins_and_the_work_is_done_once() {
    let operations = Arc::new(Operations::default());
    let runs = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(Notify::new());
    let mut callers = Vec::new();
    for _ in 0..5 {
        let (operations, runs, gate) = (
            Arc::clone(&operations),
            Arc::clone(&runs),
            Arc::clone(&gate),
        );
        callers.push(tokio::spawn(async move {
            let work = async move {
                gate.notified().await;
                Ok(runs.fetch_add(1, Ordering::SeqCst))
            };
            operations
                .run(Call::new(&name("v"), "mount".to_owned(), soon()), work)
                .await
        }));
    }
    tokio::task::yield_now().await;
    gate.notify_one();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), 0);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn operations_on_one_volume_keep_their_order_and_only_the_last_is_joined() {
    let operations = Arc::new(Operations::default());
    let log = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut callers = Vec::new();
    for what in ["mount", "unmount", "mount"] {
        let (own, log) = (Arc::clone(&operations), Arc::clone(&log));
        callers.push(tokio::spawn(async move {
            let work = async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                log.lock().unwrap().push(what);
                Ok(())
            };
            own.run(Call::new(&name("v"), what.to_owned(), soon()), work)
                .await
        }));
        tokio::task::yield_now().await;
    }
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(*log.lock().unwrap(), ["mount", "unmount", "mount"]);
}

#[tokio::test(start_paused = true)]
async fn volumes_do_not_wait_for_each_other() {
    let operations = Operations::default();
    let (slow, quick) = (name("slow"), name("quick"));
    let impatient = Instant::now() + Duration::from_secs(5);
    let forever = operations.run(
        Call::new(&slow, "create".to_owned(), impatient),
        std::future::pending::<Result<()>>(),
    );
    let at_once = operations.run(Call::new(&quick, "create".to_owned(), soon()), async {
        Ok(7)
    });
    let (slow, quick) = tokio::join!(forever, at_once);
    assert_eq!(slow.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(quick.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn work_goes_on_after_the_deadline() {
    let operations = Operations::default();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let work = async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        told.send("done").unwrap();
        Ok(())
    };
    let deadline = Instant::now() + Duration::from_secs(1);
    let result = operations
        .run(Call::new(&name("v"), "mount", deadline), work)
        .await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(heard.recv().await, Some("done"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_frees_the_line() {
    let operations = Operations::default();
    let work = async {
        if true {
            panic!("on purpose");
        }
        Ok(())
    };
    let broken = operations
        .run(Call::new(&name("v"), "a".to_owned(), soon()), work)
        .await;
    assert_eq!(broken.unwrap_err().kind(), ErrorKind::Unexpected);
    let next = operations
        .run(Call::new(&name("v"), "b".to_owned(), soon()), async {
            Ok(1)
        })
        .await;
    assert_eq!(next.unwrap(), 1);
    assert!(operations.queues.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_line_is_bounded() {
    let operations = Operations::default();
    let now = Instant::now();
    for index in 0..QUEUE_MAX {
        let stuck = std::future::pending::<Result<()>>();
        let result = operations
            .run(Call::new(&name("v"), format!("{index}"), now), stuck)
            .await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Timeout);
    }
    let refused = operations
        .run(Call::new(&name("v"), "more".to_owned(), now), async {
            Ok(())
        })
        .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Busy);
}
