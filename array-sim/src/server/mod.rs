//! HTTPS in front of an array: listener, connections that can be broken, and one entry for all
//! calls.

mod connection;
mod entry;
mod listener;

pub(crate) use entry::serve_call;
pub(crate) use listener::{Listener, reserve};
