//! The layering rule that cargo cannot express: the core has no network in its dependency tree.

use anyhow::Result;

use crate::steps::Outcome;
use crate::stream::{cargo, read};

/// Crates that must not be below `storage-core`, directly or not.
const BANNED: [&str; 9] = [
    "axum",
    "h2",
    "http",
    "hyper",
    "hyper-util",
    "reqwest",
    "rustls",
    "tonic",
    "tokio-rustls",
];

pub(crate) fn core_without_network() -> Result<Outcome> {
    let tree = read(cargo(&[
        "tree",
        "--package=storage-core",
        "--edges=normal",
        "--prefix=none",
        "--locked",
    ]))?;
    let found = banned_in(&tree);
    if found.is_empty() {
        crate::steps::say(&format!(
            "storage-core: {} crates, no network",
            tree.lines().count()
        ));
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Failed(format!(
        "storage-core depends on {}",
        found.join(", ")
    )))
}

fn banned_in(tree: &str) -> Vec<&str> {
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    let mut found: Vec<&str> = names.filter(|name| BANNED.contains(name)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banned_crates_are_found_by_name() {
        let tree = "storage-core v0.1.0 (/x)\nhyper v1.0.0\nhyperx v1.0.0\nhyper v1.0.0 (*)\n";
        assert_eq!(banned_in(tree), ["hyper"]);
        assert!(banned_in("storage-core v0.1.0\nserde v1.0.0\n").is_empty());
    }
}
