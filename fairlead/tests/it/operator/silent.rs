//! Arrays that do not answer, hang or refuse; wrong words and wrong configurations.

use std::ffi::OsString;
use std::time::Duration;

use fairlead::cli;
use serde_json::json;

use super::{Scene, remove};

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_array_is_named_and_the_answer_is_partial() {
    let scene = Scene::new(&["array-a", "array-b"]).await;
    scene.make(0, "here").await;
    scene.make(1, "there").await;
    let gone = scene.make(0, "gone").await;
    remove(&scene.node(0), &gone).await;
    scene.array(1).stop().await;
    let silent = scene.array(1).address().to_string();
    for words in [
        &["volume", "ls"][..],
        &["volume", "ls", "--array", "array-a"],
        &["volume", "inspect", "here"],
        &["volume", "trash", "ls"],
        &["array", "ls"],
        &["connections"],
    ] {
        let said = scene.run(words).await;
        assert_eq!(said.code, 3, "{words:?}: {}{}", said.out, said.err);
        assert!(said.err.contains(&silent), "{words:?}: {}", said.err);
        // One sentence: which array, what the system said, what to do.
        assert_eq!(said.err.matches(&silent).count(), 1, "{}", said.err);
        assert_eq!(said.err.matches("refused").count(), 1, "{}", said.err);
        assert!(said.err.contains("; check that it is up"), "{}", said.err);
        assert!(!said.err.contains("tcp connect"), "{}", said.err);
        let said = scene.run(&[words, &["-o", "json"]].concat()).await;
        assert!(said.out.contains(&silent), "{words:?}: {}", said.out);
        let token = scene.array(1).api_token();
        assert!(!said.out.contains(token) && !said.err.contains(token));
    }
    let said = scene.run(&["volume", "ls"]).await;
    assert!(
        said.out.contains("here") && !said.out.contains("there"),
        "{}",
        said.out
    );
    // By its address, the one that answers is asked alone.
    let address = scene.array(0).address().to_string();
    let said = scene.run(&["volume", "ls", "--array", &address]).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    // What is not found may be there.
    let said = scene.run(&["volume", "inspect", "there"]).await;
    assert_eq!(said.code, 3, "{}", said.err);
    assert!(
        said.err.contains("no array that answers has"),
        "{}",
        said.err
    );
    // Nothing comes back under a name that the silent one may have.
    let said = scene.run(&["volume", "trash", "recover", "gone"]).await;
    assert_eq!(said.code, 3, "{}", said.out);
    assert!(
        said.err.contains("may have the name") && said.err.contains(&silent),
        "{}",
        said.err
    );
    scene.array(1).start().await.unwrap();
    let said = scene.run(&["volume", "trash", "recover", "gone"]).await;
    assert_eq!(said.code, 0, "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_that_hangs_is_waited_for_no_longer_than_asked() {
    let scene = Scene::new(&["array-a", "array-b"]).await;
    scene.make(0, "here").await;
    scene.array(1).set_silent(true);
    let began = tokio::time::Instant::now();
    let said = scene.run(&["volume", "ls", "--timeout", "500ms"]).await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(said.code, 3, "{}", said.err);
    assert!(
        said.err.contains("--timeout") && said.out.contains("here"),
        "{}",
        said.err
    );
    scene.array(1).set_silent(false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_wrong_words_and_unknown_names_are_said_in_plain_words() {
    let scene = Scene::new(&["array-a"]).await;
    for words in [
        &["volume", "ls", "--timeout", "0s"][..],
        &["volume", "ls", "--selector", "a in"],
        &["volume", "inspect"],
        &["volume", "inspect", "a/b"],
        &["volume", "trash", "recover"],
        &["volume", "trash", "recover", "x", "--name", ".."],
    ] {
        let said = scene.run(words).await;
        assert_eq!(
            (said.code, said.out.as_str()),
            (2, ""),
            "{words:?}: {}",
            said.err
        );
    }
    let said = scene.run(&["volume", "inspect", "nothing"]).await;
    assert_eq!(said.code, 1);
    assert!(
        said.err.contains("no array has a volume `nothing`"),
        "{}",
        said.err
    );
    let words = ["connections", "--volume", "nothing"];
    for more in [&[][..], &["--host", "node-1"], &["-o", "json"]] {
        let said = scene.run(&[&words, more].concat()).await;
        assert_eq!(said.code, 1, "{}", said.out);
        assert!(said.err.contains("has a volume `nothing`"), "{}", said.err);
        assert!(more.is_empty() || !said.err.contains("node-1"));
    }
    let said = scene
        .run(&[&words[..], &["--array", "array-z"]].concat())
        .await;
    assert_eq!(said.code, 1);
    assert!(
        said.err.contains("array-z") && !said.err.contains("a volume `nothing`"),
        "{}",
        said.err
    );
    let said = scene.run(&["connections", "--host", "node-9"]).await;
    assert_eq!(said.code, 0, "a host without volumes is no error");
    assert!(said.err.contains("no host called `node-9`"), "{}", said.err);
    let said = scene.run(&["volume", "trash", "recover", "nothing"]).await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("in its trash"), "{}", said.err);
    let said = scene.run(&["volume", "ls", "--array", "array-z"]).await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("array-z"), "{}", said.err);

    let (mut out, mut err) = (Vec::new(), Vec::new());
    let words = ["fairlead", "volume", "--help"].map(OsString::from);
    assert_eq!(cli::run(words, &mut out, &mut err), 0);
    let help = String::from_utf8(out).unwrap();
    assert!(
        help.contains("docker volume create") && help.contains("docker volume rm"),
        "{help}"
    );

    scene.configure(&json!({"FlashArrays": [{"MgmtEndPoint": "a/b", "APIToken": "t0k3n"}]}));
    let said = scene.run(&["volume", "ls"]).await;
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert!(
        said.err.contains("MgmtEndPoint") && !said.err.contains("t0k3n"),
        "{}",
        said.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_wrong_is_not_repeated() {
    let scene = Scene::new(&["array-a"]).await;
    let array = scene.array(0);
    scene.configure(&json!({"Namespace": "ns", "FlashArrays": [{
        "MgmtEndPoint": array.address().to_string(), "APIToken": "wr0ng-t0k3n",
        "Fingerprint": array.fingerprint(), "SanType": "LOOP", "LoopFolder": "/tmp"}]}));
    for words in [&["volume", "ls"][..], &["array", "ls"], &["connections"]] {
        let said = scene.run(words).await;
        assert_eq!(said.code, 3, "{}", said.err);
        assert!(
            said.err.contains("does not accept the API token"),
            "{}",
            said.err
        );
        assert!(said.err.contains("correct `APIToken`"), "{}", said.err);
        assert!(!said.err.contains("wr0ng") && !said.out.contains("wr0ng"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_that_makes_an_array_trusted_is_printed_once_and_whole() {
    let scene = Scene::new(&["array-a"]).await;
    let array = scene.array(0);
    scene.configure(&json!({"Namespace": "ns", "FlashArrays": [{
        "MgmtEndPoint": array.address().to_string(), "APIToken": array.api_token(),
        "SanType": "LOOP", "LoopFolder": "/tmp"}]}));
    let digits: storage_http::Fingerprint = array.fingerprint().parse().unwrap();
    let digits = digits.to_string();
    let line = format!("\"Fingerprint\": \"{digits}\"");
    let said = scene.run(&["volume", "ls"]).await;
    assert_eq!(said.code, 3, "{}", said.err);
    assert_eq!(said.err.matches(&line).count(), 1, "{}", said.err);
    assert_eq!(said.err.matches(&digits).count(), 1, "{}", said.err);
    let said = scene.run(&["array", "ls"]).await;
    assert!(
        said.out.contains(&digits) && !said.out.contains('…'),
        "{}",
        said.out
    );
}
