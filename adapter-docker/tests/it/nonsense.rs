//! Requests that nobody in his right mind sends, one at a time, against the program itself: each
//! is refused in words or by a closed connection, changes nothing, and costs nobody else anything.

use std::fmt::Write as _;

use serde_json::json;

use crate::raw::{Answer, cut, request};
use crate::target::{Target, connect, is_closed};

/// What may come of a request.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// That status; its body is an `Err` in words, if the protocol got as far as that.
    Status(u16),
    /// Closed, or a status of the HTTP library.
    Nothing,
}

use Expected::{Nothing, Status};

fn post(headers: &str, body: &str) -> String {
    format!("POST /VolumeDriver.Create HTTP/1.1\r\nHost: \r\n{headers}\r\n{body}")
}

fn create(body: &str) -> String {
    request("/VolumeDriver.Create", body)
}

fn bad_http() -> Vec<(String, Expected)> {
    let header = |name: &str, value: &str| format!("{name}: {value}\r\n");
    let many: String = (0..200).fold(String::new(), |mut headers, number| {
        write!(headers, "X-{number}: y\r\n").unwrap();
        headers
    });
    let chunked = header("Transfer-Encoding", "chunked");
    vec![
        ("\r\n\r\n\r\n".to_owned(), Nothing),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), Nothing),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0".repeat(40), Nothing),
        (
            format!("POST /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000)),
            Nothing,
        ),
        (post(&header("X", &"y".repeat(20_000)), ""), Status(431)),
        (post(&many, ""), Status(431)),
        (post(&header("Content-Length", "-1"), "{}"), Status(400)),
        (
            post(&header("Content-Length", "99999999999999999999999"), ""),
            Status(400),
        ),
        (
            post(&header("Content-Length", "18446744073709551615"), ""),
            Nothing,
        ),
        (
            post("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"),
            Status(400),
        ),
        (post(&header("Transfer-Encoding", "gzip"), ""), Status(400)),
        (post(&chunked, "zz\r\n{}\r\n0\r\n\r\n"), Status(400)),
        (post(&chunked, "ffffffffffffffff1\r\n"), Status(400)),
        (
            post(
                &chunked,
                &format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(40_000)),
            ),
            Status(400),
        ),
        (post(&chunked, &"1\r\nx\r\n".repeat(70_000)), Status(413)),
        (post("Bad Header\r\n", ""), Status(400)),
        (post("X: \u{1}\r\n", ""), Status(400)),
        (
            "GET /VolumeDriver.List HTTP/1.1\r\nHost: \r\n\r\n".to_owned(),
            Status(405),
        ),
        (
            "BREW /VolumeDriver.List HTTP/1.1\r\nHost: \r\n\r\n".to_owned(),
            Status(405),
        ),
        (
            "CONNECT a:1 HTTP/1.1\r\nHost: \r\n\r\n".to_owned(),
            Status(404),
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: \r\n\r\n".to_owned(),
            Status(404),
        ),
        (request("/", "{}"), Status(404)),
        (request("/VolumeDriver.Mount/../Create", "{}"), Status(404)),
        (request("/volumedriver.create", "{}"), Status(404)),
        (request("/VolumeDriver.Snapshot", "{}"), Status(404)),
        (request("//VolumeDriver.Create", "{}"), Status(404)),
    ]
}

