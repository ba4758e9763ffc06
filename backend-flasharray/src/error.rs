//! What the array's answers mean: one table for the vendor's texts, one for the kinds.
//!
//! The array refuses nearly everything with status 400 and says why in words. The words are those
//! that the vendor's and other public clients look for; where a text is not known, the closest one
//! stands here and the answer's own words go into the message.

use std::error::Error as StdError;

use serde::Deserialize;
use storage_core::{Error, ErrorKind, Retry};
use storage_http::{Answer, HttpError, Idempotency, Method, Stage};

/// Why the array refused a call, as far as it matters to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    VolumeMissing,
    HostMissing,
    ConnectionMissing,
    TagMissing,
    ConnectionExists,
    HostExists,
    NameTaken,
    LunTaken,
    InitiatorInUse,
    Destroyed,
    NotDestroyed,
    Truncation,
    LimitReached,
    OutOfSpace,
    BadName,
    Other,
}

/// Parts of texts in lower case. The first that is found decides, so the specific ones stand
/// before the general ones.
const TEXTS: &[(&str, Refusal)] = &[
    ("no such volume or snapshot", Refusal::VolumeMissing),
    ("volume does not exist", Refusal::VolumeMissing),
    ("host does not exist", Refusal::HostMissing),
    ("connection does not exist", Refusal::ConnectionMissing),
    ("tag does not exist", Refusal::TagMissing),
    ("connection already exists", Refusal::ConnectionExists),
    ("host already exists", Refusal::HostExists),
    ("already exists", Refusal::NameTaken),
    ("lun", Refusal::LunTaken),
    ("already in use", Refusal::InitiatorInUse),
    ("has not been destroyed", Refusal::NotDestroyed),
    ("volume has been destroyed", Refusal::Destroyed),
    ("volume has been deleted", Refusal::Destroyed),
    ("snapshot has been destroyed", Refusal::Destroyed),
    ("implicit truncation", Refusal::Truncation),
    ("limit reached", Refusal::LimitReached),
    ("out of space", Refusal::OutOfSpace),
    ("volume name must be", Refusal::BadName),
    ("snapshot suffix must be", Refusal::BadName),
];

impl Refusal {
    fn of(text: &str) -> Self {
        let text = text.to_lowercase();
        let found = TEXTS.iter().find(|(part, _)| text.contains(part));
        found.map_or(Self::Other, |(_, refusal)| *refusal)
    }

    const fn kind(self) -> ErrorKind {
        match self {
            Self::VolumeMissing
            | Self::HostMissing
            | Self::ConnectionMissing
            | Self::TagMissing => ErrorKind::NotFound,
            Self::ConnectionExists | Self::HostExists | Self::NameTaken => ErrorKind::AlreadyExists,
            Self::LunTaken | Self::InitiatorInUse | Self::Destroyed | Self::NotDestroyed => {
                ErrorKind::FailedPrecondition
            }
            Self::Truncation => ErrorKind::OutOfRange,
            Self::LimitReached | Self::OutOfSpace => ErrorKind::ResourceExhausted,
            Self::BadName => ErrorKind::InvalidArgument,
            Self::Other => ErrorKind::Unexpected,
        }
    }
}

/// A refused call's body: `errors[]`, or for 403 and 429 `message` alone.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    errors: Vec<BodyError>,
    message: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BodyError {
    message: Option<String>,
    context: Option<String>,
}

/// No text of the array is repeated longer than this in a message.
const SHOWN_MAX: usize = 200;

fn shown(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(SHOWN_MAX)
        .collect()
}

fn body(answer: &Answer) -> Body {
    serde_json::from_slice(answer.body()).unwrap_or_default()
}

/// The messages of a refusal, without their contexts.
pub(crate) fn messages(answer: &Answer) -> Vec<String> {
    let body = body(answer);
    let errors = body.errors.into_iter().filter_map(|error| error.message);
    errors.chain(body.message).collect()
}

fn words(answer: &Answer) -> String {
    let body = body(answer);
    let errors = body.errors.iter().filter_map(|error| {
        let message = shown(error.message.as_deref()?);
        Some(match &error.context {
            Some(context) => format!("{} ({})", message, shown(context)),
            None => message,
        })
    });
    let mut words: Vec<String> = errors.take(5).collect();
    words.extend(body.message.as_deref().map(shown));
    if words.is_empty() {
        format!("status {}", answer.status())
    } else {
        words.join("; ")
    }
}

/// A call that did not succeed, before it becomes a [`storage_core::Error`].
#[derive(Debug)]
pub(crate) struct Failure(HttpError);

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self(error)
    }
}

impl Failure {
    /// Why the array refused, if it did.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let answer = self.0.answer().filter(|answer| answer.status() == 400)?;
        let messages = messages(answer);
        Some(
            messages
                .first()
                .map_or(Refusal::Other, |text| Refusal::of(text)),
        )
    }

    /// Whether the array refused for one of these reasons.
    pub(crate) fn is(&self, reasons: &[Refusal]) -> bool {
        self.refusal()
            .is_some_and(|refusal| reasons.contains(&refusal))
    }

    /// Whether the call may have been executed all the same, by this or an earlier attempt.
    pub(crate) fn may_have_executed(&self) -> bool {
        self.0.may_have_executed() && !self.reads()
    }

    fn reads(&self) -> bool {
        self.0.call().is_some_and(|call| call.method == Method::Get)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let unknown = failure.may_have_executed();
        let http = failure.0;
        if let Some(untrusted) = http.untrusted() {
            // Told whole: as a cause, the line to add would stand there a second time.
            return Self::new(ErrorKind::Unavailable, untrusted.to_string())
                .with_retry(Retry::Never);
        }
        if let Some(answer) = http.login().and_then(HttpError::answer) {
            return refused_login(&http, answer);
        }
        if !unknown && matches!(http.stage(), Stage::NotSent | Stage::MaybeSent) {
            return unreached(&http);
        }
        let answered = http.answer().filter(|_| http.stage() == Stage::Answered);
        let (kind, message) = match answered {
            // An earlier attempt may have done it; the refusal of a later one proves nothing.
            _ if unknown => (
                ErrorKind::Timeout,
                "the array's answer was lost; whether it did what was asked is not known"
                    .to_owned(),
            ),
            Some(answer) => {
                let (kind, what) = answered_kind(answer);
                (kind, format!("{what}: {}", words(answer)))
            }
            None => unanswered_kind(&http),
        };
        Self::new(kind, message).with_source(http)
    }
}

