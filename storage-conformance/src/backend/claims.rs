//! The steps of a claim on one array: each repeated, late, and by anybody.

use storage_core::{
    ArrayNumber, Backend, ClaimNonce, Claims, CloneSource, CloneVolume, Commit, ErrorKind,
    ImportVolume, Marker, Ownership, Tentative, TentativeKind, Volume, VolumeState,
};
use tokio::join;
use uuid::Uuid;

use crate::harness::{Harness, Hook, Verdict};
use crate::retrying::Retrying;
use crate::stage::{Stage, essence, get_on, name, refused, request};

/// Why the cases cannot be tried.
pub(crate) const NO_CLAIMS: &str = "the backend has no steps of claims";

/// The node's steps.
pub(crate) fn claims(node: &Retrying) -> &dyn Claims {
    node.claims().expect("asked before")
}

/// The stage, if the backend can take part in claims.
pub(crate) async fn claiming(harness: &dyn Harness) -> Result<Stage<'_>, Verdict> {
    let stage = Stage::new(harness).await;
    if stage.node.claims().is_some() {
        Ok(stage)
    } else {
        Err(Verdict::skipped(NO_CLAIMS))
    }
}

pub(crate) fn nonce() -> ClaimNonce {
    ClaimNonce::by_chance(ArrayNumber(7))
}

pub(crate) async fn propose(node: &Retrying, text: &str) -> Tentative {
    let proposed = claims(node).propose(&request(text)).await;
    proposed.expect("propose")
}

pub(crate) async fn committed(node: &Retrying, text: &str, nonce: ClaimNonce) -> Volume {
    match claims(node).commit(&name(text), nonce).await {
        Ok(Commit::Committed(volume)) => *volume,
        other => panic!("commit of `{text}`: {other:?}"),
    }
}

macro_rules! stage {
    ($harness:expr) => {
        match claiming($harness).await {
            Ok(stage) => stage,
            Err(skipped) => return skipped,
        }
    };
}
pub(crate) use stage;

/// Absence is seen as such, and nothing else is taken for the name.
pub async fn of_a_name_that_nobody_has_nothing_is_seen(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let _other = stage.create("data2").await;
    let _waiting = propose(&stage.node, "data3").await;
    let view = claims(&stage.node).view(&name("data")).await.expect("view");
    assert!(view.volume.is_none(), "{view:?}");
    assert!(view.marker.is_none(), "{view:?}");
    assert!(view.tentatives.is_empty(), "{view:?}");
    Verdict::Passed
}

/// What is proposed is seen by claims and by nobody else, and is there once.
pub async fn a_proposed_volume_waits(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let request = request("data");
    let first = claims(&stage.node)
        .propose(&request)
        .await
        .expect("propose");
    assert_eq!(
        (first.nonce, first.kind),
        (request.nonce, TentativeKind::New)
    );
    let elsewhere = stage.another_node().await;
    let again = claims(&elsewhere).propose(&request).await;
    assert_eq!(again.expect("propose again"), first);
    let view = claims(&elsewhere).view(&name("data")).await.expect("view");
    assert_eq!(view.tentatives, [first]);
    assert!(view.volume.is_none(), "it has no name yet");
    assert_eq!(stage.get("data").await, None);
    stage.assert_not_listed("data").await;
    Verdict::Passed
}

/// A commit gives the volume that was asked for, whole.
pub async fn a_committed_volume_is_what_was_asked_for(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let asked = request("Data");
    let waiting = claims(&stage.node).propose(&asked).await.expect("propose");
    let volume = committed(&stage.node, "Data", asked.nonce).await;
    assert_eq!(volume.name, asked.name);
    assert_eq!(volume.size, asked.size);
    assert_eq!(volume.format_grant, asked.format_grant);
    assert_eq!(volume.filesystem.as_ref(), Some(&asked.filesystem));
    assert_eq!(volume.state, VolumeState::Ready);
    assert_eq!(volume.ownership, Ownership::Recorded);
    assert_ne!(volume.object, waiting.object_name);
    let seen = stage.get("Data").await.expect("found");
    assert_eq!(essence(&seen), essence(&volume));
    let listed = stage.list(None).await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    let view = claims(&stage.node).view(&name("Data")).await.expect("view");
    assert!(view.tentatives.is_empty(), "{view:?}");
    assert_eq!(view.volume.map(|seen| seen.id), Some(volume.id));
    Verdict::Passed
}

