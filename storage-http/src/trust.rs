//! What makes an array's certificate acceptable. The check itself is in `verify`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::error::HttpError;

/// What makes an array's certificate acceptable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// The operating system's certificate authorities.
    System,
    /// The authorities in a PEM file, and no others. A certificate that itself stands in the
    /// file is accepted as if it were pinned: arrays ship with self-signed ones.
    CaFile(PathBuf),
    /// As [`Self::CaFile`], with the content at hand.
    CaPem(Vec<u8>),
    /// Exactly one certificate. Replaces the check of name and expiry; the proof that the array
    /// holds the certificate's key stays.
    Fingerprint(Fingerprint),
    /// No TLS, and only to a loopback address: for simulators and tests.
    PlainLoopback,
}

/// The SHA-256 digest of a certificate in DER form.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

/// Pairs of upper-case hex digits joined by `:`, as `openssl x509 -fingerprint -sha256` prints.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ":" };
            write!(f, "{separator}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = HttpError;

    /// Reads 64 hex digits of either case, with or without `:` or blanks, and a `SHA256:` or
    /// `sha256 Fingerprint=` before them.
    fn from_str(text: &str) -> Result<Self, HttpError> {
        let wrong = || {
            HttpError::construction(
                text,
                "a fingerprint is the certificate's SHA-256 digest: 64 hex digits",
            )
        };
        let digits = text.rsplit('=').next().unwrap_or_default().trim();
        let digits = match digits.get(..7) {
            Some(prefix) if prefix.eq_ignore_ascii_case("sha256:") => digits.get(7..).unwrap_or(""),
            _ => digits,
        };
        let mut nibbles = Vec::with_capacity(64);
        for c in digits.chars().filter(|c| !matches!(c, ':' | ' ')) {
            let nibble = c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            nibbles.push(nibble.ok_or_else(wrong)?);
            if nibbles.len() > 64 {
                return Err(wrong());
            }
        }
        let bytes: Vec<u8> = nibbles
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |byte, nibble| byte << 4 | nibble))
            .collect();
        if nibbles.len() != 64 {
            return Err(wrong());
        }
        bytes.try_into().map(Self).map_err(|_bytes| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    #[test]
    fn fingerprints_are_read_as_tools_print_them() {
        let fingerprint = Fingerprint::of(b"certificate");
        let shown = fingerprint.to_string();
        for text in [
            shown.clone(),
            shown.to_lowercase(),
            shown.replace(':', ""),
            format!("sha256 Fingerprint={shown}"),
            format!("SHA256:{}", shown.replace(':', "")),
        ] {
            assert_eq!(text.parse::<Fingerprint>().unwrap(), fingerprint, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let long = "A".repeat(66);
        for text in [
            "",
            "sha256:",
            "zz",
            "ABCD",
            &long,
            &"é".repeat(32),
            &"A".repeat(63),
        ] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(sha256:|SHA256 Fingerprint=)?[0-9a-fA-F: é]{0,100}") {
            drop(text.parse::<Fingerprint>());
        }
    }
}
