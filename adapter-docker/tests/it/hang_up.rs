//! Clients that hang up in the middle of Mount, with real devices: what they asked for goes on,
//! is one mount however many asked, and is undone once it is known that nobody has it.

use lab::wait::{self, Seen};
use serde_json::json;

use crate::raw::{Connection, request};
use crate::world::{PATIENCE, World};

const CLIENTS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn mounts_that_nobody_waited_for_do_not_stay() {
    let Some(world) = World::start(false, &[]).await else {
        return;
    };
    let plugin = &world.plugin;
    let options = json!({"size": "64MiB", "fstype": "ext4"});
    let create = json!({"Name": "v", "Opts": options});
    plugin.call("VolumeDriver.Create", &create).await.unwrap();
    let mount = request("/VolumeDriver.Mount", "{\"Name\":\"v\",\"ID\":\"gone\"}");
    for client in 0..CLIENTS {
        let mut connection = Connection::open(&plugin.socket()).await;
        // Some before their request is whole: that is none.
        let whole = client % 4 != 0;
        let text = mount.get(..mount.len() - usize::from(!whole)).unwrap();
        connection.send(text).await;
    }
    wait::until("the mounts end", PATIENCE, async || {
        let log = std::fs::read_to_string(plugin.log())?;
        let mounts = log.matches(": mount volume=v ").count();
        Ok(match mounts {
            30 => Seen::Ready(()),
            other => Seen::NotYet(format!("{other} mounts")),
        })
    })
    .await
    .unwrap();
    assert_eq!(world.array().connections().len(), 1);
    // The daemon that hung up is gone; the new one uses the volume, and then nobody does.
    plugin.call("Plugin.Activate", &json!({})).await.unwrap();
    let real = json!({"Name": "v", "ID": "real"});
    plugin.call("VolumeDriver.Mount", &real).await.unwrap();
    plugin.call("VolumeDriver.Unmount", &real).await.unwrap();
    let name = json!({"Name": "v"});
    plugin.call("VolumeDriver.Remove", &name).await.unwrap();
    world.end().await;
}
