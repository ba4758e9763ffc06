//! The ledger is lost, or a record is damaged, over live mounts: what proves to be ours is on
//! record again, and what does not is left exactly as it is.

use std::fs;
use std::path::Path;

use host_attach::LinuxAttacher;
use storage_core::{
    AdoptVolume, ArrayId, Attacher, Attachment, AttachmentState, ErrorKind, Filesystem,
    FormatGrant, Grant, Outcome, Result, VolumeId,
};
use uuid::Uuid;

use crate::bed::{Bed, Disk, MIB, attach, tool};
use crate::require_root;

const EXT4: u64 = 32 * MIB;
const XFS: u64 = 300 * MIB;

/// The ledger's files go with everything else of the state but the mounts.
fn lose_ledger(bed: &mut Bed) {
    bed.stop();
    fs::remove_dir_all(bed.state().join("ledger")).unwrap();
    fs::remove_dir_all(bed.state().join("intents")).unwrap();
}

fn request(bed: &Bed, disk: &Disk) -> AdoptVolume {
    AdoptVolume {
        volume: disk.volume(),
        grant: Grant {
            nonce: disk.nonce,
            host: bed.host.object_name(),
        },
        filesystem: disk.spec.clone(),
    }
}

async fn adopt(attacher: &LinuxAttacher, request: AdoptVolume) -> Result<Outcome<Attachment>> {
    attacher.adopt(request).await
}

/// Everything that the host shows of the bed.
fn seen(bed: &Bed) -> (Vec<String>, Vec<String>) {
    (bed.loop_devices(), bed.mounts())
}

