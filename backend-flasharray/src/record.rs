//! What a volume's tags say: whose it is, its full name, its file system, who holds it.
//!
//! Tag namespace `fairlead`, never copyable, so that a clone made on the array does not claim to
//! be the volume it was made from. Keys, each value at most 256 characters (vendor REST document,
//! `Tag`):
//!
//! | key | value |
//! | --- | --- |
//! | `owner` | format version, blank, namespace |
//! | `name` | the user's full name |
//! | `filesystem` | JSON: kind and options |
//! | `format-grant` | file system, blank, its UUID; removed once the file system exists |
//! | `filesystem-uuid` | on clones: the UUID that the copied file system is to get |
//! | `claim` | the nonce of the attempt that made the volume, or adopted it |
//! | `imported-from` | on adopted ones: what the object was called before |
//! | `holder` | nonce of the grant, machine, its host object on this array |
//! | `fence` | the last fence, in [`crate::fence_tag`] |
//! | `attribute.<key>` | for people; cut to fit |
//!
//! An import's record is written while the object has its old name, and again stays for a moment
//! when the object gets that name back. There it means nothing: a record whose `imported-from` is
//! the object's present name is none.
//!
//! A record of a newer format is refused: what it means is not known, so it is not touched.

use std::fmt::Write as _;

use storage_core::{
    ClaimNonce, CreateVolume, Error, ErrorKind, Filesystem, FilesystemSpec, FormatGrant, Labels,
    Namespace, Ownership, Result, VolumeName,
};
use uuid::Uuid;

use crate::api::{NewTag, Tag};

/// The tag namespace.
pub(crate) const TAG_NAMESPACE: &str = "fairlead";
/// The key of the format grant, which is removed by itself.
pub(crate) const FORMAT_GRANT: &str = "format-grant";

const FORMAT: u32 = 1;
const OWNER: &str = "owner";
const NAME: &str = "name";
const FILESYSTEM: &str = "filesystem";
const FILESYSTEM_UUID: &str = "filesystem-uuid";
const CLAIM: &str = "claim";
const IMPORTED_FROM: &str = "imported-from";
const HOLDER: &str = "holder";
const ATTRIBUTE: &str = "attribute.";
const KEY_MAX: usize = 64;
pub(crate) const VALUE_MAX: usize = 256;

/// The host that a grant was given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) nonce: Uuid,
    /// The machine, by [`storage_core::Host::object_name`].
    pub(crate) machine: String,
    /// Its host object on this array: another name where an administrator made it.
    pub(crate) object: String,
}

/// Whose a volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) namespace: String,
    pub(crate) name: VolumeName,
}

/// Everything that is read from a volume's tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) owner: Option<Owner>,
    pub(crate) filesystem: Option<FilesystemSpec>,
    pub(crate) format_grant: Option<FormatGrant>,
    pub(crate) fresh_uuid: Option<Uuid>,
    /// The attempt that gave it its name.
    pub(crate) attempt: Option<ClaimNonce>,
    /// What an adopted object was called.
    pub(crate) imported_from: Option<String>,
    pub(crate) holder: Option<Holder>,
    pub(crate) attributes: Labels,
}

impl Record {
    pub(crate) const fn ownership(&self) -> Ownership {
        match self.owner {
            Some(_) => Ownership::Recorded,
            None => Ownership::Unrecorded,
        }
    }

    /// The user's name, where the volume is recorded as this namespace's.
    pub(crate) fn name_in(&self, namespace: &Namespace) -> Option<&VolumeName> {
        let owner = self.owner.as_ref()?;
        (owner.namespace == namespace.as_str()).then_some(&owner.name)
    }

