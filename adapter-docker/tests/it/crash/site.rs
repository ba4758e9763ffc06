//! One simulated array with two hosts on it: what is made ready before an operation, and what has
//! to be so after it, on the array, on the hosts and in the plugin's books.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use std::time::Duration;

use array_sim::{Array, ArrayConfig, FaultAction, FaultKind, FaultRule, Simulator};
use lab::array_rest::ArrayRest;
use lab::leftovers::{loop_devices, sweep};
use lab::mounts::mounts_under;
use lab::simulator::write_config;
use lab::wait::{self, Seen};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::node::{HOSTS, Node, PATIENCE, Passage};
use super::operation::{Facts, IOPS_LIMIT, Run, There, copying, creation, foreign_of, source_of};
use crate::kept::is_fleet_record;
use crate::world::entry;

/// A volume that is mounted all the time: whatever happens to others, it must not notice.
const BYSTANDER: &str = "bystander";
const MARKER: &str = "marker";
/// The mount ID on the host that a volume is taken from.
const OLD: &str = "old";

pub(super) struct Site {
    pub(super) nodes: Vec<Node>,
    pub(super) simulator: Simulator,
    bystander: PathBuf,
    /// Open for writing on the host that a volume is taken from, as its container has it.
    held: Option<File>,
    folder: TempDir,
}

impl Site {
    /// A site with one or two hosts, which may take volumes from each other.
    pub(super) async fn start(armed: &Path, hosts: usize, preempt: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("fl").tempdir().unwrap();
        let simulator = Simulator::builder()
            .array(ArrayConfig::new("a1"))
            .state_dir(folder.path().join("arrays"))
            .lun_folder(folder.path().join("luns"))
            .start()
            .await
            .unwrap();
        let entries: Vec<Value> = simulator.arrays().iter().map(entry).collect();
        write_config(&folder.path().join("pure.json"), "it", &entries).unwrap();
        let mut nodes = Vec::new();
        for host in &HOSTS[..hosts] {
            nodes.push(Node::start(folder.path(), host, armed, preempt).await);
        }
        let mut site = Self {
            nodes,
            simulator,
            bystander: PathBuf::new(),
            held: None,
            folder,
        };
        let first = &site.nodes[0];
        first
            .must("Create", &creation(BYSTANDER, "ext4"))
            .await
            .unwrap();
        site.bystander = first.mount(BYSTANDER, "always").await.unwrap();
        write_marker(&site.bystander, BYSTANDER);
        site
    }

    pub(super) fn first(&mut self) -> &mut Node {
        &mut self.nodes[0]
    }

    pub(super) fn array(&self) -> &Array {
        &self.simulator.arrays()[0]
    }

    /// Makes ready what an operation begins with.
    pub(super) async fn prepare(&mut self, run: Run<'_>, facts: &Facts) -> Result<(), String> {
        let node = &self.nodes[0];
        let name = run.volume;
        let source = source_of(name);
        let mut known = vec![BYSTANDER];
        if matches!(facts.there, There::Source | There::Copy) {
            node.must("Create", &creation(&source, run.filesystem))
                .await?;
            known.push(&source);
            let mountpoint = node.mount(&source, "a").await?;
            write_marker(&mountpoint, name);
            node.must("Unmount", &json!({"Name": source, "ID": "a"}))
                .await?;
        }
        if facts.there == There::Copy {
            node.must("Create", &copying(name)).await?;
            known.push(name);
        }
        if matches!(facts.there, There::Source | There::Copy) {
            return node.settled(&known).await;
        }
        if facts.there == There::Foreign {
            self.make_foreign(run).await?;
            return node.settled(&known).await;
        }
        if facts.there == There::Elsewhere {
            node.must("Create", &creation(name, run.filesystem)).await?;
            let mountpoint = self.nodes[1].mount(name, OLD).await?;
            write_marker(&mountpoint, name);
            self.held = Some(File::create(mountpoint.join("held")).unwrap());
            known.push(name);
            return node.settled(&known).await;
        }
        if facts.there != There::No {
            node.must("Create", &creation(name, run.filesystem)).await?;
            known.push(name);
        }
        if facts.marked {
            let mountpoint = node.mount(name, "a").await?;
            write_marker(&mountpoint, name);
        }
        for id in facts.ids.iter().filter(|id| **id != "a") {
            node.mount(name, id).await?;
        }
        if facts.marked && !facts.ids.contains(&"a") {
            node.must("Unmount", &json!({"Name": name, "ID": "a"}))
                .await?;
        }
        if facts.there == There::Trash {
            let message = "not now".to_owned();
            let mut refuse_destroy = FaultRule::new(FaultAction::Refuse { message });
            refuse_destroy.method = Some("PATCH".to_owned());
            refuse_destroy.path = Some("volumes".to_owned());
            refuse_destroy.skip = 1;
            self.array().add_rule(refuse_destroy);
            let removed = node.call("Remove", &json!({"Name": name})).await;
            self.array().clear_faults();
            match removed {
                Err(said) if said.contains("not now") => {}
                other => return Err(format!("half a remove: {other:?}")),
            }
        }
        node.settled(&known).await
    }

