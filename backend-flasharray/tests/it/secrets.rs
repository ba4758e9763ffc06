//! Nothing secret reaches a log or an error, at any level, in a whole life with failures.

use std::io::Write;
use std::sync::{Arc, Mutex};

use array_sim::{FaultAction, FaultRule};
use storage_core::Backend;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Rig, Verbs, request};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_token_in_any_log_or_error() {
    let rig = Rig::with(|config| {
        config.api_token = Some("0f0f0f0f-very-secret-token".to_owned());
    })
    .await;
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    // With one dispatcher alone, tracing asks the thread that first meets a line whether it is
    // wanted, and remembers a no of another test's thread for all (tracing-core, `Rebuilder`).
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let guard = tracing::subscriber::set_default(subscriber);

    let config = rig.config("ns");
    let mut shown = format!("{config:?}");
    let node = backend_flasharray::FlashArray::new(config).unwrap();
    let volume = node.make("data").await;
    node.give(&volume, 1).await.unwrap().into_inner();
    rig.array.expire_sessions();
    for action in [
        FaultAction::ResetBefore,
        FaultAction::Unavailable,
        FaultAction::ExpireToken,
    ] {
        let mut rule = FaultRule::new(action);
        rule.times = Some(12);
        rig.array.add_rule(rule);
        if let Err(error) = node.create(request("other")).await {
            shown.push_str(&format!("{error} {error:?} {}", error.chain()));
        }
    }
    rig.array.clear_faults();
    node.take(&volume, 1).await.unwrap().into_inner();
    node.remove(&volume).await.unwrap().into_inner();
    node.close().await;
    shown.push_str(&format!("{node:?} {node}"));
    drop(guard);

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("ns-data"), "the log was recorded");
    assert!(logged.contains("TRACE"), "at trace level");
    for secret in ["very-secret-token", "x-auth-token"] {
        assert!(!logged.contains(secret), "{secret} in the log");
        assert!(!shown.contains(secret), "{secret} in a message");
    }
}
