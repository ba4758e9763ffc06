//! Randomness, injected: nonces, UUIDs and jitter of the engine come from here and from nowhere
//! else, so that a run in one process can be repeated step by step from its seed.
//!
//! Nothing here keeps a secret: what is drawn tells attempts apart.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use uuid::Uuid;

use crate::claim::{ArrayNumber, ClaimNonce};

/// A source of random numbers.
pub trait Chance: fmt::Debug + Send + Sync + 'static {
    /// 64 random bits.
    fn bits(&self) -> u64;
}

/// The operating system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemChance;

impl Chance for SystemChance {
    fn bits(&self) -> u64 {
        rand::random()
    }
}

/// One that gives the same numbers for the same seed: for tests.
#[derive(Debug)]
pub struct SeededChance(AtomicU64);

impl SeededChance {
    /// Begins a sequence.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Chance for SeededChance {
    /// `SplitMix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    fn bits(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl dyn Chance {
    /// A random UUID (version 4).
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        let bits = u128::from(self.bits()) << 64 | u128::from(self.bits());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }

    /// 32 random bits.
    #[must_use]
    pub fn half(&self) -> u32 {
        let [a, b, c, d, ..] = self.bits().to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// A nonce for an attempt on that array.
    #[must_use]
    pub fn claim_nonce(&self, array: ArrayNumber) -> ClaimNonce {
        ClaimNonce::new(array, self.half())
    }

    /// A time from half to the whole of the given one: what is done by many at once spreads.
    #[must_use]
    pub fn jitter(&self, whole: Duration) -> Duration {
        let half = whole / 2;
        half + half.mul_f64(f64::from(self.half()) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Chance, SeededChance, SystemChance};
    use crate::claim::ArrayNumber;

    #[test]
    fn a_seed_gives_its_sequence_again() {
        let draw = |seed| {
            let chance: &dyn Chance = &SeededChance::new(seed);
            let nonce = chance.claim_nonce(ArrayNumber(3));
            (chance.uuid(), nonce, chance.half(), chance.uuid())
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let (first, nonce, _, second) = draw(7);
        assert_ne!(first, second);
        assert_eq!(first.get_version_num(), 4);
        assert_eq!(nonce.array(), ArrayNumber(3));
    }

    #[test]
    fn jitter_stays_within_its_half() {
        let chance: &dyn Chance = &SystemChance;
        for _ in 0..1000 {
            let time = chance.jitter(Duration::from_secs(10));
            assert!((Duration::from_secs(5)..=Duration::from_secs(10)).contains(&time));
        }
    }
}
