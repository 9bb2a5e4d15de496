//! Operators of windows: table functions, aggregations, the first rows of windows.

use std::sync::Arc;

use super::planner::{Planner, aggregate_detail, by, columns, sort_detail};
use super::rank::Ranked;
use super::windows::{WindowBelow, WindowsOf};
use super::{Changes, Distribution, Input, PhysicalId};
use crate::error::{SqlError, SqlResult};
use crate::exec::session::SessionSpec;
use crate::exec::window_aggregate::WindowAggregateSpec;
use crate::exec::window_function::WindowFunctionSpec;
use crate::exec::window_rank::WindowRankSpec;
use crate::expr::Expr;
use crate::functions::aggregate::AggregateCall;
use crate::plan::{Column, Rel, RelKind, Schema, WindowKind, WindowSpec};

impl Planner<'_> {
    /// A windowing table function whose rows are read as they are.
    pub(super) fn window_function(
        &mut self,
        rel: &Rel,
        input: &Rel,
        spec: &WindowSpec,
    ) -> SqlResult<PhysicalId> {
        let node = self.plan(input)?;
        let changes = self.node(node).changes;
        let names = input.schema().names();
        let time = names.get(spec.time).copied().unwrap_or_default();
        let partition: Vec<&str> = spec.partition.iter().map(|column| names[*column]).collect();
        let detail = format!(
            "window=[{}], time_col=[{time}], partition=[{}], select=[{}]",
            spec.kind,
            partition.join(", "),
            rel.schema().names().join(", ")
        );
        let WindowKind::Session { gap } = spec.kind else {
            let operator = WindowFunctionSpec {
                window: spec.kind,
                time: spec.time,
                processing_time: spec.processing_time,
                zone: spec.zone,
                output: columns(rel.schema()),
            };
            let inputs = vec![Input { node, distribution: Distribution::Any }];
            let name = "WindowTableFunction";
            return Ok(self.operator(name, detail, Arc::new(operator), inputs, rel.schema(), changes));
        };
        if !changes.is_insert_only() {
            return Err(of_changes());
        }
        let operator = SessionSpec {
            input: columns(input.schema()),
            gap,
            time: spec.time,
            processing_time: spec.processing_time,
            zone: spec.zone,
            keys: spec.partition.clone(),
            calls: None,
            output: columns(rel.schema()),
        };
        let inputs = vec![Input { node, distribution: by(&spec.partition) }];
        let name = "WindowTableFunction";
        Ok(self.operator(name, detail, Arc::new(operator), inputs, rel.schema(), Changes::INSERT))
    }

    pub(super) fn window_aggregate(
        &mut self,
        rel: &Rel,
        window: &WindowBelow,
        keys: &[usize],
        calls: &[AggregateCall],
    ) -> SqlResult<PhysicalId> {
        let WindowSpec { time, kind, processing_time, zone, .. } = &window.spec;
        // What is computed between the window and its aggregation, then the time attribute.
        let mut exprs = window.exprs.clone();
        let at = exprs.len();
        exprs.push(Expr::column(*time, window.input.schema().logical(*time)));
        let of_time = window.input.schema().column(*time);
        if of_time.and_then(|column| column.time).is_none() {
            return Err(SqlError::semantic(
                "a window needs a time attribute, and its column is none any more",
            ));
        }
        let node = self.plan(&window.input)?;
        if !self.node(node).changes.is_insert_only() {
            return Err(of_changes());
        }
        let mut of_calc: Vec<Column> =
            exprs.iter().enumerate().map(|(i, expr)| Column::new(format!("f{i}"), expr.logical())).collect();
        for (column, name) in of_calc.iter_mut().zip(&window.names) {
            column.name.clone_from(name);
        }
        let calc_schema = Schema::new(of_calc);
        let input_schema = window.input.schema().clone();
        let node = self.calc_over(node, &input_schema, window.predicate.clone(), Some(exprs), &calc_schema);
        // Which of the keys are the window's, and which are columns.
        let plain: Vec<usize> =
            keys.iter().copied().filter(|key| window.parts.iter().all(|(column, _)| column != key)).collect();
        let mut of_output: Vec<Column> =
            plain.iter().filter_map(|key| calc_schema.column(*key)).cloned().collect();
        of_output.extend(calls.iter().map(|call| Column::new(call.name.clone(), call.returns.clone())));
        let ends = of_output.len();
        of_output.extend(window.columns.iter().take(3).cloned());
        let output_schema = Schema::new(of_output);
        let names = calc_schema.names();
        let detail = format!("window=[{kind}], {}", aggregate_detail(&names, &plain, calls));
        let spec: Arc<dyn tidemill_runtime::OperatorFactory> = match kind {
            WindowKind::Session { gap } => Arc::new(SessionSpec {
                input: columns(&calc_schema),
                gap: *gap,
                time: at,
                processing_time: *processing_time,
                zone: *zone,
                keys: plain.clone(),
                calls: Some(calls.to_vec()),
                output: columns(&output_schema),
            }),
            _ => Arc::new(WindowAggregateSpec {
                input: columns(&calc_schema),
                window: *kind,
                attached: false,
                time: at,
                processing_time: *processing_time,
                zone: *zone,
                keys: plain.clone(),
                calls: calls.to_vec(),
                output: columns(&output_schema),
            }),
        };
        let inputs = vec![Input { node, distribution: by(&plain) }];
        let node = self.operator("WindowAggregate", detail, spec, inputs, &output_schema, Changes::INSERT);
        // The columns in the order of the aggregation.
        let exprs = (0..rel.schema().len()).map(|column| {
            let place = match keys.get(column) {
                Some(key) => match window.parts.iter().find(|(column, _)| column == key) {
                    Some((_, part)) => ends + part,
                    None => plain.iter().position(|plain| plain == key).unwrap_or_default(),
                },
                None => plain.len() + column - keys.len(),
            };
            Expr::column(place, output_schema.logical(place))
        });
        let exprs = exprs.collect();
        Ok(self.calc_over(node, &output_schema, None, Some(exprs), rel.schema()))
    }

    /// An aggregation by windows that the rows of `input` say themselves.
    pub(super) fn attached_window_aggregate(
        &mut self,
        rel: &Rel,
        (input, node): (&Rel, PhysicalId),
        windows: &WindowsOf,
        keys: &[usize],
        calls: &[AggregateCall],
    ) -> PhysicalId {
        let schema = input.schema();
        let plain: Vec<usize> = keys.iter().copied().filter(|key| *key != windows.end).collect();
        let mut of_output: Vec<Column> =
            plain.iter().filter_map(|key| schema.column(*key)).cloned().collect();
        of_output.extend(calls.iter().map(|call| Column::new(call.name.clone(), call.returns.clone())));
        let end = of_output.len() + 1;
        let of_window = [windows.start, windows.end, windows.end];
        of_output.extend(of_window.iter().filter_map(|column| schema.column(*column)).cloned());
        let output_schema = Schema::new(of_output);
        let names = schema.names();
        let detail = format!(
            "window=[win_start=[{}], win_end=[{}], {}], {}",
            names[windows.start],
            names[windows.end],
            windows.spec.kind,
            aggregate_detail(&names, &plain, calls)
        );
        let spec = WindowAggregateSpec {
            input: columns(schema),
            window: WindowKind::Tumble { size: 1, offset: 0 },
            attached: true,
            time: windows.end,
            processing_time: false,
            zone: windows.spec.zone,
            keys: plain.clone(),
            calls: calls.to_vec(),
            output: columns(&output_schema),
        };
        let inputs = vec![Input { node, distribution: by(&plain) }];
        let (name, insert) = ("WindowAggregate", Changes::INSERT);
        let node = self.operator(name, detail, Arc::new(spec), inputs, &output_schema, insert);
        let exprs = (0..rel.schema().len()).map(|column| {
            let place = match keys.get(column) {
                Some(key) if *key == windows.end => end,
                Some(key) => plain.iter().position(|plain| plain == key).unwrap_or_default(),
                None => plain.len() + column - keys.len(),
            };
            Expr::column(place, output_schema.logical(place))
        });
        let exprs = exprs.collect();
        self.calc_over(node, &output_schema, None, Some(exprs), rel.schema())
    }

    /// The first rows of each window.
    pub(super) fn window_rank(
        &mut self,
        rel: &Rel,
        (input, node): (&Rel, PhysicalId),
        windows: &WindowsOf,
        ranked: &Ranked,
        schema: &Schema,
    ) -> PhysicalId {
        let RelKind::Over { partition, order, .. } = ranked.over.kind() else { return node };
        let of_input = input.schema();
        let is_time =
            |key: &crate::plan::SortKey| of_input.column(key.column).is_some_and(|c| c.time.is_some());
        let is_deduplication = ranked.last == 1 && matches!(&order[..], [key] if is_time(key));
        let names = of_input.names();
        let shown: Vec<String> = order.iter().map(|key| sort_detail(&names, *key)).collect();
        let of_partition: Vec<&str> = partition.iter().map(|column| names[*column]).collect();
        let detail = format!(
            "window=[win_start=[{}], win_end=[{}], {}], rankRange=[rankStart={}, rankEnd={}], partitionBy=[{}], \
             orderBy=[{}], select=[{}]",
            names[windows.start],
            names[windows.end],
            windows.spec.kind,
            ranked.first,
            ranked.last,
            of_partition.join(", "),
            shown.join(", "),
            schema.names().join(", ")
        );
        let spec = WindowRankSpec {
            input: columns(of_input),
            partition: partition.clone(),
            end: windows.end,
            zone: windows.spec.zone,
            order: order.clone(),
            first: ranked.first,
            last: ranked.last,
            with_number: ranked.uses_number,
            newest_first: is_deduplication && order.first().is_some_and(|key| key.descending),
            output: columns(schema),
        };
        let inputs = vec![Input { node, distribution: by(partition) }];
        let name = if is_deduplication { "WindowDeduplicate" } else { "WindowRank" };
        let node = self.operator(name, detail, Arc::new(spec), inputs, schema, Changes::INSERT);
        let (predicate, exprs) = ranked.calc.clone();
        self.calc_over(node, schema, predicate, Some(exprs), rel.schema())
    }
}

fn of_changes() -> SqlError {
    SqlError::changelog("windows cannot be aggregated over rows that are updated or taken away")
        .hint("aggregate by windows first, or group without a window")
}
