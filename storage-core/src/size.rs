//! Sizes in bytes, as people write them and as they are shown.
//!
//! All arithmetic is exact and in integers: a text that does not mean a whole number of bytes, or
//! means more than [`Size::MAX`], is refused instead of rounded. Rounding to what an array can
//! provision is [`crate::Capabilities::round`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// A number of bytes.
///
/// As text: digits, with a fraction if need be, and a unit without a blank between them. `K M G T
/// P` and `KiB MiB GiB TiB PiB` count in steps of 1024, `KB MB GB TB PB` in steps of 1000, `B` and
/// no unit are bytes; case does not matter. So `20GB` is 20·10⁹ and `5G` is 5·2³⁰, as users of the
/// predecessor measured it on their devices. Blanks around the text are ignored.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Size(u64);

/// How a unit is written, its base and its exponent. [`fmt::Display`] uses the first spelling that
/// fits, so the explicit ones stand before the short ones.
const UNITS: [(&str, u64, u32); 16] = [
    ("PiB", 1024, 5),
    ("PB", 1000, 5),
    ("TiB", 1024, 4),
    ("TB", 1000, 4),
    ("GiB", 1024, 3),
    ("GB", 1000, 3),
    ("MiB", 1024, 2),
    ("MB", 1000, 2),
    ("KiB", 1024, 1),
    ("KB", 1000, 1),
    ("B", 1, 0),
    ("P", 1024, 5),
    ("T", 1024, 4),
    ("G", 1024, 3),
    ("M", 1024, 2),
    ("K", 1024, 1),
];

/// Longest text read as a size, in bytes. The smallest exact fraction, 2⁻⁵⁰ PiB, has 50 digits.
const TEXT_MAX: usize = 80;

impl Size {
    /// The largest size that can be expressed: 2⁶⁴ − 1 bytes.
    pub const MAX: Self = Self(u64::MAX);

    /// That many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// That many times 2³⁰ bytes. Every `u32` fits.
    #[must_use]
    pub const fn from_gib(gib: u32) -> Self {
        Self((gib as u64) << 30)
    }

    /// That many times 2²⁰ bytes. Every `u32` fits.
    #[must_use]
    pub const fn from_mib(mib: u32) -> Self {
        Self((mib as u64) << 20)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// For people: binary units with at most one decimal, cut. What is shown as free is free.
    #[must_use]
    pub fn rounded_down(self) -> String {
        self.rounded(|tenths, unit| tenths / unit)
    }

    /// As [`Self::rounded_down`], and never less than it is: what is asked for.
    #[must_use]
    pub fn rounded_up(self) -> String {
        self.rounded(u128::div_ceil)
    }

    /// `divide` gives the tenths of a unit that are shown: of tenths of bytes, and bytes a unit.
    fn rounded(self, divide: fn(u128, u128) -> u128) -> String {
        let tenths_in = |factor: u128| divide(u128::from(self.0) * 10, factor);
        let (mut factor, mut unit) = (1_u128, "B");
        for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
            // What rounds up to a whole next unit is shown as that.
            if tenths_in(factor) < 10_240 {
                break;
            }
            (factor, unit) = (factor * 1024, next);
        }
        let tenths = tenths_in(factor);
        match (tenths / 10, tenths % 10) {
            (whole, 0) => format!("{whole} {unit}"),
            (whole, tenth) => format!("{whole}.{tenth} {unit}"),
        }
    }

    /// The sum, unless it is more than [`Self::MAX`].
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(bytes) => Some(Self(bytes)),
            None => None,
        }
    }

    /// The difference, unless `other` is larger.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(bytes) => Some(Self(bytes)),
            None => None,
        }
    }
}

/// Exact, and readable by [`Size::from_str`]: the unit in which the number is smallest, so `32GiB`
/// and `20GB`; bytes (`1234567B`) where no larger unit divides it.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS.iter().filter_map(|(unit, base, exponent)| {
            let factor = base.pow(*exponent);
            (self.0 != 0 && self.0.is_multiple_of(factor)).then_some((self.0 / factor, *unit))
        });
        // `min_by_key` keeps the first of equals, hence the explicit spelling.
        let (number, unit) = exact.min_by_key(|(number, _)| *number).unwrap_or((0, "B"));
        f.pad(&format!("{number}{unit}"))
    }
}

impl FromStr for Size {
    type Err = Error;

    /// Reads the text form described at [`Size`].
    ///
    /// # Errors
    /// `OutOfRange` for zero, a negative number and more than [`Size::MAX`]; `InvalidArgument`
    /// for anything else that is not a size, a fraction of a byte among it.
    fn from_str(text: &str) -> Result<Self> {
        let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace());
        if trimmed.len() > TEXT_MAX {
            return Err(malformed(
                "a size has at most 80 characters",
                &trimmed.chars().take(16).collect::<String>(),
            ));
        }
        parse(trimmed)
    }
}

