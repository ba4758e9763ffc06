//! File systems that volumes carry, and which options users may give.

use serde::{Deserialize, Serialize};

/// A file system that Fairlead makes and mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Filesystem {
    /// The fourth extended file system.
    Ext4,
    /// XFS.
    Xfs,
}

/// A file system with the options to make and to mount it, all from the allow-lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesystemSpec {
    /// Which one.
    pub kind: Filesystem,
    /// Arguments for mkfs, checked.
    pub create_options: Vec<String>,
    /// Mount options, checked.
    pub mount_options: Vec<String>,
}
