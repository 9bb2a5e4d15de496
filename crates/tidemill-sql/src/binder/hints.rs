//! Hints behind `SELECT`: which there are, what they may say, and which joins and groups they are about.
//!
//! A hint names inputs of the select that it stands in: by their aliases, or where they have none by their names, of which catalog
//! and database may be left out. It is about the join that has the input on one side, or about the groups of the only input.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, Select, Spanned, TableFactor, TableWithJoins, Value,
};
use tidemill_core::config::parse_duration;

use super::Binder;
use crate::error::{SqlError, SqlResult, nearest};
use crate::parser::parse_hints;
use crate::plan::{LookupHint, NodeHints, Rel, RelKind, StateTtl};
use crate::rules::{inputs, with_inputs};

/// How batch jobs join. A stream has one way to, so in Flink and here they are checked, and change nothing.
const OF_BATCH: [&str; 4] = ["BROADCAST", "SHUFFLE_HASH", "SHUFFLE_MERGE", "NEST_LOOP"];

/// All hints.
const KNOWN: [&str; 8] = [
    "BROADCAST",
    "LOOKUP",
    "MULTI_JOIN",
    "NEST_LOOP",
    "OPTIONS",
    "SHUFFLE_HASH",
    "SHUFFLE_MERGE",
    "STATE_TTL",
];

/// The hints of a select.
#[derive(Debug, Default)]
pub(super) struct BlockHints {
    /// `STATE_TTL`: of equal names in several hints the first counts, in one hint the last, as in Flink.
    ttl: BTreeMap<String, StateTtl>,
    lookups: Vec<LookupHint>,
    /// All names, each with the hint that says it first.
    names: BTreeMap<String, &'static str>,
    /// Those of them that are inputs of joins.
    matched: RefCell<BTreeSet<String>>,
    /// What the select reads.
    pub(super) input: Option<usize>,
}

/// The error that a hint does not stand behind a table.
pub(super) fn behind_table(name: &str) -> SqlError {
    let upper = name.to_uppercase();
    if KNOWN.contains(&upper.as_str()) {
        return SqlError::semantic(format!("the hint {upper} has no meaning behind a table"))
            .hint(format!("it stands behind SELECT: SELECT /*+ {upper}(…) */ …"));
    }
    unknown(&upper)
}

fn unknown(name: &str) -> SqlError {
    let error = SqlError::name(format!("there is no hint '{name}'"));
    match nearest(name, KNOWN) {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error.hint(format!("there are: {}", KNOWN.join(", "))),
    }
}

/// What stands in the parentheses of a hint: names, and pairs of a key and a value.
#[derive(Default)]
struct Arguments {
    names: Vec<String>,
    pairs: Vec<(String, String)>,
}

impl Arguments {
    fn of(hint: &'static str, function: &ast::Function) -> SqlResult<Self> {
        let mut arguments = Self::default();
        let ast::FunctionArguments::List(list) = &function.args else { return Ok(arguments) };
        for arg in &list.args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else { continue };
            match expr {
                ast::Expr::BinaryOp { left, op: ast::BinaryOperator::Eq, right } => {
                    arguments.pairs.extend(word(left).zip(word(right)));
                }
                expr => arguments.names.extend(word(expr)),
            }
        }
        if arguments.names.len() + arguments.pairs.len() < list.args.len() {
            return Err(SqlError::syntax(format!("the hint {hint} takes names, strings and numbers")));
        }
        Ok(arguments)
    }

    /// The pairs, of which there must be some.
    fn only_pairs(self, hint: &str, example: &str) -> SqlResult<Vec<(String, String)>> {
        if !self.names.is_empty() || self.pairs.is_empty() {
            return Err(SqlError::semantic(format!(
                "the hint {hint} takes options, such as {hint}({example})"
            )));
        }
        Ok(self.pairs)
    }
}

