//! Logging in: which REST version, which array, which token.
//!
//! All of it is learned anew with every login, so that an array that was upgraded, or replaced
//! behind its address, is noticed as soon as its sessions end.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use serde::Deserialize;
use storage_core::{ArrayId, Secret};
use storage_http::{Answer, Call, HttpError, Idempotency, Login, LoginCalls, Method, Session};

use crate::api::{Envelope, nullable};
use crate::error;

/// A version of the REST interface, `2.26`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RestVersion {
    major: u32,
    minor: u32,
}

impl RestVersion {
    /// Tags of volumes exist since this one (vendor REST 2.2; they are not in 2.0).
    const OLDEST: Self = Self { major: 2, minor: 2 };
    /// The newest one whose document this was written against (vendor REST 2.50).
    const NEWEST: Self = Self {
        major: 2,
        minor: 50,
    };
    /// `/connections` takes `volume_ids` in the vendor's document for 2.26, and not in that for
    /// 2.2; those between were not at hand.
    const CONNECTIONS_BY_ID: Self = Self {
        major: 2,
        minor: 26,
    };

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    }

    /// Whether connections can be looked up and removed by the volume's id.
    pub(crate) fn connections_by_id(self) -> bool {
        self >= Self::CONNECTIONS_BY_ID
    }
}

impl fmt::Display for RestVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Who answers at the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: ArrayId,
    pub(crate) name: String,
    pub(crate) purity: String,
    pub(crate) rest: RestVersion,
    /// How long destroyed volumes are kept, in milliseconds, where the array tells (not in REST 2.2).
    pub(crate) eradication_delay_ms: Option<u64>,
}

/// The identity that the latest login learned.
#[derive(Debug, Default)]
pub(crate) struct IdentityCell(RwLock<Option<Arc<Identity>>>);

impl IdentityCell {
    pub(crate) fn get(&self) -> Option<Arc<Identity>> {
        let identity = self.0.read().unwrap_or_else(PoisonError::into_inner);
        identity.as_ref().map(Arc::clone)
    }

    fn learn(&self, new: Identity) {
        let mut identity = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match identity.as_deref() {
            Some(old) if *old == new => return,
            Some(old) if old.id != new.id => {
                tracing::error!(old = %old.id, new = %new.id, name = new.name, "another array answers at this address");
            }
            _ => tracing::info!(
                array = new.name, id = %new.id, purity = new.purity, rest = %new.rest, "array"
            ),
        }
        *identity = Some(Arc::new(new));
    }
}

/// The login of a `FlashArray`.
#[derive(Debug)]
pub(crate) struct FlashArrayLogin {
    token: Secret,
    identity: Arc<IdentityCell>,
}

impl FlashArrayLogin {
    pub(crate) const fn new(token: Secret, identity: Arc<IdentityCell>) -> Self {
        Self { token, identity }
    }
}

/// GET `/api/api_version`: `{"version": ["1.0", …, "2.26"]}`.
#[derive(Deserialize)]
struct Versions {
    version: Vec<String>,
}

/// GET `/arrays`: the array itself.
#[derive(Deserialize)]
struct WireArray {
    id: String,
    name: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    eradication_config: WireEradication,
}

/// How destroyed objects end `[2.26, EradicationConfig]`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WireEradication {
    /// Milliseconds.
    eradication_delay: Option<u64>,
}

/// The highest version that both sides know.
fn negotiate(offered: &[String]) -> Result<RestVersion, HttpError> {
    let best = offered
        .iter()
        .filter_map(|text| RestVersion::parse(text))
        .filter(|version| (RestVersion::OLDEST..=RestVersion::NEWEST).contains(version))
        .max();
    best.ok_or_else(|| {
        let newest = offered.last().map_or("nothing", String::as_str);
        HttpError::unusable(format!(
            "the array offers REST up to {newest}, and {} to {} are needed: upgrade it to Purity 6 or newer",
            RestVersion::OLDEST,
            RestVersion::NEWEST,
        ))
    })
}

