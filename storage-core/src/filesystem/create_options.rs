//! The allow-lists of mkfs arguments (mke2fs(8), mkfs.xfs(8)).
//!
//! Left out on purpose: force (`-F`, `-f`), dry runs (`-n`, `-N`), identity (`-U`, `-L`,
//! `-m uuid=`), everything that names a file or device (`-d`, `-l logdev=`, `-J device=`, `-c`,
//! `-r`, `-p`, `-z`), writing superblocks alone (`-S`), sizes other than the device's own, and
//! feature removals that cost crash safety (`^has_journal`).
//!
//! As each allowed option takes a fixed number of words, no word can be read as the device.

use super::{Filesystem, Value, bad_value, refused, shown};
use crate::error::{Error, ErrorKind, Result};

/// What follows an option.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// Nothing, or one word.
    Plain(Value),
    /// One word: `key`, `key=value`, joined by commas.
    Keys(&'static [(&'static str, Value)]),
    /// One word: features joined by commas, each perhaps with `^` before it to turn it off.
    Features,
}

type Allowed = (&'static str, Shape);

const SWITCH: Value = Value::OneOf(&["0", "1"]);

/// File systems with blocks larger than a page cannot be mounted by the kernels of today's
/// distributions, and XFS with checksums has blocks of 1 KiB at least (mkfs.xfs(8)).
const BLOCK: Value = Value::PowerOfTwo(1024, 4096);

const EXT4: [Allowed; 13] = [
    ("-q", Shape::Plain(Value::None)),
    ("-b", Shape::Plain(BLOCK)),
    ("-C", Shape::Plain(Value::Size)),
    ("-g", Shape::Plain(Value::Number)),
    ("-G", Shape::Plain(Value::Number)),
    ("-i", Shape::Plain(Value::Number)),
    ("-I", Shape::Plain(Value::PowerOfTwo(128, 4096))),
    ("-m", Shape::Plain(Value::Decimal)),
    ("-N", Shape::Plain(Value::Number)),
    (
        "-T",
        Shape::Plain(Value::OneOf(&[
            "default",
            "small",
            "big",
            "huge",
            "news",
            "largefile",
            "largefile4",
        ])),
    ),
    (
        "-J",
        Shape::Keys(&[("size", Value::Size), ("fast_commit_size", Value::Size)]),
    ),
    (
        "-E",
        Shape::Keys(&[
            ("stride", Value::Number),
            ("stripe_width", Value::Number),
            ("stripe-width", Value::Number),
            ("lazy_itable_init", Value::None),
            ("lazy_itable_init", SWITCH),
            ("lazy_journal_init", Value::None),
            ("lazy_journal_init", SWITCH),
            ("discard", Value::None),
            ("nodiscard", Value::None),
            ("packed_meta_blocks", SWITCH),
            ("num_backup_sb", Value::OneOf(&["0", "1", "2"])),
            ("resize", Value::Number),
            ("root_owner", Value::Pair),
        ]),
    ),
    ("-O", Shape::Features),
];

/// Features of ext4 that may be turned on or off; `has_journal` only on.
const FEATURES: [&str; 24] = [
    "64bit",
    "bigalloc",
    "casefold",
    "dir_index",
    "dir_nlink",
    "encrypt",
    "ext_attr",
    "extent",
    "extra_isize",
    "fast_commit",
    "filetype",
    "flex_bg",
    "huge_file",
    "inline_data",
    "large_dir",
    "large_file",
    "metadata_csum",
    "metadata_csum_seed",
    "orphan_file",
    "project",
    "quota",
    "resize_inode",
    "sparse_super",
    "verity",
];

const XFS: [Allowed; 8] = [
    ("-q", Shape::Plain(Value::None)),
    ("-K", Shape::Plain(Value::None)),
    ("-b", Shape::Keys(&[("size", BLOCK)])),
    (
        "-m",
        Shape::Keys(&[
            ("bigtime", SWITCH),
            ("crc", SWITCH),
            ("finobt", SWITCH),
            ("inobtcount", SWITCH),
            ("reflink", SWITCH),
            ("rmapbt", SWITCH),
        ]),
    ),
    (
        "-d",
        Shape::Keys(&[
            ("agcount", Value::Number),
            ("agsize", Value::Size),
            ("su", Value::Size),
            ("sw", Value::Number),
            ("sunit", Value::Number),
            ("swidth", Value::Number),
            ("noalign", Value::None),
        ]),
    ),
    (
        "-i",
        Shape::Keys(&[
            ("size", Value::PowerOfTwo(256, 2048)),
            ("perblock", Value::Number),
            ("maxpct", Value::Number),
            ("align", SWITCH),
            ("attr", Value::OneOf(&["1", "2"])),
            ("sparse", SWITCH),
            ("nrext64", SWITCH),
            ("exchange", SWITCH),
        ]),
    ),
    (
        "-l",
        Shape::Keys(&[
            ("size", Value::Size),
            ("version", Value::OneOf(&["1", "2"])),
            ("su", Value::Size),
            ("sunit", Value::Number),
            ("lazy-count", SWITCH),
        ]),
    ),
    ("-s", Shape::Keys(&[("size", Value::PowerOfTwo(512, 4096))])),
];

const fn allowed(kind: Filesystem) -> &'static [Allowed] {
    match kind {
        Filesystem::Ext4 => &EXT4,
        Filesystem::Xfs => &XFS,
    }
}

/// Checks a whole list of arguments.
pub(super) fn check(kind: Filesystem, words: &[String]) -> Result<()> {
    let mut words = words.iter();
    while let Some(option) = words.next() {
        let Some((name, shape)) = allowed(kind).iter().find(|(name, _)| name == option) else {
            return Err(refused(
                &format!("create option `{}` of {kind}", shown(option)),
                &format!("{} (an option and its value are two words)", names(kind)),
            ));
        };
        if matches!(shape, Shape::Plain(Value::None)) {
            continue;
        }
        let Some(value) = words.next() else {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("create option `{name}` of {kind} needs a value"),
            ));
        };
        check_value(kind, (name, *shape), value)?;
    }
    Ok(())
}

fn check_value(kind: Filesystem, option: Allowed, value: &str) -> Result<()> {
    let (name, shape) = option;
    let what = |part: &str| format!("create option `{name} {}` of {kind}", shown(part));
    match shape {
        Shape::Plain(takes) if takes.fits(Some(value)) => Ok(()),
        Shape::Plain(takes) => Err(bad_value(&what(value), takes)),
        Shape::Keys(keys) => value.split(',').try_for_each(|part| {
            let (key, given) = match part.split_once('=') {
                Some((key, given)) => (key, Some(given)),
                None => (part, None),
            };
            let mut known = keys.iter().filter(|(known, _)| *known == key).peekable();
            let Some((_, first)) = known.peek().copied() else {
                let mut names: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
                names.dedup();
                return Err(refused(&what(part), &names.join(", ")));
            };
            if known.any(|(_, takes)| takes.fits(given)) {
                Ok(())
            } else {
                Err(bad_value(&what(part), *first))
            }
        }),
        Shape::Features => value.split(',').try_for_each(|part| {
            let feature = part.strip_prefix('^').unwrap_or(part);
            if FEATURES.contains(&feature) || part == "has_journal" {
                Ok(())
            } else {
                let list = format!("has_journal, {} (`^` turns one off)", FEATURES.join(", "));
                Err(refused(&what(part), &list))
            }
        }),
    }
}

fn names(kind: Filesystem) -> String {
    let names: Vec<&str> = allowed(kind).iter().map(|(name, _)| *name).collect();
    names.join(" ")
}
