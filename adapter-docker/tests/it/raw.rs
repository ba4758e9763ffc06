//! Requests byte by byte, as Docker's daemon writes them.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Longer than any limit that a test sets; a hang is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A request as dockerd 20.10 sends it: the Host is empty, and there is no Content-Type.
pub(crate) fn request(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: {length}\r\nAccept: application/vnd.docker.plugins.v1.2+json\r\nAccept-Encoding: gzip\r\n\r\n{body}"
    )
}

/// The text without its last bytes.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.len() - bytes).unwrap()
}

/// An answer, or that there was none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Closed,
    Response(u16, Value),
}

impl Answer {
    pub(crate) fn ok(self) -> Value {
        match self {
            Self::Response(200, value) if value["Err"].as_str().unwrap_or("").is_empty() => value,
            other => panic!("{other:?}"),
        }
    }

    /// The error's text; any answer but success.
    pub(crate) fn error(self) -> String {
        match self {
            Self::Response(_, value) if !value["Err"].as_str().unwrap_or("").is_empty() => {
                value["Err"].as_str().unwrap().to_owned()
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Response(status, _) => *status,
            Self::Closed => panic!("closed"),
        }
    }
}

/// A connection on which requests follow one another.
pub(crate) struct Connection {
    stream: UnixStream,
    /// Bytes of the next answer that came with the last one.
    ahead: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(socket: &Path) -> Self {
        Self::try_open(socket).await.unwrap()
    }

    /// Fails at once where the socket's queue is full (unix(7), `EAGAIN`).
    pub(crate) async fn try_open(socket: &Path) -> std::io::Result<Self> {
        Ok(Self {
            stream: UnixStream::connect(socket).await?,
            ahead: Vec::new(),
        })
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    /// Returns whether the server took them.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) -> bool {
        // A server that closed already is seen by the read that follows.
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Reads one response: header, then as many bytes as it says.
    pub(crate) async fn receive(&mut self) -> Answer {
        self.receive_within(PATIENCE).await
    }

    pub(crate) async fn receive_within(&mut self, patience: Duration) -> Answer {
        timeout(patience, self.read())
            .await
            .expect("no answer and not closed")
    }

    /// The answer, if it comes so soon.
    pub(crate) async fn receive_soon(&mut self, soon: Duration) -> Option<Answer> {
        timeout(soon, self.read()).await.ok()
    }

    /// Sends nothing more, and goes on reading.
    pub(crate) async fn close_own_side(&mut self) {
        drop(self.stream.shutdown().await);
    }

    /// Reads until the server closes; gives the number of bytes.
    pub(crate) async fn read_to_end(&mut self) -> usize {
        let mut buffer = [0; 4096];
        let mut total = 0;
        loop {
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return total,
                Ok(count) => total += count,
            }
        }
    }

    async fn read(&mut self) -> Answer {
        let mut bytes = std::mem::take(&mut self.ahead);
        let header_end = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) if bytes.is_empty() => return Answer::Closed,
                Ok(0) | Err(_) => panic!("cut off: {}", String::from_utf8_lossy(&bytes)),
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            }
        };
        let header = String::from_utf8(bytes[..header_end].to_vec()).unwrap();
        let mut body = bytes[header_end + 4..].to_vec();
        let length: usize = header
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            })
            .unwrap();
        if body.len() > length {
            self.ahead = body.split_off(length);
        }
        let start = body.len();
        body.resize(length, 0);
        self.stream.read_exact(&mut body[start..]).await.unwrap();
        let status = header.split(' ').nth(1).unwrap().parse().unwrap();
        let value = match body.as_slice() {
            [] => Value::Null, // the HTTP library's own refusals
            json => serde_json::from_slice(json).unwrap(),
        };
        Answer::Response(status, value)
    }
}

/// One request on a connection of its own.
pub(crate) async fn exchange(socket: &Path, text: &str) -> Answer {
    let mut connection = Connection::open(socket).await;
    connection.send(text).await;
    connection.receive().await
}
