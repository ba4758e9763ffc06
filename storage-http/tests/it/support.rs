//! A server that follows a script byte by byte, and the login that the tests use.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use storage_core::Secret;
use storage_http::{
    Answer, Call, Client, ClientConfig, HttpError, Idempotency, Login, LoginCalls, Method, Session,
    Trust,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The token that the tests log in with; it must appear in no log and no error.
pub(crate) const API_TOKEN: &str = "api-token-a1b2c3";
/// The stem of the session tokens that servers give; likewise.
pub(crate) const SESSION_TOKEN: &str = "session-token-d4e5f6";

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Status, further header lines, body.
    Whole(u16, &'static str, String),
    /// Closes the connection without a byte.
    Reset,
    /// Announces more than it sends, then closes.
    Half,
    /// Says nothing and keeps the connection open.
    Silence,
}

pub(crate) fn ok(body: &str) -> Reply {
    Reply::Whole(200, "", body.to_owned())
}

/// A server on a free port; the script sees each request's head and its number.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers logins by itself; everything else by the script.
    pub(crate) async fn start<F>(script: F) -> Self
    where
        F: Fn(&str, usize) -> Reply + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let script = Arc::new(script);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _peer)) = listener.accept().await {
                let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                connections.spawn(async move { serve(stream, &seen, &*script).await });
            }
        });
        Self {
            address,
            requests,
            task,
        }
    }

    /// The heads of the requests so far that contain `text`.
    pub(crate) fn requests(&self, text: &str) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .filter(|head| head.contains(text))
            .cloned()
            .collect()
    }

    pub(crate) fn client(&self) -> Client {
        self.client_with(|_config| {})
    }

    pub(crate) fn client_with(&self, change: impl FnOnce(&mut ClientConfig)) -> Client {
        let mut config = config(&format!("http://{}", self.address), Trust::PlainLoopback);
        change(&mut config);
        Client::new(&config, Arc::new(TokenLogin)).unwrap()
    }
}

async fn serve<F>(mut stream: TcpStream, seen: &Mutex<Vec<String>>, script: &F)
where
    F: Fn(&str, usize) -> Reply,
{
    loop {
        let Some(head) = read_request(&mut stream).await else {
            return;
        };
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(head.clone());
            seen.iter()
                .filter(|one| !one.starts_with("POST /login"))
                .count()
        };
        let reply = script(&head, number);
        match reply {
            Reply::Whole(status, headers, body) => {
                let length = body.len();
                let text = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
                );
                stream.write_all(text.as_bytes()).await.ok();
            }
            Reply::Half => {
                let text = "HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{\"items\":";
                stream.write_all(text.as_bytes()).await.ok();
                return;
            }
            Reply::Reset => return,
            Reply::Silence => std::future::pending().await,
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length: usize = head
                .lines()
                .find_map(|line| {
                    line.to_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            while bytes.len() < end + 4 + length {
                if stream.read_buf(&mut bytes).await.ok()? == 0 {
                    return None;
                }
            }
            return Some(head);
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Answers a login with a session token, and everything else with `other`.
pub(crate) fn with_login(head: &str, other: impl FnOnce() -> Reply) -> Reply {
    if head.starts_with("POST /login") {
        const HEADER: &str = "x-auth-token: session-token-d4e5f6\r\n";
        return Reply::Whole(200, HEADER, "{}".to_owned());
    }
    other()
}

/// The default configuration with waits that suit a test.
pub(crate) fn config(endpoint: &str, trust: Trust) -> ClientConfig {
    let mut config = ClientConfig::new(endpoint.parse().unwrap(), trust);
    config.retry.backoff_min = Duration::from_millis(2);
    config.retry.backoff_max = Duration::from_millis(10);
    config.timeouts.operation = Duration::from_secs(10);
    config
}

/// Logs in with a header and takes the token from a header.
#[derive(Debug)]
pub(crate) struct TokenLogin;

#[async_trait]
impl Login for TokenLogin {
    async fn login(&self, calls: &LoginCalls<'_>) -> Result<Session, HttpError> {
        let call = Call::new(Method::Post, "/login", Idempotency::Idempotent)
            .secret_header("api-token", Secret::new(API_TOKEN));
        let answer = calls.send("", call).await?;
        let token = answer
            .header("x-auth-token")
            .ok_or_else(|| HttpError::unusable("the login gave no token"))?;
        Ok(Session::new("/v2", "x-auth-token", Secret::new(token)))
    }

    async fn logout(&self, calls: &LoginCalls<'_>, session: &Session) -> Result<(), HttpError> {
        let call = Call::new(Method::Post, "/logout", Idempotency::Idempotent);
        calls.send_as(session, call).await.map(|_answer: Answer| ())
    }
}