fn parse(text: &str) -> Result<Size> {
    if let Some(rest) = text.strip_prefix('-') {
        // A negative number is told apart from nonsense that begins with a dash.
        return Err(match parse(rest) {
            Ok(_) => out_of_range("a size is more than zero", text),
            Err(_) if rest.starts_with('-') => malformed("it does not begin with a digit", text),
            Err(error) => error,
        });
    }
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(malformed("a digit must follow the point", text)),
        None => (number, ""),
    };
    if whole.is_empty() || fraction.contains('.') {
        return Err(malformed("it does not begin with a number", text));
    }
    let (base, exponent) = unit_of(unit).ok_or_else(|| malformed("the unit is unknown", text))?;
    let too_large = || out_of_range("it is more than 2^64 - 1 bytes", text);
    let mut bytes: u64 = whole.parse().map_err(|_digits_only| too_large())?;
    let mut digits: Vec<u64> = fraction
        .bytes()
        .map(|digit| u64::from(digit.saturating_sub(b'0')))
        .collect();
    for _ in 0..exponent {
        let carry = multiply_fraction(&mut digits, base);
        bytes = bytes
            .checked_mul(base)
            .and_then(|product| product.checked_add(carry))
            .ok_or_else(too_large)?;
    }
    if digits.iter().any(|digit| *digit != 0) {
        return Err(malformed("it is not a whole number of bytes", text));
    }
    if bytes == 0 {
        return Err(out_of_range("a size is more than zero", text));
    }
    Ok(Size(bytes))
}

/// Multiplies the decimal fraction `0.d₁d₂…` in place and returns the whole part of the product,
/// which is less than `factor`.
fn multiply_fraction(digits: &mut [u64], factor: u64) -> u64 {
    let mut carry = 0;
    for digit in digits.iter_mut().rev() {
        let product = *digit * factor + carry;
        *digit = product % 10;
        carry = product / 10;
    }
    carry
}

fn unit_of(text: &str) -> Option<(u64, u32)> {
    if text.is_empty() {
        return Some((1, 0));
    }
    UNITS
        .iter()
        .find(|(unit, _, _)| unit.eq_ignore_ascii_case(text))
        .map(|(_, base, exponent)| (*base, *exponent))
}

fn malformed(problem: &str, text: &str) -> Error {
    let hint = "write a number and a unit without a blank between, such as 20GB (decimal: KB MB GB TB PB), 32GiB or 1.5T (binary: K M G T P, with or without iB), or a number of bytes";
    failure(ErrorKind::InvalidArgument, problem, text, hint)
}

fn out_of_range(problem: &str, text: &str) -> Error {
    let hint = "write one such as 20GB or 32GiB";
    failure(ErrorKind::OutOfRange, problem, text, hint)
}

