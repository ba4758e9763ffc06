//! The simulated arrays' data path on a machine without iSCSI: a FUSE file system that shows each
//! host its LUNs as files.
//!
//! ```text
//! <folder>/<host>/<lun>          the volume's bytes: as long as the volume, mode 0600
//! <folder>/<host>/<lun>.serial   the volume's serial, one line
//! ```
//!
//! Both files are there exactly while the connection is. A handle names a place (host and LUN
//! number), never a volume: each single read and write asks the [`LunTable`] what is there *now*.
//! Nothing there is an I/O error at once, so taking a connection away really fences a host. A
//! volume connected later under the same number is served to handles opened before, as a SCSI
//! device node outlives what it was made for; software that trusts an old device is meant to
//! come to grief here and not on a real array.
//!
//! The kernel caches nothing: direct I/O, and names and attributes that expire immediately. An
//! operation holds its connection until it is done, so when [`LunTable::disconnect`] returns, no
//! write of that host is still on its way to the volume.
//!
//! It is *not* an array: it knows neither names nor REST, and changes no connection. A flush is
//! answered when the bytes are in the page cache of the machine that runs the simulator: they
//! outlive the simulator's process (also when it is killed), not a power cut of that machine.
//! What does not outlive it is a handle: a device that was attached before the simulator ended
//! answers I/O errors for good, and must be attached again once the simulator is back.
//!
//! ```no_run
//! # fn main() -> std::io::Result<()> {
//! use array_sim::{LunTable, luns};
//!
//! let table = LunTable::new();
//! let mounted = luns::mount(table, std::path::Path::new("/run/array-sim/a1"))?;
//! // the control path connects and disconnects; hosts use the files
//! mounted.unmount()?;
//! # Ok(())
//! # }
//! ```

mod filesystem;
mod node;
mod reads_writes;
mod sessions;
mod volume_files;

#[cfg(test)]
mod tests;

pub use reads_writes::VolumeIo;
pub use sessions::{LunMount, mount};

#[cfg(doc)]
use crate::LunTable;
