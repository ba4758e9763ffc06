//! Faults by seed, for backends whose test bed has none of its own.
//!
//! A call fails before it has any effect (`Unavailable` or `Busy`), or after it with the answer
//! lost (`Timeout`). It does not reorder or delay calls: a simulator does that better.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use storage_core::{
    Access, Attacher, Backend, Capabilities, Claims, Clones, CreateVolume, DeleteVolume, Error,
    ErrorKind, ExpandVolume, Host, Labels, ListVolumes, Namespace, Outcome, Publication,
    PublishVolume, Result, Size, Snapshots, Survey, Telemetry, Trash, UnpublishVolume, Volume,
    VolumeKey, VolumePage,
};

use uuid::Uuid;

use crate::harness::{AttachHarness, Harness, Hook};

/// The seed when none is set: fixed, so that a run can be repeated.
const SEED_DEFAULT: u64 = 20_250_117;

/// The seed of this run: `CONFORMANCE_SEED` from the environment if it is a number, else a fixed
/// one. It is printed with every case.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one setting of this suite, read in one place"
)]
pub fn seed() -> u64 {
    let set = std::env::var("CONFORMANCE_SEED").ok();
    set.and_then(|text| text.trim().parse().ok())
        .unwrap_or(SEED_DEFAULT)
}

/// How many calls were made and how they were made to fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// All calls.
    pub calls: u64,
    /// Failed with `Unavailable`, without effect.
    pub unavailable: u64,
    /// Failed with `Busy`, without effect.
    pub busy: u64,
    /// Took effect and answered `Timeout`.
    pub lost: u64,
}

impl fmt::Display for FaultCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} calls: {} unavailable, {} busy, {} answers lost",
            self.calls, self.unavailable, self.busy, self.lost
        )
    }
}

/// Chooses faults by seed: one call in six fails before, one in six after its effect.
#[derive(Debug)]
pub(crate) struct Dice {
    state: AtomicU64,
    counts: Mutex<FaultCounts>,
}

#[derive(Clone, Copy)]
enum Fate {
    Fine,
    Unavailable,
    Busy,
    Lost,
}

impl Dice {
    const fn new(seed: u64) -> Self {
        Self {
            state: AtomicU64::new(seed),
            counts: Mutex::new(FaultCounts {
                calls: 0,
                unavailable: 0,
                busy: 0,
                lost: 0,
            }),
        }
    }

    fn roll(&self) -> Fate {
        // splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self
            .state
            .fetch_add(STEP, Ordering::SeqCst)
            .wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.calls += 1;
        match (z ^ (z >> 31)) % 12 {
            0 => {
                counts.unavailable += 1;
                Fate::Unavailable
            }
            1 => {
                counts.busy += 1;
                Fate::Busy
            }
            2 | 3 => {
                counts.lost += 1;
                Fate::Lost
            }
            _ => Fate::Fine,
        }
    }

    fn counts(&self) -> FaultCounts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn call<T>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        match self.roll() {
            Fate::Fine => call.await,
            Fate::Unavailable => Err(injected(ErrorKind::Unavailable)),
            Fate::Busy => Err(injected(ErrorKind::Busy)),
            Fate::Lost => {
                // Whether it worked is exactly what the caller is not told.
                drop(call.await);
                Err(injected(ErrorKind::Timeout))
            }
        }
    }
}

fn injected(kind: ErrorKind) -> Error {
    Error::new(kind, "injected by the conformance suite")
}

/// A backend whose calls fail now and then.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Backend>,
    pub(crate) dice: Arc<Dice>,
}

impl Faulty {
    /// Wraps a backend.
    #[must_use]
    pub fn new(inner: Arc<dyn Backend>, seed: u64) -> Self {
        Self {
            inner,
            dice: Arc::new(Dice::new(seed)),
        }
    }

    /// The backend itself.
    pub(crate) fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        self.dice.counts()
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner)
    }
}

#[async_trait]
impl Backend for Faulty {
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

    async fn create(&self, request: CreateVolume) -> Result<Outcome<Volume>> {
        self.dice.call(self.inner.create(request)).await
    }

    async fn get(&self, key: VolumeKey) -> Result<Option<Volume>> {
        self.dice.call(self.inner.get(key)).await
    }

