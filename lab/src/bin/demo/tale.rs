//! What happens in the demo, in order.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::array_rest::ArrayRest;
use lab::docker::Engine;
use lab::environment::{Need, missing};
use lab::leftovers::{Leftover, Watch, sweep};
use lab::plugin::{PLUGINS, Plugin, PluginOptions, unique_name};
use lab::simulator::{SimulatedArray, Simulator};
use serde_json::Value;

use crate::story::Story;

const VOLUME: &str = "data";
/// The cluster's prefix on every array object.
const NAMESPACE: &str = "demo";
const TEXT: &str = "written by the first container";
/// For what happens in the background: a container that is started again, a detach.
const SOON: Duration = Duration::from_secs(60);

/// Everything that runs; dropped in this order, and swept at the end, whatever happened.
struct Stage {
    engine: Engine,
    plugin: Plugin,
    arrays: Simulator,
    folder: Folder,
}

impl Stage {
    /// The volume with its driver named, so that Docker never makes a local one in its place.
    fn mount(&self) -> String {
        format!(
            "type=volume,volume-driver={},source=data,target=/data",
            self.plugin.name()
        )
    }
}

/// The demo's folder; nothing stays mounted or attached under it.
struct Folder(tempfile::TempDir);

impl Drop for Folder {
    fn drop(&mut self) {
        for failure in sweep(self.0.path()) {
            crate::story::say(&format!("clean up: {failure}"));
        }
    }
}

pub(crate) async fn tell(story: &mut Story) -> Result<()> {
    let needs = [
        Need::Root,
        Need::Loop,
        Need::Fuse,
        Need::Docker,
        Need::Tool("mkfs.xfs"),
    ];
    if let Some(reason) = missing(&needs) {
        anyhow::bail!("this machine cannot run the demo: {reason}");
    }
    let folder = tempfile::Builder::new().prefix("fairlead-demo-").tempdir();
    let folder = Folder(folder.context("make a folder")?);
    let arrays = start_arrays(story, folder.0.path()).await?;
    let watch = watch(folder.0.path(), &arrays).begin()?;
    let plugin = start_plugin(story, folder.0.path(), &arrays).await?;
    let engine = start_engine(story, folder.0.path()).await?;
    let mut stage = Stage {
        engine,
        plugin,
        arrays,
        folder,
    };

    let told = perform(story, &mut stage, &watch).await;
    if told.is_err() {
        crate::story::say(&stage.plugin.log_tail(15));
        crate::story::say(&stage.engine.log_tail(5));
    }
    told?;
    finish(story, stage).await
}

async fn perform(story: &mut Story, stage: &mut Stage, watch: &Watch) -> Result<()> {
    let array = create(story, stage).await?;
    write(story, stage, watch).await?;
    read_elsewhere(story, stage, watch).await?;
    survive_a_restart(story, stage).await?;
    remove(story, stage, &array, watch).await
}

async fn start_arrays(story: &mut Story, folder: &Path) -> Result<Simulator> {
    let arrays = Simulator::start(folder, &["north", "south"]).await?;
    story.step("Two simulated FlashArrays speak REST over HTTPS, and show their LUNs as files.");
    for array in arrays.arrays() {
        let (name, address) = (&array.name, &array.address);
        Story::detail(&format!(
            "{name}: https://{address}, LUNs in {}",
            array.luns.display()
        ));
    }
    Ok(arrays)
}

async fn start_plugin(story: &mut Story, folder: &Path, arrays: &Simulator) -> Result<Plugin> {
    let config = folder.join("pure.json");
    arrays.write_config(&config, NAMESPACE)?;
    let mut options = PluginOptions::new(&config, folder.join("plugin"));
    let taken = Path::new(PLUGINS).join("fairlead.sock").exists();
    options.name = if taken {
        unique_name()
    } else {
        "fairlead".to_owned()
    };
    let plugin = Plugin::start(options).await?;
    let socket = plugin.socket();
    story.step(&format!(
        "The volume plugin answers on {}.",
        socket.display()
    ));
    Ok(plugin)
}

