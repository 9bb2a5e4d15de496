//! The time that the values of a partition say.

use chrono::{NaiveDate, NaiveDateTime, TimeZone};
use tidemill_core::time::Timestamp;

use crate::error::ConnectorError;

/// How the time of a partition follows from its values: they are put into a pattern, which gives a timestamp such as
/// `2020-01-31 12:00:00`, or a date.
///
/// ```
/// use tidemill_connectors::PartitionTime;
///
/// let hours = PartitionTime::default().pattern("$dt $hour:00:00");
/// assert_ne!(hours, PartitionTime::default());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionTime {
    pattern: Option<String>,
    zone: chrono_tz::Tz,
}

impl Default for PartitionTime {
    fn default() -> Self {
        Self { pattern: None, zone: chrono_tz::UTC }
    }
}

impl PartitionTime {
    /// The pattern, in which `$column` stands for the value of a column (`partition.time-extractor.timestamp-pattern`); the first
    /// column alone unless set.
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        self.pattern = Some(pattern.into());
        self
    }

    /// The time zone that the values are in (`sink.partition-commit.watermark-time-zone`, UTC unless set).
    ///
    /// # Errors
    /// When there is no such zone.
    pub fn zone(mut self, name: &str) -> Result<Self, ConnectorError> {
        self.zone = name.parse().map_err(|_| {
            ConnectorError::InvalidOption(format!(
                "'{name}' is no time zone: write its name, such as 'Europe/Berlin' or 'UTC'"
            ))
        })?;
        Ok(self)
    }

    /// The time of a partition with these values.
    pub(super) fn of(&self, keys: &[String], values: &[Option<String>]) -> Result<Timestamp, ConnectorError> {
        let value = |index: usize| values.get(index).and_then(Option::as_deref).unwrap_or_default();
        let text = match &self.pattern {
            None => value(0).to_owned(),
            Some(pattern) => {
                // The longest name first: `$hour` is not `$h` with something behind it.
                let mut order: Vec<usize> = (0..keys.len()).collect();
                order.sort_by_key(|index| std::cmp::Reverse(keys[*index].len()));
                let mut text = pattern.clone();
                for index in order {
                    text = text.replace(&format!("${}", keys[index]), value(index));
                }
                text
            }
        };
        let time = parse(&text).ok_or_else(|| {
            ConnectorError::InvalidOption(format!(
                "the time of a partition is '{text}', which is no timestamp such as 2020-01-31 12:00:00: say how it follows from \
                 the values by 'partition.time-extractor.timestamp-pattern'"
            ))
        })?;
        // Of an hour that a clock shows twice the first, of one that it leaves out the one before it.
        let zoned = self.zone.from_local_datetime(&time).earliest();
        Ok(zoned.map_or_else(|| time.and_utc().timestamp_millis(), |zoned| zoned.timestamp_millis()))
    }
}

fn parse(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim();
    let with_time = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let found = with_time.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    found.or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(extractor: &PartitionTime, values: &[&str]) -> Result<Timestamp, ConnectorError> {
        let keys = ["dt".to_owned(), "h".to_owned(), "hour".to_owned()];
        let values: Vec<Option<String>> = values.iter().map(|value| Some((*value).to_owned())).collect();
        extractor.of(&keys, &values)
    }

    #[test]
    fn times_follow_from_values() {
        let first = PartitionTime::default();
        assert_eq!(time(&first, &["1970-01-02"]).unwrap(), 86_400_000);
        assert_eq!(time(&first, &["1970-1-1 0:0:1.5"]).unwrap(), 1500);
        let hours = PartitionTime::default().pattern("$dt $hour:$h:00");
        assert_eq!(time(&hours, &["1970-01-01", "30", "2"]).unwrap(), 9_000_000);
        let berlin = hours.zone("Europe/Berlin").unwrap();
        assert_eq!(time(&berlin, &["1970-01-01", "30", "2"]).unwrap(), 5_400_000);
        assert!(PartitionTime::default().zone("Mars").is_err());
        let error = time(&first, &["tomorrow"]).unwrap_err().to_string();
        assert!(error.contains("'tomorrow'") && error.contains("timestamp-pattern"), "{error}");
    }
}
