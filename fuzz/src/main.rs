//! libFuzzer's program for every target: `FUZZ_TARGET` names the one that it runs.

#![no_main]

use std::sync::LazyLock;

use fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

#[expect(
    clippy::panic,
    reason = "the end of a program that was called wrongly: there is no main to return from"
)]
static CHOSEN: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var_os("FUZZ_TARGET").unwrap_or_default();
    let chosen = name.to_str().and_then(fuzz::target);
    let Some(chosen) = chosen else {
        let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        panic!(
            "FUZZ_TARGET names no target; there are {}",
            names.join(", ")
        );
    };
    chosen
});

fuzz_target!(|data: &[u8]| CHOSEN(data));
