//! What a user asks of a new volume, read from the options that every adapter takes under the same
//! names: Docker's `-o`, CSI's parameters, the command line.
//!
//! It knows no adapter: an adapter removes its own keys (`backend`, `csi.storage.k8s.io/…`) first.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};
use crate::filesystem::{Filesystem, FilesystemSpec, parse_create_options, parse_mount_options};
use crate::label::LabelSelector;
use crate::limits::Limits;
use crate::name::VolumeName;
use crate::size::Size;
use crate::snapshot::SnapshotName;

/// The options of this version.
const KNOWN: [&str; 9] = [
    "size",
    "volume_label_selector",
    "source",
    "fstype",
    "createoptions",
    "mountoptions",
    "iops_limit",
    "bandwidth_limit",
    "import_from_src",
];

/// What cannot be said of a volume that is adopted.
const ALONE: [&str; 5] = [
    "size",
    "source",
    "createoptions",
    "iops_limit",
    "bandwidth_limit",
];

/// Options with a meaning that this version does not give them. Refused by name: a volume without
/// its data or rules is not the one that was asked for.
const NOT_AVAILABLE: [&str; 1] = ["exportrules"];

/// What holds where the user says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionDefaults {
    /// Size of a volume. 32 GiB unless configured.
    pub size: Size,
    /// File system. XFS unless configured, as the predecessor had it.
    pub filesystem: Filesystem,
    /// Arguments for mkfs of [`Self::filesystem`], checked; not used for another file system.
    pub create_options: Vec<String>,
    /// Mount options of [`Self::filesystem`], checked; not used for another file system.
    pub mount_options: Vec<String>,
}

impl Default for OptionDefaults {
    fn default() -> Self {
        Self {
            size: Size::from_gib(32),
            filesystem: Filesystem::Xfs,
            create_options: Vec::new(),
            mount_options: Vec::new(),
        }
    }
}

/// A user's wishes for a new volume, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeOptions {
    /// Bytes; `None` when the user gave none, and the default then counts.
    pub size: Option<Size>,
    /// Which arrays may hold it.
    pub selector: LabelSelector,
    /// What to put on it. A copy has its source's file system; the kind and the mount options here
    /// then count only as far as the user gave them.
    pub filesystem: FilesystemSpec,
    /// Whether the user gave `fstype`.
    pub kind_given: bool,
    /// Whether the user gave `mountoptions`.
    pub mount_options_given: bool,
    /// What it is to be a copy of; `None` for an empty volume.
    pub source: Option<SourceName>,
    /// The array's object that is to be adopted under the name, by its name there; `None` for a new
    /// volume.
    pub import: Option<String>,
    /// What it may do at most.
    pub limits: Limits,
}

/// What a copy is made of, as the user typed it: a volume's name, or a volume's and a snapshot's
/// with a point between them. A volume's name may have points too, so both readings may be
/// possible; whoever resolves it asks for both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceName {
    text: String,
    volume: Option<VolumeName>,
    snapshot: Option<(VolumeName, SnapshotName)>,
}

