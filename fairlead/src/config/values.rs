//! Rules for single values: pure functions from text to a typed value or a sentence.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What is wrong with a value, and what to do.
pub(super) type Complaint = (String, String);

fn complaint<T>(message: impl Into<String>, advice: impl Into<String>) -> Result<T, Complaint> {
    Err((message.into(), advice.into()))
}

/// A management address, checked and brought to one spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint(String);

impl Endpoint {
    /// Checks a `host`, `host:port`, IPv4, IPv6 or `[IPv6]:port`.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, (String, String)> {
        if text.is_empty() {
            return complaint("the address is empty", "write a host name or an IP address");
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            let bare = rest.split('/').next().unwrap_or_default();
            return complaint(
                format!("an address has no scheme (`{scheme}://`)"),
                format!("write \"{bare}\""),
            );
        }
        if let Some((bare, _)) = text.split_once(['/', '?', '#']) {
            return complaint("an address has no path", format!("write \"{bare}\""));
        }
        if text.contains('@') {
            return complaint("an address has no user name", "write what follows the `@`");
        }
        if let Ok(IpAddr::V6(address)) = text.parse() {
            return Ok(Self(format!("[{address}]")));
        }
        let (host, port) = split_port(text)?;
        let host = host_name(host)?;
        Ok(Self(match port {
            None | Some(443) => host,
            Some(port) => format!("{host}:{port}"),
        }))
    }

    /// `host` or `host:port`, as a URL's authority takes it; port 443 left out.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), Complaint> {
    let colon = if text.starts_with('[') {
        let Some((_, after)) = text.split_once(']') else {
            return complaint(
                "the bracket of the IPv6 address is not closed",
                "add the `]`",
            );
        };
        if after.is_empty() {
            return Ok((text, None));
        }
        if !after.starts_with(':') {
            return complaint(
                "only `:port` may follow the bracket of an IPv6 address",
                "write \"[address]\" or \"[address]:port\"",
            );
        }
        text.len() - after.len()
    } else {
        match text.find(':') {
            Some(colon) => colon,
            None => return Ok((text, None)),
        }
    };
    let (host, port) = text.split_at(colon);
    let digits = port.strip_prefix(':').unwrap_or(port);
    match digits.parse::<u16>() {
        Ok(number) if number > 0 && !digits.starts_with('+') => Ok((host, Some(number))),
        _ => complaint(
            "the port is not a number from 1 to 65535",
            "write \"host:port\"",
        ),
    }
}

fn host_name(host: &str) -> Result<String, Complaint> {
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return match inner.parse::<std::net::Ipv6Addr>() {
            Ok(address) => Ok(format!("[{address}]")),
            Err(_) => complaint("between the brackets is no IPv6 address", "correct it"),
        };
    }
    let labels_fit = host.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    });
    if !labels_fit || host.len() > 253 {
        return complaint(
            "this is neither a host name nor an IP address",
            "write letters, digits, `-` and `.` only",
        );
    }
    let numeric = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    if numeric && host.parse::<std::net::Ipv4Addr>().is_err() {
        return complaint(
            "this is not an IPv4 address",
            "write four numbers from 0 to 255",
        );
    }
    Ok(host.to_ascii_lowercase())
}

