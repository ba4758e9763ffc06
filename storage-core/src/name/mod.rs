//! Names: what users type, checked, and the cluster's prefix.
//!
//! How both become names of objects on an array is in [`object`].

mod object;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

pub use object::{
    NameRules, ObjectNames, import_name, import_prefix, is_reserved, marker_name, name_hash,
    object_names, plain_name, retired_name, tentative_name, tentative_prefix, trash_name,
    trash_prefix,
};

/// A volume's name as the user typed it, checked.
///
/// Docker validates nothing, so this does: 1 to 255 bytes, no `/` or `\`, not `.` or `..`, no
/// control characters, no characters that reorder or hide text, no blanks first or last. Case
/// matters. Reading one from a file or an array applies the same checks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumeName(String);

impl VolumeName {
    /// The longest name in bytes: what a file name on Linux may have (limits.h, `NAME_MAX`).
    pub const MAX_BYTES: usize = 255;

    /// Checks a name.
    ///
    /// # Errors
    /// `InvalidArgument` with the rule that it breaks.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        match volume_name_problem(&name) {
            None => Ok(Self(name)),
            Some(problem) => Err(refused("volume name", &name, problem)),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn volume_name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.len() > VolumeName::MAX_BYTES {
        return Some("it has more than 255 bytes");
    }
    if name.contains(['/', '\\']) {
        return Some("it contains a path separator");
    }
    if name == "." || name == ".." {
        return Some("it is a path");
    }
    if name.contains(char::is_control) {
        return Some("it contains a control character");
    }
    if name.contains(is_deceptive) {
        return Some("it contains a character that reorders or hides text");
    }
    if name.starts_with(char::is_whitespace) || name.ends_with(char::is_whitespace) {
        return Some("it begins or ends with a blank");
    }
    None
}

/// Line separators would forge log lines; bidirectional controls and invisible marks would make
/// two names look alike (Unicode Technical Report 36, sections 2 and 3.6).
const fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The cluster's prefix on every array object: 1 to 32 letters, digits, `-` and `_`, a letter or
/// digit first and last.
///
/// A namespace with a part `fl` between dashes, such as `team-fl`, is refused too: its volumes
/// would carry names that are reserved in the namespace `team` ([`is_reserved`]), or, with `fl` or
/// `fl-fleet`, that of a fleet record ([`crate::FleetRecord::object_name`]).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Namespace(String);

impl Namespace {
    /// The longest namespace in bytes: leaves room for a readable part and a hash in the 63
    /// characters of a `FlashArray` volume name.
    pub const MAX_BYTES: usize = 32;

    /// Checks a namespace.
    ///
    /// # Errors
    /// `InvalidArgument` with the rule that it breaks.
    pub fn new(namespace: impl Into<String>) -> Result<Self> {
        let namespace = namespace.into();
        match namespace_problem(&namespace) {
            None => Ok(Self(namespace)),
            Some(problem) => Err(refused("namespace", &namespace, problem)),
        }
    }

    /// The namespace as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn namespace_problem(namespace: &str) -> Option<&'static str> {
    if namespace.is_empty() || namespace.len() > Namespace::MAX_BYTES {
        return Some("it must have 1 to 32 characters");
    }
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !namespace.chars().all(is_inner) {
        return Some("only letters, digits, `-` and `_` are allowed");
    }
    if !namespace.starts_with(|c: char| c.is_ascii_alphanumeric())
        || !namespace.ends_with(|c: char| c.is_ascii_alphanumeric())
    {
        return Some("a letter or digit must be first and last");
    }
    if namespace
        .split('-')
        .any(|part| part.eq_ignore_ascii_case("fl"))
    {
        return Some("`fl` between dashes is reserved for objects that Fairlead makes for itself");
    }
    None
}

fn refused(what: &str, text: &str, problem: &str) -> Error {
    // Enough to recognise it; the text is somebody else's and may be long.
    let shown: String = text.chars().take(64).collect();
    Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "the {what} `{}` is refused: {problem}",
            shown.escape_debug()
        ),
    )
}

/// The traits by which both kinds of checked text are printed, parsed and stored.
macro_rules! checked_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(checked: $name) -> Self {
                checked.0
            }
        }
    };
}

checked_text!(VolumeName);
checked_text!(Namespace);

#[cfg(test)]
mod tests;
