//! Functions of arrays, maps and rows.
//!
//! `ARRAY`, `MAP` and `ROW` are the constructors; the arguments of `MAP` are keys and values by turns. `ITEM`
//! is what is written `collection[index]`. An index beyond the end, or a key that a map does not have, gives
//! NULL. A key of a map is never NULL.

mod array;
mod compare;
mod lists;
mod map;

use super::kernel::{Argument, FunctionContext, FunctionGroup, Mismatch, Resolved, ScalarFunction};

const fn collection(
    name: &'static str,
    usage: &'static str,
    description: &'static str,
    resolve: fn(&FunctionContext, &[Argument<'_>]) -> Result<Resolved, Mismatch>,
) -> ScalarFunction {
    let group = FunctionGroup::Collection;
    ScalarFunction { name, aliases: &[], group, usage, description, deterministic: true, resolve }
}

/// The functions of this chapter.
pub(crate) const FUNCTIONS: &[ScalarFunction] = &[
    collection("ARRAY", "ARRAY[value1, value2, …]", "The array of the values.", array::constructor),
    collection("MAP", "MAP[key1, value1, …]", "The map of the keys to the values.", map::constructor),
    collection("ROW", "ROW(value1, value2, …)", "The row of the values.", map::row),
    collection(
        "CARDINALITY",
        "CARDINALITY(collection)",
        "How many elements or entries there are.",
        array::cardinality,
    ),
    collection(
        "ITEM",
        "collection[index]",
        "The element at the index, from 1, or the value of the key.",
        map::item,
    ),
    collection(
        "ELEMENT",
        "ELEMENT(array)",
        "The only element of the array; NULL when it is empty. More than one are an error.",
        array::element,
    ),
    collection(
        "ARRAY_APPEND",
        "ARRAY_APPEND(array, element)",
        "The array with the element behind.",
        array::append,
    ),
    collection(
        "ARRAY_PREPEND",
        "ARRAY_PREPEND(array, element)",
        "The array with the element in front.",
        array::prepend,
    ),
    collection(
        "ARRAY_CONTAINS",
        "ARRAY_CONTAINS(array, element)",
        "Whether the element is there.",
        array::contains,
    ),
    collection(
        "ARRAY_DISTINCT",
        "ARRAY_DISTINCT(array)",
        "The array with each element once.",
        array::distinct,
    ),
    collection(
        "ARRAY_POSITION",
        "ARRAY_POSITION(array, element)",
        "Where the element is first, from 1; 0 when it is not there.",
        array::position,
    ),
    collection(
        "ARRAY_REMOVE",
        "ARRAY_REMOVE(array, element)",
        "The array without the element.",
        array::remove,
    ),
    collection("ARRAY_REVERSE", "ARRAY_REVERSE(array)", "The elements in reverse order.", array::reverse),
    collection(
        "ARRAY_SLICE",
        "ARRAY_SLICE(array, start[, end])",
        "The elements from start to end, from 1, or from the end when negative.",
        array::slice,
    ),
    collection(
        "ARRAY_SORT",
        "ARRAY_SORT(array[, ascending[, nulls_first]])",
        "The elements in order; NULL is less than all.",
        array::sort,
    ),
    collection(
        "ARRAY_UNION",
        "ARRAY_UNION(array1, array2)",
        "The elements of either array, each once.",
        array::union,
    ),
    collection("ARRAY_CONCAT", "ARRAY_CONCAT(array1, …)", "The arrays joined.", array::concat),
    collection(
        "ARRAY_EXCEPT",
        "ARRAY_EXCEPT(array1, array2)",
        "The elements of array1 that are not in array2, each once.",
        array::except,
    ),
    collection(
        "ARRAY_INTERSECT",
        "ARRAY_INTERSECT(array1, array2)",
        "The elements of array1 that are in array2, each once.",
        array::intersect,
    ),
    collection("ARRAY_MAX", "ARRAY_MAX(array)", "The greatest element.", array::max),
    collection("ARRAY_MIN", "ARRAY_MIN(array)", "The least element.", array::min),
    collection(
        "ARRAY_JOIN",
        "ARRAY_JOIN(array, separator[, null_replacement])",
        "The strings of the array joined, NULL left out or replaced.",
        array::join,
    ),
    collection("MAP_KEYS", "MAP_KEYS(map)", "The array of the keys.", map::keys),
    collection("MAP_VALUES", "MAP_VALUES(map)", "The array of the values.", map::values),
    collection(
        "MAP_ENTRIES",
        "MAP_ENTRIES(map)",
        "The array of the entries, as rows of key and value.",
        map::entries,
    ),
    collection(
        "MAP_FROM_ARRAYS",
        "MAP_FROM_ARRAYS(keys, values)",
        "The map of the keys to the values in the same places.",
        map::from_arrays,
    ),
    collection(
        "MAP_UNION",
        "MAP_UNION(map1, …)",
        "The entries of all maps; of equal keys the last one.",
        map::union,
    ),
];

#[cfg(test)]
mod tests;