#[tokio::test]
async fn a_mount_without_a_record_is_adopted_and_serves_on() {
    require_root!();
    for (kind, size) in [(Filesystem::Ext4, EXT4), (Filesystem::Xfs, XFS)] {
        let mut bed = Bed::fuse();
        let disk = bed.disk(3, size, kind);
        let before = attach(&bed.attacher(), &disk).await.unwrap();
        fs::write(before.mountpoint.join("precious"), "data").unwrap();
        lose_ledger(&mut bed);

        let attacher = bed.attacher();
        assert_eq!(attacher.attachments().await.unwrap(), []);
        assert_eq!(attacher.status(&disk.id).await.unwrap(), None);
        let lost = attacher.unrecorded().await.unwrap();
        assert_eq!(lost.len(), 1);
        assert_eq!(lost[0].serial.as_ref(), Some(&disk.serial));
        // Not before it is adopted, and then as ever.
        let error = attacher.prepare(&disk.volume()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");

        let outcome = adopt(&attacher, request(&bed, &disk)).await.unwrap();
        assert!(outcome.is_done());
        let adopted = outcome.into_inner();
        assert_eq!(adopted, before);
        assert!(
            !adopt(&attacher, request(&bed, &disk))
                .await
                .unwrap()
                .is_done()
        );
        assert_eq!(attacher.unrecorded().await.unwrap(), []);
        assert!(!attacher.attach(disk.request()).await.unwrap().is_done());
        drop(attacher);
        bed.stop();
        let attacher = bed.attacher();
        let status = attacher.status(&disk.id).await.unwrap().unwrap();
        assert_eq!(status, before, "and it is on disk");
        assert!(attacher.detach(&disk.id).await.unwrap().is_done());
        attacher.forget(&disk.id).await.unwrap();
        bed.assert_clean();
        let again = attach(&attacher, &disk.regranted()).await.unwrap();
        assert_eq!(
            fs::read_to_string(again.mountpoint.join("precious")).unwrap(),
            "data"
        );
        let _outcome = attacher.detach(&disk.id).await.unwrap();
    }
}

/// Each fact that does not match, one by one, with everything else right.
#[tokio::test]
async fn what_does_not_match_is_left_exactly_as_it_is() {
    require_root!();
    let mut bed = Bed::fuse();
    let disk = bed.disk(3, EXT4, Filesystem::Ext4);
    let mounted = attach(&bed.attacher(), &disk).await.unwrap();
    fs::write(mounted.mountpoint.join("precious"), "data").unwrap();
    lose_ledger(&mut bed);
    let attacher = bed.attacher();
    let before = seen(&bed);

    let right = || request(&bed, &disk);
    let mut other_nonce = right();
    other_nonce.grant.nonce = Uuid::new_v4();
    let mut other_serial = right();
    other_serial.volume.identity.as_mut().unwrap().serial = "F".repeat(24);
    let mut no_identity = right();
    no_identity.volume.identity = None;
    let mut other_volume = right();
    other_volume.volume.id = VolumeId::new(ArrayId::new("array-1"), "another").unwrap();
    let mut other_name = right();
    other_name.volume.name = serde_json::from_str("\"elsewhere\"").unwrap();
    let mut other_kind = right();
    other_kind.filesystem.kind = Filesystem::Xfs;
    let mut other_uuid = right();
    other_uuid.volume.format_grant = Some(FormatGrant {
        filesystem: Filesystem::Ext4,
        uuid: Uuid::new_v4(),
    });
    for (wrong, words) in [
        (other_nonce, "under another grant"),
        (other_serial, "serial"),
        (no_identity, "identity"),
        (other_volume, "no device here carries"),
        (other_name, "not mounted at"),
        (other_kind, "not as xfs"),
        (other_uuid, "format grant another"),
    ] {
        let error = adopt(&attacher, wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert_eq!(bed.record_files(), Vec::<std::path::PathBuf>::new());
    }

    // The host itself is not as we would have it.
    let place = mounted.mountpoint.to_str().unwrap();
    tool("mount", &["-t", "tmpfs", "tmpfs", place]);
    let error = adopt(&attacher, right()).await.unwrap_err();
    assert!(error.to_string().contains("not mounted at"), "{error}");
    tool("umount", &[place]);
    tool("mount", &["--bind", place, place]);
    let error = adopt(&attacher, right()).await.unwrap_err();
    assert!(error.to_string().contains("more than its one"), "{error}");
    tool("umount", &[place]);
    tool("mount", &["-o", "remount,ro", place]);
    let error = adopt(&attacher, right()).await.unwrap_err();
    assert!(error.to_string().contains("does not work"), "{error}");
    tool("mount", &["-o", "remount,rw", place]);

    assert_eq!(seen(&bed), before, "nothing was touched");
    assert_eq!(
        attacher.detach(&disk.id).await.unwrap(),
        Outcome::AlreadySo(())
    );
    assert_eq!(seen(&bed), before, "nor is it taken down unasked");
    assert_eq!(attacher.heal().await.unwrap(), []);
    assert_eq!(seen(&bed), before);
    let adopted = adopt(&attacher, right()).await.unwrap().into_inner();
    assert_eq!(adopted, mounted);
    assert_eq!(
        fs::read_to_string(adopted.mountpoint.join("precious")).unwrap(),
        "data"
    );
    assert!(attacher.detach(&disk.id).await.unwrap().is_done());
    bed.assert_clean();
}

/// Nothing is adopted of a volume that this host was shut out of meanwhile.
#[tokio::test]
async fn a_fenced_mount_is_not_adopted() {
    require_root!();
    let mut bed = Bed::fuse();
    let disk = bed.disk(3, EXT4, Filesystem::Ext4);
    attach(&bed.attacher(), &disk).await.unwrap();
    lose_ledger(&mut bed);
    bed.disconnect(&disk);
    let attacher = bed.attacher();
    let before = seen(&bed);
    let _error = adopt(&attacher, request(&bed, &disk)).await.unwrap_err();
    // Its number is another volume's by now.
    let other = bed.disk(3, EXT4, Filesystem::Ext4);
    let bytes = other.bytes();
    for disk in [&disk, &other] {
        let _error = adopt(&attacher, request(&bed, disk)).await.unwrap_err();
    }
    let error = attacher.prepare(&other.volume()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    assert_eq!(seen(&bed), before);
    assert_eq!(attacher.luns_in_use().await.unwrap(), [3]);
    bed.disconnect(&other);
    assert_eq!(other.bytes(), bytes);
}

/// Another plugin's device that is just being attached looks like this.
#[tokio::test]
async fn a_device_that_is_not_mounted_is_not_adopted() {
    require_root!();
    let mut bed = Bed::fuse();
    let disk = bed.disk(3, EXT4, Filesystem::Ext4);
    let mounted = attach(&bed.attacher(), &disk).await.unwrap();
    lose_ledger(&mut bed);
    tool("umount", &[mounted.mountpoint.to_str().unwrap()]);
    let attacher = bed.attacher();
    let error = adopt(&attacher, request(&bed, &disk)).await.unwrap_err();
    assert!(error.to_string().contains("not mounted at"), "{error}");
    assert!(error.to_string().contains("losetup -d"), "{error}");
    assert_eq!(bed.loop_devices().len(), 1);
}

#[tokio::test]
async fn a_damaged_record_over_a_live_mount_is_set_aside_and_a_newer_one_is_not() {
    require_root!();
    let mut bed = Bed::fuse();
    let (torn, newer) = (
        bed.disk(3, EXT4, Filesystem::Ext4),
        bed.disk(4, EXT4, Filesystem::Ext4),
    );
    for disk in [&torn, &newer] {
        attach(&bed.attacher(), disk).await.unwrap();
    }
    bed.stop();
    let record = |disk: &Disk| {
        let mut files = bed.record_files().into_iter();
        let shows = |path: &std::path::PathBuf| {
            fs::read_to_string(path).is_ok_and(|text| text.contains(&disk.serial))
        };
        files.find(shows).unwrap()
    };
    let (torn_path, newer_path) = (record(&torn), record(&newer));
    let text = fs::read_to_string(&torn_path).unwrap();
    let half = text.get(..text.len() / 2).unwrap();
    fs::write(&torn_path, half).unwrap();
    let text = fs::read_to_string(&newer_path).unwrap();
    let text = text.replacen("\"version\":1", "\"version\":7", 1);
    fs::write(&newer_path, &text).unwrap();

    let attacher = bed.attacher();
    assert_eq!(attacher.unrecorded().await.unwrap().len(), 2);
    let adopted = adopt(&attacher, request(&bed, &torn)).await.unwrap();
    assert_eq!(adopted.into_inner().state, AttachmentState::Mounted);
    let aside = torn_path.with_extension("json.damaged");
    assert_eq!(fs::read_to_string(&aside).unwrap(), half, "it is kept");
    let error = adopt(&attacher, request(&bed, &newer)).await.unwrap_err();
    assert!(error.to_string().contains("newer version"), "{error}");
    assert_eq!(fs::read_to_string(&newer_path).unwrap(), text);
    assert!(attacher.detach(&torn.id).await.unwrap().is_done());
    attacher.forget(&torn.id).await.unwrap();
    assert_eq!(bed.record_files().len(), 2, "{:?}", bed.record_files());
}

/// Without a record, a mount on the volume's place is named for what it is.
#[tokio::test]
async fn a_strange_mount_on_the_volumes_place_is_named_and_stays() {
    require_root!();
    let mut bed = Bed::plain();
    let disk = bed.disk(3, EXT4, Filesystem::Ext4);
    let mounted = attach(&bed.attacher(), &disk).await.unwrap();
    let _outcome = bed.attacher().detach(&disk.id).await.unwrap();
    bed.attacher().forget(&disk.id).await.unwrap();
    fs::create_dir(&mounted.mountpoint).unwrap();
    let place = mounted.mountpoint.to_str().unwrap();
    tool("mount", &["-t", "tmpfs", "tmpfs", place]);
    let attacher = bed.attacher();
    let error = attach(&attacher, &disk).await.unwrap_err();
    assert!(
        error.to_string().contains("tmpfs from the device"),
        "{error}"
    );
    assert_eq!(bed.mounts(), [place]);
    tool("umount", &[place]);
    attach(&attacher, &disk).await.unwrap();
    let _outcome = attacher.detach(&disk.id).await.unwrap();
    assert!(!Path::new(place).exists());
}

/// After a reboot a device's name, number and sequence are another's. The ledger's boot id tells.
#[tokio::test]
async fn facts_of_an_earlier_boot_are_void() {
    require_root!();
    let mut bed = Bed::plain();
    let disk = bed.disk(3, EXT4, Filesystem::Ext4);
    attach(&bed.attacher(), &disk).await.unwrap();
    bed.stop();
    let path = bed.record_files().remove(0);
    let record = fs::read_to_string(&path).unwrap();
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    // The reboot: mount and device go, and somebody else's device comes up in their place. A
    // sequence number cannot be had twice in one boot, so the record is given the stranger's.
    for target in bed.mounts() {
        tool("umount", &[&target]);
    }
    let name = bed.loop_devices().remove(0);
    let device = format!("/dev/{name}");
    tool("losetup", &["-d", &device]);
    let strange = bed.folder.path().join("strange");
    fs::File::create(&strange).unwrap().set_len(EXT4).unwrap();
    tool("losetup", &[&device, strange.to_str().unwrap()]);
    let sequence = fs::read_to_string(format!("/sys/block/{name}/diskseq")).unwrap();
    let json = record.lines().next().unwrap();
    let mut fields: serde_json::Value = serde_json::from_str(json).unwrap();
    fields["device"]["diskseq"] = serde_json::from_str(sequence.trim()).unwrap();
    assert_eq!(fields["device"]["boot_id"], id.trim());
    fields["device"]["boot_id"] = Uuid::new_v4().to_string().into();
    crate::neighbours::write_record(&path, &fields.to_string());

    let attacher = bed.attacher();
    let status = attacher.status(&disk.id).await.unwrap().unwrap();
    assert_eq!(status.state, AttachmentState::Incomplete);
    attacher.prepare(&disk.volume()).await.unwrap();
    assert_eq!(bed.loop_devices(), [name], "the stranger's device stays");
    let next = disk.regranted();
    let again = attach(&attacher, &next).await.unwrap();
    assert_eq!(bed.loop_devices().len(), 2);
    assert_eq!(again.state, AttachmentState::Mounted);
    assert!(attacher.detach(&disk.id).await.unwrap().is_done());
    assert_eq!(bed.loop_devices().len(), 1);
    tool("losetup", &["-d", &device]);
    bed.assert_clean();
}