fn failure(kind: ErrorKind, problem: &str, text: &str, hint: &str) -> Error {
    Error::new(
        kind,
        format!(
            "`{}` is not a usable size: {problem}; {hint}",
            text.escape_debug()
        ),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use proptest::{prop_assert, prop_assert_eq};

    use super::Size;
    use crate::error::ErrorKind;

    #[test]
    fn units_mean_what_users_measured() {
        for (text, bytes) in [
            ("1", 1),
            ("512B", 512),
            ("5G", 5 << 30),
            ("20GB", 20_000_000_000),
            ("100gb", 100_000_000_000),
            ("32GiB", 32 << 30),
            ("1TiB", 1 << 40),
            ("1t", 1 << 40),
            ("2PB", 2_000_000_000_000_000),
            ("1.5GiB", 3 << 29),
            ("0.5K", 512),
            ("1.0000000000000000000000000000000000M", 1 << 20),
            (" 7M\n", 7 << 20),
            ("007K", 7 << 10),
            ("18446744073709551615", u64::MAX),
            ("0.00000000000000088817841970012523233890533447265625P", 1),
        ] {
            assert_eq!(text.parse::<Size>().unwrap().bytes(), bytes, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_its_kind() {
        use ErrorKind::{InvalidArgument, OutOfRange};
        let long = "9".repeat(81);
        for (text, kind) in [
            ("", InvalidArgument),
            (" ", InvalidArgument),
            ("G", InvalidArgument),
            ("5 G", InvalidArgument),
            ("+5G", InvalidArgument),
            ("--5", InvalidArgument),
            ("-", InvalidArgument),
            ("5.", InvalidArgument),
            (".5G", InvalidArgument),
            ("1.2.3G", InvalidArgument),
            ("1..5G", InvalidArgument),
            ("1e3", InvalidArgument),
            ("0x10", InvalidArgument),
            ("1.5", InvalidArgument),
            ("0.3K", InvalidArgument),
            ("5GiBs", InvalidArgument),
            ("5Gi B", InvalidArgument),
            ("٣G", InvalidArgument),
            ("1\0G", InvalidArgument),
            (&long, InvalidArgument),
            ("0", OutOfRange),
            ("0.0G", OutOfRange),
            ("-5G", OutOfRange),
            ("18446744073709551616", OutOfRange),
            ("16384P", OutOfRange),
            ("99999999999999999999999P", OutOfRange),
        ] {
            let error = text.parse::<Size>().expect_err(text);
            assert_eq!(error.kind(), kind, "{text:?}: {error}");
        }
    }

    #[test]
    fn it_is_shown_in_the_unit_with_the_smallest_number() {
        for (bytes, text) in [
            (0, "0B"),
            (1, "1B"),
            (32 << 30, "32GiB"),
            (20_000_000_000, "20GB"),
            (1024, "1KiB"),
            (1_024_000, "1000KiB"),
            (1 << 40, "1TiB"),
            (1_234_567, "1234567B"),
            (u64::MAX, "18446744073709551615B"),
        ] {
            assert_eq!(Size::from_bytes(bytes).to_string(), text);
        }
        assert_eq!(Size::from_gib(u32::MAX).bytes(), u64::from(u32::MAX) << 30);
    }

    #[test]
    fn people_are_shown_a_decimal_at_most() {
        for (bytes, down, up) in [
            (0, "0 B", "0 B"),
            (1023, "1023 B", "1023 B"),
            (1024, "1 KiB", "1 KiB"),
            (1025, "1 KiB", "1.1 KiB"),
            (3 << 29, "1.5 GiB", "1.5 GiB"),
            (20_000_000_000, "18.6 GiB", "18.7 GiB"),
            ((1 << 40) - 1, "1023.9 GiB", "1 TiB"),
            (105_226_696_360 << 10, "97.9 TiB", "98 TiB"),
            (u64::MAX, "15.9 EiB", "16 EiB"),
        ] {
            let size = Size::from_bytes(bytes);
            assert_eq!(
                (size.rounded_down().as_str(), size.rounded_up().as_str()),
                (down, up)
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(bytes in 1_u64..) {
            let size = Size::from_bytes(bytes);
            prop_assert_eq!(size.to_string().parse::<Size>().unwrap(), size);
        }

        #[test]
        fn whole_units_are_exact(number in 1_u64..=16_383, exponent in 0_u32..=5) {
            let unit = ["", "K", "MiB", "g", "TIB", "p"][exponent as usize];
            let size: Size = format!("{number}{unit}").parse().unwrap();
            prop_assert_eq!(u128::from(size.bytes()), u128::from(number) << (10 * exponent));
        }

        #[test]
        fn fractions_are_exact_or_refused(whole in any::<u16>(), thousandths in 0_u32..1000) {
            let text = format!("{whole}.{thousandths:03}M");
            let scaled = (u128::from(whole) * 1000 + u128::from(thousandths)) << 20;
            match text.parse::<Size>() {
                Ok(size) => prop_assert_eq!(u128::from(size.bytes()) * 1000, scaled),
                Err(_) => prop_assert!(scaled == 0 || scaled % 1000 != 0, "{}", text),
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _size = text.parse::<Size>();
        }

        #[test]
        fn nothing_saturates(
            whole in "[0-9]{1,30}",
            fraction in "(\\.[0-9]{1,30})?",
            unit in 0_usize..6,
        ) {
            let text = format!("{whole}{fraction}{}", ["", "k", "MB", "GiB", "t", "PB"][unit]);
            let factor = [1.0, 1024.0, 1e6, 1_073_741_824.0, 1_099_511_627_776.0, 1e15][unit];
            let wanted: f64 = format!("{whole}{fraction}").parse::<f64>().unwrap() * factor;
            match text.parse::<Size>() {
                // Both ways through u64 and f64 are exact to 53 bits.
                Ok(size) => {
                    let bytes: f64 = size.bytes().to_string().parse().unwrap();
                    prop_assert!((bytes - wanted).abs() <= wanted * 1e-12, "{} {}", text, size);
                }
                Err(error) if wanted > 1.9e19 => {
                    let too_large = error.kind() == ErrorKind::OutOfRange;
                    prop_assert!(too_large || !fraction.is_empty(), "{}", error);
                }
                Err(_) => prop_assert!(!(1.0..=1.8e19).contains(&wanted) || !fraction.is_empty()),
            }
        }
    }
}
