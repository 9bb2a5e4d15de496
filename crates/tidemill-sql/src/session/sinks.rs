//! Sinks: which changes a table takes, and what stands between a query and the connector for that.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use tidemill_core::config::options::{
    NotNullEnforcer, SinkKeyedShuffle, SinkUpsertMaterialize, TABLE_SINK_KEYED_SHUFFLE,
    TABLE_SINK_NOT_NULL_ENFORCER, TABLE_SINK_REQUIRE_ON_CONFLICT, TABLE_SINK_UPSERT_MATERIALIZE,
};
use tidemill_runtime::OperatorFactory;

use super::SqlSession;
use crate::catalog::Table;
use crate::connector::{SinkChanges, SinkRequest, TableOptions, TableSink};
use crate::error::{SqlError, SqlResult};
use crate::exec::constraint_enforcer::ConstraintEnforcerSpec;
use crate::exec::drop_update_before::DropUpdateBeforeSpec;
use crate::exec::sink_materializer::SinkMaterializerSpec;
use crate::parser::statement::OnConflict;
use crate::physical::{
    Changes, Distribution, Input, PhysicalId, PhysicalKind, PhysicalNode, Planner, Wanted, columns,
    upsert_keys,
};
use crate::plan::Rel;

/// A sink with what the session and the table say of it.
pub(super) struct NamedSink {
    name: String,
    sink: TableSink,
    parallelism: Option<u32>,
    /// The columns of the primary key, among those that are written.
    primary_key: Vec<usize>,
    /// The columns that must not be NULL.
    not_null: Vec<(usize, String)>,
    drops_nulls: bool,
    materialize: SinkUpsertMaterialize,
    shuffle: SinkKeyedShuffle,
    needs_on_conflict: bool,
    on_conflict: Option<OnConflict>,
}

impl SqlSession {
    /// The sink of a table.
    pub(super) fn table_sink(
        &self,
        table: &Arc<Table>,
        hints: &[(String, String)],
        on_conflict: Option<OnConflict>,
    ) -> SqlResult<NamedSink> {
        let name = table.path.to_string();
        let mut options = table.options.clone();
        options.extend(hints.iter().cloned());
        let options = TableOptions::new(name.clone(), options);
        let factory = self.connectors.find(&name, &options)?;
        let written: Vec<_> = table.written().collect();
        let fields: Vec<arrow_schema::Field> = written
            .iter()
            .map(|(_, column)| crate::types::arrow::field(&column.name, &column.logical))
            .collect();
        let schema: SchemaRef = Arc::new(arrow_schema::Schema::new(fields));
        let among_written = |columns: &[usize]| -> Vec<usize> {
            columns
                .iter()
                .filter_map(|column| written.iter().position(|(index, _)| index == column))
                .collect()
        };
        let parallelism = options.parsed::<u32>("sink.parallelism", "a positive number")?;
        let primary_key = among_written(&table.primary_key);
        let sink = factory.sink(&SinkRequest {
            table: &name,
            schema,
            options: &options,
            partitioned_by: &among_written(&table.partitioned_by),
            primary_key: &primary_key,
        })?;
        if matches!(sink.changes, SinkChanges::Upsert { .. }) && primary_key.is_empty() {
            return Err(SqlError::changelog(format!(
                "the table '{name}' takes rows by primary key, but declares none"
            ))
            .hint("declare PRIMARY KEY (…) NOT ENFORCED"));
        }
        // A key is never NULL, whatever its columns say.
        let not_null = written
            .iter()
            .enumerate()
            .filter(|(place, (_, column))| !column.logical.nullable || primary_key.contains(place));
        Ok(NamedSink {
            not_null: not_null.map(|(place, (_, column))| (place, column.name.clone())).collect(),
            name,
            sink,
            parallelism,
            primary_key,
            drops_nulls: self.tuned(&TABLE_SINK_NOT_NULL_ENFORCER)? == NotNullEnforcer::Drop,
            materialize: self.tuned(&TABLE_SINK_UPSERT_MATERIALIZE)?,
            shuffle: self.tuned(&TABLE_SINK_KEYED_SHUFFLE)?,
            needs_on_conflict: self.tuned(&TABLE_SINK_REQUIRE_ON_CONFLICT)?,
            on_conflict,
        })
    }
}