fn answered_kind(answer: &Answer) -> (ErrorKind, &'static str) {
    const REFUSED: &str = "the array refused";
    match answer.status() {
        400 => {
            let messages = messages(answer);
            let refusal = messages
                .first()
                .map_or(Refusal::Other, |text| Refusal::of(text));
            (refusal.kind(), REFUSED)
        }
        // The login just succeeded, so it is not the token.
        401 => (
            ErrorKind::Unavailable,
            "the array ends its sessions as soon as they begin",
        ),
        403 => (
            ErrorKind::PermissionDenied,
            "the API token's user may not do this",
        ),
        429 | 500..=599 => (ErrorKind::Unavailable, "the array cannot answer now"),
        _ => (ErrorKind::Unexpected, REFUSED),
    }
}

/// The layers between this and what the system said are for the log, where each attempt is noted.
fn unreached(http: &HttpError) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!(
            "the array does not answer: {}; check that it is up, that `MgmtEndPoint` is its \
             address, and the network between",
            innermost(http)
        ),
    )
}

/// What the system or the peer said, without the layers that handed it up.
fn innermost(http: &HttpError) -> String {
    let mut cause: &(dyn StdError + 'static) = http;
    while let Some(next) = cause.source() {
        cause = next;
    }
    match cause.downcast_ref::<HttpError>() {
        Some(ours) => ours.reason().to_owned(),
        // The libraries have several words for it, none of them for people.
        None if http.is_timeout() => "no answer in time".to_owned(),
        None => shown(&cause.to_string()),
    }
}

fn unanswered_kind(http: &HttpError) -> (ErrorKind, String) {
    match http.stage() {
        Stage::Construction => (ErrorKind::InvalidArgument, http.to_string()),
        Stage::Unusable => {
            let reason = http.login().unwrap_or(http).reason();
            (ErrorKind::Unsupported, reason.to_owned())
        }
        Stage::OtherIdentity => (
            ErrorKind::Unavailable,
            "another array answers at this address now".to_owned(),
        ),
        Stage::Unreadable => (
            ErrorKind::Unexpected,
            "the array's answer is not what its interface documents".to_owned(),
        ),
        _ => (
            ErrorKind::Unavailable,
            "the array does not answer".to_owned(),
        ),
    }
}

fn refused_login(http: &HttpError, answer: &Answer) -> Error {
    let call = http.login().and_then(HttpError::call);
    let asked_in = call.is_some_and(|call| call.method == Method::Post);
    let (kind, what) = match answer.status() {
        // Also a session that ended before the array was asked who it is.
        _ if !asked_in => (
            ErrorKind::Unavailable,
            "the array cannot open a session now",
        ),
        429 | 500..=599 => (
            ErrorKind::Unavailable,
            "the array cannot open a session now",
        ),
        _ => {
            return Error::new(
                ErrorKind::Unauthenticated,
                format!(
                    "the array does not accept the API token: {}; correct `APIToken`, or the file \
                     that `APITokenFile` names, in its entry of the configuration",
                    words(answer).trim_end_matches('.')
                ),
            );
        }
    };
    Error::new(kind, format!("{what}: {}", words(answer))).with_source(http.clone())
}

/// What the calls of this backend declare: every one can be repeated. Names of new objects carry
/// a nonce, changes go by id, and a refusal after a lost answer is resolved by reading.
pub(crate) const REPEATABLE: Idempotency = Idempotency::Idempotent;

#[cfg(test)]
mod tests {
    use super::Refusal;

    #[test]
    fn known_texts_are_understood() {
        for (text, refusal) in [
            ("Volume does not exist.", Refusal::VolumeMissing),
            ("No such volume or snapshot.", Refusal::VolumeMissing),
            ("Host does not exist.", Refusal::HostMissing),
            ("Host already exists.", Refusal::HostExists),
            ("Volume already exists.", Refusal::NameTaken),
            ("Connection already exists.", Refusal::ConnectionExists),
            ("Connection does not exist.", Refusal::ConnectionMissing),
            ("Volume has been destroyed.", Refusal::Destroyed),
            ("Volume has been deleted.", Refusal::Destroyed),
            ("Volume has not been destroyed.", Refusal::NotDestroyed),
            (
                "Volume snapshot has been destroyed. It can be recovered by purevol recover and eradicated by purevol eradicate.",
                Refusal::Destroyed,
            ),
            ("Volume snapshot already exists.", Refusal::NameTaken),
            ("Implicit truncation not permitted.", Refusal::Truncation),
            ("Volume limit reached", Refusal::LimitReached),
            (
                "The specified initiator is already in use.",
                Refusal::InitiatorInUse,
            ),
            ("LUN 7 is already in use.", Refusal::LunTaken),
            ("Something new.", Refusal::Other),
        ] {
            assert_eq!(Refusal::of(text), refusal, "{text}");
        }
    }
}
