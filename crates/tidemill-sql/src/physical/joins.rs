//! Which join a join is: of windows, over an interval of time, with versions of rows, or of all rows there are.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::hints::{shown_ttl, state_ttl};
use super::keys::{unique_keys, upsert_keys_of_sides};
use super::planner::{Planner, by, columns};
use super::rank::Ranked;
use super::windows::windows_of;
use super::{Changes, Input, PhysicalId};
use crate::binder::not_looked_up;
use crate::error::{Position, SqlError, SqlResult};
use crate::exec::interval_join::IntervalJoinSpec;
use crate::exec::join::{JoinSide, JoinSpec};
use crate::exec::temporal_join::TemporalJoinSpec;
use crate::exec::window_join::WindowJoinSpec;
use crate::expr::{Expr, literal};
use crate::plan::{Column, JoinKind, Rel, RelKind, Schema, TimeAttribute};
use crate::types::TypeRoot;

/// The condition of a join, taken apart.
pub(super) struct Condition {
    /// What is equal on both sides.
    pub(super) left: Vec<Expr>,
    pub(super) right: Vec<Expr>,
    /// For each whether NULL equals NULL.
    pub(super) null_safe: Vec<bool>,
    /// What else must hold, over the columns of both sides.
    pub(super) rest: Vec<Expr>,
}

impl Condition {
    pub(super) fn new(condition: &Expr, width: usize) -> Self {
        let mut parts = Self { left: Vec::new(), right: Vec::new(), null_safe: Vec::new(), rest: Vec::new() };
        for part in condition.clone().conjuncts() {
            match equality(&part, width) {
                Some((one, two, null_safe)) => {
                    parts.left.push(one);
                    parts.right.push(two);
                    parts.null_safe.push(null_safe);
                }
                None => parts.rest.push(part),
            }
        }
        parts
    }
}

/// Both sides of a join with the columns of their keys.
struct Sides {
    nodes: [PhysicalId; 2],
    keys: [Vec<usize>; 2],
    schemas: [Schema; 2],
    /// How many columns each had before those of computed keys came behind them.
    plain: [usize; 2],
    both: Schema,
    /// What else must hold, over `both`.
    condition: Option<Expr>,
    /// What it is, as plans show it.
    shown: String,
}

impl Sides {
    fn inputs(&self) -> Vec<Input> {
        let side = |side: usize| Input { node: self.nodes[side], distribution: by(&self.keys[side]) };
        vec![side(0), side(1)]
    }

    fn output(&self, kind: JoinKind) -> Schema {
        if kind.is_semi() { self.schemas[0].clone() } else { self.both.clone() }
    }

    fn detail(&self, kind: JoinKind) -> String {
        format!(
            "joinType=[{}], where=[{}], select=[{}]",
            kind.name(),
            self.shown,
            self.output(kind).names().join(", ")
        )
    }
}

