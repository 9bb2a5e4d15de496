//! Scans: what is done with the batches of a source before any operator.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::{Field, Schema as ArrowSchema, SchemaRef};

use super::calc::calculated;
use super::planner::Planner;
use super::pushdown::pushed;
use super::{Changes, PhysicalId, PhysicalKind, PhysicalNode, Scanned};
use crate::catalog::{ColumnSource, Table, TableColumn};
use crate::connector::{SourceChanges, SourceRequest, TableFactory, TableOptions};
use crate::error::{SqlError, SqlResult, nearest};
use crate::exec::calc::CalcSpec;
use crate::exec::scan::ScanStages;
use crate::expr::Expr;
use crate::expr::compile::arrow_schema;
use crate::plan::{Rel, RelKind, Scan, ScanColumn, Schema};
use crate::types::arrow::data_type;

/// A scan with what is on top of it and can be done by the source.
pub(super) struct SourceChain {
    pub(super) scan: Scan,
    pub(super) scanned: Rel,
    /// Over the columns of the scan.
    pub(super) watermark: Option<Expr>,
    pub(super) predicate: Option<Expr>,
    pub(super) exprs: Vec<Expr>,
}

/// What a connector was asked for, and what is done with the rows that it gives.
pub(super) struct AskedFor<T> {
    pub(super) answer: T,
    pub(super) stages: ScanStages,
    parallelism: Option<u32>,
    /// Whether the connector knows of conditions.
    is_told: bool,
}

impl SourceChain {
    /// What is filtered behind the scan.
    pub(super) fn shown_predicate(&self) -> Option<String> {
        let names = self.scanned.schema().names();
        self.predicate.as_ref().map(|predicate| predicate.shown(&names).to_string())
    }
}

