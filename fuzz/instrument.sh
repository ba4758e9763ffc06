#!/bin/sh
# As RUSTC_WORKSPACE_WRAPPER it compiles the workspace's own crates, and no others, with what
# libFuzzer's feedback needs: a counter for each edge, a table of their places, and a look at what is
# compared. LLVM's pass and its options are those that `cargo fuzz` passes; stable rustc takes them.
# Optimised, too: several times as many inputs a second.
exec "$@" \
  -Cpasses=sancov-module \
  -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares \
  -Copt-level=1
