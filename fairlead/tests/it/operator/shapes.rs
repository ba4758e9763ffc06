//! The answers' shapes on every REST version, what they cost, and readers that go away.

use std::ffi::OsString;
use std::io::{self, Write};

use array_sim::ArrayConfig;
use fairlead::cli;
use serde_json::{Value, json};
use storage_core::Backend as _;

use super::{Scene, give, host, make, remove};

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

const VOLUME: [&str; 18] = [
    "array",
    "attributes",
    "created_ms",
    "endpoint",
    "filesystem",
    "format_grant",
    "hosts",
    "id",
    "limit_bandwidth",
    "limit_iops",
    "name",
    "object",
    "recorded",
    "serial",
    "size_bytes",
    "state",
    "used_bytes",
    "wwid",
];

fn sorted<'a>(keys: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut keys: Vec<&str> = keys.into_iter().collect();
    keys.sort_unstable();
    keys
}

const TRASHED: [&str; 10] = [
    "array",
    "destroyed_ms",
    "endpoint",
    "id",
    "name",
    "name_taken",
    "object",
    "seconds_left",
    "size_bytes",
    "state",
];

const ARRAY: [&str; 18] = [
    "capacity_bytes",
    "draining",
    "endpoint",
    "error",
    "family",
    "free_bytes",
    "id",
    "labels",
    "latency_ms",
    "member",
    "name",
    "reachable",
    "rest",
    "san_type",
    "software",
    "used_bytes",
    "volumes",
    "votes",
];

const CONNECTION: [&str; 13] = [
    "array",
    "endpoint",
    "grant",
    "group",
    "hints",
    "holder",
    "host",
    "id",
    "lun",
    "object",
    "recorded",
    "this_host",
    "volume",
];

/// An array with one REST version; a volume that node-1 has, and a removed one.
async fn scene(version: &str) -> Scene {
    let mut config = ArrayConfig::new("array-a");
    config.rest_versions = vec![version.to_owned()];
    let scene = Scene::of(vec![config]).await;
    let node = scene.node(0);
    let volume = make(&node, "data").await;
    give(&node, &volume, &host("node-1")).await;
    let gone = make(&node, "gone").await;
    remove(&node, &gone).await;
    node.close().await;
    scene
}

const VERSIONS: [&str; 3] = ["2.2", "2.26", "2.50"];

