//! Claim and fence together, on small bounds: a name is created, mounted, formatted, fenced,
//! removed and created again, each part at every step of the others.
//!
//! The fence is the whole model of [`crate::fence`]. The claim is kept abstract: one claim array
//! with one marker, so a majority is that marker, and nodes that create have the steps C0 to C3
//! with helping, withdrawing and retiring; its own model ([`crate::claim`]) has the majorities, the
//! silent arrays and the clocks, and here the sweeper comes when no create is under way. What is checked here is the seam: what a create
//! takes for absent, what a remove leaves half done, what a late commit brings back.

#![expect(
    clippy::indexing_slicing,
    reason = "creators and volumes are the model's own small numbers, never outside input"
)]

mod claim;
mod model;

pub use claim::{Creator, Stage};
pub use model::{Combined, Event, Missing, ONE_NAME, State};