impl Planner<'_> {
    pub(super) fn join(
        &mut self,
        rel: &Rel,
        left: &Rel,
        right: &Rel,
        kind: JoinKind,
        condition: &Expr,
    ) -> SqlResult<PhysicalId> {
        let width = left.schema().len();
        let parts = Condition::new(condition, width);
        let sides =
            self.sides(left, right, parts.left.as_slice(), parts.right.as_slice(), parts.rest.clone())?;
        let changes = sides.nodes.map(|node| self.node(node).changes);
        let is_append = changes.iter().all(|changes| changes.is_insert_only());
        if is_append && let Some(windows) = window_ends(left, right, &sides.keys) {
            return Ok(self.window_join(rel, kind, sides, &windows, parts.null_safe));
        }
        let bounds = Bounds::new(condition, left.schema(), right.schema());
        if !kind.is_semi()
            && let Some(bounds) = bounds
        {
            if !is_append {
                return Err(SqlError::changelog(
                    "rows that are updated or taken away cannot be joined over an interval of time",
                )
                .hint("join before aggregating, or compare a time that is no time attribute"));
            }
            return self.interval_join(rel, (left, right), kind, &parts, &bounds);
        }
        let upsert_keys = upsert_keys_of_sides([left, right], condition, changes);
        Ok(self.regular_join(rel, kind, sides, parts.null_safe, upsert_keys))
    }

    fn regular_join(
        &mut self,
        rel: &Rel,
        kind: JoinKind,
        sides: Sides,
        null_safe: Vec<bool>,
        upsert_keys: Option<[Option<Vec<usize>>; 2]>,
    ) -> PhysicalId {
        let is_by_key = upsert_keys.is_some();
        let upsert_keys = upsert_keys.unwrap_or_default();
        let [of_left, of_right] = sides.nodes.map(|node| self.node(node).changes);
        let hints = rel.hints();
        let side = |side: usize, changes: Changes| JoinSide {
            schema: columns(&sides.schemas[side]),
            keys: sides.keys[side].clone(),
            null_safe: null_safe.clone(),
            retracting: !changes.is_insert_only(),
            upsert_key: upsert_keys[side].clone(),
            ttl: state_ttl(hints.ttl[side].as_ref(), self.settings.ttl),
        };
        let output = sides.output(kind);
        let spec = JoinSpec {
            kind,
            sides: [side(0, of_left), side(1, of_right)],
            condition: sides.condition.clone(),
            both: columns(&sides.both),
            output: columns(&output),
        };
        let changes = match kind {
            JoinKind::Inner => of_left.or(of_right),
            JoinKind::Semi if of_right.is_insert_only() => of_left,
            _ => Changes::ALL,
        };
        let node = self.operator(
            "Join",
            sides.detail(kind) + &shown_ttl(hints),
            Arc::new(spec),
            sides.inputs(),
            &output,
            changes,
        );
        if is_by_key {
            self.joins_by_key.insert(node);
        }
        self.without_keys(rel, node, &sides)
    }

    fn window_join(
        &mut self,
        rel: &Rel,
        kind: JoinKind,
        sides: Sides,
        windows: &JoinedWindows,
        null_safe: Vec<bool>,
    ) -> PhysicalId {
        let output = sides.output(kind);
        let spec = WindowJoinSpec {
            kind,
            schemas: [columns(&sides.schemas[0]), columns(&sides.schemas[1])],
            keys: sides.keys.clone(),
            null_safe,
            ends: windows.ends,
            zone: windows.zone,
            condition: sides.condition.clone(),
            both: columns(&sides.both),
            output: columns(&output),
        };
        let (detail, inputs) = (sides.detail(kind), sides.inputs());
        let node = self.operator("WindowJoin", detail, Arc::new(spec), inputs, &output, Changes::INSERT);
        self.without_keys(rel, node, &sides)
    }

    fn interval_join(
        &mut self,
        rel: &Rel,
        (left, right): (&Rel, &Rel),
        kind: JoinKind,
        parts: &Condition,
        bounds: &Bounds,
    ) -> SqlResult<PhysicalId> {
        if bounds.least > bounds.most {
            return Err(SqlError::semantic(
                "the times of the sides are never within the interval that the condition gives",
            ));
        }
        let sides = self.sides(left, right, &parts.left, &parts.right, bounds.rest.clone())?;
        let spec = IntervalJoinSpec {
            kind,
            schemas: [columns(&sides.schemas[0]), columns(&sides.schemas[1])],
            keys: sides.keys.clone(),
            null_safe: parts.null_safe.clone(),
            times: bounds.times,
            processing_time: bounds.processing_time,
            least: bounds.least,
            most: bounds.most,
            condition: sides.condition.clone(),
            both: columns(&sides.both),
        };
        let detail = format!(
            "joinType=[{}], windowBounds=[isRowTime={}, leftLowerBound={}, leftUpperBound={}, leftTimeIndex={}, \
             rightTimeIndex={}], where=[{}], select=[{}]",
            kind.name(),
            !bounds.processing_time,
            bounds.most.saturating_neg(),
            bounds.least.saturating_neg(),
            bounds.times[0],
            bounds.times[1],
            sides.shown,
            sides.both.names().join(", ")
        );
        let both = sides.both.clone();
        let inputs = sides.inputs();
        let node = self.operator("IntervalJoin", detail, Arc::new(spec), inputs, &both, Changes::INSERT);
        Ok(self.without_keys(rel, node, &sides))
    }

    /// A join `FOR SYSTEM_TIME AS OF` a time of the left.
    pub(super) fn temporal_join(
        &mut self,
        rel: &Rel,
        (left, right): (&Rel, &Rel),
        kind: JoinKind,
        time: &Expr,
        condition: &Expr,
        position: Position,
    ) -> SqlResult<PhysicalId> {
        let of_time = time.as_column().and_then(|column| Some((column, left.schema().column(column)?.time?)));
        let Some((left_time, attribute)) = of_time else {
            return Err(SqlError::semantic("FOR SYSTEM_TIME AS OF takes a time attribute of the left side")
                .hint("a column with a WATERMARK, or one AS PROCTIME(), passed on unchanged")
                .at(position));
        };
        let parts = Condition::new(condition, left.schema().len());
        if parts.left.is_empty() {
            return Err(SqlError::semantic(
                "a join FOR SYSTEM_TIME AS OF needs a condition that columns of both sides are equal",
            )
            .at(position));
        }
        if attribute == TimeAttribute::Processing {
            return self.lookup_join(rel, (left, right), kind, &parts, position);
        }
        let right_time =
            right.schema().columns().iter().position(|column| column.time == Some(TimeAttribute::Row));
        if rel.hints().lookup.is_some() {
            return Err(not_looked_up().at(position));
        }
        let keys = unique_keys(right);
        let (Some(right_time), false) = (right_time, keys.is_empty()) else {
            return Err(SqlError::semantic(
                "a table that is joined FOR SYSTEM_TIME AS OF an event time needs a primary key and an event time",
            )
            .hint("declare PRIMARY KEY (…) NOT ENFORCED and WATERMARK FOR …, or take the last row of each key by ROW_NUMBER")
            .at(position));
        };
        let joined: BTreeSet<usize> = parts.right.iter().filter_map(Expr::as_column).collect();
        if !keys.iter().any(|key| key.is_subset(&joined)) {
            let names = right.schema().names();
            let key: Vec<&str> = keys.iter().flatten().map(|column| names[*column]).collect();
            return Err(SqlError::semantic(format!(
                "the condition of a join FOR SYSTEM_TIME AS OF must have the primary key ({}) equal to something",
                key.join(", ")
            ))
            .at(position));
        }
        // The last row of each key: all rows are its versions, and more of them than a change of the last one says.
        let versions = self.versions(right)?;
        let right = versions.as_ref().unwrap_or(right);
        let sides = self.sides(left, right, &parts.left, &parts.right, parts.rest.clone())?;
        let spec = TemporalJoinSpec {
            is_left: kind == JoinKind::Left,
            schemas: [columns(&sides.schemas[0]), columns(&sides.schemas[1])],
            keys: sides.keys.clone(),
            null_safe: parts.null_safe.clone(),
            times: [left_time, right_time],
            condition: sides.condition.clone(),
            both: columns(&sides.both),
            output: columns(&sides.both),
        };
        let changes = self.node(sides.nodes[0]).changes;
        let (detail, inputs, both) = (sides.detail(kind), sides.inputs(), sides.both.clone());
        let node = self.operator("TemporalJoin", detail, Arc::new(spec), inputs, &both, changes);
        Ok(self.without_keys(rel, node, &sides))
    }

    /// What `rel` takes the last row of each key of, by event time, with the columns of `rel`.
    fn versions(&mut self, rel: &Rel) -> SqlResult<Option<Rel>> {
        let Some(ranked) = Ranked::of(rel) else { return Ok(None) };
        let RelKind::Over { input, order, .. } = ranked.over.kind() else { return Ok(None) };
        let is_newest = ranked.first == 1
            && ranked.last == 1
            && ranked.calc.0.is_none()
            && matches!(&order[..], [key] if key.descending
                && input.schema().column(key.column).is_some_and(|column| column.time == Some(TimeAttribute::Row)));
        if !is_newest {
            return Ok(None);
        }
        let node = self.plan(input)?;
        if !self.node(node).changes.is_insert_only() {
            return Ok(None);
        }
        let names = rel.schema().names().into_iter().map(str::to_owned).collect();
        Ok(Some(input.clone().project(ranked.calc.1, names)))
    }

    /// Both sides with the columns of `keys`.
    fn sides(
        &mut self,
        left: &Rel,
        right: &Rel,
        left_keys: &[Expr],
        right_keys: &[Expr],
        rest: Vec<Expr>,
    ) -> SqlResult<Sides> {
        let width = left.schema().len();
        let (left_node, left_keys, left_width) = self.keyed(left, left_keys)?;
        let (right_node, right_keys, _) = self.keyed(right, right_keys)?;
        // The columns of computed keys stand behind those of each side.
        let shifted = |column: usize| if column < width { column } else { column - width + left_width };
        let condition = (!rest.is_empty()).then(|| Expr::all(rest).map_columns(&shifted));
        let schemas = [self.node(left_node).schema.clone(), self.node(right_node).schema.clone()];
        let mut both: Vec<Column> = schemas[0].columns().to_vec();
        both.extend(schemas[1].columns().iter().cloned());
        let both = Schema::new(both);
        let names = both.names();
        let equal = left_keys.iter().zip(&right_keys);
        let equal = equal.map(|(one, two)| format!("{} = {}", names[*one], names[left_width + *two]));
        let mut shown: Vec<String> = equal.collect();
        shown.extend(condition.iter().map(|condition| condition.shown(&names).to_string()));
        Ok(Sides {
            nodes: [left_node, right_node],
            keys: [left_keys, right_keys],
            schemas,
            plain: [width, right.schema().len()],
            shown: shown.join(" AND "),
            both,
            condition,
        })
    }

    /// The columns of a join without those of computed keys.
    fn without_keys(&mut self, rel: &Rel, node: PhysicalId, sides: &Sides) -> PhysicalId {
        let output = self.node(node).schema.clone();
        if output.len() == rel.schema().len() {
            return node;
        }
        let [left, right] = sides.plain;
        let behind = sides.schemas[0].len();
        let kept = (0..left).chain((0..right).map(|column| behind + column));
        let exprs = kept
            .take(rel.schema().len())
            .map(|column| Expr::column(column, output.logical(column)))
            .collect();
        self.calc_over(node, &output, None, Some(exprs), rel.schema())
    }

    /// `rel` with the columns of `keys`, which are computed where they are none yet; and how many columns it has then.
    pub(super) fn keyed(&mut self, rel: &Rel, keys: &[Expr]) -> SqlResult<(PhysicalId, Vec<usize>, usize)> {
        let node = self.plan(rel)?;
        let mut exprs = rel.all_columns();
        let mut of_keys = Vec::with_capacity(keys.len());
        for key in keys {
            let place = match key.as_column() {
                Some(column) => Some(column),
                None => exprs.iter().position(|known| known == key),
            };
            of_keys.push(place.unwrap_or_else(|| {
                exprs.push(key.clone());
                exprs.len() - 1
            }));
        }
        let width = exprs.len();
        if width == rel.schema().len() {
            return Ok((node, of_keys, width));
        }
        let mut columns = rel.schema().columns().to_vec();
        for (index, expr) in exprs.iter().enumerate().skip(columns.len()) {
            columns.push(Column::new(format!("$k{index}"), expr.logical()));
        }
        let schema = Schema::new(columns);
        let of_input = rel.schema().clone();
        Ok((self.calc_over(node, &of_input, None, Some(exprs), &schema), of_keys, width))
    }
}

