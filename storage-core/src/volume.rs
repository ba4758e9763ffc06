//! A volume, what identifies it, and what a user asked of it. Data only; no behaviour of arrays.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::filesystem::{Filesystem, FilesystemSpec};
use crate::label::Labels;
use crate::limits::Limits;
use crate::name::VolumeName;
use crate::size::Size;

/// The array's own identifier (its uuid), which stays when its address or name changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ArrayId(String);

impl ArrayId {
    /// Takes the identifier as the array gave it.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ArrayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The volume's identity for ever: array id and the object's own id, joined by `:`.
///
/// At most 128 bytes (the CSI specification's limit on a volume handle). Stable when the array's
/// address, its position in the configuration, or the object's name changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumeId {
    array: ArrayId,
    object: String,
}

impl VolumeId {
    /// The longest identifier in bytes: CSI specification, "Size Limits".
    pub const MAX_BYTES: usize = 128;

    /// Joins the two parts.
    ///
    /// # Errors
    /// `InvalidArgument` when a part is empty, the array's part has a `:`, or both together are
    /// longer than [`Self::MAX_BYTES`].
    pub fn new(array: ArrayId, object: impl Into<String>) -> Result<Self> {
        let object = object.into();
        let id = Self { array, object };
        let length = id.array.as_str().len() + 1 + id.object.len();
        if id.array.as_str().is_empty() || id.object.is_empty() || length > Self::MAX_BYTES {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "a volume id has two parts and at most {} bytes",
                    Self::MAX_BYTES
                ),
            )
            .with_context("id", id.to_string()));
        }
        if id.array.as_str().contains(':') || id.to_string().contains(char::is_control) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "a volume id has one `:` and no control characters",
            ));
        }
        Ok(id)
    }

    /// The array that holds the object.
    #[must_use]
    pub const fn array(&self) -> &ArrayId {
        &self.array
    }

    /// The object's own id on that array (a uuid or serial).
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }
}

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.array, self.object)
    }
}

impl std::str::FromStr for VolumeId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (array, object) = text.split_once(':').ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArgument,
                "a volume id is `<array id>:<object id>`",
            )
        })?;
        Self::new(ArrayId::new(array), object)
    }
}

impl TryFrom<String> for VolumeId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<VolumeId> for String {
    fn from(id: VolumeId) -> Self {
        id.to_string()
    }
}

/// What proves that a block device is this volume: compared with the device's own answer, never
/// with a name or a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeviceIdentity {
    /// The volume's serial as the array prints it.
    pub serial: String,
    /// The world-wide identifier that a SCSI host shows (page 0x83, NAA), lower case, with the
    /// leading `3` of multipath; for NVMe the NGUID.
    pub wwid: String,
}

/// Where an object is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum VolumeState {
    /// Usable.
    Ready,
    /// Renamed aside on its way to be destroyed by Fairlead: neither absent nor dead.
    Deleting,
    /// Destroyed on the array and still recoverable there. Its name is taken until then.
    Destroyed,
}

/// Whether the object says by its own record that it is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ownership {
    /// It carries this namespace's record.
    Recorded,
    /// It carries no record: the predecessor's or an administrator's. Found by its exact name
    /// when somebody asks for that name; never listed and never removed until it is adopted.
    Unrecorded,
}

/// The one-time permission to make a file system, written by create and kept with the volume on
/// the array. It permits; blankness of the device decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormatGrant {
    /// What to make.
    pub filesystem: Filesystem,
    /// The file system's UUID, chosen at create: what proves after a crash whose work is found.
    pub uuid: Uuid,
}

/// A volume as its array describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Identity for ever.
    pub id: VolumeId,
    /// The user's full name for it.
    pub name: VolumeName,
    /// The object's present name on the array.
    pub object: String,
    /// The array's name for people.
    pub array_name: String,
    /// Provisioned size in bytes.
    pub size: Size,
    /// Bytes in use after data reduction, where the array told.
    pub used: Option<Size>,
    /// Creation time in milliseconds since the Unix epoch, where the array told.
    pub created_ms: Option<u64>,
    /// For block volumes: what the device must answer.
    pub identity: Option<DeviceIdentity>,
    /// The file system asked for at create with its options; `None` when no record says.
    pub filesystem: Option<FilesystemSpec>,
    /// The grant, as long as it was not withdrawn. Never on clones, restores and imports.
    pub format_grant: Option<FormatGrant>,
    /// On clones: the UUID that the file system is to have before it is mounted, as the copy has
    /// its source's. Recorded when the clone was made.
    pub fresh_uuid: Option<Uuid>,
    /// What it may do at most, where the array limits it.
    pub limits: Limits,
    /// The machine that the record names as its holder, where the array shows a connection at all;
    /// as of when the volume was read. For people: only [`crate::Backend::published`] decides.
    pub holder: Option<String>,
    /// What else was recorded at create (selector, reason of placement, source), for people.
    pub attributes: Labels,
    /// Where it is in its life.
    pub state: VolumeState,
    /// Whether it carries our record.
    pub ownership: Ownership,
}

#[cfg(test)]
mod tests {
    use super::{ArrayId, VolumeId};

    #[test]
    fn a_volume_id_survives_the_round_trip() {
        let id = VolumeId::new(ArrayId::new("a-1"), "o-1").unwrap();
        assert_eq!(id.to_string().parse::<VolumeId>().unwrap(), id);
    }

    proptest::proptest! {
        #[test]
        fn an_accepted_id_is_what_it_was_read_from(text in "(\\PC|[a-f0-9:-]|\\n){0,140}") {
            if let Ok(id) = text.parse::<VolumeId>() {
                proptest::prop_assert_eq!(id.to_string(), &*text);
                proptest::prop_assert!(text.len() <= VolumeId::MAX_BYTES);
                let json = serde_json::to_string(&id).unwrap();
                proptest::prop_assert_eq!(serde_json::from_str::<VolumeId>(&json).unwrap(), id);
            }
        }
    }

    #[test]
    fn bad_volume_ids_are_refused() {
        for text in ["", ":", "a:", ":o", "plain", "a:\n"] {
            assert!(text.parse::<VolumeId>().is_err(), "{text:?}");
        }
        assert!(VolumeId::new(ArrayId::new("a"), "o".repeat(127)).is_err());
    }
}
