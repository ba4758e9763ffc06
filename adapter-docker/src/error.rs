//! The one place where an error of ours becomes an answer of Docker's protocol.

use hyper::StatusCode;
use storage_core::{Error, ErrorKind};

/// The longest error text sent, in bytes: it ends up on somebody's terminal.
const TEXT_MAX: usize = 4096;

/// The status for a kind. Docker's daemon looks at nothing but "200 or not"; the rest is for
/// people who call the socket by hand, and for logs.
pub(crate) const fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidArgument | ErrorKind::OutOfRange => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::AlreadyExists | ErrorKind::FailedPrecondition => StatusCode::CONFLICT,
        // Our credentials at the array, not the caller's with us.
        ErrorKind::PermissionDenied | ErrorKind::Unauthenticated => StatusCode::BAD_GATEWAY,
        ErrorKind::ResourceExhausted => StatusCode::INSUFFICIENT_STORAGE,
        ErrorKind::Busy | ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        // `Unexpected`, and what a later version of the core may add.
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The error with its causes on one line, as Docker shows it to the user.
pub(crate) fn text(error: &Error) -> String {
    one_line(&error.chain().to_string())
}

/// Replaces control characters and cuts what is too long.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(TEXT_MAX));
    for c in text.chars() {
        if line.len() + c.len_utf8() > TEXT_MAX {
            line.push('…');
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
    use storage_core::ErrorKind;

    use super::{TEXT_MAX, one_line, status};

    #[test]
    fn every_kind_of_today_has_a_status_of_its_own_choosing() {
        let kinds = [
            (ErrorKind::InvalidArgument, 400),
            (ErrorKind::NotFound, 404),
            (ErrorKind::AlreadyExists, 409),
            (ErrorKind::PermissionDenied, 502),
            (ErrorKind::Unauthenticated, 502),
            (ErrorKind::ResourceExhausted, 507),
            (ErrorKind::FailedPrecondition, 409),
            (ErrorKind::Busy, 503),
            (ErrorKind::OutOfRange, 400),
            (ErrorKind::Unsupported, 501),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::Timeout, 504),
            (ErrorKind::Unexpected, 500),
        ];
        for (kind, code) in kinds {
            assert_eq!(status(kind).as_u16(), code, "{kind}");
            assert_ne!(status(kind), StatusCode::OK);
        }
    }

    #[test]
    fn an_error_text_is_one_line_and_bounded() {
        assert_eq!(one_line("a\nb\tc"), "a b c");
        assert!(one_line(&"é".repeat(5000)).len() <= TEXT_MAX + '…'.len_utf8());
    }
}