/// The windows of a join of windows.
struct JoinedWindows {
    /// Where both sides say that they end.
    ends: [usize; 2],
    /// Whose clock they end by.
    zone: Option<chrono_tz::Tz>,
}

/// The windows of both sides, when they are joined by the window's start and end.
fn window_ends(left: &Rel, right: &Rel, keys: &[Vec<usize>; 2]) -> Option<JoinedWindows> {
    let (of_left, of_right) = (windows_of(left)?, windows_of(right)?);
    let joins = |one: usize, two: usize| keys[0].iter().zip(&keys[1]).any(|pair| pair == (&one, &two));
    let is_joined = of_left.spec.kind == of_right.spec.kind
        && of_left.spec.zone == of_right.spec.zone
        && joins(of_left.start, of_right.start)
        && joins(of_left.end, of_right.end);
    is_joined.then_some(JoinedWindows { ends: [of_left.end, of_right.end], zone: of_left.spec.zone })
}

/// Whether `condition` joins rows of equal windows.
pub(super) fn is_window_join(left: &Rel, right: &Rel, condition: &Expr) -> bool {
    let parts = Condition::new(condition, left.schema().len());
    // What is computed is no column of a window.
    let places = |exprs: &[Expr]| exprs.iter().map(|expr| expr.as_column().unwrap_or(usize::MAX)).collect();
    window_ends(left, right, &[places(&parts.left), places(&parts.right)]).is_some()
}

