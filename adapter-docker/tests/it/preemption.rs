//! Who takes a volume over from the host that has it, by the plugin's protocol on two nodes over
//! one array in memory; and on real mounts, with the old host still writing.

use std::fs::{self, File};
use std::io::Write;
use std::time::Instant;

use array_sim::{Array, ArrayConfig, Simulator};
use lab::environment::{Need, ready};
use lab::leftovers::sweep;
use lab::plugin::{Plugin, PluginOptions};
use lab::simulator::write_config;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node::Node;
use crate::world::{PATIENCE, alone, entry};

/// Another host's plugin on the same array.
async fn beside(node: &Node) -> Node {
    Node::beside(node, "other", "4567").await
}

#[tokio::test]
async fn a_new_container_takes_the_volume_over_and_a_restarted_one_does_not() {
    let one = Node::start().await;
    one.create("v").await;
    one.mount("v", "a").await.ok();
    let two = beside(&one).await;
    two.mount("v", "x").await.ok();
    // The old host: what runs there, what is copied out of it, what is started beside it.
    for id in ["a", "new"] {
        let said = one.mount("v", id).await.error();
        assert!(said.contains("other-"), "{id}: {said}");
        assert!(said.contains("nobody was shut out"), "{id}: {said}");
    }
    one.unmount("v", "a").await.ok();
    let said = one.mount("v", "a").await.error();
    assert!(said.contains("other-") && said.contains("before"), "{said}");
    // Also when everything of it was forgotten but on disk.
    let one = one.restart().await;
    let said = one.mount("v", "a").await.error();
    assert!(said.contains("other-") && said.contains("before"), "{said}");
    // A new container there takes it back: that is what somebody wants now.
    one.mount("v", "b").await.ok();
    let said = two.mount("v", "x").await.error();
    assert!(said.contains("node-"), "{said}");
}

#[tokio::test]
async fn a_mount_without_an_id_takes_nothing_over() {
    let one = Node::start().await;
    one.create("v").await;
    one.mount("v", "a").await.ok();
    let two = beside(&one).await;
    let said = two.call("Mount", json!({"Name": "v"})).await.error();
    assert!(said.contains("no ID") && said.contains("node-"), "{said}");
}

#[tokio::test]
async fn where_it_is_turned_off_nothing_is_taken_over() {
    let one = Node::start().await;
    one.create("v").await;
    one.mount("v", "a").await.ok();
    let mut two = beside(&one).await;
    two.preempt = false;
    let two = two.restart().await;
    let said = two.mount("v", "x").await.error();
    assert!(
        said.contains("turned off") && said.contains("node-"),
        "{said}"
    );
}

#[tokio::test]
async fn ids_are_forgotten_with_their_volume() {
    let node = Node::start().await;
    node.create("v").await;
    node.mount("v", "a").await.ok();
    node.unmount("v", "a").await.ok();
    let files = || {
        fs::read_dir(node.folder.path().join("docker/used-ids"))
            .unwrap()
            .count()
    };
    assert_eq!(files(), 1);
    node.remove("v").await.ok();
    assert_eq!(files(), 0);
}

async fn plugin(folder: &std::path::Path, host: &str) -> Plugin {
    let own = folder.join(host);
    let mut options = PluginOptions::new(folder.join("pure.json"), &own);
    options.socket = Some(own.join("plugin.sock"));
    options.host = Some(host.to_owned());
    Plugin::start(options).await.unwrap()
}

async fn call(plugin: &Plugin, method: &str, body: Value) -> Value {
    let answer = plugin.call(&format!("VolumeDriver.{method}"), &body).await;
    answer.unwrap_or_else(|error| panic!("{method} {body}: {error:#}\n{}", plugin.log_tail(40)))
}

async fn refused(plugin: &Plugin, method: &str, body: Value) -> String {
    let answer = plugin.call(&format!("VolumeDriver.{method}"), &body).await;
    format!("{:#}", answer.unwrap_err())
}

/// Two hosts on this kernel over one array; `None`, with the reason printed, where it lacks something.
struct Hosts {
    simulator: Simulator,
    one: Plugin,
    two: Plugin,
    folder: TempDir,
    _alone: File,
}

impl Hosts {
    async fn start() -> Option<Self> {
        let needs = [Need::Root, Need::Loop, Need::Fuse, Need::Tool("mkfs.ext4")];
        if !ready(&needs) {
            return None;
        }
        let alone = alone().await;
        let folder = tempfile::Builder::new().prefix("fl").tempdir().unwrap();
        let simulator = Simulator::builder()
            .array(ArrayConfig::new("a1"))
            .state_dir(folder.path().join("arrays"))
            .lun_folder(folder.path().join("luns"))
            .start()
            .await
            .unwrap();
        let entries: Vec<Value> = simulator.arrays().iter().map(entry).collect();
        write_config(&folder.path().join("pure.json"), "it", &entries).unwrap();
        Some(Self {
            one: plugin(folder.path(), "node-a").await,
            two: plugin(folder.path(), "node-b").await,
            simulator,
            folder,
            _alone: alone,
        })
    }

    fn array(&self) -> &Array {
        &self.simulator.arrays()[0]
    }

    fn end(self) {
        let failures = sweep(self.folder.path());
        assert!(failures.is_empty(), "{failures:?}");
    }
}

