//! Columns, and fields of rows, that nobody reads are not read from the source and not carried along.
//!
//! First each node learns what all its readers want of it; then the plan is built again, each shared node once, with what
//! is wanted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::inputs;
use crate::expr::Expr;
use crate::functions::aggregate::AggregateCall;
use crate::physical::keys::unique_keys;
use crate::plan::{
    Column, MatchSpec, OverCall, Rel, RelKind, Scan, Schema, SortKey, TimeAttribute, WindowSpec,
};
use crate::types::{LogicalType, TypeRoot};

/// What is wanted of a column: all of it, or some fields of a row.
#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    All,
    Fields(BTreeSet<usize>),
}

impl Wanted {
    fn add(&mut self, other: &Wanted) {
        match (&mut *self, other) {
            (Wanted::All, _) => {}
            (_, Wanted::All) => *self = Wanted::All,
            (Wanted::Fields(fields), Wanted::Fields(more)) => fields.extend(more),
        }
    }
}

/// What is wanted of the columns of a node.
type Needs = BTreeMap<usize, Wanted>;

fn need(needs: &mut Needs, column: usize, wanted: &Wanted) {
    needs.entry(column).or_insert_with(|| Wanted::Fields(BTreeSet::new())).add(wanted);
}

fn need_all(needs: &mut Needs, columns: impl IntoIterator<Item = usize>) {
    columns.into_iter().for_each(|column| need(needs, column, &Wanted::All));
}

/// What an expression wants.
fn need_expr(needs: &mut Needs, expr: &Expr) {
    match expr {
        Expr::Column { index, .. } => need(needs, *index, &Wanted::All),
        Expr::Field { input, index, .. } => match &**input {
            Expr::Column { index: column, .. } => {
                need(needs, *column, &Wanted::Fields(BTreeSet::from([*index])));
            }
            other => need_expr(needs, other),
        },
        other => other.children().into_iter().for_each(|child| need_expr(needs, child)),
    }
}

/// Where a column is now, and which of its fields are left.
#[derive(Clone, Debug)]
struct Place {
    index: usize,
    fields: Option<Vec<usize>>,
    logical: LogicalType,
}

type Places = BTreeMap<usize, Place>;

/// The plans without what nobody reads. All columns of the roots are kept.
pub(crate) fn prune(roots: &[Rel]) -> Vec<Rel> {
    let mut needs: HashMap<usize, Needs> = HashMap::new();
    for root in roots {
        let of_root = needs.entry(root.identity()).or_default();
        need_all(of_root, 0..root.schema().len());
    }
    for rel in in_order(roots) {
        let wanted = needs.get(&rel.identity()).cloned().unwrap_or_default();
        for (input, of_input) in inputs(&rel).iter().zip(needs_of_inputs(&rel, &wanted)) {
            let known = needs.entry(input.identity()).or_default();
            of_input.iter().for_each(|(column, wanted)| need(known, *column, wanted));
        }
    }
    let mut rebuild = Rebuild { needs, done: HashMap::new() };
    roots
        .iter()
        .map(|root| {
            let (rel, places) = rebuild.node(root);
            let is_same = rel.schema().len() == root.schema().len()
                && places.iter().all(|(column, place)| *column == place.index && place.fields.is_none());
            if is_same {
                return rel;
            }
            let exprs = root.all_columns().iter().map(|expr| moved(expr, &places)).collect();
            let names = root.schema().names().into_iter().map(str::to_owned).collect();
            rel.project(exprs, names)
        })
        .collect()
}

/// All nodes, each behind all that read it.
fn in_order(roots: &[Rel]) -> Vec<Rel> {
    fn visit(rel: &Rel, seen: &mut BTreeSet<usize>, found: &mut Vec<Rel>) {
        if seen.insert(rel.identity()) {
            inputs(rel).iter().for_each(|input| visit(input, seen, found));
            found.push(rel.clone());
        }
    }
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    roots.iter().for_each(|root| visit(root, &mut seen, &mut found));
    found.reverse();
    found
}

