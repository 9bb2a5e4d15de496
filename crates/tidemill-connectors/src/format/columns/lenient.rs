//! What Flink takes for a value where it makes NULL of those that it does not: `ignore-parse-errors`.

use arrow_schema::DataType;

use super::Column;
use super::values::Values;

impl Column {
    /// The text to read a value from; `None` of a form that Flink has no value for, although it is read where errors are not ignored.
    pub(crate) fn lenient_text<'a>(&self, text: &'a [u8], json: bool) -> Option<&'a [u8]> {
        let trimmed = text.trim_ascii();
        let is_trimmed = trimmed.len() == text.len();
        match &self.values {
            // What is not true is false.
            Values::Boolean(_) => {
                Some(if trimmed.eq_ignore_ascii_case(b"true") { b"true" } else { b"false" })
            }
            Values::Decimal(..) if !json => is_trimmed.then_some(text),
            Values::Date(_) => is_trimmed.then_some(text),
            // With seconds in JSON.
            Values::Time(_) => (is_trimmed && (!json || text.len() > 5)).then_some(text),
            Values::Second(_) | Values::Milli(_) | Values::Micro(_) | Values::Nano(_) => {
                let is_local = matches!(&self.data_type, DataType::Timestamp(_, Some(_)));
                // Those with a time zone are written in that of UTC, the others without any.
                let is_fine = match trimmed.split_at_checked(11) {
                    Some((day, time)) if is_local => time.ends_with(b"Z") && (json || day.ends_with(b" ")),
                    Some((day, time)) => {
                        !time.iter().any(|byte| matches!(byte, b'Z' | b'+' | b'-'))
                            && (json || day.ends_with(b" "))
                    }
                    None => false,
                };
                (is_fine && (is_trimmed || !json)).then_some(text)
            }
            _ => Some(text),
        }
    }

    /// Whether it holds integers of which JSON may say more: those of 32 and 64 bits.
    pub(crate) fn takes_whole(&self) -> bool {
        matches!(self.values, Values::Int32(_) | Values::Int64(_))
    }
}
