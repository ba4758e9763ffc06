//! The program itself, with simulated arrays and without a Docker engine: its calls to the array
//! counted, its log searched for secrets, its start with an array that does not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use array_sim::{ArrayConfig, Simulator};
use lab::plugin::Plugin;
use serde_json::{Value, json};

use crate::world::World;

async fn call(plugin: &Plugin, name: &str, body: Value) -> Value {
    match plugin.call(&format!("VolumeDriver.{name}"), &body).await {
        Ok(answer) => answer,
        Err(error) => panic!("{name}: {error:#}\n{}", plugin.log_tail(40)),
    }
}

/// The calls of one operation by name, without logins, discovery and telemetry.
fn counted(world: &World) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for call in world.array().take_calls() {
        let name = call.name();
        let beside = [
            "login",
            "logout",
            "api_version",
            "arrays",
            "arrays/space",
            "ports",
        ];
        if !beside.contains(&call.route.as_str()) {
            *counts.entry(name).or_insert(0) += 1;
        }
    }
    counts
}

/// What the budget limits: tag and snapshot calls come on top of it.
fn budgeted(counts: &BTreeMap<String, usize>) -> usize {
    let extra = |name: &str| name.contains("tags") || name.contains("snapshots");
    let chosen = counts.iter().filter(|(name, _)| !extra(name));
    chosen.map(|(_, count)| count).sum()
}

