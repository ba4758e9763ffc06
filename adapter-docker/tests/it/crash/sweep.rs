//! All cases of all operations, by several sites at once, and the table of what came of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lab::environment::{Need, ready};
use lab::process::armed_plugin;
use tokio::task::JoinSet;

use super::case::{self, Case, Failed, Next};
use super::index::{in_documentation, is_listed};
use super::node::Passage;
use super::operation::{Operation, Run};
use super::site::Site;
use crate::kept::is_marker;

/// Sites that work at the same time: two for each of two cores, as a case mostly waits for disks.
const SITES: usize = 4;

/// How often a case that did not come by its point is tried: what the plugin does with nobody
/// asking may have been in its way.
const TRIES: usize = 3;

/// A prime: each case of those that are killed twice has another second place.
const STRIDE: usize = 31;

/// What is swept.
#[derive(Clone)]
pub(super) struct Sweep {
    pub(super) operations: Vec<Operation>,
    pub(super) filesystem: &'static str,
    pub(super) next: Next,
    /// Only requests that change something, each of them executed late.
    pub(super) late: bool,
    /// On two hosts that take volumes from each other.
    pub(super) preempt: bool,
}

#[derive(Debug, Default)]
struct Row {
    points: usize,
    cases: usize,
    again: usize,
    failures: Vec<String>,
    time: Duration,
}

#[derive(Default)]
struct Results {
    rows: BTreeMap<Operation, Row>,
    refusals: BTreeMap<String, usize>,
    strays: Vec<String>,
    markers: usize,
    sites: usize,
}

struct Work {
    armed: PathBuf,
    sweep: Sweep,
    cases: Mutex<VecDeque<Case>>,
    results: Mutex<Results>,
    names: Mutex<u32>,
}

impl Work {
    fn name(&self) -> String {
        let mut names = self.names.lock().unwrap();
        *names += 1;
        format!("v{names}")
    }

    async fn site(&self) -> Site {
        let preempt = self.sweep.preempt;
        let alone = matches!(self.sweep.next, Next::Same | Next::Twice) && !preempt;
        let hosts = if alone { 1 } else { 2 };
        Site::start(&self.armed, hosts, preempt).await
    }

    async fn end(&self, site: Site) {
        let ended = site.end().await;
        let mut results = self.results.lock().unwrap();
        results.sites += 1;
        match ended {
            Ok(left) => {
                let (markers, strays): (Vec<_>, Vec<_>) =
                    left.into_iter().partition(|name| is_marker(name));
                results.markers += markers.len();
                results.strays.extend(strays);
            }
            Err(error) => results.strays.push(error),
        }
    }

    /// Works on cases until there are none left.
    async fn work(self: Arc<Self>) {
        let mut site = self.site().await;
        loop {
            let Some(case) = self.cases.lock().unwrap().pop_front() else {
                break;
            };
            let began = Instant::now();
            let failure = self.one(&mut site, &case).await.err();
            let failed = failure.is_some();
            self.note(&case, began.elapsed(), failure, &site);
            if !failed {
                continue;
            }
            // What went wrong here must not be counted again with the next case.
            site = self.site().await;
        }
        self.end(site).await;
    }

    fn add(&self, operation: Operation, passed: Vec<Passage>) {
        let mut results = self.results.lock().unwrap();
        results.rows.entry(operation).or_default().points = passed.len();
        drop(results);
        let Sweep { next, late, .. } = self.sweep;
        let all = passed.clone();
        let wanted = passed
            .into_iter()
            .filter(|passage| !late || is_change(&passage.point));
        // Up to its answer: who has that is somebody who knows.
        let given_up = next == Next::Nobody;
        let wanted = wanted
            .take_while(|passage| !(given_up && passage.point.starts_with("docker.call.after")));
        let mut cases = self.cases.lock().unwrap();
        cases.extend(wanted.enumerate().map(|(index, passage)| {
            Case {
                operation,
                passage,
                next,
                late,
                second: (next == Next::Twice)
                    .then(|| all.get(index * STRIDE % all.len()).cloned())
                    .flatten(),
            }
        }));
    }

    fn note(&self, case: &Case, took: Duration, failure: Option<String>, site: &Site) {
        let mut results = self.results.lock().unwrap();
        let row = results.rows.entry(case.operation).or_default();
        row.cases += 1;
        row.time += took;
        let Some(why) = failure else { return };
        let (operation, passage) = (case.operation, &case.passage);
        let text = format!(
            "{operation:?} at {} #{}: {why}",
            passage.point, passage.number
        );
        say(&format!("FAILED {text}\n{}", site.log_tail()));
        row.failures.push(text);
    }

    async fn one(&self, site: &mut Site, case: &Case) -> Result<(), String> {
        for _try in 0..TRIES {
            let volume = self.name();
            let run = Run {
                volume: &volume,
                filesystem: self.sweep.filesystem,
            };
            match case::run(site, case, run).await {
                Ok(converged) => {
                    let mut results = self.results.lock().unwrap();
                    if !converged.refusals.is_empty() {
                        results.rows.entry(case.operation).or_default().again += 1;
                    }
                    let other = match converged.other {
                        Some(Ok(())) => Some("another node: done".to_owned()),
                        Some(Err(text)) => Some(format!("another node: {text}")),
                        None => None,
                    };
                    for text in converged.refusals.into_iter().chain(other) {
                        let text = text.replace(&volume, "V");
                        *results.refusals.entry(text).or_default() += 1;
                    }
                    return Ok(());
                }
                Err(Failed::Wrong(why)) => return Err(why),
                Err(Failed::NotReached) => {}
            }
        }
        Err(format!("not reached in {TRIES} tries"))
    }