fn bad_bodies() -> Vec<(String, Expected)> {
    let mut options = String::new();
    for number in 0..1000 {
        write!(options, "\"o{number}\":\"x\",").unwrap();
    }
    let deep = |open: &str, close: &str, depth: usize| {
        let (open, close) = (open.repeat(depth), close.repeat(depth));
        format!("{{\"Name\":\"v\",\"Deep\":{open}1{close}}}")
    };
    let bodies = [
        "",
        " ",
        "{",
        "[]",
        "null",
        "7",
        "\"x\"",
        "{}",
        "{\"Name\":7}",
        "{\"Name\":null}",
        "{\"Name\":\"v\",\"Opts\":7}",
        "{\"Name\":\"v\",\"Opts\":{\"size\":7}}",
        "{\"Name\":\"a\",\"Name\":\"b\"}",
        "{\"Name\":\"w\",\"Opts\":{\"size\":\"1G\",\"size\":\"2G\"}}",
        "{\"Name\":\"w\"}{\"Name\":\"x\"}",
        "{\"Name\":\"w\"} trailing",
        "{\"Name\":\"\\ud800\"}",
        "{\"Name\":\"w\",}",
        "{'Name':'w'}",
        "NaN",
        "{\"name\":\"w\"}",
    ];
    let mut requests: Vec<(String, Expected)> = bodies
        .iter()
        .map(|body| (create(body), Status(400)))
        .collect();
    requests.extend([
        // Fields that are not known are passed over, however deep.
        (create(&deep("[", "]", 10_000)), Status(200)),
        (create(&deep("{\"a\":", "}", 9_000)), Status(200)),
        (create(&deep("{\"a\":", "}", 12_000)), Status(413)),
        (create(&"[".repeat(60_000)), Status(400)),
        (
            create(&format!(
                "{{\"Name\":\"w\",\"Opts\":{{{options}\"size\":\"1G\"}}}}"
            )),
            Status(400),
        ),
        (
            create(&format!("{{\"Name\":\"{}\"}}", "x".repeat(60_000))),
            Status(400),
        ),
        (
            create(&format!("{{\"Name\":\"{}\"}}", "x".repeat(70_000))),
            Status(413),
        ),
        (
            create(&json!({"Name": "w", "Opts": {"size": "9".repeat(9000)}}).to_string()),
            Status(400),
        ),
        (
            create(&json!({"Name": "w", "Opts": {"x".repeat(60_000): ""}}).to_string()),
            Status(400),
        ),
        (
            create(
                &json!({"Name": "w", "Opts": {"volume_label_selector": "a,".repeat(9000)}})
                    .to_string(),
            ),
            Status(400),
        ),
    ]);
    requests
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_refused_and_changes_nothing() {
    let mut target = Target::start().await;
    for (text, expected) in bad_http().into_iter().chain(bad_bodies()) {
        let shown: String = text.chars().take(200).collect();
        let mut connection = connect(&target.socket()).await;
        connection.send(&text).await;
        match expected {
            Nothing => {
                connection.close_own_side().await;
                assert!(is_closed(&mut connection).await, "{shown:?}");
            }
            Status(status) => match connection.receive().await {
                Answer::Response(seen, body) => {
                    assert_eq!(seen, status, "{shown:?}: {body}");
                    let words = body["Err"].as_str().unwrap_or("the HTTP library's own");
                    assert!(
                        words.is_empty() == (status == 200) && words.len() < 5000,
                        "{shown:?}: {words}"
                    );
                }
                // Sent away while it still sends: the answer may be lost with the rest.
                Answer::Closed => assert!(text.len() > 16_000, "{shown:?}: closed"),
            },
        }
        target.answers().await;
    }
    assert_eq!(target.volumes().len(), 1, "nothing was made");
    let log = target.log();
    let longest = log.lines().map(str::len).max().unwrap();
    assert!(longest < 10_000, "a line of {longest} bytes");
    target.open_files_fall_to(100).await;
    target.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_are_refused() {
    let target = Target::start().await;
    for body in [
        &b"{\"Name\":\"\xff\xfe\"}"[..],
        b"{\"Name\":\"a\0b\"}",
        b"\xef\xbb\xbf{\"Name\":\"w\"}",
        b"{\"Name\":\"w\xc0\x80\"}",
    ] {
        let mut bytes = post(&format!("Content-Length: {}\r\n", body.len()), "").into_bytes();
        bytes.extend_from_slice(body);
        let mut connection = connect(&target.socket()).await;
        connection.send_bytes(&bytes).await;
        assert_eq!(connection.receive().await.status(), 400, "{body:?}");
    }
    assert_eq!(target.volumes().len(), 1);
    target.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_lead_nowhere() {
    let target = Target::start().await;
    let outside = target.folder().join("outside");
    let names = [
        "..".to_owned(),
        ".".to_owned(),
        "../../../../etc/passwd".to_owned(),
        format!("{}", outside.display()),
        "a/b".to_owned(),
        "a\\b".to_owned(),
        "a\0b".to_owned(),
        "a\nb".to_owned(),
        "\u{1b}[2J".to_owned(),
        "a\u{202e}b".to_owned(),
        "a\u{2028}b".to_owned(),
        " a".to_owned(),
        "x".repeat(256),
        "é".repeat(128),
        String::new(),
    ];
    for name in &names {
        for call in ["Create", "Get", "Mount", "Unmount", "Path", "Remove"] {
            let answer = target.call(call, json!({"Name": name, "ID": "i"})).await;
            assert_eq!(answer.status(), 400, "{call} {name:?}");
            let text = answer.error();
            assert!(
                !text.contains(char::is_control),
                "{call} {name:?}: {text:?}"
            );
        }
    }
    for id in ["x".repeat(300), "a\nb".to_owned(), "\0".to_owned()] {
        let answer = target.call("Mount", json!({"Name": "v", "ID": id})).await;
        assert_eq!(answer.status(), 400, "{id:?}");
    }
    assert!(!outside.exists());
    assert_eq!(target.volumes().len(), 1);
    for line in target.log().lines() {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    target.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_answered_in_order_and_a_cut_one_up_to_the_cut() {
    let target = Target::start().await;
    let get = |name: &str| request("/VolumeDriver.Get", &json!({"Name": name}).to_string());
    let mut connection = connect(&target.socket()).await;
    let many: String = (0..50).map(|_| get("v") + &get("a/b")).collect();
    connection.send(&many).await;
    for _ in 0..50 {
        assert_eq!(connection.receive().await.ok()["Volume"]["Name"], "v");
        assert_eq!(connection.receive().await.status(), 400);
    }
    let mut half = connect(&target.socket()).await;
    let two = get("v") + &get("v");
    half.send(cut(&two, 3)).await;
    half.close_own_side().await;
    assert_eq!(half.receive().await.ok()["Volume"]["Name"], "v");
    assert!(is_closed(&mut half).await);
    target.end().await;
}
