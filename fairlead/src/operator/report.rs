//! The answers as data: what `-o json` prints. Documented in `docs/cli.md`, and as a schema in
//! `docs/cli.schema.json`. Sizes are bytes, times milliseconds since the Unix epoch.
//!
//! Keys are only ever added within one `format`; what a key means does not change.

use std::collections::BTreeMap;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;
use storage_core::{Connection, Fence, Labels, Ownership, Volume, VolumeState};

/// The version of these answers.
pub(super) const FORMAT: u32 = 1;

/// An array that did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unavailable {
    /// Its configured address.
    pub endpoint: String,
    /// Why, in a sentence.
    pub error: String,
}

/// A host that can reach a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HostEntry {
    /// The host's object on the array.
    pub host: Option<String>,
    /// The host group through which it reaches it.
    pub group: Option<String>,
    /// The logical unit number.
    pub lun: Option<u64>,
    /// Whether the volume's record names it as the holder.
    pub recorded: bool,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VolumeEntry {
    /// The user's name.
    pub name: String,
    /// Identity for ever: `<array id>:<object id>`.
    pub id: String,
    /// The array's name.
    pub array: String,
    /// The array's configured address.
    pub endpoint: String,
    /// The object's name on the array.
    pub object: String,
    /// `ready`, `deleting` (half removed) or `destroyed`.
    pub state: String,
    /// Whether it carries a record of this namespace.
    pub recorded: bool,
    /// Provisioned bytes.
    pub size_bytes: u64,
    /// Bytes in use after data reduction.
    pub used_bytes: Option<u64>,
    /// File system asked for at create.
    pub filesystem: Option<String>,
    /// Whether a file system may still be made on it, once, if it is blank.
    pub format_grant: bool,
    /// Reads and writes a second that it is limited to.
    pub limit_iops: Option<u64>,
    /// Bytes a second that it is limited to.
    pub limit_bandwidth: Option<u64>,
    /// When it was made.
    pub created_ms: Option<u64>,
    /// The serial that the device must answer.
    pub serial: Option<String>,
    /// The world-wide identifier that hosts show.
    pub wwid: Option<String>,
    /// What else was recorded at create.
    pub attributes: BTreeMap<String, String>,
    /// Who can reach it.
    pub hosts: Vec<HostEntry>,
}

/// `fairlead volume ls`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct VolumeList {
    /// The version of this shape.
    pub format: u32,
    /// By name, then array.
    pub volumes: Vec<VolumeEntry>,
    /// Arrays whose volumes are missing here.
    pub unavailable: Vec<Unavailable>,
}

/// What this host's ledger says of a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LedgerState {
    /// `attach`, `detach`, `released` or `forgotten`.
    pub recorded: String,
    /// Where it is mounted, or would be.
    pub mountpoint: String,
    /// Whether something is mounted there.
    pub mounted: Option<bool>,
    /// The device that was made since the last boot.
    pub device: Option<String>,
    /// The grant that it is attached under.
    pub grant: String,
}

/// A fence: hosts that a volume was taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FenceEntry {
    /// The host objects that were shut out. Of many, the first ones.
    pub old_hosts: Vec<String>,
    /// The host object that got the volume then; null where nobody did.
    pub new_host: Option<String>,
    /// On whose word: `mount` or `operator`.
    pub reason: String,
    /// What showed that their access was gone, for people.
    pub evidence: String,
    /// Until they were seen gone, in milliseconds.
    pub duration_ms: u64,
    /// When, by the clock of the host that did it.
    pub at_ms: u64,
}

/// A volume with everything known about it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct InspectedVolume {
    /// The volume.
    #[serde(flatten)]
    pub volume: VolumeEntry,
    /// The nonce of the latest grant on record; worth nothing without the connection.
    pub grant: Option<String>,
    /// The machine that the latest grant was given to.
    pub holder: Option<String>,
    /// The last fence on record; null when there was none.
    pub fence: Option<FenceEntry>,
    /// What this host's ledger says; null when it does not know it.
    pub ledger: Option<LedgerState>,
    /// Whether a publish to this host was begun whose fate is open.
    pub publish_open: bool,
    /// What that means, and what to do next.
    pub advice: Vec<String>,
}