impl NamedSink {
    /// Whether `changes` come to the connector by primary key, and whether it is told keys only of rows that are taken away.
    fn by_key(&self, changes: Changes) -> Option<bool> {
        match self.sink.changes {
            SinkChanges::Upsert { key_only_deletes } => Some(key_only_deletes),
            SinkChanges::NoUpdateBefore if !self.primary_key.is_empty() && !changes.is_insert_only() => {
                Some(false)
            }
            _ => None,
        }
    }

    /// Whether rows of several upsert keys may have one primary key, so that all of them must be kept.
    fn materializes(&self, keys: &[BTreeSet<usize>], changes: Changes) -> bool {
        if self.by_key(changes).is_none() {
            return false;
        }
        let is_kept = keys.iter().any(|key| key.iter().all(|column| self.primary_key.contains(column)));
        match self.materialize {
            SinkUpsertMaterialize::None => false,
            SinkUpsertMaterialize::Force => true,
            // Without updates, the last row that comes is the last one without anybody's help.
            SinkUpsertMaterialize::Auto if changes.is_insert_only() => !is_kept && self.on_conflict.is_none(),
            SinkUpsertMaterialize::Auto => !is_kept,
        }
    }

    /// What it wants of the changes of `node`, which has the rows of `rel`.
    pub(super) fn wanted(&self, planner: &Planner<'_>, node: PhysicalId, rel: &Rel) -> Wanted {
        let changes = planner.node(node).changes;
        let Some(key_only_deletes) = self.by_key(changes) else {
            return match self.sink.changes {
                SinkChanges::NoUpdateBefore => Wanted { before: false, full_deletes: true },
                _ => Wanted::ALL,
            };
        };
        let keys = upsert_keys(rel);
        let primary_key: BTreeSet<usize> = self.primary_key.iter().copied().collect();
        let is_exact = keys.contains(&primary_key);
        Wanted {
            before: !is_exact,
            full_deletes: !is_exact || !key_only_deletes || self.materializes(&keys, changes),
        }
    }

    /// Adds what is needed behind `node`, which has the rows of `rel`, when the connector takes the changes that come.
    pub(super) fn add(self, planner: &mut Planner<'_>, node: PhysicalId, rel: &Rel) -> SqlResult<PhysicalId> {
        let changes = planner.node(node).changes;
        let keys = upsert_keys(rel);
        self.check(planner, node, &keys)?;
        let is_by_key = self.by_key(changes).is_some();
        let materializes = self.materializes(&keys, changes);
        let distribution = self.distribution(planner, node, materializes);
        let mut chain = Chain { planner, node, distribution, parallelism: self.parallelism };
        let of_rows = rel.schema();
        let columns_that_may =
            self.not_null.iter().filter(|(column, _)| of_rows.logical(*column).nullable || changes.partial);
        let checked: Vec<(usize, String)> = columns_that_may.cloned().collect();
        if !checked.is_empty() {
            let names: Vec<&str> = checked.iter().map(|(_, name)| name.as_str()).collect();
            let detail = format!("NotNullEnforcer(fields=[{}])", names.join(", "));
            let spec = ConstraintEnforcerSpec {
                columns: checked,
                table: self.name.clone(),
                drops: self.drops_nulls,
                key_of_deletes: changes.partial.then(|| self.primary_key.clone()),
            };
            chain.add("ConstraintEnforcer", detail, Arc::new(spec), changes);
        }
        let names = of_rows.names();
        let shown = |columns: &[usize]| -> String {
            columns.iter().map(|column| names[*column]).collect::<Vec<_>>().join(", ")
        };
        if materializes {
            // The shortest key is the cheapest; an empty one tells nothing apart.
            let upsert_key = keys.iter().filter(|key| !key.is_empty()).min_by_key(|key| key.len());
            let upsert_key: Vec<usize> = upsert_key.into_iter().flatten().copied().collect();
            let detail = format!("pk=[{}], upsertKey=[{}]", shown(&self.primary_key), shown(&upsert_key));
            let spec = SinkMaterializerSpec {
                schema: columns(of_rows),
                primary_key: self.primary_key.clone(),
                upsert_key,
                ttl: chain.planner.settings().ttl,
            };
            let after_only = Changes { before: false, partial: false, ..Changes::ALL };
            chain.add("SinkMaterializer", detail, Arc::new(spec), after_only);
        } else if is_by_key && changes.before {
            let spec = DropUpdateBeforeSpec { primary_key: self.primary_key.clone() };
            let deleting = Changes { before: false, delete: true, ..changes };
            let detail = format!("pk=[{}]", shown(&self.primary_key));
            chain.add("DropUpdateBefore", detail, Arc::new(spec), deleting);
        }
        Ok(chain.end(self))
    }

