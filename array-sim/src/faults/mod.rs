//! Faults of the control path: by probability and seed, or by rule, one call at a time.
//!
//! Each call that arrives gets a number. What the [`FaultPlan`] does to call *n* depends on the
//! seed, the array's name and *n* alone, so the same calls in the same order meet the same faults.
//! [`FaultRule`]s come first: they pick calls by what they are, and are what a test uses to break
//! one certain step.

mod plan;
mod rule;

pub use plan::{FaultAction, FaultKind, FaultPlan, LunFaultPlan};
pub use rule::FaultRule;
pub(crate) use rule::Incoming;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// What happens to one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) delay: Duration,
    pub(crate) action: Option<FaultAction>,
}

#[derive(Debug)]
pub(crate) struct Faults {
    seed: u64,
    inner: Mutex<Inner>,
    /// Calls held by a rule go on when this number grows.
    released: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    plan: FaultPlan,
    rules: Vec<Armed>,
    calls: u64,
    counts: BTreeMap<FaultKind, u64>,
    held: usize,
}

#[derive(Debug)]
struct Armed {
    rule: FaultRule,
    seen: u64,
    used: u64,
}

impl Faults {
    pub(crate) fn new(seed: u64, array: &str, plan: FaultPlan) -> Self {
        let name_hash = array
            .bytes()
            .fold(0, |hash: u64, byte| mix(hash ^ u64::from(byte)));
        Self {
            seed: mix(seed) ^ name_hash,
            inner: Mutex::new(Inner {
                plan,
                rules: Vec::new(),
                calls: 0,
                counts: BTreeMap::new(),
                held: 0,
            }),
            released: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn plan(&self) -> FaultPlan {
        self.lock().plan.clone()
    }

    pub(crate) fn set_plan(&self, plan: FaultPlan) {
        self.lock().plan = plan;
    }

    pub(crate) fn add_rule(&self, rule: FaultRule) {
        self.lock().rules.push(Armed {
            rule,
            seen: 0,
            used: 0,
        });
    }

    /// Ends all rules and the plan, and lets go of what is held.
    pub(crate) fn clear(&self) {
        {
            let mut inner = self.lock();
            inner.plan = FaultPlan::default();
            inner.rules.clear();
        }
        self.release();
    }

    /// Lets the calls go on that are held now.
    pub(crate) fn release(&self) {
        self.released.send_modify(|released| *released += 1);
    }

    /// How many calls are held.
    pub(crate) fn held(&self) -> usize {
        self.lock().held
    }

    /// Waits until [`Faults::release`].
    pub(crate) async fn hold(&self) {
        let mut released = self.released.subscribe();
        let seen = *released.borrow_and_update();
        self.lock().held += 1;
        let _held = Held(self);
        while *released.borrow_and_update() == seen {
            if released.changed().await.is_err() {
                return;
            }
        }
    }

    pub(crate) fn counts(&self) -> BTreeMap<FaultKind, u64> {
        self.lock().counts.clone()
    }

    pub(crate) fn count(&self, kind: FaultKind) {
        *self.lock().counts.entry(kind).or_default() += 1;
    }

    /// Decides about the next call.
    pub(crate) fn decide(&self, call: &Incoming<'_>) -> Decision {
        let mut inner = self.lock();
        let number = inner.calls;
        inner.calls += 1;
        let dice = Dice {
            key: mix(self.seed ^ mix(number)),
        };
        let ruled = inner
            .rules
            .iter_mut()
            .zip(RULE_DICE..)
            .find_map(|(armed, which)| armed.takes(call, dice, which));
        let mut decision = match ruled {
            Some(FaultAction::Delay { ms }) => Decision {
                delay: Duration::from_millis(ms),
                action: None,
            },
            Some(action) => Decision {
                delay: Duration::ZERO,
                action: Some(action),
            },
            None => inner.plan.roll(&dice),
        };
        if let Some(FaultAction::Pass) = decision.action {
            decision.action = None;
        }
        let kinds = [
            (!decision.delay.is_zero()).then_some(FaultKind::Delay),
            decision.action.as_ref().map(FaultAction::kind),
        ];
        for kind in kinds.into_iter().flatten() {
            *inner.counts.entry(kind).or_default() += 1;
        }
        decision
    }
}

/// The number of the first rule's die; those of the plan are below.
const RULE_DICE: u64 = 1000;

struct Held<'a>(&'a Faults);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.held = inner.held.saturating_sub(1);
    }
}

