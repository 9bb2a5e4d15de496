//! Joins with what a table holds at the moment.

use std::sync::Arc;

use arrow_schema::{Field, Schema as ArrowSchema};
use tidemill_runtime::OperatorFactory;
use tidemill_runtime::source::Source;

use super::hints::LOOKUP_JOIN;
use super::joins::Condition;
use super::lookup_options::{CacheKind, cache_kind, max_retries, partial_cache, reload};
use super::planner::{Planner, by, columns};
use super::sources::SourceChain;
use super::{Distribution, Input, PhysicalId};
use crate::connector::{SourceChanges, SourceRequest, TableFactory};
use crate::error::{Position, SqlError, SqlResult};
use crate::exec::lookup_cache::CacheSettings;
use crate::exec::lookup_join::LookupJoinSpec;
use crate::exec::lookup_pairs::PairSpec;
use crate::exec::lookup_points::{AsyncSettings, Calls, PointLookupSpec, PointSettings, RetryMisses};
use crate::exec::lookup_reload::Reload;
use crate::expr::Expr;
use crate::lookup::{Asynchronous, LookupRequest, TableLookup};
use crate::plan::{Column, JoinKind, LookupHint, Rel, Schema};

/// How a table is looked up.
enum Looked {
    /// It is read whole.
    Whole(Arc<dyn Source>, Option<Reload>),
    /// Its connector is asked for keys.
    Points {
        lookup: TableLookup,
        /// What the table calls its keys.
        names: Vec<String>,
        cache: Option<CacheSettings>,
        max_retries: u32,
    },
}

fn refused() -> SqlError {
    SqlError::unsupported(
        "a join FOR SYSTEM_TIME AS OF processing time needs a table that can be looked up",
    )
    .hint("tables of files can be, and views that only select and filter such a table; for versions by event time use its time attribute")
}

