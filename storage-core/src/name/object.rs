//! From a volume's name to the names its object may have on an array, and back.
//!
//! A plain object name is `<namespace>-<name>`, as the predecessor made it, so that its volumes
//! are found. Arrays allow fewer characters, fewer of them, and some ignore case; so every volume
//! name also has a hashed object name, `<namespace>-<stem>-<hash>`, whose stem is for people. The
//! record that travels with the object holds the full name, and only that decides.
//!
//! Names that begin with `<namespace>-fl-` are ours: an object on its way to become a volume
//! (tentative, imported) or to be destroyed (trash, retired), or a vote on a name (marker). No
//! volume name leads to one of them.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Namespace, VolumeName};
use crate::claim::ClaimNonce;

/// What an array accepts as the name of a volume.
#[derive(Clone, Copy, Debug)]
pub struct NameRules {
    /// The most characters a name has. At least 63 is assumed: less may not leave room for the
    /// hash, and the array then refuses the name.
    pub max_length: usize,
    /// Which characters may stand in a name. That a letter or digit must be last is assumed.
    pub allowed: fn(char) -> bool,
    /// `Data` and `data` are the same name on this array.
    pub case_insensitive: bool,
}

/// The object names that a volume may have. A lookup asks for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectNames {
    /// What a new volume is called.
    pub preferred: String,
    /// What else an existing one may be called.
    pub alternative: Option<String>,
}

impl ObjectNames {
    /// Both, the preferred one first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.preferred.as_str()).chain(self.alternative.as_deref())
    }
}

/// Hex digits of a hash in a name: 64 bits keep two of a million names from meeting with a
/// probability of about 3 in 10⁸, and the record in the object catches those that do.
const HASH_DIGITS: usize = 16;

/// The longest name of a reserved object: that of a `FlashArray` volume (Purity conventions).
const RESERVED_LENGTH_MAX: usize = 63;

/// The names that the volume's object may have under an array's rules.
///
/// Preferred is the plain one, unless it does not fit, or the array ignores case and the name has
/// upper-case letters (else `Data` and `data` would meet), or the plain name has itself the form
/// of a hashed one (else a volume could take the place of another one's hashed name).
#[must_use]
pub fn object_names(namespace: &Namespace, name: &VolumeName, rules: &NameRules) -> ObjectNames {
    let hashed = hashed_object_name(namespace, name, rules);
    let Some(plain) = plain_object_name(namespace, name, rules) else {
        return ObjectNames {
            preferred: hashed,
            alternative: None,
        };
    };
    let folds = rules.case_insensitive && name.as_str().contains(char::is_uppercase);
    if folds || looks_hashed(&plain) {
        ObjectNames {
            preferred: hashed,
            alternative: Some(plain),
        }
    } else {
        ObjectNames {
            preferred: plain,
            alternative: Some(hashed),
        }
    }
}

/// The first 16 hex digits of SHA-256 over namespace, NUL, name: NUL is in neither, so no two
/// pairs give the same input.
#[must_use]
pub fn name_hash(namespace: &Namespace, name: &VolumeName) -> String {
    let mut hasher = Sha256::new();
    hasher.update(namespace.as_str());
    hasher.update([0]);
    hasher.update(name.as_str());
    let digest = hasher.finalize();
    let bytes = digest.iter().take(HASH_DIGITS / 2);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// The name of an object that is being made: [`tentative_prefix`] and the attempt's nonce.
#[must_use]
pub fn tentative_name(namespace: &Namespace, name: &VolumeName, nonce: ClaimNonce) -> String {
    format!("{}{nonce}", tentative_prefix(namespace, name))
}

/// What the names of all objects begin with that are made for this volume name:
/// `<namespace>-fl-new-<hash>-`. With a namespace of more than 27 characters the hash is cut so
/// that the whole has 63; the nonce tells attempts apart.
#[must_use]
pub fn tentative_prefix(namespace: &Namespace, name: &VolumeName) -> String {
    waiting_prefix(namespace, name, "new")
}

/// The name of an object that is being adopted, until its claim is won or lost:
/// [`import_prefix`] and the attempt's nonce.
#[must_use]
pub fn import_name(namespace: &Namespace, name: &VolumeName, nonce: ClaimNonce) -> String {
    format!("{}{nonce}", import_prefix(namespace, name))
}

/// What the names of all objects begin with that are being adopted under this volume name:
/// `<namespace>-fl-in-<hash>-`, cut as [`tentative_prefix`].
#[must_use]
pub fn import_prefix(namespace: &Namespace, name: &VolumeName) -> String {
    waiting_prefix(namespace, name, "in")
}

fn waiting_prefix(namespace: &Namespace, name: &VolumeName, what: &str) -> String {
    let start = format!("{namespace}-fl-{what}-");
    // A dash and the nonce's eleven digits.
    let room = RESERVED_LENGTH_MAX.saturating_sub(start.len() + 12);
    let hash = name_hash(namespace, name);
    format!("{start}{}-", hash.get(..room).unwrap_or(&hash))
}

/// The name of the object by which a claim array votes on a volume name:
/// `<namespace>-fl-claim-<hash>`.
#[must_use]
pub fn marker_name(namespace: &Namespace, name: &VolumeName) -> String {
    format!("{namespace}-fl-claim-{}", name_hash(namespace, name))
}

/// The name of an object that is being removed: [`trash_prefix`] and eight hex digits of the
/// nonce; with a namespace of more than 28 characters fewer, so that the name has 63.
#[must_use]
pub fn trash_name(namespace: &Namespace, name: &VolumeName, nonce: Uuid) -> String {
    with_nonce(trash_prefix(namespace, name), nonce, 8)
}

/// What the names of all removed objects of this volume name begin with:
/// `<namespace>-fl-trash-<hash>-`.
#[must_use]
pub fn trash_prefix(namespace: &Namespace, name: &VolumeName) -> String {
    format!("{namespace}-fl-trash-{}-", name_hash(namespace, name))
}

/// The name of a marker that was renamed aside: `<namespace>-fl-gone-` and sixteen hex digits of the
/// nonce, so that no two meet while the array keeps what was destroyed.
#[must_use]
pub fn retired_name(namespace: &Namespace, nonce: Uuid) -> String {
    with_nonce(format!("{namespace}-fl-gone-"), nonce, 16)
}

/// Whether an object's name is one that only Fairlead itself gives, for tentative and for removed
/// objects. Case is ignored, as some arrays do.
#[must_use]
pub fn is_reserved(namespace: &Namespace, object: &str) -> bool {
    let prefix = format!("{namespace}-fl-");
    object
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(&prefix))
}

