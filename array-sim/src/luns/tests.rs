//! The LUN folder against the real kernel: files, loop devices, ext4. Needs root and /dev/fuse.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use super::{LunMount, mount};
use crate::lun_table::{Lun, LunOperation, LunTable};

const MIB: u64 = 1 << 20;
const O_DIRECT: i32 = 0o40000;

/// One mounted LUN folder with volumes `S1` and `S2`; everything that hangs on it ends with it.
struct Bench {
    table: LunTable,
    mount: Option<LunMount>,
    /// Mounted by the test, and loop devices attached by it: undone in reverse order.
    undo: Vec<Vec<String>>,
    folder: tempfile::TempDir,
}

impl Bench {
    /// None, with the reason printed, where the machine cannot do it.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() || !Path::new("/dev/fuse").exists() {
            println!("SKIPPED: LUN folder: needs root and /dev/fuse");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let table = LunTable::new();
        let mount = mount(table.clone(), &folder.path().join("luns")).unwrap();
        Some(Self {
            table,
            mount: Some(mount),
            undo: Vec::new(),
            folder,
        })
    }

    fn lun(&self, serial: &str, size: u64) -> Lun {
        Lun::new(serial.to_owned(), self.folder.path().join(serial), size)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("luns").join(name)
    }

    fn open(&self, name: &str, flags: i32) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(self.path(name))
    }

    /// Attaches a loop device to a LUN file.
    fn attach(&mut self, name: &str) -> String {
        let path = self.path(name);
        let path = path.to_str().unwrap();
        let device = text(&run(&[
            "losetup",
            "--direct-io=on",
            "--find",
            "--show",
            path,
        ]));
        self.undo.push(words(&["losetup", "--detach", &device]));
        device
    }

    fn mount_ext4(&mut self, device: &str) -> PathBuf {
        let at = self.folder.path().join("fs");
        std::fs::create_dir_all(&at).unwrap();
        text(&run(&["mkfs.ext4", "-q", device]));
        text(&run(&["mount", device, at.to_str().unwrap()]));
        self.undo.push(words(&["umount", at.to_str().unwrap()]));
        at
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for command in self.undo.drain(..).rev() {
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            let output = run(&command);
            if !output.status.success() {
                println!(
                    "clean up: {command:?}: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
            }
        }
        drop(self.mount.take());
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the crate's one place that runs commands: tests"
)]
fn run(command: &[&str]) -> Output {
    std::process::Command::new(command[0])
        .args(&command[1..])
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone())
        .unwrap()
        .trim()
        .to_owned()
}

/// Memory aligned for direct I/O, at least 4096 bytes of it.
fn direct_read(file: &File) -> io::Result<Vec<u8>> {
    let mut memory = vec![0_u8; 8192];
    let start = memory.as_ptr().align_offset(4096);
    let count = file.read_at(&mut memory[start..start + 4096], 0)?;
    Ok(memory[start..start + count].to_vec())
}

fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> Option<i32> {
    result.unwrap_err().raw_os_error()
}

const EIO: Option<i32> = Some(5);
const ENOSPC: Option<i32> = Some(28);

