//! Sessions: API token in, session token out, gone when idle for too long or when told so.
//!
//! They live in memory: an array that restarts has none.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, u64>>);

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session's token.
    pub(crate) fn open(&self, now_ms: u64, idle_ms: u64) -> String {
        let token = Uuid::new_v4().to_string();
        let mut sessions = self.lock();
        sessions.retain(|_, used| idle_ms == 0 || now_ms.saturating_sub(*used) < idle_ms);
        sessions.insert(token.clone(), now_ms);
        token
    }

    /// Whether the token is good; if so, it was used now.
    pub(crate) fn check(&self, token: &str, now_ms: u64, idle_ms: u64) -> bool {
        let mut sessions = self.lock();
        match sessions.get_mut(token) {
            Some(used) if idle_ms == 0 || now_ms.saturating_sub(*used) < idle_ms => {
                *used = (*used).max(now_ms);
                true
            }
            Some(_) => {
                sessions.remove(token);
                false
            }
            None => false,
        }
    }

    pub(crate) fn close(&self, token: &str) -> bool {
        self.lock().remove(token).is_some()
    }

    pub(crate) fn close_all(&self) {
        self.lock().clear();
    }

    pub(crate) fn tokens(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lives_while_it_is_used() {
        let sessions = Sessions::default();
        let token = sessions.open(0, 1000);
        assert!(sessions.check(&token, 900, 1000));
        assert!(sessions.check(&token, 1800, 1000));
        assert!(!sessions.check(&token, 2800, 1000));
        assert!(!sessions.check(&token, 1800, 1000));
        let for_ever = sessions.open(0, 0);
        assert!(sessions.check(&for_ever, u64::MAX, 0));
        assert!(sessions.close(&for_ever));
        assert_eq!(sessions.count(), 0);
    }
}