async fn start_engine(story: &mut Story, folder: &Path) -> Result<Engine> {
    let engine = Engine::start(folder).await?;
    engine.import_busybox("busybox").await?;
    let version = engine
        .docker(["version", "--format", "{{.Server.Version}}"])
        .await?;
    story.step(&format!(
        "A Docker engine of our own runs (version {version})."
    ));
    Ok(engine)
}

/// Creates the volume and finds, on the arrays themselves, which one was chosen.
async fn create(story: &mut Story, stage: &Stage) -> Result<SimulatedArray> {
    let driver = stage.plugin.name();
    let create = ["volume", "create", "-d", driver, "-o", "size=1GB", VOLUME];
    stage.engine.docker(create).await?;
    story.step(&format!("$ docker {}", create.join(" ")));
    let mut holders = Vec::new();
    for array in stage.arrays.arrays() {
        if !volumes(array, false).await?.is_empty() {
            holders.push(array.clone());
        }
    }
    story.check(holders.len() == 1, "the volume is on exactly one array")?;
    let array = holders.pop().context("no array has the volume")?;
    let object = volumes(&array, false).await?.join(", ");
    Story::detail(&format!(
        "the selector chose {}: volume {object}, 1 GB",
        array.name
    ));
    Ok(array)
}

async fn write(story: &mut Story, stage: &Stage, watch: &Watch) -> Result<()> {
    let script = format!(
        "echo '{TEXT}' > /data/file; sync; trap 'exit 0' TERM; while :; do sleep 0.1; done"
    );
    let mount = stage.mount();
    let options = [
        "run",
        "-d",
        "--name",
        "first",
        "--network",
        "none",
        "--mount",
        &mount,
    ];
    stage
        .engine
        .docker(options.into_iter().chain(["busybox", "sh", "-c", &script]))
        .await?;
    lab::wait::until("the first container writes", SOON, || async {
        let read = stage
            .engine
            .try_docker(["exec", "first", "cat", "/data/file"])
            .await?;
        Ok(if read.stdout.trim() == TEXT {
            lab::wait::Seen::Ready(())
        } else {
            lab::wait::Seen::NotYet(format!("{}{}", read.stdout, read.stderr))
        })
    })
    .await?;
    story.step("$ docker run --mount volume-driver=fairlead,source=data,… busybox sh -c \"echo … > /data/file\"");
    let found = watch.leftovers()?;
    for what in &found {
        // the ledger is the host's own record, not part of the path
        if !matches!(what, Leftover::File(_)) {
            Story::detail(&format!("in use: {what}"));
        }
    }
    let connected = found
        .iter()
        .any(|what| matches!(what, Leftover::Connection { .. }));
    let device = found
        .iter()
        .any(|what| matches!(what, Leftover::LoopDevice { .. }));
    story.check(
        connected && device,
        "the array shows a LUN to the host, which has a device on it",
    )
}

async fn read_elsewhere(story: &mut Story, stage: &Stage, watch: &Watch) -> Result<()> {
    stage.engine.docker(["rm", "-f", "first"]).await?;
    let released = wait_released(watch).await;
    story.step("$ docker rm -f first");
    released?;
    story.check(true, "nothing is mounted, attached or connected")?;
    Story::detail("unmounted, detached, disconnected at the array");
    let mount = stage.mount();
    let read = [
        "run",
        "--rm",
        "--network",
        "none",
        "--mount",
        &mount,
        "busybox",
        "cat",
        "/data/file",
    ];
    let text = stage.engine.docker(read).await?;
    story.step("$ docker run --mount volume-driver=fairlead,source=data,… busybox cat /data/file");
    Story::detail(&text);
    story.check(
        text == TEXT,
        "the second container reads what the first one wrote",
    )
}