/// `fairlead volume inspect`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Inspection {
    /// The version of this shape.
    pub format: u32,
    /// In the order asked for; one name may be on several arrays.
    pub volumes: Vec<InspectedVolume>,
    /// Names that no array that answered has.
    pub not_found: Vec<String>,
    /// Arrays that may have them.
    pub unavailable: Vec<Unavailable>,
}

/// A removed volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TrashEntry {
    /// The name that its user knew.
    pub name: String,
    /// Identity for ever.
    pub id: String,
    /// The array's name.
    pub array: String,
    /// The array's configured address.
    pub endpoint: String,
    /// The object's name on the array: what `recover` takes where names are not unique.
    pub object: String,
    /// `destroyed`, or `deleting` when a remove was cut off.
    pub state: String,
    /// Provisioned bytes.
    pub size_bytes: u64,
    /// When it was destroyed, where the array tells.
    pub destroyed_ms: Option<u64>,
    /// How long the array still keeps it.
    pub seconds_left: Option<u64>,
    /// Whether a volume in use has its name now, so that it needs another; null when an array that
    /// may have it did not answer.
    pub name_taken: Option<bool>,
}

/// `fairlead volume trash ls`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TrashList {
    /// The version of this shape.
    pub format: u32,
    /// By name, the one that ends first first.
    pub volumes: Vec<TrashEntry>,
    /// Arrays whose trash is missing here.
    pub unavailable: Vec<Unavailable>,
}

/// `fairlead volume trash recover`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Recovery {
    /// The version of this shape.
    pub format: u32,
    /// Whether this call changed anything.
    pub changed: bool,
    /// The volume, in use again.
    pub volume: VolumeEntry,
}

/// `fairlead volume release`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct HostRelease {
    /// The version of this shape.
    pub format: u32,
    /// Whether this call changed anything.
    pub changed: bool,
    /// The host object that was named.
    pub host: String,
    /// What is on record of it.
    pub fence: FenceEntry,
    /// The volume, with who can reach it now.
    pub volume: VolumeEntry,
}

/// A configured array.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ArrayEntry {
    /// Its configured address.
    pub endpoint: String,
    /// `FlashArray` or `FlashBlade`.
    pub family: String,
    /// Whether it answered.
    pub reachable: bool,
    /// Why it did not.
    pub error: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its identifier.
    pub id: Option<String>,
    /// The version of its software.
    pub software: Option<String>,
    /// The REST version in use.
    pub rest: Option<String>,
    /// How hosts reach its volumes, as configured.
    pub san_type: Option<String>,
    /// Whether no new volumes are placed there.
    pub draining: bool,
    /// Its number in the fleet; none where it is no member, or the fleet is not known.
    pub member: Option<u16>,
    /// Whether it votes on new names.
    pub votes: bool,
    /// Usable bytes.
    pub capacity_bytes: Option<u64>,
    /// Bytes in use after data reduction.
    pub used_bytes: Option<u64>,
    /// Bytes free.
    pub free_bytes: Option<u64>,
    /// Volumes of this namespace.
    pub volumes: Option<u64>,
    /// How long one call took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// What selectors see.
    pub labels: BTreeMap<String, String>,
}

/// `fairlead array ls`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ArrayList {
    /// The version of this shape.
    pub format: u32,
    /// In the order of the configuration.
    pub arrays: Vec<ArrayEntry>,
    /// The fleet that they are, as far as they tell; none before its first volume.
    pub fleet: Option<FleetEntry>,
}

/// What the arrays say about the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FleetEntry {
    /// The version of its record.
    pub epoch: u64,
    /// Whether arrays are being added or removed, and new names wait for that.
    pub changing: bool,
    /// Its namespaces.
    pub namespaces: Vec<String>,
    /// Members that no configured array has told to be: by name and id.
    pub unseen: Vec<String>,
}

/// An array of a fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MemberEntry {
    /// Its number, never given twice.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// Its identifier.
    pub id: String,
    /// Whether it votes on new names.
    pub votes: bool,
}

