//! Linux: attach, format, mount and detach array volumes, crash-safe.
//!
//! [`LinuxAttacher`] implements [`storage_core::Attacher`]. It never talks to an array. It acts
//! only on what its ledger (one small file a volume, below the state folder) records, and only on
//! devices that prove, when asked live, to be the volume that publish named.
//!
//! What it promises:
//! - A device is formatted only if its volume carries a format grant *and* the device reads as
//!   blank, or shows nothing but this very grant's own work that was cut off. mkfs never gets a
//!   force flag.
//! - After kill -9 at any step, or a reboot, the next call converges: the host is observed, and
//!   the next step follows from what is seen.
//! - A mount made under one grant is never used, and never written to, under another.
//! - Nothing is forced: what is in use is refused, and whoever uses it is named.
//!
//! This build attaches by LOOP (files that a simulator shows); other protocols are further
//! connectors behind the same seam.

mod adopt;
mod attach;
mod attacher;
mod blank;
mod blocking;
mod connector;
mod device;
mod failure;
mod filesystem;
mod format;
mod fresh_uuid;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod intents;
mod ledger;
mod locks;
mod looks;
mod machine;
mod mount;
mod mountinfo;
mod reconcile;
mod remount;
mod resize;
mod runner;
mod steps;
mod sys;
mod teardown;
mod view;

pub use attacher::{Config, LinuxAttacher};
pub use identity::this_host;
pub use steps::{Moment, Observer, Step};
pub use view::{LedgerEntry, LedgerView, Recorded, view_ledger};
