//! Lists and maps within one text: `a;b` and `k:v,k2:v2` with quotes as Flink has them, or `[a, b]` and `{k: v}` as
//! YAML has them.

use super::BadValue;

/// The items of `a;b` or `[a, b]`.
///
/// # Errors
/// If a quote or bracket is not closed.
pub(super) fn split_list(text: &str) -> Result<Vec<String>, BadValue> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('[') {
        let inner = rest.strip_suffix(']').ok_or_else(|| BadValue::new("a list in [ ] must end with ]"))?;
        return split(inner, ',');
    }
    split(text, ';')
}

/// The entries of `k:v,k2:v2` or `{k: v, k2: v2}`.
///
/// # Errors
/// If a quote or brace is not closed, or an entry has no colon.
pub(super) fn split_map(text: &str) -> Result<Vec<(String, String)>, BadValue> {
    let text = text.trim();
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or_else(|| BadValue::new("a map in { } must end with }"))?,
        None => text,
    };
    let mut entries = Vec::new();
    for part in split_raw(inner, ',')? {
        let (key, value) = split_entry(part)?
            .ok_or_else(|| BadValue::new(format!("'{}' is not of the form key:value", part.trim())))?;
        entries.push((unquote(key)?, unquote(value)?));
    }
    Ok(entries)
}

/// Writes a list as one text, `a;b`, quoting what must be quoted.
///
/// ```
/// use tidemill_core::config::join_list;
///
/// assert_eq!(join_list(["a", "b"]), "a;b");
/// ```
pub fn join_list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    items.into_iter().map(|item| quote(item, ';')).collect::<Vec<_>>().join(";")
}

/// Writes a map as one text, `k:v,k2:v2`, quoting what must be quoted.
///
/// ```
/// use tidemill_core::config::join_map;
///
/// assert_eq!(join_map([("map", "4"), ("sink", "1")]), "map:4,sink:1");
/// ```
pub fn join_map<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let entries = entries.into_iter();
    entries
        .map(|(key, value)| format!("{}:{}", quote(key, ','), quote(value, ',')))
        .collect::<Vec<_>>()
        .join(",")
}

fn split(text: &str, delimiter: char) -> Result<Vec<String>, BadValue> {
    split_raw(text, delimiter)?.into_iter().map(unquote).collect()
}

/// Parts between delimiters that stand outside of quotes; blank parts are left out.
fn split_raw(text: &str, delimiter: char) -> Result<Vec<&str>, BadValue> {
    let mut parts = Vec::new();
    let mut start = 0;
    for position in outside_quotes(text)? {
        if text[position..].starts_with(delimiter) {
            parts.push(&text[start..position]);
            start = position + delimiter.len_utf8();
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.trim().is_empty());
    Ok(parts)
}

fn split_entry(part: &str) -> Result<Option<(&str, &str)>, BadValue> {
    let colon = outside_quotes(part)?.into_iter().find(|position| part[*position..].starts_with(':'));
    Ok(colon.map(|colon| (&part[..colon], &part[colon + 1..])))
}

/// Byte positions of the characters that stand outside of quotes. A quote opens only at the beginning of a token, so that
/// an apostrophe within a word is just that.
fn outside_quotes(text: &str) -> Result<Vec<usize>, BadValue> {
    let mut positions = Vec::new();
    let mut quote: Option<char> = None;
    let mut at_start = true;
    let mut chars = text.char_indices().peekable();
    while let Some((position, c)) = chars.next() {
        match quote {
            Some(open) if c == open => {
                // A doubled quote is one quote of the text.
                if chars.peek().is_some_and(|(_, next)| *next == open) {
                    chars.next();
                } else {
                    quote = None;
                }
            }
            Some(_) => {}
            None if at_start && (c == '"' || c == '\'') => quote = Some(c),
            None => {
                positions.push(position);
                if !c.is_whitespace() {
                    at_start = matches!(c, ',' | ';' | ':');
                }
            }
        }
    }
    match quote {
        Some(open) => Err(BadValue::new(format!("a quote {open} is not closed"))),
        None => Ok(positions),
    }
}

fn unquote(text: &str) -> Result<String, BadValue> {
    let text = text.trim();
    let Some(open) = text.chars().next().filter(|c| *c == '"' || *c == '\'') else {
        return Ok(text.to_owned());
    };
    let inner = text[1..]
        .strip_suffix(open)
        .ok_or_else(|| BadValue::new(format!("'{text}' goes on after its closing quote")))?;
    let doubled = format!("{open}{open}");
    if inner.replace(&doubled, "").contains(open) {
        return Err(BadValue::new(format!("'{text}' goes on after its closing quote")));
    }
    Ok(inner.replace(&doubled, &open.to_string()))
}

fn quote(text: &str, delimiter: char) -> String {
    let special = |c: char| c == delimiter || c == ':' || matches!(c, '"' | '\'' | '[' | ']' | '{' | '}');
    if text.is_empty() || text.trim() != text || text.contains(special) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists() {
        let list = |text| split_list(text).unwrap();
        assert_eq!(list("a;b; c"), ["a", "b", "c"]);
        assert_eq!(list("[a, 'b, c', \"d\"]"), ["a", "b, c", "d"]);
        assert_eq!(list("'a;b';it's"), ["a;b", "it's"]);
        assert_eq!(list("'it''s'"), ["it's"]);
        assert_eq!(list(""), [""; 0]);
        assert_eq!(list("[]"), [""; 0]);
        assert!(split_list("'a").is_err());
        assert!(split_list("[a").is_err());
        assert!(split_list("'a'b").is_err());
    }

    #[test]
    fn maps() {
        let map = |text| split_map(text).unwrap();
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(map("k:v,k2: v2"), [pair("k", "v"), pair("k2", "v2")]);
        assert_eq!(map("{k: v, 'a:b': \"c,d\"}"), [pair("k", "v"), pair("a:b", "c,d")]);
        assert_eq!(map("u:http://x"), [pair("u", "http://x")]);
        assert_eq!(map(""), []);
        assert!(split_map("k").is_err());
        assert!(split_map("{k:v").is_err());
    }

    proptest! {
        #[test]
        fn what_is_joined_splits_back(items in proptest::collection::vec(".{0,8}", 0..5)) {
            let joined = join_list(items.iter().map(String::as_str));
            prop_assert_eq!(&split_list(&joined).unwrap(), &items);
            let entries: Vec<(String, String)> = items.iter().map(|i| (i.clone(), i.clone())).collect();
            let joined = join_map(entries.iter().map(|(k, v)| (k.as_str(), v.as_str())));
            prop_assert_eq!(split_map(&joined).unwrap(), entries);
        }

        #[test]
        fn any_text_gives_an_answer(text in any::<String>(), near in "[\\[\\]{}'\",;: ab]{0,12}") {
            for text in [text, near] {
                let _ = split_list(&text);
                let _ = split_map(&text);
            }
        }
    }
}
