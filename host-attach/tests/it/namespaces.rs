//! Devices and mounts that outlive the mount namespace in which they were made, as those of a
//! managed Docker plugin do: played here with mounts that are taken away underneath.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use host_attach::{Moment, Step};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use storage_core::{Attacher, AttachmentState, Filesystem};

use crate::bed::{Bed, MIB, attach};
use crate::require_root;
use crate::script::kill_at;

const SIZE: u64 = 32 * MIB;

/// The LUN folder under another path, as long as it lives.
struct View {
    at: PathBuf,
}

impl View {
    fn of(luns: &Path) -> Self {
        let at = luns.with_file_name("view").join("luns");
        fs::create_dir_all(&at).unwrap();
        mount_bind(luns, &at).unwrap();
        Self { at }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        unmount(&self.at, UnmountFlags::DETACH).unwrap();
        fs::remove_dir(&self.at).unwrap();
    }
}

/// Loop devices over a LUN of the host, by the end of the path that is left.
fn devices_over(host: &OsStr, lun: u16) -> usize {
    let end = format!("/{}/{lun}\n", host.to_str().unwrap());
    let entries = fs::read_dir("/sys/block").unwrap().flatten();
    entries
        .filter_map(|entry| fs::read_to_string(entry.path().join("loop/backing_file")).ok())
        .filter(|path| *path == end)
        .count()
}

#[tokio::test]
async fn a_device_whose_path_ended_with_its_namespace_is_known_and_left_alone() {
    require_root!();
    let mut bed = Bed::fuse();
    let mut disk = bed.disk(5, SIZE, Filesystem::Ext4);
    let folder = bed.lun_folder();
    let (host, luns) = (folder.file_name().unwrap(), folder.parent().unwrap());
    let view = View::of(luns);
    disk.file = view.at.join(host).join("5");
    let mounted = attach(&bed.attacher(), &disk).await.unwrap();
    let state = async |bed: &mut Bed| {
        let status = bed.attacher().status(&disk.id).await.unwrap();
        status.unwrap().state
    };

    // No LUN can be seen, which says nothing of this one.
    drop(view);
    assert_eq!(state(&mut bed).await, AttachmentState::Incomplete);
    assert_eq!(bed.attacher().heal().await.unwrap(), []);
    fs::write(mounted.mountpoint.join("alive"), "yes").unwrap();

    // The kernel has only the end of the path left, and the file is the same.
    let view = View::of(luns);
    assert_eq!(state(&mut bed).await, AttachmentState::Mounted);
    attach(&bed.attacher(), &disk).await.unwrap();
    assert_eq!(bed.attacher().heal().await.unwrap(), []);

    // And a fence is one.
    bed.disconnect(&disk);
    let released = bed.attacher().heal().await.unwrap();
    assert_eq!(released.len(), 1, "{released:?}");
    drop(view);
    bed.assert_clean();
}

/// The device was made and the process ended before it could record which.
#[tokio::test]
async fn a_device_that_no_record_knows_is_found_by_its_marker() {
    require_root!();
    let mut bed = Bed::fuse();
    let mut disk = bed.disk(7, SIZE, Filesystem::Ext4);
    let folder = bed.lun_folder();
    let (host, luns) = (folder.file_name().unwrap(), folder.parent().unwrap());
    let view = View::of(luns);
    disk.file = view.at.join(host).join("7");
    let killed = bed.open(Some(kill_at(Step::Connect, Moment::After)));
    attach(&killed, &disk).await.unwrap_err();
    drop(killed);
    drop(view);
    let view = View::of(luns);
    assert_eq!(devices_over(host, 7), 1);
    assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
    assert_eq!(devices_over(host, 7), 0);
    drop(view);
    bed.assert_clean();
}

/// A child of another test that has not begun its program yet has a copy of every open file.
async fn unmount_soon(path: &Path) {
    let begin = Instant::now();
    while let Err(error) = unmount(path, UnmountFlags::empty()) {
        let busy = error == Errno::BUSY && begin.elapsed() < Duration::from_secs(10);
        assert!(busy, "{}: {error}", path.display());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_in_use_and_lost_its_mount_is_mounted_again() {
    require_root!();
    let mut bed = Bed::fuse();
    let disk = bed.disk(5, SIZE, Filesystem::Ext4);
    let mounted = attach(&bed.attacher(), &disk).await.unwrap();
    let path = &mounted.mountpoint;
    fs::write(path.join("data"), "kept").unwrap();
    let container = bed.state().with_file_name("container");
    fs::create_dir(&container).unwrap();
    mount_bind(path, &container).unwrap();
    unmount_soon(path).await;
    assert!(!path.join("data").exists());

    assert_eq!(bed.attacher().heal().await.unwrap(), []);
    assert_eq!(fs::read_to_string(path.join("data")).unwrap(), "kept");
    let status = bed.attacher().status(&disk.id).await.unwrap().unwrap();
    assert_eq!(status.state, AttachmentState::Mounted);

    // Nobody uses it: nothing to mount again.
    unmount_soon(&container).await;
    unmount_soon(path).await;
    assert_eq!(bed.attacher().heal().await.unwrap(), []);
    assert!(!path.join("data").exists());
    assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
    bed.assert_clean();
}
