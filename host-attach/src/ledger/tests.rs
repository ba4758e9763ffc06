//! The ledger under corruption, newer versions and two owners.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use storage_core::{
    Access, AccessPath, ArrayId, DeviceIdentity, ErrorKind, Filesystem, FilesystemSpec,
    FormatGrant, Grant, Size, VolumeId, VolumeName,
};
use uuid::Uuid;

use super::{FormatPhase, Intent, Key, Ledger, Record, checksum, parse_record};

fn record(object: &str) -> Record {
    let volume = VolumeId::new(ArrayId::new("array-1"), object).unwrap();
    let name: VolumeName = serde_json::from_str("\"data\"").unwrap();
    Record {
        version: Record::VERSION,
        name,
        object: "ns-data".into(),
        access: Access {
            volume,
            path: AccessPath::Loop {
                file: "/luns/h/5".into(),
            },
            identity: DeviceIdentity {
                serial: "ABC".into(),
                wwid: "3624a9370abc".into(),
            },
            size: Size::from_gib(1),
            grant: Grant {
                nonce: Uuid::from_u128(1),
                host: "h".into(),
            },
            format_grant: Some(FormatGrant {
                filesystem: Filesystem::Ext4,
                uuid: Uuid::from_u128(2),
            }),
        },
        filesystem: FilesystemSpec {
            kind: Filesystem::Ext4,
            create_options: vec![],
            mount_options: vec!["noatime".into()],
        },
        intent: Intent::Attach,
        format: FormatPhase::Began {
            filesystem: Filesystem::Ext4,
            uuid: Uuid::from_u128(2),
        },
        mountpoint: "/m/data-1".into(),
        device: None,
        fresh_uuid: None,
    }
}

#[test]
fn a_record_survives_the_round_trip_and_is_roots_alone() {
    let state = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(state.path()).unwrap();
    let record = record("o-1");
    let key = Key::of(record.volume());
    assert_eq!(ledger.load(&key).unwrap(), None);
    ledger.store(&record).unwrap();
    assert_eq!(ledger.load(&key).unwrap().unwrap(), record);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&ledger.path(&key)), 0o600);
    assert_eq!(mode(&state.path().join("ledger")), 0o700);
    ledger.remove(&key).unwrap();
    ledger.remove(&key).unwrap();
    assert!(ledger.load_all().unwrap().is_empty());
}

