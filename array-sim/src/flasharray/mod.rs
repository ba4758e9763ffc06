//! The `FlashArray` simulator: REST 2.x over a state machine.
//!
//! [`state`] holds the rules, `core` ties the state to what must change with it, `view` renders
//! records as the vendor's REST document describes them, `routes` is the table of calls.

mod api;
mod core;
mod figures;
mod naming;
pub(crate) mod routes;
mod settings;
pub(crate) mod state;
mod view;

pub(crate) use api::{Reply, Request, RestVersion};
pub(crate) use core::Core;
pub use figures::{Adjustment, Performance, VolumeFigures};
pub use settings::Port;
pub(crate) use settings::Settings;
