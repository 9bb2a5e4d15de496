//! The table that a query ends in, from the changes that a gateway gives.
//!
//! Rows are kept as the JSON that they came as: equal rows have equal texts. Only those that are left at the end become columns,
//! which are printed as those of a query that ran here.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use serde_json::Value;
use serde_json::value::RawValue;
use tidemill_connectors::{JsonOptions, TimestampFormat, json_rows};
use tidemill_sql::session::MOST_ROWS;
use tidemill_sql::types::{LogicalType, RowField, TypeRoot, arrow};

use super::gateway::{Column, RowKind, Rows};
use crate::Error;

/// A table that changes are applied to.
pub(super) struct ResultTable {
    columns: Option<Vec<(String, LogicalType)>>,
    rows: HashMap<Box<str>, Place>,
    /// The columns by which rows are told apart, where that is known.
    key: Option<Vec<usize>>,
    /// Whether rows that are replaced are taken away first, as one of them was: one may become several, and where a condition
    /// stands between, the new row may come alone.
    retracts: bool,
    /// Whether a row has come that may replace another, which is not known.
    may_replace: bool,
    /// Since updates come without the rows that they replace: the rows by their keys.
    by_key: Option<HashMap<Box<str>, Box<str>>>,
    arrived: u64,
}

/// How often a row is there, and since when.
struct Place {
    count: i64,
    arrived: u64,
    key: Option<Box<str>>,
}

impl ResultTable {
    /// A table whose rows are told apart by the columns `key`, should they have to be.
    pub(super) fn new(key: Option<Vec<usize>>) -> Self {
        Self {
            columns: None,
            rows: HashMap::new(),
            key,
            retracts: false,
            may_replace: false,
            by_key: None,
            arrived: 0,
        }
    }

    /// Applies what a page has brought.
    pub(super) fn apply(&mut self, page: Rows<'_>) -> Result<(), Error> {
        if self.columns.is_none() {
            self.columns = Some(page.columns.iter().map(described).collect::<Result<_, _>>()?);
        }
        for change in page.data {
            self.change(change.kind, &change.fields)?;
        }
        if self.rows.len() > MOST_ROWS {
            return Err(Error::Flink(format!(
                "the result has more than {MOST_ROWS} rows: write it into a table instead, with INSERT INTO"
            )));
        }
        Ok(())
    }

    fn change(&mut self, kind: RowKind, fields: &[&RawValue]) -> Result<(), Error> {
        let (row, key) = (object(fields), self.key_of(fields));
        match kind {
            RowKind::UpdateBefore => self.retracts = true,
            RowKind::UpdateAfter if !self.retracts && self.by_key.is_none() => self.go_by_key(),
            _ => {}
        }
        if let Some(by_key) = &mut self.by_key {
            let Some(key) = key.clone() else { return Ok(()) };
            let replaced = match kind {
                RowKind::Insert | RowKind::UpdateAfter => by_key.insert(key.clone(), row.clone()),
                RowKind::UpdateBefore | RowKind::Delete => by_key.remove(&key),
            };
            if let Some(replaced) = replaced {
                self.add(replaced, -1, None);
            }
            if matches!(kind, RowKind::Insert | RowKind::UpdateAfter) {
                self.add(row, 1, Some(key));
            }
            return Ok(());
        }
        let change = if matches!(kind, RowKind::Insert | RowKind::UpdateAfter) { 1 } else { -1 };
        self.add(row, change, key);
        Ok(())
    }

    fn add(&mut self, row: Box<str>, change: i64, key: Option<Box<str>>) {
        self.arrived += 1;
        let arrived = self.arrived;
        let place = self.rows.entry(row.clone()).or_insert(Place { count: 0, arrived, key });
        place.count += change;
        if place.count == 0 {
            self.rows.remove(&row);
        }
    }

    /// From now on updates replace the row with the same key, where there is one.
    fn go_by_key(&mut self) {
        if self.key.is_none() {
            self.may_replace = true;
            return;
        }
        let rows = self.rows.iter().filter(|(_, place)| place.count > 0);
        self.by_key = Some(rows.filter_map(|(row, place)| Some((place.key.clone()?, row.clone()))).collect());
    }

    fn key_of(&self, fields: &[&RawValue]) -> Option<Box<str>> {
        let mut text = String::new();
        for column in self.key.as_ref()? {
            text.push_str(fields.get(*column)?.get());
            text.push('\u{1f}');
        }
        Some(text.into())
    }

