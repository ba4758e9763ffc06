//! A host with a LUN folder, either plain files or the simulator's FUSE file system, and an
//! attacher over it. Whatever a test leaves behind, mounted or bound, goes when the bed is
//! dropped.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use array_sim::{Lun, LunTable, luns};
use host_attach::{Config, LinuxAttacher, Observer};
use storage_core::{
    Access, AccessPath, ArrayId, AttachVolume, Attacher, Attachment, DeviceIdentity, Filesystem,
    FilesystemSpec, FormatGrant, Grant, Host, Initiators, Outcome, Ownership, Result, Size, Volume,
    VolumeId, VolumeName, VolumeState,
};
use tempfile::TempDir;
use uuid::Uuid;

pub const MIB: u64 = 1024 * 1024;

/// Returns from the test, saying why, when the machine cannot run it.
#[macro_export]
macro_rules! require_root {
    () => {
        if let Some(reason) = $crate::bed::missing() {
            println!("SKIPPED: {reason}");
            return;
        }
    };
}

pub fn missing() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root");
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("needs loop devices");
    }
    (!Path::new("/dev/fuse").exists()).then_some("needs /dev/fuse")
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests run the tools that made the data"
)]
pub fn tool(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{name} {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[expect(clippy::disallowed_methods, reason = "cleaning up after a test")]
fn try_tool(name: &str, arguments: &[&str]) {
    drop(Command::new(name).args(arguments).output());
}

/// How LUNs are shown.
enum Show {
    Plain,
    Fuse(LunTable, Mutex<Option<luns::LunMount>>),
}

/// How many beds there are; -1 for one that is alone. A process that copies the mount namespace
/// holds every test's mounts, so its test has no other beside it.
static BEDS: Mutex<i32> = Mutex::new(0);
static BEDS_CHANGED: Condvar = Condvar::new();

/// A place among the beds. Unlike the guards of a lock it may be dropped by another thread.
struct Turn(i32);

impl Turn {
    fn shared() -> Self {
        Self::take(1, |beds| beds >= 0)
    }

    fn alone() -> Self {
        Self::take(-1, |beds| beds == 0)
    }

    fn take(weight: i32, free: impl Fn(i32) -> bool) -> Self {
        let beds = BEDS.lock().unwrap_or_else(PoisonError::into_inner);
        let mut beds = BEDS_CHANGED
            .wait_while(beds, |beds| !free(*beds))
            .unwrap_or_else(PoisonError::into_inner);
        *beds += weight;
        Self(weight)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *BEDS.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        BEDS_CHANGED.notify_all();
    }
}

pub struct Bed {
    pub host: Host,
    show: Show,
    pub folder: TempDir,
    attacher: Option<Arc<LinuxAttacher>>,
    /// Released last.
    _turn: Turn,
    pub tool_dirs: Vec<PathBuf>,
    pub patience: Option<Duration>,
    pub healing_patience: Option<Duration>,
}

/// A volume of a bed.
#[derive(Clone, Debug)]
pub struct Disk {
    pub id: VolumeId,
    pub serial: String,
    pub size: u64,
    pub lun: u16,
    pub nonce: Uuid,
    pub data: PathBuf,
    pub file: PathBuf,
    pub grant: Option<FormatGrant>,
    pub spec: FilesystemSpec,
}

impl Bed {
    pub fn plain() -> Self {
        Self::new(false, Turn::shared(), &std::env::temp_dir())
    }

    pub fn fuse() -> Self {
        Self::new(true, Turn::shared(), &std::env::temp_dir())
    }

    /// A plain bed whose syncs cost nothing, for tests that repeat themselves a lot.
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        Self::new(false, Turn::shared(), &base)
    }

    /// A plain bed with no other test's bed beside it.
    pub fn alone() -> Self {
        Self::new(false, Turn::alone(), &std::env::temp_dir())
    }

    fn new(fuse: bool, turn: Turn, base: &Path) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("host-attach-")
            .tempdir_in(base)
            .unwrap();
        // A machine of its own: others' devices are on this kernel, too.
        let machine = Uuid::new_v4().simple().to_string();
        let host = Host::new("tester", &machine, Initiators::default());
        let luns_folder = folder.path().join("luns");
        fs::create_dir(&luns_folder).unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        let show = if fuse {
            let table = LunTable::new();
            table.add_host(&host.object_name());
            let mounted = luns::mount(table.clone(), &luns_folder).unwrap();
            Show::Fuse(table, Mutex::new(Some(mounted)))
        } else {
            fs::create_dir(luns_folder.join(host.object_name())).unwrap();
            Show::Plain
        };
        Self {
            _turn: turn,
            host,
            show,
            folder,
            attacher: None,
            tool_dirs: Vec::new(),
            patience: None,
            healing_patience: None,
        }
    }

    /// The attacher, opened when first asked for.
    pub fn attacher(&mut self) -> Arc<LinuxAttacher> {
        if self.attacher.is_none() {
            self.attacher = Some(self.open(None));
        }
        Arc::clone(self.attacher.as_ref().unwrap())
    }

    /// Ends the attacher, as a stop of its process would.
    pub fn stop(&mut self) {
        self.attacher = None;
    }

    pub fn open(&self, observer: Option<Arc<dyn Observer>>) -> Arc<LinuxAttacher> {
        let mut config = Config::new(self.state(), self.host.clone());
        config.observer = observer;
        config.tool_dirs.clone_from(&self.tool_dirs);
        config.patience = self.patience.unwrap_or(config.patience);
        config.healing_patience = self.healing_patience.unwrap_or(config.healing_patience);
        LinuxAttacher::open(config).unwrap()
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// A new volume with a grant, connected to this host.
    pub fn disk(&self, lun: u16, size: u64, kind: Filesystem) -> Disk {
        let serial = format!("{:024X}", Uuid::new_v4().as_u128() >> 32);
        let id = VolumeId::new(ArrayId::new("array-1"), format!("object-{serial}")).unwrap();
        let data = self.folder.path().join("data").join(&serial);
        File::create(&data).unwrap().set_len(size).unwrap();
        let disk = Disk {
            id,
            size,
            lun,
            nonce: Uuid::new_v4(),
            file: self.lun_folder().join(lun.to_string()),
            data,
            grant: Some(FormatGrant {
                filesystem: kind,
                uuid: Uuid::new_v4(),
            }),
            spec: FilesystemSpec {
                kind,
                create_options: vec![],
                mount_options: vec![],
            },
            serial,
        };
        self.connect(&disk);
        disk
    }

    /// Where this host is shown its LUNs.
    pub fn lun_folder(&self) -> PathBuf {
        let luns = self.folder.path().join("luns");
        luns.join(self.host.object_name())
    }

    /// The files of the ledger's records.
    pub fn record_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.state().join("ledger")).unwrap().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    pub fn connect(&self, disk: &Disk) {
        match &self.show {
            Show::Plain => {
                fs::hard_link(&disk.data, &disk.file).unwrap();
                fs::write(Self::serial_file(disk), format!("{}\n", disk.serial)).unwrap();
            }
            Show::Fuse(table, _) => {
                table.connect(
                    &self.host.object_name(),
                    disk.lun,
                    Lun::new(disk.serial.clone(), disk.data.clone(), disk.size),
                );
            }
        }
    }

    pub fn disconnect(&self, disk: &Disk) {
        match &self.show {
            Show::Plain => {
                fs::remove_file(Self::serial_file(disk)).unwrap();
                fs::remove_file(&disk.file).unwrap();
            }
            Show::Fuse(table, _) => assert!(table.disconnect(&self.host.object_name(), disk.lun)),
        }
    }

    pub fn table(&self) -> &LunTable {
        let Show::Fuse(table, _) = &self.show else {
            panic!("a plain bed has no table")
        };
        table
    }

    pub fn serial_file(disk: &Disk) -> PathBuf {
        disk.file.with_file_name(format!("{}.serial", disk.lun))
    }

    /// Loop devices over this bed's files, as sysfs shows them.
    pub fn loop_devices(&self) -> Vec<String> {
        let mut names = Vec::new();
        for entry in fs::read_dir("/sys/block").unwrap().flatten() {
            let backing =
                fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
            if backing.starts_with(self.folder.path().to_str().unwrap()) {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names
    }

    /// Mounts below this bed's state folder.
    pub fn mounts(&self) -> Vec<String> {
        let state = self.state().display().to_string();
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let targets = table.lines().filter_map(|line| line.split(' ').nth(4));
        targets
            .filter(|target| target.starts_with(&state))
            .map(str::to_owned)
            .collect()
    }

    /// Fails unless nothing of this bed is on the host any more.
    pub fn assert_clean(&self) {
        assert_eq!(self.mounts(), Vec::<String>::new());
        assert_eq!(self.loop_devices(), Vec::<String>::new());
        if let Ok(entries) = fs::read_dir(self.state().join("mounts")) {
            assert_eq!(entries.count(), 0, "mount points are left");
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.attacher = None;
        let mut mounts = self.mounts();
        mounts.reverse();
        for target in mounts {
            try_tool("umount", &["-l", &target]);
        }
        for name in self.loop_devices() {
            try_tool("losetup", &["-d", &format!("/dev/{name}")]);
        }
        if let Show::Fuse(_, mounted) = &self.show
            && let Ok(mut mounted) = mounted.lock()
            && let Some(mounted) = mounted.take()
        {
            drop(mounted);
        }
    }
}

impl Disk {
    pub fn name() -> VolumeName {
        serde_json::from_str("\"data volume\"").unwrap()
    }

    pub fn identity(&self) -> DeviceIdentity {
        DeviceIdentity {
            serial: self.serial.clone(),
            wwid: format!("3624a9370{}", self.serial.to_lowercase()),
        }
    }

    pub fn request(&self) -> AttachVolume {
        AttachVolume {
            name: Self::name(),
            object: "ns-data".into(),
            access: Access {
                volume: self.id.clone(),
                path: AccessPath::Loop {
                    file: self.file.clone(),
                },
                identity: self.identity(),
                size: Size::from_bytes(self.size),
                grant: Grant {
                    nonce: self.nonce,
                    host: "tester".into(),
                },
                format_grant: self.grant.clone(),
            },
            filesystem: self.spec.clone(),
            fresh_uuid: None,
        }
    }

    /// The same volume under a new grant of access.
    pub fn regranted(&self) -> Self {
        Self {
            nonce: Uuid::new_v4(),
            ..self.clone()
        }
    }

    pub fn volume(&self) -> Volume {
        Volume {
            id: self.id.clone(),
            name: Self::name(),
            object: "ns-data".into(),
            array_name: "a1".into(),
            size: Size::from_bytes(self.size),
            used: None,
            created_ms: None,
            identity: Some(self.identity()),
            filesystem: Some(self.spec.clone()),
            format_grant: self.grant.clone(),
            fresh_uuid: None,
            limits: storage_core::Limits::default(),
            holder: None,
            attributes: storage_core::Labels::default(),
            state: VolumeState::Ready,
            ownership: Ownership::Recorded,
        }
    }

    pub fn write_at(&self, offset: u64, bytes: &[u8]) {
        let file = fs::OpenOptions::new().write(true).open(&self.data).unwrap();
        file.write_all_at(bytes, offset).unwrap();
        file.sync_all().unwrap();
    }

    /// All of the volume's bytes, hashed by nothing: small test volumes are compared whole.
    pub fn bytes(&self) -> Vec<u8> {
        fs::read(&self.data).unwrap()
    }
}

/// Attaches and returns what was attached.
pub async fn attach(attacher: &LinuxAttacher, disk: &Disk) -> Result<Attachment> {
    attacher
        .attach(disk.request())
        .await
        .map(Outcome::into_inner)
}