    /// Reads the tags of one volume. Tags of other namespaces are ignored.
    ///
    /// # Errors
    /// `FailedPrecondition` for a newer format, and for a record that cannot be understood:
    /// neither is treated as no record.
    pub(crate) fn read(tags: &[Tag]) -> Result<Self> {
        let ours = || tags.iter().filter(|tag| tag.namespace == TAG_NAMESPACE);
        let value = |key: &str| {
            ours()
                .find(|tag| tag.key == key)
                .map(|tag| tag.value.as_str())
        };
        let imported_from = ours().find(|tag| tag.key == IMPORTED_FROM);
        if imported_from.is_some_and(has_old_name) {
            return Ok(Self::default());
        }
        let owner = match value(OWNER) {
            Some(owner) => Some(read_owner(owner, value(NAME))?),
            None => None,
        };
        let filesystem = value(FILESYSTEM)
            .map(|json| {
                serde_json::from_str(json).map_err(|error: serde_json::Error| {
                    // Its own words would quote what somebody wrote there.
                    broken(FILESYSTEM).with_context("character", error.column().to_string())
                })
            })
            .transpose()?;
        let attribute = |tag: &Tag| {
            let key = tag.key.strip_prefix(ATTRIBUTE)?;
            Some((key.to_owned(), tag.value.clone()))
        };
        Ok(Self {
            owner,
            filesystem,
            format_grant: value(FORMAT_GRANT).map(read_grant).transpose()?,
            fresh_uuid: value(FILESYSTEM_UUID).map(read_uuid).transpose()?,
            // An unreadable attempt is nobody's.
            attempt: value(CLAIM).and_then(|nonce| nonce.parse().ok()),
            imported_from: imported_from.map(|tag| tag.value.clone()),
            // An unreadable holder is nobody's proof; the next grant overwrites it.
            holder: value(HOLDER).and_then(read_holder),
            attributes: ours().filter_map(attribute).collect(),
        })
    }
}

/// Whether the object has the name again, or still, that the tag says it had. Where the array does
/// not tell the name, the record is not believed.
fn has_old_name(imported_from: &Tag) -> bool {
    let now = imported_from.resource.name.as_deref();
    now.is_none_or(|now| now.eq_ignore_ascii_case(&imported_from.value))
}

/// The keys of ours that a volume has.
pub(crate) fn our_keys(tags: &[Tag]) -> Vec<&str> {
    let ours = tags.iter().filter(|tag| tag.namespace == TAG_NAMESPACE);
    ours.map(|tag| tag.key.as_str()).collect()
}

fn broken(key: &str) -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        format!("the volume's tag `{key}` cannot be understood; correct or remove it on the array"),
    )
}

fn read_owner(owner: &str, name: Option<&str>) -> Result<Owner> {
    let (version, namespace) = owner.split_once(' ').ok_or_else(|| broken(OWNER))?;
    let version: u32 = version
        .parse()
        .map_err(|error| broken(OWNER).with_source(error))?;
    if version > FORMAT {
        return Err(Error::new(
            ErrorKind::FailedPrecondition,
            format!(
                "the volume was recorded by a newer version (format {version}, this one knows {FORMAT}); it is not touched"
            ),
        ));
    }
    let name = VolumeName::new(name.ok_or_else(|| broken(NAME))?)
        .map_err(|error| broken(NAME).with_source(error))?;
    Ok(Owner {
        namespace: namespace.to_owned(),
        name,
    })
}

fn read_grant(grant: &str) -> Result<FormatGrant> {
    let (filesystem, uuid) = grant.split_once(' ').ok_or_else(|| broken(FORMAT_GRANT))?;
    Ok(FormatGrant {
        filesystem: filesystem.parse::<Filesystem>()?,
        uuid: uuid
            .parse()
            .map_err(|error| broken(FORMAT_GRANT).with_source(error))?,
    })
}

fn read_uuid(uuid: &str) -> Result<Uuid> {
    let parsed = uuid.parse();
    parsed.map_err(|error| broken(FILESYSTEM_UUID).with_source(error))
}

fn read_holder(holder: &str) -> Option<Holder> {
    let mut parts = holder.split(' ');
    Some(Holder {
        nonce: parts.next()?.parse().ok()?,
        machine: parts.next()?.to_owned(),
        object: parts.next()?.to_owned(),
    })
}

pub(crate) fn tag(key: &str, value: String) -> NewTag {
    NewTag {
        key: key.to_owned(),
        value,
        namespace: TAG_NAMESPACE,
        copyable: false,
    }
}

