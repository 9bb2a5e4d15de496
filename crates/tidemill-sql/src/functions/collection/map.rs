//! Functions of maps and rows.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ListArray, StructArray};
use arrow_schema::{DataType, Field};

use super::compare::equality;
use super::lists::{Lists, Maps, gather, gather_nullable, place};
use crate::functions::kernel::{Argument, FunctionContext, KernelError, Mismatch, Resolved};
use crate::functions::support::{ListEnds, any_nullable, unexpected};
use crate::functions::text::maps_of;
use crate::types::arrow::data_type;
use crate::types::coercion::{common_type, is_implicit};
use crate::types::{LogicalType, RowField, TypeRoot};

type Arguments<'a> = &'a [Argument<'a>];

/// The types of the keys and values of an argument that is a map.
fn map_of<'a>(
    argument: Option<&Argument<'a>>,
    expects: &str,
) -> Result<(&'a LogicalType, &'a LogicalType), Mismatch> {
    match argument.map(|argument| &argument.logical.root) {
        Some(TypeRoot::Map(key, value)) => Ok((key, value)),
        _ => Err(Mismatch::new(format!("expects {expects}"))),
    }
}

fn common<'a>(types: impl Iterator<Item = &'a LogicalType>, what: &str) -> Result<LogicalType, Mismatch> {
    let mut types = types.cloned();
    let first = types.next().ok_or_else(|| Mismatch::new("expects at least one key and value"))?;
    types
        .try_fold(first, |one, two| common_type(&one, &two))
        .ok_or_else(|| Mismatch::new(format!("expects {what} that have a type in common")))
}

fn null_key() -> KernelError {
    KernelError("a key of a MAP is NULL".to_owned())
}

/// The column of maps of `root` of these keys and values.
fn maps(root: &TypeRoot, ends: ListEnds, keys: ArrayRef, values: ArrayRef) -> Result<ArrayRef, KernelError> {
    if keys.null_count() > 0 {
        return Err(null_key());
    }
    maps_of(&data_type(root), ends, keys, values)
}

pub(super) fn constructor(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    if !arguments.len().is_multiple_of(2) {
        return Err(Mismatch::new("expects keys and values by turns"));
    }
    let of = |parity: usize| arguments.iter().skip(parity).step_by(2).map(|argument| argument.logical);
    let (key, value) = (common(of(0), "keys")?, common(of(1), "values")?);
    let types = arguments
        .iter()
        .enumerate()
        .map(|(index, argument)| {
            let target = if index % 2 == 0 { &key } else { &value };
            target.clone().with_nullable(argument.logical.nullable)
        })
        .collect();
    // Of literal keys that are equal the last one counts, in the place of the first.
    let mut entries: Vec<(usize, usize)> = Vec::new();
    for index in (0..arguments.len()).step_by(2) {
        let literal = |index: usize| arguments.get(index).and_then(|argument| argument.literal);
        let same = |known: usize| literal(known).is_some() && literal(known) == literal(index);
        match entries.iter_mut().find(|(known, _)| same(*known)) {
            Some(entry) => entry.1 = index + 1,
            None => entries.push((index, index + 1)),
        }
    }
    let root = TypeRoot::Map(Box::new(key), Box::new(value));
    Ok(Resolved::new(types, root.clone().not_null(), move |inputs| {
        let mut ends = ListEnds::new(inputs.rows());
        let columns: Vec<&ArrayRef> = inputs.iter().map(|input| input.array()).collect();
        let pick = |parity: usize| columns.iter().copied().skip(parity).step_by(2).collect::<Vec<_>>();
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for row in 0..inputs.rows() {
            for (key, value) in &entries {
                keys.push((key / 2, inputs.get(*key)?.index(row)));
                values.push((value / 2, inputs.get(*value)?.index(row)));
            }
            ends.end(keys.len())?;
        }
        maps(&root, ends, gather(&pick(0), &keys)?, gather(&pick(1), &values)?)
    }))
}

