//! What the arrays' own record of names says about what callers were told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use array_sim::{NameEventKind, Simulator};
use races::journal::Entry;
use storage_core::VolumeName;
use tokio::time::Instant;

use crate::site::{NAMESPACE, Site, Worker};

/// Prefix of all fleet records.
const FLEET: &str = "fl-fleet-";

/// Volumes by name: every volume that a caller was ever told of.
pub(crate) type Told = BTreeMap<String, BTreeSet<String>>;

pub(crate) fn told(workers: &[Worker]) -> Told {
    let mut told = Told::new();
    for line in workers.iter().flat_map(Worker::journal) {
        if let Entry::Acknowledged { name, volume, .. } = line.entry {
            told.entry(name).or_default().insert(volume);
        }
    }
    told
}

/// The object's name of a volume.
fn object(name: &str) -> String {
    format!("{NAMESPACE}-{name}")
}

/// One volume was ever told under each name, one ever had it, it is there, and everything else on
/// the arrays says by its name what it is. A name that nobody was told of may have its volume.
pub(crate) fn check(simulator: &Simulator, told: &Told, names: &[String]) {
    let mut ever: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut live: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for array in simulator.arrays() {
        for event in array.name_events() {
            if event.kind == NameEventKind::Named {
                let id = format!("{}:{}", array.id(), event.id);
                ever.entry(event.name).or_default().insert(id);
            }
        }
        let volumes = array.volumes().into_iter();
        for volume in volumes.filter(|volume| volume.destroyed.is_none()) {
            let id = format!("{}:{}", array.id(), volume.id);
            live.entry(volume.name).or_default().push(id);
        }
    }
    for (name, volumes) in told {
        assert_eq!(volumes.len(), 1, "{name} was told as {volumes:?}");
        let had = ever.get(&object(name)).cloned().unwrap_or_default();
        assert_eq!(*volumes, had, "{name}: told, and what ever had the name");
        let now = live.get(&object(name)).cloned().unwrap_or_default();
        let told: Vec<String> = volumes.iter().cloned().collect();
        assert_eq!(told, now, "{name}: told, and what has the name now");
    }
    let reserved = format!("{NAMESPACE}-fl-");
    let names: BTreeSet<String> = names.iter().map(|name| object(name)).collect();
    for name in &names {
        let had = ever.get(name).map_or(0, BTreeSet::len);
        assert!(had <= 1, "{name} was the name of {had} volumes");
    }
    for name in live.keys() {
        let known = names.contains(name) || name.starts_with(&reserved) || name.starts_with(FLEET);
        assert!(known, "what is {name}?");
    }
}

/// How many objects wait, vote or are on their way out, live ones alone.
pub(crate) fn strays(simulator: &Simulator) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let volumes = simulator
        .arrays()
        .iter()
        .flat_map(array_sim::Array::volumes);
    for volume in volumes.filter(|volume| volume.destroyed.is_none()) {
        let rest = volume.name.strip_prefix(&format!("{NAMESPACE}-fl-"));
        if let Some(kind) = rest.and_then(|rest| rest.split('-').next()) {
            *counts.entry(kind.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// A day later the sweeper takes everything away but the volumes and the fleet record, and each
/// name is found as it was told.
pub(crate) async fn sweep(site: &Site, told: &Told, names: &[String]) {
    for array in site.simulator.arrays() {
        array.advance_clock(Duration::from_secs(25 * 3600));
    }
    let engine = site.engine().await;
    let mut swept = 0;
    loop {
        let now = engine.sweep_now().await.unwrap();
        swept += now;
        if now == 0 {
            break;
        }
    }
    println!("swept {swept}; left: {:?}", strays(&site.simulator));
    check(&site.simulator, told, names);
    let left: Vec<String> = site
        .simulator
        .arrays()
        .iter()
        .flat_map(array_sim::Array::volumes)
        .filter(|volume| volume.destroyed.is_none())
        .map(|volume| volume.name)
        .filter(|name| name.starts_with(&object("fl-")))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    for (name, volumes) in told {
        let deadline = Instant::now() + Duration::from_secs(20);
        let found = engine.find(&VolumeName::new(name).unwrap(), deadline).await;
        let found = found.unwrap().map(|volume| volume.id.to_string());
        assert_eq!(found.as_ref(), volumes.first(), "{name}");
    }
    engine.stop(Duration::from_secs(5)).await;
}
