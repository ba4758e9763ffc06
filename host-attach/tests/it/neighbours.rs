//! One volume in trouble (its record damaged, its device hanging) is in trouble alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use host_attach::{LinuxAttacher, Moment, Step};
use sha2::{Digest, Sha256};
use storage_core::{
    Attacher, Attachment, AttachmentState, ErrorKind, Filesystem, Result, Size, VolumeId,
};

use crate::bed::{Bed, Disk, MIB, attach, tool};
use crate::require_root;
use crate::script::Hung;

const SIZE: u64 = 32 * MIB;

/// The file of a volume's record.
fn record_of(bed: &Bed, disk: &Disk) -> PathBuf {
    let mut files = bed.record_files().into_iter();
    files
        .find(|path| fs::read_to_string(path).is_ok_and(|text| text.contains(&disk.serial)))
        .unwrap()
}

/// Writes a record's first line anew, with its check sum.
fn rewrite(path: &PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    let json = text.lines().next().unwrap().replace(from, to);
    assert_ne!(Some(json.as_str()), text.lines().next());
    write_record(path, &json);
}

/// Writes a record with its check sum.
pub fn write_record(path: &Path, json: &str) {
    let sum: String = Sha256::digest(json)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    fs::write(path, format!("{json}\nsha256:{sum}\n")).unwrap();
}

fn volumes(attachments: &[Attachment]) -> Vec<&VolumeId> {
    attachments.iter().map(|found| &found.volume).collect()
}

/// Every operation on the volume refuses and names the file.
async fn assert_refused(attacher: &LinuxAttacher, disk: &Disk, file: &str) {
    let refusals: [Result<()>; 6] = [
        attacher.prepare(&disk.volume()).await,
        attach(attacher, disk).await.map(drop),
        attacher.detach(&disk.id).await.map(drop),
        attacher.forget(&disk.id).await,
        attacher.status(&disk.id).await.map(drop),
        attacher.resize(&disk.id, Size::from_gib(1)).await.map(drop),
    ];
    for refusal in refusals {
        let error = refusal.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
        assert!(error.to_string().contains(file), "{error}");
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_refuses_its_own_volume_and_no_other() {
    require_root!();
    let newer = |text: String| text.replacen("\"version\":1", "\"version\":2", 1);
    let damaged = |text: String| text.replacen("tester", "toaster", 1);
    for change in [newer as fn(String) -> String, damaged] {
        let mut bed = Bed::fuse();
        let (bad, fenced, well) = (
            bed.disk(5, SIZE, Filesystem::Ext4),
            bed.disk(6, SIZE, Filesystem::Ext4),
            bed.disk(7, SIZE, Filesystem::Ext4),
        );
        let attacher = bed.attacher();
        for disk in [&bad, &fenced, &well] {
            attach(&attacher, disk).await.unwrap();
        }
        let path = record_of(&bed, &bad);
        let good = fs::read_to_string(&path).unwrap();
        let text = change(good.clone());
        assert_ne!(text, good);
        fs::write(&path, &text).unwrap();

        let file = path.file_name().unwrap().to_str().unwrap();
        assert_refused(&attacher, &bad, file).await;
        let all = attacher.attachments().await.unwrap();
        let mut both = [&fenced.id, &well.id];
        let mut found = volumes(&all);
        both.sort();
        found.sort();
        assert_eq!(found, both);
        assert!(all.iter().all(|a| a.state == AttachmentState::Mounted));
        let late = bed.disk(8, SIZE, Filesystem::Ext4);
        attach(&attacher, &late).await.unwrap();
        bed.disconnect(&bad);
        bed.disconnect(&fenced);
        let healed = attacher.heal().await.unwrap();
        assert_eq!(volumes(&healed), [&fenced.id]);
        assert_eq!(
            attacher.luns_in_use().await.unwrap(),
            [5, 7, 8],
            "the device tells what the record cannot"
        );
        for disk in [&well, &late] {
            assert!(attacher.detach(&disk.id).await.unwrap().is_done());
        }
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            text,
            "it stays as it is"
        );
        // Somebody dealt with it.
        fs::write(&path, &good).unwrap();
        assert!(attacher.detach(&bad.id).await.unwrap().is_done());
        bed.assert_clean();
    }
}

/// Its device is in the way of another volume, and whose it is cannot be read.
#[tokio::test]
async fn a_device_whose_record_cannot_be_read_is_not_taken_down() {
    require_root!();
    let mut bed = Bed::fuse();
    let old = bed.disk(5, SIZE, Filesystem::Ext4);
    let attacher = bed.attacher();
    attach(&attacher, &old).await.unwrap();
    bed.disconnect(&old);
    let new = bed.disk(5, SIZE, Filesystem::Ext4);
    let path = record_of(&bed, &old);
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, "torn").unwrap();
    let error = attach(&attacher, &new).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    let file = path.file_name().unwrap().to_str().unwrap();
    assert!(error.to_string().contains(file), "{error}");
    assert_eq!(bed.loop_devices().len(), 1);
    fs::write(&path, good).unwrap();
    assert!(attacher.detach(&old.id).await.unwrap().is_done());
}