    /// An administrator's object with a file system: the array's copy of a volume of ours, which
    /// goes again.
    async fn make_foreign(&self, run: Run<'_>) -> Result<(), String> {
        let node = &self.nodes[0];
        let source = source_of(run.volume);
        node.must("Create", &creation(&source, run.filesystem))
            .await?;
        write_marker(&node.mount(&source, "a").await?, run.volume);
        node.must("Unmount", &json!({"Name": source, "ID": "a"}))
            .await?;
        let array = self.array();
        let address = array.address().to_string();
        let object = foreign_of(run.volume);
        let body =
            json!({"source": {"name": format!("it-{source}")}, "qos": {"iops_limit": IOPS_LIMIT}});
        let made = async {
            let admin = ArrayRest::login(&address, array.api_token()).await?;
            admin.make(&format!("volumes?names={object}"), &body).await
        };
        made.await.map_err(|error| format!("{error:#}"))?;
        node.must("Remove", &json!({"Name": source})).await?;
        Ok(())
    }

    /// The host that was shut out: its device is dead, its container ends.
    pub(super) async fn let_go(&mut self, run: Run<'_>) -> Result<(), String> {
        let node = &self.nodes[1];
        let mut held = self.held.take().unwrap();
        let written = held.write_all(b"late").and_then(|()| held.sync_all());
        drop(held);
        if written.is_ok() {
            return Err(format!("{} can still write", node.host));
        }
        node.must("Unmount", &json!({"Name": run.volume, "ID": OLD}))
            .await
            .map(drop)
    }

    /// The next request that this point is the answer of is executed so much later, and its
    /// connection reset at once.
    pub(super) fn make_late(&self, passage: &Passage, late: Duration) {
        let call = passage.point.strip_prefix("rest.answer ").unwrap();
        let (method, path) = call.split_once(" /").unwrap();
        let ms = u64::try_from(late.as_millis()).unwrap();
        let mut rule = FaultRule::once(method, path, FaultAction::Late { ms });
        rule.skip = u64::try_from(passage.number - 1).unwrap();
        self.array().add_rule(rule);
    }

    /// How many requests were executed late so far.
    pub(super) fn late_effects(&self) -> u64 {
        let counts = self.array().fault_counts();
        counts.get(&FaultKind::LateEffect).copied().unwrap_or(0)
    }

    /// Waits until one more was.
    pub(super) async fn late_has_come(&self, before: u64) -> Result<(), String> {
        let come = wait::until_true("the late request is executed", PATIENCE, || {
            self.late_effects() > before
        });
        come.await.map_err(|error| format!("{error:#}"))
    }

    /// Waits until everything is as it has to be; else what is not.
    pub(super) async fn check(&self, run: Run<'_>, facts: &Facts) -> Result<(), String> {
        self.check_at(0, run, facts).await
    }

    /// The same, with the volume in use on another host.
    pub(super) async fn check_at(
        &self,
        user: usize,
        run: Run<'_>,
        facts: &Facts,
    ) -> Result<(), String> {
        let checked = wait::until("all agree", PATIENCE, || async {
            let mut problems = self.on_array(user, run, facts);
            for (index, node) in self.nodes.iter().enumerate() {
                let mut facts = facts.clone();
                if index != user {
                    facts.ids.clear();
                }
                let ids = &facts.ids;
                problems.extend(self.on_host(index, node, run.volume, &facts));
                if index == user && facts.marked && !ids.is_empty() {
                    problems.extend(read_marker(&folder_of(node, run.volume), run.volume).err());
                }
            }
            problems.extend(read_marker(&self.bystander, BYSTANDER).err());
            Ok(match problems.is_empty() {
                true => Seen::Ready(()),
                false => Seen::NotYet(problems.join("; ")),
            })
        });
        checked.await.map_err(|error| format!("{error:#}"))
    }