/// The budget: 3 calls to create, 3 to publish, 2 to unpublish, 3 to delete, each tag or snapshot
/// call one more; 1 for a publish of what is so already.
#[tokio::test(flavor = "multi_thread")]
async fn calls_to_the_array_stay_within_their_budget() {
    let Some(world) = World::start(false, &[]).await else {
        return;
    };
    let plugin = &world.plugin;
    let options = json!({"size": "64MiB", "fstype": "ext4"});
    // What is read once a process is not counted.
    call(plugin, "Create", json!({"Name": "warm", "Opts": options})).await;
    call(plugin, "Mount", json!({"Name": "warm", "ID": "i"})).await;
    call(plugin, "Unmount", json!({"Name": "warm", "ID": "i"})).await;
    drop(counted(&world));

    let mut seen = Vec::new();
    for (name, body, budget) in [
        ("Create", json!({"Name": "v", "Opts": options}), 3),
        ("Get", json!({"Name": "v"}), 0),
        ("List", json!({}), 0),
        ("Mount", json!({"Name": "v", "ID": "a"}), 3),
        ("Mount", json!({"Name": "v", "ID": "b"}), 1),
        ("Path", json!({"Name": "v"}), 0),
        ("Unmount", json!({"Name": "v", "ID": "a"}), 0),
        ("Unmount", json!({"Name": "v", "ID": "b"}), 2),
        ("Mount", json!({"Name": "v", "ID": "a"}), 3),
        ("Unmount", json!({"Name": "v", "ID": "a"}), 2),
        ("Remove", json!({"Name": "v"}), 3),
    ] {
        call(plugin, name, body).await;
        let counts = counted(&world);
        seen.push(format!("{name}: {counts:?}"));
        // Looking the name up before a create is the create's "one on each array".
        let allowed = budget + usize::from(name == "Create");
        assert!(
            budgeted(&counts) <= allowed,
            "{name}: {counts:?}\n{seen:#?}"
        );
    }
    println!("{seen:#?}");
    call(plugin, "Remove", json!({"Name": "warm"})).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_or_answered() {
    let Some(mut world) = World::start(false, &["--log-level", "trace"]).await else {
        return;
    };
    let mut secrets = BTreeSet::from([world.array().api_token().to_owned()]);
    let mut answers = Vec::new();
    let options = json!({"size": "64MiB", "fstype": "ext4"});
    for (name, body) in [
        ("Create", json!({"Name": "v", "Opts": options})),
        ("Get", json!({"Name": "v"})),
        ("Mount", json!({"Name": "v", "ID": "a"})),
        ("Unmount", json!({"Name": "v", "ID": "a"})),
        ("List", json!({})),
        ("Remove", json!({"Name": "v"})),
    ] {
        answers.push(call(&world.plugin, name, body).await.to_string());
        secrets.extend(world.array().session_tokens());
    }
    // And when the array does not want the token, or does not answer.
    world.array().expire_sessions();
    for (name, body) in [
        ("Create", json!({"Name": "w", "Opts": options})),
        ("Remove", json!({"Name": "w"})),
    ] {
        answers.push(call(&world.plugin, name, body).await.to_string());
        secrets.extend(world.array().session_tokens());
    }
    world.array().stop().await;
    let refused = world
        .plugin
        .call("VolumeDriver.Create", &json!({"Name": "x"}))
        .await;
    answers.push(format!("{:#}", refused.unwrap_err()));
    world.array().start().await.unwrap();
    let log = world.plugin.log();
    world.plugin.stop().await.unwrap();
    let text = std::fs::read_to_string(log).unwrap();
    assert!(
        text.contains("refused call=\"Create\" volume=\"x\""),
        "a refusal names call and volume"
    );
    assert!(text.contains("TRACE"), "nothing is logged at trace level");
    assert!(
        secrets.len() >= 3,
        "a token and two sessions: {}",
        secrets.len()
    );
    for secret in &secrets {
        assert!(!text.contains(secret), "a token is in the log");
        assert!(answers.iter().all(|answer| !answer.contains(secret)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_at_once_while_its_array_is_silent() {
    let Some(mut world) = World::start(false, &[]).await else {
        return;
    };
    world.plugin.stop().await.unwrap();
    world.array().set_silent(true);
    let began = Instant::now();
    world.plugin.start_again().await.unwrap();
    for name in ["Capabilities", "List"] {
        call(&world.plugin, name, json!({})).await;
    }
    let took = began.elapsed();
    println!("answered {took:?} after the program was started");
    assert!(
        took < Duration::from_secs(3),
        "{took:?}: it waited for the array"
    );
    world.array().set_silent(false);
    world.end().await;
}

/// One array's port is closed, the other takes the connection and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_at_once_while_every_array_is_down() {
    let Some(mut world) = World::start(false, &[]).await else {
        return;
    };
    world.plugin.stop().await.unwrap();
    let second = Simulator::builder().array(ArrayConfig::new("a2"));
    let second = second.start().await.unwrap();
    let silent = second.array("a2").unwrap();
    let path = world.folder().join("pure.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let mut entry = config["FlashArrays"][0].clone();
    entry["MgmtEndPoint"] = json!(silent.address().to_string());
    entry["APIToken"] = json!(silent.api_token());
    entry["Fingerprint"] = json!(silent.fingerprint());
    config["FlashArrays"].as_array_mut().unwrap().push(entry);
    std::fs::write(&path, config.to_string()).unwrap();
    silent.set_silent(true);
    world.array().stop().await;
    world.plugin.start_again().await.unwrap();
    let answer = call(&world.plugin, "List", json!({})).await;
    assert_eq!(answer["Err"], "", "{answer}");
    let log = std::fs::read_to_string(world.plugin.log()).unwrap();
    let ready = log
        .lines()
        .rev()
        .find_map(|line| line.split_once("ready_ms="));
    let words = ready.unwrap().1.split_whitespace().next().unwrap();
    let ready_ms: u64 = words.parse().unwrap();
    println!("ready after {ready_ms} ms");
    assert!(ready_ms < 1000, "it waited for the arrays: {ready_ms} ms");
    silent.set_silent(false);
    world.array().start().await.unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_program_on_the_same_state_is_refused() {
    let Some(world) = World::start(false, &[]).await else {
        return;
    };
    let other = world.folder().join("other.sock");
    let program = lab::process::Program::new(lab::process::find_binary("fairlead-docker").unwrap())
        .arg("--config")
        .arg(world.folder().join("pure.json"))
        .arg("--state-dir")
        .arg(world.plugin.state())
        .arg("--socket")
        .arg(&other);
    let finished = program.run().await.unwrap();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert!(!other.exists());
    let wrong = lab::process::Program::new(lab::process::find_binary("fairlead-docker").unwrap());
    for words in [
        &["--config", "/nonexistent"][..],
        &["--nonsense"],
        &["--log-level", "=="],
        &["--log-level", "blah"],
        &["--socket", "here.sock"],
        &["--state-dir", "here"],
    ] {
        let finished = wrong.clone().args(words).run().await.unwrap();
        assert_eq!(
            finished.status.code(),
            Some(64),
            "{words:?}: {}",
            finished.stderr
        );
    }
    world.end().await;
}

/// At the start and by name, not when a container is to run.
#[tokio::test(flavor = "multi_thread")]
async fn it_says_which_arrays_it_only_looks_up_and_which_it_does_not_see() {
    let Some(mut world) = World::start(false, &[]).await else {
        return;
    };
    world.plugin.stop().await.unwrap();
    let path = world.folder().join("pure.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let far = json!({"MgmtEndPoint": "far.invalid", "APIToken": "t", "SanType": "FC"});
    config["FlashArrays"].as_array_mut().unwrap().push(far);
    let blade = json!({"MgmtEndPoint": "blade.invalid", "APIToken": "t", "NFSEndPoint": "b"});
    config["FlashBlades"] = json!([blade]);
    std::fs::write(&path, config.to_string()).unwrap();
    world.plugin.start_again().await.unwrap();
    let log = std::fs::read_to_string(world.plugin.log()).unwrap();
    for (words, array) in [
        (
            "looked up only: no volume is placed or mounted there",
            "far.invalid",
        ),
        (
            "a volume of the same name on one is not seen",
            "blade.invalid",
        ),
    ] {
        let said: Vec<&str> = log
            .lines()
            .filter(|line| line.contains(words) && line.contains(&format!("array=\"{array}")))
            .collect();
        assert_eq!(said.len(), 1, "{words}: {log}");
    }
    // An array that cannot be asked may hold the name.
    let refused = world
        .plugin
        .call("VolumeDriver.Create", &json!({"Name": "v"}))
        .await;
    let said = format!("{:#}", refused.unwrap_err());
    assert!(said.contains("far.invalid"), "{said}");
    world.end().await;
}
