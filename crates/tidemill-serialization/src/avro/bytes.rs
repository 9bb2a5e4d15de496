//! How Avro writes numbers and blocks of bytes.

/// Appends a number, zigzag and 7 bits to a byte.
#[inline]
pub fn put_long(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The bytes that a number takes.
#[inline]
pub fn long_bytes(number: i64) -> usize {
    let zigzag = ((number << 1) ^ (number >> 63)) as u64;
    (70 - (zigzag | 1).leading_zeros() as usize) / 7
}

/// Appends bytes behind their length.
#[inline]
pub(crate) fn put_blob(bytes: &[u8], out: &mut Vec<u8>) {
    put_long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

/// The bytes that bytes behind their length take.
#[inline]
pub(crate) fn blob_bytes(length: usize) -> usize {
    long_bytes(length as i64) + length
}

/// Takes a number off the front.
#[inline]
pub(crate) fn take_long(rest: &mut &[u8]) -> Result<i64, Wrong> {
    // Most numbers are short.
    if let [first @ 0..=0x7f, after @ ..] = *rest {
        *rest = after;
        return Ok(i64::from(first >> 1) ^ -i64::from(first & 1));
    }
    let mut zigzag = 0u64;
    for (i, &byte) in rest.iter().enumerate().take(10) {
        // The tenth byte has the last bit.
        if i == 9 && byte > 1 {
            return Err(Wrong::TooLong);
        }
        zigzag |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *rest = &rest[i + 1..];
            return Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
        }
    }
    Err(if rest.len() < 10 { Wrong::Truncated } else { Wrong::TooLong })
}

/// Why bytes are no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// They end within it.
    Truncated,
    /// It has more than 64 bits.
    TooLong,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_written_as_the_specification_shows() {
        for (number, expected) in
            [(0i64, &[0][..]), (-1, &[1]), (1, &[2]), (-2, &[3]), (2, &[4]), (-64, &[0x7f]), (64, &[0x80, 1])]
        {
            let mut out = Vec::new();
            put_long(number, &mut out);
            assert_eq!(out, expected, "{number}");
        }
    }

    #[test]
    fn numbers_that_are_cut_or_too_long_are_refused() {
        assert_eq!(take_long(&mut &[][..]), Err(Wrong::Truncated));
        assert_eq!(take_long(&mut &[0x80][..]), Err(Wrong::Truncated));
        assert_eq!(take_long(&mut &[0x80; 9][..]), Err(Wrong::Truncated));
        assert_eq!(take_long(&mut &[0x80; 10][..]), Err(Wrong::TooLong));
        assert_eq!(
            take_long(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2][..]),
            Err(Wrong::TooLong)
        );
    }

    proptest! {
        #[test]
        fn numbers_come_back(number: i64) {
            let mut out = Vec::new();
            put_long(number, &mut out);
            prop_assert_eq!(out.len(), long_bytes(number));
            let mut rest = &out[..];
            prop_assert_eq!(take_long(&mut rest), Ok(number));
            prop_assert!(rest.is_empty());
        }
    }
}