    /// The columns, and the rows in the order in which they came.
    pub(super) fn finish(self) -> Result<(Vec<(String, LogicalType)>, RecordBatch), Error> {
        if self.may_replace && !self.retracts {
            return Err(Error::Flink(
                "Flink sends the updates of this query without the rows that they replace, and by which columns rows are told apart \
                 is not known here: write it into a table with a PRIMARY KEY instead"
                    .to_owned(),
            ));
        }
        let columns = self.columns.unwrap_or_default();
        let mut rows: Vec<(&str, &Place)> = self.rows.iter().map(|(row, place)| (&**row, place)).collect();
        rows.sort_unstable_by_key(|(_, place)| place.arrived);
        // Columns of a query may have the same name.
        let fields: Vec<_> = columns
            .iter()
            .enumerate()
            .map(|(index, (_, logical))| arrow::field(&index.to_string(), logical))
            .collect();
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let format = JsonOptions::new().timestamp_format(TimestampFormat::Iso8601);
        let each = rows
            .iter()
            .flat_map(|(row, place)| std::iter::repeat_n(*row, usize::try_from(place.count).unwrap_or(0)));
        let batch = json_rows(&schema, &format, each).map_err(Error::Result)?;
        Ok((columns, batch))
    }
}

/// A row as an object whose fields are the columns by number.
fn object(fields: &[&RawValue]) -> Box<str> {
    let mut text = String::with_capacity(fields.iter().map(|field| field.get().len() + 6).sum::<usize>() + 2);
    text.push('{');
    for (index, field) in fields.iter().enumerate() {
        text.push_str(if index == 0 { "\"" } else { ",\"" });
        text.push_str(&index.to_string());
        text.push_str("\":");
        text.push_str(field.get());
    }
    text.push('}');
    text.into()
}

fn described(column: &Column) -> Result<(String, LogicalType), Error> {
    match logical_type(&column.logical) {
        Some(logical) => Ok((column.name.clone(), logical)),
        None => Err(Error::Flink(format!(
            "the column '{}' of the result is of the type {}, which cannot be shown: cast it to a string",
            column.name,
            column.logical.get("type").and_then(Value::as_str).unwrap_or("unknown")
        ))),
    }
}

