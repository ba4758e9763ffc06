//! How many REST calls each array gets from a create, a mount, an unmount, a remove and a fail-over on a
//! fleet of five: the gates for what engine and backend do together. Sessions, telemetry and what is read
//! once a process are not counted; calls about tags and snapshots are, by themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use array_sim::{Array, Call};
use fairlead::config::{Environment, load};
use fairlead::fleet::builder_over;
use races::PaperHost;
use races::journal::Journal;
use storage_core::{Engine, MountVolume, OptionDefaults, Volume, VolumeName, VolumeOptions};
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
struct Budget<'a> {
    what: &'a str,
    own: Asked,
    others: usize,
    /// One call more on each of these.
    voting: &'a [String],
}

impl Budget<'_> {
    fn check(&self, site: &Site, volume: &Volume) {
        for array in site.simulator.arrays() {
            let seen = asked(array, self.what);
            let here = array.id() == volume.id.array().as_str();
            let vote = usize::from(self.voting.iter().any(|id| id == array.id()));
            let (calls, tags) = if here {
                (self.own.calls, self.own.tags)
            } else {
                (self.others, 0)
            };
            assert!(
                seen.calls <= calls + vote && seen.tags <= tags,
                "{} on {}, the volume is {}: {seen:?}, at most {calls}, {vote} and {tags}",
                self.what,
                array.name(),
                if here { "here" } else { "elsewhere" }
            );
        }
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
    let budget = |what, calls, tags| Budget {
        what,
        own: Asked { calls, tags },
        others: 0,
        voting: &[],
    };
    let volume = make(&engine, "data").await;
    // The volume and three markers.
    all_voted(&site, 4).await;
    let create = Budget {
        others: 1,
        voting: &voting,
        ..budget("create", 3, 1)
    };
    create.check(&site, &volume);
    let name = volume.name.clone();
    engine.mount(name.clone(), soon()).await.unwrap();
    budget("publish", 3, 3).check(&site, &volume);
    engine.unmount(name.clone(), soon()).await.unwrap();
    budget("unpublish", 2, 0).check(&site, &volume);
    engine.remove(name, soon()).await.unwrap().into_inner();
    budget("delete", 3, 3).check(&site, &volume);
    engine.unmount(first.name.clone(), soon()).await.unwrap();
    assert!(engine.stop(Duration::from_secs(10)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fail_over_in_a_fleet_of_five_keeps_to_its_budget() {
    let site = Site::start(5, 2).await;
    let (one, two) = (node(&site, "node-a"), node(&site, "node-b"));
    let volume = make(&one, "data").await;
    one.mount(volume.name.clone(), soon()).await.unwrap();
    two.find(&volume.name, soon()).await.unwrap().unwrap();
    all_voted(&site, 9).await;
    for array in site.simulator.arrays() {
        asked(array, "start");
    }
    let request = MountVolume {
        name: volume.name.clone(),
        may_preempt: true,
    };
    two.mount(request, soon()).await.unwrap();
    let fail_over = Budget {
        what: "fail over",
        own: Asked { calls: 5, tags: 2 },
        others: 0,
        voting: &[],
    };
    fail_over.check(&site, &volume);
    for engine in [one, two] {
        assert!(engine.stop(Duration::from_secs(10)).await);
    }
}
