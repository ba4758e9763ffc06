//! The one error of this crate: how far a call got, and what is known about its effect.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::answer::Answer;
use crate::calls::CallName;
use crate::verify::UntrustedCertificate;

/// How far the last attempt of a call got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// No request could be made of it: a wrong address, a certificate file that cannot be read.
    Construction,
    /// The login found that this client cannot use the array at all ([`HttpError::unusable`]).
    Unusable,
    /// The array did not receive it: no connection, no session, no free slot in time.
    NotSent,
    /// Somebody else answers at the address than the call is for ([`crate::Call::pinned`]). The
    /// last attempt was not sent.
    OtherIdentity,
    /// It was sent, and no answer came.
    MaybeSent,
    /// It was answered, and the answer was cut off, too large, or not what is documented.
    Unreadable,
    /// It was answered by a status other than 2xx.
    Answered,
}

/// Why a call failed. Cheap to clone; never holds a token. `Display` leaves the cause out.
#[derive(Clone)]
pub struct HttpError(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    stage: Stage,
    subject: String,
    name: Option<CallName>,
    reason: String,
    attempts: u32,
    timed_out: bool,
    uncertain: bool,
    answer: Option<Answer>,
    login: Option<HttpError>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl HttpError {
    fn make(stage: Stage, name: Option<CallName>, reason: String) -> Self {
        Self(Arc::new(Inner {
            stage,
            subject: String::new(),
            name,
            reason,
            attempts: 1,
            timed_out: false,
            uncertain: matches!(stage, Stage::MaybeSent | Stage::Unreadable),
            answer: None,
            login: None,
            source: None,
        }))
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Something that can be told without any request. `subject` is the wrong thing itself.
    pub(crate) fn construction(subject: &str, reason: impl Into<String>) -> Self {
        Self::make(Stage::Construction, None, reason.into()).at(subject)
    }

    /// For a [`crate::Login`]: this array cannot be used by this client, whatever is retried (its
    /// interface is too old). The reason is one sentence for a person.
    #[must_use]
    pub fn unusable(reason: impl Into<String>) -> Self {
        Self::make(Stage::Unusable, None, reason.into())
    }

    pub(crate) fn not_sent(name: CallName, reason: impl Into<String>) -> Self {
        Self::make(Stage::NotSent, Some(name), reason.into())
    }

    /// A call that was not sent because the session is with another array than the call is for.
    pub(crate) fn other_identity(name: CallName) -> Self {
        let reason = "another array answers at this address now".to_owned();
        Self::make(Stage::OtherIdentity, Some(name), reason)
    }

    pub(crate) fn maybe_sent(name: CallName, reason: impl Into<String>) -> Self {
        Self::make(Stage::MaybeSent, Some(name), reason.into())
    }

    pub(crate) fn unreadable(name: CallName, status: u16, reason: impl fmt::Display) -> Self {
        let reason = format!("status {status}, and an answer that cannot be read: {reason}");
        Self::make(Stage::Unreadable, Some(name), reason)
    }

    pub(crate) fn answered(name: CallName, answer: Answer) -> Self {
        let reason = format!("refused with status {}", answer.status());
        // A server error, or a gateway that gave up, says nothing about what was executed.
        let uncertain = matches!(answer.status(), 500 | 502 | 504..=599);
        Self::make(Stage::Answered, Some(name), reason).change(|inner| {
            inner.uncertain = uncertain;
            inner.answer = Some(answer);
        })
    }

    /// A call that was not sent because there is no session.
    pub(crate) fn no_session(name: CallName, login: Self) -> Self {
        let stage = match login.stage() {
            Stage::Unusable => Stage::Unusable,
            _ => Stage::NotSent,
        };
        Self::make(stage, Some(name), "there is no session".to_owned()).change(|inner| {
            inner.timed_out = login.is_timeout();
            inner.source = Some(Arc::new(login.clone()));
            inner.login = Some(login);
        })
    }

    pub(crate) fn at(self, subject: impl fmt::Display) -> Self {
        self.change(|inner| {
            if inner.subject.is_empty() {
                inner.subject = subject.to_string();
            }
        })
    }

    pub(crate) fn caused_by(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.change(|inner| inner.source = Some(Arc::new(source)))
    }

    pub(crate) fn timed_out(self) -> Self {
        self.change(|inner| inner.timed_out = true)
    }

    /// Says how often it was tried, and whether an earlier attempt may have been executed.
    pub(crate) fn after(self, attempts: u32, earlier_uncertain: bool) -> Self {
        self.change(|inner| {
            inner.attempts = attempts;
            inner.uncertain |= earlier_uncertain;
        })
    }

    /// How far the last attempt got.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.0.stage
    }

    /// Which call failed, where it was one.
    #[must_use]
    pub fn call(&self) -> Option<CallName> {
        self.0.name
    }

    /// Whether any attempt of the call may have been executed by the array. Of a read it may be
    /// ignored.
    #[must_use]
    pub fn may_have_executed(&self) -> bool {
        self.0.uncertain
    }

    /// Whether a time-out or the deadline ended it.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.0.timed_out
    }

    /// The array's own answer, where the last attempt got one.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        self.0.answer.as_ref()
    }

    /// The failed login, where that is why the call was not sent.
    #[must_use]
    pub fn login(&self) -> Option<&Self> {
        self.0.login.as_ref()
    }

    /// The certificate that was presented and refused, in this call or in the login before it.
    #[must_use]
    pub fn untrusted(&self) -> Option<&UntrustedCertificate> {
        match &self.0.login {
            Some(login) => login.untrusted(),
            None => self.0.source.as_ref()?.downcast_ref(),
        }
    }

    /// One sentence without call and address.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.reason
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        if let Some(name) = inner.name {
            write!(f, "{name}")?;
            if !inner.subject.is_empty() {
                f.write_str(" at ")?;
            }
        }
        f.write_str(&inner.subject)?;
        if inner.name.is_some() || !inner.subject.is_empty() {
            f.write_str(": ")?;
        }
        f.write_str(&inner.reason)?;
        if inner.attempts > 1 {
            write!(f, " (after {} attempts)", inner.attempts)?;
        }
        Ok(())
    }
}

impl fmt::Debug for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpError[{:?}] {self}", self.0.stage)?;
        let mut next = self.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

impl StdError for HttpError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