/// SHA-256 of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Reads 64 hexadecimal digits, with or without colons, with or without `sha256:` before.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, (String, String)> {
        let advice = "write the 64 hexadecimal digits of the certificate's SHA-256 fingerprint";
        let lower = text.trim().to_ascii_lowercase();
        let body = ["sha256:", "sha-256:", "sha256 fingerprint="]
            .iter()
            .find_map(|prefix| lower.strip_prefix(prefix))
            .unwrap_or(&lower);
        let digits: Vec<u32> = body
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16).unwrap_or(u32::MAX))
            .collect();
        if digits.contains(&u32::MAX) {
            return complaint(
                "a fingerprint has hexadecimal digits and colons only",
                advice,
            );
        }
        if digits.len() == 40 {
            return complaint("this is a SHA-1 fingerprint (40 digits)", advice);
        }
        if digits.len() != 64 {
            return complaint(format!("this has {} digits", digits.len()), advice);
        }
        let mut bytes = [0_u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let value = pair.iter().fold(0_u32, |sum, digit| sum * 16 + digit);
            *byte = u8::try_from(value).unwrap_or_default();
        }
        Ok(Self(bytes))
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn bytes(&self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for Fingerprint {
    /// 64 lower-case digits without colons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Networks separated by commas.
pub(super) fn cidrs(text: &str) -> Result<Vec<String>, Complaint> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    for part in &parts {
        let valid = part.split_once('/').is_some_and(|(address, length)| {
            let longest = match address.parse::<IpAddr>() {
                Ok(IpAddr::V4(_)) => 32,
                Ok(IpAddr::V6(_)) => 128,
                Err(_) => return false,
            };
            let digits = length.chars().all(|c| c.is_ascii_digit());
            digits && length.parse::<u8>().is_ok_and(|length| length <= longest)
        });
        if !valid {
            let shown: String = part.chars().filter(|c| !c.is_control()).take(60).collect();
            return complaint(
                format!("`{shown}` is not a network in CIDR notation"),
                "write an address, `/` and a prefix length, such as 10.1.0.0/16; commas between",
            );
        }
    }
    Ok(parts.into_iter().map(str::to_owned).collect())
}

/// The longest label key and value in bytes: ours, so that labels fit a log line and a selector.
const LABEL_MAX: usize = 253;

/// A label's key and value: what the selector grammar can name.
pub(super) fn label(key: &str, value: &str) -> Result<(), Complaint> {
    let advice = "use letters, digits, `.`, `_`, `-` and `/`";
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if key.is_empty() || key.len() > LABEL_MAX || !key.chars().all(allowed) {
        return complaint("a selector could not name this label's key", advice);
    }
    if value.len() > LABEL_MAX || !value.chars().all(allowed) {
        return complaint("a selector could not name this label's value", advice);
    }
    Ok(())
}

/// A path that does not depend on where a program was started.
pub(super) fn absolute(text: &str) -> Result<PathBuf, Complaint> {
    let path = Path::new(text);
    if text.contains('\0') {
        return complaint("a path has no NUL character", "correct the path");
    }
    if !path.is_absolute() {
        return complaint("the path is not absolute", "begin it with `/`");
    }
    Ok(path.to_path_buf())
}

/// A token or secret as such: never shown.
pub(super) fn secret(text: &str) -> Result<(), Complaint> {
    if text.is_empty() {
        return complaint("it is empty", "write the value that the array gave");
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return complaint(
            "it has a blank or control character in it",
            "correct the value",
        );
    }
    if text.len() > 1024 || !text.is_ascii() {
        return complaint("it is not what an array gives out", "correct the value");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, Fingerprint, absolute, cidrs, label, secret};

    #[test]
    fn endpoints_come_to_one_spelling() {
        for (text, expected) in [
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3:443", "10.1.2.3"),
            ("Array.Example.COM:8443", "array.example.com:8443"),
            ("fe80::1", "[fe80::1]"),
            ("[2001:DB8::1]:443", "[2001:db8::1]"),
            ("[::1]:8443", "[::1]:8443"),
            ("localhost:1", "localhost:1"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().as_str(), expected, "{text}");
        }
    }

    #[test]
    fn bad_endpoints_are_refused() {
        for text in [
            "",
            " ",
            "https://a",
            "a/b",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "a:1:2",
            "user@a",
            "a b",
            "10.1.2",
            "999.1.1.1",
            "[::1",
            "[::1]x",
            "[a]",
            "-a",
            "a..b",
            "a\n",
        ] {
            assert!(Endpoint::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn fingerprints_in_every_spelling() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        for text in [plain.clone(), colons, format!("SHA256:{plain}")] {
            assert_eq!(Fingerprint::parse(&text).unwrap().to_string(), plain);
        }
        for text in ["", "ab", &"a".repeat(40), &"g".repeat(64), &"é".repeat(64)] {
            assert!(Fingerprint::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn networks() {
        assert_eq!(cidrs("10.0.0.0/8, fd00::/8").unwrap().len(), 2);
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/8,",
            "x/8",
            "1.1.1.1/+8",
        ] {
            assert!(cidrs(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn labels_paths_and_secrets() {
        assert!(label("topology.purestorage.com/rack", "7a").is_ok());
        assert!(label("env", "").is_ok());
        for (key, value) in [
            ("", "x"),
            ("a b", "x"),
            ("a", "x,y"),
            ("a=b", "x"),
            ("a", "(x)"),
        ] {
            assert!(label(key, value).is_err(), "{key:?}={value:?}");
        }
        assert!(absolute("/a").is_ok() && absolute("a").is_err() && absolute("").is_err());
        assert!(secret("c6033033-fe69-2515").is_ok());
        assert!(secret("").is_err() && secret("a b").is_err() && secret("a\n").is_err());
    }
}
