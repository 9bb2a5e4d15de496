//! Random numbers, with a seed those of Java's `java.util.Random`.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::Array;
use arrow_array::types::{Float64Type, Int32Type};
use datafusion_common::ScalarValue;

use crate::functions::cast::convert_rows;
use crate::functions::kernel::{Argument, KernelError, Mismatch, Resolved};
use crate::types::{LogicalType, TypeRoot};

/// Random bits that nobody can guess.
#[derive(Default)]
struct Entropy {
    state: RandomState,
    count: AtomicU64,
}

impl Entropy {
    fn next(&self) -> u64 {
        self.state.hash_one(self.count.fetch_add(1, Ordering::Relaxed))
    }
}

/// Java's generator: 48 bits, a linear congruence.
struct JavaRandom(u64);

impl JavaRandom {
    const FACTOR: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;

    fn new(seed: i64) -> Self {
        Self((seed as u64 ^ Self::FACTOR) & Self::MASK)
    }

    /// The next `bits` bits, at most 32.
    fn next(&mut self, bits: u32) -> i32 {
        self.0 = self.0.wrapping_mul(Self::FACTOR).wrapping_add(0xB) & Self::MASK;
        (self.0 >> (48 - bits)) as i32
    }

    /// From 0 to below 1.
    fn double(&mut self) -> f64 {
        let high = i64::from(self.next(26)) << 27;
        (high + i64::from(self.next(27))) as f64 / (1u64 << 53) as f64
    }

    /// From 0 to below `bound`, which is positive.
    fn below(&mut self, bound: i32) -> i32 {
        let bits = self.next(31);
        if bound & (bound - 1) == 0 {
            return ((i64::from(bound) * i64::from(bits)) >> 31) as i32;
        }
        let mut bits = bits;
        loop {
            let value = bits % bound;
            // Bits of the last, incomplete run of numbers would make small ones more likely.
            if bits.wrapping_sub(value).wrapping_add(bound - 1) >= 0 {
                return value;
            }
            bits = self.next(31);
        }
    }
}

/// Where random numbers come from: a literal seed starts one sequence for all rows, any other a sequence for
/// each row.
enum Source {
    Sequence(Mutex<JavaRandom>),
    ByRow,
}

impl Source {
    fn of(seed: Option<&Argument<'_>>) -> Self {
        let start = match seed {
            None => Some(Entropy::default().next() as i64),
            Some(seed) => seed.literal.and_then(seed_of),
        };
        start.map_or(Source::ByRow, |start| Source::Sequence(Mutex::new(JavaRandom::new(start))))
    }

    fn draw<T>(&self, seed: Option<i32>, draw: impl Fn(&mut JavaRandom) -> T) -> Option<T> {
        match self {
            Source::Sequence(random) => {
                Some(draw(&mut random.lock().unwrap_or_else(PoisonError::into_inner)))
            }
            Source::ByRow => seed.map(|seed| draw(&mut JavaRandom::new(i64::from(seed)))),
        }
    }
}

/// The seed that a literal is, as an `INT`.
fn seed_of(value: &ScalarValue) -> Option<i64> {
    Some(match value {
        ScalarValue::Int8(value) => i64::from((*value)?),
        ScalarValue::Int16(value) => i64::from((*value)?),
        ScalarValue::Int32(value) => i64::from((*value)?),
        ScalarValue::Int64(value) => i64::from((*value)? as i32),
        _ => return None,
    })
}

fn as_int(argument: &Argument<'_>) -> Result<LogicalType, Mismatch> {
    if !argument.logical.root.is_numeric() {
        return Err(Mismatch::new("expects numbers"));
    }
    Ok(LogicalType { root: TypeRoot::Int, nullable: argument.logical.nullable })
}

/// Resolves `RAND([seed])`.
pub(super) fn rand(arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    if arguments.len() > 1 {
        return Err(Mismatch::new("expects () or (numeric)"));
    }
    let types = arguments.iter().map(as_int).collect::<Result<Vec<_>, _>>()?;
    let source = Source::of(arguments.first());
    let nullable = types.iter().any(|logical| logical.nullable);
    Ok(Resolved::new(types, LogicalType { root: TypeRoot::Double, nullable }, move |inputs| {
        let seeds = inputs.iter().next().map(|seed| seed.primitive::<Int32Type>()).transpose()?;
        convert_rows::<Float64Type>(inputs.rows(), &TypeRoot::Double, |row| {
            let seed = seeds.as_ref().map(|seeds| seeds.get(row));
            Ok(if seed == Some(None) { None } else { source.draw(seed.flatten(), JavaRandom::double) })
        })
    }))
}

/// Resolves `RAND_INTEGER([seed, ] bound)`.
pub(super) fn rand_integer(arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    let seed = match arguments {
        [_] => None,
        [seed, _] => Some(seed),
        _ => return Err(Mismatch::new("expects (numeric) or (numeric, numeric)")),
    };
    let types = arguments.iter().map(as_int).collect::<Result<Vec<_>, _>>()?;
    let source = Source::of(seed);
    let nullable = types.iter().any(|logical| logical.nullable);
    Ok(Resolved::new(types, LogicalType { root: TypeRoot::Int, nullable }, move |inputs| {
        let bounds = inputs.get(inputs.len().saturating_sub(1))?.primitive::<Int32Type>()?;
        let seeds = if inputs.len() > 1 { Some(inputs.get(0)?.primitive::<Int32Type>()?) } else { None };
        convert_rows::<Int32Type>(inputs.rows(), &TypeRoot::Int, |row| {
            let seed = seeds.as_ref().map(|seeds| seeds.get(row));
            let Some(bound) = bounds.get(row).filter(|_| seed != Some(None)) else { return Ok(None) };
            if bound <= 0 {
                return Err(KernelError(format!("the bound of a random number is {bound}, not positive")));
            }
            Ok(source.draw(seed.flatten(), |random| random.below(bound)))
        })
    }))
}

/// Resolves `UUID()`.
pub(super) fn uuid(arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    /// As many characters as it is written with.
    const LENGTH: u32 = 36;
    if !arguments.is_empty() {
        return Err(Mismatch::new("expects no arguments"));
    }
    let entropy = Entropy::default();
    Ok(Resolved::new(vec![], TypeRoot::Char(LENGTH).not_null(), move |inputs| {
        let mut texts = arrow_array::builder::StringBuilder::with_capacity(inputs.rows(), inputs.rows() * 36);
        for _ in 0..inputs.rows() {
            // Version 4, variant 1.
            let high = entropy.next() & !0xF000 | 0x4000;
            let low = entropy.next() & !(0b11 << 62) | 0b10 << 62;
            let (a, b, c) = (high >> 32, high >> 16 & 0xFFFF, high & 0xFFFF);
            texts.append_value(format!(
                "{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}",
                low >> 48,
                low & ((1 << 48) - 1)
            ));
        }
        let texts: Arc<dyn Array> = Arc::new(texts.finish());
        Ok(texts)
    }))
}
