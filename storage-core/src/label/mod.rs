//! Labels on arrays, and the selector grammar over them.
//!
//! Where an array's labels come from is not known here: configuration and the backend give them.

mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Key and value pairs in a fixed order.
pub type Labels = BTreeMap<String, String>;

/// Requirements that an array's labels must satisfy, all of them. The empty one matches all.
///
/// As text, the grammar and its meaning are those of Kubernetes label selectors: requirements
/// joined by commas. `k=v` and `k==v`, `k!=v`, `k in (a,b)`, `k notin (a,b)`, `k` (the key is
/// there), `!k` (it is not). `!=` and `notin` hold when the key is absent. Blanks between tokens
/// are ignored. Unlike there, a value may hold any character but blanks, control characters and
/// `, ( ) = !`, because labels of arrays carry addresses and free text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

/// One requirement about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

/// What is asked of the key's value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Equals(String),
    Differs(String),
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Present,
    Absent,
}

impl LabelSelector {
    /// Whether it has no requirement at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether all requirements hold.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|r| r.holds(labels))
    }

    /// The text of the first requirement that does not hold; `None` when all do.
    #[must_use]
    pub fn first_unmet(&self, labels: &Labels) -> Option<String> {
        let unmet = self.requirements.iter().find(|r| !r.holds(labels));
        unmet.map(ToString::to_string)
    }
}

/// No more keys, and values of one key, are named in a message.
const KEYS_MAX: usize = 16;
const VALUES_MAX: usize = 8;

/// No longer, in characters: values may be free text.
const CHOICES_MAX: usize = 1000;

/// What can be selected by, written as requirements: `rack in (7,8), tier=gold`. For people, who
/// are not told everything where there is much.
pub(crate) fn choices(fleet: &[&Labels]) -> String {
    let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, value) in fleet.iter().copied().flatten() {
        known.entry(key).or_default().insert(value);
    }
    let mut texts = Vec::new();
    for (key, values) in known.iter().take(KEYS_MAX) {
        let mut shown: Vec<&str> = values.iter().take(VALUES_MAX).copied().collect();
        if values.len() > VALUES_MAX {
            shown.push("…");
        }
        texts.push(match shown.as_slice() {
            [only] => format!("{key}={only}"),
            several => format!("{key} in ({})", several.join(",")),
        });
    }
    if known.len() > KEYS_MAX {
        texts.push("…".to_owned());
    }
    let text = texts.join(", ");
    match text.char_indices().nth(CHOICES_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

impl Requirement {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match &self.test {
            Test::Equals(wanted) => value == Some(wanted),
            Test::Differs(refused) => value != Some(refused),
            Test::In(wanted) => value.is_some_and(|value| wanted.contains(value)),
            Test::NotIn(refused) => value.is_none_or(|value| !refused.contains(value)),
            Test::Present => value.is_some(),
            Test::Absent => value.is_none(),
        }
    }
}

impl FromStr for LabelSelector {
    type Err = Error;

    /// Reads the text form described at [`LabelSelector`]. Empty text matches all.
    ///
    /// # Errors
    /// `InvalidArgument` with the position of what is wrong, counted in characters from 1.
    fn from_str(text: &str) -> Result<Self> {
        parse::selector(text).map(|requirements| Self { requirements })
    }
}

/// The canonical text, which reads back as an equal selector.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.test {
            Test::Equals(value) => write!(f, "{key}={value}"),
            Test::Differs(value) => write!(f, "{key}!={value}"),
            Test::In(values) => write!(f, "{key} in ({})", joined(values)),
            Test::NotIn(values) => write!(f, "{key} notin ({})", joined(values)),
            Test::Present => f.write_str(key),
            Test::Absent => write!(f, "!{key}"),
        }
    }
}

fn joined(values: &BTreeSet<String>) -> String {
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    values.join(",")
}

#[cfg(test)]
mod tests;
