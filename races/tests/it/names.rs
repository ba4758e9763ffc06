//! Racing creators: all of them want the same names, and each name becomes one volume.

use std::collections::BTreeMap;
use std::time::Duration;

use array_sim::FaultPlan;
use lab::environment::long_or_skipped;
use protocol_models::claim::replay::{Members, Traced, replay};
use races::journal::Entry;
use races::{Creates, Task};
use storage_core::{Chance, SeededChance};

use crate::ledger_of_names::{check, strays, sweep, told};
use crate::site::{Kills, Site, Worker, refusals, run, trace};

struct Race {
    creators: usize,
    names: usize,
    arrays: usize,
    kills: Kills,
    limit: Duration,
}

/// What every call may meet. Late requests come when their attempt has long been given up.
fn faults() -> FaultPlan {
    let mut plan = FaultPlan::default();
    (plan.delay_min_ms, plan.delay_max_ms) = (0, 8);
    (plan.reset_before, plan.reset_after) = (0.02, 0.03);
    (plan.busy, plan.expire_token) = (0.01, 0.003);
    plan.late = 0.03;
    (plan.late_min_ms, plan.late_max_ms) = (20, 4000);
    plan
}

/// The names in an order of one's own.
pub(crate) fn shuffled(names: &[String], chance: &dyn Chance) -> Vec<String> {
    let mut keyed: Vec<_> = names
        .iter()
        .map(|name| (chance.bits(), name.clone()))
        .collect();
    keyed.sort();
    keyed.into_iter().map(|(_, name)| name).collect()
}

async fn race(seed: u64, race: Race) {
    let site = Site::start(race.arrays, seed).await;
    let chance: &dyn Chance = &SeededChance::new(seed);
    let names: Vec<String> = (0..race.names)
        .map(|number| format!("data-{number}"))
        .collect();
    let common = shuffled(&names, chance);
    let mut workers: Vec<Worker> = (0..race.creators)
        .map(|number| {
            let creates = Creates {
                // Half of them in one order, as a Swarm's nodes: they meet at every name.
                names: if number % 2 == 0 {
                    common.clone()
                } else {
                    shuffled(&names, chance)
                },
                at_once: 2,
                tries: 100,
                limit_ms: 30_000,
                listed: false,
            };
            site.worker(number, Task::Create(creates))
        })
        .collect();
    site.set_faults(&faults());
    let kills = race.kills.most;
    run(&mut workers, race.kills, chance, race.limit).await;
    site.clear_faults();

    let told = told(&workers);
    let met = |array: &array_sim::Array| -> u64 { array.fault_counts().values().sum() };
    println!(
        "seed {seed}: faults {}, strays {:?}, refusals {:#?}",
        site.simulator.arrays().iter().map(met).sum::<u64>(),
        strays(&site.simulator),
        refusals(&workers)
    );
    assert_eq!(told.len(), race.names);
    for worker in &workers {
        let journal = worker.journal();
        let gave_up: Vec<_> = journal
            .iter()
            .filter(|line| matches!(line.entry, Entry::GaveUp { .. }))
            .collect();
        assert!(gave_up.is_empty(), "{}: {gave_up:?}", worker.orders.host);
    }
    check(&site.simulator, &told, &names);
    replayed(&workers, &site);
    let killed: usize = workers.iter().map(|worker| worker.kills).sum();
    assert!(killed > 0 && killed <= kills, "{killed} kills");
    // Requests that are late yet must come before the sweep.
    tokio::time::sleep(Duration::from_secs(4)).await;
    check(&site.simulator, &told, &names);
    sweep(&site, &told, &names).await;
    site.simulator.stop().await.unwrap();
}

/// What the engines say that they did is a run that the protocol allows.
fn replayed(workers: &[Worker], site: &Site) {
    let mut arrays: Vec<_> = site.simulator.arrays().iter().collect();
    // As founding gives them numbers.
    arrays.sort_by_key(|array| array.id().to_owned());
    let number_of: BTreeMap<String, String> = (1..)
        .zip(&arrays)
        .map(|(number, array): (u32, _)| (array.address().to_string(), number.to_string()))
        .collect();
    let steps: Vec<Traced> = trace(workers)
        .iter()
        .map(|step| {
            let field = |name: &str| step.fields.get(name).and_then(|it| it.as_str());
            let mut step = Traced::read(field);
            // A node that knows no fleet record yet names an array by its address.
            if let Some(number) = number_of.get(&step.array) {
                step.array.clone_from(number);
            }
            step
        })
        .collect();
    let all: Vec<String> = (1..=arrays.len())
        .map(|number| number.to_string())
        .collect();
    let members = Members {
        claim_arrays: all.iter().take(3).cloned().collect(),
        all,
    };
    let summary = replay(&members, &steps).unwrap_or_else(|mismatch| {
        let name = &mismatch.step.name;
        let of_the_name = steps.iter().take(mismatch.at + 1);
        let before: Vec<String> = of_the_name
            .filter(|step| step.name == *name || step.step == "died")
            .map(|step| format!("{step:?}"))
            .collect();
        panic!("{mismatch}\n{}", before.join("\n"));
    });
    println!("replayed {} steps: {summary:?}", steps.len());
    assert!(
        summary.acknowledged > 0 && summary.committed > 0,
        "{summary:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_name_is_one_volume() {
    let small = Race {
        creators: 6,
        names: 30,
        arrays: 5,
        kills: Kills {
            most: 8,
            every: Duration::from_millis(1500),
        },
        limit: Duration::from_secs(150),
    };
    race(11, small).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_name_is_one_volume_for_twenty_creators_of_two_hundred() {
    if !long_or_skipped() {
        return;
    }
    let full = Race {
        creators: 20,
        names: 200,
        arrays: 10,
        kills: Kills {
            most: 60,
            every: Duration::from_secs(3),
        },
        limit: Duration::from_secs(600),
    };
    race(12, full).await;
}
