//! String functions.
//!
//! Positions and lengths count characters. Where Flink works on Java's strings rather than its own (`LPAD`,
//! `RPAD`, `OVERLAY`), a character outside of the Basic Multilingual Plane counts as two, and half of one
//! becomes `?`; so it is here.
//!
//! The arguments of `TRIM` are the literal `'BOTH'`, `'LEADING'` or `'TRAILING'`, the characters to take off,
//! and the string.

mod alter;
mod chars;
mod encode;
mod place;
mod printf;
mod split;
mod url;

use super::kernel::{FunctionGroup, ScalarFunction};

pub(crate) use chars::{push_utf16, utf16_length};
pub(crate) use encode::{Bytes, push_base64};
pub(crate) use printf::plain_decimal;
pub(crate) use split::{java_hash, maps_of};

type Resolve = fn(
    &super::kernel::FunctionContext,
    &[super::kernel::Argument<'_>],
) -> Result<super::kernel::Resolved, super::kernel::Mismatch>;

const fn text(
    name: &'static str,
    usage: &'static str,
    description: &'static str,
    resolve: Resolve,
) -> ScalarFunction {
    let group = FunctionGroup::Text;
    ScalarFunction { name, aliases: &[], group, usage, description, deterministic: true, resolve }
}

/// The functions of this chapter.
pub(crate) const FUNCTIONS: &[ScalarFunction] = &[
    ScalarFunction {
        aliases: &["CHARACTER_LENGTH"],
        ..text("CHAR_LENGTH", "CHAR_LENGTH(string)", "The number of characters.", place::char_length)
    },
    text("UPPER", "UPPER(string)", "The string in capitals.", alter::upper),
    text("LOWER", "LOWER(string)", "The string in small letters.", alter::lower),
    text(
        "INITCAP",
        "INITCAP(string)",
        "Each word with a capital first letter and small ones behind it.",
        alter::initcap,
    ),
    text(
        "POSITION",
        "POSITION(string1 IN string2)",
        "Where string1 first occurs in string2, from 1; 0 when it does not.",
        place::position,
    ),
    text(
        "TRIM",
        "TRIM([BOTH | LEADING | TRAILING] [characters FROM] string)",
        "The string without the characters at its ends; without spaces when no characters are given.",
        alter::trim,
    ),
    text(
        "LTRIM",
        "LTRIM(string[, characters])",
        "The string without spaces, or the given characters, at its start.",
        alter::ltrim,
    ),
    text(
        "RTRIM",
        "RTRIM(string[, characters])",
        "The string without spaces, or the given characters, at its end.",
        alter::rtrim,
    ),
    text(
        "BTRIM",
        "BTRIM(string[, characters])",
        "The string without spaces, or the given characters, at both ends.",
        alter::btrim,
    ),
    text("REPEAT", "REPEAT(string, count)", "The string so many times.", alter::repeat),
    text(
        "OVERLAY",
        "OVERLAY(string1 PLACING string2 FROM start [FOR length])",
        "string1 with string2 instead of the length characters from start on.",
        alter::overlay,
    ),
    ScalarFunction {
        aliases: &["SUBSTR"],
        ..text(
            "SUBSTRING",
            "SUBSTRING(string FROM start [FOR length])",
            "The part from character start on, from 1, or from the end when start is negative.",
            place::substring,
        )
    },
    text(
        "REPLACE",
        "REPLACE(string1, string2, string3)",
        "string1 with string3 wherever string2 occurs in it.",
        alter::replace,
    ),
    text(
        "TRANSLATE",
        "TRANSLATE(string, from, to)",
        "The string with each character of from replaced by the one of to in the same place, or taken out.",
        alter::translate,
    ),
    text("CONCAT", "CONCAT(string1, string2, …)", "The strings joined; NULL when one is.", alter::concat),
    text(
        "CONCAT_WS",
        "CONCAT_WS(separator, string1, string2, …)",
        "The strings that are not NULL, joined with the separator between them.",
        alter::concat_ws,
    ),
    text(
        "LPAD",
        "LPAD(string, length, pad)",
        "The string cut, or filled with pad at its start, to the length.",
        alter::lpad,
    ),
    text(
        "RPAD",
        "RPAD(string, length, pad)",
        "The string cut, or filled with pad at its end, to the length.",
        alter::rpad,
    ),
    text("FROM_BASE64", "FROM_BASE64(string)", "What the base64 stands for.", encode::from_base64),
    text("TO_BASE64", "TO_BASE64(string)", "The string in base64.", encode::to_base64),
    text("ASCII", "ASCII(string)", "The number of the first byte; 0 of the empty string.", encode::ascii),
    text("CHR", "CHR(integer)", "The character with the number, modulo 256.", encode::chr),
    text(
        "DECODE",
        "DECODE(binary, charset)",
        "The string whose bytes these are: US-ASCII, ISO-8859-1, UTF-8, UTF-16, UTF-16BE or UTF-16LE.",
        encode::decode,
    ),
    text(
        "ENCODE",
        "ENCODE(string, charset)",
        "The bytes of the string: US-ASCII, ISO-8859-1, UTF-8, UTF-16, UTF-16BE or UTF-16LE.",
        encode::encode,
    ),
    text(
        "INSTR",
        "INSTR(string1, string2[, start[, occurrence]])",
        "Where string2 occurs in string1, from 1; 0 when it does not.",
        place::instr,
    ),
    text(
        "LOCATE",
        "LOCATE(string1, string2[, start])",
        "Where string1 occurs in string2 from start on; 0 when it does not.",
        place::locate,
    ),
    text("LEFT", "LEFT(string, length)", "The first characters.", place::left),
    text("RIGHT", "RIGHT(string, length)", "The last characters.", place::right),
    text("REVERSE", "REVERSE(string)", "The characters in reverse order.", alter::reverse),
    text(
        "SPLIT_INDEX",
        "SPLIT_INDEX(string, separator, index)",
        "The part with the index, from 0, between separators; NULL when there is none.",
        split::split_index,
    ),
    text("SPLIT", "SPLIT(string, separator)", "The array of the parts between separators.", split::split),
    text(
        "STR_TO_MAP",
        "STR_TO_MAP(string[, pair_separator, key_separator])",
        "The map that the string says, as in 'a=1,b=2'. The separators are regular expressions.",
        split::str_to_map,
    ),
    text(
        "PARSE_URL",
        "PARSE_URL(url, part[, key])",
        "HOST, PATH, QUERY, REF, PROTOCOL, AUTHORITY, FILE or USERINFO of a URL, or one key of its QUERY.",
        url::parse_url,
    ),
    text("URL_ENCODE", "URL_ENCODE(string)", "The string as a form in a URL has it.", url::url_encode),
    text(
        "URL_DECODE",
        "URL_DECODE(string)",
        "What the string of a form in a URL stands for; NULL when it is none.",
        url::url_decode,
    ),
    text(
        "INET_ATON",
        "INET_ATON(string)",
        "The number of an IPv4 address; NULL when it is none.",
        url::inet_aton,
    ),
    text(
        "INET_NTOA",
        "INET_NTOA(integer)",
        "The IPv4 address with the number; NULL when there is none.",
        url::inet_ntoa,
    ),
    text(
        "STARTSWITH",
        "STARTSWITH(string, start)",
        "Whether the string begins with start.",
        place::starts_with,
    ),
    text("ENDSWITH", "ENDSWITH(string, end)", "Whether the string ends with end.", place::ends_with),
    text(
        "ELT",
        "ELT(index, string1, …)",
        "The string with the index, from 1; NULL when there is none.",
        split::elt,
    ),
    text(
        "PRINTF",
        "PRINTF(format, value, …)",
        "The values in the format, which is of java.util.Formatter; NULL when they do not fit it.",
        printf::printf,
    ),
];
