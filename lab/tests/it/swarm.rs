//! A Swarm of three engines: replicas, a node that loses its power, and nothing left of any of it.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::docker::{Network, Swarm};
use lab::environment::{Need, ready};
use lab::process::processes;
use lab::simulator::Simulator;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_swarm_moves_its_replicas_from_a_node_that_dies_and_leaves_nothing() {
    let needs = [Need::Root, Need::Loop, Need::Fuse, Need::Docker];
    if !ready(&needs) || !ready(&[Need::Tool("ip"), Need::Tool("setpriv")]) {
        return;
    }
    let network = Network::start().await.unwrap();
    let folder = network.folder().to_owned();
    let arrays = Simulator::start_at(&folder, &["a1"], network.address()).await;
    let mut arrays = arrays.unwrap();
    let config = folder.join("pure.json");
    arrays.write_config(&config, "lab").unwrap();
    let mut swarm = Swarm::start(&network, &config, 3).await.unwrap();
    let told = swarm.node("node2").unwrap();
    let hosts = told
        .engine()
        .docker(["info", "-f", "{{.Name}} {{.Plugins.Volume}}"]);
    assert_eq!(hosts.await.unwrap(), "node2 [fairlead local]");

    let create = [
        "service",
        "create",
        "-q",
        "-d",
        "--name",
        "web",
        "--replicas",
        "3",
    ];
    let command = ["--network", "host", "busybox", "sleep", "1000"];
    swarm
        .docker(&[&create[..], &command].concat())
        .await
        .unwrap();
    let tasks = swarm.wait_running("web", 3, &[], SOON).await.unwrap();
    let nodes: BTreeSet<_> = tasks.iter().map(|task| task.node.as_str()).collect();
    assert_eq!(nodes.len(), 3, "{tasks:?}");
    for task in &tasks {
        let name = swarm.exec("web", task, "hostname").await.unwrap();
        assert_eq!(name, task.node);
    }

    swarm.kill_9("node2").await.unwrap();
    swarm
        .wait_running("web", 3, &["node2"], SOON)
        .await
        .unwrap();
    let states = swarm.node_states().await.unwrap();
    assert!(
        states.contains(&("node2".to_owned(), "Down".to_owned())),
        "{states:?}"
    );

    drop(swarm);
    arrays.stop().await.unwrap();
    drop((arrays, network));
    let name = folder.to_string_lossy();
    let left: Vec<_> = processes()
        .into_iter()
        .filter(|process| process.command.contains(&*name))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(lab::mounts::mounts_under(&folder).unwrap().is_empty());
    assert!(!folder.exists());
}
