//! A device, a mount and a connection are named as leftovers, and swept.

use std::time::Duration;

use array_sim::{Lun, LunTable, luns};
use lab::environment::{Need, ready};
use lab::leftovers::{Leftover, Watch, sweep};
use lab::process::Program;

#[tokio::test]
async fn what_is_left_over_is_named_and_swept() {
    if !ready(&[Need::Root, Need::Loop, Need::Fuse, Need::Tool("mkfs.ext4")]) {
        return;
    }
    let folder = tempfile::Builder::new().prefix("fl").tempdir().unwrap();
    let table = LunTable::new();
    let lun_folder = folder.path().join("luns");
    let mounted = luns::mount(table.clone(), &lun_folder).unwrap();
    let watch = Watch::new()
        .folder(folder.path())
        .luns(&lun_folder)
        .begin()
        .unwrap();

    table.connect(
        "host-a",
        1,
        Lun::new("S1".to_owned(), folder.path().join("S1"), 32 << 20),
    );
    let file = lun_folder.join("host-a/1");
    let losetup = Program::new("losetup")
        .args(["--find", "--show"])
        .arg(&file);
    let device = losetup.succeed().await.unwrap();
    Program::new("mkfs.ext4")
        .args(["-q", &device])
        .succeed()
        .await
        .unwrap();
    let point = folder.path().join("a mount");
    std::fs::create_dir(&point).unwrap();
    Program::new("mount")
        .arg(&device)
        .arg(&point)
        .succeed()
        .await
        .unwrap();

    let left = watch.leftovers().unwrap();
    let device = std::path::PathBuf::from(&device);
    assert!(left.contains(&Leftover::LoopDevice {
        device: device.clone(),
        file: file.clone()
    }));
    let source = device.to_string_lossy().into_owned();
    assert!(left.contains(&Leftover::Mount { point, source }));
    assert!(left.contains(&Leftover::Connection {
        host: "host-a".to_owned(),
        file
    }));
    assert_eq!(left.len(), 3, "{left:?}");
    let error = watch
        .assert_none(Duration::ZERO)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("a mount") && error.contains("connection of host-a"),
        "{error}"
    );

    assert_eq!(sweep(folder.path()), Vec::<String>::new());
    assert!(table.disconnect("host-a", 1));
    watch.assert_none(Duration::from_secs(10)).await.unwrap();
    drop(mounted);
}
