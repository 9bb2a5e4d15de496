//! Reading encoded bytes back, defensively.

use tidemill_core::{Classified, Fault};

/// How deep boxes, vectors, maps and sets may be nested in a value: recursive types must not exhaust the stack.
///
/// Only reading checks it, so a recursive type must not be let grow deeper before it is sent or put into state: a
/// list belongs into a `Vec`, not into a chain of boxes.
///
/// ```
/// use tidemill_serialization::{Data, DecodeError, Input, MAX_DEPTH, Record};
///
/// #[derive(Record, Clone)]
/// struct Link { next: Option<Box<Link>> }
///
/// // Each byte says that another one follows.
/// let bytes = vec![1; MAX_DEPTH as usize + 1];
/// assert!(matches!(Link::decode(&mut Input::new(&bytes)), Err(DecodeError::TooDeep { .. })));
/// ```
pub const MAX_DEPTH: u32 = 256;

/// The byte that says: a length of four bytes follows, as it does not fit into one.
pub(crate) const LONG: u8 = u8::MAX;

/// A length that says: there were more elements than a length can say. Never a valid length.
pub(crate) const TOO_LONG: u32 = u32::MAX;

/// Bytes that are still to be decoded.
///
/// ```
/// use tidemill_serialization::{Data, Input};
///
/// let mut input = Input::new(b"\x02ab!");
/// assert_eq!(String::decode(&mut input)?, "ab");
/// assert_eq!(input.take(1, "mark")?, b"!");
/// input.finish("text")?;
/// # Ok::<(), tidemill_serialization::DecodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
    depth: u32,
}

impl<'a> Input<'a> {
    /// Starts at the first byte.
    ///
    /// ```
    /// use tidemill_serialization::{Data, Input};
    ///
    /// assert_eq!(u16::decode(&mut Input::new(&[2, 1])), Ok(258));
    /// ```
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, depth: 0 }
    }

    /// How many bytes are left.
    ///
    /// ```
    /// use tidemill_serialization::{Data, Input};
    ///
    /// let mut input = Input::new(&[2, 1, 7]);
    /// u16::decode(&mut input)?;
    /// assert_eq!(input.remaining(), 1);
    /// # Ok::<(), tidemill_serialization::DecodeError>(())
    /// ```
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Takes the next `count` bytes.
    ///
    /// ```
    /// use tidemill_serialization::Input;
    ///
    /// let mut input = Input::new(b"abc");
    /// assert_eq!(input.take(2, "letters")?, b"ab");
    /// assert!(input.take(2, "letters").is_err());
    /// # Ok::<(), tidemill_serialization::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        if count > self.rest.len() {
            return Err(DecodeError::Truncated { what, needed: count, left: self.rest.len() });
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    /// Takes the next `N` bytes as an array.
    ///
    /// ```
    /// use tidemill_serialization::Input;
    ///
    /// let mut input = Input::new(&[1, 0, 0, 0]);
    /// assert_eq!(u32::from_le_bytes(input.array("number")?), 1);
    /// # Ok::<(), tidemill_serialization::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    /// Takes the length of a sequence whose elements take at least `element_bytes` each (at least one).
    ///
    /// ```
    /// use tidemill_serialization::Input;
    ///
    /// assert_eq!(Input::new(b"\x02ab").length(1, "text"), Ok(2));
    /// assert!(Input::new(b"\x02a").length(1, "text").is_err(), "only one byte follows");
    /// ```
    ///
    /// # Errors
    /// When the bytes that are left cannot hold that many elements.
    #[inline]
    pub fn length(&mut self, element_bytes: usize, what: &'static str) -> Result<usize, DecodeError> {
        let [short] = self.array(what)?;
        let length = if short == LONG { self.long_length(what)? } else { usize::from(short) };
        self.check_count(length, element_bytes, what)?;
        Ok(length)
    }

    #[cold]
    fn long_length(&mut self, what: &'static str) -> Result<usize, DecodeError> {
        let length = u32::from_le_bytes(self.array(what)?);
        // Each length has one form, so that equal values have equal bytes.
        if length < u32::from(LONG) {
            return Err(DecodeError::invalid(
                what,
                format!("its length {length} has five bytes and needs one"),
            ));
        }
        if length == TOO_LONG {
            return Err(DecodeError::invalid(
                what,
                "it had 4,294,967,295 elements or more when it was written",
            ));
        }
        Ok(length as usize)
    }

    /// Checks that `count` elements of at least `element_bytes` each (at least one) can follow.
    ///
    /// ```
    /// use tidemill_serialization::Input;
    ///
    /// let input = Input::new(&[0; 8]);
    /// assert!(input.check_count(2, 4, "numbers").is_ok() && input.check_count(3, 4, "numbers").is_err());
    /// ```
    ///
    /// # Errors
    /// When fewer bytes are left.
    #[inline]
    pub fn check_count(
        &self,
        count: usize,
        element_bytes: usize,
        what: &'static str,
    ) -> Result<(), DecodeError> {
        let needed = count.saturating_mul(element_bytes.max(1));
        if needed > self.rest.len() {
            return Err(DecodeError::Truncated { what, needed, left: self.rest.len() });
        }
        Ok(())
    }

    /// For how many of `count` values of `T` to reserve memory: for all that take up to four times their encoded
    /// bytes in memory, as most do, and otherwise for as many as fit into four times the bytes that are left.
    ///
    /// ```
    /// use tidemill_serialization::Input;
    ///
    /// let input = Input::new(&[0; 8]);
    /// assert_eq!(input.justified_capacity::<u32>(2), 2);
    /// assert_eq!(input.justified_capacity::<u32>(usize::MAX), 8, "a wrong count reserves little");
    /// ```
    #[inline]
    pub fn justified_capacity<T>(&self, count: usize) -> usize {
        count.min(self.rest.len().saturating_mul(4) / size_of::<T>().max(1))
    }

    /// Reads one element of a sequence: where it takes no byte of its own, the filler is taken.
    ///
    /// ```
    /// use tidemill_serialization::{Data, Input};
    ///
    /// let mut input = Input::new(&[0, 7]);
    /// input.element(<()>::decode)?;
    /// assert_eq!(input.remaining(), 1, "what takes no byte has a filler in a sequence");
    /// # Ok::<(), tidemill_serialization::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// Those of `read`; also when the filler is not there.
    #[inline]
    pub fn element<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let before = self.rest.len();
        let element = read(self)?;
        if self.rest.len() == before {
            let [filler] = self.array("element of no size")?;
            if filler != 0 {
                return Err(DecodeError::invalid(
                    "element of no size",
                    format!("its filler is {filler}, not 0"),
                ));
            }
        }
        Ok(element)
    }

    /// Reads what is one level deeper in a value.
    ///
    /// ```
    /// use tidemill_serialization::{Data, Input};
    ///
    /// let mut input = Input::new(&[7]);
    /// assert_eq!(input.nested("box", u8::decode), Ok(7));
    /// ```
    ///
    /// # Errors
    /// Those of `read`; also when this level is deeper than [`MAX_DEPTH`].
    #[inline]
    pub fn nested<T>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        if self.depth == MAX_DEPTH {
            return Err(DecodeError::TooDeep { what });
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Checks that all bytes were read.
    ///
    /// ```
    /// use tidemill_serialization::{Data, Input};
    ///
    /// let mut input = Input::new(&[7, 8]);
    /// u8::decode(&mut input)?;
    /// assert!(input.finish("byte").is_err(), "there is another one");
    /// # Ok::<(), tidemill_serialization::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// When some are left.
    pub fn finish(&self, what: &'static str) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing { what, left }),
        }
    }
}