    async fn list(&self, request: ListVolumes) -> Result<VolumePage> {
        self.dice.call(self.inner.list(request)).await
    }

    async fn expand(&self, request: ExpandVolume) -> Result<Outcome<Volume>> {
        self.dice.call(self.inner.expand(request)).await
    }

    async fn delete(&self, request: DeleteVolume) -> Result<Outcome<()>> {
        self.dice.call(self.inner.delete(request)).await
    }

    async fn publish(&self, request: PublishVolume) -> Result<Outcome<Access>> {
        self.dice.call(self.inner.publish(request)).await
    }

    async fn unpublish(&self, request: UnpublishVolume) -> Result<Outcome<()>> {
        self.dice.call(self.inner.unpublish(request)).await
    }

    async fn restore(&self, volume: &Volume) -> Result<Outcome<Volume>> {
        self.dice.call(self.inner.restore(volume)).await
    }

    async fn published(&self, volume: &Volume) -> Result<Vec<Publication>> {
        self.dice.call(self.inner.published(volume)).await
    }

    async fn withdraw_format_grant(&self, volume: &Volume) -> Result<Outcome<()>> {
        self.dice
            .call(self.inner.withdraw_format_grant(volume))
            .await
    }

    async fn telemetry(&self) -> Result<Telemetry> {
        self.dice.call(self.inner.telemetry()).await
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

/// A harness whose backends are [`Faulty`], all from one seed.
#[derive(Debug)]
pub struct WithFaults<H> {
    inner: H,
    seed: u64,
    dice: Arc<Dice>,
}

impl<H: Harness> WithFaults<H> {
    /// Wraps a harness.
    pub fn new(inner: H, seed: u64) -> Self {
        Self {
            inner,
            seed,
            dice: Arc::new(Dice::new(seed)),
        }
    }
}

#[async_trait]
impl<H: Harness> Harness for WithFaults<H> {
    async fn backend(&self, namespace: &Namespace) -> Arc<dyn Backend> {
        Arc::new(Faulty {
            inner: self.inner.backend(namespace).await,
            dice: Arc::clone(&self.dice),
        })
    }

    fn describe(&self) -> String {
        format!(
            "{} with faults, CONFORMANCE_SEED={}",
            self.inner.describe(),
            self.seed
        )
    }

    fn missing(&self) -> Option<String> {
        self.inner.missing()
    }

    fn report(&self) -> String {
        let inner = self.inner.report();
        format!("{} {inner}", self.dice.counts())
    }

    fn faulty(&self) -> bool {
        true
    }

    fn namespace(&self) -> Namespace {
        self.inner.namespace()
    }

    fn host(&self, index: usize) -> Host {
        self.inner.host(index)
    }

    async fn add_foreign(&self, object: &str, size: Size) -> Hook {
        self.inner.add_foreign(object, size).await
    }

    async fn connect_foreign(&self, object: &str, host: &str) -> Hook {
        self.inner.connect_foreign(object, host).await
    }

    async fn destroy_foreign(&self, object: &str) -> Hook {
        self.inner.destroy_foreign(object).await
    }

    async fn rename_foreign(&self, object: &str, to: &str) -> Hook {
        self.inner.rename_foreign(object, to).await
    }

    async fn snapshot_foreign(&self, object: &str, suffix: &str) -> Hook {
        self.inner.snapshot_foreign(object, suffix).await
    }

    async fn mark(&self, object: &str, mark: Uuid) -> Hook {
        self.inner.mark(object, mark).await
    }

    async fn mark_of(&self, object: &str) -> Option<Uuid> {
        self.inner.mark_of(object).await
    }

    async fn set_down(&self, down: bool) -> Hook {
        self.inner.set_down(down).await
    }

    async fn finish(&self) {
        self.inner.finish().await;
    }

    async fn objects(&self) -> Option<Vec<String>> {
        self.inner.objects().await
    }
}

/// The backend's calls fail now and then, the host's do not.
impl<H: AttachHarness> AttachHarness for WithFaults<H> {
    fn attacher(&self) -> Arc<dyn Attacher> {
        self.inner.attacher()
    }

    fn filesystem_uuid(&self, volume: &Volume) -> Option<Uuid> {
        self.inner.filesystem_uuid(volume)
    }
}