impl Planner<'_> {
    /// A join `FOR SYSTEM_TIME AS OF` processing time.
    pub(super) fn lookup_join(
        &mut self,
        rel: &Rel,
        (left, right): (&Rel, &Rel),
        kind: JoinKind,
        parts: &Condition,
        position: Position,
    ) -> SqlResult<PhysicalId> {
        let at = |error: SqlError| error.at(position);
        // The right side is read by the join itself, so it is no node of the plan.
        let chain = self.source_chain(right).filter(|_| !self.is_shared(right));
        let chain = chain.ok_or_else(|| at(refused()))?;
        let right_keys: Option<Vec<usize>> = parts.right.iter().map(Expr::as_column).collect();
        let Some(right_keys) = right_keys else {
            return Err(SqlError::unsupported(
                "a table is looked up by its columns, not by what is computed of them",
            )
            .hint("compute it in a view over the table")
            .at(position));
        };
        // As the table has them; a table that is read whole is looked up by what a view computes, too.
        let of_table: Option<Vec<usize>> =
            right_keys.iter().map(|key| chain.exprs.get(*key)?.as_column()).collect();
        let hint = rel.hints().lookup.clone();
        let asked = self.ask(&chain, |factory, request| looked(factory, request, of_table.as_deref()));
        let mut asked = asked.map_err(at)?;
        asked.stages.watermark = None;
        // Computed keys are columns behind the others.
        let (left_node, left_keys, left_width) = self.keyed(left, &parts.left)?;
        let left_schema = self.node(left_node).schema.clone();
        let width = left.schema().len();
        let shifted = |column: usize| if column < width { column } else { column - width + left_width };
        let condition = (!parts.rest.is_empty()).then(|| Expr::all(parts.rest.clone()).map_columns(&shifted));
        let mut both: Vec<Column> = left_schema.columns().to_vec();
        both.extend(right.schema().columns().iter().cloned().map(|mut column| {
            column.time = None;
            column
        }));
        let both = Schema::new(both);
        let shuffle = hint.as_ref().is_some_and(|hint| hint.shuffle);
        let changes = self.node(left_node).changes;
        if shuffle && !changes.is_insert_only() {
            return Err(SqlError::unsupported(
                "the hint LOOKUP: rows that are updated or taken away cannot be dealt out by what is looked up",
            )
            .hint("leave 'shuffle' out: changes of a row would overtake one another")
            .at(position));
        }
        let pairs =
            PairSpec { is_left: kind == JoinKind::Left, condition: condition.clone(), both: columns(&both) };
        let mut detail =
            shown(&chain, kind, &both, left_width, (&left_keys, &right_keys), condition.as_ref());
        let spec: Arc<dyn OperatorFactory> = match asked.answer {
            Looked::Whole(source, reload) => {
                if hint.as_ref().is_some_and(|hint| hint.retry.is_some()) {
                    return Err(SqlError::unsupported(
                        "the hint LOOKUP: a table that is kept whole is not looked up again",
                    )
                    .hint("leave the options of retries out; 'lookup.full-cache.periodic-reload.interval' of the table says how often it is read")
                    .at(position));
                }
                Arc::new(LookupJoinSpec {
                    source,
                    stages: asked.stages,
                    keys: [left_keys.clone(), right_keys],
                    null_safe: parts.null_safe.clone(),
                    right: columns(right.schema()),
                    pairs,
                    reload,
                })
            }
            Looked::Points { lookup, names, cache, max_retries } => {
                let of_table = of_table.unwrap_or_default();
                if parts.null_safe.contains(&true) {
                    return Err(SqlError::unsupported(
                        "a table is looked up by keys that are equal, which NULL is not",
                    )
                    .hint("write = instead of IS NOT DISTINCT FROM")
                    .at(position));
                }
                let (calls, asynchronous) = self
                    .calls(&lookup, hint.as_ref(), changes.is_insert_only())
                    .ok_or_else(|| at(refused()))?;
                if let Some(settings) = &asynchronous {
                    detail += &format!(
                        ", async=[{}, KEY_ORDERED: false, {}ms, {}]",
                        if settings.ordered { "ORDERED" } else { "UNORDERED" },
                        settings.timeout.as_millis(),
                        settings.capacity
                    );
                }
                let retry = hint.as_ref().and_then(|hint| hint.retry);
                let settings = PointSettings {
                    asynchronous,
                    retry: retry.map(|(delay, attempts)| RetryMisses { delay, attempts }),
                    max_retries,
                    cache,
                };
                let of_left = columns(&left_schema);
                let of_keys = left_keys.iter().zip(names).map(|(left_key, name)| {
                    Field::new(name, of_left.field(*left_key).data_type().clone(), true)
                });
                Arc::new(PointLookupSpec {
                    calls,
                    settings,
                    keys: left_keys.clone(),
                    asked: Arc::new(ArrowSchema::new(of_keys.collect::<Vec<_>>())),
                    left: of_left,
                    of_table,
                    stages: asked.stages,
                    of_right: right_keys,
                    right: columns(right.schema()),
                    pairs,
                })
            }
        };
        if shuffle {
            detail += ", shuffle=[true]";
        }
        if let Some((delay, attempts)) = hint.and_then(|hint| hint.retry) {
            detail += &format!(", retry=[lookup_miss, FIXED_DELAY, {}ms, {attempts}]", delay.as_millis());
        }
        let distribution = if shuffle { by(&left_keys) } else { Distribution::Any };
        let inputs = vec![Input { node: left_node, distribution }];
        let node = self.operator(LOOKUP_JOIN, detail, spec, inputs, &both, changes);
        if left_width == width {
            return Ok(node);
        }
        let kept = (0..width).chain(left_width..both.len());
        let exprs = kept.map(|column| Expr::column(column, both.logical(column))).collect();
        Ok(self.calc_over(node, &both, None, Some(exprs), rel.schema()))
    }

    /// What is called, and how. As in Flink a wish for what a table cannot do is passed over.
    fn calls(
        &self,
        lookup: &TableLookup,
        hint: Option<&LookupHint>,
        is_insert_only: bool,
    ) -> Option<(Calls, Option<AsyncSettings>)> {
        let session = &self.settings.lookups;
        let is_wanted = hint.and_then(|hint| hint.asynchronous).unwrap_or(true);
        let settings = || AsyncSettings {
            // Changes of one row must not overtake one another.
            ordered: hint.and_then(|hint| hint.ordered).unwrap_or(session.ordered) || !is_insert_only,
            timeout: hint.and_then(|hint| hint.timeout).unwrap_or(session.timeout),
            capacity: hint.and_then(|hint| hint.capacity).unwrap_or(session.capacity),
        };
        match (&lookup.blocking, &lookup.asynchronous) {
            (Some(make), None) => Some((Calls::Blocking { make: Arc::clone(make), threads: 1 }, None)),
            (Some(make), Some(_)) if !is_wanted => {
                Some((Calls::Blocking { make: Arc::clone(make), threads: 1 }, None))
            }
            (_, Some(Asynchronous::Function(make))) => {
                Some((Calls::Function(Arc::clone(make)), Some(settings())))
            }
            (Some(make), Some(Asynchronous::Threads(threads))) => {
                Some((Calls::Blocking { make: Arc::clone(make), threads: *threads }, Some(settings())))
            }
            (None, _) => None,
        }
    }
}

