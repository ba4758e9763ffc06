//! A host in a Swarm whose namespace is its own creates nothing, and uses what is there.

use adapter_docker::SwarmProbe;
use serde_json::json;
use tempfile::TempDir;

use crate::node::Node;

#[tokio::test]
async fn create_is_refused_with_the_file_that_says_so_and_the_line_to_add() {
    let proc = TempDir::new().unwrap();
    // The caller is this test's own process.
    let caller = proc.path().join(std::process::id().to_string());
    let swarm = caller.join("root/srv/d/swarm");
    std::fs::create_dir_all(&swarm).unwrap();
    std::fs::write(caller.join("cmdline"), "dockerd\0--data-root=/srv/d\0").unwrap();
    let probe = SwarmProbe::new(None).with_proc(proc.path());
    let node = Node::start_with(Default::default(), Some(probe)).await;
    node.create("before").await;

    std::fs::write(swarm.join("docker-state.json"), "{\"LocalAddr\":\"\"}").unwrap();
    let body = json!({"Name": "v", "Opts": null});
    let error = node.call("Create", body).await.error();
    assert!(error.contains("Swarm"), "{error}");
    assert!(error.contains("/srv/d/swarm/docker-state.json"), "{error}");
    assert!(error.contains(r#"`"Namespace": "NAME",`"#), "{error}");
    assert!(!node.array.objects().contains(&"ns-v".to_owned()));
    node.get("before").await.ok();
    node.mount("before", "a").await.ok();
    node.unmount("before", "a").await.ok();
    node.remove("before").await.ok();
}