/// Whoever commits, and however often: it is one volume.
pub async fn anybody_commits(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let elsewhere = stage.another_node().await;
    let waiting = propose(&stage.node, "data").await;
    let wanted = name("data");
    let (one, two) = join!(
        claims(&stage.node).commit(&wanted, waiting.nonce),
        claims(&elsewhere).commit(&wanted, waiting.nonce)
    );
    let mut ids = Vec::new();
    for commit in [one, two] {
        match commit.expect("commit") {
            Commit::Committed(volume) => ids.push(volume.id),
            other => panic!("{other:?}"),
        }
    }
    ids.push(committed(&elsewhere, "data", waiting.nonce).await.id);
    assert!(ids.windows(2).all(|two| two[0] == two[1]), "{ids:?}");
    Verdict::Passed
}

/// A second attempt is told whose the name is, and can be given up without harm.
pub async fn a_taken_name_is_told(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let first = propose(&stage.node, "data").await;
    let second = propose(&stage.node, "data").await;
    let volume = committed(&stage.node, "data", first.nonce).await;
    let wanted = name("data");
    match claims(&stage.node).commit(&wanted, second.nonce).await {
        Ok(Commit::Taken(other)) => assert_eq!(other.id, volume.id),
        other => panic!("{other:?}"),
    }
    let withdrawn = claims(&stage.node).withdraw(&wanted, second.nonce).await;
    stage.assert_done(&withdrawn.expect("withdraw"), "withdraw");
    let view = claims(&stage.node).view(&wanted).await.expect("view");
    assert!(view.tentatives.is_empty(), "{view:?}");
    assert_eq!(view.volume.map(|seen| seen.id), Some(volume.id));
    Verdict::Passed
}

/// Nothing is committed that was never proposed, or was given up.
pub async fn what_was_given_up_is_gone(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let wanted = name("data");
    let never = claims(&stage.node).commit(&wanted, nonce()).await;
    assert!(matches!(never, Ok(Commit::Gone)), "{never:?}");
    let waiting = propose(&stage.node, "data").await;
    let elsewhere = stage.another_node().await;
    let withdrawn = claims(&elsewhere).withdraw(&wanted, waiting.nonce).await;
    stage.assert_done(&withdrawn.expect("withdraw"), "withdraw");
    let again = claims(&stage.node).withdraw(&wanted, waiting.nonce).await;
    assert!(!again.expect("withdraw again").is_done());
    let late = claims(&stage.node).commit(&wanted, waiting.nonce).await;
    assert!(matches!(late, Ok(Commit::Gone)), "{late:?}");
    assert_eq!(stage.get("data").await, None);
    Verdict::Passed
}

/// What was given up holds its waiting name for good: a late proposal makes nothing.
pub async fn what_was_given_up_cannot_wait_again(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let asked = request("data");
    let node = claims(&stage.node);
    let _waiting = node.propose(&asked).await.expect("propose");
    let withdrawn = node.withdraw(&asked.name, asked.nonce).await;
    stage.assert_done(&withdrawn.expect("withdraw"), "withdraw");
    let late = node.propose(&asked).await;
    refused(late, ErrorKind::AlreadyExists, "a late proposal");
    let view = node.view(&asked.name).await.expect("view");
    assert!(view.tentatives.is_empty(), "{view:?}");
    Verdict::Passed
}

/// Giving up goes by the waiting name: what was committed by somebody meanwhile is spared.
pub async fn a_committed_volume_is_not_given_up(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let waiting = propose(&stage.node, "data").await;
    let volume = committed(&stage.node, "data", waiting.nonce).await;
    let late = claims(&stage.node)
        .withdraw(&name("data"), waiting.nonce)
        .await;
    assert!(!late.expect("withdraw").is_done());
    let seen = stage.get("data").await.expect("it is there");
    assert_eq!(essence(&seen), essence(&volume));
    Verdict::Passed
}

/// A copy is claimed as any volume is.
pub async fn a_proposed_copy_has_its_sources_data(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    if stage.node.clones().is_none() {
        return Verdict::skipped("the backend has no clones");
    }
    let source = stage.create("source").await;
    let mark = Uuid::new_v4();
    if harness.mark(&source.object, mark).await == Hook::Missing {
        return Verdict::skipped("the harness cannot write on volumes");
    }
    let mut asked = request("copy");
    asked.format_grant = None;
    let copy = CloneVolume {
        volume: asked.clone(),
        source: CloneSource::Volume(Box::new(source)),
        fresh_uuid: Uuid::new_v4(),
    };
    let waiting = claims(&stage.node).propose_copy(&copy).await;
    assert_eq!(waiting.expect("propose a copy").nonce, asked.nonce);
    assert_eq!(stage.get("copy").await, None);
    let volume = committed(&stage.node, "copy", asked.nonce).await;
    assert_eq!(volume.fresh_uuid, Some(copy.fresh_uuid));
    assert_eq!(volume.format_grant, None);
    if let Some(found) = harness.mark_of(&volume.object).await {
        assert_eq!(found, mark);
    }
    Verdict::Passed
}