/// How the table of `request` is looked up by the columns `keys`.
fn looked(
    factory: &dyn TableFactory,
    request: &SourceRequest<'_>,
    keys: Option<&[usize]>,
) -> SqlResult<Looked> {
    let options = request.options;
    let kind = cache_kind(options)?;
    if kind != Some(CacheKind::Full)
        && let Some(keys) = keys
        && let Some(lookup) = factory.lookup(&LookupRequest {
            table: request.table,
            schema: Arc::clone(&request.schema),
            keys,
            metadata: request.metadata,
            conditions: request.conditions,
            options,
        })?
    {
        let cache = match kind {
            Some(CacheKind::Partial) => Some(partial_cache(options)?),
            _ => None,
        };
        let names = keys.iter().map(|key| request.schema.field(*key).name().clone()).collect();
        return Ok(Looked::Points { lookup, names, cache, max_retries: max_retries(options)? });
    }
    if let Some(CacheKind::None | CacheKind::Partial) = kind {
        return Err(options.wrong(
            "lookup.cache",
            &format!(
                "tables of the connector '{}' are not looked up key by key, they are kept whole: 'lookup.cache' = 'FULL'",
                factory.identifier()
            ),
        ));
    }
    let source = factory.source(request)?.source;
    // Of a table whose rows are updated the last ones are meant, which reading it whole does not tell.
    if !source.is_bounded() || factory.source_changes(options)? != SourceChanges::Insert {
        return Err(refused());
    }
    Ok(Looked::Whole(source, reload(options)?))
}

/// What a join does, as plans show it.
fn shown(
    chain: &SourceChain,
    kind: JoinKind,
    both: &Schema,
    left_width: usize,
    (left_keys, right_keys): (&[usize], &[usize]),
    condition: Option<&Expr>,
) -> String {
    let names = both.names();
    let equal = left_keys.iter().zip(right_keys);
    let equal: Vec<String> =
        equal.map(|(one, two)| format!("{}={}", names[left_width + *two], names[*one])).collect();
    let mut detail = format!(
        "table=[{}], joinType=[{}], lookup=[{}]",
        chain.scan.table.path,
        kind.name(),
        equal.join(", ")
    );
    if let Some(predicate) = chain.shown_predicate() {
        detail += &format!(", where=[{predicate}]");
    }
    if let Some(condition) = condition {
        detail += &format!(", joinCondition=[{}]", condition.shown(&names));
    }
    detail + &format!(", select=[{}]", names.join(", "))
}
