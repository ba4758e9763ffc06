//! Many processes over the same simulated arrays, killed and started again at any moment, with
//! faults by seed: what they were told is compared with what the arrays say happened.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "test code: a failed expectation is a failed test"
)]

mod budgets;
mod grants;
mod ledger_of_names;
mod names;
mod silent;
mod site;
mod witness;
