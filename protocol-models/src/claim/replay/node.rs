//! What one node may do about one name, given what it was told.

use std::collections::{BTreeMap, BTreeSet};

use super::{Members, Traced};

/// What a node knows.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The last look at each array: its answer.
    looks: BTreeMap<String, String>,
    /// The vote that it knows of each array.
    votes: BTreeMap<String, String>,
    /// Attempts of its own, and whether their volume waits.
    own: BTreeMap<String, bool>,
    /// Attempts that it saw dead for good.
    dead: BTreeSet<String>,
    /// Attempts that it made a stopper under, not withdrawn yet.
    stopped: BTreeSet<String>,
    /// Volumes that it saw under the name, or gave it to.
    named: BTreeSet<String>,
    /// A commit was answered by somebody else's volume, which is not told.
    taken: bool,
}

impl Node {
    pub(super) fn take(&mut self, members: &Members, step: &Traced) -> Result<(), String> {
        match (step.step.as_str(), step.answer.as_str()) {
            ("C0", answer) => self.looked(step, answer),
            ("C1", answer) => self.propose(members, step, answer)?,
            ("C2", "asked") => self.may_vote(step)?,
            ("C2", "marked" | "taken") => self.heard(step),
            ("decide", "mine" | "other") => self.decided(members, &step.marker)?,
            ("C3", "asked") => self.may_commit(members, step)?,
            ("C3", "committed") => drop(self.named.insert(step.volume.clone())),
            ("C3", "taken") => self.taken = true,
            ("withdraw", answer) => self.withdraw(step, answer),
            ("retire", "asked") => self.may_retire(members, step)?,
            ("acknowledged", _) if !self.named.contains(&step.volume) && !self.taken => {
                return Err("told before the volume was seen to have the name".to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    fn looked(&mut self, step: &Traced, answer: &str) {
        self.looks.insert(step.array.clone(), answer.to_owned());
        if answer == "silent" {
            return;
        }
        self.heard(step);
        if answer == "ready" {
            self.named.insert(step.volume.clone());
        }
    }

    fn heard(&mut self, step: &Traced) {
        match step.found() {
            Some(nonce) => drop(self.votes.insert(step.array.clone(), nonce.to_owned())),
            None => drop(self.votes.remove(&step.array)),
        }
    }

    /// A volume for itself, where nobody tries; or a stopper, under what it saw a vote for.
    fn propose(&mut self, members: &Members, step: &Traced, answer: &str) -> Result<(), String> {
        let nonce = step.nonce.clone();
        let voted = self.votes.values().any(|vote| *vote == nonce);
        match answer {
            "asked" if voted => Ok(()),
            "asked" => {
                let silent = members.all.iter().filter(|array| {
                    let look = self.looks.get(*array).map_or("silent", String::as_str);
                    look == "silent"
                });
                if silent.count() > 1 {
                    return Err("proposed with more than one array silent".to_owned());
                }
                if self
                    .looks
                    .values()
                    .any(|look| !matches!(look.as_str(), "nothing" | "silent"))
                {
                    return Err("proposed although an array has something of the name".to_owned());
                }
                if self.own.insert(nonce, false).is_some() {
                    return Err("a nonce that was used before".to_owned());
                }
                Ok(())
            }
            "proposed" => {
                if let Some(waits) = self.own.get_mut(&nonce) {
                    *waits = true;
                }
                if voted {
                    self.stopped.insert(nonce);
                }
                Ok(())
            }
            "refused" if voted => {
                self.dead.insert(nonce);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// For one's own that waits, or for what somebody voted for.
    fn may_vote(&self, step: &Traced) -> Result<(), String> {
        let own = self.own.get(&step.nonce) == Some(&true);
        let seen = self.votes.values().any(|vote| *vote == step.nonce);
        if own || seen {
            Ok(())
        } else {
            Err("a vote for what nothing waits under".to_owned())
        }
    }

    fn decided(&self, members: &Members, nonce: &str) -> Result<(), String> {
        let votes = members.claim_arrays.iter();
        let given = votes
            .filter(|array| self.votes.get(*array).is_some_and(|vote| vote == nonce))
            .count();
        if given * 2 > members.claim_arrays.len() {
            Ok(())
        } else {
            Err(format!(
                "{nonce} has {given} of {} votes as far as this node was told",
                members.claim_arrays.len()
            ))
        }
    }

    fn may_commit(&self, members: &Members, step: &Traced) -> Result<(), String> {
        if self.dead.contains(&step.nonce) {
            return Err("a commit of what this node saw dead".to_owned());
        }
        self.decided(members, &step.nonce)
    }

    fn withdraw(&mut self, step: &Traced, answer: &str) {
        let nonce = step.nonce.clone();
        match answer {
            "done" => {
                self.stopped.remove(&nonce);
                self.own.remove(&nonce);
                self.dead.insert(nonce);
            }
            // A second withdraw that found nothing has killed nothing.
            "nothing" => drop(self.stopped.remove(&nonce)),
            _ => {}
        }
    }

    fn may_retire(&self, members: &Members, step: &Traced) -> Result<(), String> {
        let number = u64::from_str_radix(&step.nonce, 16).map(|bits| (bits >> 32).to_string());
        let left = number.is_ok_and(|number| !members.all.contains(&number));
        if left || self.dead.contains(&step.nonce) {
            Ok(())
        } else {
            Err("the vote of an attempt that was not seen dead is taken away".to_owned())
        }
    }
}
