//! The public suite: on a current array, on the oldest and the newest REST version that is served,
//! and on arrays of each whose network loses requests and answers.

use std::sync::Arc;

use array_sim::{FaultKind, FaultPlan};
use storage_conformance::{Harness, Hook, async_trait, seed};
use storage_core::{Backend, DeleteVolume, Namespace, Size};
use uuid::Uuid;

use crate::support::{Rig, request};

struct Simulated {
    rig: Rig,
    faults: bool,
}

/// An array that offers these versions.
async fn quiet(versions: &[&str]) -> Simulated {
    let versions: Vec<String> = versions.iter().map(|one| (*one).to_owned()).collect();
    let rig = Rig::with(|config| config.rest_versions = versions).await;
    Simulated { rig, faults: false }
}

async fn current() -> Simulated {
    quiet(&["2.2", "2.26"]).await
}

async fn oldest() -> Simulated {
    quiet(&["2.2"]).await
}

async fn newest() -> Simulated {
    quiet(&["2.2", "2.26", "2.50"]).await
}

/// The same with a network that breaks.
fn broken(mut simulated: Simulated) -> Simulated {
    simulated.faults = true;
    simulated.break_network(true);
    simulated
}

async fn faulty() -> Simulated {
    broken(current().await)
}

impl Simulated {
    fn break_network(&self, broken: bool) {
        let mut plan = FaultPlan::default();
        if self.faults && broken {
            // 5 % resets, half of them after the effect; 2 % 429 and 2 % 5xx; small delays.
            plan.reset_before = 0.025;
            plan.reset_after = 0.025;
            plan.too_many_requests = 0.02;
            plan.retry_after_s = 0;
            plan.unavailable = 0.01;
            plan.busy = 0.01;
            plan.expire_token = 0.02;
            plan.delay_max_ms = 3;
        }
        self.rig.array.set_faults(plan);
    }

    /// Does something that faults do not touch.
    async fn aside(&self, action: impl Future<Output = ()>) -> Hook {
        self.break_network(false);
        action.await;
        self.break_network(true);
        Hook::Done
    }
}

#[async_trait]
impl Harness for Simulated {
    async fn backend(&self, namespace: &Namespace) -> Arc<dyn Backend> {
        Arc::new(self.rig.node_in(namespace.as_str()))
    }

    fn describe(&self) -> String {
        format!(
            "simulated FlashArray, faults: {}, seed {}",
            self.faults,
            seed()
        )
    }

    fn report(&self) -> String {
        format!(
            "{:?}; {:?}",
            self.rig.array.fault_counts(),
            self.rig.array.call_counts()
        )
    }

    fn faulty(&self) -> bool {
        self.faults
    }

    async fn add_foreign(&self, object: &str, size: Size) -> Hook {
        let admin = self.rig.admin();
        self.aside(admin.add_volume(object, size)).await
    }

    async fn connect_foreign(&self, object: &str, host: &str) -> Hook {
        let admin = self.rig.admin();
        self.aside(async {
            admin.add_host(host, &[]).await;
            admin.connect(object, host).await;
        })
        .await
    }

    async fn destroy_foreign(&self, object: &str) -> Hook {
        let admin = self.rig.admin();
        self.aside(admin.destroy(object)).await
    }

    async fn rename_foreign(&self, object: &str, to: &str) -> Hook {
        let admin = self.rig.admin();
        self.aside(admin.rename(object, to)).await
    }

    async fn snapshot_foreign(&self, object: &str, suffix: &str) -> Hook {
        let admin = self.rig.admin();
        self.aside(admin.snapshot_as(object, suffix)).await
    }

    async fn mark(&self, object: &str, mark: Uuid) -> Hook {
        let serial = self.rig.array.volume(object).unwrap().serial;
        std::fs::write(self.rig.array.data_file(&serial), mark.as_bytes()).unwrap();
        Hook::Done
    }

    async fn mark_of(&self, object: &str) -> Option<Uuid> {
        let serial = self.rig.array.volume(object)?.serial;
        let bytes = std::fs::read(self.rig.array.data_file(&serial)).unwrap();
        Uuid::from_slice(bytes.get(..16)?).ok()
    }

    async fn set_down(&self, down: bool) -> Hook {
        if down {
            self.rig.array.stop().await;
        } else {
            self.rig.array.start().await.unwrap();
        }
        Hook::Done
    }

    async fn objects(&self) -> Option<Vec<String>> {
        Some(self.rig.objects())
    }
}

mod on_a_current_array {
    use super::current;
    storage_conformance::backend_suite!(current().await);
}

mod on_the_oldest_version {
    use super::oldest;
    storage_conformance::backend_suite!(oldest().await);
}

mod on_the_newest_version {
    use super::newest;
    storage_conformance::backend_suite!(newest().await);
}

mod on_the_oldest_version_and_a_bad_network {
    use super::{broken, oldest};
    storage_conformance::backend_suite!(broken(oldest().await));
}

mod on_the_newest_version_and_a_bad_network {
    use super::{broken, newest};
    storage_conformance::backend_suite!(broken(newest().await));
}

mod on_a_bad_network {
    use super::faulty;
    storage_conformance::backend_suite!(faulty().await);
}

/// What the suite above runs under is really there, and a life of many volumes gets through it.
/// With `FAIRLEAD_LONG`, ten times as many.
#[tokio::test]
async fn every_kind_of_fault_is_met_and_lived_through() {
    let simulated = faulty().await;
    let volumes = if lab::environment::long() { 1000 } else { 100 };
    let backend = simulated.backend(&Namespace::new("many").unwrap()).await;
    let backend = storage_conformance::Retrying::new(backend, true);
    for index in 0..volumes {
        let made = backend
            .create(request(&format!("v{index}")))
            .await
            .unwrap()
            .into_inner();
        let _deleted = backend.delete(DeleteVolume { volume: made }).await.unwrap();
    }
    let counts = simulated.rig.array.fault_counts();
    println!("{}: {counts:?}", simulated.describe());
    for kind in [
        FaultKind::Delay,
        FaultKind::ResetBefore,
        FaultKind::ResetAfter,
        FaultKind::TooManyRequests,
        FaultKind::Unavailable,
        FaultKind::Busy,
        FaultKind::ExpireToken,
    ] {
        assert!(
            counts.get(&kind).is_some_and(|count| *count > 0),
            "no {kind:?} in {counts:?}"
        );
    }
    simulated.break_network(false);
    let live = simulated.rig.array.volumes();
    let live: Vec<_> = live
        .iter()
        .filter(|volume| volume.destroyed.is_none())
        .collect();
    // A create whose POST was lost may leave a stray: empty, and named as one.
    assert!(
        live.iter().all(|volume| volume.name.contains("-fl-new-")),
        "{live:?}"
    );
}
