//! Names that users type and arrays do not take.

use std::collections::BTreeSet;

use storage_core::{Backend, ErrorKind, VolumeName, name_hash};

use crate::harness::{Harness, Verdict};
use crate::stage::{Stage, essence, get_on, name, request};

/// Makes all of them, in that order, and asserts that each is a volume of its own that get and
/// list show under its full name, and that each can go without the others.
async fn all_differ(stage: &Stage<'_>, texts: &[&str]) {
    let mut made = Vec::new();
    for text in texts {
        let volume = stage.create(text).await;
        assert_eq!(volume.name.as_str(), *text);
        made.push(volume);
    }
    let ids: BTreeSet<_> = made.iter().map(|volume| &volume.id).collect();
    assert_eq!(ids.len(), texts.len(), "each name is a volume of its own");
    for volume in &made {
        let seen = stage.get(volume.name.as_str()).await.expect("found");
        assert_eq!(essence(&seen), essence(volume));
    }
    let listed = stage.list(None).await;
    let listed: BTreeSet<_> = listed.iter().map(|volume| volume.name.as_str()).collect();
    assert_eq!(listed, texts.iter().copied().collect());
    for (index, volume) in made.iter().enumerate() {
        let _outcome = stage.delete(volume).await.expect("delete");
        for (other, survivor) in made.iter().enumerate() {
            let seen = stage.get(survivor.name.as_str()).await;
            let expected = (other > index).then(|| essence(survivor));
            assert_eq!(seen.as_ref().map(essence), expected, "{}", survivor.name);
        }
    }
    stage.assert_no_strays().await;
}

/// `Data` and `data` are two volumes, in whichever order they are made.
pub async fn names_that_differ_in_case_are_two_volumes(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    all_differ(&stage, &["data", "Data", "DATA", "dATA"]).await;
    all_differ(&stage, &["DATA", "Data", "data"]).await;
    Verdict::Passed
}

/// Whatever passes as a volume name can be made, found, listed and removed.
pub async fn every_allowed_name_works(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let longest = "x".repeat(VolumeName::MAX_BYTES);
    let long_unicode = "ü".repeat(VolumeName::MAX_BYTES / 2);
    all_differ(
        &stage,
        &[
            "a",
            "1",
            "with space",
            "with  two spaces",
            "a.b",
            "a_b",
            "a-b",
            "-",
            "--a",
            "a-",
            "_",
            "...",
            "größe",
            "grösse",
            "日本語",
            "😀",
            "e\u{301}",
            "\u{e9}",
            "a'b\"c",
            "a,b",
            "a=b&c",
            "a*",
            "%2e%2e",
            "a:b",
            "$(x)",
            &longest,
            &long_unicode,
        ],
    )
    .await;
    Verdict::Passed
}

/// Names that are the same up to where the array's names end.
pub async fn long_names_with_one_beginning_differ(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let beginning = "n".repeat(VolumeName::MAX_BYTES - 1);
    let texts = [
        format!("{beginning}1"),
        format!("{beginning}2"),
        beginning.clone(),
        beginning.chars().take(60).collect(),
        beginning.chars().take(61).collect(),
    ];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    all_differ(&stage, &texts).await;
    Verdict::Passed
}

/// A volume called what another one's object is, or could be, called.
pub async fn a_name_in_the_form_of_a_hash_is_another_volume(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let hash = name_hash(stage.node.namespace(), &name("Data"));
    let imitation = format!("data-{hash}");
    all_differ(&stage, &["Data", &imitation]).await;
    all_differ(&stage, &[&imitation, "Data"]).await;
    let upper = format!("data-{}", hash.to_ascii_uppercase());
    all_differ(&stage, &[&upper, &imitation, "Data"]).await;
    Verdict::Passed
}

/// Volumes called as objects on their way are ordinary volumes.
pub async fn names_in_the_form_of_reserved_ones_work(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let tentative = format!("fl-new-{}", "0".repeat(32));
    let hash = name_hash(stage.node.namespace(), &name("x"));
    let trash = format!("fl-trash-{hash}-01234567");
    let capital = tentative.to_ascii_uppercase();
    all_differ(&stage, &["x", "fl", "fl-", &tentative, &trash, &capital]).await;
    Verdict::Passed
}

/// `<ns>` with `two-x` and `<ns>-two` with `x` give one object name. Each cluster has a volume of
/// its own, or the second is refused; neither ever gets the other's.
pub async fn clusters_whose_objects_have_one_name_stay_apart(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let other = stage.other_cluster().await;
    let ours = stage.create("two-x").await;
    assert_eq!(get_on(&other, "x").await, None);
    match other.create(request("x")).await {
        Ok(outcome) => {
            stage.assert_done(&outcome, "create in the other cluster");
            let theirs = outcome.into_inner();
            assert_ne!(theirs.id, ours.id);
            let seen = get_on(&other, "x").await.expect("found");
            assert_eq!(essence(&seen), essence(&theirs));
        }
        Err(error) => {
            let kind = error.kind();
            let refusal = matches!(
                kind,
                ErrorKind::AlreadyExists | ErrorKind::FailedPrecondition
            );
            assert!(refusal, "{}", error.chain());
            assert_eq!(get_on(&other, "x").await, None);
        }
    }
    let seen = stage.get("two-x").await.expect("still ours");
    assert_eq!(essence(&seen), essence(&ours));
    Verdict::Passed
}
