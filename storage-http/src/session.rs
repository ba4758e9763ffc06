//! Sessions: one token for all calls of a client, made by the vendor's [`Login`].
//!
//! Who needs a session while there is none logs in; everybody else waits for that one login and
//! shares its result, a failure too. The login runs in a task of its own: a caller that gives up
//! neither aborts it nor leaves a session behind that nobody knows.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use storage_core::Secret;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use crate::answer::Answer;
use crate::call::Call;
use crate::config::RetryPolicy;
use crate::error::HttpError;
use crate::retry;
use crate::wire::Wire;

/// A session at the array: what every call carries.
#[derive(Clone)]
pub struct Session {
    base: String,
    header: &'static str,
    token: Secret,
    identity: Option<Arc<str>>,
}

impl Session {
    /// A session whose calls go below `base` (`/api/2.26`) with `token` in the header `header`.
    #[must_use]
    pub fn new(base: impl Into<String>, header: &'static str, token: Secret) -> Self {
        Self {
            base: base.into(),
            header,
            token,
            identity: None,
        }
    }

    /// Says who the session is with, in words that only the vendor's code understands: calls that
    /// are pinned to somebody ([`Call::pinned`]) are sent in no other session.
    #[must_use]
    pub fn with_identity(mut self, identity: impl Into<Arc<str>>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    pub(crate) fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// The path that calls go below.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    pub(crate) const fn header(&self) -> &'static str {
        self.header
    }

    pub(crate) const fn token(&self) -> &Secret {
        &self.token
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// What a vendor adds to a client: logging in, and reading a few answers.
#[async_trait]
pub trait Login: fmt::Debug + Send + Sync + 'static {
    /// Opens a session. Version negotiation belongs here: it is then repeated with every login,
    /// so that an array that was upgraded meanwhile is noticed.
    ///
    /// # Errors
    /// Those of its calls; [`HttpError::unusable`] for an array that can never be used.
    async fn login(&self, calls: &LoginCalls<'_>) -> Result<Session, HttpError>;

    /// Ends a session. Best effort.
    ///
    /// # Errors
    /// Those of its calls. They are logged and dropped.
    async fn logout(&self, calls: &LoginCalls<'_>, session: &Session) -> Result<(), HttpError>;

    /// Whether an answer says that the session is not, or no longer, accepted, and that the call
    /// was therefore not executed.
    fn session_refused(&self, answer: &Answer) -> bool {
        answer.status() == 401
    }

    /// Whether an answer says that the array is too busy, and that the call was not executed.
    fn busy(&self, answer: &Answer) -> bool {
        matches!(answer.status(), 429 | 503)
    }
}

/// The calls that a [`Login`] makes: without a session, with the client's retries and limits.
#[derive(Debug)]
pub struct LoginCalls<'a> {
    pub(crate) wire: &'a Wire,
    pub(crate) retry: &'a RetryPolicy,
    pub(crate) login: &'a dyn Login,
    pub(crate) deadline: Instant,
}

impl LoginCalls<'_> {
    /// Sends a call below `base`, which may be empty.
    ///
    /// # Errors
    /// As [`crate::Client::send`].
    pub async fn send(&self, base: &str, call: Call) -> Result<Answer, HttpError> {
        self.repeat(base, &call, None).await
    }

    /// Sends a call with a session's token, below its base.
    ///
    /// # Errors
    /// As [`crate::Client::send`].
    pub async fn send_as(&self, session: &Session, call: Call) -> Result<Answer, HttpError> {
        self.repeat(session.base(), &call, Some(session)).await
    }

    async fn repeat(
        &self,
        base: &str,
        call: &Call,
        session: Option<&Session>,
    ) -> Result<Answer, HttpError> {
        let attempts = retry::Attempts {
            policy: self.retry,
            call,
            deadline: self.deadline,
            login: self.login,
        };
        attempts
            .run(|| self.wire.exchange(base, call, session, self.deadline))
            .await
    }
}

/// A session with the number of the login that made it.
#[derive(Debug)]
pub(crate) struct Numbered {
    pub(crate) number: u64,
    pub(crate) session: Session,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    current: Option<Arc<Numbered>>,
    failure: Option<HttpError>,
    logins: u64,
}

/// What a caller finds who asks for a session.
pub(crate) enum Found {
    /// One that was not refused yet.
    Session(Arc<Numbered>),
    /// The login that the caller waited for failed.
    Failure(HttpError),
    /// None: whoever gets this logs in and fills it.
    Vacancy(OwnedMutexGuard<State>),
}

/// The place where a client keeps its session.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    state: Arc<Mutex<State>>,
    finished: AtomicU64,
}

impl Sessions {
    /// The session to use, `refused` being the number of the one that did not work.
    pub(crate) async fn find(&self, refused: Option<u64>) -> Found {
        let finished_before = self.finished.load(Ordering::Acquire);
        let state = Arc::clone(&self.state).lock_owned().await;
        if let Some(current) = &state.current
            && refused.is_none_or(|number| current.number > number)
        {
            return Found::Session(Arc::clone(current));
        }
        // A login ended while this caller waited for it: its failure is this caller's answer too,
        // otherwise a hundred callers would knock a hundred times.
        if self.finished.load(Ordering::Acquire) > finished_before
            && let Some(failure) = &state.failure
        {
            return Found::Failure(failure.clone());
        }
        Found::Vacancy(state)
    }

    /// Notes the result of a login.
    pub(crate) fn fill(
        &self,
        mut state: OwnedMutexGuard<State>,
        result: Result<Session, HttpError>,
    ) -> Result<Arc<Numbered>, HttpError> {
        state.logins += 1;
        state.current = None;
        state.failure = None;
        // Counted before the lock is given back, so that whoever comes next sees it.
        self.finished.fetch_add(1, Ordering::Release);
        match result {
            Ok(session) => {
                let numbered = Arc::new(Numbered {
                    number: state.logins,
                    session,
                });
                state.current = Some(Arc::clone(&numbered));
                Ok(numbered)
            }
            Err(error) => {
                state.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Takes the session away; the next call logs in again.
    pub(crate) async fn take(&self) -> Option<Arc<Numbered>> {
        self.state.lock().await.current.take()
    }
}
