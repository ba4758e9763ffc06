//! What lies between a node and an array in memory: requests get there or not, late, or twice, and
//! so do answers. A [`Wire`] decides it, request by request; the default lets everything through.
//!
//! It is not a network: there is one step on the array for each request, which either happens
//! whole or not at all.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::error::{Error, ErrorKind, Result};
use crate::memory::backend::MemoryBackend;

/// How long a caller waits for an answer that does not come.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// One request of a node to an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayRequest {
    /// The array's name.
    pub array: String,
    /// What is asked for: `view`, `rename`, `connect`, …
    pub step: &'static str,
    /// The object that it is about, by name or id; empty for none.
    pub object: String,
}

impl fmt::Display for ArrayRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.array, self.step, self.object)
    }
}

/// What becomes of a request. Durations count from when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is executed and answered at once.
    Answered,
    /// It is not executed, and the caller is told so.
    Refused(ErrorKind),
    /// It never gets there; the caller waits in vain.
    RequestLost,
    /// It is executed at once; the caller waits in vain.
    AnswerLost,
    /// The caller waits in vain, and it is executed after this time.
    Late(Duration),
    /// It is executed and answered at once, and executed once more after this time.
    Twice(Duration),
    /// It is executed after the first time and answered after the second one more.
    Slow(Duration, Duration),
    /// The node that sent it is dead: nothing is sent, and the caller never goes on.
    Dead,
}

/// Decides what becomes of requests, and sees what was executed.
pub trait Wire: fmt::Debug + Send + Sync + 'static {
    /// Asked when a request is sent.
    fn fate(&self, request: &ArrayRequest) -> Fate;

    /// Told after a request was executed on the array, and how that ended.
    fn executed(&self, request: &ArrayRequest, error: Option<&Error>);

    /// Whether the node still runs: asked before an answer is handed to it. If not, the caller
    /// never goes on.
    fn alive(&self) -> bool;
}

/// Every request is executed and answered at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Direct;

impl Wire for Direct {
    fn fate(&self, _request: &ArrayRequest) -> Fate {
        Fate::Answered
    }

    fn executed(&self, _request: &ArrayRequest, _error: Option<&Error>) {}

    fn alive(&self) -> bool {
        true
    }
}

/// What a request does to the array, in one step: shared, as it may be executed again.
type Effect<T> = Arc<dyn Fn(&MemoryBackend) -> Result<T> + Send + Sync>;

/// A request on its way.
struct Sent<T> {
    node: MemoryBackend,
    request: ArrayRequest,
    effect: Effect<T>,
}

impl<T> Clone for Sent<T> {
    fn clone(&self) -> Self {
        Self {
            node: self.node.clone(),
            request: self.request.clone(),
            effect: Arc::clone(&self.effect),
        }
    }
}

impl<T: Send + 'static> Sent<T> {
    fn execute(&self) -> Result<T> {
        let result = (self.effect)(&self.node);
        self.node
            .wire
            .executed(&self.request, result.as_ref().err());
        result
    }

    /// On its own from here: whoever sent it may be gone by then.
    fn execute_after(&self, time: Duration) -> oneshot::Receiver<Result<T>> {
        let (to, answer) = oneshot::channel();
        let sent = self.clone();
        drop(tokio::spawn(async move {
            sleep(time).await;
            // Nobody may wait for it any more.
            drop(to.send(sent.execute()));
        }));
        answer
    }
}

impl MemoryBackend {
    /// Sends a request about an object to the array and waits for its answer.
    pub(super) async fn send<T: Send + 'static>(
        &self,
        step: &'static str,
        object: &str,
        effect: impl Fn(&Self) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        self.array.reachable().await?;
        let sent = Sent {
            node: self.clone(),
            request: ArrayRequest {
                array: self.array.name().to_owned(),
                step,
                object: object.to_owned(),
            },
            effect: Arc::new(effect),
        };
        let answer = match self.wire.fate(&sent.request) {
            Fate::Answered => sent.execute(),
            Fate::Refused(kind) => Err(Error::new(kind, "the array refused the request")),
            Fate::RequestLost => no_answer().await,
            Fate::AnswerLost => {
                drop(sent.execute());
                no_answer().await
            }
            Fate::Late(time) => {
                drop(sent.execute_after(time));
                no_answer().await
            }
            Fate::Twice(time) => {
                let first = sent.execute();
                drop(sent.execute_after(time));
                first
            }
            Fate::Slow(before, after) => {
                let answer = sent.execute_after(before).await;
                sleep(after).await;
                match answer {
                    Ok(answer) => answer,
                    Err(_ended) => no_answer().await,
                }
            }
            Fate::Dead => std::future::pending().await,
        };
        if self.wire.alive() {
            answer
        } else {
            std::future::pending().await
        }
    }
}

async fn no_answer<T>() -> Result<T> {
    sleep(ANSWER_LIMIT).await;
    Err(Error::new(
        ErrorKind::Timeout,
        format!("no answer within {} s", ANSWER_LIMIT.as_secs()),
    ))
}