pub(super) fn row(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    if arguments.is_empty() {
        return Err(Mismatch::new("expects at least one value"));
    }
    let types: Vec<LogicalType> = arguments.iter().map(|argument| argument.logical.clone()).collect();
    let fields = types.iter().enumerate();
    let fields =
        fields.map(|(index, field)| RowField { name: format!("EXPR${index}"), field_type: field.clone() });
    let root = TypeRoot::Row(fields.collect());
    let column_type = data_type(&root);
    Ok(Resolved::new(types, root.not_null(), move |inputs| {
        let DataType::Struct(fields) = &column_type else { return Err(unexpected(&column_type)) };
        let columns =
            inputs.iter().map(|input| input.expanded(inputs.rows())).collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(StructArray::try_new(fields.clone(), columns, None)?))
    }))
}

/// The value of a map, or the element of an array, at an index.
pub(super) fn item(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let [collection, index] = arguments else { return Err(Mismatch::new("expects one index")) };
    let (key, value) = match &collection.logical.root {
        TypeRoot::Array(element) => return super::array::item(arguments, element),
        TypeRoot::Map(key, value) => (key, value),
        other => return Err(Mismatch::new(format!("cannot take an element of a value of type {other}"))),
    };
    let target = LogicalType { root: key.root.clone(), nullable: true };
    if !is_implicit(index.logical, &target) {
        return Err(Mismatch::new(format!("expects an index of type {}", key.root)));
    }
    let types = vec![collection.logical.clone(), target.with_nullable(index.logical.nullable)];
    let returns = (**value).clone().with_nullable(true);
    Ok(Resolved::new(types, returns, |inputs| {
        let (maps, index) = (Maps::new(inputs.get(0)?)?, inputs.get(1)?);
        let equal = equality(maps.keys(), index.array())?;
        let mut places = Vec::with_capacity(inputs.rows());
        for row in 0..inputs.rows() {
            let at = index.index(row);
            let entries = maps.get(row).filter(|_| !index.is_null(row));
            let found = entries.and_then(|mut entries| entries.find(|entry| equal(*entry, at)));
            places.push(found.map(place).transpose()?);
        }
        gather_nullable(maps.values(), &places)
    }))
}

