//! The JSON Schema of the configuration file, for editors and for other programs.

use schemars::Schema;

use super::file::ConfigFile;

/// The schema, made from the types.
#[must_use]
pub fn schema() -> Schema {
    let mut schema = schemars::schema_for!(ConfigFile);
    schema.insert("title".to_owned(), "Fairlead configuration".into());
    schema
}

/// The schema as the text of `docs/config.schema.json`.
#[must_use]
pub fn schema_text() -> String {
    format!("{:#}\n", schema().as_value())
}
