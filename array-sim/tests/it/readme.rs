//! The commands of the README, run by a shell as they stand there.
#![expect(
    clippy::disallowed_methods,
    reason = "support of tests: runs what a reader would run"
)]

use std::process::Command;

use array_sim::{ArrayConfig, SimConfig, Simulator};

const README: &str = include_str!("../../README.md");

/// The text between a line of three backticks with this language and the next such line.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("```{language}\n");
    let parts = text.split(begin.as_str()).skip(1);
    parts
        .filter_map(|part| Some(part.split_once("\n```")?.0))
        .collect()
}

fn has_curl() -> bool {
    let version = Command::new("curl").arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

#[tokio::test]
async fn the_commands_of_the_readme_work_in_their_order() {
    if !has_curl() {
        println!("SKIPPED: the README's commands need curl");
        return;
    }
    let mut config = ArrayConfig::new("array-1");
    config.rest_versions = ["2.2", "2.26", "2.50"].map(str::to_owned).into();
    let simulator = Simulator::builder()
        .array(config)
        .control("127.0.0.1:0")
        .start()
        .await
        .unwrap();
    let array = simulator.array("array-1").unwrap();
    let by_hand = README.split_once("## By hand").unwrap().1;
    let blocks = blocks(by_hand, "sh");
    assert!(blocks.len() >= 10, "{}", blocks.len());
    // The first block is what the program printed; here it is another array.
    let script = blocks.get(1..).unwrap().join("\n");
    let control = simulator.control_url().unwrap();
    let mut shell = Command::new("sh");
    shell
        .args(["-euc", &script])
        .env("URL", array.url())
        .env("TOKEN", array.api_token())
        .env("CA", array.certificate_path())
        .env("CONTROL", format!("{control}/sim/arrays/array-1"));
    let run = tokio::task::spawn_blocking(move || shell.output().unwrap());
    let output = tokio::time::timeout(std::time::Duration::from_secs(120), run)
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{wrong}\n{said}");
    // What is left is what the text says.
    let names: Vec<String> = array.volumes().into_iter().map(|v| v.name).collect();
    assert_eq!(names, ["v1", "v2", "clone"]);
    assert_eq!(array.host_groups().len(), 1);
    assert!(array.pods().is_empty() && array.protection_groups().is_empty());
    assert!(!array.connection_events().is_empty());
    assert_eq!(array.open_sessions(), 0);
    assert!(said.contains("\"errors\":[{"), "no partial answer");
}

#[test]
fn the_configuration_of_the_readme_is_accepted() {
    let config = blocks(README, "json")
        .into_iter()
        .filter_map(|block| serde_json::from_str::<SimConfig>(block).ok());
    let config: Vec<SimConfig> = config.collect();
    assert_eq!(config.len(), 1, "one of the blocks is a configuration");
    assert_eq!(config.first().unwrap().problems(), [""; 0]);
}