    fn on_array(&self, user: usize, run: Run<'_>, facts: &Facts) -> Vec<String> {
        let mut problems = Vec::new();
        let volumes = self.array().volumes();
        let alive = || volumes.iter().filter(|volume| volume.destroyed.is_none());
        let named = format!("it-{}", run.volume);
        let live: Vec<_> = alive().filter(|volume| volume.name == named).collect();
        let trash = alive().filter(|volume| {
            let own = |tag: &array_sim::Tag| tag.key == "name" && tag.value == run.volume;
            volume.name.starts_with("it-fl-trash-") && volume.tags.iter().any(own)
        });
        let found = (live.len(), trash.count());
        let wanted = match facts.there {
            There::No | There::Source | There::Foreign => (0, 0),
            There::Elsewhere | There::Live | There::Copy => (1, 0),
            There::Trash => (0, 1),
        };
        if found != wanted {
            problems.push(format!("(live, trash): {found:?} and not {wanted:?}"));
        }
        let foreign = foreign_of(run.volume);
        if alive().any(|volume| volume.name == foreign) {
            problems.push(format!("{foreign} is still there under its old name"));
        }
        if live
            .iter()
            .any(|volume| volume.qos.iops_limit != Some(IOPS_LIMIT))
        {
            problems.push("it has not the limit that was asked for".to_owned());
        }
        let serials: BTreeSet<&str> = live.iter().map(|volume| volume.serial.as_str()).collect();
        let connected: Vec<String> = self
            .array()
            .connections()
            .into_iter()
            .filter(|one| serials.contains(one.serial.as_str()))
            .map(|one| one.host.unwrap_or_default())
            .collect();
        let in_use = !facts.ids.is_empty();
        let right = match connected.as_slice() {
            [] => !in_use,
            [one] => in_use && one.starts_with(HOSTS[user]),
            _ => false,
        };
        if !right {
            problems.push(format!("connected: {connected:?}"));
        }
        let holder = live.iter().flat_map(|volume| &volume.tags);
        let mut holder = holder.filter(|tag| tag.key == "holder");
        if in_use && !holder.any(|tag| tag.value.contains(HOSTS[user])) {
            problems.push("the holder is not on record".to_owned());
        }
        problems
    }

    /// The ledger, the counts, the mounts and the loop devices of a host. Not its intentions: what
    /// a crash left of a publish is looked at for ten minutes, also when the volume is gone, as a
    /// late request would meet one that is made anew under the name.
    fn on_host(&self, index: usize, node: &Node, volume: &str, facts: &Facts) -> Vec<String> {
        let ids = &facts.ids;
        let mut problems = Vec::new();
        let bystanders = usize::from(index == 0);
        let wanted = bystanders + usize::from(!ids.is_empty());
        let mut expect = |what: &str, found: usize, wanted: usize| {
            if found != wanted {
                problems.push(format!("{}: {found} {what} and not {wanted}", node.host));
            }
        };
        let state = node.state();
        expect("ledger records", records(&state).len(), wanted);
        let mounts = mounts_under(&state.join("mounts")).unwrap();
        expect("mounts", mounts.len(), wanted);
        expect("mount points", files(&state.join("mounts")).len(), wanted);
        let luns = self.array().lun_folder().unwrap();
        let devices = loop_devices().unwrap();
        let own = |file: &PathBuf| {
            let below = file.strip_prefix(luns).map(Path::to_string_lossy);
            below.is_ok_and(|below| below.starts_with(node.host))
        };
        let devices = devices.iter().filter(|(_, file)| own(file)).count();
        expect("loop devices", devices, wanted);
        let counted = counted(&state.join("docker/mounts"), volume);
        let ids: Vec<String> = ids.iter().map(|id| format!("{id}:1")).collect();
        if counted != ids {
            problems.push(format!(
                "{}: counted {counted:?} and not {ids:?}",
                node.host
            ));
        }
        problems
    }

    /// Takes everything down from where the operation ended; nothing may be left of it.
    pub(super) async fn finish(&mut self, run: Run<'_>, facts: &Facts) -> Result<(), String> {
        let name = run.volume;
        let gone = Facts {
            there: There::No,
            marked: false,
            ids: Vec::new(),
        };
        let node = &self.nodes[0];
        if facts.there == There::Live {
            let mut ids = facts.ids.clone();
            if ids.is_empty() {
                ids.push("last");
                node.mount(name, "last").await?;
            }
            let mountpoint = folder_of(node, name);
            if facts.marked {
                read_marker(&mountpoint, name)?;
            } else {
                // A file system that was made anew would not have it.
                write_marker(&mountpoint, name);
            }
            for id in &ids {
                node.must("Unmount", &json!({"Name": name, "ID": id}))
                    .await?;
            }
            if !facts.marked {
                let mountpoint = node.mount(name, "again").await?;
                read_marker(&mountpoint, name)?;
                node.must("Unmount", &json!({"Name": name, "ID": "again"}))
                    .await?;
            }
        }
        if facts.there != There::No {
            node.must("Remove", &json!({"Name": name})).await?;
        }
        let source = source_of(name);
        if alive(self.array(), &source) {
            node.must("Remove", &json!({"Name": source})).await?;
        }
        self.check(run, &gone).await
    }

