//! The backend itself: one array through one namespace, and what it keeps in memory (all of it
//! can be lost: the client, the array's identity, host objects and ports that were read once).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use storage_core::{
    Access, ArrayId, ArrayIdentity, AskedNumbers, Backend, Capabilities, Claims, Clones,
    ConnectionPage, CreateVolume, DeleteVolume, Error, ErrorKind, ExpandVolume, Fence, Fencing,
    Labels, LimitRanges, ListConnections, ListTrash, ListVolumes, Namespace, Outcome, Publication,
    PublishVolume, RecoverVolume, ReleaseHost, Result, Size, Snapshots, Survey, Telemetry, Trash,
    TrashPage, UnpublishVolume, Volume, VolumeId, VolumeKey, VolumePage,
};
use storage_http::{Calls, Client, ClientConfig};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::access::Way;
use crate::api::{Api, WirePort};
use crate::claim::Waiting;
use crate::config::FlashArrayConfig;
use crate::error::{Failure, Refusal};
use crate::name::quoted;
use crate::record::FORMAT_GRANT;
use crate::session::{FlashArrayLogin, IdentityCell};

/// Smallest and largest volume, and the step between sizes (vendor REST document, `provisioned`;
/// the smallest from the Purity user guide).
const SIZE_MIN: Size = Size::from_bytes(1 << 20);
const SIZE_MAX: Size = Size::from_bytes(1 << 52);
const SIZE_STEP: Size = Size::from_bytes(512);

/// Vendor REST documents 2.2 to 2.50, `_qos`: whole numbers in these ranges. They give no step.
pub(crate) const LIMITS: LimitRanges = LimitRanges {
    iops: 100..=100_000_000,
    bandwidth: 1_048_576..=549_755_813_888,
};

/// How long cleaning up may take beyond the operation's own deadline.
pub(crate) const CLEAN_UP: Duration = Duration::from_secs(10);

/// Host objects by array id and machine: read once. By array, so that another one behind the same
/// address does not inherit them.
pub(crate) type KnownHosts = HashMap<(String, String), String>;

/// Target ports by array id: read once.
pub(crate) type KnownPorts = HashMap<String, Arc<[WirePort]>>;

/// One Pure Storage `FlashArray` as a backend.
pub struct FlashArray {
    endpoint: String,
    labels: Labels,
    operation: Duration,
    client: Client,
    pub(crate) identity: Arc<IdentityCell>,
    pub(crate) namespace: Namespace,
    pub(crate) way: Way,
    pub(crate) hosts: Mutex<KnownHosts>,
    pub(crate) ports: Mutex<KnownPorts>,
    pub(crate) waiting: Waiting,
    pub(crate) asked_numbers: AskedNumbers,
}

impl FlashArray {
    /// Makes the backend. No network: the array is reached with the first call.
    ///
    /// # Errors
    /// `InvalidArgument`: an address, trust, network or folder that cannot work.
    pub fn new(config: FlashArrayConfig) -> Result<Self> {
        let way = Way::new(&config.san)?;
        let endpoint = config.endpoint.parse().map_err(Failure::from)?;
        let mut http = ClientConfig::new(endpoint, config.trust);
        http.timeouts = config.timeouts;
        http.limits = config.limits;
        http.retry = config.retry;
        let identity = Arc::new(IdentityCell::default());
        let login = FlashArrayLogin::new(config.token, Arc::clone(&identity));
        let client = Client::new(&http, Arc::new(login)).map_err(Failure::from)?;
        Ok(Self {
            endpoint: config.endpoint,
            labels: config.labels,
            operation: config.operation,
            client,
            identity,
            namespace: config.namespace,
            way,
            hosts: Mutex::default(),
            ports: Mutex::default(),
            waiting: Waiting::default(),
            asked_numbers: AskedNumbers::default(),
        })
    }

    /// The REST calls that were sent so far, logins included.
    #[must_use]
    pub fn calls(&self) -> &Calls {
        self.client.calls()
    }

