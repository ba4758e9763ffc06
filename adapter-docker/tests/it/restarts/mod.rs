//! Restarts of every kind: of the host, the engine, the plugin, the arrays; with what they keep on
//! disk in order, lost, damaged, or of another version.

mod cold;
mod engine;
mod host;
mod plugin;
mod state;

use std::path::{Path, PathBuf};

use lab::plugin::Plugin;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Calls the plugin as Docker does, and must succeed.
async fn call(plugin: &Plugin, name: &str, body: Value) -> Value {
    match plugin.call(&format!("VolumeDriver.{name}"), &body).await {
        Ok(answer) => answer,
        Err(error) => panic!("{name} {body}: {error:#}\n{}", plugin.log_tail(40)),
    }
}

/// Calls it and must be refused; gives the words.
async fn refused(plugin: &Plugin, name: &str, body: Value) -> String {
    let answer = plugin.call(&format!("VolumeDriver.{name}"), &body).await;
    format!("{:#}", answer.expect_err(name))
}

async fn create(plugin: &Plugin, name: &str) {
    let options = json!({"size": "32MiB", "fstype": "ext4"});
    call(plugin, "Create", json!({"Name": name, "Opts": options})).await;
}

/// Mounts for a container of that ID.
async fn mount(plugin: &Plugin, name: &str, id: &str) -> PathBuf {
    let answer = call(plugin, "Mount", json!({"Name": name, "ID": id})).await;
    PathBuf::from(answer["Mountpoint"].as_str().unwrap())
}

async fn unmount(plugin: &Plugin, name: &str, id: &str) {
    call(plugin, "Unmount", json!({"Name": name, "ID": id})).await;
}

fn log(plugin: &Plugin) -> String {
    std::fs::read_to_string(plugin.log()).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// The file of a folder that has these words in it.
fn file_with(folder: &Path, words: &str) -> PathBuf {
    let has = |path: &PathBuf| std::fs::read_to_string(path).is_ok_and(|text| text.contains(words));
    files(folder).into_iter().find(has).unwrap()
}

/// Changes fields of a ledger record, and its check sum with them.
fn change_record(path: &Path, change: impl FnOnce(&mut Value)) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut record: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    change(&mut record);
    let json = record.to_string();
    let sum: String = Sha256::digest(&json)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    std::fs::write(path, format!("{json}\nsha256:{sum}\n")).unwrap();
}
