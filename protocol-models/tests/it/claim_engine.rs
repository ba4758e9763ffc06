//! The engine's own trace of claims, held against the rules.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test: what fails is the test's failure"
)]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol_models::claim::replay::{Members, Traced, replay};
use storage_core::{
    ArrayId, Backend, Engine, Host, Initiators, MemoryArray, MemoryAttacher, MemoryBackend,
    Namespace, OptionDefaults, Size, VolumeName, VolumeOptions,
};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Event;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// The steps so far.
#[derive(Clone, Default)]
struct Steps(Arc<Mutex<Vec<Traced>>>);

impl Steps {
    fn push(&self, step: Traced) {
        let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        steps.push(step);
    }

    fn all(&self) -> Vec<Traced> {
        let steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        steps.clone()
    }
}

#[derive(Default)]
struct Fields(Vec<(&'static str, String)>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = format!("{value:?}");
        self.0
            .push((field.name(), text.trim_matches('"').to_owned()));
    }
}

impl<S: tracing::Subscriber> Layer<S> for Steps {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if event.metadata().target() != "fairlead::protocol" {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.push(Traced::read(|name| {
            let mut all = fields.0.iter();
            all.find(|(field, _)| *field == name)
                .map(|(_, value)| value.as_str())
        }));
    }
}

fn engine(arrays: &[Arc<MemoryArray>], host: &str) -> Arc<Engine> {
    let namespace = Namespace::new("test").unwrap();
    let backends = arrays.iter().map(|array| -> Arc<dyn Backend> {
        Arc::new(MemoryBackend::new(Arc::clone(array), namespace.clone()))
    });
    let host = Host::new(host, host, Initiators::default());
    let attacher = Arc::new(MemoryAttacher::new(host, arrays.to_vec()));
    Engine::builder(backends.collect(), attacher).build()
}

/// All nodes create the name at once; returns the id of what they all got.
async fn all_create(nodes: &[Arc<Engine>]) -> String {
    let mut asked = JoinSet::new();
    for node in nodes {
        let node = Arc::clone(node);
        asked.spawn(async move {
            let options = VolumeOptions::parse(
                [("size".to_owned(), "1GiB".to_owned())],
                &OptionDefaults::default(),
            );
            let deadline = Instant::now() + Duration::from_secs(100);
            let name = VolumeName::new("data").unwrap();
            node.create(name, options.unwrap(), deadline).await
        });
    }
    let mut ids = Vec::new();
    while let Some(answer) = asked.join_next().await {
        ids.push(answer.unwrap().unwrap().into_inner().id.to_string());
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1, "one volume: {ids:?}");
    ids.remove(0)
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_does_is_what_the_protocol_allows() {
    let steps = Steps::default();
    let subscriber = tracing_subscriber::registry().with(steps.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let arrays: Vec<_> = (1..=3)
        .map(|index| {
            let id = ArrayId::new(format!("id-{index}"));
            MemoryArray::with_id(id, format!("array-{index}"), Size::from_gib(1000))
        })
        .collect();
    let nodes = ["a", "b", "c", "d"].map(|host| engine(&arrays, host));
    let mut ids = Vec::new();
    for _time in 0..3 {
        let id = all_create(&nodes).await;
        let deadline = Instant::now() + Duration::from_secs(100);
        // The reference backend does not tell of its deletes.
        steps.push(Traced {
            step: "D1".to_owned(),
            answer: "asked".to_owned(),
            volume: id.clone(),
            ..Traced::default()
        });
        let name = VolumeName::new("data").unwrap();
        assert!(nodes[0].remove(name, deadline).await.unwrap().is_done());
        ids.push(id);
    }
    let numbers = || ["1", "2", "3"].map(str::to_owned).to_vec();
    let members = Members {
        all: numbers(),
        claim_arrays: numbers(),
    };
    let summary = replay(&members, &steps.all()).unwrap_or_else(|mismatch| {
        for (at, step) in steps.all().iter().enumerate().take(mismatch.at + 1) {
            println!("{at}: {step:?}");
        }
        panic!("{mismatch}")
    });
    assert_eq!(summary.acknowledged, 12, "{summary:?}");
    assert!(
        summary.committed >= 3 && summary.retired >= 2,
        "{summary:?}"
    );
}
