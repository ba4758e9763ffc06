//! Nothing secret reaches a log or an error, at any level.

use std::io::Write;
use std::sync::{Arc, Mutex};

use storage_core::Secret;
use storage_http::{Call, Idempotency, Method};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{API_TOKEN, Reply, SESSION_TOKEN, Server, ok, with_login};

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
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    // With one dispatcher alone, tracing asks the thread that first meets a line whether it is
    // wanted, and remembers a no of another test's thread for all (tracing-core, `Rebuilder`).
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);

    let server = Server::start(|head, n| {
        with_login(head, || match n {
            1 => ok("{}"),
            2 => Reply::Whole(
                400,
                "x-auth-token: session-token-d4e5f6\r\n",
                "{}".to_owned(),
            ),
            3 => Reply::Reset,
            _ => Reply::Whole(401, "", String::new()),
        })
    })
    .await;
    let client = server.client();
    let mut shown = format!("{client:?}");
    for _i in 0..4 {
        let call = Call::new(Method::Post, "/volumes", Idempotency::Once)
            .query("names", "visible-name")
            .secret_query("password", &Secret::new("hidden-password"));
        shown.push_str(&format!("{call:?}"));
        match client.send(call).await {
            Ok(answer) => shown.push_str(&format!("{answer:?}")),
            Err(error) => shown.push_str(&format!("{error:?} {error}")),
        }
    }
    client.close().await;

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        logged.contains("visible-name"),
        "the log was recorded at trace level"
    );
    for secret in [API_TOKEN, SESSION_TOKEN, "hidden-password"] {
        assert!(
            server.requests("").iter().any(|head| head.contains(secret)),
            "{secret} was used"
        );
        assert!(!logged.contains(secret), "{secret} in the log");
        assert!(!shown.contains(secret), "{secret} in a message");
    }
}
