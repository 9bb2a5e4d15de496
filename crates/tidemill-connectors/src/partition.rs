//! Folders called `key=value`, as Flink and Hive name the partitions of a table.

use std::fmt::Write as _;

/// What the folder of a partition is called where the value is NULL or empty (`partition.default-name`).
///
/// ```
/// assert_eq!(tidemill_connectors::DEFAULT_PARTITION_NAME, "__DEFAULT_PARTITION__");
/// ```
pub const DEFAULT_PARTITION_NAME: &str = "__DEFAULT_PARTITION__";

/// The columns that a table is partitioned by: the outermost folder first.
///
/// ```
/// use tidemill_connectors::Partitions;
///
/// let days = Partitions::by(["dt", "hm"]).default_name("none");
/// assert_eq!(days.keys(), ["dt", "hm"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partitions {
    keys: Vec<String>,
    default_name: String,
}

impl Partitions {
    /// Partitions by the columns of these names.
    pub fn by<S: Into<String>>(keys: impl IntoIterator<Item = S>) -> Self {
        let keys = keys.into_iter().map(Into::into).collect();
        Self { keys, default_name: DEFAULT_PARTITION_NAME.to_owned() }
    }

    /// What stands for NULL and for empty text ([`DEFAULT_PARTITION_NAME`] unless set).
    pub fn default_name(mut self, name: impl Into<String>) -> Self {
        self.default_name = name.into();
        self
    }

    /// The names of the columns.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// What stands for NULL.
    pub(crate) fn null_name(&self) -> &str {
        &self.default_name
    }

    /// What the folders of each column begin with: `dt=`.
    pub(crate) fn prefixes(&self) -> Vec<String> {
        let prefix = |key: &String| {
            let mut text = String::new();
            escape(key, &mut text);
            text.push('=');
            text
        };
        self.keys.iter().map(prefix).collect()
    }

    /// The value of each column in a path below that of the table; `None` for NULL, and for a column whose folder is missing
    /// in the path the name of it.
    pub(crate) fn values_of(&self, relative: &str) -> Result<Vec<Option<String>>, String> {
        let pairs: Vec<(String, String)> = relative
            .split('/')
            .filter_map(|part| part.split_once('='))
            .map(|(key, value)| (unescape(key), unescape(value)))
            .collect();
        let value = |key: &String| match pairs.iter().find(|(name, _)| name == key) {
            Some((_, value)) => Ok(Some(value.clone()).filter(|value| *value != self.default_name)),
            None => Err(key.clone()),
        };
        self.keys.iter().map(value).collect()
    }
}

/// Whether a character stands in names of folders as `%` and two digits, as in Hive.
fn is_escaped(c: char) -> bool {
    c.is_ascii_control()
        || matches!(
            c,
            '"' | '#' | '%' | '\'' | '*' | '/' | ':' | '=' | '?' | '\\' | '{' | '}' | '[' | ']' | '^'
        )
}

/// Appends a key or a value as it stands in the name of a folder.
pub(crate) fn escape(text: &str, out: &mut String) {
    if !text.contains(is_escaped) {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        if is_escaped(c) {
            let _ = write!(out, "%{:02X}", u32::from(c));
        } else {
            out.push(c);
        }
    }
}

/// The key or value that stands in the name of a folder.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = match (first, after) {
            (b'%', [high @ b'0'..=b'9' | high @ b'A'..=b'F' | high @ b'a'..=b'f', low, ..]) => {
                let digit =
                    |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(high).zip(digit(low)).map(|(high, low)| high << 4 | low)
            }
            _ => None,
        };
        out.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        escape(text, &mut out);
        out
    }

    #[test]
    fn names_are_those_of_flink() {
        // As `PartitionPathUtils.escapePathName` of Flink 2.3.0 has them.
        assert_eq!(escaped("12:30"), "12%3A30");
        assert_eq!(escaped("a/b=c"), "a%2Fb%3Dc");
        assert_eq!(escaped("100%"), "100%25");
        assert_eq!(escaped("tab\t"), "tab%09");
        assert_eq!(escaped("zürich ~!@$&()+,-;<>|`"), "zürich ~!@$&()+,-;<>|`");
        assert_eq!(escaped("d'\"{}[]^\\?#*"), "d%27%22%7B%7D%5B%5D%5E%5C%3F%23%2A");
        assert_eq!(unescape("12%3A30%"), "12:30%");
        assert_eq!(unescape("%zz"), "%zz");
        assert_eq!(unescape("%4"), "%4");
    }

    #[test]
    fn values_are_found_in_paths() {
        let partitions = Partitions::by(["dt", "hm"]).default_name("none");
        let found = partitions.values_of("dt=2020-01-01/hm=12%3A30/part-0-0.csv").unwrap();
        assert_eq!(found, [Some("2020-01-01".to_owned()), Some("12:30".to_owned())]);
        let found = partitions.values_of("dt=none/hm=/part-0-0.csv").unwrap();
        assert_eq!(found, [None, Some(String::new())]);
        assert_eq!(partitions.values_of("dt=1/part-0-0.csv"), Err("hm".to_owned()));
        assert_eq!(Partitions::by(["a=b"]).prefixes(), ["a%3Db="]);
    }

    proptest! {
        #[test]
        fn what_was_escaped_comes_back(text: String) {
            let name = escaped(&text);
            prop_assert_eq!(unescape(&name), text);
            prop_assert!(!name.contains('/') && !name.contains('='));
        }
    }
}
