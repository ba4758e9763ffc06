//! A Swarm: who may be in one, and what becomes of names, volumes and data on three real engines.

mod failover;
mod names;
mod refused;
mod scale;
mod site;
