//! The program that people run has nothing of crash points.

use std::path::Path;

use lab::process::{Program, armed_plugin, find_binary};

use super::index::in_documentation;

/// Passed by `fairlead array add` and `remove` alone: the linker leaves them out of a plugin, which
/// never changes who belongs to a fleet.
const OF_OPERATORS: [&str; 2] = ["record.frozen", "record.open"];

/// Names that no other text could be, as a program would have them.
fn names() -> Vec<String> {
    let own = |name: &String| name.contains('.') && !name.contains("mkfs");
    let names = in_documentation().into_iter().filter(own);
    names.chain(["FAIRLEAD_CRASH_POINTS".to_owned()]).collect()
}

/// What of the names is in a program.
async fn found(program: &Path, names: &[String]) -> String {
    let mut grep = Program::new("grep").args(["--text", "--only-matching", "--fixed-strings"]);
    for name in names {
        grep = grep.args(["-e", name]);
    }
    let finished = grep.arg(program).env("LC_ALL", "C").run().await.unwrap();
    // 1: nothing matched.
    assert!(finished.status.code() <= Some(1), "{}", finished.stderr);
    finished.stdout
}

#[tokio::test]
async fn the_ordinary_program_has_no_crash_points() {
    let names = names();
    assert!(names.len() > 60, "{names:?}");
    let armed = found(&armed_plugin().await.unwrap(), &names).await;
    let passed = |name: &&String| !OF_OPERATORS.contains(&name.as_str());
    for name in names.iter().filter(passed) {
        assert!(armed.contains(name), "{name} is not in the armed program");
    }
    let ordinary = found(&find_binary("fairlead-docker").unwrap(), &names).await;
    assert_eq!(ordinary, "", "in the ordinary program");
}