/// The volume name that an object without a record stands for: what follows `<namespace>-`.
/// `None` for another prefix, for reserved names, and for a rest that is no volume name.
///
/// It is a guess by form alone: an object of the namespace `a-b` also has the form of one of the
/// namespace `a`. Whoever adopts an object must know of no other owner.
#[must_use]
pub fn plain_name(namespace: &Namespace, object: &str) -> Option<VolumeName> {
    if is_reserved(namespace, object) {
        return None;
    }
    let rest = object.strip_prefix(namespace.as_str())?.strip_prefix('-')?;
    VolumeName::new(rest).ok()
}

fn plain_object_name(
    namespace: &Namespace,
    name: &VolumeName,
    rules: &NameRules,
) -> Option<String> {
    let object = format!("{namespace}-{name}");
    let fits = object.chars().count() <= rules.max_length
        && object.chars().all(rules.allowed)
        && object.ends_with(|c: char| c.is_ascii_alphanumeric())
        && !is_reserved(namespace, &object);
    fits.then_some(object)
}

fn hashed_object_name(namespace: &Namespace, name: &VolumeName, rules: &NameRules) -> String {
    // The namespace, the hash and two dashes.
    let around = namespace.as_str().len() + HASH_DIGITS + 2;
    let stem = stem(name, rules, rules.max_length.saturating_sub(around).max(1));
    format!("{namespace}-{stem}-{}", name_hash(namespace, name))
}

/// The part of a hashed name that people recognise: never empty, never one that makes the whole a
/// reserved name.
fn stem(name: &VolumeName, rules: &NameRules, length_max: usize) -> String {
    let mut stem = String::new();
    for c in name.as_str().chars() {
        let c = if c.is_ascii_alphanumeric() && (rules.allowed)(c) {
            c.to_ascii_lowercase()
        } else {
            '-'
        };
        if c != '-' || !(stem.is_empty() || stem.ends_with('-')) {
            stem.push(c);
        }
        if stem.len() >= length_max {
            break;
        }
    }
    let stem = stem.trim_end_matches('-');
    if stem.is_empty() {
        "v".to_owned()
    } else if stem == "fl" || stem.starts_with("fl-") {
        // One character in, one out: the length stays.
        stem.replacen("fl", "fx", 1)
    } else {
        stem.to_owned()
    }
}

/// Whether a name ends as hashed ones do.
fn looks_hashed(object: &str) -> bool {
    object.rsplit_once('-').is_some_and(|(_, last)| {
        last.len() == HASH_DIGITS && last.chars().all(|c| c.is_ascii_hexdigit())
    })
}

fn with_nonce(mut prefix: String, nonce: Uuid, digits_max: usize) -> String {
    let room = RESERVED_LENGTH_MAX.saturating_sub(prefix.len());
    let digits = nonce.simple().to_string();
    prefix.extend(digits.chars().take(digits_max.min(room)));
    prefix
}
