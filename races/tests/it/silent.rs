//! One array falls silent at the worst moments: with the volume that waits, or with a vote, just
//! made on it or just on its way. Names stay one volume each, and new ones are taken meanwhile.

use std::time::Duration;

use array_sim::{Array, FaultAction, FaultRule, NameEventKind};
use lab::environment::long;
use races::journal::Entry;
use races::{Creates, Task};
use storage_core::{Chance, Clock as _, SeededChance, SystemClock};
use tokio::time::{Instant, sleep};

use crate::ledger_of_names::{check, sweep, told};
use crate::names::shuffled;
use crate::site::{NAMESPACE, Site, Worker, refusals};

const CREATORS: usize = 4;
/// More than are ever made in the time.
const NAMES: usize = 1000;
const ARRAYS: usize = 10;

/// Longer than an engine waits for an array, so that it is passed over and not waited for.
const SILENCE: Duration = Duration::from_secs(9);
const ASK_LIMIT_MS: u64 = 2000;

/// When an array falls silent.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// A volume that waits was just made on it.
    Proposed,
    /// Its vote was just given.
    Marked,
    /// A request for its vote has just come and is not executed.
    AskedForVote,
}

/// Falls silent at the next such moment of one of these arrays; `None` when there was none.
async fn strike(arrays: &[Array], moment: Moment) -> Option<Array> {
    let limit = Instant::now() + Duration::from_secs(20);
    let (part, kind) = match moment {
        Moment::Proposed => ("-fl-new-", NameEventKind::Named),
        Moment::Marked | Moment::AskedForVote => ("-fl-claim-", NameEventKind::Named),
    };
    if let Moment::AskedForVote = moment {
        let array = arrays.first()?;
        let mut rule = FaultRule::once(
            "POST",
            "volumes",
            FaultAction::Silence {
                ms: u64::try_from(SILENCE.as_millis()).ok()?,
            },
        );
        rule.query_contains = Some(format!("{NAMESPACE}{part}"));
        let before = array.fault_counts();
        array.add_rule(rule);
        while array.fault_counts() == before {
            if Instant::now() > limit {
                return None;
            }
            sleep(Duration::from_millis(1)).await;
        }
        return Some(array.clone());
    }
    let events = |array: &Array| {
        let events = array.name_events();
        events
            .iter()
            .filter(|one| one.kind == kind && one.name.contains(part))
            .count()
    };
    let before: Vec<usize> = arrays.iter().map(events).collect();
    while Instant::now() < limit {
        for (array, before) in arrays.iter().zip(&before) {
            if events(array) > *before {
                array.set_silent(true);
                return Some(array.clone());
            }
        }
        sleep(Duration::from_millis(1)).await;
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_array_is_silent_at_the_worst_moments() {
    let seed = 21;
    let site = Site::start(ARRAYS, seed).await;
    let chance: &dyn Chance = &SeededChance::new(seed);
    let mut names: Vec<String> = (0..NAMES).map(|number| format!("data-{number}")).collect();
    let mut workers: Vec<Worker> = (0..CREATORS)
        .map(|number| {
            let creates = Creates {
                names: shuffled(&names, chance),
                at_once: 4,
                tries: 60,
                limit_ms: 30_000,
                listed: true,
            };
            let mut worker = site.worker(number, Task::Create(creates));
            worker.orders.ask_limit_ms = ASK_LIMIT_MS;
            worker
        })
        .collect();
    // The fleet is founded before, by whoever comes; then each node lists every array under it.
    let founder = site.worker(CREATORS, first_name());
    found(founder).await;
    for worker in &mut workers {
        worker.start();
    }
    for worker in &workers {
        listed(worker).await;
    }
    // Numbers go by array id; the first three vote.
    let mut arrays: Vec<Array> = site.simulator.arrays().to_vec();
    arrays.sort_by(|one, two| one.id().cmp(two.id()));
    let voters = &arrays[..3];
    let mut silences = Vec::new();
    let all = [
        (Moment::Marked, &voters[..1]),
        (Moment::Proposed, &arrays[3..]),
        (Moment::AskedForVote, &voters[1..2]),
        (Moment::Proposed, &voters[..1]),
        (Moment::AskedForVote, &voters[..1]),
        (Moment::Marked, &voters[1..]),
    ];
    let moments = if long() { &all[..] } else { &all[..3] };
    for &(moment, among) in moments {
        let silent = strike(among, moment).await.expect("somebody creates");
        let from = SystemClock.now_ms();
        sleep(SILENCE).await;
        silences.push((moment, from, SystemClock.now_ms()));
        silent.set_silent(false);
        sleep(Duration::from_millis(500)).await;
    }
    for worker in &mut workers {
        assert!(
            !worker.ended(),
            "all names were made before the last silence was over"
        );
        worker.kill().await;
    }
    for (moment, from, until) in &silences {
        // Whoever asked before has its answer by then, or asks again.
        let begin = from + 2 * ASK_LIMIT_MS;
        let made = workers.iter().flat_map(Worker::journal).filter(|line| {
            matches!(line.entry, Entry::Acknowledged { made: true, .. })
                && line.at_ms > begin
                && line.at_ms < *until
        });
        let made = made.count();
        println!(
            "silent {moment:?} for {} ms: {made} new names meanwhile",
            until - from
        );
        assert!(
            made > 0,
            "no new name was taken while an array was silent ({moment:?})"
        );
    }
    println!("{:#?}", refusals(&workers));
    let mut told = told(&workers);
    told.extend([founders(&site)]);
    names.push(FIRST.to_owned());
    check(&site.simulator, &told, &names);
    sweep(&site, &told, &names).await;
    site.simulator.stop().await.unwrap();
}

const FIRST: &str = "first";

fn first_name() -> Task {
    Task::Create(Creates {
        names: vec![FIRST.to_owned()],
        at_once: 1,
        tries: 5,
        limit_ms: 30_000,
        listed: false,
    })
}

async fn found(mut founder: Worker) {
    founder.start();
    lab::wait::until_true("the fleet is founded", Duration::from_secs(30), || {
        founder.ended()
    })
    .await
    .unwrap();
}

fn founders(site: &Site) -> (String, std::collections::BTreeSet<String>) {
    let founder = site.worker(CREATORS, first_name());
    told(&[founder]).into_iter().next().unwrap()
}

async fn listed(worker: &Worker) {
    let listed = || {
        let journal = worker.journal();
        journal.iter().any(|line| line.entry == Entry::Listed)
    };
    lab::wait::until_true("every array is listed", Duration::from_secs(30), listed)
        .await
        .unwrap();
}