async fn survive_a_restart(story: &mut Story, stage: &mut Stage) -> Result<()> {
    let options = [
        "run",
        "-d",
        "--name",
        "keeper",
        "--restart",
        "always",
        "--network",
        "none",
    ];
    let script = "trap 'exit 0' TERM; while :; do sleep 0.1; done";
    let mount = stage.mount();
    let rest = ["--mount", &mount, "busybox", "sh", "-c", script];
    stage.engine.docker(options.into_iter().chain(rest)).await?;
    story.step("A container with a restart policy holds the volume.");
    stage.engine.restart().await?;
    let text = lab::wait::until("the container runs again", SOON, || async {
        let read = stage
            .engine
            .try_docker(["exec", "keeper", "cat", "/data/file"])
            .await?;
        Ok(if read.success() {
            lab::wait::Seen::Ready(read.stdout.trim().to_owned())
        } else {
            lab::wait::Seen::NotYet(read.stderr)
        })
    })
    .await?;
    story.step("The Docker engine is restarted; the container comes back and reads the file.");
    story.check(text == TEXT, "the data is there after the restart")?;
    let options = stage.engine.docker(["volume", "inspect", VOLUME]).await?;
    let options: Value = serde_json::from_str(&options).context("read docker's answer")?;
    let driver = options.pointer("/0/Driver").and_then(Value::as_str);
    story.check(
        driver == Some(stage.plugin.name()),
        "the engine still knows the volume",
    )?;
    stage.engine.docker(["rm", "-f", "keeper"]).await?;
    Ok(())
}

async fn remove(
    story: &mut Story,
    stage: &Stage,
    array: &SimulatedArray,
    watch: &Watch,
) -> Result<()> {
    stage.engine.docker(["volume", "rm", VOLUME]).await?;
    story.step("$ docker volume rm data");
    story.check(
        volumes(array, false).await?.is_empty(),
        "the array lists no volume any more",
    )?;
    let destroyed = volumes(array, true).await?;
    story.check(destroyed.len() == 1, "the array keeps the destroyed volume")?;
    let object = destroyed.first().context("no destroyed volume")?;
    let name = &array.name;
    Story::detail(&format!(
        "{name} keeps it for 24 h as {object}; to have it back:"
    ));
    Story::detail(&format!("fairlead volume trash recover {VOLUME}"));
    wait_released(watch).await?;
    story.check(true, "nothing is left over on the host")?;
    story.step("Looked for leftovers: no mount, no device, no connection, no record of one.");
    Ok(())
}

async fn finish(story: &mut Story, stage: Stage) -> Result<()> {
    let Stage {
        mut engine,
        mut plugin,
        mut arrays,
        folder,
    } = stage;
    engine.stop().await?;
    plugin.stop().await?;
    story.check(!plugin.socket().exists(), "the plugin took its socket away")?;
    arrays.stop().await?;
    drop((engine, plugin, arrays, folder));
    story.step("Engine, plugin and arrays are ended, each by its process id.");
    Ok(())
}

fn watch(folder: &Path, arrays: &Simulator) -> Watch {
    let watch = Watch::new()
        .folder(folder.join("plugin"))
        .files(folder.join("plugin/state/ledger"));
    arrays
        .arrays()
        .iter()
        .fold(watch, |watch, array| watch.luns(&array.luns))
}

/// Waits until the host holds nothing: detaching may go on after Docker had its answer.
async fn wait_released(watch: &Watch) -> Result<()> {
    watch.assert_none(SOON).await
}

/// The names of our volumes on an array: what carries the namespace and is no claim's vote. A removed
/// volume is destroyed under another name, so that its own is free at once.
async fn volumes(array: &SimulatedArray, destroyed: bool) -> Result<Vec<String>> {
    let rest = ArrayRest::login(&array.address, &array.token).await?;
    let items = rest
        .items(&format!("volumes?destroyed={destroyed}"))
        .await?;
    let ours = items.iter().filter_map(|item| {
        let name = item.get("name")?.as_str()?;
        let is_ours = name.starts_with(&format!("{NAMESPACE}-"));
        let is_vote = name.starts_with(&format!("{NAMESPACE}-fl-claim-"));
        (is_ours && !is_vote).then(|| name.to_owned())
    });
    Ok(ours.collect())
}
