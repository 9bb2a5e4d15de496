//! Functions of arrays.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};

use super::compare::{Equal, Order, equality, order};
use super::lists::{Lists, Made, gather_nullable, place, shared};
use crate::functions::kernel::{Argument, FunctionContext, Inputs, KernelError, Mismatch, Resolved};
use crate::functions::support::{Want, any_nullable, booleans, null_like, primitives, strings, targets};
use crate::types::coercion::{common_type, is_implicit};
use crate::types::{LogicalType, TypeFamily, TypeRoot};

type Arguments<'a> = &'a [Argument<'a>];

/// The type of the elements of an argument that is an array.
fn element_of(argument: Option<&Argument<'_>>, expects: &str) -> Result<LogicalType, Mismatch> {
    match argument.map(|argument| &argument.logical.root) {
        Some(TypeRoot::Array(element)) => Ok((**element).clone()),
        _ => Err(Mismatch::new(format!("expects {expects}"))),
    }
}

/// The types of the arguments of a function of one array and what `want` says of the others.
fn with_array(
    arguments: Arguments<'_>,
    required: &[Want],
    optional: &[Want],
    expects: &str,
) -> Result<Vec<LogicalType>, Mismatch> {
    let (array, rest) = arguments.split_first().ok_or_else(|| Mismatch::new(format!("expects {expects}")))?;
    element_of(Some(array), expects)?;
    let mut types = vec![array.logical.clone()];
    types.extend(targets(rest, required, optional, expects)?);
    Ok(types)
}

/// The types of an array and a value that may be an element of it.
fn with_element(arguments: Arguments<'_>) -> Result<(Vec<LogicalType>, LogicalType), Mismatch> {
    let expects = "(ARRAY, an element of it)";
    let element = element_of(arguments.first(), expects)?;
    let [array, value] = arguments else { return Err(Mismatch::new(format!("expects {expects}"))) };
    let target = element.clone().with_nullable(element.nullable || value.logical.nullable);
    if !is_implicit(value.logical, &target) {
        return Err(Mismatch::new(format!("expects {expects}, not a value of type {}", value.logical.root)));
    }
    let value_type = target.with_nullable(value.logical.nullable);
    Ok((vec![array.logical.clone(), value_type], element))
}

pub(super) fn constructor(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let mut types = arguments.iter().map(|argument| argument.logical.clone());
    let first = types.next().ok_or_else(|| Mismatch::new("expects at least one element"))?;
    let element = types
        .try_fold(first, |one, two| common_type(&one, &two))
        .ok_or_else(|| Mismatch::new("expects elements that have a type in common"))?;
    let targets =
        arguments.iter().map(|argument| element.clone().with_nullable(argument.logical.nullable)).collect();
    let returns = TypeRoot::Array(Box::new(element)).not_null();
    Ok(Resolved::new(targets, returns, |inputs| {
        let columns: Vec<&ArrayRef> = inputs.iter().map(|input| input.array()).collect();
        let mut made = Made::new(columns, inputs.rows());
        for row in 0..inputs.rows() {
            for (column, input) in inputs.iter().enumerate() {
                made.push(column, input.index(row));
            }
            made.end()?;
        }
        made.finish()
    }))
}

pub(super) fn contains(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let (types, _) = with_element(arguments)?;
    let nullable = types.first().is_some_and(|array| array.nullable);
    Ok(Resolved::new(types, TypeRoot::Boolean.not_null().with_nullable(nullable), |inputs| {
        let (lists, value) = (Lists::new(inputs.get(0)?)?, inputs.get(1)?);
        let equal = equality(lists.elements(), value.array())?;
        booleans(inputs, |row| {
            let Some(mut elements) = lists.get(row) else { return Ok(None) };
            // NULL is found where NULL is looked for.
            let (at, is_null) = (value.index(row), value.is_null(row));
            Ok(Some(elements.any(|element| match (lists.elements().is_null(element), is_null) {
                (false, false) => equal(element, at),
                (one, two) => one && two,
            })))
        })
    }))
}

pub(super) fn position(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let (types, _) = with_element(arguments)?;
    Ok(Resolved::new(types, null_like(TypeRoot::Int, arguments), |inputs| {
        let (lists, value) = (Lists::new(inputs.get(0)?)?, inputs.get(1)?);
        let equal = equality(lists.elements(), value.array())?;
        let places = primitives::<Int32Type>(inputs, |row| {
            let Some(mut elements) = lists.get(row).filter(|_| !value.is_null(row)) else { return Ok(None) };
            let at = value.index(row);
            let found = elements.position(|element| !lists.elements().is_null(element) && equal(element, at));
            Ok(Some(found.map_or(0, |place| i32::try_from(place + 1).unwrap_or(i32::MAX))))
        })?;
        Ok(shared(places))
    }))
}

pub(super) fn remove(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let (types, _) = with_element(arguments)?;
    let returns = types.first().cloned().unwrap_or_else(|| TypeRoot::Null.nullable());
    Ok(Resolved::new(types, returns, |inputs| {
        let (lists, value) = (Lists::new(inputs.get(0)?)?, inputs.get(1)?);
        let equal = equality(lists.elements(), value.array())?;
        let mut made = Made::new(vec![lists.elements()], inputs.rows());
        for row in 0..inputs.rows() {
            let Some(elements) = lists.get(row) else {
                made.null();
                continue;
            };
            let (at, is_null) = (value.index(row), value.is_null(row));
            made.extend(
                0,
                elements.filter(|element| match (lists.elements().is_null(*element), is_null) {
                    (false, false) => !equal(*element, at),
                    (one, two) => !(one && two),
                }),
            );
            made.end()?;
        }
        made.finish()
    }))
}

pub(super) fn append(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    joined(arguments, false)
}

pub(super) fn prepend(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    joined(arguments, true)
}

fn joined(arguments: Arguments<'_>, is_first: bool) -> Result<Resolved, Mismatch> {
    let (types, element) = with_element(arguments)?;
    let nullable = types.first().is_some_and(|array| array.nullable);
    let of_null = types.get(1).is_some_and(|value| value.nullable);
    let element_nullable = element.nullable || of_null;
    let root = TypeRoot::Array(Box::new(element.with_nullable(element_nullable)));
    // As Flink has it: an array that a NULL may be added to may be NULL itself.
    let returns = root.not_null().with_nullable(nullable || of_null);
    Ok(Resolved::new(types, returns, move |inputs| {
        let (lists, value) = (Lists::new(inputs.get(0)?)?, inputs.get(1)?);
        let mut made = Made::new(vec![lists.elements(), value.array()], inputs.rows());
        for row in 0..inputs.rows() {
            let Some(elements) = lists.get(row) else {
                made.null();
                continue;
            };
            if is_first {
                made.push(1, value.index(row));
            }
            made.extend(0, elements);
            if !is_first {
                made.push(1, value.index(row));
            }
            made.end()?;
        }
        made.finish()
    }))
}

/// A function of one array that makes another one of its elements.
fn rearranged(
    types: Vec<LogicalType>,
    rearrange: impl Fn(&Inputs, &Lists<'_>, &mut Made<'_>) -> Result<(), KernelError> + Send + Sync + 'static,
) -> Resolved {
    let nullable = types.iter().any(|argument| argument.nullable);
    let returns = types.first().cloned().unwrap_or_else(|| TypeRoot::Null.nullable()).with_nullable(nullable);
    Resolved::new(types, returns, move |inputs| {
        let lists = Lists::new(inputs.get(0)?)?;
        let mut made = Made::new(vec![lists.elements()], inputs.rows());
        rearrange(inputs, &lists, &mut made)?;
        made.finish()
    })
}

pub(super) fn reverse(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = with_array(arguments, &[], &[], "(ARRAY)")?;
    Ok(rearranged(types, |inputs, lists, made| {
        for row in 0..inputs.rows() {
            match lists.get(row) {
                Some(elements) => {
                    made.extend(0, elements.rev());
                    made.end()?;
                }
                None => made.null(),
            }
        }
        Ok(())
    }))
}

pub(super) fn distinct(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = with_array(arguments, &[], &[], "(ARRAY)")?;
    Ok(rearranged(types, |inputs, lists, made| {
        let elements = lists.elements();
        let equal = equality(elements, elements)?;
        for row in 0..inputs.rows() {
            let Some(range) = lists.get(row) else {
                made.null();
                continue;
            };
            let start = made.len();
            for element in range {
                if !made
                    .since(start)
                    .iter()
                    .any(|(_, other)| same(elements, element, elements, *other, &equal))
                {
                    made.push(0, element);
                }
            }
            made.end()?;
        }
        Ok(())
    }))
}

/// Whether two elements are equal or both NULL.
fn same(
    one: &ArrayRef,
    at: usize,
    two: &ArrayRef,
    other: usize,
    equal: &dyn Fn(usize, usize) -> bool,
) -> bool {
    match (one.is_null(at), two.is_null(other)) {
        (false, false) => equal(at, other),
        (one, two) => one && two,
    }
}

pub(super) fn slice(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = with_array(arguments, &[Want::Integer], &[Want::Integer], "(ARRAY, INT[, INT])")?;
    let has_end = types.len() == 3;
    Ok(rearranged(types, move |inputs, lists, made| {
        let start = inputs.get(1)?.primitive::<Int64Type>()?;
        let end = has_end.then(|| inputs.get(2)?.primitive::<Int64Type>()).transpose()?;
        for row in 0..inputs.rows() {
            let end = end.as_ref().map_or(Some(None), |end| end.get(row).map(Some));
            let (Some(elements), Some(start), Some(end)) = (lists.get(row), start.get(row), end) else {
                made.null();
                continue;
            };
            let count = i64::try_from(elements.len()).unwrap_or(i64::MAX);
            // Both from 1, or from the end when negative; an end of 0 is the first element, as in Flink.
            let from_end = |index: i64| if index < 0 { index.saturating_add(count + 1) } else { index };
            let first = from_end(start).max(1);
            let last = match from_end(end.unwrap_or(count)) {
                0 => 1,
                last => last.min(count),
            };
            if count > 0 && last >= first {
                let skipped = usize::try_from(first - 1).unwrap_or(usize::MAX);
                let taken = usize::try_from(last - first + 1).unwrap_or(0);
                made.extend(0, elements.skip(skipped).take(taken));
            }
            made.end()?;
        }
        Ok(())
    }))
}

/// Refuses arrays of elements that have no order.
fn check_order(element: &LogicalType) -> Result<(), Mismatch> {
    use TypeFamily::{Binary, Character, Date, Null, Numeric, Time, Timestamp};
    match element.root.family() {
        Null | Numeric | Character | Binary | Date | Time | Timestamp => Ok(()),
        _ => Err(Mismatch::new(format!(
            "expects an ARRAY of elements that have an order, not of type {}",
            element.root
        ))),
    }
}

pub(super) fn sort(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let expects = "(ARRAY[, BOOLEAN[, BOOLEAN]])";
    let types = with_array(arguments, &[], &[Want::Boolean, Want::Boolean], expects)?;
    check_order(&element_of(arguments.first(), expects)?)?;
    let count = types.len();
    Ok(rearranged(types, move |inputs, lists, made| {
        let elements = lists.elements();
        let compare = orders(elements)?;
        let ascending = (count > 1).then(|| inputs.get(1)?.boolean()).transpose()?;
        let nulls_first = (count > 2).then(|| inputs.get(2)?.boolean()).transpose()?;
        let mut sorted: Vec<usize> = Vec::new();
        for row in 0..inputs.rows() {
            let is_ascending = ascending.as_ref().map_or(Some(true), |ascending| ascending.get(row));
            // Without a word NULL is less than all.
            let are_first = nulls_first.as_ref().map_or(is_ascending, |first| first.get(row));
            let (Some(range), Some(is_ascending), Some(are_first)) =
                (lists.get(row), is_ascending, are_first)
            else {
                made.null();
                continue;
            };
            sorted.clear();
            sorted.extend(range.clone().filter(|element| !elements.is_null(*element)));
            sorted.sort_by(|one, two| if is_ascending { compare(*one, *two) } else { compare(*two, *one) });
            let nulls = || range.clone().filter(|element| elements.is_null(*element));
            if are_first {
                made.extend(0, nulls());
            }
            made.extend(0, sorted.iter().copied());
            if !are_first {
                made.extend(0, nulls());
            }
            made.end()?;
        }
        Ok(())
    }))
}

/// The types that arrays are cast to that are put together.
fn common_arrays(arguments: Arguments<'_>, least: usize, most: usize) -> Result<Vec<LogicalType>, Mismatch> {
    let expects = if most == 2 { "(ARRAY, ARRAY)" } else { "(ARRAY, …)" };
    if arguments.len() < least || arguments.len() > most {
        return Err(Mismatch::new(format!("expects {expects}")));
    }
    for argument in arguments {
        element_of(Some(argument), expects)?;
    }
    let mut types = arguments.iter().map(|argument| argument.logical.clone());
    let first = types.next().ok_or_else(|| Mismatch::new(format!("expects {expects}")))?;
    let common = types
        .try_fold(first, |one, two| common_type(&one, &two))
        .ok_or_else(|| Mismatch::new("expects arrays of elements that have a type in common"))?;
    Ok(arguments.iter().map(|argument| common.clone().with_nullable(argument.logical.nullable)).collect())
}

/// Adds what is made of the arrays of a row.
type Combine<'a> = Box<dyn Fn(usize, &mut Made<'_>) + 'a>;

