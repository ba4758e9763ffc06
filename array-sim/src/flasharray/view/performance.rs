//! Lines of `/arrays/performance`, `/volumes/performance` and their relatives: given figures, in
//! the vendor's terms.

use serde_json::{Map, Value, json};

use crate::flasharray::{Performance, RestVersion};

/// Properties that performance listings can be filtered and sorted by.
pub(crate) const PERFORMANCE: &[&str] = &[
    "id",
    "name",
    "time",
    "reads_per_sec",
    "writes_per_sec",
    "read_bytes_per_sec",
    "write_bytes_per_sec",
    "usec_per_read_op",
    "usec_per_write_op",
    "san_usec_per_read_op",
    "san_usec_per_write_op",
    "service_usec_per_read_op",
    "service_usec_per_write_op",
    "queue_usec_per_read_op",
    "queue_usec_per_write_op",
    "bytes_per_op",
    "bytes_per_read",
    "bytes_per_write",
    "queue_depth",
    "local_queue_usec_per_op",
];

/// What every kind of object has. Mirrored writes are those of stretched pods: none.
pub(crate) fn performance(figures: &Performance, version: RestVersion) -> Map<String, Value> {
    let per = |bytes: u64, operations: u64| bytes.checked_div(operations).unwrap_or(0);
    let bytes = figures.read_bytes_per_sec + figures.write_bytes_per_sec;
    let operations = figures.reads_per_sec + figures.writes_per_sec;
    let mut map = Map::new();
    let mut put = |name: &str, number: u64| {
        map.insert(name.to_owned(), json!(number));
    };
    put("reads_per_sec", figures.reads_per_sec);
    put("writes_per_sec", figures.writes_per_sec);
    put("read_bytes_per_sec", figures.read_bytes_per_sec);
    put("write_bytes_per_sec", figures.write_bytes_per_sec);
    put("bytes_per_op", per(bytes, operations));
    put(
        "bytes_per_read",
        per(figures.read_bytes_per_sec, figures.reads_per_sec),
    );
    put(
        "bytes_per_write",
        per(figures.write_bytes_per_sec, figures.writes_per_sec),
    );
    put("usec_per_read_op", figures.usec_per_read_op);
    put("usec_per_write_op", figures.usec_per_write_op);
    put("san_usec_per_read_op", figures.san_usec_per_read_op);
    put("san_usec_per_write_op", figures.san_usec_per_write_op);
    put("service_usec_per_read_op", figures.service_usec_per_read_op);
    put(
        "service_usec_per_write_op",
        figures.service_usec_per_write_op,
    );
    put("queue_usec_per_read_op", figures.queue_usec_per_op);
    put("queue_usec_per_write_op", figures.queue_usec_per_op);
    for name in [
        "bytes_per_mirrored_write",
        "mirrored_write_bytes_per_sec",
        "mirrored_writes_per_sec",
        "qos_rate_limit_usec_per_mirrored_write_op",
        "qos_rate_limit_usec_per_read_op",
        "qos_rate_limit_usec_per_write_op",
        "queue_usec_per_mirrored_write_op",
        "san_usec_per_mirrored_write_op",
        "service_usec_per_mirrored_write_op",
        "usec_per_mirrored_write_op",
    ] {
        put(name, 0);
    }
    // Absent in 2.26, present in 2.50; the version in between is not known.
    if version > RestVersion(26) {
        for name in [
            "qos_scheduling_usec_per_mirrored_write_op",
            "qos_scheduling_usec_per_read_op",
            "qos_scheduling_usec_per_write_op",
        ] {
            put(name, 0);
        }
    }
    // Absent in 2.2, present in 2.26.
    if version > RestVersion(2) {
        map.insert(
            "service_usec_per_read_op_cache_reduction".to_owned(),
            json!(0.0),
        );
    }
    map
}

/// The array has some more.
pub(crate) fn array_performance(figures: &Performance, version: RestVersion) -> Map<String, Value> {
    let mut map = performance(figures, version);
    let mut put = |name: &str, number: u64| {
        map.insert(name.to_owned(), json!(number));
    };
    put("local_queue_usec_per_op", figures.queue_usec_per_op);
    put("queue_depth", figures.queue_depth);
    put("others_per_sec", 0);
    put("usec_per_other_op", 0);
    map
}
