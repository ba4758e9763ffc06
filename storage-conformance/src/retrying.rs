//! A backend whose passing failures are repeated within a bound, as the engine's callers do.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use storage_core::{
    Access, ArrayNumber, Backend, Capabilities, ClaimNonce, Claims, Clones, CreateVolume,
    DeleteVolume, ErrorKind, ExpandVolume, Labels, ListVolumes, Namespace, Outcome, Publication,
    PublishVolume, Result, Retry, Snapshots, Survey, Telemetry, Trash, UnpublishVolume, Volume,
    VolumeKey, VolumePage,
};
use tokio::time::{Instant, sleep};

/// Calls are repeated at most this often. With one call in three failing, all of them do so once
/// in 10¹⁹ cases.
const ATTEMPTS_MAX: u32 = 40;

/// And no longer than this in all.
const ELAPSED_MAX: Duration = Duration::from_secs(30);

/// Waits between attempts double from the first to the second of these.
const WAIT_FIRST: Duration = Duration::from_millis(2);
const WAIT_MAX: Duration = Duration::from_millis(100);

/// Repeats what ended in `Busy` and, where faults are injected, in `Unavailable` or `Timeout`.
#[derive(Debug)]
pub struct Retrying {
    inner: Arc<dyn Backend>,
    faulty: bool,
}

impl Retrying {
    /// Wraps a backend; `faulty` says whether failures of the network are expected.
    #[must_use]
    pub const fn new(inner: Arc<dyn Backend>, faulty: bool) -> Self {
        Self { inner, faulty }
    }

    /// The backend itself.
    #[must_use]
    pub fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    fn repeats(&self, kind: ErrorKind) -> bool {
        let passing = matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout);
        kind == ErrorKind::Busy || (self.faulty && passing)
    }

    pub(crate) async fn repeat<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let began = Instant::now();
        let mut wait = WAIT_FIRST;
        let mut attempt = 1;
        loop {
            let error = match call().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let out_of_bounds = attempt >= ATTEMPTS_MAX || began.elapsed() >= ELAPSED_MAX;
            if out_of_bounds || !self.repeats(error.kind()) {
                return Err(error);
            }
            let advised = match error.retry() {
                Retry::After(Some(advised)) => advised.min(WAIT_MAX),
                Retry::After(None) | Retry::Never | Retry::IfIdempotent => wait,
            };
            sleep(advised).await;
            wait = (wait * 2).min(WAIT_MAX);
            attempt += 1;
        }
    }
}

impl fmt::Display for Retrying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner)
    }
}

#[async_trait]
impl Backend for Retrying {
    fn endpoint(&self) -> &str {
        self.inner.endpoint()
    }

    fn namespace(&self) -> &Namespace {
        self.inner.namespace()
    }

    fn labels(&self) -> Labels {
        self.inner.labels()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    /// Every attempt has a nonce of its own, the first one that of the request.
    async fn create(&self, request: CreateVolume) -> Result<Outcome<Volume>> {
        let mut next = Some(request.nonce);
        self.repeat(|| {
            let nonce = next
                .take()
                .unwrap_or_else(|| ClaimNonce::by_chance(ArrayNumber::default()));
            self.inner.create(CreateVolume {
                nonce,
                ..request.clone()
            })
        })
        .await
    }

    async fn get(&self, key: VolumeKey) -> Result<Option<Volume>> {
        self.repeat(|| self.inner.get(key.clone())).await
    }

    async fn list(&self, request: ListVolumes) -> Result<VolumePage> {
        self.repeat(|| self.inner.list(request.clone())).await
    }

    async fn expand(&self, request: ExpandVolume) -> Result<Outcome<Volume>> {
        self.repeat(|| self.inner.expand(request.clone())).await
    }

    async fn delete(&self, request: DeleteVolume) -> Result<Outcome<()>> {
        self.repeat(|| self.inner.delete(request.clone())).await
    }

    async fn publish(&self, request: PublishVolume) -> Result<Outcome<Access>> {
        self.repeat(|| self.inner.publish(request.clone())).await
    }

    async fn unpublish(&self, request: UnpublishVolume) -> Result<Outcome<()>> {
        self.repeat(|| self.inner.unpublish(request.clone())).await
    }

    async fn restore(&self, volume: &Volume) -> Result<Outcome<Volume>> {
        self.repeat(|| self.inner.restore(volume)).await
    }

    async fn published(&self, volume: &Volume) -> Result<Vec<Publication>> {
        self.repeat(|| self.inner.published(volume)).await
    }

    async fn withdraw_format_grant(&self, volume: &Volume) -> Result<Outcome<()>> {
        self.repeat(|| self.inner.withdraw_format_grant(volume))
            .await
    }

    async fn telemetry(&self) -> Result<Telemetry> {
        self.repeat(|| self.inner.telemetry()).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }

    fn snapshots(&self) -> Option<&dyn Snapshots> {
        self.inner.snapshots().map(|_there| self as &dyn Snapshots)
    }

    fn clones(&self) -> Option<&dyn Clones> {
        self.inner.clones().map(|_there| self as &dyn Clones)
    }

    fn trash(&self) -> Option<&dyn Trash> {
        self.inner.trash().map(|_there| self as &dyn Trash)
    }

    fn survey(&self) -> Option<&dyn Survey> {
        self.inner.survey().map(|_there| self as &dyn Survey)
    }

    fn claims(&self) -> Option<&dyn Claims> {
        self.inner.claims().map(|_there| self as &dyn Claims)
    }
}