    /// The calls of one operation, which begins now. Logs in where there is no session.
    pub(crate) async fn api(&self) -> Result<Api> {
        let deadline = Instant::now() + self.operation;
        self.client.connect(deadline).await.map_err(Failure::from)?;
        let identity = self.identity.get().ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                "the array has not told its identity",
            )
        })?;
        Ok(Api::new(self.client.clone(), deadline, identity))
    }

    /// As [`Self::api`], for a volume that must be on this array.
    ///
    /// # Errors
    /// `NotFound` when it is on another one.
    pub(crate) async fn api_for(&self, volume: &VolumeId) -> Result<Api> {
        let api = self.api_on(volume.array()).await;
        api.map_err(|error| error.with_context("volume", volume.to_string()))
    }

    /// As [`Self::api`], on this array and no other.
    ///
    /// # Errors
    /// `NotFound` when another one answers.
    pub(crate) async fn api_on(&self, array: &ArrayId) -> Result<Api> {
        let api = self.api().await?;
        if api.identity.id == *array {
            return Ok(api);
        }
        let message = "what is asked for is on another array than the one at this address";
        Err(Error::new(ErrorKind::NotFound, message).with_context("array", array.as_str()))
    }

    pub(crate) fn named(&self, error: Error, operation: &'static str) -> Error {
        error
            .with_operation(operation)
            .with_context("array", &self.endpoint)
    }

    /// The size is read first: the caller's may be old, and a volume never shrinks.
    async fn expand_volume(&self, request: ExpandVolume) -> Result<Outcome<Volume>> {
        let mut volume = request.volume;
        let size = self.capabilities().round(request.size)?;
        let api = self.api_for(&volume.id).await?;
        let id = volume.id.object();
        let found = api.find_volumes(format!("id={}", quoted(id))).await?;
        let present = found.into_iter().find(|one| one.id == id && !one.destroyed);
        let present =
            present.ok_or_else(|| Error::new(ErrorKind::NotFound, "the volume is gone"))?;
        volume.size = Size::from_bytes(present.provisioned);
        if size < volume.size {
            let message = format!("the volume has {} and is never made smaller", volume.size);
            return Err(Error::new(ErrorKind::OutOfRange, message));
        }
        if size == volume.size {
            return Ok(Outcome::AlreadySo(volume));
        }
        let changed = match api.resize_volume(volume.id.object(), size.bytes()).await {
            Ok(changed) => changed,
            Err(failure) if failure.is(&[Refusal::Destroyed]) => {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    "the volume has been destroyed",
                ));
            }
            Err(failure) => return Err(failure.into()),
        };
        volume.size = changed.map_or(size, |wire| Size::from_bytes(wire.provisioned));
        Ok(Outcome::Done(volume))
    }

    async fn withdraw(&self, volume: &Volume) -> Result<Outcome<()>> {
        let api = self.api_for(&volume.id).await?;
        match api.remove_tags(volume.id.object(), &[FORMAT_GRANT]).await {
            Ok(()) => Ok(Outcome::Done(())),
            // A volume that is gone or on its way out permits nothing any more.
            Err(failure)
                if failure.is(&[
                    Refusal::TagMissing,
                    Refusal::VolumeMissing,
                    Refusal::Destroyed,
                ]) =>
            {
                Ok(Outcome::AlreadySo(()))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    async fn read_telemetry(&self) -> Result<Telemetry> {
        let api = self.api().await?;
        let space = api.array_space().await?.ok_or_else(|| {
            Error::new(
                ErrorKind::Unexpected,
                "the array does not tell its capacity",
            )
        })?;
        Ok(Telemetry {
            array: api.identity.id.clone(),
            array_name: api.identity.name.clone(),
            capacity: Size::from_bytes(space.capacity),
            used: Size::from_bytes(space.space.used().unwrap_or(0)),
        })
    }
}

impl fmt::Debug for FlashArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlashArray")
            .field("endpoint", &self.endpoint)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for FlashArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.endpoint)?;
        match self.identity.get() {
            Some(identity) => write!(f, " ({})", identity.name),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Backend for FlashArray {
    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The predecessor's well-known labels, and the configured ones on top.
    fn labels(&self) -> Labels {
        let mut labels = Labels::new();
        let mut set = |key: &str, value: &str| {
            labels.insert(format!("purestorage.com/{key}"), value.to_owned());
        };
        set("backend", "block");
        set("family", "FlashArray");
        if let Some(identity) = self.identity.get() {
            set("hostname", &identity.name);
            set("id", identity.id.as_str());
        }
        labels.extend(self.labels.clone());
        labels
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            protocol: self.way.protocol(),
            size_min: SIZE_MIN,
            size_max: SIZE_MAX,
            size_step: SIZE_STEP,
            expand: true,
            exclusive_publish: true,
            preemption: true,
            snapshots: true,
            clones: true,
            limits: Some(LIMITS),
        }
    }

    async fn create(&self, request: CreateVolume) -> Result<Outcome<Volume>> {
        let result = self.create_volume(&request).await;
        result.map_err(|error| self.named(error, "create volume"))
    }

    async fn get(&self, key: VolumeKey) -> Result<Option<Volume>> {
        let result = self.look_up(&key).await;
        result.map_err(|error| self.named(error, "look volume up"))
    }

    async fn list(&self, request: ListVolumes) -> Result<VolumePage> {
        let result = self.list_volumes(request).await;
        result.map_err(|error| self.named(error, "list volumes"))
    }

    async fn expand(&self, request: ExpandVolume) -> Result<Outcome<Volume>> {
        let result = self.expand_volume(request).await;
        result.map_err(|error| self.named(error, "expand volume"))
    }

    async fn delete(&self, request: DeleteVolume) -> Result<Outcome<()>> {
        let result = self.delete_volume(&request.volume).await;
        result.map_err(|error| self.named(error, "delete volume"))
    }

    async fn publish(&self, request: PublishVolume) -> Result<Outcome<Access>> {
        let result = self.publish_volume(&request).await;
        result.map_err(|error| self.named(error, "publish volume"))
    }

    async fn unpublish(&self, request: UnpublishVolume) -> Result<Outcome<()>> {
        let result = self.unpublish_volume(&request).await;
        result.map_err(|error| self.named(error, "unpublish volume"))
    }

    async fn restore(&self, volume: &Volume) -> Result<Outcome<Volume>> {
        let result = self.restore_volume(volume).await;
        result.map_err(|error| self.named(error, "restore volume"))
    }

    async fn published(&self, volume: &Volume) -> Result<Vec<Publication>> {
        let result = self.publications(volume).await;
        result.map_err(|error| self.named(error, "look up who has the volume"))
    }

    async fn withdraw_format_grant(&self, volume: &Volume) -> Result<Outcome<()>> {
        let result = self.withdraw(volume).await;
        result.map_err(|error| self.named(error, "withdraw format grant"))
    }

    async fn telemetry(&self) -> Result<Telemetry> {
        let result = self.read_telemetry().await;
        result.map_err(|error| self.named(error, "read telemetry"))
    }

    async fn close(&self) {
        self.client.close().await;
    }

    fn snapshots(&self) -> Option<&dyn Snapshots> {
        Some(self)
    }

    fn clones(&self) -> Option<&dyn Clones> {
        Some(self)
    }

    fn trash(&self) -> Option<&dyn Trash> {
        Some(self)
    }

    fn survey(&self) -> Option<&dyn Survey> {
        Some(self)
    }

    fn claims(&self) -> Option<&dyn Claims> {
        Some(self)
    }

    fn fencing(&self) -> Option<&dyn Fencing> {
        Some(self)
    }
}

#[async_trait]
impl Fencing for FlashArray {
    async fn last_fence(&self, volume: &Volume) -> Result<Option<Fence>> {
        let result = self.recorded_fence(volume).await;
        result.map_err(|error| self.named(error, "look up the last fence"))
    }

    async fn release(&self, request: ReleaseHost) -> Result<Outcome<Fence>> {
        let result = self.release_host(&request).await;
        result.map_err(|error| self.named(error, "take the volume from its host"))
    }
}

#[async_trait]
impl Trash for FlashArray {
    async fn list_trash(&self, request: ListTrash) -> Result<TrashPage> {
        let result = self.trash_page(request).await;
        result.map_err(|error| self.named(error, "list the trash"))
    }

    async fn recover(&self, request: RecoverVolume) -> Result<Outcome<Volume>> {
        let result = self.recover_volume(&request).await;
        result.map_err(|error| self.named(error, "recover volume"))
    }
}

#[async_trait]
impl Survey for FlashArray {
    fn identity(&self) -> Option<ArrayIdentity> {
        self.who_answers()
    }

    async fn connections(&self, request: ListConnections) -> Result<ConnectionPage> {
        let result = self.connection_page(request).await;
        result.map_err(|error| self.named(error, "list connections"))
    }
}
