//! A service that grows from one replica to twenty, each on a volume of its own.

use std::collections::BTreeSet;

use lab::environment::long_or_skipped;

use super::site::Site;

const REPLICAS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_replicas_get_twenty_volumes() {
    if !long_or_skipped() {
        return;
    }
    let Some(site) = Site::start().await else {
        return;
    };
    site.serve("data", 1).await;
    site.running("data", 1, &[]).await;
    site.docker(&["service", "scale", "-d", &format!("data={REPLICAS}")])
        .await;
    let tasks = site.running("data", REPLICAS, &[]).await;
    let mut volumes = BTreeSet::new();
    for task in &tasks {
        let starts = site.exec("data", task, "cat /data/starts").await;
        assert_eq!(starts, task.slot.to_string());
        volumes.extend(site.ever_named(&format!("data-{}", task.slot)));
    }
    assert_eq!(volumes.len(), REPLICAS, "{volumes:?}");
    site.assert_never_two_hosts();
    site.remove("data", REPLICAS).await;
}
