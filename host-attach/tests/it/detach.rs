//! What stands in the way of a detach, or of an attach, is named and never forced.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use storage_core::{Attacher, AttachmentState, ErrorKind, Filesystem};

use crate::bed::{Bed, MIB, attach, tool};
use crate::require_root;

const SIZE: u64 = 32 * MIB;

/// A process in a mount namespace of its own; ends with the value.
struct Namespaced(Child);

impl Namespaced {
    #[expect(
        clippy::disallowed_methods,
        reason = "another namespace needs another process"
    )]
    fn start() -> Self {
        let child = Command::new("unshare")
            .args(["-m", "--propagation", "private", "sleep", "600"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let namespace = format!("/proc/{}/ns/mnt", child.id());
        let own = fs::read_link("/proc/self/ns/mnt").unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let comm = format!("/proc/{}/comm", child.id());
        while fs::read_link(&namespace).unwrap() == own
            || fs::read_to_string(&comm).unwrap().trim() != "sleep"
        {
            assert!(Instant::now() < deadline, "unshare did not get a namespace");
            std::thread::yield_now();
        }
        Self(child)
    }
}

impl Drop for Namespaced {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn an_open_file_is_named_with_its_process() {
    require_root!();
    let mut bed = Bed::plain();
    let disk = bed.disk(1, SIZE, Filesystem::Ext4);
    let attachment = attach(&bed.attacher(), &disk).await.unwrap();
    let open = fs::File::create(attachment.mountpoint.join("open")).unwrap();
    let error = bed.attacher().detach(&disk.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    assert!(
        error.message().contains(&std::process::id().to_string()),
        "{error}"
    );
    assert_eq!(bed.mounts().len(), 1, "nothing was forced");

    // Somebody mounts it again instead: it is there, under its grant.
    bed.attacher().prepare(&disk.volume()).await.unwrap();
    let again = bed.attacher().attach(disk.request()).await.unwrap();
    assert!(!again.is_done());
    assert_eq!(again.get().state, AttachmentState::Mounted);
    drop(open);
    assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
    bed.assert_clean();
}

#[tokio::test]
async fn a_mount_in_another_namespace_is_named_before_anything_is_touched() {
    require_root!();
    let mut bed = Bed::alone();
    let disk = bed.disk(1, SIZE, Filesystem::Ext4);
    attach(&bed.attacher(), &disk).await.unwrap();
    let other = Namespaced::start();
    let error = bed.attacher().detach(&disk.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    assert!(
        error.message().contains(&other.0.id().to_string()),
        "{error}"
    );
    assert!(error.message().contains("sleep"), "{error}");
    assert_eq!(bed.mounts().len(), 1, "our own mount is still there");

    // Even with ours gone the file system is alive there: the device is not taken away.
    tool("umount", &[&bed.mounts()[0]]);
    let error = bed.attacher().detach(&disk.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    assert_eq!(bed.loop_devices().len(), 1);

    // And it can be mounted again under its grant: nothing is checked or made anew.
    let attachment = attach(&bed.attacher(), &disk).await.unwrap();
    fs::write(attachment.mountpoint.join("f"), "x").unwrap();
    drop(other);
    assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
    bed.assert_clean();
}

#[tokio::test]
async fn a_second_mount_of_the_device_is_named() {
    require_root!();
    let mut bed = Bed::plain();
    let disk = bed.disk(1, SIZE, Filesystem::Ext4);
    let attachment = attach(&bed.attacher(), &disk).await.unwrap();
    let elsewhere = bed.state().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    tool(
        "mount",
        &[
            "--bind",
            attachment.mountpoint.to_str().unwrap(),
            elsewhere.to_str().unwrap(),
        ],
    );
    let error = bed.attacher().detach(&disk.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    assert!(error.message().contains("elsewhere"), "{error}");
    tool("umount", &[elsewhere.to_str().unwrap()]);
    assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
    bed.assert_clean();
}

#[tokio::test]
async fn what_an_administrator_took_down_is_put_up_again() {
    require_root!();
    let mut bed = Bed::plain();
    let disk = bed.disk(1, SIZE, Filesystem::Ext4);
    let first = attach(&bed.attacher(), &disk).await.unwrap();
    fs::write(first.mountpoint.join("f"), "kept").unwrap();
    tool("umount", &[first.mountpoint.to_str().unwrap()]);
    assert_eq!(
        fs::metadata(&first.mountpoint)
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0
    );
    let status = bed.attacher().status(&disk.id).await.unwrap().unwrap();
    assert_eq!(status.state, AttachmentState::Incomplete);
    let again = bed.attacher().attach(disk.request()).await.unwrap();
    assert!(again.is_done());
    assert_eq!(
        fs::read_to_string(first.mountpoint.join("f")).unwrap(),
        "kept"
    );
    assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
}

#[tokio::test]
async fn somebody_elses_loop_device_over_the_lun_is_refused_and_left_alone() {
    require_root!();
    let mut bed = Bed::plain();
    let disk = bed.disk(1, SIZE, Filesystem::Ext4);
    tool("losetup", &["-f", disk.file.to_str().unwrap()]);
    let theirs = bed.loop_devices();
    let error = bed.attacher().prepare(&disk.volume()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    assert!(error.message().contains(&theirs[0]), "{error}");
    let error = attach(&bed.attacher(), &disk).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    assert!(error.message().contains(&theirs[0]), "{error}");
    assert!(bed.attacher().detach(&disk.id).await.is_ok());
    assert_eq!(bed.loop_devices(), theirs);
    tool("losetup", &["-d", &format!("/dev/{}", theirs[0])]);
    attach(&bed.attacher(), &disk).await.unwrap();
    assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
}

#[tokio::test]
async fn a_written_mount_point_is_not_covered_up() {
    require_root!();
    let mut bed = Bed::plain();
    let disk = bed.disk(1, SIZE, Filesystem::Ext4);
    let attachment = attach(&bed.attacher(), &disk).await.unwrap();
    assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
    fs::create_dir(&attachment.mountpoint).unwrap();
    fs::write(attachment.mountpoint.join("stray"), "x").unwrap();
    let error = attach(&bed.attacher(), &disk).await.unwrap_err();
    assert!(error.message().contains("not empty"), "{error}");
    assert_eq!(bed.mounts().len(), 0);
    assert_eq!(bed.loop_devices().len(), 0);
    assert!(attachment.mountpoint.join("stray").exists());
}

/// A device that does not answer just now may be fine: what others work on is left alone.
#[tokio::test]
async fn a_device_that_cannot_be_asked_is_not_stopped_under_its_users() {
    require_root!();
    let mut bed = Bed::alone();
    let disk = bed.disk(1, SIZE, Filesystem::Ext4);
    let attacher = bed.attacher();
    let attachment = attach(&attacher, &disk).await.unwrap();
    let other = Namespaced::start();
    let there = PathBuf::from(format!("/proc/{}/root", other.0.id()))
        .join(attachment.mountpoint.strip_prefix("/").unwrap());
    let writable = |name: &str| {
        for folder in [&attachment.mountpoint, &there] {
            let file = fs::File::create(folder.join(name)).unwrap();
            file.sync_all().unwrap();
        }
    };
    // Reading it fails, which is not the same as its not being there.
    let serial = Bed::serial_file(&disk);
    fs::remove_file(&serial).unwrap();
    fs::create_dir(&serial).unwrap();

    for request in [disk.request(), disk.regranted().request()] {
        let error = attacher.attach(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        writable("attach");
    }
    let error = attacher.prepare(&disk.volume()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.message().contains("cannot be asked now"), "{error}");
    writable("prepare");
    let error = attacher.detach(&disk.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    assert!(
        error.message().contains(&other.0.id().to_string()),
        "{error}"
    );
    assert_eq!(attacher.heal().await.unwrap(), []);
    writable("detach");
    assert_eq!(bed.mounts().len(), 1);

    // It answers again, and all is as it was.
    let answer = format!("{}\n", disk.serial);
    fs::remove_dir(&serial).unwrap();
    fs::write(&serial, &answer).unwrap();
    assert!(!attacher.attach(disk.request()).await.unwrap().is_done());

    // With nobody else there a detach goes on, and what can be written is.
    fs::remove_file(&serial).unwrap();
    fs::create_dir(&serial).unwrap();
    drop(other);
    fs::write(attachment.mountpoint.join("late"), "kept").unwrap();
    let error = attacher.prepare(&disk.volume()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(attacher.detach(&disk.id).await.unwrap().is_done());
    bed.assert_clean();
    fs::remove_dir(&serial).unwrap();
    fs::write(&serial, &answer).unwrap();
    attach(&attacher, &disk).await.unwrap();
    let late = fs::read_to_string(attachment.mountpoint.join("late"));
    assert_eq!(late.unwrap(), "kept");
    assert!(attacher.detach(&disk.id).await.unwrap().is_done());
    bed.assert_clean();
}
