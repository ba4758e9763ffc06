//! Tags of volumes and snapshots: upsert and delete.

use super::State;
use super::change::{Change, Plan};
use super::model::{Snapshot, Tag, Volume};
use super::refusal::Refusal;
use super::rules::{MAX_TAG_KEY, MAX_TAG_VALUE, Rules};
use super::table::{Record, Table};

/// One element of PUT `/volumes/tags/batch`.
#[derive(Debug, Clone)]
pub(crate) struct TagInput {
    pub(crate) namespace: Option<String>,
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) copyable: Option<bool>,
}

/// What can have tags.
pub(crate) trait Tagged: Record + Clone {
    fn table(state: &State) -> &Table<Self>;
    fn tags(&self) -> &Vec<Tag>;
    fn tags_mut(&mut self) -> &mut Vec<Tag>;
    fn change(self) -> Change;
    fn name(&self, state: &State) -> String;
    /// Assumed: what is destroyed cannot be tagged.
    fn check_live(&self, state: &State) -> Result<(), Refusal>;
}

impl Tagged for Volume {
    fn table(state: &State) -> &Table<Self> {
        &state.volumes
    }
    fn tags(&self) -> &Vec<Tag> {
        &self.tags
    }
    fn tags_mut(&mut self) -> &mut Vec<Tag> {
        &mut self.tags
    }
    fn change(self) -> Change {
        Change::Volume(self)
    }
    fn name(&self, _: &State) -> String {
        self.name.clone()
    }
    fn check_live(&self, _: &State) -> Result<(), Refusal> {
        if self.destroyed.is_some() {
            return Err(Refusal::volume_destroyed(&self.name));
        }
        Ok(())
    }
}

impl Tagged for Snapshot {
    fn table(state: &State) -> &Table<Self> {
        &state.snapshots
    }
    fn tags(&self) -> &Vec<Tag> {
        &self.tags
    }
    fn tags_mut(&mut self) -> &mut Vec<Tag> {
        &mut self.tags
    }
    fn change(self) -> Change {
        Change::Snapshot(self)
    }
    fn name(&self, state: &State) -> String {
        state.snapshot_name(self)
    }
    fn check_live(&self, state: &State) -> Result<(), Refusal> {
        if self.destroyed.is_some() {
            return Err(Refusal::snapshot_destroyed(&state.snapshot_name(self)));
        }
        Ok(())
    }
}

impl State {
    /// Sets every tag on every object; what is not given falls back to the defaults, also for a
    /// tag that exists (assumed).
    pub(crate) fn plan_put_tags<T: Tagged>(
        &self,
        rules: &Rules,
        objects: &[u64],
        tags: &[TagInput],
    ) -> Result<Plan, Refusal> {
        let tags = checked_tags(rules, tags)?;
        let mut plan = Plan::new(self);
        let mut refusals = Vec::new();
        for object in objects.iter().filter_map(|at| T::table(self).get(*at)) {
            if let Err(refusal) = object.check_live(self) {
                refusals.push(refusal);
                continue;
            }
            let mut changed = object.clone();
            put_tags(changed.tags_mut(), &tags);
            if changed.tags().len() > rules.limits.tags_per_volume {
                refusals.push(Refusal::limit("Tag"));
            }
            plan.touched.push(object.sequence());
            plan.changes.push(changed.change());
        }
        Refusal::all(refusals).map_or(Ok(plan), Err)
    }

    /// Removes tags of one namespace. A key that an object does not have is a refusal (assumed).
    pub(crate) fn plan_delete_tags<T: Tagged>(
        &self,
        objects: &[u64],
        namespace: &str,
        keys: &[String],
    ) -> Result<Plan, Refusal> {
        let mut plan = Plan::new(self);
        let mut refusals = Vec::new();
        for object in objects.iter().filter_map(|at| T::table(self).get(*at)) {
            if let Err(refusal) = object.check_live(self) {
                refusals.push(refusal);
                continue;
            }
            let has = |key: &String| {
                let is = |tag: &Tag| tag.namespace == namespace && tag.key == *key;
                object.tags().iter().any(is)
            };
            if !keys.iter().all(has) {
                let name = object.name(self);
                refusals.push(Refusal::new("Tag does not exist.", Some(&name)));
                continue;
            }
            let mut changed = object.clone();
            let keep = |tag: &Tag| tag.namespace != namespace || !keys.contains(&tag.key);
            changed.tags_mut().retain(keep);
            plan.changes.push(changed.change());
        }
        Refusal::all(refusals).map_or(Ok(plan), Err)
    }
}

/// The tags of a request, checked one by one and counted.
pub(super) fn checked_tags(rules: &Rules, tags: &[TagInput]) -> Result<Vec<Tag>, Refusal> {
    if tags.len() > rules.limits.tags_per_volume {
        return Err(Refusal::limit("Tag"));
    }
    tags.iter().map(checked).collect()
}

/// Puts tags in place of those of the same namespace and key.
pub(super) fn put_tags(all: &mut Vec<Tag>, tags: &[Tag]) {
    for tag in tags {
        match all
            .iter_mut()
            .find(|old| old.namespace == tag.namespace && old.key == tag.key)
        {
            Some(old) => *old = tag.clone(),
            None => all.push(tag.clone()),
        }
    }
}

/// Lengths are documented in characters; that `pure…` namespaces are the array's own, too. The
/// texts are assumed.
fn checked(input: &TagInput) -> Result<Tag, Refusal> {
    let namespace = input
        .namespace
        .clone()
        .unwrap_or_else(|| "default".to_owned());
    if input.key.is_empty() || input.key.chars().count() > MAX_TAG_KEY {
        return Err(Refusal::new(
            "Tag key must be between 1 and 64 characters in length.",
            Some(&input.key),
        ));
    }
    if input.value.chars().count() > MAX_TAG_VALUE {
        return Err(Refusal::new(
            "Tag value must not exceed 256 characters in length.",
            Some(&input.key),
        ));
    }
    if namespace.to_ascii_lowercase().starts_with("pure") {
        return Err(Refusal::new("Tag namespace is reserved.", Some(&namespace)));
    }
    if namespace.is_empty() || namespace.chars().count() > MAX_TAG_KEY {
        return Err(Refusal::invalid("tag namespace", Some(&namespace)));
    }
    Ok(Tag {
        namespace,
        key: input.key.clone(),
        value: input.value.clone(),
        copyable: input.copyable.unwrap_or(true),
    })
}