#[test]
fn files_are_there_while_the_connection_is() {
    let Some(bench) = Bench::new() else { return };
    bench.table.add_host("idle");
    bench.table.connect("one", 7, bench.lun("S1", 3 * MIB));
    let metadata = std::fs::metadata(bench.path("one/7")).unwrap();
    assert_eq!(metadata.len(), 3 * MIB);
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(
        std::fs::read_to_string(bench.path("one/7.serial")).unwrap(),
        "S1\n"
    );
    let names = |folder: &str| {
        let entries = std::fs::read_dir(bench.path(folder)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(""), ["idle", "one"]);
    assert_eq!(names("one"), ["7", "7.serial"]);
    assert_eq!(names("idle"), Vec::<String>::new());

    bench.table.resize("S1", 5 * MIB);
    assert_eq!(
        std::fs::metadata(bench.path("one/7")).unwrap().len(),
        5 * MIB
    );
    bench.table.disconnect("one", 7);
    assert!(!bench.path("one/7").exists());
    assert!(!bench.path("one/7.serial").exists());
    assert_eq!(names("one"), Vec::<String>::new());
    bench.table.connect("one", 7, bench.lun("S2", MIB));
    assert_eq!(
        std::fs::read_to_string(bench.path("one/7.serial")).unwrap(),
        "S2\n"
    );
    assert!(File::create(bench.path("one/8")).is_err());
    assert!(bench.path("one/07").metadata().is_err());
}

#[test]
fn a_long_listing_is_complete() {
    let Some(bench) = Bench::new() else { return };
    for number in 0..2000 {
        bench.table.connect("one", number, bench.lun("S1", MIB));
    }
    assert_eq!(std::fs::read_dir(bench.path("one")).unwrap().count(), 4000);
}

#[test]
fn a_handle_serves_whatever_is_connected_now() {
    let Some(bench) = Bench::new() else { return };
    bench.table.connect("one", 1, bench.lun("S1", MIB));
    let direct = bench.open("one/1", O_DIRECT).unwrap();
    let plain = bench.open("one/1", 0).unwrap();
    plain.write_all_at(b"first volume", 0).unwrap();
    assert!(direct_read(&direct).unwrap().starts_with(b"first volume"));
    let mut serial = File::open(bench.path("one/1.serial")).unwrap();

    assert!(bench.table.disconnect("one", 1));
    assert_eq!(errno(direct_read(&direct)), EIO);
    assert_eq!(errno(plain.write_at(b"lost", 0)), EIO);
    assert_eq!(errno(plain.sync_all()), EIO);
    assert_eq!(errno(serial.read(&mut [0; 9])), EIO);
    assert_eq!(bench.table.counters().refused, 4);

    // another host's connection under the number changes nothing
    bench.table.connect("two", 1, bench.lun("S1", MIB));
    assert_eq!(errno(direct_read(&direct)), EIO);
    bench.table.connect("one", 1, bench.lun("S2", MIB));
    assert_eq!(direct_read(&direct).unwrap(), vec![0; 4096]);
    plain.write_all_at(b"second volume", 0).unwrap();
    let other = bench.open("two/1", O_DIRECT).unwrap();
    assert!(direct_read(&other).unwrap().starts_with(b"first volume"));
    assert!(direct_read(&direct).unwrap().starts_with(b"second volume"));
}

#[test]
fn volumes_have_ends_holes_and_counters() {
    let Some(bench) = Bench::new() else { return };
    bench.table.connect("one", 1, bench.lun("S1", MIB));
    let file = bench.open("one/1", 0).unwrap();
    assert_eq!(errno(file.write_at(&[1; 4096], MIB - 2048)), ENOSPC);
    assert_eq!(file.read_at(&mut [0; 4096], MIB - 512).unwrap(), 512);
    assert_eq!(file.read_at(&mut [0; 4096], MIB).unwrap(), 0);
    file.write_all_at(&[1; 8192], 4096).unwrap();
    let hole = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, hole, 4096, 4096).unwrap();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::ZERO_RANGE, 8192, 2048).unwrap();
    let mut bytes = [9; 8192];
    file.read_exact_at(&mut bytes, 4096).unwrap();
    assert_eq!(bytes[..6144], [0; 6144]);
    assert_eq!(bytes[6144..], [1; 2048]);
    file.sync_all().unwrap();
    let io = bench.mount.as_ref().unwrap().volume_io("S1");
    assert_eq!(
        (io.writes, io.written_bytes, io.read_bytes),
        (1, 8192, 512 + 8192)
    );
    assert_eq!(bench.table.counters().flushes, 1);
    assert_eq!(
        bench.mount.as_ref().unwrap().volume_io("S2"),
        super::VolumeIo::default()
    );
}

