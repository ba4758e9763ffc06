//! Several hosts and arrays on one machine: private Docker engines, simulated arrays, processes.
//!
//! What tests, benches and the demo share. No product code: everything here talks to the product
//! as its users do, through programs, sockets and files. Errors are `anyhow`, because the only
//! thing anybody does with them is read them.
//!
//! - [`process`]: the one place that starts programs; deadlines, logs, and an end for each.
//! - [`docker`]: a Docker engine of one's own, which can be stopped, killed and started again.
//! - [`simulator`]: simulated arrays and the configuration file that names them.
//! - [`plugin`]: the Docker volume plugin under test.
//! - [`array_rest`]: an administrator's look at an array, past the product.
//! - [`leftovers`]: what a test left behind, by name.
//! - [`environment`]: what this machine can do, and the reason for a skip.

pub mod array_rest;
pub mod docker;
pub mod environment;
pub mod leftovers;
pub mod mounts;
pub mod plugin;
pub mod process;
pub mod simulator;
pub mod unix_http;
pub mod wait;
