//! The suite on the reference implementations, with and without faults; and that no case is
//! missing from its list.

mod completeness;
mod memory;
