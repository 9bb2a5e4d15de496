//! [`Data`] for types without parts: numbers, booleans, characters, strings, durations.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::data::Data;
use crate::input::{DecodeError, Input, LONG, TOO_LONG};
use crate::schema::{SchemaBuilder, Type};

/// Appends a length; what is too long to be written is marked so that it can never be read as something else.
#[inline]
pub(crate) fn encode_length(length: usize, out: &mut Vec<u8>) {
    match u8::try_from(length) {
        Ok(short) if short != LONG => out.push(short),
        _ => encode_long(length, out),
    }
}

// Apart: rare, and the other half is short enough to be put wherever a length is written.
#[cold]
fn encode_long(length: usize, out: &mut Vec<u8>) {
    let length = u32::try_from(length).unwrap_or(TOO_LONG);
    out.push(LONG);
    out.extend_from_slice(&length.to_le_bytes());
}

/// Appends what `encode` appends, behind its length. What `encode` returns is passed on.
#[inline]
pub(crate) fn encode_framed<R>(out: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let start = out.len();
    // Most are short: room for one byte is left, and made larger where that was wrong.
    out.push(0);
    let result = encode(out);
    let length = out.len() - start - 1;
    match u8::try_from(length) {
        Ok(short) if short != LONG => out[start] = short,
        _ => {
            let length = u32::try_from(length).unwrap_or(TOO_LONG);
            out[start] = LONG;
            out.splice(start + 1..start + 1, length.to_le_bytes());
        }
    }
    result
}

impl Data for () {
    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::Unit
    }

    #[inline]
    fn encode(&self, _: &mut Vec<u8>) {}

    #[inline]
    fn decode(_: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }
}

impl<T: Send + Sync + 'static> Data for PhantomData<T> {
    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::Unit
    }

    #[inline]
    fn encode(&self, _: &mut Vec<u8>) {}

    #[inline]
    fn decode(_: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(PhantomData)
    }
}

macro_rules! numbers {
    ($($t:ident: $kind:ident),* $(,)?) => {$(
        impl Data for $t {
            fn describe(_: &mut SchemaBuilder) -> Type {
                Type::$kind(8 * size_of::<$t>() as u8)
            }

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            #[inline]
            fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
                Ok($t::from_le_bytes(input.array(stringify!($t))?))
            }

            fn encode_slice(values: &[Self], out: &mut Vec<u8>) {
                const WIDTH: usize = size_of::<$t>();
                let start = out.len();
                out.resize(start + values.len() * WIDTH, 0);
                for (bytes, value) in out[start..].chunks_exact_mut(WIDTH).zip(values) {
                    bytes.copy_from_slice(&value.to_le_bytes());
                }
            }

            fn decode_vec(count: usize, input: &mut Input<'_>) -> Result<Vec<Self>, DecodeError> {
                const WIDTH: usize = size_of::<$t>();
                let bytes = input.take(count.saturating_mul(WIDTH), concat!("sequence of ", stringify!($t)))?;
                let (words, _) = bytes.as_chunks::<WIDTH>();
                Ok(words.iter().map(|word| $t::from_le_bytes(*word)).collect())
            }
        }
    )*};
}
numbers!(i8: Int, u8: UInt, i16: Int, u16: UInt, i32: Int, u32: UInt, i64: Int, u64: UInt, i128: Int, u128: UInt,
    f32: Float, f64: Float);

impl Data for bool {
    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::Bool
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    #[inline]
    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        match input.array("bool")? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(DecodeError::invalid("bool", format!("{other} is neither 0 nor 1"))),
        }
    }
}

impl Data for char {
    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::Char
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        u32::from(*self).encode(out);
    }

    #[inline]
    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let code = u32::from_le_bytes(input.array("char")?);
        char::from_u32(code)
            .ok_or_else(|| DecodeError::invalid("char", format!("{code:#x} is no Unicode scalar value")))
    }
}

/// Reads a string without copying it.
#[inline]
fn decode_str<'a>(input: &mut Input<'a>) -> Result<&'a str, DecodeError> {
    let length = input.length(1, "string")?;
    let bytes = input.take(length, "string")?;
    std::str::from_utf8(bytes).map_err(|error| {
        DecodeError::invalid("string", format!("not UTF-8 after byte {}", error.valid_up_to()))
    })
}

impl Data for String {
    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::Text
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        encode_length(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }

    #[inline]
    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        decode_str(input).map(str::to_owned)
    }
}

impl Data for Arc<str> {
    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::Text
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        encode_length(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }

    #[inline]
    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        decode_str(input).map(Arc::from)
    }
}

impl Data for Duration {
    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::Duration
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_secs().encode(out);
        self.subsec_nanos().encode(out);
    }

    #[inline]
    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let seconds = u64::from_le_bytes(input.array("Duration")?);
        let nanos = u32::from_le_bytes(input.array("Duration")?);
        if nanos >= 1_000_000_000 {
            return Err(DecodeError::invalid(
                "Duration",
                format!("{nanos} nanoseconds are a second or more"),
            ));
        }
        Ok(Duration::new(seconds, nanos))
    }
}
