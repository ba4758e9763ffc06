//! The simulator over HTTPS, as a client sees it.

mod client;
mod clients;
mod connections;
mod containers;
mod fault_rules;
mod faults;
mod figures;
mod hosts;
mod limits;
mod listings;
mod paging;
mod persistence;
mod program;
mod protection;
mod readme;
mod sessions;
mod snapshots;
mod tags;
mod versions;
mod volumes;
mod witness;
