//! What people who look after volumes ask: which there are, who holds them, what is in the trash,
//! how the arrays are. The commands of `fairlead` that talk to arrays, as functions.
//!
//! Everything here reads, but for three: [`recover`], [`release`] and [`change_fleet`]. Nothing takes the
//! lock of a host's state, so
//! it works beside a running plugin. Every array is asked at once and within one deadline; one
//! that does not answer is told in the answer, never left out in silence.

mod advice;
mod arrays;
mod connections;
mod gather;
mod inspect;
mod membership;
mod name_votes;
mod reach;
mod recover;
mod release;
mod report;
mod sheet;
mod table;
mod text;
mod trash;
mod volumes;

pub use arrays::arrays;
pub use connections::{ConnectionFilter, Here, connections};
pub use inspect::inspect;
pub use membership::{Membering, Views, change_fleet, step_text};
pub use reach::{Arrays, Site};
pub use recover::{Recover, recover};
pub use release::release;
pub use report::{
    ArrayEntry, ArrayList, ConnectionEntry, ConnectionList, FenceEntry, FleetChange, FleetEntry,
    HostEntry, HostRelease, InspectedVolume, Inspection, LedgerState, MemberEntry, Recovery,
    TrashEntry, TrashList, Unavailable, VolumeEntry, VolumeList, schema_text,
};
pub use table::Table;
pub use trash::trash;
pub use volumes::{VolumeFilter, volumes};
