//! The program: what it prints, and that a kill loses nothing; and the LUN folder end to end.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "support of tests: starts the program under test"
)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use array_sim::{ArrayConfig, Simulator};
use serde_json::{Value, json};

use crate::client::until;

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts the program and reads the document that it prints.
fn start(state: &Path) -> (Program, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_array-sim"))
        .args(["--arrays", "2", "--state"])
        .arg(state)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let program = Program(child);
    let mut text = String::new();
    for line in output.lines() {
        let line = line.unwrap();
        text.push_str(&line);
        // Pretty-printed: the document's own brace is the only one without indentation.
        if line == "}" {
            break;
        }
    }
    (program, text.parse().unwrap())
}

async fn login(array: &Value) -> (reqwest::Client, String, String) {
    let pem = std::fs::read(array["certificate"].as_str().unwrap()).unwrap();
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let http = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .build()
        .unwrap();
    let url = format!("{}/api/2.26", array["url"].as_str().unwrap());
    let response = http
        .post(format!("{url}/login"))
        .header("api-token", array["api_token"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    let session = response.headers()["x-auth-token"]
        .to_str()
        .unwrap()
        .to_owned();
    (http, url, session)
}

#[tokio::test]
async fn a_kill_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (program, first) = start(folder.path());
    assert_eq!(first["arrays"].as_array().unwrap().len(), 2);
    let (http, url, session) = login(&first["arrays"][0]).await;
    let mut acknowledged = 0;
    for number in 0..50 {
        let request = http.post(format!("{url}/volumes?names=v{number}"));
        let response = request
            .header("x-auth-token", &session)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        acknowledged += 1;
    }
    drop(program);
    let (mut program, second) = start(folder.path());
    // Control listens wherever it likes; the arrays are what they were.
    assert_eq!(first["arrays"], second["arrays"]);
    let (http, url, session) = login(&second["arrays"][0]).await;
    let request = http
        .get(format!("{url}/volumes?limit=0"))
        .header("x-auth-token", &session);
    let text = request.send().await.unwrap().text().await.unwrap();
    let count: Value = text.parse().unwrap();
    assert_eq!(count["total_item_count"], acknowledged);
    let log = std::fs::read_to_string(folder.path().join("array-1/rest.log")).unwrap();
    assert!(log.lines().count() >= 52);
    assert!(
        !log.contains(&session) && !log.contains(first["arrays"][0]["api_token"].as_str().unwrap())
    );
    // SIGTERM is an orderly end.
    let pid = rustix::process::Pid::from_child(&program.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut status = None;
    for _ in 0..2000 {
        status = program.0.try_wait().unwrap();
        if status.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(status.unwrap().success());
}

#[test]
fn a_wrong_configuration_is_exit_64() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    for text in [r#"{"arrays": [{"name": "a b"}]}"#, r#"{"arays": []}"#] {
        std::fs::write(&path, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_array-sim"))
            .arg("--config")
            .arg(&path)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(64), "{text}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_connection_is_a_file_that_ends_with_it() {
    if !rustix::process::geteuid().is_root() || !Path::new("/dev/fuse").exists() {
        println!("SKIPPED: mounting the LUN folder needs root and /dev/fuse");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::builder()
        .array(ArrayConfig::new("array-a"))
        .lun_folder(folder.path())
        .start()
        .await
        .unwrap();
    let array = simulator.array("array-a").unwrap().clone();
    let client = crate::client::Client::login(&array).await;
    let volume = client.volume("v").await;
    client.host("h1").await;
    client.connect("v", "h1").await.done();
    let file = array.lun_folder().unwrap().join("h1/1");
    let path = file.clone();
    let opened = tokio::task::spawn_blocking(move || {
        use std::os::unix::fs::FileExt as _;
        let serial = std::fs::read_to_string(path.with_extension("serial")).unwrap();
        let opened = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        opened.write_all_at(&[7; 4096], 0).unwrap();
        (serial, opened)
    });
    let (serial, opened) = opened.await.unwrap();
    assert_eq!(serial.trim(), volume["serial"]);
    client
        .delete("connections?volume_names=v&host_names=h1")
        .await
        .done();
    let fenced = tokio::task::spawn_blocking(move || {
        use std::os::unix::fs::FileExt as _;
        (opened.write_all_at(&[8; 4096], 0).is_err(), file.exists())
    });
    assert_eq!(fenced.await.unwrap(), (true, false));
    let data = array.data_file(volume["serial"].as_str().unwrap());
    assert_eq!(std::fs::read(&data).unwrap()[..4096], [7; 4096]);
    client
        .post("volumes?names=copy", json!({ "source": { "name": "v" } }))
        .await
        .done();
    let copy = array.data_file(&array.volume("copy").unwrap().serial);
    until("the copy", || {
        std::fs::read(&copy).is_ok_and(|bytes| bytes.starts_with(&[7]))
    })
    .await;
    simulator.stop().await.unwrap();
}
