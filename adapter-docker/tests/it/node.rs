//! A host with a plugin, over arrays in memory, which can be restarted.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use adapter_docker::{Limits, OpenError, Plugin, PluginSettings, Server, SwarmProbe, bind};
use lab::wait::{self, Seen};
use serde_json::{Value, json};
use storage_core::{
    Backend, Engine, EngineSettings, Host, Initiators, MemoryArray, MemoryAttacher, MemoryBackend,
    Namespace, OptionDefaults, Size,
};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::raw::{self, Answer};
use crate::world::PATIENCE;

pub(crate) struct Node {
    pub(crate) folder: TempDir,
    pub(crate) array: Arc<MemoryArray>,
    pub(crate) attacher: Arc<MemoryAttacher>,
    pub(crate) engine: Arc<Engine>,
    plugin: Arc<Plugin>,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<bool>>,
    limits: Limits,
    swarm: SwarmProbe,
    /// Whether it takes volumes over, from its next start on.
    pub(crate) preempt: bool,
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::start_with(Limits::default(), None).await
    }

    pub(crate) async fn start_with(limits: Limits, swarm: Option<SwarmProbe>) -> Self {
        let array = MemoryArray::new("a1", Size::from_gib(1 << 20));
        let host = Host::new("node", "0123", Initiators::default());
        Self::over(array, host, limits, swarm).await
    }

    /// Another host on the same array.
    pub(crate) async fn beside(first: &Self, name: &str, machine: &str) -> Self {
        let host = Host::new(name, machine, Initiators::default());
        let array = Arc::clone(&first.array);
        Self::over(array, host, Limits::default(), None).await
    }

    async fn over(
        array: Arc<MemoryArray>,
        host: Host,
        limits: Limits,
        swarm: Option<SwarmProbe>,
    ) -> Self {
        let folder = TempDir::new().unwrap();
        let attacher = Arc::new(MemoryAttacher::new(host, vec![Arc::clone(&array)]));
        let preempt = true;
        // The machine that runs the tests may be in a Swarm; the node is not.
        let swarm = swarm.unwrap_or_else(|| {
            SwarmProbe::new(Some(folder.path().join("docker"))).with_proc(folder.path())
        });
        let (engine, plugin) = open(&folder, &array, &attacher, (&swarm, preempt)).await;
        let (stop, server) = (None, None);
        let mut node = Self {
            folder,
            array,
            attacher,
            engine,
            plugin,
            stop,
            server,
            limits,
            swarm,
            preempt,
        };
        node.serve().await;
        node
    }

    async fn serve(&mut self) {
        self.plugin.start().await.unwrap();
        let socket = bind(&self.socket()).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let server = Server::new(socket, Arc::clone(&self.plugin)).with_limits(self.limits);
        let until = async move { drop(stopped.await) };
        self.stop = Some(stop);
        self.server = Some(tokio::spawn(server.serve(until)));
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("fairlead.sock")
    }

    /// Stops the plugin; whether everything ended in time.
    pub(crate) async fn stop(&mut self) -> bool {
        drop(self.stop.take());
        let answered = self.server.take().unwrap().await.unwrap();
        self.plugin.stop(Duration::from_secs(5)).await && answered
    }

    /// Stops it and starts a new one on the same host, state and arrays.
    pub(crate) async fn restart(mut self) -> Self {
        self.stop().await;
        let Self {
            folder,
            array,
            attacher,
            engine,
            plugin,
            limits,
            swarm,
            preempt,
            ..
        } = self;
        drop((engine, plugin));
        let (engine, plugin) = open(&folder, &array, &attacher, (&swarm, preempt)).await;
        let (stop, server) = (None, None);
        let mut node = Self {
            folder,
            array,
            attacher,
            engine,
            plugin,
            stop,
            server,
            limits,
            swarm,
            preempt,
        };
        node.serve().await;
        node
    }

    pub(crate) async fn raw(&self, text: &str) -> Answer {
        raw::exchange(&self.socket(), text).await
    }

    pub(crate) async fn call(&self, call: &str, body: Value) -> Answer {
        let path = format!("/VolumeDriver.{call}");
        self.raw(&raw::request(&path, &body.to_string())).await
    }

    /// A new daemon introduces itself.
    pub(crate) async fn activate(&self) -> Answer {
        self.raw(&raw::request("/Plugin.Activate", "")).await
    }

    pub(crate) async fn create(&self, name: &str) {
        self.call("Create", json!({"Name": name, "Opts": {"size": "1GiB"}}))
            .await
            .ok();
    }

    pub(crate) async fn get(&self, name: &str) -> Answer {
        self.call("Get", json!({"Name": name})).await
    }

    pub(crate) async fn remove(&self, name: &str) -> Answer {
        self.call("Remove", json!({"Name": name})).await
    }

    pub(crate) async fn mount(&self, name: &str, id: &str) -> Answer {
        self.call("Mount", json!({"Name": name, "ID": id})).await
    }

    pub(crate) async fn unmount(&self, name: &str, id: &str) -> Answer {
        self.call("Unmount", json!({"Name": name, "ID": id})).await
    }

    /// Where the volume is mounted, as Path says; empty when it is not.
    pub(crate) async fn path(&self, name: &str) -> String {
        let answer = self.call("Path", json!({"Name": name})).await.ok();
        answer["Mountpoint"].as_str().unwrap().to_owned()
    }

    /// The volumes on the array, without what claims keep there.
    pub(crate) fn volumes(&self) -> Vec<String> {
        let mut objects = self.array.objects();
        objects.retain(|object| !object.starts_with("fl-") && !object.contains("-fl-"));
        objects
    }

    /// The number of files with mount counts.
    pub(crate) fn count_files(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("docker/mounts"))
            .unwrap()
            .count()
    }
}

async fn open(
    folder: &TempDir,
    array: &Arc<MemoryArray>,
    attacher: &Arc<MemoryAttacher>,
    (swarm, preempt): (&SwarmProbe, bool),
) -> (Arc<Engine>, Arc<Plugin>) {
    let namespace = Namespace::new("ns").unwrap();
    let backend: Arc<dyn Backend> =
        Arc::new(MemoryBackend::new(Arc::clone(array), namespace.clone()));
    let attacher = Arc::clone(attacher);
    let engine = Engine::builder(vec![backend], attacher)
        .settings(EngineSettings {
            ask_limit: Duration::from_secs(2),
            ..EngineSettings::default()
        })
        .build();
    let settings = || PluginSettings {
        namespace: namespace.clone(),
        defaults: OptionDefaults::default(),
        state: folder.path().to_path_buf(),
        own_namespace: true,
        swarm: swarm.clone(),
        answer_within: Duration::from_secs(110),
        managed: false,
        preempt,
    };
    // A plugin that was just stopped lets go of its lock a moment later: with its last connection's
    // task, and with a process that another test is about to start, which has all our files until then.
    let plugin = wait::until("the state is free", PATIENCE, || async {
        match Plugin::open(Arc::clone(&engine), settings()).await {
            Ok(plugin) => Ok(Seen::Ready(plugin)),
            Err(error @ OpenError::InUse { .. }) => Ok(Seen::NotYet(error.to_string())),
            Err(error) => Err(error.into()),
        }
    });
    let plugin = plugin.await.unwrap();
    (engine, plugin)
}