#[async_trait]
impl Login for FlashArrayLogin {
    async fn login(&self, calls: &LoginCalls<'_>) -> Result<Session, HttpError> {
        let answer = calls.send("", Call::get("/api/api_version")).await?;
        let rest = negotiate(&answer.json::<Versions>()?.version)?;
        let base = format!("/api/{rest}");
        // Two logins leave two sessions; the spare one ends by the array's idle time-out.
        let login = Call::new(Method::Post, "/login", Idempotency::Idempotent)
            .secret_header("api-token", self.token.clone());
        let answer = calls.send(&base, login).await?;
        let token = answer
            .header("x-auth-token")
            .ok_or_else(|| HttpError::unusable("the login gave no session token"))?;
        let session = Session::new(base, "x-auth-token", Secret::new(token));
        let answer = calls.send_as(&session, Call::get("/arrays")).await?;
        let arrays: Envelope<WireArray> = answer.json()?;
        let array = arrays
            .items
            .into_iter()
            .next()
            .ok_or_else(|| HttpError::unusable("the array does not tell its identity"))?;
        let session = session.with_identity(array.id.as_str());
        self.identity.learn(Identity {
            id: ArrayId::new(array.id),
            name: array.name,
            purity: array.version.unwrap_or_default(),
            rest,
            eradication_delay_ms: array.eradication_config.eradication_delay,
        });
        Ok(session)
    }

    async fn logout(&self, calls: &LoginCalls<'_>, session: &Session) -> Result<(), HttpError> {
        let logout = Call::new(Method::Post, "/logout", Idempotency::Idempotent);
        calls.send_as(session, logout).await.map(drop)
    }

    /// 401 ends a session. 404 is no answer about an object (those are 400, vendor clients agree):
    /// it says that this REST version is not served any more, so it is negotiated again.
    fn session_refused(&self, answer: &Answer) -> bool {
        matches!(answer.status(), 401 | 404)
    }

    /// Vendor client: 429, 503, and 500 with exactly this message, are "come again".
    fn busy(&self, answer: &Answer) -> bool {
        match answer.status() {
            429 | 503 => true,
            500 => error::messages(answer)
                .iter()
                .any(|text| text == "Server is busy"),
            _ => false,
        }
    }
}

/// A version is chosen of those that were offered, or none.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let offered: Vec<String> = text.split(',').map(str::to_owned).collect();
    match negotiate(&offered) {
        Ok(version) => {
            let known = offered.iter().filter_map(|text| RestVersion::parse(text));
            assert!(
                known
                    .map(|version| version.to_string())
                    .any(|known| known == version.to_string())
            );
        }
        Err(error) => assert!(error.to_string().len() < 4096, "{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::negotiate;

    fn best(offered: &[&str]) -> Option<String> {
        let offered: Vec<String> = offered.iter().map(|text| (*text).to_owned()).collect();
        negotiate(&offered).ok().map(|version| version.to_string())
    }

    #[test]
    fn the_highest_common_version_is_taken() {
        assert_eq!(
            best(&["1.19", "2.0", "2.2", "2.26"]).as_deref(),
            Some("2.26")
        );
        assert_eq!(
            best(&["2.9", "2.10"]).as_deref(),
            Some("2.10"),
            "numbers, not text"
        );
        assert_eq!(best(&["2.50", "2.56", "3.1"]).as_deref(), Some("2.50"));
        assert_eq!(best(&["2.2", "2.X", "latest", ""]).as_deref(), Some("2.2"));
    }

    #[test]
    fn old_arrays_are_refused_with_the_way_out() {
        assert_eq!(best(&["1.0", "1.19"]), None);
        assert_eq!(best(&["2.0", "2.1"]), None);
        assert_eq!(best(&[]), None);
        let error = negotiate(&["1.19".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("1.19") && error.to_string().contains("Purity 6"));
    }
}
