//! A client for the plugin's socket that keeps its connection, as Docker's daemon does.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// The longest answer read: a List of ten thousand volumes is about 2 MB.
const ANSWER_MAX: usize = 64 << 20;

/// Docker's own limit for its slowest calls.
const CALL_LIMIT: Duration = Duration::from_secs(120);

/// One connection.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Socket {
    pub(crate) async fn connect(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path)
            .await
            .context("connect to the plugin")?;
        Ok(Self {
            path: path.to_owned(),
            stream: BufReader::new(stream),
        })
    }

    /// One call of the protocol; gives the time that it took.
    pub(crate) async fn call(&mut self, method: &str, body: &Value) -> Result<(Duration, Value)> {
        let body = body.to_string();
        let request = format!(
            "POST /VolumeDriver.{method} HTTP/1.1\r\nHost: \r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let start = Instant::now();
        let answer = tokio::time::timeout(CALL_LIMIT, self.exchange(&request))
            .await
            .with_context(|| format!("{method} on {}: no answer", self.path.display()))??;
        let took = start.elapsed();
        let value: Value = serde_json::from_slice(&answer).context("the answer is no JSON")?;
        match value.get("Err").and_then(Value::as_str) {
            Some(error) if !error.is_empty() => bail!("{method}: {error}"),
            _ => Ok((took, value)),
        }
    }

    async fn exchange(&mut self, request: &str) -> Result<Vec<u8>> {
        self.stream
            .write_all(request.as_bytes())
            .await
            .context("send")?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            ensure!(head.len() < 16 << 10, "the answer's head has no end");
            head.push(self.stream.read_u8().await.context("read the head")?);
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .context("no content-length")?
            .trim()
            .parse()
            .context("a content-length that is no number")?;
        ensure!(length <= ANSWER_MAX, "an answer of {length} bytes");
        let mut body = vec![0; length];
        self.stream
            .read_exact(&mut body)
            .await
            .context("read the body")?;
        Ok(body)
    }
}
