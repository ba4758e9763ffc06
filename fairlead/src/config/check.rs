//! From the text of a file to a [`ConfigFile`], with every problem on the way.
//!
//! Reads no file and no environment: what secrets' files hold is [`super::load`]'s to check.

use std::collections::BTreeMap;

use jsonc_parser::ast::Value;
use jsonc_parser::common::{Range, Ranged};
use storage_core::Namespace;

use super::entry;
use super::file::ConfigFile;
use super::problem::Problem;
use super::reader::{Field, Findings, ObjectReader};
use super::syntax;
use super::values::Endpoint;

/// What a text holds, and what is wrong with it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CheckedFile {
    /// What could be read. Only to be used when no problem is an error.
    pub file: ConfigFile,
    /// Everything found.
    pub problems: Vec<Problem>,
    /// Where entries, and each `APITokenFile` and the like, stand, for problems found later: by key
    /// path.
    pub(super) places: BTreeMap<String, (usize, usize)>,
}

/// Checks a configuration file's text.
#[must_use]
pub fn check_text(text: &str) -> CheckedFile {
    // Some editors write one; JSON has none (RFC 8259, section 8.1), and other readers refuse it.
    let stripped = text.strip_prefix('\u{feff}');
    let text = stripped.unwrap_or(text);
    let mut findings = Findings::new(text);
    if stripped.is_some() {
        let message = "the file begins with a byte order mark";
        findings.error(Range::new(0, 0), "", message, "save it without");
    }
    let tree = syntax::parse(text, &mut findings);
    let file = tree.map_or_else(ConfigFile::default, |tree| top(&tree, &mut findings));
    let places = findings.places();
    CheckedFile {
        file,
        problems: findings.problems,
        places,
    }
}

fn top(tree: &Value<'_>, findings: &mut Findings<'_>) -> ConfigFile {
    let root = Field {
        value: tree,
        range: tree.range(),
        path: String::new(),
    };
    let Some(mut reader) = ObjectReader::new(&root, findings) else {
        return ConfigFile::default();
    };
    let mut file = ConfigFile {
        namespace: namespace(&mut reader, findings),
        ..ConfigFile::default()
    };
    let mut endpoints = Endpoints::default();
    let arrays = reader.list("FlashArrays", findings);
    let blades = reader.list("FlashBlades", findings);
    let meant = reader.misspelt("FlashArrays") || reader.misspelt("FlashBlades");
    if arrays.is_empty() && blades.is_empty() && !meant {
        let message = "there has to be at least one array";
        findings.error(reader.range(), "", message, "add one to `FlashArrays`");
    }
    for field in &arrays {
        file.flash_arrays
            .extend(entry::flash_array(field, &mut endpoints, findings));
    }
    for field in &blades {
        file.flash_blades
            .extend(entry::flash_blade(field, &mut endpoints, findings));
    }
    reader.finish(findings);
    file
}

fn namespace(reader: &mut ObjectReader<'_, '_>, findings: &mut Findings<'_>) -> Option<String> {
    let field = reader.text("Namespace", findings)?;
    if let Err(error) = Namespace::new(field.value) {
        let advice = "use 1 to 32 letters, digits, `-` and `_`, a letter or digit at both ends";
        findings.error(field.range, &field.path, error.message(), advice);
    }
    Some(field.value.to_owned())
}

/// Every endpoint met so far, with the path of the entry that has it.
#[derive(Debug, Default)]
pub(super) struct Endpoints(BTreeMap<Endpoint, String>);

impl Endpoints {
    /// Checks an entry's address and that no other entry has it.
    pub(super) fn read(
        &mut self,
        reader: &mut ObjectReader<'_, '_>,
        findings: &mut Findings<'_>,
    ) -> String {
        let Some(field) = reader.required_text("MgmtEndPoint", findings) else {
            return String::new();
        };
        match Endpoint::parse(field.value) {
            Ok(endpoint) => self.note(&field, endpoint, findings),
            Err((message, advice)) => findings.error(field.range, &field.path, message, advice),
        }
        field.value.to_owned()
    }

    fn note(&mut self, field: &Field<&str>, endpoint: Endpoint, findings: &mut Findings<'_>) {
        if let Some(first) = self.0.get(&endpoint) {
            let message = format!("this is the address of {first} too");
            findings.error(
                field.range,
                &field.path,
                message,
                "delete one of the two entries",
            );
            return;
        }
        let entry = field.path.trim_end_matches(".MgmtEndPoint").to_owned();
        self.0.insert(endpoint, entry);
    }
}

/// The keys that the reading code asks an object for, to be compared with the schema's.
#[cfg(test)]
pub(super) fn known_keys() -> Vec<Vec<&'static str>> {
    let text = r#"{"CHAP": {}}"#;
    let mut findings = Findings::new(text);
    let tree = syntax::parse(text, &mut findings).unwrap();
    let field = Field {
        value: &tree,
        range: tree.range(),
        path: String::new(),
    };
    let mut keys = vec![vec!["Namespace", "FlashArrays", "FlashBlades"]];
    let mut reader = ObjectReader::new(&field, &mut findings).unwrap();
    drop(entry::read_flash_array(
        &mut reader,
        &mut Endpoints::default(),
        &mut findings,
    ));
    keys.push(reader.asked().to_vec());
    let mut reader = ObjectReader::new(&field, &mut findings).unwrap();
    drop(entry::read_flash_blade(
        &mut reader,
        &mut Endpoints::default(),
        &mut findings,
    ));
    keys.push(reader.asked().to_vec());
    keys
}

#[cfg(test)]
mod tests {
    use super::known_keys;
    use crate::config::schema;

    #[test]
    fn the_keys_that_are_read_are_those_of_the_schema() {
        let schema = schema();
        let root = schema.as_value();
        let definitions = ["", "/$defs/FlashArrayEntry", "/$defs/FlashBladeEntry"];
        for (pointer, mut read) in definitions.into_iter().zip(known_keys()) {
            let properties = root.pointer(&format!("{pointer}/properties")).unwrap();
            let mut described: Vec<&str> = properties
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            described.sort_unstable();
            read.sort_unstable();
            read.dedup();
            assert_eq!(read, described, "{pointer}");
        }
    }
}
