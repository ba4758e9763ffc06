//! Giving hosts access.

use storage_core::{AccessPath, Backend, ErrorKind};
use tokio::join;

use crate::harness::{Harness, Hook, Verdict};
use crate::stage::{Stage, publish_avoiding, publish_on, refused};

/// The stage, unless the backend says that several hosts may hold a volume.
async fn exclusive(harness: &dyn Harness) -> Result<Stage<'_>, Verdict> {
    let stage = Stage::new(harness).await;
    if stage.node.capabilities().exclusive_publish {
        Ok(stage)
    } else {
        Err(Verdict::skipped("the backend does not refuse second hosts"))
    }
}

/// The access says everything that a host needs, and the host has it alone.
pub async fn access_is_complete(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("data").await;
    assert_eq!(stage.published(&made).await, []);
    let outcome = stage.publish(&made, 0).await.expect("publish");
    stage.assert_done(&outcome, "publish");
    let access = outcome.into_inner();
    assert_eq!(access.volume, made.id);
    assert_eq!(access.size, made.size);
    assert_eq!(access.path.protocol(), stage.node.capabilities().protocol);
    assert_eq!(access.grant.host, stage.host(0).object_name());
    assert!(!access.grant.nonce.is_nil(), "a nonce is random");
    assert_eq!(access.format_grant, made.format_grant);
    if let Some(identity) = &made.identity {
        assert_eq!(access.identity, *identity);
        assert!(!identity.serial.is_empty() && !identity.wwid.is_empty());
        assert_eq!(identity.wwid, identity.wwid.to_ascii_lowercase());
    }
    stage.assert_alone(&made, &access).await;
    Verdict::Passed
}

/// The same host, through whichever node, gets the grant that it has.
pub async fn publishing_again_gives_the_same_grant(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("data").await;
    let first = stage.publish(&made, 0).await.expect("publish").into_inner();
    let again = stage.publish(&made, 0).await.expect("publish again");
    assert!(!again.is_done(), "the host had it");
    assert_eq!(again.into_inner(), first);
    let elsewhere = stage.another_node().await;
    let there = publish_on(&elsewhere, &made, stage.host(0)).await;
    assert_eq!(there.expect("publish on another node").into_inner(), first);
    stage.assert_alone(&made, &first).await;
    Verdict::Passed
}

