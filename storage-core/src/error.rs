//! The one public error: what a caller can act on, and the whole story for whoever reads the log.
//!
//! Kinds are outcomes that an adapter maps to its protocol in one exhaustive function; they are
//! not a list of things that can go wrong inside a backend. Whether a retry is sensible is
//! decided where the failure was understood (a vendor's reply, a kernel's answer), never guessed
//! further up. `Display` does not print the source: print a chain with [`Error::chain`].

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// Result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request itself is wrong (a bad name, an unknown option). Correct it.
    InvalidArgument,
    /// The volume, host or snapshot is certainly not there.
    NotFound,
    /// The name is taken by something that differs from what was asked for.
    AlreadyExists,
    /// The credentials are valid and do not suffice.
    PermissionDenied,
    /// The credentials are not accepted.
    Unauthenticated,
    /// No room, or a limit of the array or host is reached. A person must act.
    ResourceExhausted,
    /// The state does not allow it: in use, published elsewhere, destroyed, data at risk.
    FailedPrecondition,
    /// Another operation on the same volume is under way. Try again later.
    Busy,
    /// A size or number is outside what is possible.
    OutOfRange,
    /// The backend or this build cannot do it.
    Unsupported,
    /// Not reachable, or not able to answer now; nothing was decided.
    Unavailable,
    /// Time ran out; **the outcome is unknown** and the same call must be repeated to learn it.
    Timeout,
    /// An answer nobody foresaw, or a defect of ours.
    Unexpected,
}

impl ErrorKind {
    /// The kind in words, as logs and messages show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid argument",
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::PermissionDenied => "permission denied",
            Self::Unauthenticated => "not authenticated",
            Self::ResourceExhausted => "resource exhausted",
            Self::FailedPrecondition => "failed precondition",
            Self::Busy => "busy",
            Self::OutOfRange => "out of range",
            Self::Unsupported => "unsupported",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timed out, outcome unknown",
            Self::Unexpected => "unexpected",
        }
    }

    /// The advice that goes with the kind unless whoever made the error knows better.
    const fn default_retry(self) -> Retry {
        match self {
            Self::Busy | Self::Unavailable => Retry::After(None),
            Self::Timeout => Retry::IfIdempotent,
            Self::InvalidArgument
            | Self::NotFound
            | Self::AlreadyExists
            | Self::PermissionDenied
            | Self::Unauthenticated
            | Self::ResourceExhausted
            | Self::FailedPrecondition
            | Self::OutOfRange
            | Self::Unsupported
            | Self::Unexpected => Retry::Never,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether repeating the same call can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It will fail again in the same way.
    Never,
    /// Yes, after this long (`None`: the caller's own back-off).
    After(Option<Duration>),
    /// Only where doing it twice is harmless; every method of this crate's traits is.
    IfIdempotent,
}

/// A failure with its kind, retry advice, operation, context and cause. Two words in size.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: Retry,
    message: String,
    operation: Option<&'static str>,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure of that kind. The message is one sentence for a person: what is wrong and, where
    /// it is known, what to do next. No secrets.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            retry: kind.default_retry(),
            message: message.into(),
            operation: None,
            context: Vec::new(),
            source: None,
        }))
    }

    /// Replaces the kind's default retry advice.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Names what was being done ("create volume"), unless an inner layer did already.
    #[must_use]
    pub fn with_operation(mut self, operation: &'static str) -> Self {
        self.0.operation.get_or_insert(operation);
        self
    }

    /// Adds an identifier that helps to find the case in a log: `("volume", "data")`.
    #[must_use]
    pub fn with_context(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.0.context.push((key, value.into()));
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether repeating can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// The sentence for a person, without context or cause.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The identifiers that were attached, innermost first.
    #[must_use]
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }

    /// The error with every cause, on one line, for logs and for people.
    #[must_use]
    pub fn chain(&self) -> ErrorChain<'_> {
        ErrorChain(self)
    }

    /// A copy for a second caller that waits for the same operation. The cause is flattened to
    /// its text, as a boxed source cannot be cloned.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let source = StdError::source(self).map(|source| ErrorChain(source).to_string());
        Self(Box::new(Inner {
            kind: self.0.kind,
            retry: self.0.retry,
            message: self.0.message.clone(),
            operation: self.0.operation,
            context: self.0.context.clone(),
            source: source.map(Into::into),
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = self.0.operation {
            write!(f, "{operation}: ")?;
        }
        f.write_str(&self.0.message)?;
        let mut separator = " (";
        for (key, value) in &self.0.context {
            write!(f, "{separator}{key}: {value}")?;
            separator = ", ";
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.0.kind, self.chain())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// Prints an error and all its causes, joined by `: `.
#[derive(Debug)]
pub struct ErrorChain<'a>(&'a (dyn StdError + 'static));

impl<'a> ErrorChain<'a> {
    /// Wraps any error for printing.
    #[must_use]
    pub fn new(error: &'a (dyn StdError + 'static)) -> Self {
        Self(error)
    }
}

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, ErrorKind, Retry};

    #[test]
    fn display_leaves_the_cause_to_the_chain() {
        let error = Error::new(ErrorKind::Unavailable, "the array does not answer")
            .with_operation("create volume")
            .with_context("array", "a1")
            .with_source(std::io::Error::other("connection refused"));
        assert_eq!(
            error.to_string(),
            "create volume: the array does not answer (array: a1)"
        );
        assert_eq!(
            error.chain().to_string(),
            "create volume: the array does not answer (array: a1): connection refused"
        );
        assert_eq!(error.retry(), Retry::After(None));
    }

    #[test]
    fn a_duplicate_says_the_same() {
        let error = Error::new(ErrorKind::Timeout, "no answer within 10 s")
            .with_source(std::io::Error::other("reset"));
        assert_eq!(
            error.duplicate().chain().to_string(),
            error.chain().to_string()
        );
        assert_eq!(error.duplicate().kind(), ErrorKind::Timeout);
    }
}
