//! One case: an operation is cut off at one passage of one point, and made again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::node::{HOSTS, PATIENCE, Passage};
use super::operation::{Facts, Operation, Run, There};
use super::site::Site;

/// How long the plugin may take to come to the point where it dies: its books are written a moment
/// after an answer.
const DEATH: Duration = Duration::from_secs(5);

/// How late a late request is executed: when the call was made again and has been answered.
const LATE: Duration = Duration::from_secs(4);

/// Within what a node lets go of what nobody may know of: twice the time that a daemon has to come
/// back, and some more for a busy machine.
const GIVEN_UP: Duration = Duration::from_secs(120);

/// Between two tries of a call that was refused.
const AGAIN: Duration = Duration::from_millis(100);

/// Who calls after the crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Next {
    /// The same node, started again, with the same call.
    Same,
    /// Another node while the first one is dead; then the first one as above.
    Other,
    /// The same node with the same call, killed once more on its way.
    Twice,
    /// Nobody on the first node, which is started again; another node, once that has let go.
    Nobody,
}

/// What is cut off where, and who goes on.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) operation: Operation,
    pub(super) passage: Passage,
    pub(super) next: Next,
    /// The request that was answered at the point is executed only long after the crash.
    pub(super) late: bool,
    /// Where it dies once more, if it comes by.
    pub(super) second: Option<Passage>,
}

/// How a case ended well.
#[derive(Debug, Default)]
pub(super) struct Converged {
    /// How often the call was made again, and why it was not enough the first time.
    pub(super) refusals: Vec<String>,
    /// What the other node was told while the first one was dead.
    pub(super) other: Option<Result<(), String>>,
}

/// Why a case did not end well.
#[derive(Debug)]
pub(super) enum Failed {
    /// It did not come by the point; the plugin goes on.
    NotReached,
    Wrong(String),
}

impl From<String> for Failed {
    fn from(text: String) -> Self {
        Self::Wrong(text)
    }
}