/// What a node wants of its inputs, when `wanted` is wanted of it.
fn needs_of_inputs(rel: &Rel, wanted: &Needs) -> Vec<Needs> {
    let mut one = Needs::new();
    let through = |needs: &mut Needs, width: usize| {
        for (column, what) in wanted.iter().filter(|(column, _)| **column < width) {
            need(needs, *column, what);
        }
    };
    match rel.kind() {
        RelKind::Scan(_) | RelKind::Values { .. } => return Vec::new(),
        RelKind::Project { exprs, .. } => {
            for (column, what) in wanted {
                match exprs.get(*column) {
                    Some(Expr::Column { index, .. }) => need(&mut one, *index, what),
                    Some(expr) => need_expr(&mut one, expr),
                    None => {}
                }
            }
        }
        RelKind::Filter { predicate, .. } => {
            through(&mut one, usize::MAX);
            need_expr(&mut one, predicate);
        }
        RelKind::Watermark { watermark, column, .. } => {
            through(&mut one, usize::MAX);
            need(&mut one, *column, &Wanted::All);
            need_expr(&mut one, watermark);
        }
        RelKind::Aggregate { keys, calls, .. } => {
            need_all(&mut one, keys.iter().copied());
            for (index, call) in calls.iter().enumerate() {
                if wanted.contains_key(&(keys.len() + index)) {
                    need_call(&mut one, call);
                }
            }
        }
        RelKind::Window { input, spec } => {
            let width = input.schema().len();
            need_all(&mut one, wanted.keys().copied().filter(|column| *column < width));
            need_all(&mut one, spec.partition.iter().copied().chain([spec.time]));
        }
        RelKind::Over { input, partition, order, calls, .. } => {
            let width = input.schema().len();
            need_all(&mut one, wanted.keys().copied().filter(|column| *column < width));
            need_all(&mut one, partition.iter().copied());
            need_all(&mut one, order.iter().map(|key| key.column));
            for (index, call) in calls.iter().enumerate() {
                if wanted.contains_key(&(width + index)) {
                    match call {
                        OverCall::Aggregate(call) => need_call(&mut one, call),
                        OverCall::Lag { argument, .. } => need_all(&mut one, [*argument]),
                        _ => {}
                    }
                }
            }
        }
        RelKind::Correlate { input, function, .. } => {
            need_all(&mut one, wanted.keys().copied().filter(|column| *column < input.schema().len()));
            function.arguments.iter().for_each(|argument| need_expr(&mut one, argument));
        }
        RelKind::Match { spec, .. } => need_all(&mut one, wanted_match(spec, wanted).columns()),
        RelKind::Sort { keys, .. } => {
            need_all(&mut one, wanted.keys().copied());
            need_all(&mut one, keys.iter().map(|key| key.column));
        }
        RelKind::Join { left, right, condition, .. } => {
            let mut both = Needs::new();
            need_all(&mut both, wanted.keys().copied());
            need_all(&mut both, columns_of(condition));
            return split(both, left.schema().len(), right.schema().len());
        }
        RelKind::Temporal { left, right, time, condition, .. } => {
            let mut both = Needs::new();
            need_all(&mut both, wanted.keys().copied());
            need_all(&mut both, columns_of(condition).into_iter().chain(columns_of(time)));
            // By its event time the version is found.
            let of_right = right.schema().columns().iter().enumerate();
            let times = of_right.filter(|(_, column)| column.time == Some(TimeAttribute::Row));
            need_all(&mut both, times.map(|(column, _)| left.schema().len() + column));
            return split(both, left.schema().len(), right.schema().len());
        }
        // Each row counts as a whole.
        RelKind::Expand { .. } | RelKind::SetOperation { .. } => {
            return inputs(rel)
                .iter()
                .map(|input| {
                    let mut all = Needs::new();
                    need_all(&mut all, 0..input.schema().len());
                    all
                })
                .collect();
        }
        RelKind::Union { inputs } => {
            need_all(&mut one, wanted.keys().copied());
            return inputs.iter().map(|_| one.clone()).collect();
        }
    }
    vec![one]
}

/// The match with those of its measures that are wanted.
fn wanted_match(spec: &MatchSpec, wanted: &Needs) -> MatchSpec {
    let width = spec.partition.len();
    let kept: Vec<usize> = wanted.keys().filter_map(|column| column.checked_sub(width)).collect();
    MatchSpec { measures: spec.measures.kept(&kept), ..spec.clone() }
}

