//! Traits, types and the engine that turn storage arrays into one service for containers.

mod access;
mod attach;
mod backend;
mod capability;
mod clock;
mod error;
mod filesystem;
mod label;
mod name;
mod outcome;
mod secret;
mod select;
mod size;
mod volume;

pub use access::{Access, AccessPath, Grant, Host, Initiators, IscsiTarget, Protocol};
pub use attach::{AttachVolume, Attacher, Attachment, AttachmentState};
pub use backend::{
    Backend, CreateVolume, DeleteVolume, ExpandVolume, ListVolumes, Preemption, Publication,
    PublishVolume, UnpublishVolume, VolumeKey, VolumePage,
};
pub use capability::{Capabilities, Telemetry};
pub use clock::{Clock, SystemClock};
pub use error::{Error, ErrorChain, ErrorKind, Result, Retry};
pub use filesystem::{Filesystem, FilesystemSpec};
pub use label::{LabelSelector, Labels};
pub use name::{Namespace, VolumeName};
pub use outcome::Outcome;
pub use secret::Secret;
pub use select::{Candidate, Decision, PlacementRequest, Rejection, Selector, Verdict};
pub use size::Size;
pub use volume::{ArrayId, DeviceIdentity, FormatGrant, Ownership, Volume, VolumeId, VolumeState};
