//! What must hold for any bytes that an array or a configuration wrote. For tests and for the fuzz
//! targets, which call these; not part of the library.

use reqwest::header::{HeaderMap, HeaderValue};

use crate::{Answer, CallName, Endpoint, Fingerprint, HttpError, Method, Trust, retry, verify};

/// Addresses and fingerprints as people write them.
pub fn texts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match text.parse::<Endpoint>() {
        Ok(endpoint) => {
            let shown = endpoint.to_string();
            assert!(!shown.contains(['@', '/', '?', '#']), "{shown}");
            if !endpoint.is_plain() {
                let again = shown.parse::<Endpoint>();
                assert_eq!(again.as_ref().map(ToString::to_string).ok(), Some(shown));
            }
        }
        Err(error) => {
            // What stands before an `@` may be a password. With three digits it is no part of the
            // refusal's own words.
            let password = text.split_once('@').map(|(before, _)| before);
            let digits = |text: &&str| text.bytes().filter(u8::is_ascii_digit).count() >= 3;
            if let Some(password) = password.filter(digits) {
                assert!(!error.to_string().contains(password), "{error}");
            }
        }
    }
    if let Ok(fingerprint) = text.parse::<Fingerprint>() {
        let shown = fingerprint.to_string();
        assert_eq!(shown.len(), 95);
        assert_eq!(shown.parse::<Fingerprint>().ok(), Some(fingerprint));
    }
}

/// A file of certificates.
pub fn certificates(data: &[u8]) {
    match verify::tls_config(&Trust::CaPem(data.to_vec())) {
        Ok(_config) => assert!(data.windows(5).any(|part| part == b"BEGIN"), "none in it"),
        Err(why) => assert!(why.len() < 1000, "{why}"),
    }
}

/// Headers that ask to wait.
pub fn headers(data: &[u8]) {
    let mut headers = HeaderMap::new();
    let names = ["retry-after", "date", "ratelimit-reset"];
    for (line, name) in data.split(|byte| *byte == b'\n').zip(names) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.insert(name, value);
        }
    }
    let answer = Answer::new(CALL, 429, headers, Vec::new());
    let _wait = retry::retry_after(&answer);
}

const CALL: CallName = CallName {
    method: Method::Post,
    path: "/volumes",
};

/// An answer with that status and body, and the error that a refusal becomes.
#[must_use]
pub fn refusal(status: u16, body: &[u8]) -> (Answer, HttpError) {
    let answer = || Answer::new(CALL, status, HeaderMap::new(), body.to_vec());
    (answer(), HttpError::answered(CALL, answer()))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes(data in vec(any::<u8>(), 0..300)) {
            super::texts(&data);
            super::headers(&data);
            super::certificates(&data);
        }

        #[test]
        fn almost_addresses(text in "(https?://)?([a-z]{1,9}:)?(secretsecretsecret@)?(\\[::1\\]|10\\.0\\.0\\.1|[a-z.é]{0,12})(:[0-9]{0,6})?[/?#]?[a-z]{0,3}") {
            super::texts(text.as_bytes());
        }

        #[test]
        fn almost_waits(text in "([0-9]{0,22}|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT|\n){0,5}") {
            super::headers(text.as_bytes());
        }

        #[test]
        fn almost_certificates(body in "[A-Za-z0-9+/=\n]{0,200}", end: bool) {
            let end = if end { "-----END CERTIFICATE-----\n" } else { "" };
            super::certificates(format!("-----BEGIN CERTIFICATE-----\n{body}\n{end}").as_bytes());
        }
    }
}
