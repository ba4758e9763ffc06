//! The protocols' steps of a worker, as `docs/protocols/trace.md` has them: one line of JSON each.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::Event;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// The target of the events.
pub const TRACE_TARGET: &str = "fairlead::protocol";

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    /// Nanoseconds since the Unix epoch: orders the steps of all processes of one machine.
    pub at_ns: u64,
    /// Its fields; `node` is the worker's host where the step itself has none.
    pub fields: Map<String, Value>,
}

impl Traced {
    /// A field's text; empty when it has none.
    #[must_use]
    pub fn text(&self, field: &str) -> &str {
        let value = self.fields.get(field);
        value.and_then(Value::as_str).unwrap_or_default()
    }
}

/// Appends every step of this process to that file.
///
/// # Errors
/// When the file cannot be opened, or another subscriber is there.
pub fn follow(path: &Path, node: &str) -> Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    let layer = Steps {
        file: Mutex::new(file.with_context(|| format!("open {}", path.display()))?),
        node: node.to_owned(),
    };
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).context("follow the steps")
}

/// Adds that the process of that host was killed: with it goes what it knew.
///
/// # Errors
/// When the file cannot be written.
pub fn note_death(path: &Path, node: &str) -> Result<()> {
    let fields = [("step", "died"), ("node", node)];
    let fields = fields.map(|(name, value)| (name.to_owned(), Value::from(value)));
    let step = Traced {
        at_ns: now_ns(),
        fields: Map::from_iter(fields),
    };
    let mut line = serde_json::to_vec(&step).context("write a step")?;
    line.push(b'\n');
    let file = OpenOptions::new().create(true).append(true).open(path);
    let mut file = file.with_context(|| format!("open {}", path.display()))?;
    file.write_all(&line).context("write a step")
}

/// The steps of several workers, in order.
///
/// # Errors
/// When a file, or a whole line of it, cannot be read.
pub fn read_trace(paths: &[std::path::PathBuf]) -> Result<Vec<Traced>> {
    let mut steps = Vec::new();
    for path in paths {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        for line in text.get(..whole).unwrap_or_default().lines() {
            let step: Traced =
                serde_json::from_str(line).with_context(|| format!("read {line}"))?;
            steps.push(step);
        }
    }
    steps.sort_by_key(|step| step.at_ns);
    Ok(steps)
}

struct Steps {
    file: Mutex<File>,
    node: String,
}

impl<S: tracing::Subscriber> Layer<S> for Steps {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _context: Context<'_, S>) -> bool {
        metadata.target() == TRACE_TARGET
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let node = Value::from(self.node.as_str());
        fields.0.entry("node").or_insert(node);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // With the lock held: the lines of a file are in order.
        let step = Traced {
            at_ns: now_ns(),
            fields: fields.0,
        };
        let Ok(mut line) = serde_json::to_vec(&step) else {
            return;
        };
        line.push(b'\n');
        if let Err(error) = file.write_all(&line) {
            tracing::error!(%error, "a step cannot be written");
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "orders the steps of several processes; finer than the injected clock"
)]
fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), Value::from(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        self.0.insert(field.name().to_owned(), Value::from(text));
    }
}
