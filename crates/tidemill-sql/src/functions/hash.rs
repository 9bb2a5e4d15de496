//! Hash functions, written in small hexadecimal digits.

use std::sync::Arc;

use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType,
};
use md5::Md5;
use sha1::Sha1;
use sha2::digest::Digest;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::kernel::{
    Argument, FunctionContext, FunctionGroup, KernelError, Mismatch, Resolved, ScalarFunction,
};
use super::support::{Want, any_nullable, null_like, primitives, strings, targets};
use super::text::{Bytes, java_hash};
use crate::types::{LogicalType, TypeRoot};

type Arguments<'a> = &'a [Argument<'a>];

const fn hash(
    name: &'static str,
    usage: &'static str,
    description: &'static str,
    resolve: fn(&FunctionContext, &[Argument<'_>]) -> Result<Resolved, Mismatch>,
) -> ScalarFunction {
    let group = FunctionGroup::Hash;
    ScalarFunction { name, aliases: &[], group, usage, description, deterministic: true, resolve }
}

/// The functions of this chapter.
pub(crate) const FUNCTIONS: &[ScalarFunction] = &[
    hash("MD5", "MD5(string)", "The MD5 hash: 32 hexadecimal digits.", md5),
    hash("SHA1", "SHA1(string)", "The SHA-1 hash: 40 hexadecimal digits.", sha1),
    hash("SHA224", "SHA224(string)", "The SHA-224 hash: 56 hexadecimal digits.", sha224),
    hash("SHA256", "SHA256(string)", "The SHA-256 hash: 64 hexadecimal digits.", sha256),
    hash("SHA384", "SHA384(string)", "The SHA-384 hash: 96 hexadecimal digits.", sha384),
    hash("SHA512", "SHA512(string)", "The SHA-512 hash: 128 hexadecimal digits.", sha512),
    hash("SHA2", "SHA2(string, bits)", "The SHA-2 hash of 224, 256, 384 or 512 bits.", sha2),
    hash("HASH_CODE", "HASH_CODE(value)", "The hash code that Java has for the value.", hash_code),
];

fn push_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS.get(usize::from(value & 15)).copied().unwrap_or(b'0'));
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]));
}

fn push_hash<D: Digest>(bytes: &[u8], out: &mut String) {
    push_hex(out, &D::digest(bytes));
}

/// A hash function of one string, with so many digits.
fn hashed(arguments: Arguments<'_>, digits: u32, push: fn(&[u8], &mut String)) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::TextOrBytes], &[], "(STRING)")?;
    let logical = types.first().cloned().unwrap_or_else(|| TypeRoot::STRING.nullable());
    Ok(Resolved::new(types, null_like(TypeRoot::Char(digits), arguments), move |inputs| {
        let bytes = Bytes::of(inputs.get(0)?, &logical)?;
        strings(inputs, |row, out| {
            let Some(bytes) = bytes.get(row) else { return Ok(false) };
            push(bytes, out);
            Ok(true)
        })
    }))
}

fn md5(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    hashed(arguments, 32, push_hash::<Md5>)
}

fn sha1(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    hashed(arguments, 40, push_hash::<Sha1>)
}

fn sha224(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    hashed(arguments, 56, push_hash::<Sha224>)
}

fn sha256(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    hashed(arguments, 64, push_hash::<Sha256>)
}

fn sha384(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    hashed(arguments, 96, push_hash::<Sha384>)
}

fn sha512(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    hashed(arguments, 128, push_hash::<Sha512>)
}

fn sha2_of(bits: i64) -> Result<fn(&[u8], &mut String), String> {
    Ok(match bits {
        224 => push_hash::<Sha224>,
        256 => push_hash::<Sha256>,
        384 => push_hash::<Sha384>,
        512 => push_hash::<Sha512>,
        _ => return Err(format!("SHA2 has 224, 256, 384 or 512 bits, not {bits}")),
    })
}

fn sha2(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    use datafusion_common::ScalarValue::{Int8, Int16, Int32, Int64};
    let types = targets(arguments, &[Want::TextOrBytes, Want::Integer], &[], "(STRING, INT)")?;
    let logical = types.first().cloned().unwrap_or_else(|| TypeRoot::STRING.nullable());
    let literal = match arguments.get(1).and_then(|bits| bits.literal) {
        Some(Int8(Some(bits))) => Some(i64::from(*bits)),
        Some(Int16(Some(bits))) => Some(i64::from(*bits)),
        Some(Int32(Some(bits))) => Some(i64::from(*bits)),
        Some(Int64(Some(bits))) => Some(*bits),
        _ => None,
    };
    if let Some(bits) = literal {
        sha2_of(bits).map_err(Mismatch)?;
    }
    Ok(Resolved::new(types, null_like(TypeRoot::Varchar(128), arguments), move |inputs| {
        let (bytes, bits) = (Bytes::of(inputs.get(0)?, &logical)?, inputs.get(1)?.primitive::<Int64Type>()?);
        strings(inputs, |row, out| {
            let (Some(bytes), Some(bits)) = (bytes.get(row), bits.get(row)) else { return Ok(false) };
            sha2_of(bits).map_err(KernelError)?(bytes, out);
            Ok(true)
        })
    }))
}

