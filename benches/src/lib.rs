//! Benches against the budgets in docs/performance.md
