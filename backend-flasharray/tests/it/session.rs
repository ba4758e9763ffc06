//! Logging in: versions, tokens, certificates, ended sessions, replaced arrays.

use storage_core::{Backend, ErrorKind, Retry, Secret};
use storage_http::{Fingerprint, Trust};

use crate::support::{Rig, Verbs};

#[tokio::test]
async fn the_highest_common_version_is_spoken() {
    for (versions, spoken) in [
        (vec!["2.0", "2.2", "2.26"], "/api/2.26/"),
        (vec!["2.2"], "/api/2.2/"),
    ] {
        let rig = Rig::with(|config| {
            config.rest_versions = versions.iter().map(|one| (*one).to_owned()).collect();
        })
        .await;
        rig.node().make("data").await;
        let calls = rig.array.calls();
        let used = calls.iter().filter(|call| call.route == "volumes");
        assert!(used.clone().count() > 0);
        assert!(
            used.clone().all(|call| call.path.starts_with(spoken)),
            "{spoken}"
        );
    }
}

#[tokio::test]
async fn an_array_without_rest_2_is_refused_with_the_way_out() {
    let mut server = mockito::Server::new_async().await;
    let versions = server
        .mock("GET", "/api/api_version")
        .with_body(r#"{"version":["1.0","1.19"]}"#)
        .create_async()
        .await;
    let rig = Rig::new().await;
    let mut config = rig.config("ns");
    config.endpoint = server.url();
    config.trust = Trust::PlainLoopback;
    let node = backend_flasharray::FlashArray::new(config).unwrap();
    let error = node.telemetry().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(error.message().contains("Purity 6"), "{error}");
    versions.assert_async().await;
}

#[tokio::test]
async fn an_ended_session_is_renewed_without_anybody_noticing() {
    let rig = Rig::new().await;
    let node = rig.node();
    node.make("one").await;
    rig.array.expire_sessions();
    node.make("two").await;
    assert_eq!(rig.array.call_counts()["POST login"], 2);
}

#[tokio::test]
async fn a_wrong_token_is_told_as_such() {
    let rig = Rig::new().await;
    let mut config = rig.config("ns");
    config.token = Secret::new("11111111-2222-3333-4444-555555555555");
    let node = backend_flasharray::FlashArray::new(config).unwrap();
    let error = node.telemetry().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
    assert_eq!(error.retry(), Retry::Never);
    assert!(!format!("{error:?} {}", error.chain()).contains("11111111-2222"));
    let text = error.chain().to_string();
    assert!(text.contains("correct `APIToken`"), "{text}");
    assert_eq!(text.matches("token").count(), 2, "told once: {text}");
}

#[tokio::test]
async fn an_untrusted_certificate_is_refused_with_the_line_to_add() {
    let rig = Rig::new().await;
    let told: Fingerprint = rig.array.fingerprint().parse().unwrap();
    // What took a pinned certificate's place is not offered for pinning.
    let pinned = Trust::Fingerprint(Fingerprint::of(b"another"));
    for (trust, offered) in [(Trust::System, true), (pinned, false)] {
        let mut config = rig.config("ns");
        config.trust = trust;
        let node = backend_flasharray::FlashArray::new(config).unwrap();
        let error = node.telemetry().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert_eq!(error.retry(), Retry::Never);
        let line = format!("\"Fingerprint\": \"{told}\"");
        assert_eq!(error.message().contains(&line), offered, "{error}");
        let text = error.chain().to_string();
        assert_eq!(text.matches(&told.to_string()).count(), 1, "{text}");
    }
    let mut config = rig.config("ns");
    config.trust = Trust::CaFile(rig.array.certificate_path().to_owned());
    let node = backend_flasharray::FlashArray::new(config).unwrap();
    node.telemetry().await.unwrap();
    assert_eq!(
        rig.array.call_counts()["POST login"],
        1,
        "refused before any token was sent"
    );
}

#[tokio::test]
async fn a_silent_array_is_unavailable_and_nothing_is_claimed() {
    let rig = Rig::new().await;
    let mut config = rig.config("ns");
    config.timeouts.attempt = std::time::Duration::from_millis(100);
    config.retry.attempts = 2;
    let node = backend_flasharray::FlashArray::new(config).unwrap();
    let volume = node.make("data").await;
    rig.array.set_silent(true);
    for kind in [
        node.get(storage_core::VolumeKey::Id(volume.id.clone()))
            .await
            .unwrap_err()
            .kind(),
        node.list(Default::default()).await.unwrap_err().kind(),
        node.published(&volume).await.unwrap_err().kind(),
        node.telemetry().await.unwrap_err().kind(),
    ] {
        assert_eq!(kind, ErrorKind::Unavailable);
    }
    let error = node.remove(&volume).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    rig.array.set_silent(false);
    assert_eq!(node.find("data").await.unwrap().id, volume.id);
}

#[tokio::test]
async fn a_volume_of_another_array_is_not_looked_for_here() {
    let (one, two) = (Rig::new().await, Rig::new().await);
    let volume = one.node().make("data").await;
    let node = two.node();
    let twin = node.make("data").await;
    assert_ne!(volume.id, twin.id);
    for kind in [
        node.give(&volume, 1).await.unwrap_err().kind(),
        node.take(&volume, 1).await.unwrap_err().kind(),
        node.remove(&volume).await.unwrap_err().kind(),
        node.published(&volume).await.unwrap_err().kind(),
    ] {
        assert_eq!(kind, ErrorKind::NotFound);
    }
    assert_eq!(node.find("data").await.unwrap().id, twin.id);
}

/// One address behind which first array `a` answers, then array `b`: every session token tells
/// who accepts it.
async fn two_arrays() -> (mockito::ServerGuard, backend_flasharray::FlashArray) {
    let mut server = mockito::Server::new_async().await;
    let versions = r#"{"version":["2.26"]}"#;
    server
        .mock("GET", "/api/api_version")
        .with_body(versions)
        .create_async()
        .await;
    for array in ["a", "b"] {
        let body = format!(r#"{{"items":[{{"id":"id-{array}","name":"array-{array}"}}]}}"#);
        server
            .mock("GET", "/api/2.26/arrays")
            .match_header("x-auth-token", array)
            .with_body(body)
            .create_async()
            .await;
    }
    let rig = Rig::new().await;
    let mut config = rig.config("ns");
    config.endpoint = server.url();
    config.trust = Trust::PlainLoopback;
    let node = backend_flasharray::FlashArray::new(config).unwrap();
    (server, node)
}

#[tokio::test]
async fn nothing_is_done_to_another_array_that_answers_after_a_new_login() {
    let (mut server, node) = two_arrays().await;
    let login = server
        .mock("POST", "/api/2.26/login")
        .with_header("x-auth-token", "a")
        .create_async()
        .await;
    server
        .mock("GET", "/api/2.26/arrays/space")
        .with_body(r#"{"items":[{"capacity":1,"space":{}}]}"#)
        .create_async()
        .await;
    let telemetry = node.telemetry().await.unwrap();
    assert_eq!(telemetry.array.as_str(), "id-a");

    // The other array does not know the session.
    login.remove_async().await;
    server
        .mock("POST", "/api/2.26/login")
        .with_header("x-auth-token", "b")
        .create_async()
        .await;
    let refused = server
        .mock("POST", "/api/2.26/volumes")
        .match_query(mockito::Matcher::Any)
        .match_header("x-auth-token", "a")
        .with_status(401)
        .expect(1)
        .create_async()
        .await;
    let done = server
        .mock("POST", "/api/2.26/volumes")
        .match_query(mockito::Matcher::Any)
        .match_header("x-auth-token", "b")
        .expect(0)
        .create_async()
        .await;
    let error = node
        .create(crate::support::request("data"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.message().contains("another array"), "{error}");
    refused.assert_async().await;
    done.assert_async().await;
    // The next operation knows with whom it speaks.
    let telemetry = node.telemetry().await.unwrap();
    assert_eq!(telemetry.array.as_str(), "id-b");
}
