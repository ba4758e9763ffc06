//! The address of a management interface, as people write it: a name, an IP address, with or
//! without a port or `https://`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use url::Url;

use crate::error::HttpError;

/// A checked address. `Display` prints `host` or `host:port`, without scheme or path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    origin: Url,
    shown: String,
}

impl Endpoint {
    /// Whether the scheme is plain `http`: accepted for the machine itself only, see
    /// [`crate::Trust::PlainLoopback`].
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.origin.scheme() == "http"
    }

    /// Whether it is a literal address of this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.origin.host() {
            Some(url::Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
            Some(url::Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
            Some(url::Host::Domain(_)) | None => false,
        }
    }

    /// The full URL of a path below this address.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.origin.clone();
        url.set_path(path);
        url
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl FromStr for Endpoint {
    type Err = HttpError;

    fn from_str(text: &str) -> Result<Self, HttpError> {
        // Whatever has an `@` may hold a password: it is not repeated in the message.
        let subject = if text.contains('@') {
            "the address"
        } else {
            text
        };
        let wrong = |reason: &str| HttpError::construction(subject, reason);
        let trimmed = text.trim();
        let with_scheme = if trimmed.contains("://") {
            trimmed.to_owned()
        } else if trimmed.parse::<Ipv6Addr>().is_ok() {
            // A bare IPv6 address has colons that are no port's.
            format!("https://[{trimmed}]")
        } else {
            format!("https://{trimmed}")
        };
        let url =
            Url::parse(&with_scheme).map_err(|error| wrong(&format!("not an address: {error}")))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(wrong("the scheme must be https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("credentials do not belong into an address"));
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("only a host and a port are expected, no path"));
        }
        let host = url.host_str().ok_or_else(|| wrong("there is no host"))?;
        let shown = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok(Self { origin: url, shown })
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn addresses_as_people_write_them() {
        for (text, url) in [
            ("10.0.0.1", "https://10.0.0.1/api"),
            ("array.example:8443", "https://array.example:8443/api"),
            (" https://array.example/ ", "https://array.example/api"),
            ("fd00::1", "https://[fd00::1]/api"),
            ("[fd00::1]:444", "https://[fd00::1]:444/api"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.url("/api").as_str(), url);
        }
        assert_eq!(
            "https://a.example:8443"
                .parse::<Endpoint>()
                .unwrap()
                .to_string(),
            "a.example:8443"
        );
    }

    #[test]
    fn what_is_more_than_an_address_is_refused() {
        for text in [
            "",
            "ftp://a",
            "https://u:p@a",
            "a/b",
            "a?b",
            "https://",
            "a b",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_refused_address_with_credentials_does_not_print_them() {
        let error = "https://u:hunter2@a".parse::<Endpoint>().unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_is_shown_as_it_can_be_read(text in ".{0,40}") {
            if let Ok(endpoint) = text.parse::<Endpoint>() {
                proptest::prop_assert!(endpoint.to_string().parse::<Endpoint>().is_ok());
            }
        }
    }
}
