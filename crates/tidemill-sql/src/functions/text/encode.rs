//! Strings as bytes, and numbers of characters.

use std::sync::Arc;

use arrow_array::BinaryArray;
use arrow_array::builder::BinaryBuilder;
use arrow_array::types::{Int32Type, Int64Type};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::chars::push_utf16;
use crate::functions::kernel::{Argument, FunctionContext, Input, KernelError, Mismatch, Resolved, Values};
use crate::functions::support::{Want, null_like, primitives, string_like, strings, targets};
use crate::types::{LogicalType, TypeFamily, TypeRoot};

type Arguments<'a> = &'a [Argument<'a>];

/// Base64 as Java decodes it: with or without the padding, whatever the last bits are.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The bytes of strings or byte strings.
pub(crate) enum Bytes<'a> {
    Text(Values<'a, arrow_array::StringArray>),
    Binary(Values<'a, BinaryArray>),
}

impl<'a> Bytes<'a> {
    /// The bytes of a column of `logical`.
    pub(crate) fn of(input: &'a Input, logical: &LogicalType) -> Result<Self, KernelError> {
        match logical.root.family() {
            TypeFamily::Binary => input.binary().map(Bytes::Binary),
            _ => input.text().map(Bytes::Text),
        }
    }

    /// The bytes of `row`; `None` when they are NULL.
    pub(crate) fn get(&self, row: usize) -> Option<&'a [u8]> {
        match self {
            Bytes::Text(texts) => texts.get(row).map(str::as_bytes),
            Bytes::Binary(bytes) => bytes.get(row),
        }
    }
}

/// A string of bytes, of which some may be no UTF-8.
fn push_lossy(out: &mut String, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => out.push_str(text),
        Err(_) => out.push_str(&String::from_utf8_lossy(bytes)),
    }
}

pub(super) fn from_base64(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::TextOrBytes], &[], "(STRING)")?;
    let logical = types.first().cloned().unwrap_or_else(|| TypeRoot::STRING.nullable());
    Ok(Resolved::new(types, string_like(arguments), move |inputs| {
        let encoded = Bytes::of(inputs.get(0)?, &logical)?;
        let mut decoded = Vec::new();
        strings(inputs, |row, out| {
            let Some(encoded) = encoded.get(row) else { return Ok(false) };
            decoded.clear();
            BASE64.decode_vec(encoded, &mut decoded).map_err(|error| {
                KernelError(format!("FROM_BASE64 got a string that is no base64: {error}"))
            })?;
            push_lossy(out, &decoded);
            Ok(true)
        })
    }))
}

pub(super) fn to_base64(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::TextOrBytes], &[], "(STRING)")?;
    let logical = types.first().cloned().unwrap_or_else(|| TypeRoot::STRING.nullable());
    Ok(Resolved::new(types, string_like(arguments), move |inputs| {
        let bytes = Bytes::of(inputs.get(0)?, &logical)?;
        strings(inputs, |row, out| {
            let Some(bytes) = bytes.get(row) else { return Ok(false) };
            BASE64.encode_string(bytes, out);
            Ok(true)
        })
    }))
}

/// `bytes` in base64, behind `out`.
pub(crate) fn push_base64(out: &mut String, bytes: &[u8]) {
    BASE64.encode_string(bytes, out);
}

pub(super) fn ascii(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text], &[], "(STRING)")?;
    Ok(Resolved::new(types, null_like(TypeRoot::Int, arguments), |inputs| {
        let text = inputs.get(0)?.text()?;
        let numbers = primitives::<Int32Type>(inputs, |row| {
            // Java's bytes are signed, and Flink lets that be seen.
            Ok(text.get(row).map(|text| text.bytes().next().map_or(0, |byte| i32::from(byte.cast_signed()))))
        })?;
        Ok(Arc::new(numbers))
    }))
}

pub(super) fn chr(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Integer], &[], "(INT)")?;
    Ok(Resolved::new(types, TypeRoot::STRING.nullable(), |inputs| {
        let numbers = inputs.get(0)?.primitive::<Int64Type>()?;
        strings(inputs, |row, out| {
            let Some(number) = numbers.get(row) else { return Ok(false) };
            if number >= 0 {
                out.push(char::from(u8::try_from(number & 0xFF).unwrap_or(0)));
            }
            Ok(true)
        })
    }))
}

/// A way to write characters as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charset {
    Ascii,
    Latin1,
    Utf8,
    /// With a mark of the order of bytes in front: big end first, unless the mark says otherwise.
    Utf16,
    Utf16Be,
    Utf16Le,
}

