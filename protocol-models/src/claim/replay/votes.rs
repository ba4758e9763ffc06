//! One array's vote on one name, as far as a trace tells of it.

use std::collections::{BTreeMap, BTreeSet};

use super::Traced;

/// The votes that may have been given, and those that may have been taken away since.
#[derive(Debug, Default)]
pub(super) struct Votes {
    asked: BTreeSet<String>,
    /// Nonces whose marker somebody asked to go.
    going: BTreeSet<String>,
    /// What each node saw last.
    seen: BTreeMap<String, String>,
}

impl Votes {
    pub(super) fn may_go(&mut self, nonce: &str) {
        self.going.insert(nonce.to_owned());
    }

    pub(super) fn take(&mut self, step: &Traced) -> Result<(), String> {
        match (step.step.as_str(), step.answer.as_str()) {
            ("C2", "asked") => {
                self.asked.insert(step.nonce.clone());
                Ok(())
            }
            ("retire", "asked") => {
                self.may_go(&step.nonce);
                Ok(())
            }
            ("C2", "marked" | "taken") => self.saw(&step.node, step.found()),
            ("C0", "nothing" | "ready" | "deleting" | "destroyed") => {
                self.saw(&step.node, step.found())
            }
            _ => Ok(()),
        }
    }

    /// Any vote that was asked for may be there; one that this node saw before is, unless somebody
    /// asked for it to go, before or after it was seen (a request may be late).
    fn saw(&mut self, node: &str, found: Option<&str>) -> Result<(), String> {
        if let Some(before) = self.seen.get(node)
            && found != Some(before.as_str())
            && !self.going.contains(before)
        {
            return Err(format!("the vote for {before} is gone, and nobody took it"));
        }
        let Some(found) = found else {
            self.seen.remove(node);
            return Ok(());
        };
        if !self.asked.contains(found) {
            return Err(format!("a vote for {found}, which nobody asked for"));
        }
        self.seen.insert(node.to_owned(), found.to_owned());
        Ok(())
    }
}
