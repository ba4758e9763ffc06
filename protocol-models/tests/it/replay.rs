//! Traces of a fence: right ones are accepted, forged ones are not.

#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "helpers of tests: a trace that is not accepted is shown"
)]

use protocol_models::Mismatch;
use protocol_models::fence::replay::{Summary, Traced, replay};

/// A step a line: `step node hosts-or-nonce answer`; `-` for nothing.
fn trace(text: &str) -> Vec<Traced> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [step, node, about, answer] = words[..] else {
                panic!("four words a line: {line}");
            };
            let about = if about == "-" { "" } else { about };
            let nonce = matches!(step, "holder" | "granted" | "mounted" | "released");
            Traced::read(|field| match field {
                "step" => Some(step),
                "node" => Some(node),
                "volume" => Some("array:v"),
                "nonce" if nonce => Some(about),
                "hosts" if !nonce => Some(about),
                "answer" => Some(answer),
                _ => None,
            })
        })
        .collect()
}

fn accepted(text: &str) -> Summary {
    replay(&trace(text)).unwrap_or_else(|mismatch| panic!("{mismatch}"))
}

#[track_caller]
fn refused(text: &str, why: &str) {
    let Mismatch { why: said, .. } = replay(&trace(text)).expect_err("a forged trace");
    assert!(said.contains(why), "{said}");
}

const A_MOUNTS: &str = "
    F0 a - clean
    F1 a - read
    F5 a a asked
    F5 a a done
    F6 a a read
    holder a n1 asked
    holder a n1 done
    granted a n1 done
    mounted a n1 done
";

const C_FENCES_A: &str = "
    F0 c - clean
    F1 c a read
    F2 c a permitted
    F3 c a asked
    F3 c a done
    F4 c - read
    F5 c c asked
    F5 c c done
    F6 c c read
    holder c n2 asked
    holder c n2 done
    granted c n2 done
    mounted c n2 done
";

#[test]
fn a_mount_a_fence_and_a_remove_are_accepted() {
    let removed = "
        released c n2 done
        unpublish c c asked
        unpublish c c done
        D1 c - asked
        D1 c - done
        D2 c - read
        D3 c - asked
        D3 c - done
    ";
    let summary = accepted(&format!("{A_MOUNTS}{C_FENCES_A}{removed}"));
    let expected = Summary {
        grants: 2,
        fenced: 1,
        mounts: 2,
        destroyed: 1,
    };
    assert_eq!(summary, expected);
}

#[test]
fn races_late_requests_and_answers_that_cross_are_accepted() {
    // Both see nobody, both connect, both back out; one comes again.
    accepted(
        "F0 a - clean
         F0 b - clean
         F1 a - read
         F1 b - read
         F5 a a asked
         F5 b b asked
         F5 a a done
         F5 b b done
         F6 a a,b read
         F6 b a,b read
         undo a a asked
         undo b b asked
         undo b b done
         undo a a done
         F1 a - read
         F5 a a asked
         F5 a a done
         F6 a a read
         holder a n1 asked
         holder a n1 done
         granted a n1 done",
    );
    // The first POST has no answer, and is executed when the other host holds the volume.
    accepted(
        "F0 b - clean
         F1 b - read
         F5 b b asked
         F5 b b timeout
         undo b b asked
         undo b b done
         F0 a - clean
         F1 a - read
         F5 a a asked
         F5 a a done
         F6 a a read
         holder a n1 asked
         holder a n1 done
         granted a n1 done
         F0 c - clean
         F1 c a,b read
         F2 c a,b refused",
    );
    // B's read was executed before A's POST, and is told after A's grant.
    accepted(&format!("F0 b - clean\n{A_MOUNTS}\nF1 b - read"));
    // One of two victims lets go by itself: the call is refused, and the other one stays.
    accepted(&format!(
        "F0 b - clean
         F1 b - read
         F5 b b asked
         F5 b b timeout
         {A_MOUNTS}
         F0 c - clean
         F1 c a,b read
         F2 c a,b permitted
         undo b b asked
         undo b b done
         F3 c a,b asked
         F3 c a,b refused
         F4 c a read"
    ));
    // It has it already.
    accepted(&format!("{A_MOUNTS}F1 a a read\ngranted a n1 done"));
    // A host that died comes back and gives the access up without a mount to let go of.
    accepted(&format!(
        "{A_MOUNTS}died a - -\nunpublish a a asked\nunpublish a a done"
    ));
}

#[test]
fn a_grant_without_its_proof_is_refused() {
    let head = "F0 a - clean\nF1 a - read\nF5 a a asked\nF5 a a done\n";
    refused(&format!("{head}granted a n1 done"), "without its proof");
    refused(
        &format!("{head}holder a n1 asked"),
        "without having been seen alone",
    );
    refused(
        &format!("{head}F6 a a,b read\nholder a n1 asked"),
        "without having been seen alone",
    );
    let other =
        format!("{head}F6 a a read\nholder a n1 asked\nholder a n1 done\ngranted a n2 done");
    refused(&other, "without its proof");
}

#[test]
fn a_second_grant_beside_one_that_stands_is_refused() {
    let blind = "
        F0 c - clean
        F1 c - read
        F5 c c asked
        F5 c c done
        F6 c c read
    ";
    refused(&format!("{A_MOUNTS}{blind}"), "a was connected");
    // It sees the other and goes on all the same.
    let bold = "F0 c - clean\nF1 c a read\nF5 c c asked";
    refused(
        &format!("{A_MOUNTS}{bold}"),
        "without having seen that nobody else is",
    );
    // The fence that was asked for is not waited for.
    let hasty = C_FENCES_A.replace("F4 c - read\n", "");
    refused(
        &format!("{A_MOUNTS}{hasty}"),
        "without having seen that nobody else is",
    );
}

#[test]
fn a_fence_beyond_its_right_is_refused() {
    let unasked = C_FENCES_A.replace("F2 c a permitted\n", "");
    refused(&format!("{A_MOUNTS}{unasked}"), "F2 did not permit");
    let before = "F0 c - clean\nF1 c - read\n";
    let newcomer = "F1 c a read\nF2 c a permitted";
    refused(
        &format!("{before}{A_MOUNTS}{newcomer}"),
        "the first read did not show",
    );
}

#[test]
fn what_is_done_with_a_grant_that_is_another_ones_is_refused() {
    let other = A_MOUNTS.replace("mounted a n1", "mounted a n9");
    refused(&other, "another nonce");
    let stolen = C_FENCES_A.replace("n2", "n1");
    refused(&format!("{A_MOUNTS}{stolen}"), "the nonce is the one of a");
    refused(
        &format!("{A_MOUNTS}unpublish a a asked"),
        "before the host has let go",
    );
    refused(
        &format!("{A_MOUNTS}D1 b - asked\nD1 b - done\nD3 b - asked"),
        "without having seen",
    );
    let gone = "D1 b - asked\nD1 b - done\nD2 b - read\nD3 b - asked\nD3 b - done\n";
    refused(&format!("{gone}{A_MOUNTS}"), "destroyed");
}