/// How far the times of both sides may be apart.
struct Bounds {
    times: [usize; 2],
    processing_time: bool,
    /// By how many milliseconds the time on the right is later at least and at most.
    least: i64,
    most: i64,
    /// What else must hold; equalities are not in it.
    rest: Vec<Expr>,
}

impl Bounds {
    /// When the condition bounds the distance of time attributes from below and from above.
    fn new(condition: &Expr, left: &Schema, right: &Schema) -> Option<Self> {
        let width = left.len();
        let mut found: Option<([usize; 2], TimeAttribute)> = None;
        let (mut least, mut most, mut rest) = (None::<i64>, None::<i64>, Vec::new());
        for part in condition.clone().conjuncts() {
            let Some((times, attribute, bound)) = time_bound(&part, left, right) else {
                if equality(&part, width).is_none() {
                    rest.push(part);
                }
                continue;
            };
            if found.get_or_insert((times, attribute)) != &(times, attribute) {
                rest.push(part);
                continue;
            }
            if let Some(bound) = bound.0 {
                least = Some(least.map_or(bound, |least| least.max(bound)));
            }
            if let Some(bound) = bound.1 {
                most = Some(most.map_or(bound, |most| most.min(bound)));
            }
        }
        let (times, attribute) = found?;
        let processing_time = attribute == TimeAttribute::Processing;
        Some(Self { times, processing_time, least: least?, most: most?, rest })
    }
}

