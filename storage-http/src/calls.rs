//! Counts what was sent: the base of every statement about REST budgets.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::call::Method;

/// What counters and errors call a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallName {
    /// The method.
    pub method: Method,
    /// The path relative to the API's base.
    pub path: &'static str,
}

impl fmt::Display for CallName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// How often each call was sent, every attempt counted, answered or not.
#[derive(Debug, Default)]
pub struct Calls(Mutex<BTreeMap<CallName, u64>>);

impl Calls {
    pub(crate) fn count(&self, name: CallName) {
        *self.lock().entry(name).or_default() += 1;
    }

    /// The counts so far.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<CallName, u64> {
        self.lock().clone()
    }

    /// All calls together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.lock().values().sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<CallName, u64>> {
        // A panic elsewhere cannot leave a counter half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
