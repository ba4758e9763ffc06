//! What must never be formatted, through the whole product: engine, FlashArray REST, LUN, loop
//! device. Every case has a format grant or had one, and every case ends with the same bytes.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use array_sim::{Array, ArrayConfig, FaultAction, FaultRule, Lun, LunOperation, Simulator};
use backend_flasharray::{FlashArray, FlashArrayConfig, San};
use host_attach::{Config, LinuxAttacher};
use lab::array_rest::ArrayRest;
use lab::environment::{Need, ready};
use serde_json::json;
use storage_core::{
    Backend, Engine, ErrorKind, Host, Initiators, Namespace, OptionDefaults, Secret, Volume,
    VolumeName, VolumeOptions,
};
use storage_http::Trust;
use tempfile::TempDir;
use tokio::time::Instant;

const MIB: u64 = 1 << 20;
const SIZE: u64 = 64 * MIB;
const NEEDS: [Need; 4] = [Need::Root, Need::Fuse, Need::Loop, Need::Tool("mkfs.ext4")];

struct World {
    engine: Arc<Engine>,
    host: Host,
    simulator: Simulator,
    folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let simulator = Simulator::builder()
            .array(ArrayConfig::new("array-1"))
            .state_dir(folder.path().join("array"))
            .lun_folder(folder.path().join("luns"))
            .start()
            .await
            .unwrap();
        let array = simulator.array("array-1").unwrap();
        let mut config = FlashArrayConfig::new(
            array.address().to_string(),
            Secret::new(array.api_token()),
            Namespace::new("never").unwrap(),
            San::Loop {
                folder: array.lun_folder().unwrap().to_owned(),
            },
        );
        config.trust = Trust::Fingerprint(array.fingerprint().parse().unwrap());
        let backend: Arc<dyn Backend> = Arc::new(FlashArray::new(config).unwrap());
        let host = Host::new(
            "never",
            folder.path().to_str().unwrap(),
            Initiators::default(),
        );
        let attacher = LinuxAttacher::open(Config::new(folder.path().join("host"), host.clone()));
        let engine = Engine::builder(vec![backend], attacher.unwrap()).build();
        Self {
            engine,
            host,
            simulator,
            folder,
        }
    }

    fn array(&self) -> &Array {
        self.simulator.array("array-1").unwrap()
    }

    async fn create(&self, name: &str) -> Volume {
        let options = [("size", "64MiB"), ("fstype", "ext4")];
        let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let options = VolumeOptions::parse(options, &OptionDefaults::default()).unwrap();
        let made = self
            .engine
            .create(named(name), options, soon())
            .await
            .unwrap()
            .into_inner();
        assert!(
            made.format_grant.is_some(),
            "there is a grant that could be misused"
        );
        made
    }

    fn data(&self, volume: &Volume) -> Vec<u8> {
        let serial = &volume.identity.as_ref().unwrap().serial;
        let mut bytes = std::fs::read(self.array().data_file(serial)).unwrap_or_default();
        bytes.resize(usize::try_from(SIZE).unwrap(), 0);
        bytes
    }

    fn write(&self, volume: &Volume, offset: u64, bytes: &[u8]) {
        let path = self
            .array()
            .data_file(&volume.identity.as_ref().unwrap().serial);
        let file = std::fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path);
        file.unwrap().write_all_at(bytes, offset).unwrap();
    }

    /// Mounting is refused, the bytes are what they were, and nothing is left of the attempt.
    async fn assert_refused(&self, name: &str, volume: &Volume, what: &str) {
        let before = self.data(volume);
        let error = self
            .engine
            .mount(named(name), soon())
            .await
            .expect_err(what);
        assert!(
            self.data(volume) == before,
            "{what}: bytes were changed ({error:?})"
        );
        assert!(
            matches!(
                error.kind(),
                ErrorKind::FailedPrecondition | ErrorKind::Unexpected
            ),
            "{what}: {error:?}"
        );
        assert_eq!(
            self.array().connections().len(),
            0,
            "{what}: still connected"
        );
        assert!(
            self.engine.attachments().await.unwrap().is_empty(),
            "{what}: still attached"
        );
    }

    async fn end(self) {
        self.engine.stop(Duration::from_secs(5)).await;
        lab::mounts::unmount_under(self.folder.path()).unwrap();
        self.simulator.stop().await.unwrap();
        assert_eq!(
            lab::leftovers::sweep(self.folder.path()),
            Vec::<String>::new()
        );
    }
}

