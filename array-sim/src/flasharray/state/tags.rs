//! Tags of volumes: upsert and delete.

use super::State;
use super::change::{Change, Plan};
use super::model::Tag;
use super::refusal::Refusal;
use super::rules::{MAX_TAG_KEY, MAX_TAG_VALUE, Rules};

/// One element of PUT `/volumes/tags/batch`.
#[derive(Debug, Clone)]
pub(crate) struct TagInput {
    pub(crate) namespace: Option<String>,
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) copyable: Option<bool>,
}

impl State {
    /// Sets every tag on every volume; what is not given falls back to the defaults, also for a
    /// tag that exists (assumed).
    pub(crate) fn plan_put_tags(
        &self,
        rules: &Rules,
        volumes: &[u64],
        tags: &[TagInput],
    ) -> Result<Plan, Refusal> {
        let tags = checked_tags(rules, tags)?;
        let mut plan = Plan::new(self);
        let mut refusals = Vec::new();
        for sequence in volumes {
            let Some(volume) = self.volumes.get(*sequence) else {
                continue;
            };
            if volume.destroyed.is_some() {
                refusals.push(Refusal::volume_destroyed(&volume.name));
                continue;
            }
            let mut changed = volume.clone();
            put_tags(&mut changed.tags, &tags);
            if changed.tags.len() > rules.limits.tags_per_volume {
                refusals.push(Refusal::limit("Tag"));
            }
            plan.changes.push(Change::Volume(changed));
            plan.touched.push(*sequence);
        }
        Refusal::all(refusals).map_or(Ok(plan), Err)
    }

    /// Removes tags of one namespace. A key that a volume does not have is a refusal (assumed).
    pub(crate) fn plan_delete_tags(
        &self,
        volumes: &[u64],
        namespace: &str,
        keys: &[String],
    ) -> Result<Plan, Refusal> {
        let mut plan = Plan::new(self);
        let mut refusals = Vec::new();
        for volume in volumes.iter().filter_map(|at| self.volumes.get(*at)) {
            if volume.destroyed.is_some() {
                refusals.push(Refusal::volume_destroyed(&volume.name));
                continue;
            }
            let has = |key: &&String| {
                volume
                    .tags
                    .iter()
                    .any(|tag| tag.namespace == namespace && tag.key == **key)
            };
            if keys.iter().any(|key| !has(&key)) {
                refusals.push(Refusal::new("Tag does not exist.", Some(&volume.name)));
                continue;
            }
            let mut changed = volume.clone();
            changed
                .tags
                .retain(|tag| tag.namespace != namespace || !keys.contains(&tag.key));
            plan.changes.push(Change::Volume(changed));
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
