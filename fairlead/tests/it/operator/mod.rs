//! The commands that ask arrays, as people and programs meet them: on simulated arrays of several
//! REST versions, with some of them silent, and with a volume that is stuck.

use std::ffi::OsString;
use std::path::PathBuf;

use array_sim::{Array, ArrayConfig, Simulator};
use backend_flasharray::{FlashArray, FlashArrayConfig, San};
use fairlead::cli;
use serde_json::{Value, json};
use storage_core::{
    ArrayNumber, Backend, ClaimNonce, CreateVolume, DeleteVolume, Filesystem, FilesystemSpec, Host,
    Initiators, Labels, Limits, Namespace, Preemption, PublishVolume, Secret, Size, Volume,
    VolumeName,
};
use storage_http::Trust;
use tempfile::TempDir;

mod here;
mod membership;
mod memory;
mod name_votes;
mod release;
mod shapes;
mod silent;
mod stuck;
mod trash;

/// Simulated arrays and the configuration that names them.
struct Scene {
    simulator: Simulator,
    folder: TempDir,
}

/// What a command said.
struct Said {
    code: u8,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}{}", self.out, self.err))
    }
}

impl Scene {
    async fn new(arrays: &[&str]) -> Self {
        Self::of(arrays.iter().map(|name| ArrayConfig::new(*name)).collect()).await
    }

    async fn of(arrays: Vec<ArrayConfig>) -> Self {
        let mut builder = Simulator::builder();
        for array in arrays {
            builder = builder.array(array);
        }
        let scene = Self {
            simulator: builder.start().await.unwrap(),
            folder: TempDir::new().unwrap(),
        };
        let arrays = scene.simulator.arrays().iter();
        let entries: Vec<Value> = arrays
            .map(|array| {
                json!({"MgmtEndPoint": array.address().to_string(), "APIToken": array.api_token(),
                    "Fingerprint": array.fingerprint(), "SanType": "LOOP", "LoopFolder": "/tmp",
                    "Labels": {"rack": array.name()}})
            })
            .collect();
        scene.configure(&json!({"Namespace": "ns", "FlashArrays": entries}));
        scene
    }

    fn configure(&self, file: &Value) {
        std::fs::write(self.file(), file.to_string()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("pure.json")
    }

    fn array(&self, at: usize) -> &Array {
        &self.simulator.arrays()[at]
    }

    fn node(&self, at: usize) -> FlashArray {
        let array = self.array(at);
        let san = San::Loop {
            folder: "/tmp".into(),
        };
        let mut config = FlashArrayConfig::new(
            array.address().to_string(),
            Secret::new(array.api_token()),
            Namespace::new("ns").unwrap(),
            san,
        );
        config.trust = Trust::Fingerprint(array.fingerprint().parse().unwrap());
        FlashArray::new(config).unwrap()
    }

    async fn make(&self, at: usize, text: &str) -> Volume {
        make(&self.node(at), text).await
    }

    /// Runs the command line in a thread of its own, as a program would.
    async fn run(&self, words: &[&str]) -> Said {
        let mut all: Vec<OsString> = vec!["fairlead".into()];
        all.extend(words.iter().map(OsString::from));
        all.extend(["--config".into(), self.file().into_os_string()]);
        let local = words.contains(&"inspect") || words.contains(&"connections");
        if local && !words.contains(&"--state-dir") {
            let state = self.folder.path().join("state");
            all.extend(["--state-dir".into(), state.into_os_string()]);
        }
        let task = tokio::task::spawn_blocking(move || {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let code = cli::run(all, &mut out, &mut err);
            Said {
                code,
                out: String::from_utf8(out).unwrap(),
                err: String::from_utf8(err).unwrap(),
            }
        });
        task.await.unwrap()
    }

    async fn json(&self, words: &[&str]) -> Value {
        let said = self.run(&[words, &["-o", "json"]].concat()).await;
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        said.json()
    }
}

fn name(text: &str) -> VolumeName {
    VolumeName::new(text).unwrap()
}

async fn make(node: &FlashArray, text: &str) -> Volume {
    let request = CreateVolume {
        name: name(text),
        size: Size::from_gib(1),
        filesystem: FilesystemSpec::new(Filesystem::Xfs),
        format_grant: None,
        limits: Limits::default(),
        attributes: Labels::from([
            ("created-by".to_owned(), "node-1".to_owned()),
            ("team".to_owned(), "db\u{202e}".to_owned()),
        ]),
        nonce: ClaimNonce::by_chance(ArrayNumber::default()),
    };
    node.create(request).await.unwrap().into_inner()
}

async fn give(node: &FlashArray, volume: &Volume, host: &Host) {
    let request = PublishVolume {
        volume: volume.clone(),
        host: host.clone(),
        preemption: Preemption::Refuse,
        avoid_luns: Vec::new(),
    };
    node.publish(request).await.unwrap().into_inner();
}

async fn remove(node: &FlashArray, volume: &Volume) {
    let volume = volume.clone();
    let _outcome = node.delete(DeleteVolume { volume }).await.unwrap();
}

fn host(text: &str) -> Host {
    Host::new(text, &format!("machine {text}"), Initiators::default())
}
