//! The budgets of docs/performance.md that this machine can measure without arrays, as a table:
//! median, 99th percentile and maximum of many single calls, beside the budget. It reports and
//! never fails: a busy machine is no defect. Counts of calls, which are gates, are tests.
#![expect(clippy::print_stdout, reason = "a report")]

mod scene;

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use storage_core::{DefaultSelector, Selector};
use tokio::runtime::Runtime;

const CALLS: usize = 5_000;
const ARRAYS: u32 = 100;
const VOLUMES: usize = 10_000;

fn main() -> Result<()> {
    println!(
        "{:<42} {:>10} {:>10} {:>10} {:>10}",
        "what", "p50", "p99", "max", "budget p99"
    );
    let candidates = scene::candidates(ARRAYS);
    let requests: Vec<_> = (0..64)
        .map(|index| scene::placement(&format!("volume{index}")))
        .collect::<Result<_>>()?;
    let mut turn = requests.iter().cycle();
    measure(
        &format!("placement decision, {ARRAYS} arrays"),
        Duration::from_millis(1),
        || {
            let Some(request) = turn.next() else { return };
            black_box(DefaultSelector.select(request, &candidates));
        },
    )?;

    let runtime = Runtime::new()?;
    let engine = runtime.block_on(scene::engine_with(VOLUMES))?;
    let names: Vec<_> = (0..VOLUMES)
        .step_by(101)
        .map(scene::volume_name)
        .collect::<Result<_>>()?;
    let mut turn = names.iter().cycle();
    let budget = Duration::from_millis(5);
    measure(&format!("engine get, {VOLUMES} volumes"), budget, || {
        let Some(name) = turn.next() else { return };
        black_box(engine.known(name));
    })?;
    measure(&format!("engine list, {VOLUMES} volumes"), budget, || {
        black_box(engine.inventory());
    })?;
    runtime.block_on(engine.stop(Duration::from_secs(10)));
    Ok(())
}

fn measure(what: &str, budget: Duration, mut call: impl FnMut()) -> Result<()> {
    let mut times: Histogram<u64> = Histogram::new(3)?;
    for _ in 0..CALLS {
        let began = Instant::now();
        call();
        times.record(u64::try_from(began.elapsed().as_nanos())?)?;
    }
    let [p50, p99, max] = [
        times.value_at_quantile(0.5),
        times.value_at_quantile(0.99),
        times.max(),
    ]
    .map(|nanos| format!("{:?}", rounded(Duration::from_nanos(nanos))));
    let budget = format!("{budget:?}");
    println!("{what:<42} {p50:>10} {p99:>10} {max:>10} {budget:>10}");
    Ok(())
}

/// To what is worth reading.
fn rounded(time: Duration) -> Duration {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let unit = match nanos {
        0..1_000 => 1,
        1_000..1_000_000 => 10,
        _ => 1_000,
    };
    Duration::from_nanos(nanos / unit * unit)
}