impl Armed {
    fn takes(&mut self, call: &Incoming<'_>, dice: Dice, which: u64) -> Option<FaultAction> {
        if !self.rule.fits(call) {
            return None;
        }
        self.seen += 1;
        if self.seen <= self.rule.skip || self.rule.times.is_some_and(|times| self.used >= times) {
            return None;
        }
        let share = self.rule.probability;
        if share.is_some_and(|share| !dice.falls(which, share)) {
            return None;
        }
        self.used += 1;
        Some(self.rule.action.clone())
    }
}

/// The random numbers of one call: any of them can be asked for in any order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dice {
    key: u64,
}

impl Dice {
    fn number(self, which: u64) -> u64 {
        mix(self.key ^ mix(which.wrapping_add(1)))
    }

    /// True with this probability.
    pub(crate) fn falls(self, which: u64, probability: f64) -> bool {
        // 53 bits: as many as a double holds.
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let share = (self.number(which) >> 11) as f64 / (1_u64 << 53) as f64;
        share < probability
    }

    /// A number of milliseconds between two, both included.
    pub(crate) fn between(self, which: u64, low: u64, high: u64) -> Duration {
        let span = high.saturating_sub(low).saturating_add(1).max(1);
        Duration::from_millis(low.saturating_add(self.number(which) % span))
    }
}

/// The finishing step of `SplitMix64`: every bit of the input changes half of the output.
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> FaultPlan {
        FaultPlan {
            reset_before: 0.2,
            too_many_requests: 0.2,
            delay_min_ms: 1,
            delay_max_ms: 50,
            ..FaultPlan::default()
        }
    }

    fn call(method: &str) -> Incoming<'_> {
        Incoming {
            method,
            path: "volumes",
            query: "",
            body: b"",
        }
    }

    #[test]
    fn a_rule_takes_its_share_by_the_seed() {
        let taken = |seed| {
            let faults = Faults::new(seed, "a", FaultPlan::default());
            let mut rule = FaultRule::new(FaultAction::Busy);
            rule.probability = Some(0.3);
            faults.add_rule(rule);
            let decided = (0..1000).map(|_| faults.decide(&call("GET")).action.is_some());
            decided.collect::<Vec<_>>()
        };
        let first = taken(1);
        let share = first.iter().filter(|taken| **taken).count();
        assert!((230..370).contains(&share), "{share}");
        assert_eq!(first, taken(1));
        assert_ne!(first, taken(2));
    }

    fn decisions(seed: u64, array: &str) -> Vec<Decision> {
        let faults = Faults::new(seed, array, plan());
        (0..200).map(|_| faults.decide(&call("GET"))).collect()
    }

    #[test]
    fn the_same_seed_decides_the_same() {
        assert_eq!(decisions(7, "a"), decisions(7, "a"));
        assert_ne!(decisions(7, "a"), decisions(8, "a"));
        assert_ne!(decisions(7, "a"), decisions(7, "b"));
    }

    #[test]
    fn probabilities_are_about_right_and_counted() {
        let faults = Faults::new(1, "a", plan());
        for _ in 0..2000 {
            faults.decide(&call("GET"));
        }
        let counts = faults.counts();
        let resets = counts.get(&FaultKind::ResetBefore).copied().unwrap();
        assert!((300..500).contains(&resets), "{resets}");
        assert!(counts.contains_key(&FaultKind::TooManyRequests));
        assert_eq!(counts.get(&FaultKind::Delay), Some(&2000));
    }

    #[test]
    fn a_rule_takes_the_call_it_is_for() {
        let faults = Faults::new(1, "a", FaultPlan::default());
        let mut rule = FaultRule::new(FaultAction::ResetAfter);
        rule.method = Some("PATCH".to_owned());
        rule.path = Some("volumes".to_owned());
        rule.skip = 1;
        rule.times = Some(1);
        faults.add_rule(rule);
        let patch = || faults.decide(&call("PATCH")).action;
        assert_eq!(faults.decide(&call("GET")).action, None);
        assert_eq!(patch(), None);
        assert_eq!(patch(), Some(FaultAction::ResetAfter));
        assert_eq!(patch(), None);
    }

    #[tokio::test]
    async fn a_held_call_goes_on_when_released() {
        let faults = Faults::new(1, "a", FaultPlan::default());
        let (_, ()) = tokio::join!(faults.hold(), async {
            while faults.held() == 0 {
                tokio::task::yield_now().await;
            }
            faults.release();
        });
        assert_eq!(faults.held(), 0);
    }
}