/// A function of one map that makes an array of each.
fn listed(
    arguments: Arguments<'_>,
    element: impl FnOnce(&LogicalType, &LogicalType) -> LogicalType,
    column: impl Fn(&Maps<'_>, &DataType) -> Result<ArrayRef, KernelError> + Send + Sync + 'static,
) -> Result<Resolved, Mismatch> {
    let [map] = arguments else { return Err(Mismatch::new("expects (MAP)")) };
    let (key, value) = map_of(Some(map), "(MAP)")?;
    let element = element(key, value);
    let element_type = data_type(&element.root);
    let returns = TypeRoot::Array(Box::new(element)).not_null().with_nullable(map.logical.nullable);
    Ok(Resolved::new(vec![map.logical.clone()], returns, move |inputs| {
        let input = inputs.get(0)?;
        let maps = Maps::new(input)?;
        let elements = column(&maps, &element_type)?;
        let array = arrow_array::cast::as_map_array(input.array());
        let field = Arc::new(Field::new("item", elements.data_type().clone(), true));
        let lists = ListArray::try_new(field, array.offsets().clone(), elements, array.nulls().cloned())?;
        let lists: ArrayRef = Arc::new(lists);
        if input.is_constant() {
            return crate::functions::kernel::Input::constant(lists).expanded(inputs.rows());
        }
        Ok(lists)
    }))
}

pub(super) fn keys(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    listed(arguments, |key, _| key.clone(), |maps, _| Ok(Arc::clone(maps.keys())))
}

pub(super) fn values(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    listed(arguments, |_, value| value.clone(), |maps, _| Ok(Arc::clone(maps.values())))
}

pub(super) fn entries(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let entry = |key: &LogicalType, value: &LogicalType| {
        let field = |name: &str, field_type: &LogicalType| RowField {
            name: name.to_owned(),
            field_type: field_type.clone(),
        };
        TypeRoot::Row(vec![field("key", key), field("value", value)]).nullable()
    };
    listed(arguments, entry, |maps, element_type| {
        let DataType::Struct(fields) = element_type else { return Err(unexpected(element_type)) };
        let columns = vec![Arc::clone(maps.keys()), Arc::clone(maps.values())];
        Ok(Arc::new(StructArray::try_new(fields.clone(), columns, None)?))
    })
}

pub(super) fn from_arrays(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let mismatch = || Mismatch::new("expects (ARRAY, ARRAY)");
    let [keys, values] = arguments else { return Err(mismatch()) };
    let (TypeRoot::Array(key), TypeRoot::Array(value)) = (&keys.logical.root, &values.logical.root) else {
        return Err(mismatch());
    };
    let root = TypeRoot::Map(key.clone(), value.clone());
    let types = vec![keys.logical.clone(), values.logical.clone()];
    let returns = root.clone().not_null().with_nullable(any_nullable(arguments));
    Ok(Resolved::new(types, returns, move |inputs| {
        let (keys, values) = (Lists::new(inputs.get(0)?)?, Lists::new(inputs.get(1)?)?);
        let mut ends = ListEnds::new(inputs.rows());
        let (mut key_places, mut value_places) = (Vec::new(), Vec::new());
        for row in 0..inputs.rows() {
            let (Some(one), Some(two)) = (keys.get(row), values.get(row)) else {
                ends.null();
                continue;
            };
            if one.len() != two.len() {
                return Err(KernelError(format!(
                    "MAP_FROM_ARRAYS got {} keys and {} values",
                    one.len(),
                    two.len()
                )));
            }
            key_places.extend(one.map(|index| (0, index)));
            value_places.extend(two.map(|index| (0, index)));
            ends.end(key_places.len())?;
        }
        maps(
            &root,
            ends,
            gather(&[keys.elements()], &key_places)?,
            gather(&[values.elements()], &value_places)?,
        )
    }))
}

pub(super) fn union(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let expects = "(MAP, …)";
    for argument in arguments {
        map_of(Some(argument), expects)?;
    }
    let common = common(arguments.iter().map(|argument| argument.logical), "maps")?;
    let types: Vec<LogicalType> =
        arguments.iter().map(|argument| common.clone().with_nullable(argument.logical.nullable)).collect();
    let root = common.root.clone();
    Ok(Resolved::new(types, common, move |inputs| {
        let all = inputs.iter().map(Maps::new).collect::<Result<Vec<_>, _>>()?;
        let mut equals = Vec::with_capacity(all.len() * all.len());
        for one in &all {
            for two in &all {
                equals.push(equality(one.keys(), two.keys())?);
            }
        }
        let same = |(one, at): (usize, usize), (two, other): (usize, usize)| {
            equals.get(one * all.len() + two).is_some_and(|equal| equal(at, other))
        };
        let mut ends = ListEnds::new(inputs.rows());
        let mut places: Vec<(usize, usize)> = Vec::new();
        let mut merged: Vec<(usize, usize)> = Vec::new();
        for row in 0..inputs.rows() {
            let maps = all.iter().map(|maps| maps.get(row)).collect::<Option<Vec<_>>>();
            let Some(maps) = maps else {
                ends.null();
                continue;
            };
            merged.clear();
            for (column, entries) in maps.into_iter().enumerate() {
                if entries.is_empty() {
                    continue;
                }
                // The entries of a later map come first, then those of earlier ones with other keys.
                merged.retain(|known| !entries.clone().any(|entry| same(*known, (column, entry))));
                merged.splice(0..0, entries.map(|entry| (column, entry)));
            }
            places.extend_from_slice(&merged);
            ends.end(places.len())?;
        }
        let keys: Vec<&ArrayRef> = all.iter().map(Maps::keys).collect();
        let values: Vec<&ArrayRef> = all.iter().map(Maps::values).collect();
        self::maps(&root, ends, gather(&keys, &places)?, gather(&values, &places)?)
    }))
}