    /// Ends it; gives the names of what is left on the array and not destroyed, without the fleet
    /// record, which is there from the first create on and for ever.
    pub(super) async fn end(mut self) -> Result<Vec<String>, String> {
        let node = &self.nodes[0];
        node.must("Unmount", &json!({"Name": BYSTANDER, "ID": "always"}))
            .await?;
        node.must("Remove", &json!({"Name": BYSTANDER})).await?;
        for node in &mut self.nodes {
            node.plugin
                .stop()
                .await
                .map_err(|error| format!("{error:#}"))?;
            let ledger = records(&node.state());
            if !ledger.is_empty() {
                return Err(format!("left in the ledger: {ledger:?}"));
            }
        }
        let connections = self.array().connections();
        if !connections.is_empty() {
            return Err(format!("left connected: {connections:?}"));
        }
        let volumes = self.array().volumes().into_iter();
        let alive = volumes.filter(|volume| volume.destroyed.is_none());
        let names = alive.map(|volume| volume.name);
        Ok(names.filter(|name| !is_fleet_record(name)).collect())
    }

    /// Where the logs are, for whoever has to look.
    pub(super) fn log_tail(&self) -> String {
        let tails = self.nodes.iter().map(|node| {
            let text = std::fs::read_to_string(node.plugin.log()).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(60)..].join("\n")
        });
        tails.collect::<Vec<_>>().join("\n---\n")
    }
}

impl Drop for Site {
    /// Also after a failure: no mount and no loop device stays behind.
    #[expect(clippy::print_stderr, reason = "a drop has no other way to say it")]
    fn drop(&mut self) {
        self.nodes.clear();
        for failure in sweep(self.folder.path()) {
            eprintln!("left behind: {failure}");
        }
    }
}

/// Whether the array has a volume of this name that is not destroyed.
fn alive(array: &Array, name: &str) -> bool {
    let volume = array.volume(&format!("it-{name}"));
    volume.is_some_and(|volume| volume.destroyed.is_none())
}

/// Where a host has a volume mounted: the folder is called like it.
fn folder_of(node: &Node, volume: &str) -> PathBuf {
    let folders = files(&node.state().join("mounts"));
    let begin = format!("{volume}-");
    let mut own = folders.into_iter().filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(&begin)
    });
    own.next().unwrap_or_default()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The ledger's records, but for the documented kind that stays: of a mkfs that was cut off and
/// that nobody asked for again.
fn records(state: &Path) -> Vec<PathBuf> {
    let mut records = files(&state.join("ledger"));
    records.retain(|path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        !text.contains("\"intent\":\"forgotten\"")
    });
    records
}

/// The mount IDs of a volume with their numbers, this daemon's and those from before.
fn counted(folder: &Path, volume: &str) -> Vec<String> {
    let mut counted = Vec::new();
    for file in files(folder) {
        let text = std::fs::read(&file).unwrap_or_default();
        let Ok(record) = serde_json::from_slice::<Value>(&text) else {
            continue;
        };
        if record["volume"] == volume {
            for (id, count) in record["mounts"].as_object().into_iter().flatten() {
                let number = |key: &str| count[key].as_u64().unwrap();
                counted.push(format!("{id}:{}", number("mounts") + number("carried")));
            }
        }
    }
    counted.sort();
    counted
}

/// Writes a file and has it on disk.
fn write_marker(mountpoint: &Path, text: &str) {
    let mut file = File::create(mountpoint.join(MARKER)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.sync_all().unwrap();
    File::open(mountpoint).unwrap().sync_all().unwrap();
}

fn read_marker(mountpoint: &Path, text: &str) -> Result<(), String> {
    match std::fs::read_to_string(mountpoint.join(MARKER)) {
        Ok(found) if found == text => Ok(()),
        other => Err(format!("DATA LOST at {}: {other:?}", mountpoint.display())),
    }
}