fn import(text: &str, object: &str) -> ImportVolume {
    let mut record = request(text);
    record.format_grant = None;
    ImportVolume {
        name: record.name.clone(),
        object: object.to_owned(),
        nonce: record.nonce,
        record,
    }
}

/// An object that somebody made becomes a volume of ours: the same object, with its data.
pub async fn an_imported_volume_keeps_its_data(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let size = storage_core::Size::from_gib(2);
    if harness.add_foreign("old-database", size).await == Hook::Missing {
        return Verdict::skipped("the harness cannot make objects past the backend");
    }
    let mark = Uuid::new_v4();
    let marked = harness.mark("old-database", mark).await == Hook::Done;
    let asked = import("data", "old-database");
    let found = claims(&stage.node).find_object("old-database").await;
    assert!(found.expect("find").is_some(), "it is there");
    let missing = claims(&stage.node).find_object("old-databases").await;
    assert_eq!(missing.expect("find"), None);
    let waiting = claims(&stage.node).propose_import(&asked).await;
    let waiting = waiting.expect("propose an import");
    assert_eq!(
        (waiting.nonce, waiting.kind),
        (asked.nonce, TentativeKind::Imported)
    );
    let again = claims(&stage.node).propose_import(&asked).await;
    assert_eq!(again.expect("propose it again"), waiting);
    let view = claims(&stage.node).view(&name("data")).await.expect("view");
    assert_eq!(view.tentatives, [waiting]);
    assert!(view.volume.is_none(), "{view:?}");
    let volume = committed(&stage.node, "data", asked.nonce).await;
    assert_eq!(volume.size, size);
    assert_eq!(volume.format_grant, None, "it is never formatted");
    assert_eq!(volume.ownership, Ownership::Recorded);
    if marked && let Some(found) = harness.mark_of(&volume.object).await {
        assert_eq!(found, mark);
    }
    Verdict::Passed
}

/// An import that lost leaves the object as it was: its name, and no record.
pub async fn an_import_that_is_given_up_is_restored(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let object = format!("{}-theirs", stage.node.namespace());
    let size = storage_core::Size::from_gib(2);
    if harness.add_foreign(&object, size).await == Hook::Missing {
        return Verdict::skipped("the harness cannot make objects past the backend");
    }
    let before = stage.get("theirs").await.expect("found by its exact name");
    let asked = import("data", &object);
    let waiting = claims(&stage.node).propose_import(&asked).await;
    let _waiting = waiting.expect("propose an import");
    assert_eq!(stage.get("theirs").await, None, "it is aside");
    let elsewhere = stage.another_node().await;
    let withdrawn = claims(&elsewhere).withdraw(&asked.name, asked.nonce).await;
    stage.assert_done(&withdrawn.expect("withdraw"), "withdraw");
    let after = stage.get("theirs").await.expect("it has its name again");
    assert_eq!(essence(&after), essence(&before));
    let late = claims(&stage.node).commit(&asked.name, asked.nonce).await;
    assert!(matches!(late, Ok(Commit::Gone)), "{late:?}");
    Verdict::Passed
}

/// What is in use elsewhere, another cluster's, or not there is refused, and stays as it is.
pub async fn what_is_not_ours_to_take_is_not_imported(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let missing = claims(&stage.node)
        .propose_import(&import("data", "no-such-object"))
        .await;
    refused(missing, ErrorKind::NotFound, "an object that is not there");
    let other = stage.other_cluster().await;
    let theirs = crate::stage::create_on(&other, "theirs").await;
    let taken = claims(&stage.node)
        .propose_import(&import("data", &theirs.object))
        .await;
    let kind = ErrorKind::FailedPrecondition;
    refused(taken, kind, "another cluster's volume");
    let seen = get_on(&other, "theirs").await.expect("it is there");
    assert_eq!(essence(&seen), essence(&theirs));
    let size = storage_core::Size::from_gib(2);
    if harness.add_foreign("in-use", size).await == Hook::Missing
        || harness.connect_foreign("in-use", "their-host").await == Hook::Missing
    {
        return Verdict::skipped("the harness cannot connect hosts past the backend");
    }
    let used = claims(&stage.node)
        .propose_import(&import("data", "in-use"))
        .await;
    let error = refused(used, kind, "a connected object");
    let text = error.chain().to_string();
    assert!(text.contains("their-host"), "the host is named: {text}");
    Verdict::Passed
}

/// What is made in a case is no older than this.
const AGE_MAX: std::time::Duration = std::time::Duration::from_secs(3600);

/// One marker, whatever its age when it was read.
fn assert_same(one: &Marker, two: &Marker) {
    assert_eq!((&one.object, one.nonce), (&two.object, two.nonce));
}