impl Planner<'_> {
    /// A source, when `rel` is a scan with filters, projections and a watermark on top of it that nobody else reads.
    pub(super) fn source(&mut self, rel: &Rel) -> SqlResult<Option<PhysicalId>> {
        let Some(chain) = self.source_chain(rel) else { return Ok(None) };
        let mut options: BTreeMap<String, String> = chain.scan.table.options.clone();
        options.extend(chain.scan.options.iter().cloned());
        let name = chain.scan.table.path.to_string();
        let options = TableOptions::new(name.clone(), options);
        let factory = self.connectors.find(&name, &options)?;
        let node = match factory.source_changes(&options)? {
            SourceChanges::Insert => self.scan(&chain, rel.schema(), Changes::INSERT),
            changes => self.changelog_source(chain, rel.schema(), changes),
        };
        node.map(Some)
    }

    /// The operator that reads a table, and filters and computes columns of its rows.
    pub(super) fn scan(
        &mut self,
        chain: &SourceChain,
        output: &Schema,
        changes: Changes,
    ) -> SqlResult<PhysicalId> {
        let asked = self.ask(chain, |factory, request| factory.source(request))?;
        let AskedFor { answer: source, stages, parallelism, is_told } = asked;
        let table = &chain.scan.table;
        let names = chain.scanned.schema().names();
        let mut detail =
            format!("table=[[{}, {}, {}", table.path.catalog, table.path.database, table.path.name);
        let read: Vec<&str> = chain.scan.columns.iter().map(|column| column.name.as_str()).collect();
        detail += &format!(", project=[{}]", read.join(", "));
        if let Some(predicate) = &stages.calc.predicate {
            detail += &format!(", filter=[{}]", predicate.shown(&names));
        }
        if let Some(watermark) = &stages.watermark {
            detail += &format!(", watermark=[{}]", watermark.shown(&names));
        }
        detail += &format!("]], fields=[{}]", output.names().join(", "));
        let watermark = stages.watermark.as_ref().map(|watermark| watermark.shown(&names).to_string());
        // What a source was told of a filter it may not have read, so its splits are those of that filter.
        let filter = stages.calc.predicate.as_ref().filter(|_| is_told);
        let filter = filter.map(|predicate| predicate.shown(&names).to_string()).unwrap_or_default();
        let watermark = watermark.unwrap_or_default();
        let scanned = Scanned {
            table: format!("{}, watermark=[{watermark}], filter=[{filter}]", table.path),
            columns: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        Ok(self.add(PhysicalNode {
            name: "TableSourceScan",
            detail,
            kind: PhysicalKind::Source { source: source.source, stages, scanned },
            inputs: Vec::new(),
            schema: output.clone(),
            changes,
            single: false,
            parallelism,
        }))
    }

    /// Asks the connector of a scan for something.
    pub(super) fn ask<T>(
        &self,
        chain: &SourceChain,
        ask: impl FnOnce(&dyn TableFactory, &SourceRequest<'_>) -> SqlResult<T>,
    ) -> SqlResult<AskedFor<T>> {
        let table = &chain.scan.table;
        let name = table.path.to_string();
        let mut options: BTreeMap<String, String> = table.options.clone();
        options.extend(chain.scan.options.iter().cloned());
        let options = TableOptions::new(name.clone(), options);
        let factory = self.connectors.find(&name, &options)?;
        let all: Vec<&TableColumn> = table.stored().map(|(_, column)| column).collect();
        let mut fields = Vec::with_capacity(chain.scan.columns.len());
        let mut metadata = Vec::new();
        for (index, column) in chain.scan.columns.iter().enumerate() {
            // As the table calls it: the key of metadata may be the name of another column.
            let name = all.get(column.index).map_or(&column.name, |column| &column.name);
            fields.push(Field::new(name, data_type(&column.logical.root), true));
            if column.metadata {
                let known = factory.metadata();
                if !known.iter().any(|known| known.key == column.name) {
                    return Err(no_metadata(table, factory, column));
                }
                metadata.push((index, column.name.as_str()));
            }
        }
        let schema: SchemaRef = Arc::new(ArrowSchema::new(fields));
        let parallelism = options.parsed::<u32>("scan.parallelism", "a positive number")?;
        let is_physical = |column: &TableColumn| matches!(column.source, ColumnSource::Physical);
        let stored: Vec<&str> = table
            .stored()
            .filter(|(_, column)| is_physical(column))
            .map(|(_, column)| column.name.as_str())
            .collect();
        let partitioned_by: Vec<&str> =
            table.partitioned_by.iter().map(|index| table.columns[*index].name.as_str()).collect();
        let pushed = pushed(&chain.scan, chain.predicate.as_ref())?;
        let is_told = pushed.partitions.is_some() || !pushed.conditions.is_empty();
        let request = SourceRequest {
            table: &name,
            schema,
            stored: &stored,
            partitioned_by: &partitioned_by,
            metadata: &metadata,
            partition_filter: pushed.partitions,
            conditions: &pushed.conditions,
            options: &options,
        };
        let answer = ask(factory, &request)?;
        let input = arrow_schema(chain.scanned.schema().types());
        let stages = ScanStages {
            input: Arc::clone(&input),
            watermark: chain.watermark.clone(),
            calc: CalcSpec { input, predicate: chain.predicate.clone(), exprs: Some(chain.exprs.clone()) },
        };
        stages.check().map_err(|error| SqlError::internal(error.to_string()))?;
        Ok(AskedFor { answer, stages, parallelism, is_told })
    }

    pub(super) fn source_chain(&self, rel: &Rel) -> Option<SourceChain> {
        let stop = |rel: &Rel| self.is_shared(rel);
        let top = calculated(rel, stop);
        let exprs = top.exprs.unwrap_or_else(|| top.input.all_columns());
        // A node that others read, too, is a source of its own.
        if top.input.identity() != rel.identity() && self.is_shared(&top.input) {
            return None;
        }
        match top.input.kind() {
            RelKind::Scan(scan) => Some(SourceChain {
                scan: scan.clone(),
                scanned: top.input.clone(),
                watermark: None,
                predicate: top.predicate,
                exprs,
            }),
            RelKind::Watermark { input, watermark, .. } if !self.is_shared(input) => {
                let below = calculated(input, stop);
                if below.input.identity() != input.identity() && self.is_shared(&below.input) {
                    return None;
                }
                let RelKind::Scan(scan) = below.input.kind() else { return None };
                let of_scan = below.exprs.unwrap_or_else(|| below.input.all_columns());
                if below.predicate.is_some() {
                    return None;
                }
                Some(SourceChain {
                    scan: scan.clone(),
                    scanned: below.input.clone(),
                    watermark: Some(watermark.substitute(&of_scan)),
                    predicate: top.predicate.map(|predicate| predicate.substitute(&of_scan)),
                    exprs: exprs.iter().map(|expr| expr.substitute(&of_scan)).collect(),
                })
            }
            _ => None,
        }
    }
}

fn no_metadata(table: &Table, factory: &dyn TableFactory, column: &ScanColumn) -> SqlError {
    let error = SqlError::semantic(format!(
        "the table '{}' has metadata '{}', which the connector '{}' does not know",
        table.path,
        column.name,
        factory.identifier()
    ));
    let known = factory.metadata();
    if known.is_empty() {
        return error.hint("it has no metadata");
    }
    match nearest(&column.name, known.iter().map(|known| known.key)) {
        Some(near) => error.hint(format!("did you mean '{near}'?")),
        None => {
            let all: Vec<String> =
                known.iter().map(|known| format!("'{}' {}", known.key, known.data_type)).collect();
            error.hint(format!("its metadata is: {}", all.join(", ")))
        }
    }
}