/// What a comparison of times says of by how much the right one is later: at least, at most.
fn time_bound(
    condition: &Expr,
    left: &Schema,
    right: &Schema,
) -> Option<([usize; 2], TimeAttribute, (Option<i64>, Option<i64>))> {
    let (name, [one, two]) = condition.as_call()? else { return None };
    let width = left.len();
    let attribute = |column: usize| {
        if column < width { left.column(column)?.time } else { right.column(column - width)?.time }
    };
    let ((one, of_one), (two, of_two)) = (time_and_offset(one)?, time_and_offset(two)?);
    let time = attribute(one)?;
    if attribute(two)? != time {
        return None;
    }
    // one + of_one ? two + of_two, the left side first.
    let (name, (one, of_one), (two, of_two)) = if one < width && two >= width {
        (name, (one, of_one), (two, of_two))
    } else if two < width && one >= width {
        let turned = match name {
            "<" => ">",
            "<=" => ">=",
            ">" => "<",
            ">=" => "<=",
            other => other,
        };
        (turned, (two, of_two), (one, of_one))
    } else {
        return None;
    };
    let distance = of_one.checked_sub(of_two)?;
    let bound = match name {
        "<" => (Some(distance.checked_add(1)?), None),
        "<=" => (Some(distance), None),
        ">" => (None, Some(distance.checked_sub(1)?)),
        ">=" => (None, Some(distance)),
        "=" => (Some(distance), Some(distance)),
        _ => return None,
    };
    Some(([one, two - width], time, bound))
}

/// A column and what is added to it.
fn time_and_offset(expr: &Expr) -> Option<(usize, i64)> {
    if let Some(column) = expr.as_column() {
        return Some((column, 0));
    }
    let (name, arguments) = expr.as_call()?;
    match (name, arguments) {
        ("+", [one, two]) => match (literal::as_millis(one), literal::as_millis(two)) {
            (None, Some(by)) => {
                time_and_offset(one).and_then(|(c, offset)| Some((c, offset.checked_add(by)?)))
            }
            (Some(by), None) => {
                time_and_offset(two).and_then(|(c, offset)| Some((c, offset.checked_add(by)?)))
            }
            _ => None,
        },
        ("-", [one, two]) => {
            let (column, offset) = time_and_offset(one)?;
            Some((column, offset.checked_sub(literal::as_millis(two)?)?))
        }
        // The precision of both sides is made the same; digits that are lost would be another time.
        ("CAST", [one]) if keeps_time(&one.logical().root, &expr.logical().root) => time_and_offset(one),
        _ => None,
    }
}

/// Whether a cast gives the same time, to the millisecond.
fn keeps_time(from: &TypeRoot, to: &TypeRoot) -> bool {
    match (from, to) {
        (TypeRoot::Timestamp(from), TypeRoot::Timestamp(to))
        | (TypeRoot::TimestampLtz(from), TypeRoot::TimestampLtz(to)) => to >= from || *to >= 3,
        _ => false,
    }
}

/// The sides of an equality of an expression over the left columns and one over the right, and whether NULL equals NULL.
fn equality(condition: &Expr, width: usize) -> Option<(Expr, Expr, bool)> {
    let (name, [one, two]) = condition.as_call()? else { return None };
    let null_safe = match name {
        "=" => false,
        "IS NOT DISTINCT FROM" => true,
        _ => return None,
    };
    if one.logical().root != two.logical().root {
        return None;
    }
    let side = |expr: &Expr| {
        let mut columns = std::collections::BTreeSet::new();
        expr.columns(&mut columns);
        match (columns.first(), columns.last()) {
            (Some(_), Some(last)) if *last < width => Some(0),
            (Some(first), Some(_)) if *first >= width => Some(1),
            _ => None,
        }
    };
    let right = |expr: &Expr| expr.map_columns(&|column| column - width);
    match (side(one)?, side(two)?) {
        (0, 1) => Some((one.clone(), right(two), null_safe)),
        (1, 0) => Some((two.clone(), right(one), null_safe)),
        _ => None,
    }
}
