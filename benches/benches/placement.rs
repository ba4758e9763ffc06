//! How long a placement decision takes, by the number of arrays.
#![expect(clippy::expect_used, reason = "a bench that cannot be set up ends")]

mod scene;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use storage_core::{DefaultSelector, Selector};

fn decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("placement decision");
    let request = scene::placement("orders").expect("a good request");
    for count in [10, 100, 1000] {
        let candidates = scene::candidates(count);
        group.bench_with_input(BenchmarkId::from_parameter(count), &candidates, |b, all| {
            b.iter(|| DefaultSelector.select(black_box(&request), black_box(all)));
        });
    }
    group.finish();
}

criterion_group!(benches, decide);
criterion_main!(benches);