fn need_call(needs: &mut Needs, call: &AggregateCall) {
    need_all(needs, call.arguments.iter().copied().chain(call.filter));
}

fn columns_of(expr: &Expr) -> BTreeSet<usize> {
    let mut columns = BTreeSet::new();
    expr.columns(&mut columns);
    columns
}

fn split(both: Needs, left: usize, right: usize) -> Vec<Needs> {
    let (mut one, mut two) = (Needs::new(), Needs::new());
    for column in both.into_keys() {
        if column < left {
            need_all(&mut one, [column]);
        } else if column < left + right {
            need_all(&mut two, [column - left]);
        }
    }
    vec![one, two]
}

/// `expr` over columns that have moved.
fn moved(expr: &Expr, places: &Places) -> Expr {
    expr.replace(&mut |expr| match expr {
        Expr::Column { index, .. } => {
            let place = places.get(index)?;
            Some(Expr::Column { index: place.index, logical: place.logical.clone() })
        }
        Expr::Field { input, index, name, logical } => {
            let Expr::Column { index: column, .. } = &**input else { return None };
            let place = places.get(column)?;
            let index = match &place.fields {
                None => *index,
                Some(fields) => fields.iter().position(|field| field == index)?,
            };
            Some(Expr::Field {
                input: Box::new(Expr::Column { index: place.index, logical: place.logical.clone() }),
                index,
                name: name.clone(),
                logical: logical.clone(),
            })
        }
        _ => None,
    })
}

struct Rebuild {
    needs: HashMap<usize, Needs>,
    done: HashMap<usize, (Rel, Places)>,
}

impl Rebuild {
    fn node(&mut self, rel: &Rel) -> (Rel, Places) {
        if let Some(done) = self.done.get(&rel.identity()) {
            return done.clone();
        }
        let (built, places) = self.build(rel);
        let is_same = std::mem::discriminant(built.kind()) == std::mem::discriminant(rel.kind());
        let result = (if is_same { built.with_hints(rel.hints()) } else { built }, places);
        self.done.insert(rel.identity(), result.clone());
        result
    }

    fn wanted(&self, rel: &Rel) -> Needs {
        self.needs.get(&rel.identity()).cloned().unwrap_or_default()
    }

