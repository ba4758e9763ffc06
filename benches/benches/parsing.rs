//! How long it takes to read what users type: options, sizes, selectors, names.
#![expect(clippy::expect_used, reason = "a bench that cannot be set up ends")]

mod scene;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use storage_core::{
    LabelSelector, Namespace, OptionDefaults, Size, VolumeName, VolumeOptions, object_names,
};

fn options(criterion: &mut Criterion) {
    let given = [
        ("size", "1.5TiB"),
        (
            "volume_label_selector",
            "purestorage.com/backend=block,tier in (gold,silver)",
        ),
        ("fstype", "xfs"),
        ("createoptions", "-q -K -m reflink=1,crc=1"),
        ("mountoptions", "noatime,discard,logbsize=256k"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let defaults = OptionDefaults::default();
    criterion.bench_function("volume options", |b| {
        b.iter(|| VolumeOptions::parse(black_box(given.clone()), &defaults));
    });
    criterion.bench_function("size", |b| {
        b.iter(|| black_box("1.5TiB").parse::<Size>());
    });
    criterion.bench_function("label selector", |b| {
        b.iter(|| black_box("a=b,c notin (d,e,f),!g").parse::<LabelSelector>());
    });
}

fn names(criterion: &mut Criterion) {
    let namespace = Namespace::new("PURE-DEMO").expect("a good namespace");
    let mut group = criterion.benchmark_group("object names");
    let long = "größe ".repeat(30) + "x";
    for (kind, text) in [
        ("plain", "orders-1"),
        ("hashed", "Orders 1"),
        ("long", &long),
    ] {
        let name = VolumeName::new(text).expect("a good name");
        group.bench_function(kind, |b| {
            b.iter(|| object_names(black_box(&namespace), black_box(&name), &scene::RULES));
        });
    }
    group.finish();
}

criterion_group!(benches, options, names);
criterion_main!(benches);