/// The record of a new volume: as it will be read, and as it is written.
#[derive(Clone, Debug)]
pub(crate) struct NewRecord {
    pub(crate) record: Record,
    pub(crate) tags: Vec<NewTag>,
}

impl NewRecord {
    /// The record of what is asked for; with `fresh_uuid` of a clone.
    ///
    /// # Errors
    /// `InvalidArgument` when the file system's options are too long to be recorded.
    pub(crate) fn new(
        namespace: &Namespace,
        request: &CreateVolume,
        fresh_uuid: Option<Uuid>,
    ) -> Result<Self> {
        let filesystem = filesystem_value(&request.filesystem)?;
        let mut tags = vec![
            tag(OWNER, format!("{FORMAT} {namespace}")),
            tag(NAME, request.name.as_str().to_owned()),
            tag(FILESYSTEM, filesystem),
            tag(CLAIM, request.nonce.to_string()),
        ];
        if let Some(grant) = &request.format_grant {
            let value = format!("{} {}", grant.filesystem, grant.uuid);
            tags.push(tag(FORMAT_GRANT, value));
        }
        tags.extend(fresh_uuid.map(|uuid| tag(FILESYSTEM_UUID, uuid.to_string())));
        for (key, value) in &request.attributes {
            let key = format!("{ATTRIBUTE}{key}");
            if !value.is_empty() && key.chars().count() <= KEY_MAX {
                tags.push(tag(&key, cut(value)));
            }
        }
        let record = Record {
            owner: Some(Owner {
                namespace: namespace.as_str().to_owned(),
                name: request.name.clone(),
            }),
            filesystem: Some(request.filesystem.clone()),
            format_grant: request.format_grant.clone(),
            fresh_uuid,
            attempt: Some(request.nonce),
            imported_from: None,
            holder: None,
            attributes: request.attributes.clone(),
        };
        Ok(Self { record, tags })
    }

    /// The same for an object that is adopted, with the name that it has now.
    pub(crate) fn imported(mut self, object: &str) -> Self {
        self.tags.push(tag(IMPORTED_FROM, object.to_owned()));
        self.record.imported_from = Some(object.to_owned());
        self
    }
}

fn filesystem_value(filesystem: &FilesystemSpec) -> Result<String> {
    let value = serde_json::to_string(filesystem).map_err(|error| {
        Error::new(ErrorKind::Unexpected, "the options cannot be written down").with_source(error)
    })?;
    if value.chars().count() > VALUE_MAX {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "the file system's options are too long: the array keeps {VALUE_MAX} characters"
            ),
        ));
    }
    Ok(value)
}

/// The tag that says what the volume is called.
pub(crate) fn name_tag(name: &VolumeName) -> NewTag {
    tag(NAME, name.as_str().to_owned())
}

/// The tag that says who holds the volume.
pub(crate) fn holder_tag(holder: &Holder) -> NewTag {
    let mut value = holder.nonce.to_string();
    let _infallible = write!(value, " {} {}", holder.machine, holder.object);
    tag(HOLDER, value)
}

