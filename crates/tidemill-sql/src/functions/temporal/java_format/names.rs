//! English names of months, days and the like.

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// From Monday.
pub(super) const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

pub(super) const HALVES: [&str; 2] = ["AM", "PM"];

pub(super) const ERAS: [&str; 2] = ["BC", "AD"];

pub(super) const LONG_ERAS: [&str; 2] = ["Before Christ", "Anno Domini"];

pub(super) const QUARTERS: [&str; 4] = ["1st quarter", "2nd quarter", "3rd quarter", "4th quarter"];

/// The first three letters, which is how months and days are shortened.
pub(super) fn short(name: &'static str) -> &'static str {
    name.get(..3).unwrap_or(name)
}

/// The first letter.
pub(super) fn narrow(name: &'static str) -> &'static str {
    name.get(..1).unwrap_or(name)
}

/// The name with the `number`, from 1.
pub(super) fn of(names: &'static [&'static str], number: i64) -> &'static str {
    usize::try_from(number - 1).ok().and_then(|index| names.get(index)).copied().unwrap_or("")
}
