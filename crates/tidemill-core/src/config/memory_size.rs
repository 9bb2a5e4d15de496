//! Sizes as Flink writes them: `64 mb`, `1g`, `32kb`; without a unit, bytes.

use std::borrow::Cow;
use std::fmt;

use super::duration::split_number;
use super::{BadValue, OptionType};

/// A number of bytes, at most 2^63 - 1.
///
/// ```
/// use tidemill_core::config::{MemorySize, OptionType};
///
/// let size = MemorySize::parse("64 mb")?;
/// assert_eq!(size, MemorySize::from_mebibytes(64));
/// assert_eq!((size.bytes(), size.to_string().as_str()), (67_108_864, "64 mb"));
/// # Ok::<(), tidemill_core::config::BadValue>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemorySize(u64);

/// Bytes of each unit, largest first, and its labels; the first label is the one used for writing.
const UNITS: [(u64, [&str; 3], &str); 4] = [
    (1 << 40, ["tb", "t", "tebibytes"], "TiB"),
    (1 << 30, ["gb", "g", "gibibytes"], "GiB"),
    (1 << 20, ["mb", "m", "mebibytes"], "MiB"),
    (1 << 10, ["kb", "k", "kibibytes"], "KiB"),
];

impl MemorySize {
    /// The largest size: 2^63 - 1 bytes, which stands for "no limit".
    ///
    /// ```
    /// use tidemill_core::config::MemorySize;
    ///
    /// assert_eq!(MemorySize::MAX.bytes(), (1 << 63) - 1);
    /// ```
    pub const MAX: Self = Self(i64::MAX as u64);

    /// This many bytes, or [`MAX`](Self::MAX) if there are more.
    ///
    /// ```
    /// use tidemill_core::config::MemorySize;
    ///
    /// assert_eq!(MemorySize::from_bytes(1024).to_string(), "1 kb");
    /// assert_eq!(MemorySize::from_bytes(u64::MAX), MemorySize::MAX);
    /// ```
    pub const fn from_bytes(bytes: u64) -> Self {
        if bytes > Self::MAX.0 { Self::MAX } else { Self(bytes) }
    }

    /// This many MiB, or [`MAX`](Self::MAX) if that is more.
    ///
    /// ```
    /// use tidemill_core::config::MemorySize;
    ///
    /// assert_eq!(MemorySize::from_mebibytes(2).bytes(), 2 * 1024 * 1024);
    /// ```
    pub const fn from_mebibytes(mebibytes: u64) -> Self {
        Self::from_bytes(mebibytes.saturating_mul(1 << 20))
    }

    /// The number of bytes.
    ///
    /// ```
    /// use tidemill_core::config::MemorySize;
    ///
    /// assert_eq!(MemorySize::from_mebibytes(1).bytes(), 1_048_576);
    /// ```
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Rounded, for people: `14.4 GiB`, `512 MiB`, `100 B`.
    ///
    /// ```
    /// use tidemill_core::config::MemorySize;
    ///
    /// assert_eq!(MemorySize::from_mebibytes(1536).human(), "1.5 GiB");
    /// ```
    pub fn human(self) -> String {
        for (unit, _, name) in UNITS {
            if self.0 >= unit {
                let text = format!("{:.1}", self.0 as f64 / unit as f64);
                return format!("{} {name}", text.strip_suffix(".0").unwrap_or(&text));
            }
        }
        format!("{} B", self.0)
    }

    /// As Flink's messages show sizes: `128.000mb (134217728 bytes)`, or bytes alone up to 1024. The unit is the largest
    /// that is strictly smaller than the size.
    ///
    /// ```
    /// use tidemill_core::config::MemorySize;
    ///
    /// assert_eq!(MemorySize::from_mebibytes(128).detailed(), "128.000mb (134217728 bytes)");
    /// ```
    pub fn detailed(self) -> String {
        for (unit, labels, _) in UNITS {
            if self.0 > unit {
                let label = labels.first().copied().unwrap_or("bytes");
                return format!("{:.3}{label} ({} bytes)", self.0 as f64 / unit as f64, self.0);
            }
        }
        format!("{} bytes", self.0)
    }
}