/// The old host writes all the time. From the fence on its writes fail, what it had synced is there
/// on the new host on a clean file system, and nothing of it comes later.
#[tokio::test(flavor = "multi_thread")]
async fn the_old_hosts_writes_fail_and_the_new_hosts_file_system_is_whole() {
    let Some(hosts) = Hosts::start().await else {
        return;
    };
    take_over(&hosts.simulator, (&hosts.one, &hosts.two)).await;
    let log = fs::read_to_string(hosts.two.log()).unwrap();
    let told = log
        .lines()
        .find(|line| line.contains("fenced: the array took the volume from its old host"))
        .unwrap();
    for word in [
        "volume=\"v\"",
        "old_hosts=\"node-a-",
        "new_host=\"node-b-",
        "reason=\"mount\"",
        "evidence=\"read back: nobody connected\"",
        "duration_ms=",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    hosts.end();
}

/// The volume is free again, and the host that was shut out still has its old mount, with a file
/// open: under a new grant that mount could write again. So there is none until it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_gets_no_new_grant_while_its_old_mount_lives() {
    let Some(hosts) = Hosts::start().await else {
        return;
    };
    let (one, two) = (&hosts.one, &hosts.two);
    let options = json!({"Name": "v", "Opts": {"size": "64MiB", "fstype": "ext4"}});
    call(one, "Create", options).await;
    let mount = |id: &str| json!({"Name": "v", "ID": id});
    let answer = call(one, "Mount", mount("a")).await;
    let old = std::path::PathBuf::from(answer["Mountpoint"].as_str().unwrap());
    let held = File::create(old.join("open")).unwrap();
    let answer = call(two, "Mount", mount("b")).await;
    let new = std::path::PathBuf::from(answer["Mountpoint"].as_str().unwrap());
    fs::write(new.join("new"), "after the fence").unwrap();
    call(two, "Unmount", mount("b")).await;
    for _ in 0..3 {
        let said = refused(one, "Mount", mount("c")).await;
        assert!(said.contains("in use") || said.contains("busy"), "{said}");
        assert!(hosts.array().connections().is_empty());
    }
    drop(held);
    let answer = call(one, "Mount", mount("c")).await;
    let back = std::path::PathBuf::from(answer["Mountpoint"].as_str().unwrap());
    let read = fs::read_to_string(back.join("new")).unwrap();
    assert_eq!(read, "after the fence");
    assert!(!back.join("open").exists(), "what was never synced");
    for id in ["a", "c"] {
        call(one, "Unmount", mount(id)).await;
    }
    clean(hosts.array(), "v").await;
    call(one, "Remove", json!({"Name": "v"})).await;
    hosts.end();
}

/// With ext4: this one kernel, which both hosts share, refuses two mounted XFS of one UUID.
async fn take_over(simulator: &Simulator, (one, two): (&Plugin, &Plugin)) {
    let array = &simulator.arrays()[0];
    let name = "v";
    let options = json!({"Name": name, "Opts": {"size": "64MiB", "fstype": "ext4"}});
    call(one, "Create", options).await;
    let mount = |id: &str| json!({"Name": name, "ID": id});
    let answer = call(one, "Mount", mount("a")).await;
    let old = std::path::PathBuf::from(answer["Mountpoint"].as_str().unwrap());
    fs::write(old.join("synced"), "before the fence").unwrap();
    rustix::fs::syncfs(File::open(&old).unwrap()).unwrap();

    // A writer that never stops by itself; the first error of its syncs ends it.
    let path = old.join("writer");
    let writer = tokio::task::spawn_blocking(move || {
        let mut file = File::create(path).unwrap();
        let begin = Instant::now();
        loop {
            let written = file.write_all(&[7; 4096]).and_then(|()| file.sync_data());
            if written.is_err() {
                return true;
            }
            if begin.elapsed() > PATIENCE {
                return false;
            }
        }
    });
    let answer = call(two, "Mount", mount("b")).await;
    assert!(writer.await.unwrap(), "the old host writes on");
    let connections = array.connections();
    assert_eq!(connections.len(), 1, "{connections:?}");
    assert!(connections[0].host.as_ref().unwrap().starts_with("node-b-"));
    let new = std::path::PathBuf::from(answer["Mountpoint"].as_str().unwrap());
    let synced = fs::read_to_string(new.join("synced")).unwrap();
    assert_eq!(synced, "before the fence");

    // The old host has the right to nothing: not its container, not a second one.
    for id in ["a", "second"] {
        let said = refused(one, "Mount", mount(id)).await;
        assert!(said.contains("node-b-"), "{said}");
    }
    fs::write(new.join("new"), "after the fence").unwrap();
    call(one, "Unmount", mount("a")).await;
    assert!(lab::mounts::mounts_under(&old).unwrap().is_empty());
    call(two, "Unmount", mount("b")).await;

    // Back to the old host, by a container that is new there.
    let answer = call(one, "Mount", mount("c")).await;
    let back = std::path::PathBuf::from(answer["Mountpoint"].as_str().unwrap());
    let read = fs::read_to_string(back.join("new")).unwrap();
    assert_eq!(read, "after the fence");
    call(one, "Unmount", mount("c")).await;
    clean(array, name).await;
    call(one, "Remove", json!({"Name": name})).await;
}

/// The file system is clean on the array's own disk, as a check that changes nothing sees it.
async fn clean(array: &Array, name: &str) {
    let volume = array.volume(&format!("it-{name}")).unwrap();
    let disk = array.data_file(&volume.serial);
    let check = lab::process::Program::new("e2fsck").arg("-fn");
    check.arg(&disk).succeed().await.unwrap();
}
