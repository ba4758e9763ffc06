//! Names in their parts, and the names that a move or a rename gives.

use super::super::State;
use super::super::names::check_volume_name;
use super::super::refusal::{Kind, Refusal};

/// A volume's name, `pod::group/short`, taken apart. A group may be in a pod, a volume in either,
/// both or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VolumePath<'a> {
    pub(super) pod: Option<&'a str>,
    group: Option<&'a str>,
    pub(super) short: &'a str,
}

impl<'a> VolumePath<'a> {
    pub(super) fn of(name: &'a str) -> Self {
        let (pod, rest) = match name.split_once("::") {
            Some((pod, rest)) => (Some(pod), rest),
            None => (None, name),
        };
        let (group, short) = match rest.split_once('/') {
            Some((group, short)) => (Some(group), short),
            None => (None, rest),
        };
        Self { pod, group, short }
    }

    /// The whole name of the volume group.
    pub(super) fn group(&self) -> Option<String> {
        let group = self.group?;
        Some(match self.pod {
            Some(pod) => format!("{pod}::{group}"),
            None => group.to_owned(),
        })
    }

    /// Everything before the short name.
    fn prefix(&self) -> String {
        match (self.group(), self.pod) {
            (Some(group), _) => format!("{group}/"),
            (None, Some(pod)) => format!("{pod}::"),
            (None, None) => String::new(),
        }
    }
}

/// Whether a name begins with a container's prefix, ignoring case.
pub(super) fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// PATCH `/volumes` with `pod` or `volume_group`: where to. An empty name means out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    Pod(String),
    VolumeGroup(String),
}

impl State {
    /// The name under which a volume is kept: as given, its containers in their own case. Refuses
    /// bad names, and containers that are not there or destroyed.
    pub(crate) fn volume_name(&self, name: &str) -> Result<String, Refusal> {
        let path = VolumePath::of(name);
        if let Some(pod) = path.pod
            && self.pods.by_name(pod).is_none()
        {
            return Err(Refusal::missing(Kind::Pod, pod));
        }
        if let Some(group) = path.group()
            && self.volume_groups.by_name(&group).is_none()
        {
            return Err(Refusal::missing(Kind::VolumeGroup, &group));
        }
        check_volume_name(path.short, name)?;
        self.check_container_lives(name)?;
        let prefix = match (self.volume_group_of(name), self.pod_of(name)) {
            (Some(group), _) => group.prefix(),
            (None, Some(pod)) => pod.prefix(),
            (None, None) => String::new(),
        };
        Ok(format!("{prefix}{}", path.short))
    }

    /// The name that a rename gives. It stays in its containers: leaving them is a move (assumed).
    pub(crate) fn renamed_volume(&self, old: &str, new: &str) -> Result<String, Refusal> {
        let (from, to) = (VolumePath::of(old).prefix(), VolumePath::of(new).prefix());
        let name = self.volume_name(new)?;
        if from.eq_ignore_ascii_case(&to) {
            return Ok(name);
        }
        Err(Refusal::new(
            "Volume cannot be renamed into or out of a pod or volume group.",
            Some(old),
        ))
    }

    /// The name that a move gives.
    pub(crate) fn moved_volume(&self, old: &str, target: &Move) -> Result<String, Refusal> {
        let path = VolumePath::of(old);
        let prefix = match (target, path.pod) {
            (Move::Pod(pod), _) if pod.is_empty() => String::new(),
            (Move::VolumeGroup(group), Some(pod)) if group.is_empty() => format!("{pod}::"),
            (Move::VolumeGroup(group), None) if group.is_empty() => String::new(),
            (Move::Pod(pod), _) => format!("{pod}::"),
            (Move::VolumeGroup(group), _) => format!("{group}/"),
        };
        self.volume_name(&format!("{prefix}{}", path.short))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_apart() {
        let path = VolumePath::of("p::g/v");
        assert_eq!((path.pod, path.short), (Some("p"), "v"));
        assert_eq!(path.group().as_deref(), Some("p::g"));
        assert_eq!(path.prefix(), "p::g/");
        assert_eq!(VolumePath::of("g/v").group().as_deref(), Some("g"));
        assert_eq!(VolumePath::of("p::v").prefix(), "p::");
        assert_eq!(VolumePath::of("v").prefix(), "");
    }

    #[test]
    fn a_prefix_ends_where_a_name_begins() {
        assert!(starts_with("Pod::v", "pod::"));
        assert!(!starts_with("pod2::v", "pod::"));
        assert!(!starts_with("pé", "pod::"));
    }
}