/// A function of arrays that puts their elements together.
fn combined(
    types: Vec<LogicalType>,
    combine: impl for<'a> Fn(&'a [Lists<'a>]) -> Result<Combine<'a>, KernelError> + Send + Sync + 'static,
) -> Resolved {
    let nullable = types.iter().any(|argument| argument.nullable);
    let returns = types.first().cloned().unwrap_or_else(|| TypeRoot::Null.nullable()).with_nullable(nullable);
    Resolved::new(types, returns, move |inputs| {
        let lists = inputs.iter().map(Lists::new).collect::<Result<Vec<_>, _>>()?;
        let combine = combine(&lists)?;
        let mut made = Made::new(lists.iter().map(Lists::elements).collect(), inputs.rows());
        for row in 0..inputs.rows() {
            if lists.iter().any(|lists| lists.get(row).is_none()) {
                made.null();
            } else {
                combine(row, &mut made);
                made.end()?;
            }
        }
        made.finish()
    })
}

pub(super) fn concat(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    Ok(combined(common_arrays(arguments, 1, usize::MAX)?, |lists| {
        Ok(Box::new(move |row, made| {
            for (column, lists) in lists.iter().enumerate() {
                made.extend(column, lists.get(row).unwrap_or_default());
            }
        }))
    }))
}

pub(super) fn union(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    Ok(combined(common_arrays(arguments, 2, 2)?, |lists| {
        let equals = Equals::new(lists)?;
        Ok(Box::new(move |row, made| {
            let start = made.len();
            for (column, list) in lists.iter().enumerate() {
                for element in list.get(row).unwrap_or_default() {
                    if !made.since(start).iter().any(|known| equals.same(lists, (column, element), *known)) {
                        made.push(column, element);
                    }
                }
            }
        }))
    }))
}

/// Equality of the elements of different arguments.
struct Equals<'a> {
    /// Of the first argument with all, then of the second with all, and so on.
    pairs: Vec<Equal<'a>>,
}