/// Bytes that are not an encoded value of the type that was to be read.
///
/// ```
/// use tidemill_serialization::{Data, DecodeError, Input};
///
/// let error = u32::decode(&mut Input::new(&[1, 2])).unwrap_err();
/// assert!(matches!(error, DecodeError::Truncated { needed: 4, left: 2, .. }));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ends within a value.
    #[error("the bytes of {what} end too early: {needed} more needed, {left} left")]
    Truncated {
        /// The type or field that was being read.
        what: &'static str,
        /// Bytes wanted.
        needed: usize,
        /// Bytes there.
        left: usize,
    },
    /// A byte or word that no value is encoded as.
    #[error("the bytes are no {what}: {detail}")]
    Invalid {
        /// The type or field that was being read.
        what: &'static str,
        /// What is wrong with them.
        detail: String,
    },
    /// Boxes, vectors, maps and sets are nested deeper than [`MAX_DEPTH`].
    #[error("{what} is nested deeper than {MAX_DEPTH} levels: flatten the type, or check the bytes")]
    TooDeep {
        /// The type or field that was being read.
        what: &'static str,
    },
    /// Bytes follow the value.
    #[error("{left} bytes follow the end of {what}")]
    Trailing {
        /// The type that was read.
        what: &'static str,
        /// Bytes left.
        left: usize,
    },
}

impl DecodeError {
    /// A byte or word that no value is encoded as.
    ///
    /// ```
    /// use tidemill_serialization::DecodeError;
    ///
    /// let error = DecodeError::invalid("Color", "7 is no color").in_field("Pixel.color");
    /// assert_eq!(error.to_string(), "the bytes are no Pixel.color: 7 is no color");
    /// ```
    #[cold]
    pub fn invalid(what: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid { what, detail: detail.into() }
    }

    /// Names the field that was being read, as `Type.field`. The innermost field is the one that counts: an error
    /// that names a field already is left as it is.
    ///
    /// ```
    /// use tidemill_serialization::{Data, Input};
    ///
    /// let error = u32::decode(&mut Input::new(&[1])).unwrap_err();
    /// assert_eq!(error.in_field("Order.price").what(), "Order.price");
    /// ```
    #[cold]
    #[must_use]
    pub fn in_field(mut self, field: &'static str) -> Self {
        let (Self::Truncated { what, .. }
        | Self::Invalid { what, .. }
        | Self::TooDeep { what }
        | Self::Trailing { what, .. }) = &mut self;
        if !what.contains('.') {
            *what = field;
        }
        self
    }

    /// The type or field that was being read.
    ///
    /// ```
    /// use tidemill_serialization::DecodeError;
    ///
    /// assert_eq!(DecodeError::invalid("Color", "7 is no color").what(), "Color");
    /// ```
    pub fn what(&self) -> &'static str {
        let (Self::Truncated { what, .. }
        | Self::Invalid { what, .. }
        | Self::TooDeep { what }
        | Self::Trailing { what, .. }) = self;
        what
    }
}

impl Classified for DecodeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "TM-SERIALIZATION-TRUNCATED",
            Self::Invalid { .. } => "TM-SERIALIZATION-INVALID",
            Self::TooDeep { .. } => "TM-SERIALIZATION-TOO-DEEP",
            Self::Trailing { .. } => "TM-SERIALIZATION-TRAILING",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::TooDeep { .. } => Fault::User,
            // Damaged on a disk or on the way, or written by another version of the type.
            Self::Truncated { .. } | Self::Invalid { .. } | Self::Trailing { .. } => Fault::External,
        }
    }
}