#[test]
fn faults_fail_and_delay() {
    let Some(bench) = Bench::new() else { return };
    bench.table.connect("one", 1, bench.lun("S1", MIB));
    bench.table.connect("one", 2, bench.lun("S2", MIB));
    let first = bench.open("one/1", 0).unwrap();
    let second = bench.open("one/2", 0).unwrap();
    let faults = bench.table.faults();
    faults.fail_serial(LunOperation::Read, "S1", true);
    assert_eq!(errno(first.read_at(&mut [0; 16], 0)), EIO);
    second.read_at(&mut [0; 16], 0).unwrap();
    first.write_all_at(&[1; 16], 0).unwrap();
    faults.fail_all(LunOperation::Write, true);
    assert_eq!(errno(second.write_at(&[1; 16], 0)), EIO);
    assert_eq!(bench.table.counters().failed, 2);
    faults.clear();

    let delay = Duration::from_millis(300);
    faults.set_delay(LunOperation::Write, delay);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..16 {
            let file = &first;
            scope.spawn(move || file.write_all_at(&[7; 512], number * 512).unwrap());
        }
        // reads go on meanwhile
        second.read_at(&mut [0; 16], 0).unwrap();
        assert!(start.elapsed() < delay);
    });
    let elapsed = start.elapsed();
    assert!(elapsed >= delay, "{elapsed:?}");
    assert!(
        elapsed < delay * 8,
        "16 writes side by side took {elapsed:?}"
    );
}

#[test]
fn a_delayed_write_does_not_outlive_its_connection() {
    let Some(bench) = Bench::new() else { return };
    bench.table.connect("one", 1, bench.lun("S1", MIB));
    let file = bench.open("one/1", 0).unwrap();
    bench
        .table
        .faults()
        .set_delay(LunOperation::Write, Duration::from_millis(200));
    std::thread::scope(|scope| {
        let late = scope.spawn(|| file.write_at(b"late", 0));
        bench.table.disconnect("one", 1);
        assert_eq!(errno(late.join().unwrap()), EIO);
    });
    assert_eq!(bench.table.counters().writes, 0);
}

#[test]
fn nothing_lands_after_a_disconnect_returned() {
    let Some(bench) = Bench::new() else { return };
    let data = bench.folder.path().join("S1");
    for round in 0..30_u8 {
        bench.table.connect("one", 1, bench.lun("S1", MIB));
        let file = bench.open("one/1", 0).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4_u64 {
                let file = &file;
                scope.spawn(move || {
                    let mut count = 0_u32;
                    let mut bytes = [round; 4096];
                    loop {
                        count += 1;
                        bytes[..4].copy_from_slice(&count.to_le_bytes());
                        if file.write_at(&bytes, writer * 4096).is_err() {
                            break;
                        }
                    }
                });
            }
            let before = bench.table.counters().writes;
            while bench.table.counters().writes < before + 20 {
                std::thread::yield_now();
            }
            bench.table.disconnect("one", 1);
            let at_disconnect = std::fs::read(&data).unwrap();
            // the writers go on until they are refused; nothing of that may show
            while bench.table.counters().refused < (u64::from(round) + 1) * 4 {
                std::thread::yield_now();
            }
            assert!(
                at_disconnect == std::fs::read(&data).unwrap(),
                "a late write landed"
            );
        });
    }
}

