//! Tables whose rows are updated and taken away by what they are read from.
//!
//! Those that say the last row of each primary key, and not the one before, are followed by an operator that keeps it. That is left
//! out where nobody wants more than they say. Conditions on other columns than the key are for that operator: a row that does not
//! fulfil them any more must be taken away.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::planner::{Planner, columns};
use super::sources::SourceChain;
use super::{Changes, Distribution, Input, PhysicalId};
use crate::catalog::Table;
use crate::connector::SourceChanges;
use crate::error::{SqlError, SqlResult};
use crate::exec::changelog_normalize::ChangelogNormalizeSpec;
use crate::expr::Expr;
use crate::plan::{Column, Rel, RelKind, ScanColumn, Schema};

/// The name of the operator.
pub(super) const NORMALIZE: &str = "ChangelogNormalize";

impl Planner<'_> {
    /// A source whose rows are updated.
    pub(super) fn changelog_source(
        &mut self,
        chain: SourceChain,
        output: &Schema,
        changes: SourceChanges,
    ) -> SqlResult<PhysicalId> {
        let table = &chain.scan.table;
        let flowing = match changes {
            SourceChanges::Upsert { key_only_deletes } => {
                Changes { before: false, partial: key_only_deletes, ..Changes::ALL }
            }
            _ => Changes::ALL,
        };
        let is_upsert = flowing.is_by_key();
        if !is_upsert && !self.settings.duplicate_events {
            return self.scan(&chain, output, flowing);
        }
        if table.primary_key.is_empty() {
            return Err(without_key(table, is_upsert));
        }
        let (mut chain, key) = with_key(chain);
        let of_key: BTreeSet<usize> = key.iter().copied().collect();
        let (mut before, mut behind) = (Vec::new(), Vec::new());
        for condition in chain.predicate.take().into_iter().flat_map(Expr::conjuncts) {
            let mut read = BTreeSet::new();
            condition.columns(&mut read);
            let is_of_key = read.is_subset(&of_key) && condition.is_deterministic();
            if is_of_key { before.push(condition) } else { behind.push(condition) }
        }
        // What is read behind the source, which says each column as it is.
        let mut read = of_key;
        chain.exprs.iter().chain(&behind).for_each(|expr| expr.columns(&mut read));
        let read: Vec<usize> = read.into_iter().collect();
        let place = |column: usize| read.binary_search(&column).unwrap_or_default();
        let exprs: Vec<Expr> = chain.exprs.iter().map(|expr| expr.map_columns(&place)).collect();
        let condition = (!behind.is_empty()).then(|| Expr::all(behind).map_columns(&place));
        let key: Vec<usize> = key.into_iter().map(place).collect();
        let all = chain.scanned.schema();
        let kept = Schema::new(read.iter().filter_map(|column| all.column(*column)).cloned().collect());
        chain.predicate = (!before.is_empty()).then(|| Expr::all(before));
        chain.exprs = read.iter().map(|column| Expr::column(*column, all.logical(*column))).collect();

        let has_time = chain.watermark.is_some();
        let node = self.scan(&chain, &kept, flowing)?;
        let names = kept.names();
        let shown: Vec<&str> = key.iter().map(|column| names[*column]).collect();
        let mut detail = format!("key=[{}]", shown.join(", "));
        if let Some(condition) = &condition {
            detail += &format!(", condition=[{}]", condition.shown(&names));
        }
        let is_optional = is_upsert && condition.is_none();
        let spec = ChangelogNormalizeSpec {
            schema: columns(&kept),
            key: key.clone(),
            condition,
            all_changes: has_time,
            update_before: true,
            ttl: self.settings.ttl,
        };
        let after_only = ChangelogNormalizeSpec { update_before: false, ..spec.clone() };
        let inputs = vec![Input { node, distribution: Distribution::Hash(key) }];
        let node = self.operator(NORMALIZE, detail, Arc::new(spec), inputs, &kept, Changes::ALL);
        let node = self.or_after_only(node, after_only);
        if is_optional {
            self.optional.insert(node);
        }
        let is_all = exprs.len() == kept.len()
            && exprs.iter().enumerate().all(|(index, expr)| expr.as_column() == Some(index))
            && kept.names() == output.names();
        if is_all {
            return Ok(node);
        }
        Ok(self.calc_over(node, &kept, None, Some(exprs), output))
    }
}

fn without_key(table: &Table, is_upsert: bool) -> SqlError {
    let error = if is_upsert {
        SqlError::changelog(format!(
            "the table '{}' says updates without their old rows, so it needs a primary key, which tells them apart",
            table.path
        ))
    } else {
        SqlError::changelog(format!(
            "'table.exec.source.cdc-events-duplicate' is true, so the table '{}', whose rows are updated, needs a primary key",
            table.path
        ))
    };
    error.hint("declare PRIMARY KEY (…) NOT ENFORCED")
}

/// The scan with all columns of the primary key, and their places.
fn with_key(chain: SourceChain) -> (SourceChain, Vec<usize>) {
    let SourceChain { mut scan, scanned, watermark, predicate, exprs } = chain;
    let mut of_scan: Vec<Column> = scanned.schema().columns().to_vec();
    let mut key = Vec::new();
    let table = Arc::clone(&scan.table);
    for (index, (_, column)) in
        table.stored().enumerate().filter(|(_, (column, _))| table.primary_key.contains(column))
    {
        let read =
            ScanColumn { index, name: column.name.clone(), metadata: false, logical: column.logical.clone() };
        let place = scan.columns.iter().position(|known| *known == read);
        key.push(place.unwrap_or_else(|| {
            of_scan.push(Column::new(column.name.clone(), column.logical.clone()));
            scan.columns.push(read);
            scan.columns.len() - 1
        }));
    }
    let scanned = Rel::new(Schema::new(of_scan), RelKind::Scan(scan.clone()));
    (SourceChain { scan, scanned, watermark, predicate, exprs }, key)
}
