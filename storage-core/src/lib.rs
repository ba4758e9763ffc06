//! Traits, types and the engine that turn storage arrays into one service for containers.

mod access;
mod attach;
mod backend;
mod capability;
mod chance;
mod claim;
mod clock;
mod clone;
mod engine;
mod error;
mod fence;
mod filesystem;
mod fleet_record;
mod label;
mod limits;
mod memory;
mod name;
mod numbers;
mod options;
mod outcome;
mod permit;
mod placement;
mod secret;
mod select;
mod size;
mod snapshot;
mod survey;
mod trash;
mod volume;

pub use access::{Access, AccessPath, Grant, Host, Initiators, IscsiTarget, Protocol};
pub use attach::{AdoptVolume, AttachVolume, Attacher, Attachment, AttachmentState, Unrecorded};
pub use backend::{
    Backend, CreateVolume, DeleteVolume, ExpandVolume, HeldVolume, ListVolumes, Preemption,
    Publication, PublishVolume, UnpublishVolume, VolumeKey, VolumePage,
};
pub use capability::{Capabilities, Telemetry};
pub use chance::{Chance, SeededChance, SystemChance};
pub use claim::{
    ArrayNumber, ClaimNonce, Claims, Commit, ImportVolume, Marker, NameView, Stray, StrayKind,
    Tentative, TentativeKind,
};
pub use clock::{Clock, SystemClock};
pub use clone::{CloneSource, CloneVolume, Clones};
pub use engine::{
    Engine, EngineBuilder, EngineSettings, Inventory, Membership, MembershipStep, MountVolume,
    VolumeHandle,
};
pub use error::{Error, ErrorChain, ErrorKind, Result, Retry};
pub use fence::{Fence, FenceReason, Fencing, ReleaseHost};
pub use filesystem::{Filesystem, FilesystemSpec, parse_create_options, parse_mount_options};
pub use fleet_record::{Epoch, FleetMember, FleetPhase, FleetRecord};
pub use label::{LabelSelector, Labels};
pub use limits::{LimitRanges, Limits};
pub use memory::{
    ANSWER_LIMIT, ArrayRequest, Fate, MemoryArray, MemoryAttacher, MemoryBackend, MemoryDevice,
    MemoryObject, Wire,
};
pub use name::{
    NameRules, Namespace, ObjectNames, VolumeName, import_name, import_prefix, is_reserved,
    marker_name, name_hash, object_names, plain_name, retired_name, tentative_name,
    tentative_prefix, trash_name, trash_prefix,
};
pub use numbers::AskedNumbers;
pub use options::{OptionDefaults, SourceName, VolumeOptions};
pub use outcome::Outcome;
pub use permit::{Permit, PermitGuard};
pub use placement::DefaultSelector;
pub use secret::Secret;
pub use select::{Candidate, Decision, PlacementRequest, Rejection, Selector, Verdict};
pub use size::Size;
pub use snapshot::{
    CreateSnapshot, ListSnapshots, Snapshot, SnapshotId, SnapshotName, SnapshotPage, Snapshots,
};
pub use survey::{
    ArrayIdentity, Connection, ConnectionPage, ListConnections, RecordedHolder, Survey,
};
pub use trash::{ListTrash, RecoverVolume, Trash, TrashPage, TrashedVolume};
pub use volume::{ArrayId, DeviceIdentity, FormatGrant, Ownership, Volume, VolumeId, VolumeState};
