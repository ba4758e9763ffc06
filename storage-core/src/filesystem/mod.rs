//! File systems that volumes carry, and which options users may give for them.
//!
//! Options come from users who may not be trusted with the host: everything that is not on an
//! allow-list is refused. Nothing here forces, renames, relocates a log or names a device, so no
//! option can make a tool overwrite data or touch another device. What the kernel or the tool
//! makes of an allowed option with a strange value is theirs to say.

mod create_options;
mod mount_options;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::size::Size;

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

impl Filesystem {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Ext4, Self::Xfs];

    /// The name that mkfs, mount and users know it by.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// The smallest volume on which it can be made. A smaller request is refused at create.
    ///
    /// mkfs.xfs refuses less than 300 MB since xfsprogs 5.19 (mkfs.xfs(8)); ext4 has no such
    /// limit, and below 16 MiB nothing useful is left beside its journal.
    #[must_use]
    pub const fn size_min(self) -> Size {
        match self {
            Self::Ext4 => Size::from_mib(16),
            Self::Xfs => Size::from_mib(300),
        }
    }
}

impl fmt::Display for Filesystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Filesystem {
    type Err = Error;

    /// Reads `ext4` or `xfs`.
    ///
    /// # Errors
    /// `InvalidArgument` with the known ones.
    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| refused(&format!("file system `{}`", shown(text)), "ext4, xfs"))
    }
}

/// A file system with the options to make and to mount it, all from the allow-lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesystemSpec {
    /// Which one.
    pub kind: Filesystem,
    /// Arguments for mkfs, checked: an option and its value are two entries.
    pub create_options: Vec<String>,
    /// Mount options, checked: one entry each, `name` or `name=value`.
    pub mount_options: Vec<String>,
}

impl FilesystemSpec {
    /// The file system without options.
    #[must_use]
    pub const fn new(kind: Filesystem) -> Self {
        Self {
            kind,
            create_options: Vec::new(),
            mount_options: Vec::new(),
        }
    }

    /// Checks both lists again. A specification that was read from an array or from a file was
    /// not made by [`parse_create_options`] and [`parse_mount_options`]; call this before it
    /// reaches a tool or the kernel.
    ///
    /// # Errors
    /// `InvalidArgument` naming the option and the allowed ones.
    pub fn check(&self) -> Result<()> {
        create_options::check(self.kind, &self.create_options)?;
        self.check_mount_options()
    }

    /// As [`Self::check`], of the mount options alone: what a file system was made with does not
    /// keep it from being mounted.
    ///
    /// # Errors
    /// As there.
    pub fn check_mount_options(&self) -> Result<()> {
        mount_options::check(self.kind, &self.mount_options)
    }
}

/// Longest text of options, in bytes.
const TEXT_MAX: usize = 1024;

/// Reads arguments for mkfs, separated by blanks: `-b 4096 -O ^quota`. An option and its value are
/// two words; there is no quoting, as no allowed value has a blank.
///
/// # Errors
/// `InvalidArgument` naming the option and the allowed ones.
pub fn parse_create_options(kind: Filesystem, text: &str) -> Result<Vec<String>> {
    check_length("create options", text)?;
    let words: Vec<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
    create_options::check(kind, &words)?;
    Ok(words)
}

/// Reads mount options, separated by commas: `noatime,discard`. Blanks around each are ignored.
///
/// # Errors
/// `InvalidArgument` naming the option and the allowed ones.
pub fn parse_mount_options(kind: Filesystem, text: &str) -> Result<Vec<String>> {
    check_length("mount options", text)?;
    if text.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let options: Vec<String> = text.split(',').map(|o| o.trim_ascii().to_owned()).collect();
    mount_options::check(kind, &options)?;
    Ok(options)
}

fn check_length(what: &str, text: &str) -> Result<()> {
    if text.len() > TEXT_MAX {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("{what} have at most {TEXT_MAX} bytes"),
        ));
    }
    Ok(())
}

/// What values an option takes.
#[derive(Clone, Copy, Debug)]
enum Value {
    /// None.
    None,
    /// Decimal digits.
    Number,
    /// Decimal digits, then at most one unit letter, as both mkfs programs read them.
    Size,
    /// Decimal digits, a point among them if need be.
    Decimal,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Two numbers with a colon between them.
    Pair,
    /// A power of two within these bounds, in bytes or with `k`. What mkfs would refuse at the first
    /// mount is refused at create.
    PowerOfTwo(u32, u32),
}

/// Digits that a value may have: as many as 2⁶⁴ has.
const DIGITS_MAX: usize = 20;

impl Value {
    fn fits(self, value: Option<&str>) -> bool {
        let Some(value) = value else {
            return matches!(self, Self::None);
        };
        match self {
            Self::None => false,
            Self::Number => is_number(value),
            Self::Size => is_number(value.strip_suffix(is_unit).unwrap_or(value)),
            Self::Decimal => match value.split_once('.') {
                Some((whole, fraction)) => is_number(whole) && is_number(fraction),
                None => is_number(value),
            },
            Self::OneOf(words) => words.contains(&value),
            Self::PowerOfTwo(least, most) => bytes(value)
                .is_some_and(|number| number.is_power_of_two() && (least..=most).contains(&number)),
            Self::Pair => value
                .split_once(':')
                .is_some_and(|(one, two)| is_number(one) && is_number(two)),
        }
    }

    /// What a refusal says about it.
    fn describe(self) -> String {
        match self {
            Self::None => "no value".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Size => "a number with a unit such as `k` or `m`".to_owned(),
            Self::Decimal => "a number such as `5` or `0.5`".to_owned(),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Pair => "two numbers such as `0:0`".to_owned(),
            Self::PowerOfTwo(least, most) => format!("a power of two from {least} to {most}"),
        }
    }
}

fn is_number(text: &str) -> bool {
    (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A small number of bytes, with `k` in steps of 1024.
fn bytes(text: &str) -> Option<u32> {
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1024),
        None => (text, 1),
    };
    is_number(digits).then(|| digits.parse::<u32>().ok()?.checked_mul(factor))?
}

/// The unit letters of mkfs.xfs(8) and mke2fs(8), in both cases.
fn is_unit(c: char) -> bool {
    "kmgtpesbKMGTPESB".contains(c)
}

fn refused(what: &str, allowed: &str) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!("{what} is not allowed; allowed: {allowed}"),
    )
}

fn bad_value(what: &str, value: Value) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "{what} is not allowed with that value; it takes {}",
            value.describe()
        ),
    )
}

/// The beginning of somebody else's text, safe to print.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(64).collect();
    start.escape_debug().to_string()
}

#[cfg(test)]
mod tests;