fn cut(value: &str) -> String {
    let plain: String = value.chars().filter(|c| !c.is_control()).collect();
    if plain.chars().count() <= VALUE_MAX {
        return plain;
    }
    let mut cut: String = plain.chars().take(VALUE_MAX - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use storage_core::{
        ArrayNumber, ClaimNonce, CreateVolume, ErrorKind, Filesystem, FilesystemSpec, FormatGrant,
        Labels, Namespace, Ownership, Size, VolumeName,
    };
    use uuid::Uuid;

    use super::{Holder, NewRecord, Record, TAG_NAMESPACE, holder_tag};
    use crate::api::{NewTag, Tag};

    fn request() -> CreateVolume {
        CreateVolume {
            name: VolumeName::new("Größe x").unwrap(),
            size: Size::from_gib(1),
            filesystem: FilesystemSpec::new(Filesystem::Xfs),
            limits: storage_core::Limits::default(),
            format_grant: Some(FormatGrant {
                filesystem: Filesystem::Xfs,
                uuid: Uuid::from_u128(7),
            }),
            attributes: Labels::from([("placement".to_owned(), "x".repeat(999))]),
            nonce: ClaimNonce::new(ArrayNumber::default(), 1),
        }
    }

    fn as_read(tags: Vec<NewTag>) -> Vec<Tag> {
        let wire = |tag: NewTag| Tag {
            key: tag.key,
            value: tag.value,
            namespace: tag.namespace.to_owned(),
            resource: crate::api::Reference::default(),
        };
        tags.into_iter().map(wire).collect()
    }

    #[test]
    fn a_record_survives_the_round_trip() {
        let namespace = Namespace::new("ns").unwrap();
        let fresh = Some(Uuid::from_u128(8));
        let mut tags = NewRecord::new(&namespace, &request(), fresh).unwrap().tags;
        assert!(
            tags.iter()
                .all(|tag| !tag.copyable && tag.value.chars().count() <= 256)
        );
        let holder = Holder {
            nonce: Uuid::from_u128(9),
            machine: "node-0a0b0c0d".to_owned(),
            object: "admins-host".to_owned(),
        };
        tags.push(holder_tag(&holder));
        let record = Record::read(&as_read(tags)).unwrap();
        assert_eq!(record.name_in(&namespace), Some(&request().name));
        assert_eq!(record.filesystem, Some(request().filesystem));
        assert_eq!(record.format_grant, request().format_grant);
        assert_eq!(record.fresh_uuid, fresh);
        assert_eq!(record.holder, Some(holder));
        assert_eq!(record.attributes["placement"].chars().count(), 256);
        let other = Namespace::new("other").unwrap();
        assert_eq!(record.name_in(&other), None);
    }

    fn one(key: &str, value: &str, namespace: &str) -> Tag {
        Tag {
            key: key.to_owned(),
            value: value.to_owned(),
            namespace: namespace.to_owned(),
            resource: crate::api::Reference::default(),
        }
    }

    #[test]
    fn strange_records_are_refused_and_foreign_tags_ignored() {
        let foreign = [one("owner", "1 ns", "default"), one("name", "x", "default")];
        assert_eq!(
            Record::read(&foreign).unwrap().ownership(),
            Ownership::Unrecorded
        );
        for bad in [
            vec![
                one("owner", "2 ns", TAG_NAMESPACE),
                one("name", "x", TAG_NAMESPACE),
            ],
            vec![one("owner", "1 ns", TAG_NAMESPACE)],
            vec![
                one("owner", "ns", TAG_NAMESPACE),
                one("name", "x", TAG_NAMESPACE),
            ],
            vec![
                one("owner", "1 ns", TAG_NAMESPACE),
                one("name", "a/b", TAG_NAMESPACE),
            ],
            vec![one("format-grant", "ext4", TAG_NAMESPACE)],
            vec![one("filesystem", "{", TAG_NAMESPACE)],
            vec![one("filesystem-uuid", "1-2", TAG_NAMESPACE)],
        ] {
            let error = Record::read(&bad).unwrap_err();
            assert!(
                matches!(
                    error.kind(),
                    ErrorKind::FailedPrecondition | ErrorKind::InvalidArgument
                ),
                "{bad:?}"
            );
        }
        let holder = [one("holder", "garbage", TAG_NAMESPACE)];
        assert_eq!(Record::read(&holder).unwrap().holder, None);
    }

    proptest::proptest! {
        #[test]
        fn no_tags_panic(tags in proptest::collection::vec((".{0,20}", ".{0,40}"), 0..6)) {
            let keys = ["owner", "name", "filesystem", "format-grant", "filesystem-uuid", "holder"];
            let named = keys.iter().zip(&tags).map(|(key, (_, value))| one(key, value, TAG_NAMESPACE));
            let others = tags.iter().map(|(key, value)| one(key, value, TAG_NAMESPACE));
            let tags: Vec<Tag> = named.chain(others).collect();
            drop(Record::read(&tags));
        }
    }
}