fn word(expr: &ast::Expr) -> Option<String> {
    match expr {
        ast::Expr::Identifier(name) => Some(name.value.clone()),
        ast::Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::Number(text, _) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

impl BlockHints {
    /// The hints of a select, checked as far as they can be without its tables.
    pub(super) fn of(select: &Select) -> SqlResult<Self> {
        let mut hints = Self::default();
        for text in &select.optimizer_hints {
            for hint in parse_hints(text)? {
                if let ast::Expr::Function(function) = &hint {
                    hints.add(function)?;
                }
            }
        }
        Ok(hints)
    }

    fn add(&mut self, function: &ast::Function) -> SqlResult<()> {
        let upper = function.name.to_string().to_uppercase();
        let Some(hint) = KNOWN.into_iter().find(|known| *known == upper) else { return Err(unknown(&upper)) };
        let arguments = Arguments::of(hint, function)?;
        match hint {
            "STATE_TTL" => {
                let mut own = BTreeMap::new();
                for (name, text) in arguments.only_pairs(hint, "'table' = '1 d'")? {
                    let duration = parse_duration(&text).map_err(|error| {
                        SqlError::option(format!("the hint STATE_TTL of '{name}': {error}"))
                            .hint("such as '12 h', '1 d'; '0 s' is for ever")
                    })?;
                    own.insert(name, StateTtl { duration, text });
                }
                for (name, ttl) in own {
                    self.names.entry(name.clone()).or_insert(hint);
                    self.ttl.entry(name).or_insert(ttl);
                }
            }
            "LOOKUP" => {
                let lookup =
                    lookup(arguments.only_pairs(hint, "'table' = 'dimension', 'shuffle' = 'true'")?)?;
                self.names.entry(lookup.table.clone()).or_insert(hint);
                self.lookups.push(lookup);
            }
            "OPTIONS" => {
                return Err(SqlError::semantic("the hint OPTIONS has no meaning behind SELECT")
                    .hint("it stands behind the name of a table: FROM t /*+ OPTIONS('key' = 'value') */"));
            }
            "MULTI_JOIN" => {
                return Err(SqlError::unsupported("the hint MULTI_JOIN is not supported")
                    .hint("leave it out: several joins are made one after the other, with the same result"));
            }
            _ => {
                if arguments.names.is_empty() || !arguments.pairs.is_empty() {
                    return Err(SqlError::semantic(format!("the hint {hint} takes the names of tables")));
                }
                debug_assert!(OF_BATCH.contains(&hint));
                self.names.extend(arguments.names.into_iter().map(|name| (name, hint)));
            }
        }
        Ok(())
    }

    /// The name by which a hint means `factor`, when one does.
    fn meant(
        &self,
        factor: &TableFactor,
        path: &dyn Fn(&ast::ObjectName) -> Option<String>,
    ) -> Option<String> {
        let (alias, table) = match factor {
            TableFactor::Table { name, alias, args, .. } => (alias, args.is_none().then_some(name)),
            TableFactor::Derived { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::NestedJoin { alias, .. }
            | TableFactor::MatchRecognize { alias, .. } => (alias, None),
            _ => return None,
        };
        let found = match (alias, table) {
            (Some(alias), _) => self.names.keys().find(|name| **name == alias.name.value),
            (None, Some(table)) => {
                let full = path(table)?;
                let ends = |name: &&String| {
                    full.strip_suffix(name.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                };
                self.names.keys().find(ends)
            }
            (None, None) => None,
        };
        let found = found?.clone();
        self.matched.borrow_mut().insert(found.clone());
        Some(found)
    }

    /// `rel`, the result of the select over `from`, with what hints say of its groups; and whether all names were inputs.
    pub(super) fn over_groups(
        &self,
        rel: Rel,
        from: &[TableWithJoins],
        path: &dyn Fn(&ast::ObjectName) -> Option<String>,
    ) -> SqlResult<Rel> {
        if self.names.is_empty() {
            return Ok(rel);
        }
        let has_joins = from.len() > 1 || from.iter().any(|item| !item.joins.is_empty());
        let groups = self.input.and_then(|input| first_groups(&rel, input));
        if let ([item], Some(_)) = (from, &groups)
            && item.joins.is_empty()
        {
            self.meant(&item.relation, path);
        }
        if !has_joins && groups.is_none() {
            return Ok(rel);
        }
        if let Some((name, hint)) = self.names.iter().find(|(name, _)| !self.matched.borrow().contains(*name))
        {
            return Err(SqlError::name(format!(
                "the hint {hint} names '{name}', which is no input of this select"
            ))
            .hint("a table with an alias is known by that; names are matched in their case"));
        }
        let ttl = self.matched.borrow().iter().find_map(|name| self.ttl.get(name)).cloned();
        Ok(match groups {
            Some(groups) if !has_joins && ttl.is_some() => {
                replaced(&rel, groups.identity(), &NodeHints { ttl: [ttl, None], lookup: None })
            }
            _ => rel,
        })
    }
}

/// The groups that are the first thing made of `input` on the way up to `rel`.
fn first_groups(rel: &Rel, input: usize) -> Option<Rel> {
    if rel.identity() == input {
        return None;
    }
    let below = inputs(rel).first().and_then(|below| first_groups(below, input));
    below.or_else(|| matches!(rel.kind(), RelKind::Aggregate { .. }).then(|| rel.clone()))
}

/// `rel` with hints for the node `wanted`, which is on the way down along first inputs.
fn replaced(rel: &Rel, wanted: usize, hints: &NodeHints) -> Rel {
    if rel.identity() == wanted {
        return rel.clone().with_hints(hints);
    }
    let mut below = inputs(rel);
    if let Some(first) = below.first_mut() {
        *first = replaced(first, wanted, hints);
    }
    with_inputs(rel, below)
}

impl Binder<'_> {
    /// The name of a table with catalog and database.
    pub(super) fn full_name(&self, name: &ast::ObjectName) -> Option<String> {
        let parts = crate::catalog::name_parts(name).ok()?.0;
        let mut full = vec![self.catalogs.current_catalog.as_str(), self.catalogs.current_database.as_str()];
        full.truncate(3_usize.saturating_sub(parts.len()));
        full.extend(parts);
        Some(full.join("."))
    }

    /// A join with what hints say of its inputs; `left` is told when it is one itself.
    pub(super) fn hinted(
        &mut self,
        rel: Rel,
        left: Option<&TableFactor>,
        right: &TableFactor,
    ) -> SqlResult<Rel> {
        if self.hints.names.is_empty() || matches!(rel.kind(), RelKind::Correlate { .. }) {
            return Ok(rel);
        }
        if let RelKind::Project { input, exprs } = rel.kind() {
            // Columns of `USING` have been put together above the join.
            let names = rel.schema().names().into_iter().map(str::to_owned).collect();
            return Ok(self.hinted(input.clone(), left, right)?.project(exprs.clone(), names));
        }
        let path = |name: &ast::ObjectName| self.full_name(name);
        let meant = [left.and_then(|left| self.hints.meant(left, &path)), self.hints.meant(right, &path)];
        let ttl = meant.each_ref().map(|name| self.hints.ttl.get(name.as_ref()?).cloned());
        let of_right = |lookup: &&LookupHint| meant[1].as_ref() == Some(&lookup.table);
        let lookup = self.hints.lookups.iter().find(of_right).cloned();
        if lookup.is_some() && !matches!(rel.kind(), RelKind::Temporal { .. }) {
            return Err(not_looked_up().at(right.span()));
        }
        Ok(rel.with_hints(&NodeHints { ttl, lookup }))
    }
}

/// The error that a join is no lookup.
pub(crate) fn not_looked_up() -> SqlError {
    SqlError::semantic("the hint LOOKUP is about a join that looks up no table")
        .hint("a table is looked up by JOIN t FOR SYSTEM_TIME AS OF a column AS PROCTIME()")
}

/// `LOOKUP` with its options.
fn lookup(pairs: Vec<(String, String)>) -> SqlResult<LookupHint> {
    #[rustfmt::skip]
    const OPTIONS: [&str; 10] = [
        "async", "capacity", "fixed-delay", "max-attempts", "output-mode", "retry-predicate", "retry-strategy", "shuffle", "table",
        "timeout",
    ];
    let options: BTreeMap<String, String> = pairs.into_iter().collect();
    let wrong = |key: &str, value: &str, expected: &str| {
        SqlError::option(format!("the hint LOOKUP: '{key}' is {expected}, not '{value}'"))
    };
    for (key, value) in &options {
        let is = |allowed: &[&str]| allowed.iter().any(|one| one.eq_ignore_ascii_case(value));
        let is_positive = || value.parse::<i32>().is_ok_and(|number| number > 0);
        let (fine, expected) = match key.as_str() {
            "table" => (!value.is_empty(), "the name of a table"),
            "async" | "shuffle" => (is(&["true", "false"]), "'true' or 'false'"),
            "output-mode" => (is(&["ordered", "allow_unordered"]), "'ordered' or 'allow_unordered'"),
            "capacity" | "max-attempts" => (is_positive(), "a positive number"),
            "timeout" | "fixed-delay" => (parse_duration(value).is_ok(), "a duration such as '3 s'"),
            "retry-predicate" => (value == "lookup_miss", "'lookup_miss'"),
            "retry-strategy" => (is(&["fixed_delay"]), "'fixed_delay'"),
            _ => {
                let error = SqlError::option(format!("the hint LOOKUP has no option '{key}'"));
                return Err(match nearest(key, OPTIONS) {
                    Some(near) => error.hint(format!("did you mean '{near}'?")),
                    None => error.hint(format!("it has: {}", OPTIONS.join(", "))),
                });
            }
        };
        if !fine {
            return Err(wrong(key, value, expected));
        }
    }
    let Some(table) = options.get("table").cloned() else {
        return Err(SqlError::option("the hint LOOKUP needs the option 'table'"));
    };
    let retry = ["retry-predicate", "retry-strategy", "fixed-delay", "max-attempts"];
    let given = retry.iter().filter(|key| options.contains_key(**key)).count();
    if given > 0 && given < retry.len() {
        let all = retry.join(", ");
        return Err(SqlError::option(format!("the hint LOOKUP takes all of {all} or none of them")));
    }
    let is = |key: &str, wanted: &str| options.get(key).map(|value| value.eq_ignore_ascii_case(wanted));
    let duration = |key: &str| options.get(key).and_then(|value| parse_duration(value).ok());
    let number = |key: &str| options.get(key).and_then(|value| value.parse::<u32>().ok());
    Ok(LookupHint {
        table,
        shuffle: is("shuffle", "true") == Some(true),
        asynchronous: is("async", "true"),
        ordered: is("output-mode", "ordered"),
        capacity: number("capacity").and_then(|number| usize::try_from(number).ok()),
        timeout: duration("timeout"),
        retry: duration("fixed-delay").zip(number("max-attempts")),
    })
}