/// A record of a protocol that this build has not.
#[tokio::test]
async fn a_volume_that_cannot_be_observed_is_incomplete_and_stops_nothing() {
    require_root!();
    let mut bed = Bed::fuse();
    let (strange, well) = (
        bed.disk(5, SIZE, Filesystem::Ext4),
        bed.disk(6, SIZE, Filesystem::Ext4),
    );
    let attacher = bed.attacher();
    attach(&attacher, &strange).await.unwrap();
    attach(&attacher, &well).await.unwrap();
    let path = record_of(&bed, &strange);
    let good = fs::read_to_string(&path).unwrap();
    let looped = format!("{{\"Loop\":{{\"file\":\"{}\"}}}}", strange.file.display());
    let iscsi = "{\"Iscsi\":{\"targets\":[],\"lun\":9}}";
    rewrite(&path, &looped, iscsi);
    let all = attacher.attachments().await.unwrap();
    let state = |disk: &Disk| all.iter().find(|a| a.volume == disk.id).unwrap().state;
    assert_eq!(state(&strange), AttachmentState::Incomplete);
    assert_eq!(state(&well), AttachmentState::Mounted);
    assert_eq!(attacher.luns_in_use().await.unwrap(), [5, 6, 9]);
    bed.disconnect(&well);
    let healed = attacher.heal().await.unwrap();
    assert_eq!(volumes(&healed), [&well.id]);
    fs::write(&path, good).unwrap();
    assert!(attacher.detach(&strange.id).await.unwrap().is_done());
    bed.assert_clean();
}

/// Polls until nothing runs any more.
async fn idle(attacher: &LinuxAttacher) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while attacher.busy_threads() > 0 {
        assert!(Instant::now() < deadline, "an operation does not end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_neighbour_that_hangs_costs_others_no_more_than_its_patience() {
    require_root!();
    let mut bed = Bed::fuse();
    bed.healing_patience = Some(Duration::from_millis(200));
    let (stuck, wanted) = (
        bed.disk(5, SIZE, Filesystem::Ext4),
        bed.disk(6, SIZE, Filesystem::Ext4),
    );
    // Only what is fenced is shut down.
    let (hung, observer) = Hung::at(Step::ShutDown, Moment::Before);
    let attacher = bed.open(Some(observer));
    attach(&attacher, &stuck).await.unwrap();
    bed.disconnect(&stuck);
    let volume = wanted.volume();
    tokio::time::timeout(Duration::from_secs(60), attacher.prepare(&volume))
        .await
        .expect("it does not hang along")
        .unwrap();
    hung.wait();
    assert_eq!(attacher.luns_in_use().await.unwrap(), [5]);
    assert_eq!(attacher.heal().await.unwrap(), [], "its lock is taken");
    attach(&attacher, &wanted).await.unwrap();
    drop(hung);
    idle(&attacher).await;
    let late = attacher.heal().await.unwrap();
    assert_eq!(volumes(&late), [&stuck.id], "it is told in the end");
    assert_eq!(attacher.heal().await.unwrap(), []);
    assert_eq!(attacher.luns_in_use().await.unwrap(), [6]);
    assert!(attacher.detach(&wanted.id).await.unwrap().is_done());
    bed.assert_clean();
}

/// A device that hangs when it is asked for its identity: asked once, and not by everybody.
#[tokio::test]
async fn a_device_that_does_not_answer_leaves_the_others_visible() {
    require_root!();
    let mut bed = Bed::plain();
    bed.healing_patience = Some(Duration::from_secs(3));
    let (mute, well) = (
        bed.disk(5, SIZE, Filesystem::Ext4),
        bed.disk(6, SIZE, Filesystem::Ext4),
    );
    let attacher = bed.attacher();
    attach(&attacher, &mute).await.unwrap();
    attach(&attacher, &well).await.unwrap();
    let serial = Bed::serial_file(&mute);
    let text = fs::read_to_string(&serial).unwrap();
    fs::remove_file(&serial).unwrap();
    tool("mkfifo", &[serial.to_str().unwrap()]);
    for _round in 0..3 {
        let all = tokio::time::timeout(Duration::from_secs(60), attacher.attachments());
        let all = all.await.expect("it does not hang along").unwrap();
        let state = |disk: &Disk| all.iter().find(|a| a.volume == disk.id).unwrap().state;
        assert_eq!(state(&mute), AttachmentState::Incomplete);
        assert_eq!(state(&well), AttachmentState::Mounted);
        assert_eq!(attacher.busy_threads(), 1, "it is asked again and again");
    }
    // Nor does it stop the others' healing.
    bed.disconnect(&well);
    let healed = tokio::time::timeout(Duration::from_secs(60), attacher.heal());
    let healed = healed.await.expect("it does not hang along").unwrap();
    assert_eq!(volumes(&healed), [&well.id]);
    // The looks wait in their open for a writer; what they do after that finds the serial again.
    let writer = fs::File::options().write(true).open(&serial).unwrap();
    fs::remove_file(&serial).unwrap();
    fs::write(&serial, text).unwrap();
    drop(writer);
    idle(&attacher).await;
    let status = attacher.status(&mute.id).await.unwrap().unwrap();
    assert_eq!(status.state, AttachmentState::Mounted);
    assert!(attacher.detach(&mute.id).await.unwrap().is_done());
    bed.assert_clean();
}

#[tokio::test]
async fn whoever_waits_for_a_hung_operation_is_told_what_it_was_doing() {
    require_root!();
    let mut bed = Bed::fuse();
    bed.patience = Some(Duration::from_secs(2));
    let disk = bed.disk(5, SIZE, Filesystem::Ext4);
    let (hung, observer) = Hung::at(Step::Mount, Moment::Before);
    let attacher = bed.open(Some(observer));
    let error = attach(&attacher, &disk).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    hung.wait();
    let error = attacher.detach(&disk.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    for words in ["attach", "mounting", " s, "] {
        assert!(error.message().contains(words), "{error}");
    }
    drop(hung);
    idle(&attacher).await;
    let again = attacher.attach(disk.request()).await.unwrap();
    assert!(!again.is_done(), "the hung one came to its end");
    assert!(attacher.detach(&disk.id).await.unwrap().is_done());
    bed.assert_clean();
}
