//! Names: what users type, what arrays allow, and the way between them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A volume's name as the user typed it, checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VolumeName(String);

impl VolumeName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The cluster's prefix on every array object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Namespace(String);
