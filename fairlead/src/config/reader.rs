//! Typed access to the syntax tree, which notes every problem with its place and goes on.
//!
//! An [`ObjectReader`] remembers which keys were asked for; what is left over when it finishes is
//! unknown. So the list of known keys is the code that reads them, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::{Range, Ranged};

use super::problem::{Problem, Severity};

/// Collects problems and knows where lines begin.
#[derive(Debug)]
pub(super) struct Findings<'t> {
    text: &'t str,
    pub(super) problems: Vec<Problem>,
    places: BTreeMap<String, (usize, usize)>,
}

impl<'t> Findings<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self {
            text,
            problems: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    /// Keeps a field's line and column for a check that is made later.
    pub(super) fn remember(&mut self, path: &str, at: Range) {
        let place = self.line_and_column(at);
        self.places.insert(path.to_owned(), place);
    }

    /// What was remembered, by key path.
    pub(super) fn places(&self) -> BTreeMap<String, (usize, usize)> {
        self.places.clone()
    }

    fn line_and_column(&self, at: Range) -> (usize, usize) {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let last_line = before.rsplit('\n').next().unwrap_or_default();
        (line, last_line.chars().count() + 1)
    }

    pub(super) fn error(
        &mut self,
        at: Range,
        path: &str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.push(Severity::Error, at, path, (message.into(), advice.into()));
    }

    pub(super) fn warning(
        &mut self,
        at: Range,
        path: &str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.push(Severity::Warning, at, path, (message.into(), advice.into()));
    }

    fn push(&mut self, severity: Severity, at: Range, path: &str, words: (String, String)) {
        let (line, column) = self.line_and_column(at);
        self.problems.push(Problem {
            severity,
            line: Some(line),
            column: Some(column),
            path: path.to_owned(),
            message: words.0,
            advice: words.1,
        });
    }
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Field<T> {
    pub(super) value: T,
    pub(super) range: Range,
    pub(super) path: String,
}

/// Reads one object key by key.
#[derive(Debug)]
pub(super) struct ObjectReader<'a, 't> {
    object: &'a Object<'t>,
    path: String,
    asked: Vec<&'static str>,
}

impl<'a, 't> ObjectReader<'a, 't> {
    /// A reader, or a problem when the value is not an object.
    pub(super) fn new(field: &Field<&'a Value<'t>>, findings: &mut Findings<'_>) -> Option<Self> {
        let Value::Object(object) = field.value else {
            wrong_type(field, "an object `{ … }`", findings);
            return None;
        };
        Some(Self {
            object,
            path: field.path.clone(),
            asked: Vec::new(),
        })
    }

    pub(super) fn range(&self) -> Range {
        // The opening bracket: a whole object as a position would say nothing.
        Range::new(self.object.range.start, self.object.range.start + 1)
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether the key stands there, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.object.get(key).is_some()
    }

    /// Whether something stands there that may have been meant for the key. [`Self::finish`] says
    /// so, and that the key is missing as well would be the same mistake told twice.
    pub(super) fn misspelt(&self, key: &str) -> bool {
        let names = self.object.properties.iter().map(|p| p.name.as_str());
        names
            .filter(|name| *name != key)
            .any(|name| is_close(name, key))
    }

    /// Whether the key stands there, or something that may have been meant for it.
    pub(super) fn meant(&self, key: &str) -> bool {
        self.has(key) || self.misspelt(key)
    }

    /// Where a key stands, without asking for it.
    pub(super) fn place(&self, key: &str) -> Option<Field<()>> {
        let property = self.object.get(key)?;
        Some(Field {
            value: (),
            range: property.range,
            path: self.child(key),
        })
    }

    #[cfg(test)]
    pub(super) fn asked(&self) -> &[&'static str] {
        &self.asked
    }

