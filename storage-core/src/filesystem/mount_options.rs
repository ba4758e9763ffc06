//! The allow-lists of mount options (mount(8), ext4(5), xfs(5)).
//!
//! Left out on purpose: what weakens recovery or shows stale data (`nobarrier`, `data=writeback`,
//! `norecovery`, `noload`, `journal_async_commit`), what defeats identity (`nouuid`), what reaches
//! other devices (`logdev`, `rtdev`, `journal_path`), what stops the machine (`errors=panic`), and
//! what gives privileges (`suid`, `dev`, `exec` override an administrator's choice).

use super::{Filesystem, Value, bad_value, refused, shown};
use crate::error::Result;

type Allowed = (&'static str, Value);

const COMMON: [Allowed; 14] = [
    ("discard", Value::None),
    ("nodiscard", Value::None),
    ("noatime", Value::None),
    ("relatime", Value::None),
    ("nodiratime", Value::None),
    ("strictatime", Value::None),
    ("lazytime", Value::None),
    ("nolazytime", Value::None),
    ("nosuid", Value::None),
    ("nodev", Value::None),
    ("noexec", Value::None),
    ("sync", Value::None),
    ("dirsync", Value::None),
    ("iversion", Value::None),
];

const EXT4: [Allowed; 24] = [
    ("data", Value::OneOf(&["ordered", "journal"])),
    ("commit", Value::Number),
    ("barrier", Value::None),
    ("barrier", Value::OneOf(&["1"])),
    ("stripe", Value::Number),
    ("errors", Value::OneOf(&["remount-ro"])),
    ("journal_checksum", Value::None),
    ("delalloc", Value::None),
    ("nodelalloc", Value::None),
    ("auto_da_alloc", Value::None),
    ("dioread_lock", Value::None),
    ("dioread_nolock", Value::None),
    ("inode_readahead_blks", Value::Number),
    ("max_batch_time", Value::Number),
    ("min_batch_time", Value::Number),
    (
        "journal_ioprio",
        Value::OneOf(&["0", "1", "2", "3", "4", "5", "6", "7"]),
    ),
    ("init_itable", Value::Number),
    ("noinit_itable", Value::None),
    ("user_xattr", Value::None),
    ("acl", Value::None),
    ("noacl", Value::None),
    ("usrquota", Value::None),
    ("grpquota", Value::None),
    ("prjquota", Value::None),
];

const XFS: [Allowed; 26] = [
    ("inode64", Value::None),
    ("inode32", Value::None),
    ("largeio", Value::None),
    ("nolargeio", Value::None),
    ("swalloc", Value::None),
    ("noalign", Value::None),
    ("filestreams", Value::None),
    ("wsync", Value::None),
    (
        "logbufs",
        Value::OneOf(&["2", "3", "4", "5", "6", "7", "8"]),
    ),
    (
        "logbsize",
        Value::OneOf(&[
            "16384", "16k", "32768", "32k", "65536", "64k", "131072", "128k", "262144", "256k",
        ]),
    ),
    ("allocsize", Value::Size),
    ("sunit", Value::Number),
    ("swidth", Value::Number),
    ("quota", Value::None),
    ("noquota", Value::None),
    ("uquota", Value::None),
    ("usrquota", Value::None),
    ("uqnoenforce", Value::None),
    ("gquota", Value::None),
    ("grpquota", Value::None),
    ("gqnoenforce", Value::None),
    ("pquota", Value::None),
    ("prjquota", Value::None),
    ("pqnoenforce", Value::None),
    ("ikeep", Value::None),
    ("noikeep", Value::None),
];

fn allowed(kind: Filesystem) -> impl Iterator<Item = &'static Allowed> {
    let own: &[Allowed] = match kind {
        Filesystem::Ext4 => &EXT4,
        Filesystem::Xfs => &XFS,
    };
    COMMON.iter().chain(own)
}

/// Checks each option, `name` or `name=value`.
pub(super) fn check(kind: Filesystem, options: &[String]) -> Result<()> {
    options
        .iter()
        .try_for_each(|option| check_one(kind, option))
}

fn check_one(kind: Filesystem, option: &str) -> Result<()> {
    let (name, value) = match option.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (option, None),
    };
    let mut spellings = allowed(kind).filter(|(known, _)| *known == name).peekable();
    let Some((_, first)) = spellings.peek().copied() else {
        return Err(refused(
            &format!("mount option `{}` of {kind}", shown(option)),
            &names(kind),
        ));
    };
    if spellings.any(|(_, takes)| takes.fits(value)) {
        return Ok(());
    }
    Err(bad_value(
        &format!("mount option `{}` of {kind}", shown(option)),
        *first,
    ))
}

fn names(kind: Filesystem) -> String {
    let mut names: Vec<&str> = allowed(kind).map(|(name, _)| *name).collect();
    names.dedup();
    names.join(", ")
}