    /// That the connector takes what comes.
    fn check(&self, planner: &Planner<'_>, node: PhysicalId, keys: &[BTreeSet<usize>]) -> SqlResult<()> {
        let changes = planner.node(node).changes;
        let (name, schema) = (&self.name, &planner.node(node).schema);
        let of_table = schema.names();
        if self.sink.changes == SinkChanges::Insert && !changes.is_insert_only() {
            let by = planner.node(updating(planner, node));
            let (what, changed) = (format!("{}({})", by.name, by.detail), changed(changes));
            let stays = |column: &usize| keys.iter().any(|key| key.contains(column));
            let updated: Vec<String> = (0..of_table.len())
                .filter(|column| changes.update && !keys.is_empty() && !stays(column))
                .map(|column| format!("'{}'", of_table[column]))
                .collect();
            let columns = match &updated[..] {
                [] => String::new(),
                [column] => format!(": the column {column} would change"),
                columns => format!(": the columns {} would change", columns.join(", ")),
            };
            return Err(SqlError::changelog(format!(
                "the table '{name}' takes new rows only, but {what} {changed} rows{columns}"
            ))
            .hint(
                "aggregate by windows, whose results are final; or write to a connector that takes updates",
            ));
        }
        let is_upsert = match self.sink.changes {
            SinkChanges::Upsert { .. } => true,
            SinkChanges::NoUpdateBefore => !self.primary_key.is_empty(),
            _ => false,
        };
        if self.on_conflict.is_some() && !is_upsert {
            return Err(SqlError::semantic(format!(
                "ON CONFLICT stands only where rows are written by primary key, and those of the table '{name}' are not"
            ))
            .hint("leave ON CONFLICT out"));
        }
        if self.by_key(changes).is_none() {
            return Ok(());
        }
        match self.on_conflict {
            Some(OnConflict::Deduplicate) => return Ok(()),
            Some(OnConflict::Error | OnConflict::Nothing) => {
                return Err(SqlError::unsupported(
                    "ON CONFLICT DO ERROR and ON CONFLICT DO NOTHING are not supported",
                )
                .hint("ON CONFLICT DO DEDUPLICATE keeps the last row of each primary key"));
            }
            None => {}
        }
        let key: BTreeSet<usize> = self.primary_key.iter().copied().collect();
        let is_kept = keys.iter().any(|known| known.is_subset(&key));
        if is_kept || self.materialize != SinkUpsertMaterialize::Auto || !self.needs_on_conflict {
            return Ok(());
        }
        let shown = |key: &BTreeSet<usize>| -> String {
            key.iter().map(|column| of_table[*column]).collect::<Vec<_>>().join(", ")
        };
        let of_query = match keys.first() {
            Some(known) => format!("are told apart by ({})", shown(known)),
            None => "have no upsert key".to_owned(),
        };
        Err(SqlError::changelog(format!(
            "the primary key of the table '{name}' is ({}), but the rows of the query {of_query}: which of several rows with the \
             same primary key stays is left to chance",
            shown(&key)
        ))
        .hint(
            "add ON CONFLICT DO DEDUPLICATE to INSERT INTO: the last row of each primary key stays, for which all rows are kept; or SET \
             'table.exec.sink.require-on-conflict' = 'false'",
        ))
    }

