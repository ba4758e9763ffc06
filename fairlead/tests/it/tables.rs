//! What people see, letter for letter; and that nothing of others moves their cursor.

use std::collections::BTreeMap;

use fairlead::operator::{
    ArrayEntry, ArrayList, ConnectionEntry, ConnectionList, HostEntry, Table, TrashEntry,
    TrashList, VolumeEntry, VolumeList,
};

const NOW: u64 = 1_800_000_000_000;

fn volume(name: &str) -> VolumeEntry {
    VolumeEntry {
        name: name.to_owned(),
        id: "a:o".to_owned(),
        array: "array-1".to_owned(),
        endpoint: "10.0.0.1".to_owned(),
        object: format!("ns-{name}"),
        state: "ready".to_owned(),
        recorded: true,
        size_bytes: 32 << 30,
        used_bytes: Some(1_600_000_000),
        filesystem: Some("xfs".to_owned()),
        format_grant: false,
        limit_iops: None,
        limit_bandwidth: None,
        created_ms: Some(NOW - 93_600_000),
        serial: None,
        wwid: None,
        attributes: BTreeMap::from([
            ("created-by".to_owned(), "node-1".to_owned()),
            ("volume_label_selector".to_owned(), "rack=7".to_owned()),
        ]),
        hosts: vec![HostEntry {
            host: Some("node-1-0a1b2c3d".to_owned()),
            group: None,
            lun: Some(1),
            recorded: true,
        }],
    }
}

fn volumes(volumes: Vec<VolumeEntry>) -> String {
    let list = VolumeList {
        format: 1,
        volumes,
        unavailable: Vec::new(),
    };
    list.table(NOW)
}

#[test]
fn volumes_stand_in_columns() {
    let mut second = volume("größe");
    second.used_bytes = None;
    second.created_ms = None;
    second.attributes.clear();
    second.hosts.clear();
    second.size_bytes = 1_572_864;
    let expected = "\
NAME   ARRAY       SIZE     USED  FS   STATE  HOST             AGE   LABELS
data   array-1   32 GiB  1.4 GiB  xfs  ready  node-1-0a1b2c3d  1d2h  volume_label_selector=rack=7
größe  array-1  1.5 MiB        -  xfs  ready  -                -     -
";
    assert_eq!(volumes(vec![volume("data"), second]), expected);
}

#[test]
fn the_trash_says_how_long_and_whether_the_name_is_free() {
    let one = |name: &str, taken| TrashEntry {
        name: name.to_owned(),
        id: "a:o".to_owned(),
        array: "array-1".to_owned(),
        endpoint: "10.0.0.1".to_owned(),
        object: format!("ns-fl-trash-{name}"),
        state: "destroyed".to_owned(),
        size_bytes: 1 << 30,
        destroyed_ms: Some(NOW - 90_000),
        seconds_left: Some(86_310),
        name_taken: taken,
    };
    let mut half = one("c", None);
    half.state = "deleting".to_owned();
    half.destroyed_ms = None;
    half.seconds_left = None;
    let list = TrashList {
        format: 1,
        volumes: vec![one("a", Some(false)), one("b", Some(true)), half],
        unavailable: Vec::new(),
    };
    let expected = "\
NAME  ARRAY     SIZE  STATE         REMOVED    KEPT FOR  NAME FREE    OBJECT
a     array-1  1 GiB  destroyed     1m30s ago  23h58m    yes          ns-fl-trash-a
b     array-1  1 GiB  destroyed     1m30s ago  23h58m    no (--name)  ns-fl-trash-b
c     array-1  1 GiB  half removed  -          -         not known    ns-fl-trash-c
";
    assert_eq!(list.table(NOW), expected);
}

