//! What one host may do with one volume, after what it was told.

use std::collections::BTreeSet;

use super::Traced;

/// Who shuts a dead host out by name, on a person's word, and connects nobody.
const OPERATOR: &str = "operator";

/// What a host knows.
#[derive(Debug)]
pub(super) struct Publisher {
    own: String,
    /// Who else was connected at the first read of this publish.
    frozen: Option<BTreeSet<String>>,
    /// Whom F2 permitted to shut out.
    permitted: BTreeSet<String>,
    /// The latest read, until this host changes something: its step, and whether it showed this
    /// host alone.
    read: Option<(String, bool)>,
    /// The latest read showed nobody else, and nobody was shut out since.
    clear: bool,
    /// The nonce that was written after F6.
    written: Option<String>,
    granted: Option<String>,
    mounted: Option<String>,
    /// D2 showed nobody.
    unused: bool,
}

fn no<T>(why: &str) -> Result<T, String> {
    Err(why.to_owned())
}

impl Publisher {
    pub(super) fn new(node: &str) -> Self {
        Self {
            own: node.to_owned(),
            frozen: None,
            permitted: BTreeSet::new(),
            read: None,
            clear: false,
            written: None,
            granted: None,
            mounted: None,
            unused: false,
        }
    }

    pub(super) fn take(&mut self, step: &Traced) -> Result<(), String> {
        match (step.step.as_str(), step.answer.as_str()) {
            ("F0", "clean") => {
                *self = Self {
                    mounted: None,
                    granted: None,
                    ..Self::new(&self.own)
                }
            }
            ("F1" | "F4" | "F6", "read") => self.reads(step),
            ("F2", "permitted") => return self.permits(step),
            ("F3", "asked") => return self.shuts_out(step),
            ("F5", "asked") => return self.connects(step),
            ("holder", "asked") => return self.writes(step),
            ("granted", "done") => return self.is_granted(step),
            ("mounted", "done") => {
                if self.granted.as_deref() != Some(&step.nonce) {
                    return no("mounted under another nonce than the grant's");
                }
                self.mounted = Some(step.nonce.clone());
            }
            ("released", "done") => self.mounted = None,
            ("unpublish", "asked")
                if self.mounted.is_some() && step.hosts().contains(self.own.as_str()) =>
            {
                return no("the access is given back before the host has let go");
            }
            ("undo" | "unpublish", "asked") => {
                self.read = None;
                self.granted = None;
            }
            ("D1", "asked") => self.unused = false,
            ("D2", "read") => self.unused = step.hosts().is_empty(),
            ("D3", "asked") if !self.unused => {
                return no("destroyed without having seen that nobody is connected");
            }
            _ => {}
        }
        Ok(())
    }

    fn reads(&mut self, step: &Traced) {
        let hosts = step.hosts();
        let others: BTreeSet<String> = hosts
            .iter()
            .filter(|host| !host.eq_ignore_ascii_case(&self.own))
            .map(|host| (*host).to_owned())
            .collect();
        self.clear = others.is_empty();
        self.read = Some((step.step.clone(), hosts.len() == 1 && self.clear));
        self.frozen.get_or_insert(others);
    }

    fn permits(&mut self, step: &Traced) -> Result<(), String> {
        let victims: BTreeSet<String> = step.hosts().into_iter().map(str::to_owned).collect();
        let frozen = self.frozen.clone().unwrap_or_default();
        if !victims.is_subset(&frozen) {
            return no("a victim that the first read did not show");
        }
        self.permitted = victims;
        Ok(())
    }

    fn shuts_out(&mut self, step: &Traced) -> Result<(), String> {
        if self.own != OPERATOR
            && !step
                .hosts()
                .iter()
                .all(|host| self.permitted.contains(*host))
        {
            return no("a host is shut out that F2 did not permit");
        }
        self.read = None;
        self.clear = false;
        Ok(())
    }

    fn connects(&mut self, step: &Traced) -> Result<(), String> {
        if !self.clear {
            return no("connected without having seen that nobody else is");
        }
        if step
            .hosts()
            .into_iter()
            .any(|host| !host.eq_ignore_ascii_case(&self.own))
        {
            return no("another host is connected than the one that asks");
        }
        self.read = None;
        Ok(())
    }

    fn writes(&mut self, step: &Traced) -> Result<(), String> {
        if self.read != Some(("F6".to_owned(), true)) {
            return no("the holder is written without having been seen alone");
        }
        self.written = Some(step.nonce.clone());
        Ok(())
    }

    fn is_granted(&mut self, step: &Traced) -> Result<(), String> {
        let proven = match &self.read {
            Some((read, true)) if read == "F6" => self.written.as_deref() == Some(&step.nonce),
            // It has it already: alone, with its own tag.
            Some((read, true)) => read == "F1",
            _ => false,
        };
        if !proven {
            return no("a grant without its proof");
        }
        self.granted = Some(step.nonce.clone());
        Ok(())
    }
}
