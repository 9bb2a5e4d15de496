//! [`Decimal`]: decimal numbers with a fixed number of digits behind the point.

use std::fmt;
use std::str::FromStr;

use tidemill_core::element::Element;
use tidemill_core::hash::RoutingHash;
use tidemill_core::{Classified, Fault};

use crate::data::Data;
use crate::input::{DecodeError, Input};
use crate::schema::{SchemaBuilder, Type};

/// The most digits that a decimal number can have.
///
/// ```
/// use tidemill_serialization::Decimal;
/// use tidemill_serialization::decimal::MAX_PRECISION;
///
/// assert!(Decimal::<MAX_PRECISION, 0>::new(10i128.pow(38) - 1).is_ok());
/// ```
pub const MAX_PRECISION: u8 = 38;

/// A decimal number of at most `PRECISION` digits (1 to 38), `SCALE` of which are behind the point: SQL's
/// `DECIMAL(PRECISION, SCALE)`. As a column: `Decimal128`.
///
/// Its stored form may become one with more digits before the point, not with others behind it.
///
/// ```
/// use tidemill_serialization::Decimal;
///
/// let price: Decimal<10, 2> = "12.5".parse()?;
/// assert_eq!(price.to_string(), "12.50");
/// assert_eq!(price.checked_add(Decimal::new(1)?).unwrap().to_string(), "12.51");
/// assert!("12.345".parse::<Decimal<10, 2>>().is_err());
/// # Ok::<(), tidemill_serialization::DecimalError>(())
/// ```
///
/// Other numbers of digits are compile errors, wherever such a number is made, written or described:
///
/// ```compile_fail,E0080
/// # use tidemill_serialization::Decimal;
/// Decimal::<1, 200>::default();
/// ```
///
/// ```compile_fail,E0080
/// # use tidemill_serialization::{Decimal, Schema};
/// Schema::of::<Decimal<39, 0>>();
/// ```
///
/// ```compile_fail,E0080
/// # use tidemill_serialization::Decimal;
/// fn show(number: Option<Decimal<0, 0>>) -> String {
///     number.map_or(String::new(), |number| number.to_string())
/// }
/// # show(None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal<const PRECISION: u8, const SCALE: u8>(i128);

/// A number that is no [`Decimal`] of a precision and scale.
///
/// ```
/// use tidemill_serialization::{Decimal, DecimalError};
///
/// let error = "1000".parse::<Decimal<3, 0>>().unwrap_err();
/// assert!(matches!(error, DecimalError::OutOfRange { precision: 3, scale: 0, .. }));
/// assert!(matches!("many".parse::<Decimal<3, 0>>(), Err(DecimalError::Syntax(_))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// It has too many digits.
    #[error("{value} does not fit DECIMAL({precision}, {scale})")]
    OutOfRange {
        /// The number.
        value: String,
        /// How many digits there may be.
        precision: u8,
        /// How many of them are behind the point.
        scale: u8,
    },
    /// It is no decimal number at all.
    #[error("'{0}' is no decimal number: digits with at most one point, and a sign in front, are")]
    Syntax(String),
}

impl Classified for DecimalError {
    fn code(&self) -> &'static str {
        match self {
            Self::OutOfRange { .. } => "TM-SERIALIZATION-DECIMAL-RANGE",
            Self::Syntax(_) => "TM-SERIALIZATION-DECIMAL-SYNTAX",
        }
    }

    fn fault(&self) -> Fault {
        Fault::User
    }
}

impl<const P: u8, const S: u8> Decimal<P, S> {
    /// One more than the largest number of units.
    const LIMIT: i128 = {
        assert!(
            P >= 1 && P <= MAX_PRECISION && S <= P,
            "a decimal has 1 to 38 digits, at most all behind the point"
        );
        10i128.pow(P as u32)
    };

    /// A number of units of the last digit: 1250 for 12.50 at a scale of 2.
    ///
    /// ```
    /// use tidemill_serialization::Decimal;
    ///
    /// assert_eq!(Decimal::<5, 2>::new(1250)?.to_string(), "12.50");
    /// assert!(Decimal::<5, 2>::new(100_000).is_err());
    /// # Ok::<(), tidemill_serialization::DecimalError>(())
    /// ```
    ///
    /// # Errors
    /// When it has more digits than the precision allows.
    pub fn new(unscaled: i128) -> Result<Self, DecimalError> {
        match unscaled.unsigned_abs() < Self::LIMIT.unsigned_abs() {
            true => Ok(Self(unscaled)),
            false => Err(Self::out_of_range(unscaled.to_string())),
        }
    }

