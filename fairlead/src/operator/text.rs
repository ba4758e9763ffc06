//! Pieces of text for people: sizes, ages, names of others.

use storage_core::Size;

/// What stands where nothing is known.
pub(super) const NOTHING: &str = "-";

/// Texts in a table are cut here.
const TEXT_MAX: usize = 60;

/// Text of others without what a terminal would obey: control characters, and those that hide or
/// turn text around (Unicode bidirectional controls, zero-width characters).
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if c.is_control() || hidden {
            escaped.extend(c.escape_unicode());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// As [`escaped`], and no longer than a table can bear.
pub(super) fn cut(text: &str) -> String {
    let text = escaped(text);
    if text.chars().count() <= TEXT_MAX {
        return text;
    }
    let mut short: String = text.chars().take(TEXT_MAX - 1).collect();
    short.push('…');
    short
}

/// As [`escaped`], whole, in lines of about [`TEXT_MAX`]; no word is broken, as it may be one to
/// copy.
pub(super) fn wrapped(text: &str) -> String {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in escaped(text).split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > TEXT_MAX {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.join("\n")
}

pub(super) fn maybe(text: Option<&str>) -> String {
    text.map_or_else(|| NOTHING.to_owned(), escaped)
}

pub(super) fn size(bytes: Option<u64>) -> String {
    bytes.map_or_else(
        || NOTHING.to_owned(),
        |bytes| Size::from_bytes(bytes).rounded_down(),
    )
}

/// The two largest units: `1d2h`.
pub(super) fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str, u64, &str); 3] = [
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ];
    for (large, large_name, small, small_name) in UNITS {
        if seconds >= large {
            let rest = seconds % large / small;
            return match rest {
                0 => format!("{}{large_name}", seconds / large),
                rest => format!("{}{large_name}{rest}{small_name}", seconds / large),
            };
        }
    }
    format!("{seconds}s")
}

pub(super) fn age(then_ms: Option<u64>, now_ms: u64) -> String {
    then_ms.map_or_else(
        || NOTHING.to_owned(),
        |then| span(now_ms.saturating_sub(then) / 1000),
    )
}

/// A host, and whether the volume's record names it.
pub(super) fn host(host: Option<&str>, group: Option<&str>, recorded: bool) -> String {
    let name = maybe(host);
    match group {
        Some(group) => format!("{name} (group {})", escaped(group)),
        None if recorded => name,
        None => format!("{name} (not on record)"),
    }
}
