//! Labels on arrays, and the selector grammar over them.

use std::collections::BTreeMap;

/// Key and value pairs in a fixed order.
pub type Labels = BTreeMap<String, String>;

/// Requirements that an array's labels must satisfy, all of them. The empty one matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {}