    fn child(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The value of a key.
    pub(super) fn value(&mut self, key: &'static str) -> Option<Field<&'a Value<'t>>> {
        self.asked.push(key);
        let property = self.object.get(key)?;
        Some(Field {
            value: &property.value,
            range: property.value.range(),
            path: self.child(key),
        })
    }

    /// Text; anything else is a problem.
    pub(super) fn text(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Option<Field<&'a str>> {
        let field = self.value(key)?;
        text_of(&field, findings)
    }

    /// Text that has to be there.
    pub(super) fn required_text(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Option<Field<&'a str>> {
        if !self.meant(key) {
            self.missing(key, findings);
        }
        self.text(key, findings)
    }

    pub(super) fn missing(&mut self, key: &'static str, findings: &mut Findings<'_>) {
        let message = format!("`{key}` is missing");
        findings.error(self.range(), &self.path, message, format!("add \"{key}\""));
    }

    /// `true` or `false`; absent is `false`.
    pub(super) fn flag(&mut self, key: &'static str, findings: &mut Findings<'_>) -> bool {
        let Some(field) = self.value(key) else {
            return false;
        };
        if let Value::BooleanLit(literal) = field.value {
            return literal.value;
        }
        wrong_type(&field, "true or false, without quotes", findings);
        false
    }

    /// The elements of a list; absent is none.
    pub(super) fn list(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Vec<Field<&'a Value<'t>>> {
        let Some(field) = self.value(key) else {
            return Vec::new();
        };
        let Value::Array(array) = field.value else {
            wrong_type(&field, "a list `[ … ]`", findings);
            return Vec::new();
        };
        let fields = array
            .elements
            .iter()
            .enumerate()
            .map(|(index, value)| Field {
                value,
                range: value.range(),
                path: format!("{}[{index}]", field.path),
            });
        fields.collect()
    }

    /// Every pair of an object of texts; absent is none.
    pub(super) fn pairs(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Vec<(Field<&'a str>, Field<&'a str>)> {
        let Some(field) = self.value(key) else {
            return Vec::new();
        };
        let Some(reader) = ObjectReader::new(&field, findings) else {
            return Vec::new();
        };
        reader.duplicates(findings);
        let mut pairs = Vec::new();
        for property in &reader.object.properties {
            let name = Field {
                value: property.name.as_str(),
                range: property.range,
                path: reader.child(property.name.as_str()),
            };
            let value = Field {
                value: &property.value,
                range: property.value.range(),
                path: name.path.clone(),
            };
            if let Some(value) = text_of(&value, findings) {
                pairs.push((name, value));
            }
        }
        pairs
    }

    /// Reports keys that nobody asked for and keys that stand twice.
    pub(super) fn finish(self, findings: &mut Findings<'_>) {
        self.duplicates(findings);
        for property in &self.object.properties {
            let name = property.name.as_str();
            if self.asked.contains(&name) {
                continue;
            }
            let advice = closest(name, &self.asked).map_or_else(
                || format!("delete it; known here: {}", self.asked.join(", ")),
                |known| format!("did you mean `{known}`?"),
            );
            let message = format!("unknown key `{}`", printable(name));
            findings.error(property.range, &self.path, message, advice);
        }
    }

    fn duplicates(&self, findings: &mut Findings<'_>) {
        let mut seen = BTreeSet::new();
        for property in &self.object.properties {
            let name = property.name.as_str();
            if !seen.insert(name) {
                let path = self.child(name);
                let message = "the key stands here a second time";
                findings.error(property.range, &path, message, "delete one of them");
            }
        }
    }
}

/// Text, or a problem.
fn text_of<'a>(
    field: &Field<&'a Value<'_>>,
    findings: &mut Findings<'_>,
) -> Option<Field<&'a str>> {
    let Value::StringLit(literal) = field.value else {
        wrong_type(field, "text in double quotes", findings);
        return None;
    };
    Some(Field {
        value: literal.value.as_ref(),
        range: field.range,
        path: field.path.clone(),
    })
}

fn wrong_type(field: &Field<&Value<'_>>, wanted: &str, findings: &mut Findings<'_>) {
    let found = match field.value {
        Value::StringLit(_) => "text",
        Value::NumberLit(_) => "a number",
        Value::BooleanLit(_) => "true or false",
        Value::Object(_) => "an object",
        Value::Array(_) => "a list",
        Value::NullKeyword(_) => "null",
    };
    let advice = if matches!(field.value, Value::NullKeyword(_)) {
        format!("leave the key out, or write {wanted}")
    } else {
        format!("write {wanted}")
    };
    let message = format!("this is {found}, and has to be {wanted}");
    findings.error(field.range, &field.path, message, advice);
}

/// A key as messages show it: no control characters, not too long.
fn printable(name: &str) -> String {
    let safe = name.chars().map(|c| if c.is_control() { '?' } else { c });
    safe.take(60).collect()
}

/// The known key that somebody may have meant.
fn closest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let best = known
        .iter()
        .copied()
        .min_by_key(|key| distance(name, key))?;
    is_close(name, best).then_some(best)
}

fn is_close(name: &str, key: &str) -> bool {
    distance(name, key) <= 2
}

fn distance(name: &str, key: &str) -> usize {
    edit_distance(&name.to_ascii_lowercase(), &key.to_ascii_lowercase())
}

/// Levenshtein distance; both texts are cut so that a hostile key costs nothing.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(40).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, a) in left.chars().take(40).enumerate() {
        let mut next = vec![index + 1];
        let mut last = index + 1;
        for (b, pair) in right.iter().zip(row.windows(2)) {
            let [diagonal, above] = pair else { continue };
            last = (diagonal + usize::from(a != *b))
                .min(above + 1)
                .min(last + 1);
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{closest, edit_distance};

    #[test]
    fn near_misses_are_recognised() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(
            closest("ApiToken", &["APIToken", "Labels"]),
            Some("APIToken")
        );
        assert_eq!(closest("Lable", &["APIToken", "Labels"]), Some("Labels"));
        assert_eq!(closest("Realm", &["APIToken", "Labels"]), None);
    }
}