    fn build(&mut self, rel: &Rel) -> (Rel, Places) {
        let wanted = self.wanted(rel);
        let schema = rel.schema();
        match rel.kind() {
            RelKind::Scan(scan) => pruned_scan(rel, scan, &wanted),
            RelKind::Values { rows } => {
                let kept: Vec<usize> = wanted.keys().copied().collect();
                let rows =
                    rows.iter().map(|row| kept.iter().map(|column| row[*column].clone()).collect()).collect();
                (Rel::new(kept_schema(schema, &kept), RelKind::Values { rows }), places_of(schema, &kept, 0))
            }
            RelKind::Project { input, exprs } => {
                let (input, places) = self.node(input);
                let kept: Vec<usize> = wanted.keys().copied().collect();
                let exprs: Vec<Expr> = kept.iter().map(|column| moved(&exprs[*column], &places)).collect();
                let mut result = Places::new();
                for (index, column) in kept.iter().enumerate() {
                    // A row that is passed on has lost the fields that it has lost below.
                    let fields = match rel_expr(rel, *column) {
                        Some(Expr::Column { index, .. }) => {
                            places.get(index).and_then(|place| place.fields.clone())
                        }
                        _ => None,
                    };
                    result.insert(*column, Place { index, fields, logical: exprs[index].logical() });
                }
                let columns = kept.iter().zip(&exprs).filter_map(|(column, expr)| {
                    let column = schema.column(*column)?;
                    Some(Column { logical: expr.logical(), ..column.clone() })
                });
                let schema = Schema::new(columns.collect());
                (Rel::new(schema, RelKind::Project { input, exprs }), result)
            }
            RelKind::Filter { input, predicate } => {
                let (input, places) = self.node(input);
                let predicate = moved(predicate, &places);
                (Rel::new(input.schema().clone(), RelKind::Filter { input, predicate }), places)
            }
            RelKind::Watermark { input, column, watermark } => {
                let (input, places) = self.node(input);
                let watermark = moved(watermark, &places);
                let column = places.get(column).map_or(0, |place| place.index);
                let mut columns = input.schema().columns().to_vec();
                if let Some(column) = columns.get_mut(column) {
                    column.time = Some(crate::plan::TimeAttribute::Row);
                }
                (Rel::new(Schema::new(columns), RelKind::Watermark { input, column, watermark }), places)
            }
            RelKind::Aggregate { input, keys, calls } => {
                let (input, places) = self.node(input);
                let at = |column: usize| places.get(&column).map_or(column, |place| place.index);
                let kept: Vec<usize> =
                    (0..calls.len()).filter(|call| wanted.contains_key(&(keys.len() + call))).collect();
                let kept_columns: Vec<usize> =
                    (0..keys.len()).chain(kept.iter().map(|call| keys.len() + call)).collect();
                let calls = kept.iter().map(|call| moved_call(&calls[*call], &at)).collect();
                let keys = keys.iter().map(|key| at(*key)).collect();
                let kind = RelKind::Aggregate { input, keys, calls };
                (Rel::new(kept_schema(schema, &kept_columns), kind), places_of(schema, &kept_columns, 0))
            }
            RelKind::Window { input, spec } => {
                let width = input.schema().len();
                let (input, places) = self.node(input);
                let at = |column: usize| places.get(&column).map_or(column, |place| place.index);
                let spec = WindowSpec {
                    time: at(spec.time),
                    partition: spec.partition.iter().map(|column| at(*column)).collect(),
                    ..spec.clone()
                };
                let (schema, places) = appended(rel, width, &input, places, |_| true);
                (Rel::new(schema, RelKind::Window { input, spec }), places)
            }
            RelKind::Over { input, partition, order, frame, calls } => {
                let width = input.schema().len();
                let of_input = needs_of_inputs(rel, &wanted).into_iter().next();
                let (input, places) = self.narrowed(input, of_input);
                let at = |column: usize| places.get(&column).map_or(column, |place| place.index);
                let partition = partition.iter().map(|column| at(*column)).collect();
                let order = moved_keys(order, &at);
                let kept =
                    calls.iter().enumerate().filter(|(index, _)| wanted.contains_key(&(width + index)));
                let calls = kept
                    .map(|(_, call)| match call {
                        OverCall::Aggregate(call) => OverCall::Aggregate(moved_call(call, &at)),
                        OverCall::Lag { argument, offset, default, logical } => OverCall::Lag {
                            argument: at(*argument),
                            offset: *offset,
                            default: default.clone(),
                            logical: logical.clone(),
                        },
                        other => other.clone(),
                    })
                    .collect();
                let (schema, places) =
                    appended(rel, width, &input, places, |column| wanted.contains_key(&column));
                let kind = RelKind::Over { input, partition, order, frame: frame.clone(), calls };
                (Rel::new(schema, kind), places)
            }
            RelKind::Correlate { input, function, kind } => {
                let width = input.schema().len();
                let (input, places) = self.node(input);
                let mut function = function.clone();
                function.arguments =
                    function.arguments.iter().map(|argument| moved(argument, &places)).collect();
                let (schema, places) = appended(rel, width, &input, places, |_| true);
                (Rel::new(schema, RelKind::Correlate { input, function, kind: *kind }), places)
            }
            RelKind::Match { input, spec } => {
                let (input, places) = self.node(input);
                let at = |column: usize| places.get(&column).map_or(column, |place| place.index);
                let width = spec.partition.len();
                let kept: Vec<usize> =
                    (0..width).chain(wanted.keys().copied().filter(|column| *column >= width)).collect();
                let spec = Arc::new(wanted_match(spec, &wanted).map_columns(&at));
                let kind = RelKind::Match { input, spec };
                (Rel::new(kept_schema(schema, &kept), kind), places_of(schema, &kept, 0))
            }
            RelKind::Sort { input, keys, offset, fetch } => {
                let of_input = needs_of_inputs(rel, &wanted).into_iter().next();
                let (input, places) = self.narrowed(input, of_input);
                let at = |column: usize| places.get(&column).map_or(column, |place| place.index);
                let keys = moved_keys(keys, &at);
                let kind = RelKind::Sort { input: input.clone(), keys, offset: *offset, fetch: *fetch };
                (Rel::new(input.schema().clone(), kind), places)
            }
            RelKind::Join { left, right, kind, condition } => {
                let mut sides = needs_of_inputs(rel, &wanted).into_iter();
                let width = left.schema().len();
                let (left, right) = (self.narrowed(left, sides.next()), self.narrowed(right, sides.next()));
                let (left, right, places) = beside(width, left, right);
                let condition = moved(condition, &places);
                let joined = Rel::join(left, right, *kind, condition);
                let width = joined.schema().len();
                (joined.clone(), relabelled(places, &joined, width))
            }
            RelKind::Temporal { left, right, kind, time, condition, position } => {
                let of_left = needs_of_inputs(rel, &wanted).into_iter().next();
                // The right side must stay one that versions or rows can be asked of.
                let width = left.schema().len();
                let (left, right) = (self.narrowed(left, of_left), self.node(right));
                let (left, right, places) = beside(width, left, right);
                let (time, condition) = (moved(time, &places), moved(condition, &places));
                let schema =
                    Rel::join(left.clone(), right.clone(), *kind, Expr::boolean(true)).schema().clone();
                let kind =
                    RelKind::Temporal { left, right, kind: *kind, time, condition, position: *position };
                let rel = Rel::new(schema, kind);
                let width = rel.schema().len();
                (rel.clone(), relabelled(places, &rel, width))
            }
            RelKind::Union { inputs } => {
                // All inputs with the same columns in the same order.
                let kept: Vec<usize> = wanted.keys().copied().collect();
                let inputs = inputs
                    .iter()
                    .map(|input| {
                        let (pruned, places) = self.node(input);
                        let exprs: Vec<Expr> = kept
                            .iter()
                            .map(|column| {
                                moved(&Expr::column(*column, input.schema().logical(*column)), &places)
                            })
                            .collect();
                        let is_same = exprs.len() == pruned.schema().len()
                            && exprs.iter().enumerate().all(|(index, expr)| expr.as_column() == Some(index));
                        if is_same {
                            return pruned;
                        }
                        let names = kept.iter().filter_map(|column| input.schema().column(*column));
                        let names = names.map(|column| column.name.clone()).collect();
                        pruned.project(exprs, names)
                    })
                    .collect();
                (Rel::new(kept_schema(schema, &kept), RelKind::Union { inputs }), places_of(schema, &kept, 0))
            }
            RelKind::Expand { .. } | RelKind::SetOperation { .. } => {
                let rebuilt = inputs(rel)
                    .iter()
                    .map(|input| {
                        let (pruned, places) = self.node(input);
                        let exprs =
                            input.all_columns().iter().map(|expr| moved(expr, &places)).collect::<Vec<_>>();
                        let is_same = exprs.len() == pruned.schema().len()
                            && exprs.iter().enumerate().all(|(index, expr)| expr.as_column() == Some(index));
                        if is_same {
                            return pruned;
                        }
                        let names = input.schema().names().into_iter().map(str::to_owned).collect();
                        pruned.project(exprs, names)
                    })
                    .collect();
                let all: Vec<usize> = (0..schema.len()).collect();
                (super::with_inputs(rel, rebuilt), places_of(schema, &all, 0))
            }
        }
    }