/// A second host is refused, told who holds the volume, and nothing changes.
pub async fn a_second_host_is_refused_with_the_holder(harness: &dyn Harness) -> Verdict {
    let stage = match exclusive(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let made = stage.create("data").await;
    let access = stage.publish(&made, 0).await.expect("publish").into_inner();
    let elsewhere = stage.another_node().await;
    for node in [&stage.node, &elsewhere] {
        let result = publish_on(node, &made, stage.host(1)).await;
        let error = refused(result, ErrorKind::FailedPrecondition, "a second host");
        let text = error.chain().to_string();
        let holder = stage.host(0).object_name();
        assert!(
            text.contains(&holder),
            "the holder {holder} is named: {text}"
        );
        stage.assert_alone(&made, &access).await;
    }
    let again = stage.publish(&made, 0).await.expect("publish again");
    assert_eq!(
        again.get().grant,
        access.grant,
        "the holder keeps its grant"
    );
    Verdict::Passed
}

/// Two hosts that race end with one grant and one refusal that names the holder.
pub async fn racing_hosts_end_with_one_grant(harness: &dyn Harness) -> Verdict {
    let stage = match exclusive(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let elsewhere = stage.another_node().await;
    for round in 0..6 {
        let made = stage.create(&format!("raced{round}")).await;
        let (one, two) = join!(
            publish_on(&stage.node, &made, stage.host(0)),
            publish_on(&elsewhere, &made, stage.host(1))
        );
        let (won, lost) = match (one, two) {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won.into_inner(), lost),
            (Ok(_), Ok(_)) => panic!("round {round}: both hosts have a grant"),
            (Err(one), Err(two)) => {
                panic!("round {round}: no host has it: {one:?}; {two:?}")
            }
        };
        assert_eq!(
            lost.kind(),
            ErrorKind::FailedPrecondition,
            "{}",
            lost.chain()
        );
        assert!(
            lost.chain().to_string().contains(&won.grant.host),
            "{lost:?}"
        );
        stage.assert_alone(&made, &won).await;
    }
    Verdict::Passed
}

/// After an unpublish the next host gets a grant of its own, and so does the first one when it
/// comes back: no nonce is ever used again.
pub async fn a_new_grant_after_unpublish(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("data").await;
    let mut nonces = Vec::new();
    for host in [0, 1, 0, 0] {
        let access = stage.publish(&made, host).await.expect("publish");
        let access = access.into_inner();
        assert_eq!(access.grant.host, stage.host(host).object_name());
        assert!(
            !nonces.contains(&access.grant.nonce),
            "a nonce is used again"
        );
        nonces.push(access.grant.nonce);
        stage.assert_alone(&made, &access).await;
        let _outcome = stage.unpublish(&made, host).await.expect("unpublish");
    }
    Verdict::Passed
}

/// A host that an administrator connected is not ours to shut out: refused, and left connected.
pub async fn a_foreign_host_is_refused(harness: &dyn Harness) -> Verdict {
    let stage = match exclusive(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let made = stage.create("data").await;
    let foreign = "administrators-host";
    if harness.connect_foreign(&made.object, foreign).await == Hook::Missing {
        return Verdict::skipped("the harness cannot connect hosts past the backend");
    }
    let result = stage.publish(&made, 0).await;
    let error = refused(result, ErrorKind::FailedPrecondition, "a foreign holder");
    let text = error.chain().to_string();
    assert!(text.contains(foreign), "the holder is named: {text}");
    let published = stage.published(&made).await;
    assert_eq!(published.len(), 1, "{published:?}");
    assert_eq!(published[0].host, foreign);
    assert_eq!(published[0].nonce, None, "we gave it no grant");
    Verdict::Passed
}

/// A volume that was removed cannot be published.
pub async fn a_removed_volume_is_not_found(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("removed").await;
    let _outcome = stage.delete(&made).await.expect("delete");
    let result = stage.publish(&made, 0).await;
    refused(result, ErrorKind::NotFound, "publish after delete");
    Verdict::Passed
}

/// Several volumes on one host do not share a path, an identity or a grant.
pub async fn volumes_of_one_host_have_paths_of_their_own(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let mut seen = Vec::new();
    for index in 0..4 {
        let made = stage.create(&format!("data{index}")).await;
        let access = stage.publish(&made, 0).await.expect("publish").into_inner();
        for (path, identity, nonce) in &seen {
            assert_ne!(access.path, *path);
            assert_ne!(access.identity, *identity);
            assert_ne!(access.grant.nonce, *nonce);
        }
        seen.push((access.path, access.identity, access.grant.nonce));
    }
    Verdict::Passed
}

/// A publish tells the format grant as it stands now, whatever the caller read before.
pub async fn the_format_grant_is_read_anew(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("data").await;
    let withdrawn = stage.node.withdraw_format_grant(&made).await;
    stage.assert_done(&withdrawn.expect("withdraw"), "withdraw");
    assert!(
        made.format_grant.is_some(),
        "the caller's value is the old one"
    );
    let access = stage.publish(&made, 0).await.expect("publish");
    assert_eq!(access.get().format_grant, None);
    Verdict::Passed
}

/// The logical unit number that a path goes by, if it does.
pub(super) fn lun(path: &AccessPath) -> Option<u16> {
    match path {
        AccessPath::Iscsi { lun, .. } => Some(*lun),
        // A simulator names its files by number; other file names are longer.
        AccessPath::Loop { file } => {
            let name = file.file_name()?.to_str()?;
            (name.len() <= 5).then(|| name.parse().ok()).flatten()
        }
        _ => None,
    }
}

/// A number that the host must not see again is not given, and where no other one is left,
/// nothing is.
pub async fn numbers_to_avoid_are_not_given(harness: &dyn Harness) -> Verdict {
    const OPEN: usize = 3;
    let stage = Stage::new(harness).await;
    let made = stage.create("data").await;
    let mut open = Vec::new();
    for _ in 0..OPEN {
        let access = stage.publish(&made, 0).await.expect("publish");
        let Some(lun) = lun(&access.get().path) else {
            return Verdict::skipped("this access has no number");
        };
        open.push(lun);
        let _outcome = stage.unpublish(&made, 0).await.expect("unpublish");
    }
    let all: Vec<u16> = (0..=u16::MAX).collect();
    let others: Vec<u16> = all.iter().copied().filter(|n| !open.contains(n)).collect();
    for _ in 0..OPEN {
        let avoid = others.clone();
        let access = publish_avoiding(&stage.node, &made, stage.host(0), avoid).await;
        let access = access.expect("some numbers are open").into_inner();
        let given = lun(&access.path).expect("as before");
        assert!(open.contains(&given), "{given} was to be avoided");
        stage.assert_alone(&made, &access).await;
        let _outcome = stage.unpublish(&made, 0).await.expect("unpublish");
    }
    let none = publish_avoiding(&stage.node, &made, stage.host(0), all).await;
    refused(none, ErrorKind::ResourceExhausted, "no number is open");
    assert_eq!(stage.published(&made).await, []);
    Verdict::Passed
}

/// A volume tells people its holder for as long as somebody is connected.
pub async fn a_volume_tells_its_holder(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("data").await;
    assert_eq!(made.holder, None);
    for host in [0, 1] {
        let _given = stage.publish(&made, host).await.expect("publish");
        let machine = stage.host(host).object_name();
        let by_name = stage.get("data").await.expect("found");
        let by_id = stage.get_id(&made).await.expect("found");
        let listed = stage.list(None).await;
        for seen in [&by_name, &by_id, &listed[0]] {
            assert_eq!(seen.holder.as_ref(), Some(&machine));
        }
        let _taken = stage.unpublish(&made, host).await.expect("unpublish");
        let seen = stage.get("data").await.expect("found");
        assert_eq!(seen.holder, None, "nobody is connected");
    }
    Verdict::Passed
}
