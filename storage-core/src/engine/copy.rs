//! Copies: what a user's `source` stands for, and how a copy is asked for.
//!
//! The array copies; a copy is on its source's array, has its source's file system and never a
//! format grant. Nothing here places or names volumes: that is [`super::provision`].

use std::sync::Arc;

use uuid::Uuid;

use crate::backend::CreateVolume;
use crate::clone::{CloneSource, CloneVolume};
use crate::engine::Shared;
use crate::engine::fleet::{Located, Member};
use crate::error::{Error, ErrorKind, Result};
use crate::filesystem::FilesystemSpec;
use crate::name::VolumeName;
use crate::options::{SourceName, VolumeOptions};
use crate::outcome::Outcome;
use crate::snapshot::Snapshot;
use crate::volume::{Volume, VolumeState};

/// The attribute that says what a volume is a copy of.
const SOURCE: &str = "source";

/// From here on a recorded attribute may have been cut, with a sign for it at its end: an array
/// keeps 256 characters.
const MAY_BE_CUT: usize = 256;
const CUT_SIGN: char = '…';

/// What a volume is a copy of, as its user typed it.
pub(super) fn origin(volume: &Volume) -> Option<&str> {
    volume.attributes.get(SOURCE).map(String::as_str)
}

/// Whether the volume says that it was made as a copy of that source.
pub(super) fn is_copy_of(volume: &Volume, source: &SourceName) -> bool {
    origin(volume).is_some_and(|recorded| {
        let cut = recorded.chars().count() >= MAY_BE_CUT;
        let left = recorded.strip_suffix(CUT_SIGN).unwrap_or(recorded);
        recorded == source.as_str() || (cut && source.as_str().starts_with(left))
    })
}

/// A copy that is to be made.
#[derive(Debug)]
pub(super) struct Copy {
    /// The source's array.
    pub(super) member: Arc<Member>,
    /// The source.
    pub(super) source: CloneSource,
    /// As the user typed it.
    name: String,
    filesystem: FilesystemSpec,
}

impl Copy {
    /// Finds the source. A text that names a volume and a snapshot is refused, not guessed.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` while an array that may have it does not answer;
    /// `FailedPrecondition` for a source without a file system; `InvalidArgument` for an
    /// ambiguous one, or options that do not fit its file system.
    pub(super) async fn of(
        shared: &Shared,
        source: &SourceName,
        options: &VolumeOptions,
    ) -> Result<Self> {
        let copy = Self::find(shared, source, options).await;
        copy.map_err(|error| error.with_context("source", source.as_str()))
    }

    async fn find(shared: &Shared, source: &SourceName, options: &VolumeOptions) -> Result<Self> {
        let volume = match source.volume() {
            Some(name) => usable(shared, name).await?,
            None => None,
        };
        let snapshot = match source.snapshot() {
            Some((name, snapshot)) => match usable(shared, name).await? {
                Some(located) => snapshot_of(&located, snapshot).await?.map(|s| (located, s)),
                None => None,
            },
            None => None,
        };
        let (located, found) = match (volume, snapshot) {
            (Some(_), Some(_)) => {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    "a volume has this name, and a snapshot too; rename one on the array",
                ));
            }
            (Some(located), None) => {
                let volume = Box::new(located.volume.clone());
                (located, CloneSource::Volume(volume))
            }
            (None, Some((located, snapshot))) => {
                (located, CloneSource::Snapshot(Box::new(snapshot)))
            }
            (None, None) => {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    "there is no volume of this name, and no snapshot `volume.snapshot`",
                ));
            }
        };
        has_filesystem(&located.volume)?;
        Ok(Self {
            filesystem: filesystem(&located.volume, options)?,
            member: located.member,
            source: found,
            name: source.as_str().to_owned(),
        })
    }

    /// Makes the request for an empty volume one for this copy.
    pub(super) fn note(&self, request: &mut CreateVolume) {
        request.format_grant = None;
        request.filesystem = self.filesystem.clone();
        request
            .attributes
            .insert(SOURCE.to_owned(), self.name.clone());
    }

    pub(super) async fn make(
        &self,
        member: &Member,
        volume: CreateVolume,
        fresh_uuid: Uuid,
    ) -> Result<Outcome<Volume>> {
        let clones = member.backend.clones().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "the array cannot copy volumes")
                .with_context("array", member.backend.endpoint())
        })?;
        clones.clone_volume(self.request(volume, fresh_uuid)).await
    }

    pub(super) fn request(&self, volume: CreateVolume, fresh_uuid: Uuid) -> CloneVolume {
        CloneVolume {
            volume,
            source: self.source.clone(),
            fresh_uuid,
        }
    }
}

async fn usable(shared: &Shared, name: &VolumeName) -> Result<Option<Located>> {
    let found = shared.look_up(name).await?;
    Ok(found.filter(|located| located.volume.state == VolumeState::Ready))
}

async fn snapshot_of(
    located: &Located,
    name: &crate::snapshot::SnapshotName,
) -> Result<Option<Snapshot>> {
    match located.member.backend.snapshots() {
        Some(snapshots) => snapshots.get_snapshot(&located.volume, name).await,
        None => Ok(None),
    }
}

/// A volume that still carries its format grant is, as far as anybody knows, blank: its copy could
/// never be formatted, and would be refused at every mount.
fn has_filesystem(volume: &Volume) -> Result<()> {
    if volume.format_grant.is_none() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::FailedPrecondition,
        format!(
            "volume {} has no file system yet; mount it once, then copy it",
            volume.name
        ),
    ))
}

/// The source's file system with the user's mount options, if the user gave any.
fn filesystem(source: &Volume, options: &VolumeOptions) -> Result<FilesystemSpec> {
    let Some(recorded) = &source.filesystem else {
        return Ok(options.filesystem.clone());
    };
    let asked = options.filesystem.kind;
    if options.kind_given && asked != recorded.kind {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "the source has {}, and a copy cannot have {asked}",
                recorded.kind
            ),
        )
        .with_context("option", "fstype"));
    }
    let mut spec = recorded.clone();
    if options.mount_options_given {
        spec.mount_options
            .clone_from(&options.filesystem.mount_options);
    }
    spec.check()?;
    Ok(spec)
}