    /// What a column of this precision and scale holds, which was asked for it before.
    pub(crate) fn of_column(unscaled: i128) -> Self {
        const { Self::LIMIT };
        Self(unscaled)
    }

    /// The number of units of the last digit.
    ///
    /// ```
    /// use tidemill_serialization::Decimal;
    ///
    /// assert_eq!("12.5".parse::<Decimal<5, 2>>()?.unscaled(), 1250);
    /// # Ok::<(), tidemill_serialization::DecimalError>(())
    /// ```
    pub fn unscaled(self) -> i128 {
        self.0
    }

    /// The sum; `None` when it has too many digits.
    ///
    /// ```
    /// use tidemill_serialization::Decimal;
    ///
    /// let most = Decimal::<3, 1>::new(999)?;
    /// assert_eq!(most.checked_add(Decimal::new(-1)?), Some(Decimal::new(998)?));
    /// assert_eq!(most.checked_add(Decimal::new(1)?), None);
    /// # Ok::<(), tidemill_serialization::DecimalError>(())
    /// ```
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::new(self.0.checked_add(other.0)?).ok()
    }

    /// The difference; `None` when it has too many digits.
    ///
    /// ```
    /// use tidemill_serialization::Decimal;
    ///
    /// let least = Decimal::<3, 1>::new(-999)?;
    /// assert_eq!(least.checked_sub(Decimal::new(-1)?), Some(Decimal::new(-998)?));
    /// assert_eq!(least.checked_sub(Decimal::new(1)?), None);
    /// # Ok::<(), tidemill_serialization::DecimalError>(())
    /// ```
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Self::new(self.0.checked_sub(other.0)?).ok()
    }

    #[cold]
    fn out_of_range(value: String) -> DecimalError {
        DecimalError::OutOfRange { value, precision: P, scale: S }
    }
}

impl<const P: u8, const S: u8> Default for Decimal<P, S> {
    /// Zero.
    fn default() -> Self {
        // Its assertion is looked at only where the constant is used; so too in what follows.
        const { Self::LIMIT };
        Self(0)
    }
}

impl<const P: u8, const S: u8> fmt::Display for Decimal<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const { Self::LIMIT };
        let unit = 10u128.pow(u32::from(S));
        let units = self.0.unsigned_abs();
        let digits = match S {
            0 => units.to_string(),
            _ => format!("{}.{:0width$}", units / unit, units % unit, width = usize::from(S)),
        };
        f.pad_integral(self.0 >= 0, "", &digits)
    }
}

impl<const P: u8, const S: u8> fmt::Debug for Decimal<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const P: u8, const S: u8> FromStr for Decimal<P, S> {
    type Err = DecimalError;

    /// Digits with at most one point; zeros behind the scale are allowed, other digits there are not.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let syntax = || DecimalError::Syntax(text.to_owned());
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.len() + part.len() == 0
            || !whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit())
        {
            return Err(syntax());
        }
        let (kept, beyond) = part.split_at(part.len().min(usize::from(S)));
        if beyond.bytes().any(|byte| byte != b'0') {
            return Err(Self::out_of_range(text.to_owned()));
        }
        let zeros = std::iter::repeat_n(b'0', usize::from(S) - kept.len());
        let units = whole.bytes().chain(kept.bytes()).chain(zeros).try_fold(0i128, |units, digit| {
            units.checked_mul(10)?.checked_add(i128::from(digit - b'0')).filter(|units| *units < Self::LIMIT)
        });
        let units = units.ok_or_else(|| Self::out_of_range(text.to_owned()))?;
        Ok(Self(if negative { -units } else { units }))
    }
}

impl<const P: u8, const S: u8> Element for Decimal<P, S> {
    const FIXED_BYTES: Option<usize> = Some(16);

    #[inline]
    fn logical_bytes(&self) -> usize {
        16
    }
}

impl<const P: u8, const S: u8> Data for Decimal<P, S> {
    fn describe(_: &mut SchemaBuilder) -> Type {
        const { Self::LIMIT };
        Type::Decimal { precision: P, scale: S }
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    #[inline]
    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let unscaled = i128::decode(input)?;
        Self::new(unscaled).map_err(|error| DecodeError::invalid("Decimal", error.to_string()))
    }
}

impl<const P: u8, const S: u8> RoutingHash for Decimal<P, S> {
    #[inline]
    fn routing_hash(&self) -> u64 {
        self.0.routing_hash()
    }
}