/// `fairlead array add` and `fairlead array remove`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FleetChange {
    /// The version of this shape.
    pub format: u32,
    /// Whether anything had to be done.
    pub changed: bool,
    /// The version of the fleet's record.
    pub epoch: u64,
    /// All members now.
    pub members: Vec<MemberEntry>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ConnectionEntry {
    /// The volume's name.
    pub volume: String,
    /// The volume's identity.
    pub id: String,
    /// The array's name.
    pub array: String,
    /// The array's configured address.
    pub endpoint: String,
    /// The object's name on the array.
    pub object: String,
    /// The host's object on the array.
    pub host: Option<String>,
    /// The host group through which it reaches it.
    pub group: Option<String>,
    /// The logical unit number.
    pub lun: Option<u64>,
    /// Whether the volume's record names this host as the holder.
    pub recorded: bool,
    /// The machine that the record names.
    pub holder: Option<String>,
    /// The nonce of that grant.
    pub grant: Option<String>,
    /// Whether it is this machine's.
    pub this_host: bool,
    /// What is odd about it.
    pub hints: Vec<String>,
}

/// `fairlead connections`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ConnectionList {
    /// The version of this shape.
    pub format: u32,
    /// By volume, then host.
    pub connections: Vec<ConnectionEntry>,
    /// The volume that was asked for, where no array that answered has it.
    pub not_found: Vec<String>,
    /// Arrays whose connections are missing here.
    pub unavailable: Vec<Unavailable>,
}

pub(super) const fn state(state: VolumeState) -> &'static str {
    match state {
        VolumeState::Ready => "ready",
        VolumeState::Deleting => "deleting",
        VolumeState::Destroyed => "destroyed",
        _ => "unknown",
    }
}

pub(super) fn plain(labels: &Labels) -> BTreeMap<String, String> {
    labels.clone().into_iter().collect()
}

impl VolumeEntry {
    pub(super) fn new(endpoint: &str, volume: &Volume, connections: &[Connection]) -> Self {
        let identity = volume.identity.as_ref();
        let mut hosts: Vec<HostEntry> = connections.iter().map(HostEntry::new).collect();
        hosts.sort_by(|one, two| (&one.group, &one.host).cmp(&(&two.group, &two.host)));
        Self {
            name: volume.name.to_string(),
            id: volume.id.to_string(),
            array: volume.array_name.clone(),
            endpoint: endpoint.to_owned(),
            object: volume.object.clone(),
            state: state(volume.state).to_owned(),
            recorded: volume.ownership == Ownership::Recorded,
            size_bytes: volume.size.bytes(),
            used_bytes: volume.used.map(storage_core::Size::bytes),
            filesystem: volume.filesystem.as_ref().map(|one| one.kind.to_string()),
            format_grant: volume.format_grant.is_some(),
            limit_iops: volume.limits.iops,
            limit_bandwidth: volume.limits.bandwidth.map(storage_core::Size::bytes),
            created_ms: volume.created_ms,
            serial: identity.map(|identity| identity.serial.clone()),
            wwid: identity.map(|identity| identity.wwid.clone()),
            attributes: plain(&volume.attributes),
            hosts,
        }
    }
}

impl FenceEntry {
    pub(super) fn new(fence: &Fence) -> Self {
        Self {
            old_hosts: fence.old_hosts.clone(),
            new_host: fence.new_host.clone(),
            reason: fence.reason.to_string(),
            evidence: fence.evidence.clone(),
            duration_ms: fence.duration_ms,
            at_ms: fence.at_ms,
        }
    }
}

impl HostEntry {
    fn new(connection: &Connection) -> Self {
        Self {
            host: connection.host.clone(),
            group: connection.group.clone(),
            lun: connection.lun,
            recorded: connection.is_recorded(),
        }
    }
}

/// The JSON Schema of every answer, by command.
#[must_use]
pub fn schema_text() -> String {
    #[derive(Serialize, JsonSchema)]
    struct Answers {
        #[serde(rename = "volume ls")]
        volumes: VolumeList,
        #[serde(rename = "volume inspect")]
        inspection: Inspection,
        #[serde(rename = "volume trash ls")]
        trash: TrashList,
        #[serde(rename = "volume trash recover")]
        recovery: Recovery,
        #[serde(rename = "volume release")]
        release: HostRelease,
        #[serde(rename = "array ls")]
        arrays: ArrayList,
        #[serde(rename = "array add, array remove")]
        fleet: FleetChange,
        connections: ConnectionList,
    }
    let generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    let schema = generator.into_root_schema_for::<Answers>();
    serde_json::to_string_pretty(&schema).map_or_else(|error| error.to_string(), |text| text + "\n")
}
