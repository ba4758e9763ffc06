//! What a complete listing of one array said about names, kept small: so that a name can be told
//! to be free on an array that does not answer now.
//!
//! Of every object whose name begins with the namespace, a 64-bit hash is kept. Two that meet make
//! a name look taken, never free. Markers are not looked at here: other arrays carry them.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::name::{
    Namespace, VolumeName, import_prefix, is_reserved, name_hash, tentative_prefix, trash_prefix,
};

/// How long a listing speaks for its array: half the life of the markers of whatever was made
/// after it began (`docs/protocols/claim.md`).
const GOOD_FOR: Duration = Duration::from_secs(12 * 3600);

/// Hex digits of the hash at the end of a hashed object name.
const HASH_DIGITS: usize = 16;

/// A complete listing.
#[derive(Debug)]
pub(crate) struct Listing {
    began: Instant,
    /// Sorted.
    keys: Vec<u64>,
}

impl Listing {
    /// A listing of nothing, that begins now.
    pub(crate) fn begin() -> Self {
        Self {
            began: Instant::now(),
            keys: Vec::new(),
        }
    }

    /// Adds a page.
    pub(crate) fn add(&mut self, namespace: &Namespace, objects: &[String]) {
        for object in objects {
            let [name, hash] = keys_of(namespace, object);
            self.keys.extend([name, hash].into_iter().flatten());
        }
    }

    /// After the last page.
    pub(crate) fn finish(mut self) -> Self {
        self.keys.sort_unstable();
        self.keys.dedup();
        self.keys.shrink_to_fit();
        self
    }

    pub(crate) const fn began(&self) -> Instant {
        self.began
    }

    /// Whether it says, and may still say, that nothing on its array bears on the name.
    pub(crate) fn clears(&self, namespace: &Namespace, name: &VolumeName) -> bool {
        let bears = |key: &String| self.keys.binary_search(&hash(key)).is_ok();
        self.began.elapsed() < GOOD_FOR && !questions(namespace, name).iter().any(bears)
    }
}

/// Under which keys an object is kept: its name, or of a reserved one what comes before its nonce;
/// and the hash that a hashed name ends with.
fn keys_of(namespace: &Namespace, object: &str) -> [Option<u64>; 2] {
    let folded = object.to_ascii_lowercase();
    let Some((before, last)) = folded.rsplit_once('-') else {
        return [Some(hash(&folded)), None];
    };
    if is_reserved(namespace, object) {
        return [Some(hash(&format!("{before}-"))), None];
    }
    let hashed = last.len() == HASH_DIGITS && last.bytes().all(|byte| byte.is_ascii_hexdigit());
    [
        Some(hash(&folded)),
        hashed.then(|| hash(&format!("#{last}"))),
    ]
}

/// Every key under which an object that bears on the name can be kept.
fn questions(namespace: &Namespace, name: &VolumeName) -> [String; 5] {
    [
        format!("{namespace}-{name}").to_ascii_lowercase(),
        format!("#{}", name_hash(namespace, name)),
        tentative_prefix(namespace, name).to_ascii_lowercase(),
        import_prefix(namespace, name).to_ascii_lowercase(),
        trash_prefix(namespace, name).to_ascii_lowercase(),
    ]
}

fn hash(key: &str) -> u64 {
    let digest = Sha256::digest(key);
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Listing;
    use crate::claim::{ArrayNumber, ClaimNonce};
    use crate::name::{
        NameRules, Namespace, VolumeName, import_name, marker_name, object_names, tentative_name,
        trash_name,
    };

    const RULES: NameRules = NameRules {
        max_length: 63,
        allowed: |c| c.is_ascii_alphanumeric() || c == '-' || c == '_',
        case_insensitive: true,
    };

    fn listing(namespace: &Namespace, objects: &[String]) -> Listing {
        let mut listing = Listing::begin();
        listing.add(namespace, objects);
        listing.finish()
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_bears_on_a_name_is_found_and_nothing_else() {
        let nonce = ClaimNonce::new(ArrayNumber(1), 7);
        let long = "n".repeat(32);
        for namespace in ["prod", &long] {
            let namespace = Namespace::new(namespace).unwrap();
            for text in ["data", "Data", "fl-new-x", "with space", &"long".repeat(40)] {
                let name = VolumeName::new(text).unwrap();
                let names = object_names(&namespace, &name, &RULES);
                let mut bearing: Vec<String> = names.iter().map(str::to_owned).collect();
                bearing.push(names.preferred.to_ascii_uppercase());
                bearing.push(tentative_name(&namespace, &name, nonce));
                bearing.push(import_name(&namespace, &name, nonce));
                bearing.push(trash_name(
                    &namespace,
                    &name,
                    uuid::Uuid::from_u128(9 << 100),
                ));
                for object in bearing {
                    let listing = listing(&namespace, &["prod-x".to_owned(), object.clone()]);
                    assert!(!listing.clears(&namespace, &name), "{object} for {text}");
                    let other = VolumeName::new("other").unwrap();
                    assert!(listing.clears(&namespace, &other), "{object}");
                }
                let marker = marker_name(&namespace, &name);
                assert!(listing(&namespace, &[marker]).clears(&namespace, &name));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_speaks_for_half_a_day() {
        let namespace = Namespace::new("prod").unwrap();
        let name = VolumeName::new("data").unwrap();
        let listing = listing(&namespace, &[]);
        tokio::time::advance(Duration::from_secs(12 * 3600 - 1)).await;
        assert!(listing.clears(&namespace, &name));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!listing.clears(&namespace, &name));
    }
}
