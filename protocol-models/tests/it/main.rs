//! What the models say, with the bounds that fit into every test run; larger ones with
//! `FAIRLEAD_LONG=1`.

mod check;
mod claim;
mod claim_engine;
mod claim_replay;
mod claim_steps;
mod combined;
mod fence;
mod replay;