impl Charset {
    fn named(name: &str) -> Option<Charset> {
        const NAMES: [(Charset, &[&str]); 6] = [
            (Charset::Ascii, &["US-ASCII", "ASCII", "ISO646-US", "ANSI_X3.4-1968", "CP367"]),
            (Charset::Latin1, &["ISO-8859-1", "ISO8859_1", "ISO8859-1", "LATIN1", "L1", "CP819"]),
            (Charset::Utf8, &["UTF-8", "UTF8"]),
            (Charset::Utf16, &["UTF-16", "UTF16", "UTF_16", "UNICODE"]),
            (Charset::Utf16Be, &["UTF-16BE", "UTF_16BE"]),
            (Charset::Utf16Le, &["UTF-16LE", "UTF_16LE"]),
        ];
        let is = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        NAMES.iter().find(|(_, names)| is(names)).map(|(charset, _)| *charset)
    }

    fn encode(self, text: &str, out: &mut Vec<u8>) {
        match self {
            Charset::Ascii => out.extend(text.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' })),
            Charset::Latin1 => out.extend(text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))),
            Charset::Utf8 => out.extend_from_slice(text.as_bytes()),
            Charset::Utf16 => {
                // Java marks what it writes, but nothing when there is nothing to write.
                if !text.is_empty() {
                    out.extend_from_slice(&[0xFE, 0xFF]);
                }
                out.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
            }
            Charset::Utf16Be => out.extend(text.encode_utf16().flat_map(u16::to_be_bytes)),
            Charset::Utf16Le => out.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
        }
    }

    fn decode(self, bytes: &[u8], out: &mut String) {
        match self {
            Charset::Ascii => {
                out.extend(
                    bytes.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '\u{FFFD}' }),
                );
            }
            Charset::Latin1 => out.extend(bytes.iter().map(|byte| char::from(*byte))),
            Charset::Utf8 => push_lossy(out, bytes),
            Charset::Utf16 => match bytes {
                [0xFF, 0xFE, rest @ ..] => decode_units(rest, u16::from_le_bytes, out),
                [0xFE, 0xFF, rest @ ..] => decode_units(rest, u16::from_be_bytes, out),
                _ => decode_units(bytes, u16::from_be_bytes, out),
            },
            Charset::Utf16Be => decode_units(bytes, u16::from_be_bytes, out),
            Charset::Utf16Le => decode_units(bytes, u16::from_le_bytes, out),
        }
    }
}

fn decode_units(bytes: &[u8], unit: impl Fn([u8; 2]) -> u16, out: &mut String) {
    let (pairs, rest) = bytes.as_chunks::<2>();
    out.extend(char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).map(|c| c.unwrap_or('\u{FFFD}')));
    if !rest.is_empty() {
        out.push('\u{FFFD}');
    }
}

fn charset_of(name: &str) -> Result<Charset, String> {
    Charset::named(name).ok_or_else(|| {
        format!(
            "there is no charset '{name}': US-ASCII, ISO-8859-1, UTF-8, UTF-16, UTF-16BE and UTF-16LE are"
        )
    })
}

/// The charset that a literal argument names.
fn literal_charset(arguments: Arguments<'_>) -> Result<Option<Charset>, Mismatch> {
    arguments.get(1).and_then(Argument::text).map(|name| charset_of(name).map_err(Mismatch)).transpose()
}

pub(super) fn encode(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text, Want::Text], &[], "(STRING, STRING)")?;
    let known = literal_charset(arguments)?;
    Ok(Resolved::new(types, null_like(TypeRoot::BYTES, arguments), move |inputs| {
        let (text, charset) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?);
        let mut column = BinaryBuilder::with_capacity(inputs.rows(), 0);
        let mut encoded = Vec::new();
        for row in 0..inputs.rows() {
            let (Some(text), Some(name)) = (text.get(row), charset.get(row)) else {
                column.append_null();
                continue;
            };
            let charset = known.map_or_else(|| charset_of(name).map_err(KernelError), Ok)?;
            encoded.clear();
            charset.encode(text, &mut encoded);
            if column.values_slice().len() + encoded.len() > i32::MAX as usize {
                return Err(KernelError(
                    "the byte strings of one batch are longer than 2 GiB together".to_owned(),
                ));
            }
            column.append_value(&encoded);
        }
        Ok(Arc::new(column.finish()))
    }))
}

