//! The configuration: a `pure.json`-like file and a few environment variables.
//!
//! Three steps, each without side effects but for reading files: text to syntax tree with
//! positions ([`check_text`]), syntax tree to [`ConfigFile`] with every problem found on the way,
//! file and environment to a [`Config`] that programs use. Nothing here talks to an array. No
//! message ever shows a value of a key that may hold a secret.

mod check;
mod entry;
mod environment;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod load;
mod problem;
mod reader;
mod resolve;
mod schema;
mod secrets;
mod syntax;
mod values;

pub(crate) use entry::BLADES_NOT_SERVED;

pub use check::{CheckedFile, check_text};
pub use environment::Environment;
pub use file::{ChapEntry, ConfigFile, FlashArrayEntry, FlashBladeEntry, SanType};
pub use load::{ConfigError, DEFAULT_PATH, Loaded, check_file, load};
pub use problem::{Problem, Report, Severity};
pub use resolve::{Config, FlashArray, FlashBlade, NamespaceSource};
pub use schema::{schema, schema_text};
pub use values::{Endpoint, Fingerprint};