#[test]
fn arrays_that_do_not_answer_stand_beside_those_that_do() {
    let silent = ArrayEntry {
        endpoint: "10.0.0.2".to_owned(),
        family: "FlashArray".to_owned(),
        reachable: false,
        error: Some(
            "the array does not answer: Connection refused (os error 111); check that it is up"
                .to_owned(),
        ),
        name: None,
        id: None,
        software: None,
        rest: None,
        san_type: Some("ISCSI".to_owned()),
        draining: false,
        member: None,
        votes: false,
        capacity_bytes: None,
        used_bytes: None,
        free_bytes: None,
        volumes: None,
        latency_ms: None,
        labels: BTreeMap::new(),
    };
    let well = ArrayEntry {
        endpoint: "10.0.0.1".to_owned(),
        reachable: true,
        error: None,
        name: Some("array-1".to_owned()),
        rest: Some("2.26".to_owned()),
        software: Some("6.4.10".to_owned()),
        capacity_bytes: Some(10 << 40),
        used_bytes: Some(3 << 40),
        free_bytes: Some(7 << 40),
        volumes: Some(12),
        latency_ms: Some(4),
        member: Some(1),
        votes: true,
        labels: BTreeMap::from([
            ("purestorage.com/family".to_owned(), "FlashArray".to_owned()),
            ("rack".to_owned(), "7".to_owned()),
        ]),
        ..silent.clone()
    };
    let list = ArrayList {
        format: 1,
        arrays: vec![well, silent],
        fleet: None,
    };
    let expected = "\
ENDPOINT  NAME     FAMILY      SAN    REST  SOFTWARE  CAPACITY   USED   FREE   %  VOLUMES  CALL  MEMBER    STATE                                                    LABELS
10.0.0.1  array-1  FlashArray  ISCSI  2.26  6.4.10      10 TiB  3 TiB  7 TiB  30       12  4 ms  1, votes  ok                                                       rack=7
10.0.0.2  -        FlashArray  ISCSI  -     -                -      -      -   -        -     -  -         the array does not answer: Connection refused (os error  -
                                                                                                           111); check that it is up
";
    assert_eq!(list.table(NOW), expected);
}

#[test]
fn connections_tell_the_odd_ones() {
    let connection = |host: &str, recorded| ConnectionEntry {
        volume: "data".to_owned(),
        id: "a:o".to_owned(),
        array: "array-1".to_owned(),
        endpoint: "10.0.0.1".to_owned(),
        object: "ns-data".to_owned(),
        host: Some(host.to_owned()),
        group: None,
        lun: Some(7),
        recorded,
        holder: Some("node-1-0a1b2c3d".to_owned()),
        grant: Some("5b7d1c9e-0000-4000-8000-000000000000".to_owned()),
        this_host: recorded,
        hints: vec!["2 hosts can reach it".to_owned()],
    };
    let list = ConnectionList {
        format: 1,
        connections: vec![
            connection("esx", false),
            connection("node-1-0a1b2c3d", true),
        ],
        not_found: Vec::new(),
        unavailable: Vec::new(),
    };
    let expected = "\
VOLUME  ARRAY    HOST                 LUN  GRANT     HERE  REMARKS
data    array-1  esx (not on record)    7  -         -     2 hosts can reach it
data    array-1  node-1-0a1b2c3d        7  5b7d1c9e  yes   2 hosts can reach it
";
    assert_eq!(list.table(NOW), expected);
}

#[test]
fn what_others_wrote_moves_no_cursor_and_hides_nothing() {
    let hostile = "a\u{1b}[2Jb\rc\nd\u{202e}e\u{200b}f\u{7f}\u{9b}";
    let mut one = volume("data");
    one.name = hostile.to_owned();
    one.array = hostile.to_owned();
    one.attributes = BTreeMap::from([(hostile.to_owned(), hostile.to_owned())]);
    one.hosts[0].host = Some(hostile.to_owned());
    let table = volumes(vec![one]);
    assert_eq!(table.lines().count(), 2, "{table:?}");
    let bad = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}".contains(c);
    assert!(!table.contains(bad), "{table:?}");
    assert!(table.contains("\\u{1b}[2Jb\\u{d}c"), "{table:?}");
    let mut long = volume("data");
    long.attributes = BTreeMap::from([("k".to_owned(), "x".repeat(5000))]);
    assert!(volumes(vec![long]).len() < 400);
}
