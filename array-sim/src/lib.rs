#![doc = include_str!("../README.md")]

mod array;
mod calls;
mod clock;
mod config;
mod control;
mod events;
mod faults;
mod flasharray;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod lun_faults;
pub mod lun_table;
pub mod luns;
mod query;
mod server;
mod sessions;
mod simulator;
mod store;
mod witness;

pub use array::{Array, ConnectionInfo};
pub use calls::Call;
pub use config::{ArrayConfig, SimConfig};
pub use events::{ConnectionEvent, ConnectionEventKind};
pub use faults::{FaultAction, FaultKind, FaultPlan, FaultRule, LunFaultPlan};
pub use flasharray::state::{
    Connection, ConnectionTarget, Destroyed, Host, HostGroup, Limits, OnDestroy, Origin, Pod,
    ProtectionGroup, ProtectionGroupSeed, Qos, Snapshot, SpaceLeft, Tag, Volume, VolumeGroup,
};
pub use flasharray::{Adjustment, Performance, Port, VolumeFigures};
pub use lun_table::{
    Lun, LunCounters, LunEvent, LunFaults, LunOperation, LunTable, LunVolumeFaults,
};
pub use simulator::{Simulator, SimulatorBuilder, StartError};
pub use witness::{NameEvent, NameEventKind, SharedMoment};
