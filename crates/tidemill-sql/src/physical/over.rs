//! Functions of `OVER`.

use std::sync::Arc;

use super::planner::{Planner, by, columns, sort_detail};
use super::{Changes, Input, PhysicalId};
use crate::error::{SqlError, SqlResult};
use crate::exec::over::OverSpec;
use crate::exec::sorted_over::SortedOverSpec;
use crate::plan::{Frame, OverCall, Rel, SortKey, TimeAttribute};

impl Planner<'_> {
    pub(super) fn over(
        &mut self,
        rel: &Rel,
        input: &Rel,
        partition: &[usize],
        order: &[SortKey],
        frame: &Frame,
        calls: &[OverCall],
    ) -> SqlResult<PhysicalId> {
        if order.is_empty() {
            return Err(SqlError::unsupported("the rows of OVER need an order").hint("add ORDER BY to it"));
        }
        if calls.iter().any(|call| matches!(call, OverCall::Lag { offset, .. } if *offset < 0)) {
            return Err(SqlError::unsupported(
                "LEAD is not supported on a stream: what follows has not come yet",
            )
            .hint("LAG looks back, with the order turned around in the question"));
        }
        let node = self.plan(input)?;
        let time_of = |key: &SortKey| input.schema().column(key.column).and_then(|column| column.time);
        let (time, attribute) = match order {
            [key] if !key.descending && self.node(node).changes.is_insert_only() => {
                (key.column, time_of(key))
            }
            _ => (0, None),
        };
        let is_event_time = attribute == Some(TimeAttribute::Row);
        if attribute.is_none() {
            if order.iter().any(|key| time_of(key) == Some(TimeAttribute::Processing)) {
                return Err(SqlError::unsupported(
                    "the rows of OVER are in the ascending order of processing time only when they are neither updated nor taken away, and by nothing else",
                ));
            }
            if matches!(frame, Frame::Range(Some(_))) {
                return Err(SqlError::unsupported(
                    "a RANGE with a width needs rows in the ascending order of a time attribute that are neither updated nor taken away",
                )
                .hint("ORDER BY a column with a WATERMARK, or one AS PROCTIME(); or count ROWS"));
            }
        }
        // By the clock each row is on its own, as in Flink.
        let by_row = Frame::Rows(None);
        let by_clock = attribute == Some(TimeAttribute::Processing);
        let frame = if by_clock && *frame == Frame::Range(None) { &by_row } else { frame };
        let names = input.schema().names();
        let partitioned: Vec<&str> = partition.iter().map(|column| names[*column]).collect();
        let range = match frame {
            Frame::Range(None) => "RANG BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_owned(),
            Frame::Range(Some(width)) => format!("RANG BETWEEN {width} PRECEDING AND CURRENT ROW"),
            Frame::Rows(None) => "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_owned(),
            Frame::Rows(Some(rows)) => format!("ROWS BETWEEN {rows} PRECEDING AND CURRENT ROW"),
        };
        let sorted: Vec<String> = order.iter().map(|key| sort_detail(&names, *key)).collect();
        let shown: Vec<String> = calls.iter().map(|call| shown(call, &names)).collect();
        let detail = format!(
            "partitionBy=[{}], orderBy=[{}], window=[{range}], select=[{}, {}]",
            partitioned.join(", "),
            sorted.join(", "),
            names.join(", "),
            shown.join(", ")
        );
        let inputs = vec![Input { node, distribution: by(partition) }];
        if attribute.is_none() {
            let spec = SortedOverSpec {
                input: columns(input.schema()),
                partition: partition.to_vec(),
                order: order.to_vec(),
                frame: frame.clone(),
                calls: calls.to_vec(),
                output: columns(rel.schema()),
                ttl: self.settings.ttl,
            };
            let spec = Arc::new(spec);
            return Ok(self.operator("OverAggregate", detail, spec, inputs, rel.schema(), Changes::ALL));
        }
        let spec = OverSpec {
            input: columns(input.schema()),
            partition: partition.to_vec(),
            time: is_event_time.then_some(time),
            frame: frame.clone(),
            calls: calls.to_vec(),
            output: columns(rel.schema()),
            ttl: self.settings.ttl,
        };
        Ok(self.operator("OverAggregate", detail, Arc::new(spec), inputs, rel.schema(), Changes::INSERT))
    }
}

fn shown(call: &OverCall, names: &[&str]) -> String {
    match call {
        OverCall::Aggregate(call) => {
            let arguments: Vec<&str> = call.arguments.iter().map(|column| names[*column]).collect();
            let arguments = if arguments.is_empty() { "*".to_owned() } else { arguments.join(", ") };
            let distinct = if call.distinct { "DISTINCT " } else { "" };
            let filter = call.filter.map(|column| format!(" FILTER {}", names[column])).unwrap_or_default();
            format!("{:?}({distinct}{arguments}){filter} AS {}", call.kind, call.name)
        }
        OverCall::RowNumber => "ROW_NUMBER(*)".to_owned(),
        OverCall::Rank => "RANK(*)".to_owned(),
        OverCall::DenseRank => "DENSE_RANK(*)".to_owned(),
        OverCall::Lag { argument, offset, default, .. } => {
            format!("LAG({}, {offset}, {default})", names[*argument])
        }
    }
}
