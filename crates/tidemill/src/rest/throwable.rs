//! Failures in the form in which Flink's clients read them: beside what people read, an object in Java's serialized form, without
//! which these clients would show that they cannot read it instead of what has happened.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// More of a message than anybody reads, and less than a string of that form may have.
const MAX_UNITS: usize = 16_000;

/// What Flink's reference calls `failure-cause`.
pub(super) fn json(code: &str, message: &str) -> Value {
    let told = format!("{message} ({code})");
    json!({
        "class": code,
        "stack-trace": told,
        "serialized-throwable": STANDARD.encode(serialized(code, &told)),
    })
}

/// An `org.apache.flink.util.SerializedThrowable`, as Java's object streams have it: its classes, what the class that all failures
/// have above them keeps (no cause, the message, no stack, nothing suppressed), then its own fields.
fn serialized(code: &str, message: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(&[0xac, 0xed, 0, 5, OBJECT]);
    class(&mut out, "org.apache.flink.util.SerializedThrowable", 0x6516_9df5_1fa7_13f3, DATA, 3);
    field(&mut out, b'L', "fullStringifiedStackTrace", Some("Ljava/lang/String;"));
    field(&mut out, b'L', "originalErrorClassName", None);
    field(&mut out, b'[', "serializedException", Some("[B"));
    out.push(END);
    class(&mut out, "java.lang.Exception", 0xd0fd_1f3e_1a3b_1cc4, DATA, 0);
    out.push(END);
    class(&mut out, "java.lang.Throwable", 0xd5c6_3527_3977_b8cb, DATA_AND_MORE, 4);
    field(&mut out, b'L', "cause", Some("Ljava/lang/Throwable;"));
    field(&mut out, b'L', "detailMessage", None);
    field(&mut out, b'[', "stackTrace", Some("[Ljava/lang/StackTraceElement;"));
    field(&mut out, b'L', "suppressedExceptions", Some("Ljava/util/List;"));
    out.extend_from_slice(&[END, NULL]);

    out.push(NULL);
    string(&mut out, message);
    out.push(ARRAY);
    class(&mut out, "[Ljava.lang.StackTraceElement;", 0x0246_2a3c_3cfd_2239, DATA, 0);
    out.extend_from_slice(&[END, NULL, 0, 0, 0, 0]);
    out.push(OBJECT);
    class(&mut out, "java.util.Collections$EmptyList", 0x7ab8_17b4_3ca7_9ede, DATA, 0);
    out.extend_from_slice(&[END, NULL]);
    out.push(END);

    string(&mut out, message);
    string(&mut out, code);
    // The failure itself, which is no object of Java's.
    out.push(NULL);
    out
}

const NULL: u8 = 0x70;
const REFERENCE: u8 = 0x71;
const CLASS: u8 = 0x72;
const OBJECT: u8 = 0x73;
const STRING: u8 = 0x74;
const ARRAY: u8 = 0x75;
const END: u8 = 0x78;
/// What a class writes of an object: its fields, or more behind them.
const DATA: u8 = 2;
const DATA_AND_MORE: u8 = 3;

fn class(out: &mut Vec<u8>, name: &str, version: u64, flags: u8, fields: u16) {
    out.push(CLASS);
    text(out, name);
    out.extend_from_slice(&version.to_be_bytes());
    out.push(flags);
    out.extend_from_slice(&fields.to_be_bytes());
}

/// A field; without a type: of the type that the first field has, by a reference to it.
fn field(out: &mut Vec<u8>, kind: u8, name: &str, of_type: Option<&str>) {
    out.push(kind);
    text(out, name);
    match of_type {
        Some(name) => string(out, name),
        None => out.extend_from_slice(&[REFERENCE, 0, 0x7e, 0, 1]),
    }
}

fn string(out: &mut Vec<u8>, value: &str) {
    out.push(STRING);
    text(out, value);
}

/// Each half of a pair of surrogates by itself, and no byte that is zero.
fn text(out: &mut Vec<u8>, value: &str) {
    let mut bytes = Vec::with_capacity(value.len());
    for unit in value.encode_utf16().take(MAX_UNITS) {
        let low = |bits: u16| 0x80 | (bits & 0x3f) as u8;
        match unit {
            1..=0x7f => bytes.push(unit as u8),
            0 | 0x80..=0x7ff => bytes.extend_from_slice(&[0xc0 | (unit >> 6) as u8, low(unit)]),
            _ => bytes.extend_from_slice(&[0xe0 | (unit >> 12) as u8, low(unit >> 6), low(unit)]),
        }
    }
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_java_writes() {
        let bytes = serialized("TM-A", "ö\u{0}\u{1f642}");
        // The beginning and the end of what the object stream of Java 17 makes of such an object.
        assert!(bytes.starts_with(
            b"\xac\xed\x00\x05sr\x00\x29org.apache.flink.util.SerializedThrowablee\x16\x9d\xf5"
        ));
        let text = b"t\x00\x0a\xc3\xb6\xc0\x80\xed\xa0\xbd\xed\xb9\x82";
        assert!(
            bytes.ends_with(
                &[
                    b"sr\x00\x1fjava.util.Collections$EmptyListz\xb8\x17\xb4\x3c\xa7\x9e\xde\x02\x00\x00xpx",
                    &text[..],
                    b"t\x00\x04TM-Ap"
                ]
                .concat()
            )
        );
        assert_eq!(bytes.windows(text.len()).filter(|window| window == text).count(), 2);
        assert_eq!(
            serialized("TM-A", &"€".repeat(100_000)).len(),
            serialized("TM-A", &"€".repeat(16_000)).len()
        );
    }
}
