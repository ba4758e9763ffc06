//! What becomes of configured arrays: served, looked up only, or not asked at all; and what the
//! engine over them makes of names.

use std::path::Path;
use std::time::Duration;

use array_sim::{Array, ArrayConfig, Simulator};
use fairlead::config::{Config, Environment, load};
use fairlead::fleet::{self, Fleet, FleetError};
use lab::environment::{Need, ready};
use serde_json::{Value, json};
use storage_core::{ErrorKind, Outcome, VolumeName, VolumeOptions};
use tempfile::TempDir;
use tokio::time::Instant;

const NEEDS: [Need; 3] = [Need::Root, Need::Loop, Need::Tool("mkfs.xfs")];

/// An entry for an array that nobody talks to.
fn entry(address: &str, san_type: &str) -> Value {
    let mut entry = json!({"MgmtEndPoint": address, "APIToken": "t", "SanType": san_type});
    if san_type == "LOOP" {
        entry["LoopFolder"] = json!("/srv/luns");
    }
    entry
}

/// An entry for a simulated array.
fn simulated(array: &Array, san_type: &str) -> Value {
    let mut entry = entry(&array.address().to_string(), san_type);
    entry["APIToken"] = json!(array.api_token());
    entry["Fingerprint"] = json!(array.fingerprint());
    entry["Labels"] = json!({"name": array.name()});
    entry
}

fn config(folder: &Path, arrays: &[Value], blades: &[&str]) -> Config {
    let blades: Vec<Value> = blades
        .iter()
        .map(|address| json!({"MgmtEndPoint": address, "APIToken": "t", "NFSEndPoint": address}))
        .collect();
    let file = json!({"Namespace": "it", "FlashArrays": arrays, "FlashBlades": blades});
    let path = folder.join("pure.json");
    std::fs::write(&path, file.to_string()).unwrap();
    let environment = Environment::from_lookup(|_name| None);
    load(&path, &environment).unwrap().config
}

fn name(text: &str) -> VolumeName {
    VolumeName::new(text).unwrap()
}

fn options(config: &Config, selector: &str) -> VolumeOptions {
    let pairs = [("size", "1GiB"), ("volume_label_selector", selector)];
    let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
    VolumeOptions::parse(pairs, &config.defaults).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[tokio::test]
async fn every_array_is_named_by_what_becomes_of_it() {
    if !ready(&NEEDS) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let arrays = [
        entry("a", "LOOP"),
        entry("b", "ISCSI"),
        entry("c", "FC"),
        entry("d", "NVME-TCP"),
    ];
    let config = config(folder.path(), &arrays, &["blade"]);
    let Fleet {
        served,
        looked_up,
        unseen,
        ..
    } = fleet::assemble(&config, &folder.path().join("state")).unwrap();
    assert_eq!(served, ["a"]);
    let endpoints: Vec<&str> = looked_up.iter().map(|a| a.endpoint.as_str()).collect();
    assert_eq!(endpoints, ["b", "c", "d"]);
    for (array, protocol) in looked_up.iter().zip(["iSCSI", "Fibre Channel", "NVMe/TCP"]) {
        assert!(array.reason.contains(protocol), "{array}");
    }
    let blades: Vec<String> = unseen.iter().map(ToString::to_string).collect();
    assert!(
        blades[0].starts_with("blade: ") && blades[0].contains("is not seen"),
        "{blades:?}"
    );
}

#[tokio::test]
async fn without_an_array_to_attach_there_is_no_fleet() {
    if !ready(&NEEDS) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let config = config(folder.path(), &[entry("b", "ISCSI")], &["blade"]);
    let refused = fleet::assemble(&config, &folder.path().join("state")).unwrap_err();
    assert!(
        matches!(refused, FleetError::NothingToServe(_)),
        "{refused:?}"
    );
    let text = refused.to_string();
    assert!(text.contains("b: ") && text.contains("blade: "), "{text}");
}

#[tokio::test]
async fn an_array_that_is_configured_wrong_is_not_left_out() {
    if !ready(&NEEDS) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut config = config(
        folder.path(),
        &[entry("a", "LOOP"), entry("b", "ISCSI")],
        &[],
    );
    let no_certificate = folder.path().join("pem");
    std::fs::write(&no_certificate, "no certificate").unwrap();
    config.flash_arrays[1].ca_file = Some(no_certificate);
    let refused = fleet::assemble(&config, &folder.path().join("state")).unwrap_err();
    assert!(
        matches!(refused, FleetError::Misconfigured(_)),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("b: "), "{refused}");
}

/// How many volumes there are beside votes and fleet records.
fn named_volumes(array: &Array) -> usize {
    let volumes = array.volumes();
    let reserved = |name: &str| name.starts_with("fl-") || name.contains("-fl-");
    volumes.iter().filter(|one| !reserved(&one.name)).count()
}

/// The rule behind all this: a second, empty volume is never made for a name whose volume sits on
/// an array that this host cannot attach.
#[tokio::test]
async fn a_name_on_an_array_that_is_looked_up_only_is_found_and_never_made_again() {
    if !ready(&NEEDS) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let simulator = Simulator::builder()
        .array(ArrayConfig::new("near"))
        .array(ArrayConfig::new("far"))
        .start()
        .await
        .unwrap();
    let [near, far] = ["near", "far"].map(|name| simulator.array(name).unwrap());
    let everywhere = [simulated(near, "LOOP"), simulated(far, "LOOP")];
    let both = config(folder.path(), &everywhere, &[]);
    let other_host = fleet::assemble(&both, &folder.path().join("other")).unwrap();
    let made = other_host
        .engine
        .create(name("data"), options(&both, "name=far"), soon())
        .await;
    let made = made.unwrap().into_inner();
    assert_eq!(named_volumes(far), 1);

    for san_type in ["ISCSI", "FC", "NVME-TCP"] {
        let arrays = [simulated(near, "LOOP"), simulated(far, san_type)];
        let config = config(folder.path(), &arrays, &[]);
        let fleet = fleet::assemble(&config, &folder.path().join(san_type)).unwrap();
        let engine = &fleet.engine;
        let found = engine.find(&name("data"), soon()).await.unwrap().unwrap();
        assert_eq!(found.id, made.id, "{san_type}");
        let again = engine
            .create(name("data"), options(&config, ""), soon())
            .await;
        assert!(matches!(again.unwrap(), Outcome::AlreadySo(volume) if volume.id == made.id));
        let refused = engine.mount(name("data"), soon()).await.unwrap_err();
        assert_eq!(
            refused.kind(),
            ErrorKind::Unsupported,
            "{}",
            refused.chain()
        );

        // Nothing new goes there: not by preference, and not because somebody asks for it.
        let elsewhere = name(&format!("new-{san_type}"));
        let placed = engine.create(elsewhere, options(&config, ""), soon()).await;
        assert_eq!(placed.unwrap().get().array_name, "near");
        let there = engine
            .create(name("there"), options(&config, "name=far"), soon())
            .await;
        let refused = there.unwrap_err();
        assert_eq!(
            refused.kind(),
            ErrorKind::ResourceExhausted,
            "{}",
            refused.chain()
        );
    }
    assert_eq!(named_volumes(far), 1);
    assert!(far.connections().is_empty());

    // And while it does not answer, its names are nobody's to give away.
    far.stop().await;
    let arrays = [simulated(near, "LOOP"), simulated(far, "FC")];
    let config = config(folder.path(), &arrays, &[]);
    let fleet = fleet::assemble(&config, &folder.path().join("silent")).unwrap();
    let refused = fleet
        .engine
        .create(name("data"), options(&config, ""), soon())
        .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
}
