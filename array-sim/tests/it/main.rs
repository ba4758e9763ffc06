//! The simulator over HTTPS, as a client sees it.

mod client;
mod connections;
mod faults;
mod hosts;
mod paging;
mod persistence;
mod program;
mod sessions;
mod snapshots;
mod tags;
mod volumes;
