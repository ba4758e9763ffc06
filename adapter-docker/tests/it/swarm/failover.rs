//! A node loses its power: its volumes serve elsewhere, with their data, and what was left of it
//! writes nothing any more.

use std::fs::File;
use std::io::Write as _;

use lab::leftovers::{devices_below, still_there};
use lab::wait;

use super::site::Site;
use crate::world::PATIENCE;

const REPLICAS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn the_volumes_of_a_dead_node_serve_elsewhere_and_its_old_mounts_are_dead() {
    let Some(mut site) = Site::start().await else {
        return;
    };
    site.serve("data", REPLICAS).await;
    let before = site.running("data", REPLICAS, &[]).await;
    let mut hanging = Vec::new();
    for task in &before {
        let wrote = "echo kept > /data/file; sync /data/file";
        site.exec("data", task, wrote).await;
        if task.node == "node3" {
            // What hangs in the kernel when its machine is given up: a file that is open for writing.
            let mount = site.mount_of("node3", &format!("data-{}", task.slot));
            let mut file = File::create(mount.join("late")).unwrap();
            writeln!(file, "in time").unwrap();
            file.sync_all().unwrap();
            hanging.push((task.slot, file));
        }
    }
    assert!(!hanging.is_empty(), "{before:?}");

    let devices = devices_below(site.network.folder());
    assert!(devices.len() >= REPLICAS, "{devices:?}");
    site.swarm.kill_9("node3").await.unwrap();
    let after = site.running("data", REPLICAS, &["node3"]).await;
    for (slot, file) in &mut hanging {
        let written = writeln!(file, "too late").and_then(|()| file.sync_all());
        assert!(written.is_err(), "data-{slot} is written by a dead node");
    }
    for task in &after {
        let slot = task.slot;
        assert_eq!(site.exec("data", task, "cat /data/file").await, "kept");
        let hosts = site.hosts_of(&format!("data-{slot}"));
        let [host] = hosts.as_slice() else {
            site.fail(&format!("{task:?} is connected to {hosts:?}"));
        };
        assert!(host.starts_with(&task.node), "{task:?}: {host}");
        if hanging.iter().any(|(held, _)| *held == slot) {
            let late = site.exec("data", task, "cat /data/late").await;
            assert_eq!(late, "in time", "{task:?}");
            site.exec("data", task, "echo new >> /data/file; sync /data/file")
                .await;
        }
        let ever = site.ever_named(&format!("data-{slot}"));
        assert_eq!(ever.len(), 1, "data-{slot}: {ever:?}");
    }
    site.assert_never_two_hosts();
    drop(hanging);
    site.remove("data", REPLICAS).await;
    drop(site);
    // Of the dead node too, whose devices outlive it on this kernel.
    let gone = wait::until_true("all devices are gone", PATIENCE, || {
        still_there(&devices).is_empty()
    });
    gone.await.unwrap();
}