    /// The input of a node that keeps its rows, without columns that others want of it, or that were only read on the way.
    ///
    /// Those that tell its rows apart stay: by them, the node finds the one that changes.
    fn narrowed(&mut self, input: &Rel, wanted: Option<Needs>) -> (Rel, Places) {
        let (pruned, mut places) = self.node(input);
        let Some(mut wanted) = wanted else { return (pruned, places) };
        need_all(&mut wanted, unique_keys(input).into_iter().flatten());
        places.retain(|column, _| wanted.contains_key(column));
        if places.len() == pruned.schema().len() {
            return (pruned, places);
        }
        let mut kept: Vec<&mut Place> = places.values_mut().collect();
        kept.sort_by_key(|place| place.index);
        let columns = kept.iter().filter_map(|place| pruned.schema().column(place.index));
        let names = columns.map(|column| column.name.clone()).collect();
        let exprs = kept.iter().map(|place| Expr::column(place.index, place.logical.clone())).collect();
        kept.into_iter().enumerate().for_each(|(index, place)| place.index = index);
        (pruned.project(exprs, names), places)
    }
}

/// Two sides of a join, of which the left one had `width` columns, with the places of the columns of both.
fn beside(
    width: usize,
    (left, mut places): (Rel, Places),
    (right, of_right): (Rel, Places),
) -> (Rel, Rel, Places) {
    let shift = left.schema().len();
    for (column, place) in of_right {
        places.insert(column + width, Place { index: place.index + shift, ..place });
    }
    (left, right, places)
}