#[test]
fn one_process_owns_a_ledger() {
    let state = tempfile::tempdir().unwrap();
    let first = Ledger::open(state.path()).unwrap();
    let error = Ledger::open(state.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    drop(first);
    Ledger::open(state.path()).unwrap();
}

#[test]
fn a_newer_record_is_refused_and_stays_untouched() {
    let state = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(state.path()).unwrap();
    let record = record("o-1");
    let key = Key::of(record.volume());
    let text = "{\"version\":2,\"something\":\"else\"}\nanother kind of sum\n";
    fs::write(ledger.path(&key), text).unwrap();
    for error in [
        ledger.load(&key).unwrap_err(),
        ledger.store(&record).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
        assert!(error.message().contains("newer"), "{error}");
        assert!(error.to_string().contains(key.as_str()), "{error}");
    }
    assert_eq!(fs::read_to_string(ledger.path(&key)).unwrap(), text);
}

/// What the first version wrote. Every later one reads it.
#[test]
fn a_record_of_the_first_format_is_read() {
    let json = r#"{"version":1,"name":"data","object":"ns-data","access":{"volume":"array-1:o-1","path":{"Loop":{"file":"/luns/h/5"}},"identity":{"serial":"ABC","wwid":"3624a9370abc"},"size":1073741824,"grant":{"nonce":"00000000-0000-0000-0000-000000000001","host":"h"},"format_grant":{"filesystem":"ext4","uuid":"00000000-0000-0000-0000-000000000002"}},"filesystem":{"kind":"ext4","create_options":[],"mount_options":["noatime"]},"intent":"attach","format":{"phase":"began","filesystem":"ext4","uuid":"00000000-0000-0000-0000-000000000002"},"mountpoint":"/m/data-1","device":null}"#;
    let text = format!("{json}\n{}\n", checksum(json.as_bytes()));
    assert_eq!(parse_record(&text, Path::new("f")).unwrap(), record("o-1"));
}

#[test]
fn only_a_torn_record_is_set_aside() {
    let state = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(state.path()).unwrap();
    let key = Key::of(record("o-1").volume());
    let whole = |json: &str| format!("{json}\n{}\n", checksum(json.as_bytes()));
    assert!(!ledger.is_damaged(&key), "there is none");
    for kept in [
        "{\"version\":2}\n".to_owned(),
        whole("{\"version\":1,\"unknown\":1}"),
        whole(&serde_json::to_string(&record("o-2")).unwrap()),
    ] {
        fs::write(ledger.path(&key), &kept).unwrap();
        assert!(!ledger.is_damaged(&key), "{kept}");
        let _refused = ledger.set_aside(&key).unwrap_err();
        assert_eq!(fs::read_to_string(ledger.path(&key)).unwrap(), kept);
    }
    for torn in [
        "",
        "{\"version\":1",
        "{\"version\":1}\nsha256:0\n",
        "\u{0}\u{0}",
    ] {
        fs::write(ledger.path(&key), torn).unwrap();
        ledger.set_aside(&key).unwrap();
        assert_eq!(ledger.load(&key).unwrap(), None);
        let aside = ledger.path(&key).with_extension("json.damaged");
        assert_eq!(fs::read_to_string(aside).unwrap(), torn);
    }
}

#[test]
fn a_write_that_was_cut_off_leaves_the_old_record() {
    let state = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(state.path()).unwrap();
    let record = record("o-1");
    let key = Key::of(record.volume());
    ledger.store(&record).unwrap();
    let leftover = state
        .path()
        .join("ledger")
        .join(format!("{}.tmp", key.as_str()));
    fs::write(&leftover, "{\"version\":1,").unwrap();
    drop(ledger);
    let ledger = Ledger::open(state.path()).unwrap();
    assert!(!leftover.exists());
    assert_eq!(ledger.load(&key).unwrap().unwrap(), record);
}

#[test]
fn another_volumes_record_under_this_key_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(state.path()).unwrap();
    let (one, two) = (record("o-1"), record("o-2"));
    ledger.store(&one).unwrap();
    fs::copy(
        ledger.path(&Key::of(one.volume())),
        ledger.path(&Key::of(two.volume())),
    )
    .unwrap();
    assert!(ledger.load(&Key::of(two.volume())).is_err());
    assert_eq!(ledger.load_all().unwrap(), [one]);
}

/// What is logged while it runs, on this thread.
fn logged(run: impl FnOnce()) -> String {
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&log);
    let writer = move || Sink(Arc::clone(&sink));
    let subscriber = tracing_subscriber::fmt().with_writer(writer).finish();
    tracing::subscriber::with_default(subscriber, run);
    let bytes = log.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn records_that_cannot_be_read_are_left_out_and_logged_once() {
    let state = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(state.path()).unwrap();
    let good = record("o-1");
    ledger.store(&good).unwrap();
    let bad: Vec<Key> = ["o-2", "o-3", "o-4", "o-5"]
        .map(|object| Key::of(record(object).volume()))
        .into();
    let newer = "{\"version\":2}\n";
    fs::write(ledger.path(&bad[0]), newer).unwrap();
    fs::write(ledger.path(&bad[1]), [0xff, 0xfe]).unwrap();
    fs::write(ledger.path(&bad[2]), "").unwrap();
    fs::create_dir(ledger.path(&bad[3])).unwrap();
    let log = logged(|| {
        for _round in 0..3 {
            assert_eq!(ledger.load_all().unwrap(), std::slice::from_ref(&good));
        }
    });
    assert_eq!(log.matches("ERROR").count(), bad.len(), "{log}");
    for key in &bad {
        assert_eq!(
            log.matches(key.as_str()).count(),
            2,
            "path and error: {log}"
        );
        for error in [
            ledger.load(key).unwrap_err(),
            ledger.load_short(key.short()).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
            assert!(error.to_string().contains(key.as_str()), "{error}");
        }
    }
    let key = Key::of(good.volume());
    assert_eq!(ledger.load_short(key.short()).unwrap(), Some(good));
}

proptest! {
    #[test]
    fn no_single_changed_byte_goes_unseen(position in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        let json = serde_json::to_string(&record("o-1")).unwrap();
        let text = format!("{json}\n{}\n", checksum(json.as_bytes()));
        let mut bytes = text.clone().into_bytes();
        let index = position.index(bytes.len());
        bytes[index] ^= flip;
        if let Ok(changed) = String::from_utf8(bytes) {
            prop_assert!(parse_record(&changed, Path::new("f")).is_err());
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,200}") {
        prop_assert!(parse_record(&text, Path::new("f")).is_err());
    }
}