    /// How rows come to the sink, or to the first operator before it.
    fn distribution(&self, planner: &Planner<'_>, node: PhysicalId, materializes: bool) -> Distribution {
        let from = planner.node(node);
        if !self.sink.shuffled_by.is_empty() && !materializes {
            return Distribution::Hash(self.sink.shuffled_by.clone());
        }
        let has_key = !self.primary_key.is_empty();
        let own = if from.single { Some(1) } else { from.parallelism };
        let of_sink = if self.parallelism.is_none() && from.single { Some(1) } else { self.parallelism };
        // Changes by key must not be dealt out by turns.
        let loses_order = self.by_key(from.changes).is_some() && own != of_sink && of_sink != Some(1);
        let is_dealt_out = match self.shuffle {
            SinkKeyedShuffle::None => false,
            SinkKeyedShuffle::Auto => self.parallelism.is_some() && self.parallelism != own,
            SinkKeyedShuffle::Force => self.parallelism != Some(1),
        };
        if has_key && (materializes || loses_order || is_dealt_out) {
            Distribution::Hash(self.primary_key.clone())
        } else {
            Distribution::Any
        }
    }
}

/// Operators between a query and a sink, one after the other.
struct Chain<'a, 'b> {
    planner: &'a mut Planner<'b>,
    node: PhysicalId,
    /// How the next one reads what is there.
    distribution: Distribution,
    /// How many subtasks write, if the table says so.
    parallelism: Option<u32>,
}

impl Chain<'_, '_> {
    fn add(
        &mut self,
        name: &'static str,
        detail: String,
        factory: Arc<dyn OperatorFactory>,
        changes: Changes,
    ) {
        let distribution = std::mem::replace(&mut self.distribution, Distribution::Any);
        let schema = self.planner.node(self.node).schema.clone();
        let inputs = vec![Input { node: self.node, distribution }];
        self.node = self.planner.operator(name, detail, factory, inputs, &schema, changes);
        if self.parallelism.is_some()
            && let Some(node) = self.planner.plan.nodes.last_mut()
        {
            // What is dealt out before it stays where it is.
            (node.single, node.parallelism) = (false, self.parallelism);
        }
    }

    /// The sink itself.
    fn end(self, to: NamedSink) -> PhysicalId {
        let Chain { planner, node, distribution, .. } = self;
        let schema = planner.node(node).schema.clone();
        let changes = planner.node(node).changes;
        // As many subtasks write as compute, unless the table says otherwise.
        let single =
            to.parallelism.is_none() && distribution == Distribution::Any && planner.node(node).single;
        planner.add(PhysicalNode {
            name: "Sink",
            detail: format!("table=[{}], fields=[{}]", to.name, schema.names().join(", ")),
            kind: PhysicalKind::Sink(to.sink.operator),
            inputs: vec![Input { node, distribution }],
            schema,
            changes,
            single,
            parallelism: to.parallelism,
        })
    }
}

/// The operator that makes updates of new rows, at or below `node`.
fn updating(planner: &Planner<'_>, node: PhysicalId) -> PhysicalId {
    let mut inputs = planner.node(node).inputs.iter();
    match inputs.find(|input| !planner.node(input.node).changes.is_insert_only()) {
        Some(input) => updating(planner, input.node),
        None => node,
    }
}

/// How a changelog changes rows, in words.
fn changed(changes: Changes) -> &'static str {
    match changes {
        Changes { update: true, delete: true, .. } => "updates and removes",
        Changes { update: true, .. } => "updates",
        _ => "removes",
    }
}