fn named(name: &str) -> VolumeName {
    VolumeName::new(name).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_somebody_wrote_to_is_never_formatted() {
    if !ready(&NEEDS) {
        return;
    }
    let world = World::new().await;
    let signatures: [(&str, u64, &[u8]); 9] = [
        (
            "luks",
            0,
            b"LUKS\xba\xbe\x00\x02\x00\x00\x00\x00\x00\x00\x40\x00",
        ),
        ("lvm", 512, b"LABELONE\x01\0\0\0\0\0\0\0"),
        ("mbr", 510, &[0x55, 0xAA]),
        ("gpt", 512, b"EFI PART\0\0\x01\0\x5c\0\0\0"),
        ("mdraid", 4096, &[0xFC, 0x4E, 0x2B, 0xA9]),
        ("btrfs", 65536 + 64, b"_BHRfS_M"),
        ("ntfs", 3, b"NTFS    "),
        ("swap", 4086, b"SWAPSPACE2"),
        ("noise", SIZE / 2, &[1]),
    ];
    for (name, offset, bytes) in signatures {
        let volume = world.create(name).await;
        world.write(&volume, offset, bytes);
        world.assert_refused(name, &volume, name).await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_cannot_be_read_is_never_formatted() {
    if !ready(&NEEDS) {
        return;
    }
    let world = World::new().await;
    let volume = world.create("unreadable").await;
    let faults = world.array().luns().faults();
    faults.fail_all(LunOperation::Read, true);
    let error = world
        .engine
        .mount(named("unreadable"), soon())
        .await
        .unwrap_err();
    faults.clear();
    assert!(
        world.data(&volume).iter().all(|byte| *byte == 0),
        "{error:?}"
    );
    assert_eq!(world.array().connections().len(), 0);
    // It was blank all the time: once it can be read, it is formatted, once.
    let mountpoint = world
        .engine
        .mount(named("unreadable"), soon())
        .await
        .unwrap();
    assert!(mountpoint.join("lost+found").is_dir());
    world
        .engine
        .unmount(named("unreadable"), soon())
        .await
        .unwrap();
    world.end().await;
}

/// Between the array's grant and the host's look, the LUN comes to show another volume.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_became_another_volume_is_never_formatted() {
    if !ready(&NEEDS) {
        return;
    }
    let world = World::new().await;
    let (wanted, other) = (world.create("wanted").await, world.create("other").await);
    let array = world.array();
    array.add_rule(FaultRule::once(
        "PUT",
        "volumes/tags/batch",
        FaultAction::HoldAfter,
    ));
    let engine = Arc::clone(&world.engine);
    let mounting = tokio::spawn(async move { engine.mount(named("wanted"), soon()).await });
    lab::wait::until_true(
        "the grant is being written",
        Duration::from_secs(30),
        || array.held_calls() == 1,
    )
    .await
    .unwrap();
    let host = world.host.object_name();
    let number = array.luns().luns(&host)[0];
    let serial = other.identity.as_ref().unwrap().serial.clone();
    let data = array.data_file(&serial);
    array
        .luns()
        .connect(&host, number, Lun::new(serial, data, SIZE));
    array.release_held();
    let error = mounting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    for volume in [&wanted, &other] {
        assert!(
            world.data(volume).iter().all(|byte| *byte == 0),
            "{error:?}"
        );
    }
    array.luns().disconnect(&host, number);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_made_on_the_array_is_never_formatted() {
    if !ready(&NEEDS) {
        return;
    }
    let world = World::new().await;
    let array = world.array();
    let address = array.address().to_string();
    let administrator = ArrayRest::login(&address, array.api_token()).await.unwrap();
    let copy = |of: &str, to: &str| {
        let body = json!({"source": {"name": format!("never-{of}")}});
        let path = format!("volumes?names=never-{to}");
        let administrator = &administrator;
        async move { administrator.make(&path, &body).await.unwrap() }
    };

    // Of a volume that still carries its grant: blank, and nobody granted the copy anything.
    world.create("blank").await;
    copy("blank", "blank-copy").await;
    let blank = world
        .engine
        .find(&named("blank-copy"), soon())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(blank.format_grant, None);
    world
        .assert_refused("blank-copy", &blank, "a blank copy")
        .await;

    // Of a volume with data: used as it is.
    world.create("full").await;
    let mountpoint = world.engine.mount(named("full"), soon()).await.unwrap();
    std::fs::write(mountpoint.join("file"), "data").unwrap();
    world.engine.unmount(named("full"), soon()).await.unwrap();
    copy("full", "full-copy").await;
    let mountpoint = world.engine.mount(named("full-copy"), soon()).await;
    if let Ok(mountpoint) = &mountpoint {
        assert_eq!(
            std::fs::read_to_string(mountpoint.join("file")).unwrap(),
            "data"
        );
        world
            .engine
            .unmount(named("full-copy"), soon())
            .await
            .unwrap();
    }
    // Its file system is the one that it was made from, whatever the host made of it.
    let copied = world
        .engine
        .find(&named("full-copy"), soon())
        .await
        .unwrap()
        .unwrap();
    let magic = usize::try_from(1024 + 56).unwrap();
    assert_eq!(
        world.data(&copied)[magic..magic + 2],
        [0x53, 0xEF],
        "{mountpoint:?}"
    );
    world.end().await;
}

#[test]
fn the_simulator_keeps_volumes_where_this_test_looks() {
    // `data` treats a missing file as zeros; a wrong path would make every comparison pass.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        if !ready(&NEEDS) {
            return;
        }
        let world = World::new().await;
        let volume = world.create("seen").await;
        let _path: &Path = &world.engine.mount(named("seen"), soon()).await.unwrap();
        world.engine.unmount(named("seen"), soon()).await.unwrap();
        assert!(
            world.data(&volume).iter().any(|byte| *byte != 0),
            "a file system is there"
        );
        world.end().await;
    });
}