/// The first mark is the array's vote; every later one is told of it.
pub async fn a_marker_is_made_once(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let elsewhere = stage.another_node().await;
    let (first, second) = (nonce(), nonce());
    let (small, large) = (name("data"), name("Data"));
    let marker = claims(&stage.node).mark(&small, first).await.expect("mark");
    assert_eq!(marker.nonce, first);
    assert!(marker.age < AGE_MAX, "made just now: {marker:?}");
    let again = claims(&stage.node).mark(&small, first).await;
    assert_same(&again.expect("mark again"), &marker);
    let late = claims(&elsewhere).mark(&small, second).await;
    assert_same(&late.expect("another's mark"), &marker);
    let other = claims(&elsewhere).mark(&large, second).await;
    assert_eq!(other.expect("another name's").nonce, second);
    let view = claims(&elsewhere).view(&small).await.expect("view");
    assert_same(&view.marker.expect("a marker"), &marker);
    assert!(view.volume.is_none(), "a marker is no volume");
    assert_eq!(stage.list(None).await, []);
    // All bits of a nonce are carried.
    let extreme = ClaimNonce::new(ArrayNumber::MAX, u32::MAX);
    let marked = claims(&stage.node).mark(&name("extreme"), extreme).await;
    assert_eq!(marked.expect("mark").nonce, extreme);
    Verdict::Passed
}

/// However many mark at once, they are told of one.
pub async fn racing_marks_agree(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let elsewhere = stage.another_node().await;
    for round in 0..4 {
        let wanted = name(&format!("raced{round}"));
        let (one, two) = join!(
            claims(&stage.node).mark(&wanted, nonce()),
            claims(&elsewhere).mark(&wanted, nonce())
        );
        assert_same(&one.expect("mark"), &two.expect("mark"));
    }
    Verdict::Passed
}

/// A marker is taken away by id: a late call spares the one that came after it.
pub async fn a_marker_goes_by_its_id(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let wanted = name("data");
    let node = claims(&stage.node);
    let first = node.mark(&wanted, nonce()).await.expect("mark");
    let retired = node.retire(&first).await.expect("retire");
    stage.assert_done(&retired, "retire");
    assert_eq!(node.view(&wanted).await.expect("view").marker, None);
    let second = node.mark(&wanted, nonce()).await.expect("mark");
    assert_ne!(second.object, first.object);
    let late = node.retire(&first).await.expect("retire late");
    assert!(!late.is_done(), "it is gone already");
    let seen = node.view(&wanted).await.expect("view").marker;
    assert_same(&seen.expect("the other one"), &second);
    Verdict::Passed
}

/// One name in two clusters is two claims.
pub async fn another_clusters_claims_stay_apart(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let other = stage.other_cluster().await;
    let wanted = name("data");
    let ours = claims(&stage.node).mark(&wanted, nonce()).await;
    let ours = ours.expect("mark");
    let waiting = propose(&stage.node, "data").await;
    let view = claims(&other).view(&wanted).await.expect("view");
    assert!(view.marker.is_none() && view.tentatives.is_empty());
    let gone = claims(&other).commit(&wanted, waiting.nonce).await;
    assert!(matches!(gone, Ok(Commit::Gone)), "{gone:?}");
    let given_up = claims(&other).withdraw(&wanted, waiting.nonce).await;
    assert!(!given_up.expect("withdraw").is_done());
    assert!(claims(&other).strays().await.expect("strays").is_empty());
    let theirs = claims(&other).mark(&wanted, nonce()).await.expect("mark");
    assert_ne!(theirs.object, ours.object);
    let view = claims(&stage.node).view(&wanted).await.expect("view");
    assert_same(&view.marker.expect("a marker"), &ours);
    assert_eq!(view.tentatives, [waiting]);
    Verdict::Passed
}

/// No answer is an error, and never an absence.
pub async fn a_silent_array_claims_nothing(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let wanted = name("data");
    if harness.set_down(true).await == Hook::Missing {
        return Verdict::skipped("the harness cannot make the array silent");
    }
    // Past the repetitions, which would only take their time.
    let node = stage.node.inner().claims().expect("asked before");
    let passing = |kind| matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout);
    let allowed = |kind| passing(kind) || (harness.faulty() && kind == ErrorKind::Busy);
    let view = node.view(&wanted).await.expect_err("a view");
    assert!(allowed(view.kind()), "{view:?}");
    let commit = node.commit(&wanted, nonce()).await;
    let commit = commit.expect_err("a commit");
    assert!(allowed(commit.kind()), "{commit:?}");
    let marked = node.mark(&wanted, nonce()).await.expect_err("a mark");
    assert!(allowed(marked.kind()), "{marked:?}");
    let record = node.fleet_record().await.expect_err("a fleet record");
    assert!(allowed(record.kind()), "{record:?}");
    let _hook = harness.set_down(false).await;
    assert!(stage.get("data").await.is_none());
    Verdict::Passed
}