/// A type as a gateway describes it.
fn logical_type(described: &Value) -> Option<LogicalType> {
    let number = |name: &str| described.get(name).and_then(Value::as_u64);
    let small = |name: &str, default: u8| match number(name) {
        None => Some(default),
        Some(number) => u8::try_from(number).ok(),
    };
    let length = || number("length").map_or(Some(1), |length| u32::try_from(length).ok());
    let inner = |name: &str| described.get(name).and_then(logical_type).map(Box::new);
    let root = match described.get("type")?.as_str()? {
        "NULL" => TypeRoot::Null,
        "BOOLEAN" => TypeRoot::Boolean,
        "TINYINT" => TypeRoot::TinyInt,
        "SMALLINT" => TypeRoot::SmallInt,
        "INTEGER" => TypeRoot::Int,
        "BIGINT" => TypeRoot::BigInt,
        "FLOAT" => TypeRoot::Float,
        "DOUBLE" => TypeRoot::Double,
        "DECIMAL" => TypeRoot::Decimal(small("precision", 10)?, small("scale", 0)?),
        "CHAR" => TypeRoot::Char(length()?),
        "VARCHAR" => TypeRoot::Varchar(length()?),
        "BINARY" => TypeRoot::Binary(length()?),
        "VARBINARY" => TypeRoot::Varbinary(length()?),
        "DATE" => TypeRoot::Date,
        "TIME_WITHOUT_TIME_ZONE" => TypeRoot::Time(small("precision", 0)?),
        "TIMESTAMP_WITHOUT_TIME_ZONE" => TypeRoot::Timestamp(small("precision", 6)?),
        "TIMESTAMP_WITH_LOCAL_TIME_ZONE" => TypeRoot::TimestampLtz(small("precision", 6)?),
        "INTERVAL_YEAR_MONTH" => TypeRoot::IntervalMonths,
        "INTERVAL_DAY_TIME" => TypeRoot::IntervalMillis,
        "ARRAY" => TypeRoot::Array(inner("elementType")?),
        "MULTISET" => TypeRoot::Multiset(inner("elementType")?),
        "MAP" => TypeRoot::Map(inner("keyType")?, inner("valueType")?),
        "ROW" => TypeRoot::Row(
            described
                .get("fields")?
                .as_array()?
                .iter()
                .map(|field| {
                    Some(RowField {
                        name: field.get("name")?.as_str()?.to_owned(),
                        field_type: logical_type(field.get("fieldType")?)?,
                    })
                })
                .collect::<Option<_>>()?,
        ),
        _ => return None,
    };
    Some(LogicalType { root, nullable: described.get("nullable").and_then(Value::as_bool).unwrap_or(true) })
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use tidemill_sql::results::write_json_row;

    use super::*;

    /// As a gateway of Flink 2.3.0 has answered to a query of literals.
    const LITERALS: &str = include_str!("../../../tests/data/gateway-literals.json");

    fn printed(table: ResultTable) -> Vec<String> {
        printed_or_refused(table).unwrap()
    }

    fn printed_or_refused(table: ResultTable) -> Result<Vec<String>, String> {
        let (columns, batch) = table.finish().map_err(|error| error.to_string())?;
        let types: Vec<LogicalType> = columns.into_iter().map(|(_, logical)| logical).collect();
        let row = |row| {
            let mut line = String::new();
            write_json_row(&batch, &types, Tz::UTC, row, &mut line);
            line
        };
        Ok((0..batch.num_rows()).map(row).collect())
    }

    #[test]
    fn values_of_all_types_are_read() {
        let results = serde_json::from_str::<Value>(LITERALS).unwrap()["results"].to_string();
        let mut table = ResultTable::new(None);
        table.apply(serde_json::from_str(&results).unwrap()).unwrap();
        assert_eq!(
            printed(table),
            [
                r#"["1.500", 1.0E20, 1.1, [1, 2], {"k": "1.5"}, [1, "x", "2020-01-02"], "10:11:12", "2020-01-01 10:00:00.123456", "2020-01-01 10:00:00.000", "2020-01-01 10:00:00.000", "\u0000�", true, null, "+3 00:00:00.000", "+2-00", "ab  ", "ü\"", 5, "NaN"]"#
            ]
        );
    }

    /// A table of a key and a number, after changes.
    fn after(key: Option<Vec<usize>>, changes: &[(&str, &str, i64)]) -> Result<Vec<String>, String> {
        let columns = r#"[{"name":"k","logicalType":{"type":"VARCHAR","nullable":true,"length":2147483647}},
            {"name":"n","logicalType":{"type":"BIGINT","nullable":false}}]"#;
        let changes: Vec<String> = changes
            .iter()
            .map(|(kind, key, number)| format!(r#"{{"kind":"{kind}","fields":["{key}",{number}]}}"#))
            .collect();
        let page = format!(r#"{{"columns":{columns},"data":[{}]}}"#, changes.join(","));
        let mut table = ResultTable::new(key);
        table.apply(serde_json::from_str(&page).unwrap()).map_err(|error| error.to_string())?;
        printed_or_refused(table)
    }

    #[test]
    fn retractions_are_folded() {
        let changes = [
            ("INSERT", "a", 1),
            ("INSERT", "b", 1),
            ("INSERT", "b", 1),
            ("UPDATE_BEFORE", "a", 1),
            ("UPDATE_AFTER", "a", 2),
            ("DELETE", "b", 1),
        ];
        assert_eq!(after(None, &changes), Ok(vec![r#"["b", 1]"#.to_owned(), r#"["a", 2]"#.to_owned()]));
    }

    #[test]
    fn a_row_that_is_taken_away_may_be_replaced_by_several() {
        let changes = [
            ("INSERT", "a", 1),
            // A condition has kept back what this one replaces.
            ("UPDATE_AFTER", "b", 1),
            ("UPDATE_BEFORE", "a", 1),
            ("UPDATE_AFTER", "a", 1),
            ("UPDATE_AFTER", "a", 1),
            ("UPDATE_BEFORE", "b", 1),
        ];
        assert_eq!(after(None, &changes), Ok(vec![r#"["a", 1]"#.to_owned(); 2]));
    }

    #[test]
    fn updates_without_retractions_go_by_the_key() {
        let changes = [
            ("INSERT", "a", 1),
            ("INSERT", "b", 1),
            ("INSERT", "c", 1),
            ("UPDATE_AFTER", "a", 2),
            ("UPDATE_AFTER", "a", 3),
            ("DELETE", "b", 7),
            ("INSERT", "d", 1),
            ("UPDATE_AFTER", "d", 9),
        ];
        let expected = [r#"["c", 1]"#, r#"["a", 3]"#, r#"["d", 9]"#].map(str::to_owned);
        assert_eq!(after(Some(vec![0]), &changes), Ok(expected.to_vec()));
        let error = after(None, &changes).unwrap_err();
        assert!(error.contains("without the rows that they replace"), "{error}");
    }

    #[test]
    fn types_that_cannot_be_shown_are_refused() {
        let page = r#"{"columns":[{"name":"v","logicalType":{"type":"VARIANT","nullable":true}}],"data":[]}"#;
        let error =
            ResultTable::new(None).apply(serde_json::from_str(page).unwrap()).unwrap_err().to_string();
        assert!(error.contains("'v'") && error.contains("VARIANT"), "{error}");
    }
}