    /// What every operation passes, and so the cases. Every point has to be in the index.
    async fn record(&self) -> BTreeSet<String> {
        let index = in_documentation();
        let mut all = BTreeSet::new();
        for operation in &self.sweep.operations {
            // A plugin that was just started, as in every case.
            let mut site = self.site().await;
            let volume = self.name();
            let run = Run {
                volume: &volume,
                filesystem: self.sweep.filesystem,
            };
            let passed = case::record(&mut site, *operation, run).await;
            let passed = match passed {
                Ok(passed) => passed,
                Err(error) => panic!("{operation:?}: {error}\n{}", site.log_tail()),
            };
            for passage in &passed {
                let listed = is_listed(&passage.point, &index);
                assert!(listed, "{} is not in docs/crash-safety.md", passage.point);
                all.insert(passage.point.clone());
            }
            self.add(*operation, passed);
            self.end(site).await;
        }
        all
    }
}

/// Sweeps, prints the table, and fails if anything went wrong or is left over.
pub(super) async fn run(sweep: Sweep) {
    let needs = [Need::Root, Need::Loop, Need::Fuse, Need::Tool("unshare")];
    let tools = [Need::Tool("mkfs.ext4"), Need::Tool("mkfs.xfs")];
    if !ready(&[&needs[..], &tools].concat()) {
        return;
    }
    let work = Arc::new(Work {
        armed: armed_plugin().await.unwrap(),
        sweep,
        cases: Mutex::default(),
        results: Mutex::default(),
        names: Mutex::default(),
    });
    let began = Instant::now();
    let points = work.record().await;
    let mut workers = JoinSet::new();
    for _site in 0..SITES {
        workers.spawn(Arc::clone(&work).work());
    }
    workers.join_all().await;
    let results = work.results.lock().unwrap();
    let table = results.table(&work.sweep, points.len(), began.elapsed());
    say(&table);
    let failures = results.rows.values().map(|row| row.failures.len());
    assert_eq!(failures.sum::<usize>(), 0, "the table above says which");
    assert_eq!(results.leftovers(), Vec::<&String>::new());
}

/// Whether the point is the answer to a REST call that changes something but sessions.
fn is_change(point: &str) -> bool {
    let call = point.strip_prefix("rest.answer ").unwrap_or("GET");
    !call.starts_with("GET") && !call.contains("log")
}

#[expect(clippy::print_stdout, reason = "the table is what a sweep is for")]
fn say(text: &str) {
    println!("{text}");
}

impl Results {
    /// Everything on the arrays but the documented kinds: what a create that was cut off made,
    /// empty and called so; and markers, which stay when their volume is removed and are swept once
    /// they are old.
    fn leftovers(&self) -> Vec<&String> {
        let strange = |name: &&String| !name.starts_with("it-fl-new-");
        self.strays.iter().filter(strange).collect()
    }

    fn table(&self, sweep: &Sweep, points: usize, took: Duration) -> String {
        let who = match sweep.next {
            Next::Same => "the same call again",
            Next::Twice => "the same call again, killed once more on its way",
            Next::Nobody => "no call again, and another node's instead",
            Next::Other => "another node's call, then the same call again",
        };
        let when = match sweep.late {
            false => "crashes",
            true => "requests that are executed long after a crash",
        };
        let mut text = format!("{when} on {}, {who}\n", sweep.filesystem);
        let head = "operation                    passages  cases  failed  asked twice  s a case";
        writeln!(text, "{head}").unwrap();
        let mut sum = (0, 0, 0);
        for (operation, row) in &self.rows {
            let each = row.time.as_secs_f64() / f64::from(u32::try_from(row.cases.max(1)).unwrap());
            let failed = row.failures.len();
            let title = operation.title();
            let (points, cases, again) = (row.points, row.cases, row.again);
            writeln!(
                text,
                "{title:28} {points:8} {cases:6} {failed:7} {again:12} {each:9.2}"
            )
            .unwrap();
            sum = (sum.0 + points, sum.1 + cases, sum.2 + failed);
        }
        let (passages, cases, failed) = sum;
        let strays = self.strays.len() - self.leftovers().len();
        let left = self.leftovers().len();
        writeln!(text, "{:28} {passages:8} {cases:6} {failed:7}", "all").unwrap();
        writeln!(
            text,
            "{points} points by name; {failed} failures, {left} leftovers, {strays} empty tentative volumes (fl-new), {} markers (fl-claim); {} sites, {:.0} s",
            self.markers,
            self.sites,
            took.as_secs_f64()
        )
        .unwrap();
        for (said, times) in &self.refusals {
            writeln!(text, "  {times} times: {said}").unwrap();
        }
        for row in self.rows.values() {
            for failure in &row.failures {
                writeln!(text, "FAILED {failure}").unwrap();
            }
        }
        text
    }
}
