//! Characters, as Java counts and classes them.

/// The part of `text` from character `start` on, `count` characters long or less.
pub(super) fn part(text: &str, start: usize, count: usize) -> &str {
    if text.is_ascii() {
        let start = start.min(text.len());
        let end = start.saturating_add(count).min(text.len());
        return text.get(start..end).unwrap_or_default();
    }
    let rest = text.get(offset(text, start)..).unwrap_or_default();
    rest.get(..offset(rest, count)).unwrap_or_default()
}

/// Where character `index` of `text` starts, in bytes; its end when there are not so many.
pub(super) fn offset(text: &str, index: usize) -> usize {
    text.char_indices().nth(index).map_or(text.len(), |(offset, _)| offset)
}

/// How many characters `text` has.
pub(super) fn count(text: &str) -> usize {
    text.chars().count()
}

/// Whether Java has two `char`s for one of the characters.
pub(super) fn has_pairs(text: &str) -> bool {
    // Only four bytes of UTF-8 reach beyond the first 65536 characters.
    text.bytes().any(|byte| byte >= 0xF0)
}

/// How many `char`s Java has for `text`.
pub(crate) fn utf16_length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(char::len_utf16).sum() }
}

/// Appends Java's `char`s to `out`; half a character becomes `?`.
pub(crate) fn push_utf16(out: &mut String, units: impl IntoIterator<Item = u16>) {
    out.extend(char::decode_utf16(units).map(|unit| unit.unwrap_or('?')));
}

/// Java's `Character.isWhitespace`.
pub(crate) fn is_java_whitespace(c: char) -> bool {
    match c {
        '\t'..='\r' | '\x1c'..='\x1f' => true,
        // White space for Unicode, but not a place to break at.
        '\u{a0}' | '\u{2007}' | '\u{202f}' | '\u{85}' => false,
        _ => c.is_whitespace(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_characters() {
        assert_eq!(part("hello", 1, 3), "ell");
        assert_eq!(part("hello", 4, usize::MAX), "o");
        assert_eq!(part("hello", 9, 3), "");
        assert_eq!(part("h日本lo", 1, 3), "日本l");
        assert_eq!(part("日本", 2, 1), "");
    }

    #[test]
    fn javas_chars() {
        assert_eq!(utf16_length("a😀"), 3);
        assert!(has_pairs("a😀") && !has_pairs("é日"));
        let mut out = String::new();
        push_utf16(&mut out, "a😀".encode_utf16().take(2));
        assert_eq!(out, "a?");
        assert!(is_java_whitespace(' ') && is_java_whitespace('\u{3000}') && !is_java_whitespace('\u{a0}'));
    }
}
