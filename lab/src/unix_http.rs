//! One HTTP request over a Unix socket: enough for health checks and for playing Docker's part
//! against a volume plugin.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Answers are read up to this many bytes.
const LARGEST_ANSWER: u64 = 16 << 20;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; what is not UTF-8 is replaced.
    pub body: String,
}

/// Sends one request and reads its answer. Like Docker's daemon it sends no content type and an
/// empty host; unlike it, HTTP/1.0, so that the answer's end is the connection's.
///
/// # Errors
/// When the socket does not answer within `deadline`, or not with HTTP.
pub async fn request(
    socket: &Path,
    method: &str,
    path: &str,
    body: &str,
    deadline: Duration,
) -> Result<Answer> {
    let asked = format!("{method} {path} on {}", socket.display());
    tokio::time::timeout(deadline, exchange(socket, method, path, body))
        .await
        .with_context(|| format!("{asked}: no answer in {deadline:?}"))?
        .context(asked)
}

async fn exchange(socket: &Path, method: &str, path: &str, body: &str) -> Result<Answer> {
    let mut stream = UnixStream::connect(socket).await.context("connect")?;
    let length = body.len();
    let request =
        format!("{method} {path} HTTP/1.0\r\nHost: \r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.context("send")?;
    let mut bytes = Vec::new();
    stream
        .take(LARGEST_ANSWER)
        .read_to_end(&mut bytes)
        .await
        .context("read the answer")?;
    let text = String::from_utf8_lossy(&bytes);
    parse(&text).with_context(|| format!("not an HTTP answer: {:?}", text.lines().next()))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.lines().next()?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let answer =
            parse("HTTP/1.0 404 Not Found\r\nX: y\r\n\r\n{\"Err\":\"a\r\n\r\nb\"}").unwrap();
        assert_eq!(answer.status, 404);
        assert_eq!(answer.body, "{\"Err\":\"a\r\n\r\nb\"}");
        assert_eq!(parse("nonsense"), None);
    }
}
