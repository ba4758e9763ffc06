//! Racing publishers: many hosts ask for one volume, and never do two of them hold it.

use std::time::Duration;

use array_sim::{FaultAction, FaultPlan, FaultRule};
use protocol_models::fence::replay::{Traced, replay};
use races::{Creates, Mounts, Task};
use storage_core::{Chance, SeededChance};

use crate::site::{Kills, Site, Worker, refusals, run, trace};
use crate::witness;

const VOLUME: &str = "wanted";

/// What every call may meet. Requests that are executed late come after their host has given up
/// and others have had the volume.
fn faults() -> FaultPlan {
    let mut plan = FaultPlan::default();
    (plan.delay_min_ms, plan.delay_max_ms) = (0, 15);
    (plan.reset_before, plan.reset_after) = (0.02, 0.02);
    (plan.busy, plan.expire_token) = (0.01, 0.005);
    plan
}

/// What a client repeats by itself when it gets no answer is not in a trace, and neither is a late
/// first copy of it. Only a POST is never repeated.
const LATE_MS: u64 = 700;

fn make_late(site: &Site, posts_alone: bool) {
    let mut plan = faults();
    if posts_alone {
        let mut rule = FaultRule::new(FaultAction::Late { ms: LATE_MS });
        (rule.method, rule.path) = (Some("POST".to_owned()), Some("connections".to_owned()));
        rule.probability = Some(0.06);
        site.simulator.arrays()[0].add_rule(rule);
    } else {
        plan.late = 0.02;
        (plan.late_min_ms, plan.late_max_ms) = (20, 1500);
    }
    site.set_faults(&plan);
}

fn mounts(rounds: u32, preempting_percent: u64) -> Task {
    Task::Mount(Mounts {
        name: VOLUME.to_owned(),
        rounds,
        limit_ms: 5000,
        keep_ms: 40,
        kept_percent: 30,
        preempting_percent,
    })
}

fn one_name() -> Task {
    Task::Create(Creates {
        names: vec![VOLUME.to_owned()],
        at_once: 1,
        tries: 5,
        limit_ms: 20_000,
        listed: false,
    })
}

struct Race {
    hosts: usize,
    rounds: u32,
    kills: usize,
    preempting_percent: u64,
    /// Late POSTs alone, and the trace is held against the model.
    replayed: bool,
}

async fn race(seed: u64, race: Race) {
    let site = Site::start(1, seed).await;
    let chance: &dyn Chance = &SeededChance::new(seed);
    let none = Kills {
        most: 0,
        every: Duration::ZERO,
    };
    let mut maker = [site.worker(0, one_name())];
    run(&mut maker, none, chance, Duration::from_secs(60)).await;

    make_late(&site, race.replayed);
    let task = mounts(race.rounds, race.preempting_percent);
    let mut workers: Vec<Worker> = (0..race.hosts)
        .map(|number| site.worker(number, task.clone()))
        .collect();
    let kills = Kills {
        most: race.kills,
        every: Duration::from_secs(1),
    };
    run(&mut workers, kills, chance, Duration::from_secs(120)).await;
    let seen = witness::check(&site.simulator, &workers);
    println!("seed {seed}: {seen:?}, {:#?}", refusals(&workers));

    site.clear_faults();
    release(&site, &mut workers).await;
    witness::check(&site.simulator, &workers);
    if race.replayed {
        replayed(&workers, &seen);
    }
    // A run in which nobody met anybody proves nothing.
    assert!(
        seen.hosts >= 3 && seen.grants >= race.hosts && seen.together > 0,
        "{seen:?}"
    );
    assert!(race.preempting_percent == 0 || seen.fenced > 0, "{seen:?}");
    site.simulator.stop().await.unwrap();
}

/// What the engines say that they did is a run that the model of the fence allows.
fn replayed(workers: &[Worker], seen: &witness::Seen) {
    let steps: Vec<Traced> = trace(workers)
        .iter()
        .map(|step| Traced::read(|field| step.fields.get(field).and_then(|it| it.as_str())))
        .collect();
    let summary = replay(&steps).unwrap_or_else(|mismatch| {
        let from = mismatch.at.saturating_sub(60);
        let before: Vec<_> = steps[from..=mismatch.at].iter().map(told).collect();
        panic!("{mismatch}\n{}", before.join("\n"));
    });
    println!("replayed {} steps: {summary:?}", steps.len());
    assert!(summary.grants >= seen.grants, "{summary:?}, {seen:?}");
}

fn told(step: &Traced) -> String {
    let Traced {
        step,
        node,
        hosts,
        nonce,
        answer,
        ..
    } = step;
    format!("{step} {node} {hosts}{nonce} {answer}")
}

/// Every host lets go, and the arrays show nobody any more.
async fn release(site: &Site, workers: &mut [Worker]) {
    for worker in workers.iter_mut() {
        worker.orders.task = Task::Release;
        worker.start();
    }
    let array = &site.simulator.arrays()[0];
    let left = || async {
        let left = array.connections();
        Ok(if left.is_empty() {
            lab::wait::Seen::Ready(())
        } else {
            lab::wait::Seen::NotYet(format!("{left:?}"))
        })
    };
    lab::wait::until("nobody is connected", Duration::from_secs(45), left)
        .await
        .unwrap();
    for worker in workers.iter_mut() {
        worker.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_volume_is_never_granted_to_two_hosts() {
    let wanted = Race {
        hosts: 6,
        rounds: 25,
        kills: 8,
        preempting_percent: 0,
        replayed: true,
    };
    race(7, wanted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_volume_is_never_granted_to_two_hosts_that_shut_each_other_out() {
    let wanted = Race {
        hosts: 6,
        rounds: 20,
        kills: 8,
        preempting_percent: 40,
        replayed: false,
    };
    race(8, wanted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hosts_did_that_shut_each_other_out_is_a_run_of_the_model() {
    let wanted = Race {
        hosts: 4,
        rounds: 15,
        kills: 5,
        preempting_percent: 40,
        replayed: true,
    };
    race(9, wanted).await;
}
