//! Seeds by the hundred, a replay, and the proof that the checks can fail.
mod seeds;