/// The types that columns have behind a join, which may make them nullable.
fn relabelled(mut places: Places, rel: &Rel, width: usize) -> Places {
    places.retain(|_, place| place.index < width);
    for place in places.values_mut() {
        place.logical = rel.schema().logical(place.index);
    }
    places
}

fn rel_expr(rel: &Rel, column: usize) -> Option<&Expr> {
    match rel.kind() {
        RelKind::Project { exprs, .. } => exprs.get(column),
        _ => None,
    }
}

/// The columns of a pruned input, then those that the node itself adds and that are kept.
fn appended(
    rel: &Rel,
    width: usize,
    input: &Rel,
    mut places: Places,
    keep: impl Fn(usize) -> bool,
) -> (Schema, Places) {
    let mut columns = input.schema().columns().to_vec();
    for (index, column) in rel.schema().columns().iter().enumerate().skip(width) {
        if keep(index) {
            places
                .insert(index, Place { index: columns.len(), fields: None, logical: column.logical.clone() });
            columns.push(column.clone());
        }
    }
    (Schema::new(columns), places)
}

fn moved_call(call: &AggregateCall, at: &impl Fn(usize) -> usize) -> AggregateCall {
    AggregateCall {
        arguments: call.arguments.iter().map(|column| at(*column)).collect(),
        filter: call.filter.map(at),
        ..call.clone()
    }
}

fn moved_keys(keys: &[SortKey], at: &impl Fn(usize) -> usize) -> Vec<SortKey> {
    keys.iter().map(|key| SortKey { column: at(key.column), ..*key }).collect()
}

fn kept_schema(schema: &Schema, kept: &[usize]) -> Schema {
    Schema::new(kept.iter().filter_map(|column| schema.column(*column)).cloned().collect())
}

fn places_of(schema: &Schema, kept: &[usize], shift: usize) -> Places {
    let place = |(index, column): (usize, &usize)| {
        (*column, Place { index: index + shift, fields: None, logical: schema.logical(*column) })
    };
    kept.iter().enumerate().map(place).collect()
}

/// A scan of what is wanted; of rows, their wanted fields.
fn pruned_scan(rel: &Rel, scan: &Scan, wanted: &Needs) -> (Rel, Places) {
    let mut scan = scan.clone();
    let (mut columns, mut read, mut places) = (Vec::new(), Vec::new(), Places::new());
    for (column, what) in wanted {
        let (Some(of_scan), Some(of_schema)) = (scan.columns.get(*column), rel.schema().column(*column))
        else {
            continue;
        };
        let (mut of_scan, mut of_schema) = (of_scan.clone(), of_schema.clone());
        let mut kept = None;
        if let (Wanted::Fields(fields), TypeRoot::Row(all)) = (what, &of_scan.logical.root)
            && !fields.is_empty()
        {
            let narrowed = fields.iter().filter_map(|field| all.get(*field)).cloned().collect();
            of_scan.logical =
                LogicalType { root: TypeRoot::Row(narrowed), nullable: of_scan.logical.nullable };
            of_schema.logical = of_scan.logical.clone();
            kept = Some(fields.iter().copied().collect());
        }
        places.insert(
            *column,
            Place { index: columns.len(), fields: kept, logical: of_schema.logical.clone() },
        );
        columns.push(of_schema);
        read.push(of_scan);
    }
    scan.columns = read;
    (Rel::new(Schema::new(columns), RelKind::Scan(scan)), places)
}
