//! Traces of a claim: right ones are accepted, forged ones are not.

#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "helpers of tests: a trace that is not accepted is shown"
)]

use protocol_models::Mismatch;
use protocol_models::claim::replay::{Members, Summary, Traced, replay};

/// A step a line: `step node array nonce marker answer volume`; `-` for nothing.
fn trace(text: &str) -> Vec<Traced> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [step, node, array, nonce, marker, answer, volume] = words[..] else {
                panic!("seven words a line: {line}");
            };
            let told = |word: &'static str, value| (word, value);
            let fields = [
                told("step", step),
                told("node", node),
                told("array", array),
                told("name", "data"),
                told("nonce", nonce),
                told("marker", marker),
                told("answer", answer),
                told("volume", volume),
            ];
            Traced::read(|name| {
                let field = fields.iter().find(|(word, _)| *word == name);
                field.map(|(_, value)| *value).filter(|value| *value != "-")
            })
        })
        .collect()
}

fn run(text: &str) -> Result<Summary, Mismatch<Traced>> {
    let all = || ["0", "1", "2"].map(str::to_owned).to_vec();
    let members = Members {
        all: all(),
        claim_arrays: all(),
    };
    replay(&members, &trace(text))
}

#[track_caller]
fn accepted(text: &str) -> Summary {
    run(text).unwrap_or_else(|mismatch| panic!("{mismatch}"))
}

#[track_caller]
fn refused(text: &str, why: &str) {
    let Mismatch { why: said, .. } = run(text).expect_err("a forged trace");
    assert!(said.contains(why), "{said}");
}

/// Node a makes v1 on array 1 under the nonce 1…1.
const A_CREATES: &str = "
    C0 a 0 - none nothing -
    C0 a 1 - none nothing -
    C0 a 2 - none nothing -
    C1 a 1 00100000001 - asked -
    C1 a 1 00100000001 - proposed -
    C2 a 0 00100000001 - asked -
    C2 a 0 00100000001 00100000001 marked -
    C2 a 1 00100000001 - asked -
    C2 a 2 00100000001 - asked -
    C2 a 1 00100000001 00100000001 marked -
    decide a * 00100000001 00100000001 mine -
    C3 a 1 00100000001 - asked -
    C3 a 1 00100000001 - committed v1
    acknowledged a * - - created v1
";

/// Node b, at the same time, meets a's vote and helps.
const B_HELPS: &str = "
    C0 b 0 - 00100000001 nothing -
    C0 b 1 - none nothing -
    C0 b 2 - none silent -
    C2 b 1 00100000001 - asked -
    C2 b 1 00100000001 00100000001 marked -
    decide b * none 00100000001 other -
    C0 b 1 - 00100000001 ready v1
    acknowledged b * - - found v1
";

/// The volume is removed, and b makes v2 on array 2.
const B_CREATES_AGAIN: &str = "
    D1 - 1 - - asked v1
    D1 - 1 - - done v1
    D3 - 1 - - done v1
    C0 b 0 - 00100000001 nothing -
    C0 b 1 - 00100000001 nothing -
    C0 b 2 - 00100000001 nothing -
    decide b * none 00100000001 other -
    C0 b 1 - 00100000001 nothing -
    withdraw b 1 00100000001 - asked -
    withdraw b 1 00100000001 - nothing -
    C1 b 1 00100000001 - asked -
    C1 b 1 00100000001 - proposed -
    withdraw b 1 00100000001 - asked -
    withdraw b 1 00100000001 - done -
    retire b 0 00100000001 - asked -
    retire b 0 00100000001 - done -
    retire b 1 00100000001 - asked -
    retire b 1 00100000001 - done -
    retire b 2 00100000001 - asked -
    retire b 2 00100000001 - timeout -
    C0 b 0 - none nothing -
    C0 b 1 - none nothing -
    C0 b 2 - none nothing -
    C1 b 2 00200000002 - asked -
    C1 b 2 00200000002 - proposed -
    C2 b 0 00200000002 - asked -
    C2 b 0 00200000002 00200000002 marked -
    C2 b 1 00200000002 - asked -
    C2 b 1 00200000002 00200000002 marked -
    decide b * 00200000002 00200000002 mine -
    C3 b 2 00200000002 - asked -
    C3 b 2 00200000002 - committed v2
    acknowledged b * - - created v2
";

#[test]
fn a_right_run_is_accepted() {
    let summary = accepted(&[A_CREATES, B_HELPS, B_CREATES_AGAIN].concat());
    let expected = Summary {
        acknowledged: 3,
        committed: 2,
        retired: 2,
    };
    assert_eq!(summary, expected);
}

#[test]
fn forged_steps_are_refused() {
    refused(
        &A_CREATES.replace("    C3 a 1 00100000001 - committed v1\n", ""),
        "before the volume was seen",
    );
    let one_vote = A_CREATES
        .replace("    C2 a 1 00100000001 00100000001 marked -\n", "")
        .replace("    decide a * 00100000001 00100000001 mine -\n", "");
    refused(&one_vote, "has 1 of 3 votes");
    let alive = B_CREATES_AGAIN.replace("    withdraw b 1 00100000001 - done -\n", "");
    refused(&[A_CREATES, B_HELPS, &alive].concat(), "not seen dead");
    let kept = B_CREATES_AGAIN.replace("    D1 - 1 - - asked v1\n", "");
    refused(&[A_CREATES, B_HELPS, &kept].concat(), "never removed");
}

#[test]
fn votes_and_looks_that_cannot_be_are_refused() {
    refused("C0 a 0 - 00100000001 nothing -", "nobody asked for");
    let vanished = "
        C0 b 0 - none nothing -
        C0 b 1 - none nothing -";
    refused(&[A_CREATES, B_HELPS, vanished].concat(), "nobody took it");
    let two_silent = A_CREATES
        .replace("C0 a 0 - none nothing -", "C0 a 0 - - silent -")
        .replace("C0 a 2 - none nothing -", "C0 a 2 - - silent -");
    refused(&two_silent, "more than one array silent");
    let there = A_CREATES.replace("C0 a 2 - none nothing -", "C0 a 2 - none ready v0");
    refused(&there, "something of the name");
    let unproposed = A_CREATES.replace("    C1 a 1 00100000001 - proposed -\n", "");
    refused(&unproposed, "nothing waits under");
}

#[test]
fn a_node_that_died_knows_nothing_any_more() {
    let dies = A_CREATES.replace(
        "    C3 a 1 00100000001 - asked -\n",
        "    died a - - - - -\n    C3 a 1 00100000001 - asked -\n",
    );
    refused(&dies, "has 0 of 3 votes");
}
