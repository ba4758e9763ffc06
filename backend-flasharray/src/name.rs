//! What a `FlashArray` accepts as a volume's name, and how names are asked for.

use storage_core::{
    FleetRecord, Namespace, ObjectNames, VolumeName, import_prefix, is_reserved, marker_name,
    object_names, plain_name, tentative_prefix, trash_prefix,
};

use crate::api::WireVolume;

/// 1 to 63 of letters, digits, `-` and `_`, a letter or digit first and last; `Data` is `data`
/// (Purity user guide, "Conventions").
const RULES: storage_core::NameRules = storage_core::NameRules {
    max_length: 63,
    allowed: |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'),
    case_insensitive: true,
};

/// What follows the namespace in the name of what is being removed ([`trash_prefix`]).
const TRASH: &str = "-fl-trash-";

/// The names that the volume's object may have.
pub(crate) fn candidates(namespace: &Namespace, name: &VolumeName) -> ObjectNames {
    object_names(namespace, name, &RULES)
}

/// A text as a filter wants it: in quotes, with `\` and `'` escaped (vendor client's `quoteString`).
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The filter that finds everything that bears on a name: the objects that may carry it, and its
/// trash. A filter and not `names=`, which fails as a whole when one is missing.
pub(crate) fn name_filter(namespace: &Namespace, name: &VolumeName) -> String {
    let names: Vec<String> = candidates(namespace, name).iter().map(quoted).collect();
    let trash = quoted(&format!("{}*", trash_prefix(namespace, name)));
    format!("name=({}) or name={trash}", names.join(","))
}

/// The filter of [`name_filter`], and with it the name's marker, what waits for the name, and all
/// fleet records.
pub(crate) fn view_filter(namespace: &Namespace, name: &VolumeName) -> String {
    let marker = quoted(&marker_name(namespace, name));
    let pattern = |prefix: &str| format!(" or name={}", quoted(&format!("{prefix}*")));
    format!(
        "{} or name={marker}{}{}{}",
        name_filter(namespace, name),
        pattern(&tentative_prefix(namespace, name)),
        pattern(&import_prefix(namespace, name)),
        pattern(FleetRecord::OBJECT_PREFIX),
    )
}

/// The filter for everything of a namespace that a claim or a remove may have left over, and for
/// what a fleet record may have.
pub(crate) fn left_over_filter(namespace: &Namespace) -> String {
    let ours =
        ["new", "in", "claim", "gone", "trash"].map(|what| format!("{namespace}-fl-{what}-*"));
    let fleet = ["new", "gone"].map(|what| format!("{}{what}-*", FleetRecord::OBJECT_PREFIX));
    let names: Vec<String> = ours
        .iter()
        .chain(&fleet)
        .map(|one| format!("name={}", quoted(one)))
        .collect();
    names.join(" or ")
}

/// Whether an object may be, or keep, this name's volume, by its name alone.
pub(crate) fn may_bear(namespace: &Namespace, name: &VolumeName, wire: &WireVolume) -> bool {
    if is_reserved(namespace, &wire.name) {
        return !wire.destroyed && wire.name.starts_with(&trash_prefix(namespace, name));
    }
    let same = |one: &str| one.eq_ignore_ascii_case(&wire.name);
    candidates(namespace, name).iter().any(same)
}

/// Whether an object's name is told with a page of the namespace's volumes: all but markers, live
/// or retired, which are many and say nothing of where a volume is.
pub(crate) fn is_listed(namespace: &Namespace, object: &str) -> bool {
    !is_marker(namespace, object) && !is_retired(namespace, object)
}

/// Whether the object is a vote on a name.
pub(crate) fn is_marker(namespace: &Namespace, object: &str) -> bool {
    object.starts_with(&format!("{namespace}-fl-claim-"))
}

/// Whether a marker was renamed aside to this name.
pub(crate) fn is_retired(namespace: &Namespace, object: &str) -> bool {
    object.starts_with(&format!("{namespace}-fl-gone-"))
}

/// The filter for all objects of a namespace, and perhaps of others that begin alike.
pub(crate) fn namespace_filter(namespace: &Namespace) -> String {
    format!("name={}", quoted(&format!("{namespace}-*")))
}

/// The filter for what may be in the namespace's trash: what a remove renamed aside, and whatever
/// is destroyed.
pub(crate) fn trash_filter(namespace: &Namespace) -> String {
    let trash = quoted(&format!("{namespace}{TRASH}*"));
    let all = namespace_filter(namespace);
    format!("name={trash} or ({all} and destroyed='true')")
}

/// The filter for the connections of a namespace's volumes, and perhaps of others that begin alike.
pub(crate) fn connections_filter(namespace: &Namespace) -> String {
    format!("volume.{}", namespace_filter(namespace))
}

/// Whether a remove gave the object its name.
pub(crate) fn is_trash(namespace: &Namespace, object: &str) -> bool {
    let prefix = format!("{namespace}{TRASH}");
    let start = object.get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(&prefix))
}

/// What an object's name says by itself. The record decides; this is for objects without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Being made or being removed.
    Reserved,
    /// The plain name of a volume.
    Plain(VolumeName),
    /// Something else.
    Other,
}

pub(crate) fn form(namespace: &Namespace, object: &str) -> Form {
    if is_reserved(namespace, object) {
        return Form::Reserved;
    }
    plain_name(namespace, object).map_or(Form::Other, Form::Plain)
}

#[cfg(test)]
mod tests {
    use storage_core::{Namespace, VolumeName};

    use super::{candidates, name_filter, quoted};

    #[test]
    fn filters_ask_for_every_form() {
        let namespace = Namespace::new("ns").unwrap();
        let name = VolumeName::new("data").unwrap();
        let filter = name_filter(&namespace, &name);
        assert!(filter.starts_with("name=('ns-data','ns-data-"), "{filter}");
        assert!(
            filter.contains(" or name='ns-fl-trash-") && filter.ends_with("-*'"),
            "{filter}"
        );
    }

    #[test]
    fn quotes_cannot_break_out() {
        assert_eq!(quoted(r"a'b\c"), r"'a\'b\\c'");
    }

    #[test]
    fn upper_case_names_get_an_object_of_their_own() {
        let namespace = Namespace::new("ns").unwrap();
        let of = |name: &str| candidates(&namespace, &VolumeName::new(name).unwrap()).preferred;
        assert_ne!(of("Data").to_lowercase(), of("data").to_lowercase());
    }
}
