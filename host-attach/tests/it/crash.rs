//! kill -9 at every moment between steps, then a new process over the same state: it converges,
//! and data that was synced is there.

use std::fs;

use host_attach::{LinuxAttacher, Observer};
use storage_core::{Attacher, AttachmentState, Filesystem, Result};

use crate::bed::{Bed, Disk, MIB, attach, tool};
use crate::require_root;
use crate::script::StopAt;

const SIZE: u64 = 32 * MIB;

/// A first life of the volume: attach, write, detach. The test's moments are counted in it.
async fn first_life(attacher: &LinuxAttacher, disk: &Disk) -> Result<()> {
    let attachment = attach(attacher, disk).await?;
    let file = attachment.mountpoint.join("precious");
    fs::write(&file, "data").unwrap();
    fs::File::open(&file).unwrap().sync_all().unwrap();
    let _outcome = attacher.detach(&disk.id).await?;
    attacher.forget(&disk.id).await
}

/// What a new process does after the crash.
#[derive(Clone, Copy, Debug)]
enum Afterwards {
    /// The orchestrator asks for the mount again; the access is the same.
    AttachAgain,
    /// It asks for the unmount.
    Detach,
    /// The volume was given anew: prepare, then attach under another nonce.
    AttachAnew,
    /// A reboot comes in between: devices and mounts are gone.
    Reboot,
}

async fn converge(bed: &mut Bed, disk: &Disk, afterwards: Afterwards) -> Disk {
    if matches!(afterwards, Afterwards::Reboot) {
        for target in bed.mounts() {
            tool("umount", &[&target]);
        }
        for name in bed.loop_devices() {
            tool("losetup", &["-d", &format!("/dev/{name}")]);
        }
    }
    let attacher = bed.attacher();
    attacher.attachments().await.unwrap();
    let disk = match afterwards {
        Afterwards::AttachAgain | Afterwards::Reboot => disk.clone(),
        Afterwards::Detach => {
            let _outcome = attacher.detach(&disk.id).await.unwrap();
            bed.assert_clean();
            attacher.forget(&disk.id).await.unwrap();
            disk.regranted()
        }
        Afterwards::AttachAnew => {
            attacher.prepare(&disk.volume()).await.unwrap();
            disk.regranted()
        }
    };
    attach(&attacher, &disk).await.unwrap();
    disk
}

/// Whether the file was synced: then its first block is somewhere on the volume.
fn written(disk: &Disk) -> bool {
    disk.bytes()
        .chunks_exact(1024)
        .any(|block| block.starts_with(b"data"))
}

async fn sweep(afterwards: Afterwards) {
    let bed = Bed::in_memory();
    let disk = bed.disk(1, SIZE, Filesystem::Ext4);
    let counter = StopAt::never();
    let observer: std::sync::Arc<dyn Observer> = std::sync::Arc::clone(&counter) as _;
    first_life(&bed.open(Some(observer)), &disk).await.unwrap();
    let moments = counter.seen();
    assert!(moments > 20, "{moments} moments are suspiciously few");
    drop(bed);

    for moment in 0..moments {
        let mut bed = Bed::in_memory();
        let disk = bed.disk(1, SIZE, Filesystem::Ext4);
        let killer = StopAt::new(moment);
        let attacher = bed.open(Some(killer));
        let death = first_life(&attacher, &disk).await.unwrap_err();
        let place = format!("{afterwards:?} after being {}", death.message());
        drop(attacher);
        let written = written(&disk);
        let disk = converge(&mut bed, &disk, afterwards).await;
        let attacher = bed.attacher();
        let attachment = attacher.status(&disk.id).await.unwrap().unwrap();
        assert_eq!(attachment.state, AttachmentState::Mounted, "{place}");
        assert_eq!(attachment.nonce, disk.nonce, "{place}");
        assert!(attachment.formatted, "{place}");
        assert_eq!(bed.loop_devices().len(), 1, "{place}");
        assert_eq!(bed.mounts().len(), 1, "{place}");
        let found = fs::read_to_string(attachment.mountpoint.join("precious")).ok();
        let expected = written.then(|| "data".to_owned());
        assert_eq!(found, expected, "{place}");
        fs::write(attachment.mountpoint.join("second"), "life").unwrap();
        let _outcome = attacher.detach(&disk.id).await.unwrap();
        attacher.forget(&disk.id).await.unwrap();
        bed.assert_clean();
        assert_eq!(attacher.attachments().await.unwrap(), [], "{place}");
        tool("e2fsck", &["-fn", disk.data.to_str().unwrap()]);
    }
}

#[tokio::test]
async fn killed_anywhere_attaching_again_converges() {
    require_root!();
    sweep(Afterwards::AttachAgain).await;
}

#[tokio::test]
async fn killed_anywhere_detaching_converges() {
    require_root!();
    sweep(Afterwards::Detach).await;
}

#[tokio::test]
async fn killed_anywhere_a_new_grant_converges() {
    require_root!();
    sweep(Afterwards::AttachAnew).await;
}

#[tokio::test]
async fn killed_anywhere_and_rebooted_converges() {
    require_root!();
    sweep(Afterwards::Reboot).await;
}
