//! How many REST calls each array gets from a create, a mount, an unmount and a remove on a fleet of
//! five: the gates for what engine and backend do together. Sessions, telemetry and what is read
//! once a process are not counted; calls about tags and snapshots are, by themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use array_sim::{Array, Call};
use fairlead::config::{Environment, load};
use fairlead::fleet::builder_over;
use races::PaperHost;
use races::journal::Journal;
use storage_core::{Engine, OptionDefaults, Volume, VolumeName, VolumeOptions};
use tokio::time::Instant;

use crate::site::Site;

const UNCOUNTED: [&str; 8] = [
    "GET api_version",
    "POST login",
    "POST logout",
    "GET arrays",
    "GET arrays/space",
    "GET hosts",
    "POST hosts",
    "GET ports",
];

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn node(site: &Site, name: &str) -> Arc<Engine> {
    let folder = site.folder.path().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let journal = Arc::new(Journal::open(&folder.join("journal")).unwrap());
    let host = PaperHost::open(name, &folder, journal).unwrap();
    let config = load(&site.config, &Environment::default()).unwrap().config;
    builder_over(&config, Arc::new(host)).unwrap().build()
}

async fn make(engine: &Engine, name: &str) -> Volume {
    let pairs = [("size".to_owned(), "1GiB".to_owned())];
    let options = VolumeOptions::parse(pairs, &OptionDefaults::default()).unwrap();
    let name = VolumeName::new(name).unwrap();
    let made = engine.create(name, options, soon()).await.unwrap();
    assert!(made.is_done());
    made.into_inner()
}

/// Waits for the votes that a create does not: its majority had decided. So many POSTs of volumes
/// in all.
async fn all_voted(site: &Site, posts: u64) {
    let until = soon();
    let made = |array: &Array| {
        array
            .call_counts()
            .get("POST volumes")
            .copied()
            .unwrap_or(0)
    };
    while site.simulator.arrays().iter().map(made).sum::<u64>() < posts {
        assert!(Instant::now() < until, "not every vote was given");
        tokio::task::yield_now().await;
    }
}

/// What one array was asked: without tags and snapshots, and about these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Asked {
    calls: usize,
    tags: usize,
}

fn asked(array: &Array, what: &str) -> Asked {
    let counted = |call: &Call| !UNCOUNTED.contains(&call.name().as_str());
    let mut asked = Asked::default();
    let mut names = BTreeMap::new();
    for call in array.take_calls().into_iter().filter(counted) {
        *names.entry(call.name()).or_insert(0) += 1;
        if call.route.contains("tags") || call.route.contains("snapshots") {
            asked.tags += 1;
        } else {
            asked.calls += 1;
        }
    }
    println!("{what}: {}: {names:?}", array.name());
    asked
}

/// The budget of an operation: on its volume's array, and on each other one.
fn check(site: &Site, volume: &Volume, what: &str, own: Asked, others: usize, voting: &[String]) {
    for array in site.simulator.arrays() {
        let seen = asked(array, what);
        let here = array.id() == volume.id.array().as_str();
        let vote = usize::from(voting.iter().any(|id| id == array.id()));
        let most = if here { own.calls } else { others } + vote;
        let tags = if here { own.tags } else { 0 };
        assert!(
            seen.calls <= most && seen.tags <= tags,
            "{what} on {} ({}): {seen:?}, at most {most} and {tags}",
            array.name(),
            if here { "the volume's" } else { "another" }
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volumes_life_in_a_fleet_of_five_keeps_to_its_budget() {
    let site = Site::start(5, 1).await;
    let engine = node(&site, "node-a");
    // The first create writes the fleet record and reads telemetry; the first mount makes hosts.
    let first = make(&engine, "first").await;
    engine.mount(first.name.clone(), soon()).await.unwrap();
    let record = engine.fleet_record().unwrap();
    let member = |number| record.by_number(number).unwrap().array.as_str().to_owned();
    let voting: Vec<String> = record.claim_arrays.iter().copied().map(member).collect();
    assert_eq!(voting.len(), 3);
    // Besides, five fleet records.
    all_voted(&site, 9).await;
    for array in site.simulator.arrays() {
        asked(array, "start");
    }

    // The tags of a publish: the grant to format is read, the holder written, the grant withdrawn.
    let own = |calls, tags| Asked { calls, tags };
    let volume = make(&engine, "data").await;
    // The volume and three markers.
    all_voted(&site, 4).await;
    check(&site, &volume, "create", own(3, 1), 1, &voting);
    let name = volume.name.clone();
    engine.mount(name.clone(), soon()).await.unwrap();
    check(&site, &volume, "publish", own(3, 3), 0, &[]);
    engine.unmount(name.clone(), soon()).await.unwrap();
    check(&site, &volume, "unpublish", own(2, 0), 0, &[]);
    engine.remove(name, soon()).await.unwrap().into_inner();
    check(&site, &volume, "delete", own(3, 3), 0, &[]);
    engine.unmount(first.name.clone(), soon()).await.unwrap();
    assert!(engine.stop(Duration::from_secs(10)).await);
}
