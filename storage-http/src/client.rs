//! The client: session, retries and limits put together around one exchange.

use std::fmt;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, debug, debug_span};

use crate::answer::Answer;
use crate::call::Call;
use crate::calls::{CallName, Calls};
use crate::config::{ClientConfig, RetryPolicy};
use crate::error::HttpError;
use crate::retry::Attempts;
use crate::session::{Found, Login, LoginCalls, Numbered, Session, Sessions, State};
use crate::wire::Wire;

/// A client of one array. Clones share connections, session, limits and counters.
///
/// Dropping the last clone closes the connections but does not end the session at the array:
/// [`Client::close`] does.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    wire: Wire,
    retry: RetryPolicy,
    login: Arc<dyn Login>,
    sessions: Sessions,
}

impl Client {
    /// Makes a client. No network; reads the certificate file where one is configured.
    ///
    /// # Errors
    /// Stage `Construction`: an address or trust that cannot work.
    pub fn new(config: &ClientConfig, login: Arc<dyn Login>) -> Result<Self, HttpError> {
        Ok(Self(Arc::new(Inner {
            wire: Wire::new(config)?,
            retry: config.retry,
            login,
            sessions: Sessions::default(),
        })))
    }

    /// Sends a call within a session, logging in first where there is none and once more when
    /// the array no longer accepts it.
    ///
    /// # Errors
    /// Anything but a whole 2xx answer; see [`HttpError`] for how far it got.
    ///
    /// # Cancellation
    /// A dropped future leaves the request's fate unknown; a login under way goes on.
    pub async fn send(&self, call: Call) -> Result<Answer, HttpError> {
        let inner = &self.0;
        let deadline = call
            .deadline_at()
            .unwrap_or_else(|| Instant::now() + inner.wire.timeouts.operation);
        let attempts = Attempts {
            policy: &inner.retry,
            call: &call,
            deadline,
            login: inner.login.as_ref(),
        };
        let span = debug_span!("rest", endpoint = %inner.wire.endpoint, call = %call.name());
        attempts
            .run(|| inner.attempt(&call, deadline))
            .instrument(span)
            .await
    }

    /// Makes sure that there is a session, so that what a login learns is known.
    ///
    /// # Errors
    /// Those of the login; stage `NotSent` with [`HttpError::login`].
    pub async fn connect(&self, deadline: Instant) -> Result<(), HttpError> {
        let name = Call::get("(login)").name();
        self.0.session(name, None, deadline).await.map(drop)
    }

    /// What was sent so far.
    #[must_use]
    pub fn calls(&self) -> &Calls {
        &self.0.wire.calls
    }

    /// Ends the session at the array, within the logout time-out. A later call logs in again.
    pub async fn close(&self) {
        let inner = &self.0;
        let deadline = Instant::now() + inner.wire.timeouts.logout;
        let Ok(Some(numbered)) = timeout_at(deadline, inner.sessions.take()).await else {
            return;
        };
        let calls = inner.login_calls(deadline);
        if let Err(error) = inner.login.logout(&calls, &numbered.session).await {
            debug!(endpoint = %inner.wire.endpoint, ?error, "logout failed");
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.0.wire.endpoint)
            .field("login", &self.0.login)
            .finish_non_exhaustive()
    }
}

impl Inner {
    async fn attempt(
        self: &Arc<Self>,
        call: &Call,
        deadline: Instant,
    ) -> Result<Answer, HttpError> {
        let first = self.session(call.name(), None, deadline).await?;
        let answer = self.exchange(call, &first.session, deadline).await?;
        if !self.login.session_refused(&answer) {
            return Ok(answer);
        }
        let second = self
            .session(call.name(), Some(first.number), deadline)
            .await?;
        self.exchange(call, &second.session, deadline).await
    }

    async fn exchange(
        &self,
        call: &Call,
        session: &Session,
        deadline: Instant,
    ) -> Result<Answer, HttpError> {
        if call
            .pin()
            .is_some_and(|pin| session.identity() != Some(pin))
        {
            return Err(HttpError::other_identity(call.name()).at(&self.wire.endpoint));
        }
        self.wire
            .exchange(session.base(), call, Some(session), deadline)
            .await
    }

    async fn session(
        self: &Arc<Self>,
        name: CallName,
        refused: Option<u64>,
        deadline: Instant,
    ) -> Result<Arc<Numbered>, HttpError> {
        let late = || {
            HttpError::not_sent(name, "the deadline passed while it waited for a session")
                .timed_out()
                .at(&self.wire.endpoint)
        };
        let found = timeout_at(deadline, self.sessions.find(refused)).await;
        let vacancy = match found.map_err(|_elapsed| late())? {
            Found::Session(session) => return Ok(session),
            Found::Failure(error) => return Err(self.no_session(name, error)),
            Found::Vacancy(vacancy) => vacancy,
        };
        let inner = Arc::clone(self);
        let login = async move { inner.log_in(vacancy).await };
        let task = tokio::spawn(login.in_current_span());
        match timeout_at(deadline, task).await {
            Ok(Ok(result)) => result.map_err(|error| self.no_session(name, error)),
            Ok(Err(_)) => {
                let gone = HttpError::not_sent(name, "the login was stopped");
                Err(gone.at(&self.wire.endpoint))
            }
            Err(_elapsed) => Err(late()),
        }
    }

    async fn log_in(
        &self,
        vacancy: tokio::sync::OwnedMutexGuard<State>,
    ) -> Result<Arc<Numbered>, HttpError> {
        let deadline = Instant::now() + self.wire.timeouts.operation;
        let calls = self.login_calls(deadline);
        let result = match timeout_at(deadline, self.login.login(&calls)).await {
            Ok(result) => result,
            Err(_elapsed) => {
                let name = Call::get("(login)").name();
                Err(HttpError::maybe_sent(name, "the login took too long").timed_out())
            }
        };
        self.sessions.fill(vacancy, result)
    }

    fn login_calls(&self, deadline: Instant) -> LoginCalls<'_> {
        LoginCalls {
            wire: &self.wire,
            retry: &self.retry,
            login: self.login.as_ref(),
            deadline,
        }
    }

    fn no_session(&self, name: CallName, login: HttpError) -> HttpError {
        HttpError::no_session(name, login).at(&self.wire.endpoint)
    }
}

const _: fn() = || {
    const fn shared<T: Send + Sync + Clone>() {}
    shared::<Client>();
};
