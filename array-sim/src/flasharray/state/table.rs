//! Records by sequence number, with an index by name (ignoring case) and one by id.

use std::collections::{BTreeMap, HashMap};

/// What a [`Table`] must know of its records.
pub(crate) trait Record {
    /// The record's place in the order of creation; its key for ever.
    fn sequence(&self) -> u64;
    /// The key under which it is found by name, unique within the table. Lower case.
    fn name_key(&self) -> Option<String>;
    /// The id that the array gave it.
    fn id(&self) -> Option<&str>;
}

#[derive(Debug)]
pub(crate) struct Table<T> {
    rows: BTreeMap<u64, T>,
    names: HashMap<String, u64>,
    ids: HashMap<String, u64>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            names: HashMap::new(),
            ids: HashMap::new(),
        }
    }
}

impl<T: Record> Table<T> {
    pub(crate) fn put(&mut self, record: T) {
        let sequence = record.sequence();
        self.remove(sequence);
        if let Some(key) = record.name_key() {
            self.names.insert(key, sequence);
        }
        if let Some(id) = record.id() {
            self.ids.insert(id.to_owned(), sequence);
        }
        self.rows.insert(sequence, record);
    }

    pub(crate) fn remove(&mut self, sequence: u64) -> Option<T> {
        let old = self.rows.remove(&sequence)?;
        if let Some(key) = old.name_key() {
            self.names.remove(&key);
        }
        if let Some(id) = old.id() {
            self.ids.remove(id);
        }
        Some(old)
    }

    pub(crate) fn get(&self, sequence: u64) -> Option<&T> {
        self.rows.get(&sequence)
    }

    /// By name, ignoring case.
    pub(crate) fn by_name(&self, name: &str) -> Option<&T> {
        self.get(*self.names.get(&name.to_ascii_lowercase())?)
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&T> {
        self.get(*self.ids.get(id)?)
    }

    /// All records, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.rows.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}
