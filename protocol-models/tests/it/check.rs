//! Running a checker: prints what it looked at, gives the first violation with the way there.

#![expect(
    clippy::print_stdout,
    clippy::panic,
    reason = "helpers of tests: a run tells its size, a violation its way"
)]

use std::fmt;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

/// A violation and the steps to it.
pub(crate) struct Found {
    pub(crate) property: &'static str,
    pub(crate) steps: Vec<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "violated: {}", self.property)?;
        self.steps
            .iter()
            .try_for_each(|step| writeln!(f, "  {step}"))
    }
}

/// Whether the long tests were asked for (`cargo xtask test --long`, or `FAIRLEAD_LONG=1`).
pub(crate) fn long(what: &str) -> bool {
    let asked = std::env::var_os("FAIRLEAD_LONG").is_some_and(|value| value == "1");
    if !asked {
        println!("SKIPPED: a long test: `cargo xtask test --long` runs {what}");
    }
    asked
}

/// Looks for a violation of one property, at as many states as that takes.
pub(crate) fn look_for<M>(model: M, property: &'static str, what: &str) -> Option<Found>
where
    M: Model + Send + Sync + 'static,
    M::State: std::hash::Hash + fmt::Debug + Clone + PartialEq + Send + Sync + 'static,
    M::Action: fmt::Debug + Clone + PartialEq,
{
    let until = HasDiscoveries::AnyOf([property].into_iter().collect());
    let mut found = explore(model, until, what);
    found.retain(|one| one.property == property);
    found.pop()
}

/// Nothing is violated within the bounds.
#[track_caller]
pub(crate) fn holds<M>(model: M, what: &str)
where
    M: Model + Send + Sync + 'static,
    M::State: std::hash::Hash + fmt::Debug + Clone + PartialEq + Send + Sync + 'static,
    M::Action: fmt::Debug + Clone + PartialEq,
{
    let (failures, examples): (Vec<_>, Vec<_>) = model
        .properties()
        .into_iter()
        .map(|one| (one.name, one.expectation.discovery_is_failure()))
        .partition(|(_, failure)| *failure);
    let found = explore(model, HasDiscoveries::AnyFailures, what);
    let of =
        |names: &[(&str, bool)], one: &Found| names.iter().any(|(name, _)| *name == one.property);
    if let Some(violated) = found.iter().find(|one| of(&failures, one)) {
        panic!("{what}\n{violated}");
    }
    for (example, _) in examples {
        let reached = found.iter().any(|one| one.property == example);
        assert!(reached, "{what}: never reached: {example}");
    }
}

fn explore<M>(model: M, until: HasDiscoveries, what: &str) -> Vec<Found>
where
    M: Model + Send + Sync + 'static,
    M::State: std::hash::Hash + fmt::Debug + Clone + PartialEq + Send + Sync + 'static,
    M::Action: fmt::Debug + Clone + PartialEq,
{
    let begun = Instant::now();
    let checker = model
        .checker()
        .threads(2)
        .finish_when(until)
        .spawn_bfs()
        .join();
    println!(
        "{what}: {} states, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64()
    );
    let discoveries = checker.discoveries().into_iter();
    discoveries
        .map(|(property, path)| Found {
            property,
            steps: path
                .into_actions()
                .iter()
                .map(|one| format!("{one:?}"))
                .collect(),
        })
        .collect()
}