impl SourceName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text read as a volume's name.
    #[must_use]
    pub const fn volume(&self) -> Option<&VolumeName> {
        self.volume.as_ref()
    }

    /// The text read as a snapshot: what follows the last point is its name.
    #[must_use]
    pub const fn snapshot(&self) -> Option<&(VolumeName, SnapshotName)> {
        self.snapshot.as_ref()
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for SourceName {
    type Err = Error;

    /// Reads `volume` or `volume.snapshot`.
    ///
    /// # Errors
    /// `InvalidArgument` when it can be neither.
    fn from_str(text: &str) -> Result<Self> {
        let volume = VolumeName::new(text);
        let snapshot = text.rsplit_once('.').and_then(|(volume, snapshot)| {
            Some((
                VolumeName::new(volume).ok()?,
                SnapshotName::new(snapshot).ok()?,
            ))
        });
        match (volume, snapshot) {
            (Err(error), None) => Err(error),
            (volume, snapshot) => Ok(Self {
                text: text.to_owned(),
                volume: volume.ok(),
                snapshot,
            }),
        }
    }
}

impl VolumeOptions {
    /// Reads options. An empty value is not the same as none: it is checked like any other.
    ///
    /// # Errors
    /// `InvalidArgument` naming the option: unknown (with the known ones), given twice, or with a
    /// value that cannot be used. `Unsupported` for options that this version does not have.
    /// `OutOfRange` for a size that cannot be, or is below the file system's minimum.
    pub fn parse(
        pairs: impl IntoIterator<Item = (String, String)>,
        defaults: &OptionDefaults,
    ) -> Result<Self> {
        let given = Given::collect(pairs)?;
        let kind = given.read("fstype", str::parse)?;
        let kind = kind.unwrap_or(defaults.filesystem);
        let (create_defaults, mount_defaults) = if kind == defaults.filesystem {
            (&*defaults.create_options, &*defaults.mount_options)
        } else {
            (&[][..], &[][..])
        };
        let create = given.read("createoptions", |text| parse_create_options(kind, text))?;
        let mount = given.read("mountoptions", |text| parse_mount_options(kind, text))?;
        let source: Option<SourceName> = given.read("source", str::parse)?;
        if source.is_some() && create.is_some() {
            return Err(invalid(
                "option `createoptions` has no meaning for a copy: `source` brings its file system"
                    .to_owned(),
            ));
        }
        if let Some(other) = ALONE.iter().find(|other| given.has(other))
            && given.has("import_from_src")
        {
            return Err(invalid(format!(
                "option `{other}` has no meaning beside `import_from_src`: a volume that is adopted stays as it is"
            )));
        }
        let options = Self {
            kind_given: given.has("fstype"),
            mount_options_given: mount.is_some(),
            source,
            import: given.read("import_from_src", object)?,
            limits: Limits {
                iops: given.read("iops_limit", operations)?,
                bandwidth: given.read("bandwidth_limit", str::parse)?,
            },
            size: given.read("size", str::parse)?,
            selector: given
                .read("volume_label_selector", str::parse)?
                .unwrap_or_default(),
            filesystem: FilesystemSpec {
                kind,
                create_options: create.unwrap_or_else(|| create_defaults.to_vec()),
                mount_options: mount.unwrap_or_else(|| mount_defaults.to_vec()),
            },
        };
        options.check_size(defaults)?;
        Ok(options)
    }

    /// The size asked for, or the default.
    #[must_use]
    pub fn size_or(&self, defaults: &OptionDefaults) -> Size {
        self.size.unwrap_or(defaults.size)
    }

    fn check_size(&self, defaults: &OptionDefaults) -> Result<()> {
        // A copy is as large as its source, which has a file system.
        // What is adopted has its size.
        if self.source.is_some() || self.import.is_some() {
            return Ok(());
        }
        let (size, kind) = (self.size_or(defaults), self.filesystem.kind);
        if size >= kind.size_min() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::OutOfRange,
            format!(
                "a volume of {size} is too small for {kind}, which needs {}",
                kind.size_min()
            ),
        )
        .with_context("option", "size"))
    }
}

/// The values that were given, by the position of their name in [`KNOWN`].
#[derive(Default)]
struct Given([Option<String>; KNOWN.len()]);

impl Given {
    fn collect(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let mut given = Self::default();
        for (name, value) in pairs {
            let place = KNOWN
                .iter()
                .position(|known| *known == name)
                .and_then(|index| given.0.get_mut(index))
                .ok_or_else(|| unknown(&name))?;
            if place.replace(value).is_some() {
                return Err(invalid(format!("option `{name}` is given twice")));
            }
        }
        Ok(given)
    }

    fn has(&self, name: &str) -> bool {
        let index = KNOWN.iter().position(|known| *known == name);
        index.is_some_and(|index| matches!(self.0.get(index), Some(Some(_))))
    }

    fn read<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T>,
    ) -> Result<Option<T>> {
        let index = KNOWN.iter().position(|known| *known == name);
        let value = index.and_then(|index| self.0.get(index)?.as_deref());
        value
            .map(|text| parse(text).map_err(|error| error.with_context("option", name)))
            .transpose()
    }
}

/// Reads and writes a second: a number, nothing else. `1k` could be 1000 or 1024.
fn operations(text: &str) -> Result<u64> {
    let digits = text.trim_ascii();
    let number = digits
        .parse()
        .ok()
        .filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    number.ok_or_else(|| {
        invalid(format!(
            "`{digits}` is not a usable limit; write a number of reads and writes a second, in \
             digits"
        ))
    })
}

/// The name of an object on an array. What it may consist of is the array's to say.
fn object(text: &str) -> Result<String> {
    let is_text = |c: char| !c.is_control() && !c.is_whitespace();
    if !text.is_empty() && text.len() <= VolumeName::MAX_BYTES && text.chars().all(is_text) {
        return Ok(text.to_owned());
    }
    Err(invalid(
        "this is no name of a volume on an array".to_owned(),
    ))
}

fn unknown(name: &str) -> Error {
    let shown: String = name.chars().take(64).collect();
    let shown = shown.escape_debug();
    if NOT_AVAILABLE.contains(&name) {
        return Error::new(
            ErrorKind::Unsupported,
            format!("option `{shown}` is not available in this version; {Known}"),
        );
    }
    invalid(format!("option `{shown}` is unknown; {Known}"))
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

/// Prints the names of the options.
struct Known;

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the options are {}", KNOWN.join(", "))
    }
}

#[cfg(test)]
mod tests;
