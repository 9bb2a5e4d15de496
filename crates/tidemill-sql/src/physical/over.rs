//! Functions of `OVER`.

use std::sync::Arc;

use super::planner::{Planner, by, columns, sort_detail};
use super::{Changes, Input, PhysicalId};
use crate::error::{SqlError, SqlResult};
use crate::exec::over::OverSpec;
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
        let of_order = match order {
            [key] if !key.descending => input.schema().column(key.column).and_then(|column| column.time),
            _ => None,
        };
        let (Some(attribute), [key]) = (of_order, order) else {
            return Err(SqlError::unsupported("the rows of OVER must be in the ascending order of a time attribute")
                .hint("ORDER BY a column with a WATERMARK, or one AS PROCTIME(); other orders need a filter on ROW_NUMBER(), such as WHERE row_num <= 10"));
        };
        if calls.iter().any(|call| matches!(call, OverCall::Lag { offset, .. } if *offset < 0)) {
            return Err(SqlError::unsupported(
                "LEAD is not supported on a stream: what follows has not come yet",
            )
            .hint("LAG looks back, with the order turned around in the question"));
        }
        let node = self.plan(input)?;
        if !self.node(node).changes.is_insert_only() {
            return Err(SqlError::changelog(
                "functions of OVER cannot be computed over rows that are updated or taken away",
            ));
        }
        let is_event_time = attribute == TimeAttribute::Row;
        // By the clock each row is on its own, as in Flink.
        let by_row = Frame::Rows(None);
        let frame = if !is_event_time && *frame == Frame::Range(None) { &by_row } else { frame };
        let names = input.schema().names();
        let partitioned: Vec<&str> = partition.iter().map(|column| names[*column]).collect();
        let range = match frame {
            Frame::Range(None) => "RANG BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_owned(),
            Frame::Range(Some(width)) => format!("RANG BETWEEN {width} PRECEDING AND CURRENT ROW"),
            Frame::Rows(None) => "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_owned(),
            Frame::Rows(Some(rows)) => format!("ROWS BETWEEN {rows} PRECEDING AND CURRENT ROW"),
        };
        let shown: Vec<String> = calls.iter().map(|call| shown(call, &names)).collect();
        let detail = format!(
            "partitionBy=[{}], orderBy=[{}], window=[{range}], select=[{}, {}]",
            partitioned.join(", "),
            sort_detail(&names, *key),
            names.join(", "),
            shown.join(", ")
        );
        let spec = OverSpec {
            input: columns(input.schema()),
            partition: partition.to_vec(),
            time: is_event_time.then_some(key.column),
            frame: frame.clone(),
            calls: calls.to_vec(),
            output: columns(rel.schema()),
            ttl: self.settings.ttl,
        };
        let inputs = vec![Input { node, distribution: by(partition) }];
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