#[test]
fn a_fenced_loop_device_fails_at_once_and_lets_go() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    bench.table.connect("one", 1, bench.lun("S1", 64 * MIB));
    let device = bench.attach("one/1");
    let at = bench.mount_ext4(&device);
    std::fs::write(at.join("file"), "kept").unwrap();
    File::open(at.join("file")).unwrap().sync_all().unwrap();

    bench.table.disconnect("one", 1);
    let start = Instant::now();
    let raw = OpenOptions::new()
        .read(true)
        .custom_flags(O_DIRECT)
        .open(&device)
        .unwrap();
    assert_eq!(errno(direct_read(&raw)), EIO);
    let lost = std::fs::write(at.join("lost"), "lost")
        .and_then(|()| File::open(at.join("lost"))?.sync_all());
    assert!(lost.is_err(), "fsync on a fenced ext4 succeeded");
    drop(raw);
    text(&run(&["umount", at.to_str().unwrap()]));
    bench.undo.pop();
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );

    // the old device serves the new volume as soon as there is one under the number
    bench.table.connect("one", 1, bench.lun("S2", 64 * MIB));
    let raw = OpenOptions::new()
        .read(true)
        .custom_flags(O_DIRECT)
        .open(&device)
        .unwrap();
    assert_eq!(direct_read(&raw).unwrap(), vec![0; 4096]);
    drop(raw);

    // and what was synced on the first is there for the next host
    bench.table.connect("two", 1, bench.lun("S1", 64 * MIB));
    let second = bench.attach("two/1");
    text(&run(&["mount", &second, at.to_str().unwrap()]));
    bench.undo.push(words(&["umount", at.to_str().unwrap()]));
    assert_eq!(std::fs::read_to_string(at.join("file")).unwrap(), "kept");
    assert!(!at.join("lost").exists());
}

#[test]
fn discards_of_a_file_system_reach_the_data_file() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    bench.table.connect("one", 1, bench.lun("S1", 64 * MIB));
    let device = bench.attach("one/1");
    let at = bench.mount_ext4(&device);
    let used = || {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(bench.folder.path().join("S1"))
            .unwrap()
            .blocks()
            * 512
    };
    std::fs::write(at.join("file"), vec![1; 20 << 20]).unwrap();
    text(&run(&["sync", "-f", at.to_str().unwrap()]));
    let full = used();
    assert!(full > 20 * MIB);
    std::fs::remove_file(at.join("file")).unwrap();
    text(&run(&["sync", "-f", at.to_str().unwrap()]));
    text(&run(&["fstrim", at.to_str().unwrap()]));
    assert!(
        used() + 19 * MIB < full,
        "{} of {full} bytes still used",
        used()
    );
}

#[test]
fn the_folder_is_free_again_after_unmount() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    bench.table.connect("one", 1, bench.lun("S1", MIB));
    let folder = bench.folder.path().join("luns");
    let busy = mount(bench.table.clone(), &folder).unwrap_err();
    assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);
    bench.mount.take().unwrap().unmount().unwrap();
    assert!(!bench.path("one").exists());

    bench.mount = Some(mount(bench.table.clone(), &folder).unwrap());
    let file = bench.open("one/1", 0).unwrap();
    let stuck = std::thread::spawn({
        let mount = bench.mount.take().unwrap();
        move || mount.unmount()
    });
    // wait for the unmount to have begun: the handle then fails, though the LUN is connected
    let deadline = Instant::now() + Duration::from_secs(10);
    while file.read_at(&mut [0; 16], 0).is_ok() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    assert_eq!(errno(file.read_at(&mut [0; 16], 0)), EIO);
    drop(file);
    stuck.join().unwrap().unwrap();
}

#[test]
fn a_dead_mount_is_cleaned() {
    let Some(bench) = Bench::new() else { return };
    let folder = bench.folder.path().join("dead");
    std::fs::create_dir(&folder).unwrap();
    for _ in 0..2 {
        // a mount whose /dev/fuse handle is closed is what a killed server leaves behind
        drop(super::sessions::mount_device(&folder).unwrap());
    }
    assert_eq!(
        rustix::fs::stat(&folder).unwrap_err(),
        rustix::io::Errno::NOTCONN
    );
    bench.table.connect("one", 1, bench.lun("S1", MIB));
    let again = mount(bench.table.clone(), &folder).unwrap();
    assert!(folder.join("one/1").exists());
    again.unmount().unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}