/// The exact size with the largest unit that divides it: `64 mb`, `100 bytes`, `0 bytes`.
impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, labels, _) in UNITS {
            if self.0 > 0 && self.0.is_multiple_of(unit) {
                return write!(f, "{} {}", self.0 / unit, labels.first().copied().unwrap_or("bytes"));
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

impl OptionType for MemorySize {
    fn type_name() -> Cow<'static, str> {
        "MemorySize".into()
    }

    fn parse(text: &str) -> Result<Self, BadValue> {
        let text = text.trim();
        if text.is_empty() {
            return Err(BadValue::new("the text is empty or only blanks"));
        }
        let (number, unit) = split_number(text);
        if number.is_empty() {
            return Err(BadValue::new("text does not start with a number"));
        }
        let label = unit.trim().to_lowercase();
        let factor = match label.as_str() {
            "" | "b" | "bytes" => 1,
            label => {
                let unit = UNITS.iter().find(|(_, labels, _)| labels.contains(&label));
                unit.map(|(bytes, ..)| *bytes).ok_or_else(|| {
                    BadValue::new(format!(
                        "memory size unit '{label}' does not match any of the recognized units: (b | bytes) / \
                         (k | kb | kibibytes) / (m | mb | mebibytes) / (g | gb | gibibytes) / (t | tb | tebibytes)"
                    ))
                })?
            }
        };
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        match bytes {
            Some(bytes) if bytes <= Self::MAX.0 => Ok(Self(bytes)),
            _ => Err(BadValue::new("it cannot be represented as 64bit number of bytes (numeric overflow)")),
        }
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn flinks_spellings() {
        for (text, bytes) in [
            ("2147483648", 2_147_483_648),
            ("2048 MB", 2_147_483_648),
            ("2 gibibytes", 2_147_483_648),
            ("2G", 2_147_483_648),
            (" 32kb ", 32_768),
            ("256 bytes", 256),
            ("1 t", 1 << 40),
            ("0", 0),
            ("9223372036854775807", i64::MAX as u64),
        ] {
            assert_eq!(MemorySize::parse(text), Ok(MemorySize(bytes)), "{text}");
        }
    }

    #[test]
    fn not_sizes() {
        for (text, reason) in [
            ("", "empty"),
            ("abc", "start with a number"),
            ("-1g", "start with a number"),
            ("4x", "unit 'x'"),
            ("1.5g", "unit '.5g'"),
            ("99999999999g", "overflow"),
            ("9223372036854775808", "overflow"),
            ("99999999999999999999999", "overflow"),
        ] {
            let error = MemorySize::parse(text).unwrap_err();
            assert!(error.0.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn shown_exactly_roundly_and_as_flink_does() {
        let size = MemorySize::from_bytes(134_217_730);
        assert_eq!(size.to_string(), "134217730 bytes");
        assert_eq!(size.human(), "128 MiB");
        assert_eq!(size.detailed(), "128.000mb (134217730 bytes)");
        assert_eq!(MemorySize::from_bytes(1 << 30).detailed(), "1024.000mb (1073741824 bytes)");
        assert_eq!(MemorySize::from_bytes(1024).detailed(), "1024 bytes");
        assert_eq!(MemorySize::MAX.detailed(), "8388608.000tb (9223372036854775807 bytes)");
        assert_eq!(MemorySize::from_mebibytes(64).to_string(), "64 mb");
        assert_eq!(MemorySize::default().to_string(), "0 bytes");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(bytes in 0..=i64::MAX as u64, shift in 0u32..50) {
            let size = MemorySize::from_bytes(bytes >> shift << shift);
            prop_assert_eq!(MemorySize::parse(&size.to_string()), Ok(size));
        }

        #[test]
        fn any_text_gives_an_answer(text in any::<String>(), digits in "[0-9]{0,30} ?[a-zA-Z]{0,4}") {
            for text in [text, digits] {
                if let Ok(size) = MemorySize::parse(&text) {
                    prop_assert_eq!(MemorySize::parse(&size.to_string()), Ok(size));
                }
            }
        }
    }
}
