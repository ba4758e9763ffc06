//! Stateful simulators of storage arrays: HTTPS, faults by seed, LUNs as files.

pub mod lun_table;
pub mod luns;

pub use lun_table::{Lun, LunCounters, LunEvent, LunFaults, LunOperation, LunTable};
