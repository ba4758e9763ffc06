//! One REST call as data: what to ask, and what its caller knows about repeating it.
//!
//! Not the sending of it (`wire`), nor the decision to repeat it (`retry`).

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use storage_core::Secret;
use tokio::time::Instant;

use crate::calls::CallName;

/// HTTP methods that arrays use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes.
    Post,
    /// Puts in place.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// The method as it stands on the request line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happens when the array executes a call twice: declared where the call is made, because
/// only there it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// Changes nothing.
    Safe,
    /// Executed twice, it leaves the same state and gives a usable answer.
    Idempotent,
    /// Must not be repeated once it may have been executed; the caller reads back instead.
    Once,
}

impl Idempotency {
    /// Whether a request whose fate is unknown may be sent again.
    #[must_use]
    pub const fn repeatable(self) -> bool {
        matches!(self, Self::Safe | Self::Idempotent)
    }
}

#[derive(Clone)]
struct Parameter {
    key: &'static str,
    value: String,
    secret: bool,
}

/// One REST call. The path is a template relative to the session's base path, so that counters
/// and logs have few names; everything variable is in the query and the body.
#[derive(Clone)]
pub struct Call {
    method: Method,
    path: &'static str,
    query: Vec<Parameter>,
    secret_headers: Vec<(&'static str, Secret)>,
    body: Option<Result<Vec<u8>, String>>,
    idempotency: Idempotency,
    deadline: Option<Instant>,
    pin: Option<Arc<str>>,
}

impl Call {
    /// A call of any method.
    #[must_use]
    pub const fn new(method: Method, path: &'static str, idempotency: Idempotency) -> Self {
        Self {
            method,
            path,
            query: Vec::new(),
            secret_headers: Vec::new(),
            body: None,
            idempotency,
            deadline: None,
            pin: None,
        }
    }

    /// A read.
    #[must_use]
    pub const fn get(path: &'static str) -> Self {
        Self::new(Method::Get, path, Idempotency::Safe)
    }

    /// Adds a query parameter; the value is percent-encoded when it is sent.
    #[must_use]
    pub fn query(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push(Parameter {
            key,
            value: value.into(),
            secret: false,
        });
        self
    }

    /// Adds a query parameter whose value must not be logged.
    #[must_use]
    pub fn secret_query(mut self, key: &'static str, value: &Secret) -> Self {
        self.query.push(Parameter {
            key,
            value: value.expose().to_owned(),
            secret: true,
        });
        self
    }

    /// Adds a header that carries a secret (a login's token). Never logged.
    #[must_use]
    pub fn secret_header(mut self, name: &'static str, value: Secret) -> Self {
        self.secret_headers.push((name, value));
        self
    }

    /// Sets a JSON body. A value that cannot be serialised fails when the call is sent.
    #[must_use]
    pub fn json(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_vec(body).map_err(|error| error.to_string()));
        self
    }

    /// Bounds the call, all waits and retries included. Without it, the client's operation
    /// time-out counts from the moment of sending.
    #[must_use]
    pub const fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sends the call only in a session whose login told this identity
    /// ([`crate::Session::with_identity`]): another array may answer at the address after a new
    /// login, and what was decided about one must not be done to the other.
    #[must_use]
    pub fn pinned(mut self, identity: impl Into<Arc<str>>) -> Self {
        self.pin = Some(identity.into());
        self
    }

    /// Method and path, as counters and errors name the call.
    #[must_use]
    pub const fn name(&self) -> CallName {
        CallName {
            method: self.method,
            path: self.path,
        }
    }

    /// What its caller declared about repeating it.
    #[must_use]
    pub const fn idempotency(&self) -> Idempotency {
        self.idempotency
    }

    pub(crate) fn pin(&self) -> Option<&str> {
        self.pin.as_deref()
    }

    pub(crate) const fn deadline_at(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn headers(&self) -> &[(&'static str, Secret)] {
        &self.secret_headers
    }

    pub(crate) fn body(&self) -> Result<Option<&[u8]>, &str> {
        match &self.body {
            None => Ok(None),
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(reason)) => Err(reason),
        }
    }

    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.query.iter().map(|p| (p.key, p.value.as_str()))
    }

    /// The query for logs: secret values are replaced.
    pub(crate) fn shown_query(&self) -> String {
        let mut shown = String::new();
        for parameter in &self.query {
            let separator = if shown.is_empty() { "" } else { "&" };
            let value = if parameter.secret {
                "***"
            } else {
                &parameter.value
            };
            shown.push_str(separator);
            shown.push_str(parameter.key);
            shown.push('=');
            shown.push_str(value);
        }
        shown
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("name", &self.name())
            .field("query", &self.shown_query())
            .field("idempotency", &self.idempotency)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use storage_core::Secret;

    use super::Call;

    #[test]
    fn secrets_are_not_shown() {
        let secret = Secret::new("hunter2");
        let call = Call::get("/volumes")
            .query("names", "a,b")
            .secret_query("password", &secret)
            .secret_header("api-token", secret.clone());
        assert_eq!(call.shown_query(), "names=a,b&password=***");
        assert!(!format!("{call:?}").contains("hunter2"));
    }
}