fn of_long(bits: u64) -> i32 {
    // The low half is what is kept.
    (bits ^ (bits >> 32)) as u32 as i32
}

fn hash_code(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let mismatch = || Mismatch::new("expects a truth value, number, string, date or time");
    let [value] = arguments else { return Err(mismatch()) };
    let root = value.logical.root.clone();
    let known = root.is_character()
        || root.is_integer()
        || root.is_approximate()
        || matches!(root, TypeRoot::Boolean | TypeRoot::Date | TypeRoot::Time(_) | TypeRoot::Null);
    if !known {
        return Err(mismatch());
    }
    let target: LogicalType = match root {
        TypeRoot::Null => TypeRoot::STRING.nullable(),
        _ => value.logical.clone(),
    };
    let returns = TypeRoot::Int.not_null().with_nullable(any_nullable(arguments));
    Ok(Resolved::new(vec![target], returns, move |inputs| {
        let input = inputs.get(0)?;
        macro_rules! codes {
            ($values:expr, $code:expr) => {{
                let values = $values;
                primitives::<Int32Type>(inputs, |row| Ok(values.get(row).map($code)))?
            }};
        }
        Ok(Arc::new(match root {
            TypeRoot::Boolean => codes!(input.boolean()?, |truth| if truth { 1231 } else { 1237 }),
            TypeRoot::TinyInt => codes!(input.primitive::<Int8Type>()?, i32::from),
            TypeRoot::SmallInt => codes!(input.primitive::<Int16Type>()?, i32::from),
            TypeRoot::Int => codes!(input.primitive::<Int32Type>()?, |number| number),
            TypeRoot::Date => codes!(input.primitive::<Date32Type>()?, |number| number),
            TypeRoot::Time(_) => codes!(input.primitive::<Time32MillisecondType>()?, |number| number),
            TypeRoot::BigInt => {
                codes!(input.primitive::<Int64Type>()?, |number| of_long(number.cast_unsigned()))
            }
            TypeRoot::Float => {
                codes!(input.primitive::<Float32Type>()?, |number| number.to_bits().cast_signed())
            }
            TypeRoot::Double => codes!(input.primitive::<Float64Type>()?, |number| of_long(number.to_bits())),
            // Flink takes the size of the hash code of a string.
            _ => codes!(input.text()?, |text| java_hash(text).wrapping_abs()),
        }))
    }))
}

#[cfg(test)]
mod tests {
    use super::FUNCTIONS;
    use crate::functions::support::testing::{Given, call, call_in, context, number, text};
    use crate::types::TypeRoot;

    #[test]
    fn hashes() {
        for (name, expected) in [
            ("MD5", "900150983cd24fb0d6963f7d28e17f72"),
            ("SHA1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("SHA224", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
            ("SHA256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ] {
            assert_eq!(text(FUNCTIONS, name, &["abc".into()]).as_deref(), Some(expected), "{name}");
            assert_eq!(text(FUNCTIONS, name, &[Given::from(None::<&str>)]), None, "{name}");
        }
        assert_eq!(text(FUNCTIONS, "SHA384", &["abc".into()]).unwrap().len(), 96);
        assert_eq!(text(FUNCTIONS, "SHA512", &["abc".into()]).unwrap().len(), 128);
        let bytes = text(FUNCTIONS, "MD5", &[(&b"abc"[..]).into()]);
        assert_eq!(bytes.as_deref(), Some("900150983cd24fb0d6963f7d28e17f72"));
        let (_, returns) = call_in(&context(), FUNCTIONS, "MD5", &["abc".into()]).unwrap();
        assert_eq!(returns, TypeRoot::Char(32).not_null());
        assert_eq!(call(FUNCTIONS, "MD5", &[1.into()]), Err("expects (STRING)".to_owned()));
    }

    #[test]
    fn sha2() {
        let hash = text(FUNCTIONS, "SHA2", &["abc".into(), 256.into()]);
        assert_eq!(hash, text(FUNCTIONS, "SHA256", &["abc".into()]));
        assert_eq!(text(FUNCTIONS, "SHA2", &["abc".into(), None::<i32>.into()]), None);
        let refused = call(FUNCTIONS, "SHA2", &["abc".into(), 100.into()]);
        assert_eq!(refused, Err("SHA2 has 224, 256, 384 or 512 bits, not 100".to_owned()));
        let column = call(FUNCTIONS, "SHA2", &["abc".into(), Given::from(0).into_column()]);
        assert!(column.unwrap_err().contains("not 0"));
    }

    #[test]
    fn codes() {
        let code = |value: Given| number(FUNCTIONS, "HASH_CODE", &[value]);
        assert_eq!(code("abc".into()), Some(96354));
        assert_eq!(code((1i64 << 32).into()), Some(1));
        assert_eq!(code((-7).into()), Some(-7));
        assert_eq!(code(true.into()), Some(1231));
        assert_eq!(code(1.0.into()), Some(1_072_693_248));
        assert_eq!(code(None::<&str>.into()), None);
    }
}
