//! Looks at single volumes, which may hang with the volume's device: they take no lock, so each
//! caller would leave one more thread behind. Here a volume that has not answered for long is
//! asked no more until it does. How a look is done is in [`crate::reconcile`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use storage_core::{ErrorKind, Result};

use crate::failure::error;
use crate::ledger::Key;

type Begun = HashMap<(&'static str, Key), Instant>;

/// The looks under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Looks {
    begun: Arc<Mutex<Begun>>,
}

/// One look; over when it is dropped. It belongs with the work, not with the caller.
#[derive(Debug)]
pub(crate) struct Look {
    begun: Arc<Mutex<Begun>>,
    /// `None` when an earlier one of its kind is still noted.
    noted: Option<(&'static str, Key)>,
}

impl Looks {
    /// Begins to look at a volume.
    ///
    /// # Errors
    /// `Unavailable` when an earlier look of the kind has been under way for longer than `limit`.
    pub(crate) fn begin(&self, kind: &'static str, key: Key, limit: Duration) -> Result<Look> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = (kind, key);
        let noted = match begun.get(&entry) {
            Some(since) if since.elapsed() >= limit => {
                return Err(error(
                    ErrorKind::Unavailable,
                    format!(
                        "the volume's device or mount has not answered for {} s",
                        since.elapsed().as_secs()
                    ),
                ));
            }
            Some(_) => None,
            None => {
                begun.insert(entry.clone(), Instant::now());
                Some(entry)
            }
        };
        drop(begun);
        Ok(Look {
            begun: Arc::clone(&self.begun),
            noted,
        })
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        if let Some(noted) = &self.noted {
            let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
            begun.remove(noted);
        }
    }
}