pub(super) fn decode(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Bytes, Want::Text], &[], "(BYTES, STRING)")?;
    let known = literal_charset(arguments)?;
    Ok(Resolved::new(types, string_like(arguments), move |inputs| {
        let (bytes, charset) = (inputs.get(0)?.binary()?, inputs.get(1)?.text()?);
        strings(inputs, |row, out| {
            let (Some(bytes), Some(name)) = (bytes.get(row), charset.get(row)) else { return Ok(false) };
            known.map_or_else(|| charset_of(name).map_err(KernelError), Ok)?.decode(bytes, out);
            Ok(true)
        })
    }))
}

/// The characters of Java's `char`s of `text` one by one, behind `out`; half a character is `?`.
pub(super) fn push_unit(out: &mut String, unit: u16) {
    push_utf16(out, [unit]);
}

#[cfg(test)]
mod tests {
    use super::super::FUNCTIONS;
    use super::Charset;
    use crate::functions::support::testing::{Given, call, number, text};
    use datafusion_common::ScalarValue;

    fn encoded(string: &str, charset: &str) -> Vec<u8> {
        match call(FUNCTIONS, "ENCODE", &[string.into(), charset.into()]).unwrap() {
            ScalarValue::Binary(Some(bytes)) => bytes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn base64() {
        assert_eq!(text(FUNCTIONS, "FROM_BASE64", &["aGVsbG8=".into()]).as_deref(), Some("hello"));
        assert_eq!(text(FUNCTIONS, "FROM_BASE64", &["aGVsbG8".into()]).as_deref(), Some("hello"));
        assert_eq!(text(FUNCTIONS, "TO_BASE64", &["hello".into()]).as_deref(), Some("aGVsbG8="));
        assert_eq!(text(FUNCTIONS, "TO_BASE64", &[(&b"abc"[..]).into()]).as_deref(), Some("YWJj"));
        assert_eq!(text(FUNCTIONS, "FROM_BASE64", &[(&b"YQ=="[..]).into()]).as_deref(), Some("a"));
        assert_eq!(text(FUNCTIONS, "FROM_BASE64", &[Given::from(None::<&str>)]), None);
        assert!(call(FUNCTIONS, "FROM_BASE64", &["!!".into()]).unwrap_err().contains("no base64"));
    }

    #[test]
    fn numbers_of_characters() {
        assert_eq!(number(FUNCTIONS, "ASCII", &["abc".into()]), Some(97));
        assert_eq!(number(FUNCTIONS, "ASCII", &["é".into()]), Some(-61));
        assert_eq!(number(FUNCTIONS, "ASCII", &["".into()]), Some(0));
        let chr = |number: i32| text(FUNCTIONS, "CHR", &[number.into()]);
        assert_eq!(chr(97).as_deref(), Some("a"));
        assert_eq!(chr(353).as_deref(), Some("a"));
        assert_eq!(chr(0).as_deref(), Some("\0"));
        assert_eq!(chr(-1).as_deref(), Some(""));
        assert_eq!(chr(233).as_deref(), Some("é"));
    }

    #[test]
    fn charsets() {
        assert_eq!(encoded("hé", "UTF-16"), [0xfe, 0xff, 0, 0x68, 0, 0xe9]);
        assert_eq!(encoded("hé€", "ISO-8859-1"), [0x68, 0xe9, b'?']);
        assert_eq!(encoded("hé", "us-ascii"), [0x68, b'?']);
        assert_eq!(encoded("hé", "utf8"), "hé".as_bytes());
        let decoded =
            |bytes: &[u8], charset: &str| text(FUNCTIONS, "DECODE", &[bytes.into(), charset.into()]);
        assert_eq!(decoded(&encoded("hé😀", "UTF-16LE"), "UTF-16LE").as_deref(), Some("hé😀"));
        assert_eq!(decoded(&[0xff, 0x41], "UTF-8").as_deref(), Some("\u{FFFD}A"));
        assert_eq!(decoded(&[0xe9, 0x41], "US-ASCII").as_deref(), Some("\u{FFFD}A"));
        assert_eq!(decoded(&[0xff, 0xfe, 0x41, 0], "UTF-16").as_deref(), Some("A"));
        assert_eq!(decoded(&[0, 0x41, 0], "UTF-16").as_deref(), Some("A\u{FFFD}"));
        assert!(call(FUNCTIONS, "ENCODE", &["a".into(), "NOPE".into()]).unwrap_err().contains("no charset"));
        let column = Given::from("NOPE").into_column();
        assert!(call(FUNCTIONS, "ENCODE", &["a".into(), column]).unwrap_err().contains("no charset"));
        assert_eq!(Charset::named("latin1"), Some(Charset::Latin1));
    }
}