impl<'a> Equals<'a> {
    fn new(lists: &[Lists<'a>]) -> Result<Self, KernelError> {
        let mut pairs = Vec::with_capacity(lists.len() * lists.len());
        for one in lists {
            for two in lists {
                pairs.push(equality(one.elements(), two.elements())?);
            }
        }
        Ok(Self { pairs })
    }

    /// Whether two elements, each of an argument, are equal or both NULL.
    fn same(&self, lists: &[Lists<'_>], one: (usize, usize), two: (usize, usize)) -> bool {
        let (Some(left), Some(right)) = (lists.get(one.0), lists.get(two.0)) else { return false };
        let equal = self.pairs.get(one.0 * lists.len() + two.0);
        equal.is_some_and(|equal| same(left.elements(), one.1, right.elements(), two.1, equal))
    }
}

pub(super) fn except(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    filtered(arguments, false)
}

pub(super) fn intersect(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    filtered(arguments, true)
}

/// The different elements of the first array that are, or are not, in the second.
fn filtered(arguments: Arguments<'_>, keep: bool) -> Result<Resolved, Mismatch> {
    Ok(combined(common_arrays(arguments, 2, 2)?, move |lists| {
        let equals = Equals::new(lists)?;
        let elements =
            |index: usize, row: usize| lists.get(index).and_then(|lists| lists.get(row)).unwrap_or_default();
        Ok(Box::new(move |row, made| {
            let start = made.len();
            for element in elements(0, row) {
                let is_in = elements(1, row).any(|other| equals.same(lists, (0, element), (1, other)));
                let is_known =
                    || made.since(start).iter().any(|known| equals.same(lists, (0, element), *known));
                if is_in == keep && !is_known() {
                    made.push(0, element);
                }
            }
        }))
    }))
}

pub(super) fn element(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = with_array(arguments, &[], &[], "(ARRAY)")?;
    let returns = element_of(arguments.first(), "(ARRAY)")?.with_nullable(true);
    Ok(Resolved::new(types, returns, |inputs| {
        let lists = Lists::new(inputs.get(0)?)?;
        let mut places = Vec::with_capacity(inputs.rows());
        for row in 0..inputs.rows() {
            let mut elements = lists.get(row).unwrap_or_default();
            if elements.len() > 1 {
                return Err(KernelError("Array has more than one element.".to_owned()));
            }
            places.push(elements.next().map(place).transpose()?);
        }
        gather_nullable(lists.elements(), &places)
    }))
}

pub(super) fn max(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    extreme(arguments, Ordering::Greater)
}

pub(super) fn min(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    extreme(arguments, Ordering::Less)
}

fn extreme(arguments: Arguments<'_>, wanted: Ordering) -> Result<Resolved, Mismatch> {
    let types = with_array(arguments, &[], &[], "(ARRAY)")?;
    let element = element_of(arguments.first(), "(ARRAY)")?;
    check_order(&element)?;
    Ok(Resolved::new(types, element.with_nullable(true), move |inputs| {
        let lists = Lists::new(inputs.get(0)?)?;
        let elements = lists.elements();
        let compare = orders(elements)?;
        let mut places = Vec::with_capacity(inputs.rows());
        for row in 0..inputs.rows() {
            let known = lists.get(row).unwrap_or_default().filter(|element| !elements.is_null(*element));
            let best =
                known.reduce(|best, element| if compare(element, best) == wanted { element } else { best });
            places.push(best.map(place).transpose()?);
        }
        gather_nullable(elements, &places)
    }))
}

/// The order of the elements of a column, which may be all NULL.
fn orders(elements: &ArrayRef) -> Result<Order<'_>, KernelError> {
    if *elements.data_type() == arrow_schema::DataType::Null {
        return Ok(Box::new(|_, _| Ordering::Equal));
    }
    order(elements, elements)
}

pub(super) fn join(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let expects = "(ARRAY<STRING>, STRING[, STRING])";
    let types = with_array(arguments, &[Want::Text], &[Want::Text], expects)?;
    if !element_of(arguments.first(), expects)?.root.is_character() {
        return Err(Mismatch::new(format!("expects {expects}")));
    }
    let has_replacement = types.len() == 3;
    let returns = TypeRoot::STRING.not_null().with_nullable(any_nullable(arguments));
    Ok(Resolved::new(types, returns, move |inputs| {
        use arrow_array::cast::AsArray;
        let (lists, separator) = (Lists::new(inputs.get(0)?)?, inputs.get(1)?.text()?);
        let elements = lists.elements().as_string_opt::<i32>();
        let elements =
            elements.ok_or_else(|| KernelError("the elements of an array are no strings".to_owned()))?;
        let replacement = has_replacement.then(|| inputs.get(2)?.text()).transpose()?;
        strings(inputs, |row, out| {
            let replacement = replacement.as_ref().map_or(Some(None), |text| text.get(row).map(Some));
            let (Some(range), Some(separator), Some(replacement)) =
                (lists.get(row), separator.get(row), replacement)
            else {
                return Ok(false);
            };
            let mut is_first = true;
            for element in range {
                let text =
                    if elements.is_null(element) { replacement } else { Some(elements.value(element)) };
                let Some(text) = text else { continue };
                if !is_first {
                    out.push_str(separator);
                }
                is_first = false;
                out.push_str(text);
            }
            Ok(true)
        })
    }))
}

/// The element of an array with an index.
pub(super) fn item(arguments: Arguments<'_>, element: &LogicalType) -> Result<Resolved, Mismatch> {
    let types = with_array(arguments, &[Want::Integer], &[], "[INT]")?;
    if let Some(index) = arguments.get(1).and_then(|index| index.literal).and_then(whole_number)
        && index < 1
    {
        return Err(Mismatch::new(format!(
            "Array element access needs an index starting at 1 but was {index}."
        )));
    }
    let returns = element.clone().with_nullable(true);
    Ok(Resolved::new(types, returns, |inputs| {
        let (lists, index) = (Lists::new(inputs.get(0)?)?, inputs.get(1)?.primitive::<Int64Type>()?);
        let mut places = Vec::with_capacity(inputs.rows());
        for row in 0..inputs.rows() {
            let found = match (lists.get(row), index.get(row)) {
                (Some(mut elements), Some(index)) => {
                    let index = index.checked_sub(1).and_then(|index| usize::try_from(index).ok());
                    index.and_then(|index| elements.nth(index))
                }
                _ => None,
            };
            places.push(found.map(place).transpose()?);
        }
        gather_nullable(lists.elements(), &places)
    }))
}

fn whole_number(value: &datafusion_common::ScalarValue) -> Option<i64> {
    use datafusion_common::ScalarValue::{Int8, Int16, Int32, Int64};
    match value {
        Int8(number) => number.map(i64::from),
        Int16(number) => number.map(i64::from),
        Int32(number) => number.map(i64::from),
        Int64(number) => *number,
        _ => None,
    }
}

pub(super) fn cardinality(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let [value] = arguments else { return Err(Mismatch::new("expects an ARRAY, MAP or MULTISET")) };
    let is_array = match &value.logical.root {
        TypeRoot::Array(_) => true,
        TypeRoot::Map(..) | TypeRoot::Multiset(_) => false,
        _ => return Err(Mismatch::new("expects an ARRAY, MAP or MULTISET")),
    };
    let is_multiset = matches!(value.logical.root, TypeRoot::Multiset(_));
    let returns = null_like(TypeRoot::Int, arguments);
    Ok(Resolved::new(vec![value.logical.clone()], returns, move |inputs| {
        let input = inputs.get(0)?;
        let to_int = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let counts = if is_array {
            let lists = Lists::new(input)?;
            primitives::<Int32Type>(inputs, |row| Ok(lists.get(row).map(|elements| to_int(elements.len()))))?
        } else {
            let maps = super::lists::Maps::new(input)?;
            let counts = maps.values();
            let counts = is_multiset.then(|| arrow_array::cast::as_primitive_array::<Int32Type>(counts));
            primitives::<Int32Type>(inputs, |row| {
                Ok(maps.get(row).map(|entries| match counts {
                    // An element that is there twice counts twice.
                    Some(counts) => entries.fold(0i32, |sum, entry| sum.saturating_add(counts.value(entry))),
                    None => to_int(entries.len()),
                }))
            })?
        };
        Ok(Arc::new(counts))
    }))
}
