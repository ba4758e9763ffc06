//! What Docker asks most: Get and List of an engine that knows 10,000 volumes.
#![expect(clippy::expect_used, reason = "a bench that cannot be set up ends")]

mod scene;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use tokio::runtime::Runtime;

const VOLUMES: usize = 10_000;

fn reads(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let engine = runtime
        .block_on(scene::engine_with(VOLUMES))
        .expect("an engine");
    let known = scene::volume_name(VOLUMES / 2).expect("a good name");
    let unknown = scene::volume_name(VOLUMES + 1).expect("a good name");
    let mut group = criterion.benchmark_group(format!("engine at {VOLUMES} volumes"));
    group.bench_function("get from memory", |b| {
        b.iter(|| engine.known(black_box(&known)).expect("known"));
    });
    group.bench_function("get what is not known", |b| {
        b.iter(|| engine.known(black_box(&unknown)));
    });
    group.bench_function("list", |b| b.iter(|| engine.inventory()));
    group.finish();
    runtime.block_on(engine.stop(Duration::from_secs(10)));
}

criterion_group!(benches, reads);
criterion_main!(benches);