#[tokio::test(flavor = "multi_thread")]
async fn volumes_have_their_shape_on_every_rest_version() {
    for version in VERSIONS {
        let scene = scene(version).await;
        let list = scene.json(&["volume", "ls"]).await;
        assert_eq!(sorted(keys(&list)), ["format", "unavailable", "volumes"]);
        assert_eq!(
            (&list["format"], &list["unavailable"]),
            (&json!(1), &json!([]))
        );
        let one = &list["volumes"][0];
        assert_eq!(sorted(keys(one)), VOLUME);
        assert_eq!(
            (&one["name"], &one["size_bytes"]),
            (&json!("data"), &json!(1_u64 << 30))
        );
        let object = host("node-1").object_name();
        let lun = scene.array(0).connections()[0].lun;
        let expected = json!({"host": object, "group": null, "lun": lun, "recorded": true});
        assert_eq!(one["hosts"], json!([expected]));
        let all = scene.json(&["volume", "ls", "--all"]).await;
        let all = all["volumes"].as_array().unwrap().iter();
        let states: Vec<&str> = all.map(|one| one["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["ready", "destroyed"]);

        let inspection = scene.json(&["volume", "inspect", "data"]).await;
        let inspected = &inspection["volumes"][0];
        let more = [
            "advice",
            "fence",
            "grant",
            "holder",
            "ledger",
            "publish_open",
        ];
        assert_eq!(
            sorted(keys(inspected)),
            sorted(VOLUME.into_iter().chain(more))
        );
        assert_eq!(inspected["holder"], object.as_str());
        assert_eq!(inspected["wwid"], one["wwid"]);
        assert_eq!(
            scene.array(0).open_sessions(),
            0,
            "each command ends its own"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_else_has_its_shape_on_every_rest_version() {
    for version in VERSIONS {
        let scene = scene(version).await;
        let trash = scene.json(&["volume", "trash", "ls"]).await;
        let one = &trash["volumes"][0];
        assert_eq!(sorted(keys(one)), TRASHED);
        assert_eq!(
            (&one["name"], &one["name_taken"]),
            (&json!("gone"), &json!(false))
        );
        assert_eq!(one["destroyed_ms"].is_null(), version == "2.2");

        let arrays = scene.json(&["array", "ls"]).await;
        let one = &arrays["arrays"][0];
        assert_eq!(sorted(keys(one)), ARRAY);
        assert_eq!(
            (&one["rest"], &one["volumes"]),
            (&json!(version), &json!(1))
        );
        assert_eq!(
            (&one["reachable"], &one["san_type"]),
            (&json!(true), &json!("LOOP"))
        );

        let connections = scene.json(&["connections"]).await;
        let one = &connections["connections"][0];
        assert_eq!(sorted(keys(one)), CONNECTION);
        assert_eq!(
            (&one["volume"], &one["hints"]),
            (&json!("data"), &json!([]))
        );
        let same = scene.json(&["connections", "--volume", "data"]).await;
        assert_eq!(same["connections"], connections["connections"]);
    }
}

/// `cargo run -p fairlead -- config schema --answers > docs/cli.schema.json` brings it up to date.
#[test]
fn the_shipped_schema_of_answers_is_up_to_date() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.schema.json");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(
        text == fairlead::operator::schema_text(),
        "docs/cli.schema.json does not match the types"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_volumes_cost_few_calls() {
    const VOLUMES: usize = 260;
    let scene = Scene::new(&["array-a"]).await;
    let node = scene.node(0);
    for number in 0..VOLUMES {
        let volume = make(&node, &format!("v{number:03}")).await;
        if number % 2 == 0 {
            give(&node, &volume, &host("node-1")).await;
        }
    }
    drop(scene.array(0).take_calls());
    let list = scene.json(&["volume", "ls"]).await;
    let volumes = list["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), VOLUMES);
    let names: Vec<&str> = volumes
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert!(names.is_sorted());
    let held = volumes
        .iter()
        .filter(|one| one["hosts"] != json!([]))
        .count();
    assert_eq!(held, VOLUMES / 2);
    // Login and logout: four. The list: one, and three for its tags. Connections: one, and two.
    let calls = scene.array(0).take_calls().len();
    assert!(calls <= 11, "{calls} calls");
    let list = scene.json(&["connections"]).await;
    assert_eq!(list["connections"].as_array().unwrap().len(), VOLUMES / 2);
    let calls = scene.array(0).take_calls().len();
    assert!(calls <= 7, "{calls} calls");
    let chosen = scene
        .json(&["volume", "ls", "--selector", "rack=array-z"])
        .await;
    assert_eq!(chosen["volumes"], json!([]));
    let chosen = scene
        .json(&[
            "volume",
            "ls",
            "--selector",
            "rack=array-a,created-by=node-1",
        ])
        .await;
    assert_eq!(chosen["volumes"].as_array().unwrap().len(), VOLUMES);
}

/// A reader that goes away, as `head` does.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_is_no_error() {
    let scene = Scene::new(&["array-a"]).await;
    scene.make(0, "data").await;
    let file = scene.file().into_os_string();
    let task = tokio::task::spawn_blocking(move || {
        let mut words: Vec<OsString> = ["fairlead", "volume", "ls", "--config"]
            .map(OsString::from)
            .into();
        words.push(file);
        let mut err = Vec::new();
        (cli::run(words, &mut Closed, &mut err), err)
    });
    assert_eq!(task.await.unwrap(), (0, Vec::new()));
}
