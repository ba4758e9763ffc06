//! One name, one volume, on however many nodes it is asked for; and a node that is drained.

use std::collections::BTreeSet;

use lab::docker::Node;

use super::site::Site;

/// How many names all nodes ask for at once, one after another.
const ROUNDS: usize = 5;
const REPLICAS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn each_replica_gets_its_volume_once_and_keeps_it_when_its_node_is_drained() {
    let Some(site) = Site::start().await else {
        return;
    };
    one_name_from_all_nodes_at_once(&site).await;

    site.serve("data", REPLICAS).await;
    let tasks = site.running("data", REPLICAS, &[]).await;
    let nodes: BTreeSet<&str> = tasks.iter().map(|task| &*task.node).collect();
    assert_eq!(nodes.len(), 3, "{tasks:?}");
    for task in &tasks {
        let wrote = "echo kept > /data/file; sync /data/file; cat /data/starts";
        assert_eq!(site.exec("data", task, wrote).await, task.slot.to_string());
    }

    site.docker(&["node", "update", "--availability", "drain", "node2"])
        .await;
    let tasks = site.running("data", REPLICAS, &["node2"]).await;
    for task in &tasks {
        let slot = task.slot;
        let read = site.exec("data", task, "cat /data/file").await;
        assert_eq!(read, "kept", "{task:?}");
        let starts = site.exec("data", task, "sort -u /data/starts").await;
        assert_eq!(starts, slot.to_string(), "another replica had this volume");
        let hosts = site.hosts_of(&format!("data-{slot}"));
        let [host] = hosts.as_slice() else {
            site.fail(&format!("{task:?} is connected to {hosts:?}"));
        };
        assert!(host.starts_with(&task.node), "{task:?}: {host}");
    }
    site.assert_never_two_hosts();

    site.remove("data", REPLICAS).await;
    for slot in 1..=REPLICAS {
        let ever = site.ever_named(&format!("data-{slot}"));
        assert_eq!(ever.len(), 1, "data-{slot}: {ever:?}");
    }
    assert!(site.devices().is_empty(), "{:?}", site.devices());
}

/// Every node creates the same name in the same moment, as for a service with one volume.
async fn one_name_from_all_nodes_at_once(site: &Site) {
    let [one, two, three] = site.swarm.nodes() else {
        site.fail("three nodes");
    };
    for round in 0..ROUNDS {
        let name = format!("shared{round}");
        let all = tokio::join!(create(one, &name), create(two, &name), create(three, &name));
        let said = [all.0, all.1, all.2];
        assert!(said.iter().all(Result::is_ok), "{said:?}");
        let ever = site.ever_named(&name);
        assert_eq!(ever.len(), 1, "{name}: {ever:?}");
        for node in [one, two, three] {
            let listed = node.engine().docker(["volume", "ls", "-q"]).await.unwrap();
            assert!(listed.lines().any(|line| line == name), "{listed}");
        }
        site.docker(&["volume", "rm", &name]).await;
    }
}

async fn create(node: &Node, name: &str) -> anyhow::Result<String> {
    let words = [
        "volume",
        "create",
        "-d",
        "fairlead",
        "-o",
        "fstype=ext4",
        "-o",
        "size=32MiB",
    ];
    node.engine().docker(words.into_iter().chain([name])).await
}
