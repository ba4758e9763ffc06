//! Rules for names. Every object keeps the case it was given and is found ignoring case.

use super::refusal::{Kind, Refusal};

const MAX_NAME: usize = 63;

/// A volume's name without its pod and group: 1 to 63 of letters, digits, `_` and `-`, first and
/// last alphanumeric, at least one letter. `whole` is the name to complain about.
///
/// The text is observed; that digits alone are refused is from the vendor's user guide.
pub(crate) fn check_volume_name(short: &str, whole: &str) -> Result<(), Refusal> {
    check_word(Kind::Volume, short, whole)
}

/// As a volume's (assumed).
pub(crate) fn check_group_name(short: &str, whole: &str) -> Result<(), Refusal> {
    check_word(Kind::VolumeGroup, short, whole)
}

fn check_word(kind: Kind, short: &str, whole: &str) -> Result<(), Refusal> {
    let bytes = short.as_bytes();
    let fits = (1..=MAX_NAME).contains(&bytes.len())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        && ends_are_alphanumeric(bytes)
        && bytes.iter().any(u8::is_ascii_alphabetic);
    if fits {
        return Ok(());
    }
    Err(Refusal::new(
        format!(
            "{} name must be between 1 and 63 characters (alphanumeric, '_' and '-') in length \
             and begin and end with a letter or number.",
            kind.title()
        ),
        Some(whole),
    ))
}

/// The name of a host, host group, pod or protection group: as a volume's, without `_`. The text is assumed.
pub(crate) fn check_host_name(kind: Kind, name: &str) -> Result<(), Refusal> {
    let bytes = name.as_bytes();
    let fits = (1..=MAX_NAME).contains(&bytes.len())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && ends_are_alphanumeric(bytes);
    if fits {
        return Ok(());
    }
    Err(Refusal::new(
        format!(
            "{} name must be between 1 and 63 characters (alphanumeric and '-') in length and \
             begin and end with a letter or number.",
            kind.title()
        ),
        Some(name),
    ))
}

/// A snapshot's suffix: letters, digits and `-` with a letter or `-` among them, or a number that
/// does not begin with 0; at most 64. The text is assumed.
pub(crate) fn check_suffix(suffix: &str) -> Result<(), Refusal> {
    let bytes = suffix.as_bytes();
    let word = bytes
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && ends_are_alphanumeric(bytes)
        && bytes
            .iter()
            .any(|byte| byte.is_ascii_alphabetic() || *byte == b'-');
    let number = bytes.iter().all(u8::is_ascii_digit) && bytes.first() != Some(&b'0');
    if (1..=MAX_NAME + 1).contains(&bytes.len()) && (word || number) {
        return Ok(());
    }
    Err(Refusal::new(
        "Snapshot suffix must be between 1 and 64 characters (alphanumeric and '-') in length, \
         begin and end with a letter or number, and include at least one letter or '-'.",
        Some(suffix),
    ))
}

/// Refuses a request that names one object twice. Assumed.
pub(crate) fn check_distinct(names: &[String]) -> Result<(), Refusal> {
    let mut seen = std::collections::HashSet::new();
    match names
        .iter()
        .find(|name| !seen.insert(name.to_ascii_lowercase()))
    {
        None => Ok(()),
        Some(twice) => Err(Refusal::new("Duplicate name specified.", Some(twice))),
    }
}

fn ends_are_alphanumeric(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

/// A Fibre Channel name as the array shows it: upper case, a colon after each byte.
pub(crate) fn normal_wwn(wwn: &str) -> Result<String, Refusal> {
    let digits: String = wwn.chars().filter(|c| *c != ':').collect();
    if digits.len() != 16 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Refusal::invalid("WWN", Some(wwn)));
    }
    let digits = digits.to_ascii_uppercase();
    let pairs: Vec<&str> = (0..8)
        .filter_map(|at| digits.get(at * 2..at * 2 + 2))
        .collect();
    Ok(pairs.join(":"))
}

/// An iSCSI name: RFC 3720 §3.2.6.3, `iqn.`, `eui.` or `naa.`, at most 223 bytes.
pub(crate) fn check_iqn(iqn: &str) -> Result<(), Refusal> {
    let lower = iqn.to_ascii_lowercase();
    let fits = iqn.len() <= 223
        && ["iqn.", "eui.", "naa."]
            .iter()
            .any(|prefix| lower.len() > prefix.len() && lower.starts_with(prefix))
        && !iqn.contains(|c: char| c.is_whitespace() || c.is_control() || c == ',');
    if fits {
        Ok(())
    } else {
        Err(Refusal::invalid("IQN", Some(iqn)))
    }
}

/// An NVMe name: NVMe base specification §4.5, `nqn.`, at most 223 bytes.
pub(crate) fn check_nqn(nqn: &str) -> Result<(), Refusal> {
    let fits = nqn.len() <= 223
        && nqn.len() > 4
        && nqn.to_ascii_lowercase().starts_with("nqn.")
        && !nqn.contains(|c: char| c.is_whitespace() || c.is_control() || c == ',');
    if fits {
        Ok(())
    } else {
        Err(Refusal::invalid("NQN", Some(nqn)))
    }
}
