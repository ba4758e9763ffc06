//! Reaching every configured array at once, within one deadline.

use std::error::Error as _;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use storage_core::{Backend, Error, ErrorChain, Result};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::report::Unavailable;
use crate::config::Config;
use crate::fleet;

/// How long the ends of the sessions are waited for.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// A configured array.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its configured address.
    pub endpoint: String,
    /// How hosts reach its volumes, as configured.
    pub san_type: String,
    /// No new volumes are placed there.
    pub draining: bool,
    /// The array; or why its configuration cannot work.
    pub backend: std::result::Result<Arc<dyn Backend>, String>,
}

/// The arrays that a command asks.
#[derive(Debug)]
pub struct Arrays {
    pub(super) sites: Vec<Site>,
    /// Addresses of arrays that this version cannot ask.
    pub(super) unasked: Vec<Unavailable>,
    /// Only this one: an array's name or id, which only the array tells.
    wanted: Option<String>,
    deadline: Instant,
}

/// What the arrays answered, in the order of the configuration.
pub(super) struct Answers<T> {
    pub(super) told: Vec<(Site, T)>,
    pub(super) silent: Vec<Unavailable>,
}

impl Arrays {
    /// The arrays of a configuration. Nothing is asked yet.
    #[must_use]
    pub fn of(config: &Config, patience: Duration) -> Self {
        let blades = fleet::unasked(config).into_iter();
        let mut arrays = Self::new(fleet::sites(config), patience);
        arrays.unasked = blades
            .map(|blade| Unavailable {
                endpoint: blade.endpoint,
                error: blade.reason,
            })
            .collect();
        arrays
    }

    /// These arrays. All that is asked of them ends within `patience` from now.
    #[must_use]
    pub fn new(sites: Vec<Site>, patience: Duration) -> Self {
        Self {
            sites,
            unasked: Vec::new(),
            wanted: None,
            deadline: Instant::now() + patience,
        }
    }

    /// Only the array with this address, name or id. Others are not asked where it is an address.
    #[must_use]
    pub fn only(mut self, array: Option<&str>) -> Self {
        let Some(array) = array else {
            return self;
        };
        if self.sites.iter().any(|site| site.endpoint == array) {
            self.sites.retain(|site| site.endpoint == array);
        } else {
            self.wanted = Some(array.to_owned());
        }
        self
    }

    /// Whether the answers of this array were asked for.
    fn wants(&self, backend: &dyn Backend) -> bool {
        let Some(wanted) = &self.wanted else {
            return true;
        };
        let identity = backend.survey().and_then(|survey| survey.identity());
        identity.is_some_and(|one| one.name == *wanted || one.id.as_str() == wanted)
    }

    /// Asks every array at once.
    pub(super) async fn ask<T, F, R>(&self, question: F) -> Answers<T>
    where
        T: Send + 'static,
        F: Fn(Arc<dyn Backend>) -> R,
        R: Future<Output = Result<T>> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        let mut answers: Vec<Option<std::result::Result<T, String>>> = Vec::new();
        for (at, site) in self.sites.iter().enumerate() {
            match &site.backend {
                Ok(backend) => {
                    let asked = question(Arc::clone(backend));
                    let deadline = self.deadline;
                    tasks.spawn(async move { (at, timeout_at(deadline, asked).await) });
                    answers.push(None);
                }
                Err(reason) => answers.push(Some(Err(reason.clone()))),
            }
        }
        while let Some(ended) = tasks.join_next().await {
            let Ok((at, answer)) = ended else { continue };
            let answer = match answer {
                Ok(answer) => answer.map_err(|error| told(&error)),
                Err(_elapsed) => Err("it did not answer in time (--timeout)".to_owned()),
            };
            if let Some(place) = answers.get_mut(at) {
                *place = Some(answer);
            }
        }
        self.sort(answers)
    }

    fn sort<T>(&self, answers: Vec<Option<std::result::Result<T, String>>>) -> Answers<T> {
        let (mut told, mut silent) = (Vec::new(), Vec::new());
        for (site, answer) in self.sites.iter().zip(answers) {
            match answer {
                Some(Ok(answer)) => {
                    let wanted = site.backend.as_deref();
                    if wanted.is_ok_and(|backend| self.wants(backend)) {
                        told.push((site.clone(), answer));
                    }
                }
                Some(Err(error)) => silent.push(unavailable(site, error)),
                None => silent.push(unavailable(
                    site,
                    "asking it ended without an answer".into(),
                )),
            }
        }
        Answers { told, silent }
    }

    /// Whether an array that was asked for alone is there, as far as the arrays have told.
    pub fn has_wanted(&self) -> bool {
        let mut reached = self
            .sites
            .iter()
            .filter_map(|site| site.backend.as_deref().ok());
        reached.any(|backend| self.wants(backend))
    }

    /// Arrays that this version cannot ask, and why.
    #[must_use]
    pub fn unasked(&self) -> &[Unavailable] {
        &self.unasked
    }

    /// Ends the sessions at the arrays.
    pub async fn close(&self) {
        let mut tasks = JoinSet::new();
        for backend in self
            .sites
            .iter()
            .filter_map(|site| site.backend.clone().ok())
        {
            tasks.spawn(async move { backend.close().await });
        }
        // A session that is not ended in time ends by itself.
        drop(timeout(CLOSE_PATIENCE, tasks.join_all()).await);
    }
}

/// An array's error, for those who are told which array it is and what was asked.
fn told(error: &Error) -> String {
    let mut text = error.message().to_owned();
    let known = error.context().iter().filter(|(key, _)| *key != "array");
    let known: Vec<String> = known
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    if !known.is_empty() {
        text = format!("{text} ({})", known.join(", "));
    }
    match error.source() {
        Some(source) => format!("{text}: {}", ErrorChain::new(source)),
        None => text,
    }
}

fn unavailable(site: &Site, error: String) -> Unavailable {
    Unavailable {
        endpoint: site.endpoint.clone(),
        error,
    }
}
