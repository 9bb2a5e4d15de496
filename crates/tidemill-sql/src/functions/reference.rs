//! The page of the documentation that lists all functions, made of the registry.

use std::fmt::Write;

use super::kernel::{FunctionGroup, ScalarFunction};
use super::special::Place;
use super::{aggregate, registry, special};

/// A function that queries may call.
#[derive(Clone, Copy, Debug)]
pub struct FunctionEntry {
    /// Its name, in capitals; of an operator, and of what else has a form of its own, its symbol.
    pub name: &'static str,
    /// Whether queries call it by that name.
    pub is_callable: bool,
    /// Other names of it.
    pub aliases: &'static [&'static str],
    /// The chapter it stands in.
    pub chapter: &'static str,
    /// How it is written.
    pub usage: &'static str,
    /// What it does, in one sentence.
    pub description: &'static str,
}

const fn chapter(group: FunctionGroup) -> &'static str {
    match group {
        FunctionGroup::Operator => "Operators",
        FunctionGroup::Conditional => "Conditions",
        FunctionGroup::Arithmetic => "Numbers",
        FunctionGroup::Text => "Strings",
        FunctionGroup::Temporal => "Time",
        FunctionGroup::Conversion => "Conversions",
        FunctionGroup::Collection => "Arrays, maps and rows",
        FunctionGroup::Json => "JSON",
        FunctionGroup::Hash => "Hashes",
        FunctionGroup::Auxiliary => "Others",
    }
}

/// What a function is known by: plans have names for forms that queries have not.
fn symbol(function: &ScalarFunction) -> &'static str {
    match function.name {
        "NEGATE" => "-",
        "ITEM" => "[ ]",
        "ARRAY" => "ARRAY[ ]",
        "MAP" => "MAP[ ]",
        "FLOOR_TO" => "FLOOR",
        "CEIL_TO" => "CEIL",
        name => name,
    }
}

/// All functions, chapter by chapter.
///
/// ```
/// use tidemill_sql::functions::reference::all;
///
/// assert!(all().iter().any(|function| function.name == "UPPER" && function.chapter == "Strings"));
/// ```
pub fn all() -> Vec<FunctionEntry> {
    let scalar = registry::all_scalar().map(|function| FunctionEntry {
        name: symbol(function),
        is_callable: registry::is_callable(function),
        aliases: function.aliases,
        chapter: chapter(function.group),
        usage: function.usage,
        description: function.description,
    });
    let aggregates = aggregate::FUNCTIONS.iter().map(|function| FunctionEntry {
        name: function.name,
        is_callable: true,
        aliases: &[],
        chapter: "Aggregates",
        usage: function.usage,
        description: function.description,
    });
    let special = special::FUNCTIONS.iter().map(|function| FunctionEntry {
        name: function.name,
        is_callable: true,
        aliases: &[],
        chapter: match function.place {
            Place::Over => "Functions of OVER",
            Place::Window => "Windows in FROM",
            Place::Grouped => "Functions of grouped queries",
            Place::From => "Table functions",
        },
        usage: function.usage,
        description: function.description,
    });
    let mut all: Vec<FunctionEntry> = scalar.chain(aggregates).chain(special).collect();
    // Chapters in the order in which they begin, functions as they are declared.
    let mut chapters: Vec<&str> = Vec::new();
    for function in &all {
        if !chapters.contains(&function.chapter) {
            chapters.push(function.chapter);
        }
    }
    all.sort_by_key(|function| chapters.iter().position(|chapter| *chapter == function.chapter));
    all
}

/// The page, in Markdown.
pub fn page() -> String {
    let all = all();
    let mut out = String::from(
        "# Functions of SQL\n\nGenerated from the registry of functions, by `TIDEMILL_BLESS=1 cargo test --release -p tidemill \
         generated`; do not edit.\n\nNames are matched in any case. Types, NULLs, overflow and texts of results are those of Apache \
         Flink 2.3; what differs is in [differences.md](differences.md). Functions of your own are written in Rust: see \
         [examples/functions.rs](../examples/functions.rs).\n",
    );
    let mut chapter = "";
    for function in &all {
        if function.chapter != chapter {
            chapter = function.chapter;
            let _ = write!(out, "\n## {chapter}\n\n| function | forms | what it gives |\n|---|---|---|\n");
        }
        let cell = |text: &str| text.replace('|', "\\|");
        let names: Vec<String> =
            [function.name].iter().chain(function.aliases).map(|name| format!("`{}`", cell(name))).collect();
        let (usage, description) = (cell(function.usage), cell(function.description));
        let _ = writeln!(out, "| {} | `{usage}` | {description} |", names.join(", "));
    }
    out
}
