//! The public suite: on a current array, on the oldest REST version that is served, and on an
//! array whose network loses requests and answers.

use std::sync::Arc;

use array_sim::FaultPlan;
use storage_conformance::{Harness, Hook, async_trait, seed};
use storage_core::{Backend, Namespace, Size};

use crate::support::Rig;

struct Simulated {
    rig: Rig,
    faults: bool,
}

async fn current() -> Simulated {
    Simulated {
        rig: Rig::new().await,
        faults: false,
    }
}

async fn oldest() -> Simulated {
    let rig = Rig::with(|config| config.rest_versions = vec!["2.2".to_owned()]).await;
    Simulated { rig, faults: false }
}

async fn faulty() -> Simulated {
    let rig = Rig::new().await;
    let simulated = Simulated { rig, faults: true };
    simulated.break_network(true);
    simulated
}

impl Simulated {
    fn break_network(&self, broken: bool) {
        let mut plan = FaultPlan::default();
        if self.faults && broken {
            plan.reset_before = 0.05;
            plan.reset_after = 0.05;
            plan.unavailable = 0.02;
            plan.busy = 0.02;
            plan.expire_token = 0.02;
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

mod on_a_bad_network {
    use super::faulty;
    storage_conformance::backend_suite!(faulty().await);
}