/// What the operation passes when nothing happens to it.
pub(super) async fn record(
    site: &mut Site,
    operation: Operation,
    run: Run<'_>,
) -> Result<Vec<Passage>, String> {
    site.prepare(run, &operation.before()).await?;
    stopped_for_start(site, operation).await?;
    let mark = site.first().points.mark();
    let answer = operation.perform(site.first(), run).await;
    as_expected(operation, answer)?;
    if operation == Operation::Start {
        site.first().settled(&[run.volume]).await?;
    }
    let begin = Instant::now();
    let last = operation.written_later();
    while begin.elapsed() < PATIENCE {
        let passed = site.first().points.passed_since(mark);
        let written = |file: &str| {
            let point = format!("docker.file.after {file}");
            passed.iter().filter(|one| one.point == point).count()
        };
        if last.is_none_or(|(file, times)| written(file) == times) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut passed = site.first().points.passed_since(mark);
    if operation == Operation::Start {
        // The calls are this test's own: it asks whether the plugin has begun.
        passed.retain(|one| !one.point.starts_with("docker.call."));
    }
    if last.is_none_or(|(file, _)| file != "names") {
        // What is still written of the volumes that were made before.
        passed.retain(|one| !one.point.ends_with(" names"));
    }
    let after = operation.after();
    shut_out(site, operation, run).await?;
    site.check(run, &after).await?;
    site.finish(run, &after).await?;
    Ok(passed)
}

/// What is left to do on the other host once the volume was taken from it.
async fn shut_out(site: &mut Site, operation: Operation, run: Run<'_>) -> Result<(), String> {
    match operation {
        Operation::TakeOver => site.let_go(run).await,
        _ => Ok(()),
    }
}

async fn stopped_for_start(site: &mut Site, operation: Operation) -> Result<(), String> {
    if operation != Operation::Start {
        return Ok(());
    }
    let stopped = site.first().plugin.stop().await;
    stopped.map_err(|error| format!("{error:#}"))
}

/// Runs one case.
pub(super) async fn run(site: &mut Site, case: &Case, run: Run<'_>) -> Result<Converged, Failed> {
    let operation = case.operation;
    site.prepare(run, &operation.before()).await?;
    stopped_for_start(site, operation).await?;
    let late = site.late_effects();
    if case.late {
        site.make_late(&case.passage, LATE);
    }
    let first = site.first();
    first.points.order(&case.passage);
    let cut_off = operation.perform(first, run).await;
    let died = first.plugin.ends_by_itself(DEATH).await;
    first.points.spare();
    if case.late && site.late_effects() > late {
        return Err(Failed::Wrong("the late request came too early".to_owned()));
    }
    if !died {
        as_expected(operation, cut_off)?;
        shut_out(site, operation, run).await?;
        site.finish(run, &operation.after()).await?;
        return Err(Failed::NotReached);
    }
    let mut converged = Converged::default();
    if case.next == Next::Nobody {
        restart(site, operation).await?;
        return given_up(site, operation, run, converged).await;
    }
    let mut answered = as_expected(operation, cut_off).is_ok();
    if let Some(second) = &case.second
        && !(operation.is_counted() && answered)
    {
        answered = killed_again(site, operation, run, second).await?;
    }
    if case.next == Next::Other {
        let late = case.late.then_some(late);
        other(site, operation, run, (late, &mut converged)).await?;
    } else {
        restart(site, operation).await?;
    }
    // Who has an answer does not ask again; another Mount would rightly be counted.
    if !(operation.is_counted() && answered) {
        again(site, operation, run, &mut converged.refusals).await?;
    }
    let after = operation.after();
    shut_out(site, operation, run).await?;
    site.check(run, &after).await?;
    if case.late {
        site.late_has_come(late).await?;
        site.check(run, &after).await?;
    }
    if case.next == Next::Other && after.there == There::Live && after.ids.is_empty() {
        hand_over(site, run, after.marked).await?;
    }
    site.finish(run, &after).await?;
    Ok(converged)
}

/// The caller never comes back. What was mounted or connected for it and nobody may know of is
/// taken down, and the other node gets the volume.
async fn given_up(
    site: &mut Site,
    operation: Operation,
    run: Run<'_>,
    mut converged: Converged,
) -> Result<Converged, Failed> {
    let marked = operation.before().marked;
    let begin = Instant::now();
    let refused = loop {
        match site.nodes[1].mount(run.volume, "other").await {
            Ok(_) => break None,
            Err(error) if begin.elapsed() > GIVEN_UP => break Some(error),
            // Half of a file system: its maker alone may go on with it, and has let go of it.
            Err(error) if error.contains("not used and not formatted") => break Some(error),
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    };
    let Some(refused) = refused else {
        let facts = used("other", marked);
        site.check_at(1, run, &facts).await?;
        let body = json!({"Name": run.volume, "ID": "other"});
        site.nodes[1].must("Unmount", &body).await?;
        let facts = Facts {
            ids: Vec::new(),
            ..facts
        };
        site.check(run, &facts).await?;
        site.finish(run, &facts).await?;
        return Ok(converged);
    };
    if !refused.contains("not used and not formatted") || operation != Operation::MountNew {
        return Err(Failed::Wrong(format!("nobody uses it, and yet: {refused}")));
    }
    converged.other = Some(Err(refused));
    again(site, operation, run, &mut converged.refusals).await?;
    let after = operation.after();
    site.check(run, &after).await?;
    site.finish(run, &after).await?;
    Ok(converged)
}

fn used(id: &'static str, marked: bool) -> Facts {
    Facts {
        there: There::Live,
        marked,
        ids: vec![id],
    }
}

/// The first node is started, called and killed while it puts right what the first crash left.
/// Returns whether its caller has an answer.
async fn killed_again(
    site: &mut Site,
    operation: Operation,
    run: Run<'_>,
    second: &Passage,
) -> Result<bool, String> {
    site.first().points.order(second);
    let mut answered = false;
    // It may die while it starts.
    let started = restart(site, operation).await;
    if started.is_ok() {
        let answer = operation.perform(site.first(), run).await;
        answered = as_expected(operation, answer).is_ok();
        if !answered {
            site.first().plugin.ends_by_itself(DEATH).await;
        }
    }
    site.first().points.spare();
    let killed = site.first().plugin.kill_9().await;
    killed.map_err(|error| format!("{error:#}"))?;
    Ok(answered)
}

/// The first node lives again. Where its start is the operation, that is the call itself.
async fn restart(site: &mut Site, operation: Operation) -> Result<(), String> {
    if operation == Operation::Start {
        return Ok(());
    }
    let started = site.first().plugin.start_again().await;
    started.map_err(|error| format!("it does not start: {error:#}"))
}

/// The same call, until it has its answer.
async fn again(
    site: &mut Site,
    operation: Operation,
    run: Run<'_>,
    refusals: &mut Vec<String>,
) -> Result<(), String> {
    let begin = Instant::now();
    loop {
        let answer = operation.perform(site.first(), run).await;
        match as_expected(operation, answer) {
            Ok(()) => return Ok(()),
            Err(error) if begin.elapsed() > PATIENCE => return Err(error),
            Err(error) => refusals.push(error),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn as_expected(operation: Operation, answer: Result<Value, String>) -> Result<(), String> {
    match (answer, operation.refusal()) {
        (Ok(_), None) => Ok(()),
        (Err(said), Some(wanted)) if said.contains(wanted) => Ok(()),
        (other, _) => Err(format!("{operation:?}: {other:?}")),
    }
}

/// The other node calls while the first one is dead. If it gets the volume, the first one is
/// refused, with its name, until it has let go; else it is told who has it.
async fn other(
    site: &mut Site,
    operation: Operation,
    run: Run<'_>,
    (late, converged): (Option<u64>, &mut Converged),
) -> Result<(), String> {
    let (method, body) = operation.on_other_node(run);
    let answer = site.nodes[1].call(method, &body).await;
    if method != "Mount" {
        // Creating and removing are the whole fleet's: any node does them.
        let told = as_expected(operation, answer);
        converged.other = Some(told.clone());
        told.map_err(|error| format!("{} cannot: {error}", HOSTS[1]))?;
        return restart(site, operation).await;
    }
    let Err(refused) = answer else {
        converged.other = Some(Ok(()));
        return used_by_other(site, operation, run, late).await;
    };
    let named = refused.contains(HOSTS[0]);
    converged.other = Some(Err(refused.clone()));
    if !named {
        return Err(format!("the refusal does not name the holder: {refused}"));
    }
    restart(site, operation).await
}

/// The other node has the volume, and the first one wakes up.
async fn used_by_other(
    site: &mut Site,
    operation: Operation,
    run: Run<'_>,
    late: Option<u64>,
) -> Result<(), String> {
    if operation.after().ids.len() > 1 || operation == Operation::Start {
        return Err("two nodes have the volume".to_owned());
    }
    restart(site, operation).await?;
    let answer = operation.perform(site.first(), run).await;
    match (operation.after().ids.is_empty(), answer) {
        // An unmount is done, whoever has the volume by now.
        (true, Ok(_)) => {}
        (false, Err(said)) if said.contains(HOSTS[1]) => {}
        (_, answer) => return Err(format!("while {} has it: {answer:?}", HOSTS[1])),
    }
    let facts = used("other", operation.before().marked);
    site.check_at(1, run, &facts).await?;
    if let Some(before) = late {
        // Not by the one whose request it was, nor by anybody.
        site.late_has_come(before).await?;
        site.check_at(1, run, &facts).await?;
    }
    let body = json!({"Name": run.volume, "ID": "other"});
    site.nodes[1].must("Unmount", &body).await.map(drop)
}

/// The other node gets the volume that nobody uses now, at once.
async fn hand_over(site: &mut Site, run: Run<'_>, marked: bool) -> Result<(), String> {
    site.nodes[1].mount(run.volume, "other").await?;
    let facts = used("other", marked);
    site.check_at(1, run, &facts).await?;
    let body = json!({"Name": run.volume, "ID": "other"});
    site.nodes[1].must("Unmount", &body).await.map(drop)
}
