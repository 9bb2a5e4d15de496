//! Flink's statements but for those that define something.

use std::sync::Arc;

use sqlparser::ast::{Expr, Query, UnaryOperator, Value};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::cursor::{Cursor, is_word, plain_word};
use super::errors::{Fault, Parse};
use super::hints;
use super::source::Source;
use super::statement::{
    ExplainDetail, Insert, LikePattern, OnConflict, ScriptStatement, ShellCommand, Show, Statement,
};
use crate::error::nearest;

/// What a statement may begin with.
#[rustfmt::skip]
pub(super) const FIRST_WORDS: &[&str] = &[
    "SELECT", "WITH", "VALUES", "TABLE", "INSERT", "EXECUTE", "BEGIN", "CREATE", "ALTER", "DROP", "USE", "SHOW",
    "DESCRIBE", "DESC", "EXPLAIN", "SET", "RESET", "ADD", "REMOVE", "STOP", "TRUNCATE", "DELETE", "UPDATE", "ANALYZE",
    "CALL", "LOAD", "UNLOAD", "COMPILE", "HELP", "QUIT", "EXIT", "CLEAR",
];

/// Statements that are known, but not supported: their first words.
#[rustfmt::skip]
const UNSUPPORTED: &[&[&str]] = &[
    &["ANALYZE", "TABLE"], &["CALL"], &["COMPILE", "AND", "EXECUTE", "PLAN"], &["COMPILE", "PLAN"],
    &["DELETE", "FROM"], &["EXECUTE", "PLAN"], &["LOAD", "MODULE"], &["TRUNCATE", "TABLE"], &["UNLOAD", "MODULE"],
    &["UPDATE"], &["UPSERT", "INTO"], &["USE", "MODULES"],
];

/// Reads the statements of a script.
pub(super) struct Statements<'a> {
    /// At the tokens of one statement.
    pub(super) parser: Parser<'static>,
    /// The script.
    pub(super) source: &'a Source<'a>,
    /// Where the statement ends.
    pub(super) end: Location,
}

impl Statements<'_> {
    /// Reads `SET key = value` and `RESET key` without quotes, whose words are no tokens of anything else.
    pub(super) fn setting(
        source: &Source<'_>,
        written: &[TokenWithSpan],
    ) -> Result<Option<Statement>, Fault> {
        let [first, second, ..] = written else { return Ok(None) };
        let set = is_word(&first.token, "SET");
        if !(set || is_word(&first.token, "RESET")) || matches!(second.token, Token::SingleQuotedString(_)) {
            return Ok(None);
        }
        let end = super::end_of(written);
        let Some(equals) = written.iter().find(|token| set && token.token == Token::Eq) else {
            let key = Some(source.slice(second.span.start, end).trim().to_string());
            return Ok(Some(if set {
                Statement::Set { key, value: None }
            } else {
                Statement::Reset { key }
            }));
        };
        let key = source.slice(second.span.start, equals.span.start).trim();
        if key.is_empty() {
            return Err(Fault::expected("a key", &equals.token, equals.span.start));
        }
        let value = source.slice(equals.span.end, end).trim();
        let value = match written.last().map(|token| &token.token) {
            Some(Token::SingleQuotedString(text)) if value.starts_with('\'') => text,
            _ => value,
        };
        Ok(Some(Statement::Set { key: Some(key.to_string()), value: Some(value.to_string()) }))
    }

    /// Reads a statement and the end behind it.
    pub(super) fn all(&mut self) -> Parse<Statement> {
        let statement = self.statement()?;
        // Of what is not supported, nobody knows how it goes on.
        if !matches!(statement, Statement::Unsupported { .. }) {
            self.parser.end()?;
        }
        Ok(statement)
    }

    fn statement(&mut self) -> Parse<Statement> {
        if let Some(words) = UNSUPPORTED.iter().find(|words| self.parser.eat_all(words)) {
            return Ok(Statement::Unsupported { what: words.join(" ") });
        }
        let TokenWithSpan { token, span } = self.parser.peek_token_ref();
        let location = span.start;
        if *token == Token::LParen {
            return self.query().map(Statement::Query);
        }
        let Some(word) = plain_word(token) else { return self.parser.unexpected("a statement") };
        match word.to_ascii_uppercase().as_str() {
            "SELECT" | "WITH" | "VALUES" => self.query().map(Statement::Query),
            "INSERT" => self.insert().map(Statement::Insert),
            "EXECUTE" => self.execute(),
            "BEGIN" => {
                self.parser.require_all(&["BEGIN", "STATEMENT", "SET"])?;
                self.parser.require_token(&Token::SemiColon)?;
                self.inserts().map(Statement::StatementSet)
            }
            "END" => Err(Fault::syntax("END without BEGIN STATEMENT SET", location).into()),
            "CREATE" => self.create(),
            "ALTER" => self.alter(),
            "DROP" => self.drop(),
            "USE" => self.use_statement(),
            "SHOW" => self.show(),
            "DESCRIBE" | "DESC" => self.describe(),
            "EXPLAIN" => self.explain(),
            "SET" => self.set(),
            "RESET" => {
                self.parser.advance_token();
                let key = if self.parser.at_token(&Token::EOF) { None } else { Some(self.parser.text()?) };
                Ok(Statement::Reset { key })
            }
            "ADD" | "REMOVE" => {
                self.parser.advance_token();
                self.parser.require("JAR")?;
                Ok(Statement::Jar { path: self.parser.text()? })
            }
            "STOP" => self.stop(),
            "HELP" => self.shell(ShellCommand::Help),
            "QUIT" | "EXIT" => self.shell(ShellCommand::Quit),
            "CLEAR" => self.shell(ShellCommand::Clear),
            word => {
                let fault = Fault::expected("a statement", &self.parser.peek_token_ref().token, location);
                Err(match nearest(word, FIRST_WORDS.iter().copied()) {
                    Some(near) => fault.hint(format!("did you mean {near}?")),
                    None => fault,
                }
                .into())
            }
        }
    }

    /// A query.
    pub(super) fn query(&mut self) -> Parse<Box<Query>> {
        self.parser.parse_query()
    }

    /// A query and its text, which goes to the end of the statement.
    pub(super) fn query_with_text(&mut self) -> Parse<(Box<Query>, Arc<str>)> {
        let start = self.parser.location();
        let query = self.query()?;
        Ok((query, Arc::from(self.source.slice(start, self.end))))
    }

    fn shell(&mut self, command: ShellCommand) -> Parse<Statement> {
        self.parser.advance_token();
        Ok(Statement::Shell(command))
    }

    fn insert(&mut self) -> Parse<Insert> {
        self.parser.require("INSERT")?;
        let overwrite = self.parser.one_of(&["INTO", "OVERWRITE"])? == 1;
        let position = self.parser.location().into();
        let table = self.parser.qualified_name()?;
        let mut hints = Vec::new();
        // The parenthesis tells it from `WITH a AS (…) SELECT`.
        if self.parser.at("WITH") && self.parser.peek_nth_token_ref(1).token == Token::LParen {
            self.parser.advance_token();
            self.parser.advance_token();
            hints = hints::list(&mut self.parser)?;
            self.parser.require_token(&Token::RParen)?;
        }
        let partition = if self.parser.eat("PARTITION") {
            self.parser.list(|parser| {
                let name = parser.name()?;
                parser.require_token(&Token::Eq)?;
                Ok((name, literal(parser)?))
            })?
        } else {
            Vec::new()
        };
        let columns = if self.at_columns() { self.parser.list(insert_column)? } else { Vec::new() };
        let query = self.query()?;
        let on_conflict = if self.parser.eat_all(&["ON", "CONFLICT", "DO"]) {
            Some(match self.parser.one_of(&["ERROR", "NOTHING", "DEDUPLICATE"])? {
                0 => OnConflict::Error,
                1 => OnConflict::Nothing,
                _ => OnConflict::Deduplicate,
            })
        } else {
            None
        };
        Ok(Insert { table, position, columns, partition, overwrite, hints, query, on_conflict })
    }

    /// Whether columns stand in the parentheses, and no query.
    fn at_columns(&self) -> bool {
        let queries = ["SELECT", "WITH", "VALUES", "TABLE"];
        self.parser.at_token(&Token::LParen)
            && self.parser.peek_nth_token_ref(1).token != Token::LParen
            && !queries.iter().any(|word| self.parser.nth_at(1, word))
    }

    /// The statements of a set, up to and with `END`.
    fn inserts(&mut self) -> Parse<Vec<Insert>> {
        let mut inserts = Vec::new();
        loop {
            if !self.parser.at("INSERT") {
                let expected = if inserts.is_empty() { "'INSERT'" } else { "'INSERT' or 'END'" };
                return self.parser.unexpected(expected);
            }
            inserts.push(self.insert()?);
            self.parser.require_token(&Token::SemiColon)?;
            if self.parser.eat("END") {
                return Ok(inserts);
            }
        }
    }

    fn execute(&mut self) -> Parse<Statement> {
        self.parser.require("EXECUTE")?;
        if self.parser.eat_all(&["STATEMENT", "SET", "BEGIN"]) {
            return self.inserts().map(Statement::StatementSet);
        }
        if self.parser.at("INSERT") {
            return self.insert().map(Statement::Insert);
        }
        if ["SELECT", "WITH", "VALUES"].iter().any(|word| self.parser.at(word)) {
            return self.query().map(Statement::Query);
        }
        self.parser.require_all(&["STATEMENT", "SET", "BEGIN"])?;
        self.parser.unexpected("'INSERT'")
    }

    fn explain(&mut self) -> Parse<Statement> {
        const DETAILS: [(&str, ExplainDetail); 4] = [
            ("ESTIMATED_COST", ExplainDetail::EstimatedCost),
            ("CHANGELOG_MODE", ExplainDetail::ChangelogMode),
            ("JSON_EXECUTION_PLAN", ExplainDetail::JsonExecutionPlan),
            ("PLAN_ADVICE", ExplainDetail::PlanAdvice),
        ];
        self.parser.require("EXPLAIN")?;
        let mut details = Vec::new();
        if !self.parser.eat_all(&["PLAN", "FOR"]) {
            while let Some((_, detail)) = DETAILS.into_iter().find(|(word, _)| self.parser.eat(word)) {
                details.push(detail);
                if !self.parser.consume_token(&Token::Comma) {
                    break;
                }
            }
        }
        let start = self.parser.location();
        let statement = if self.parser.eat_all(&["STATEMENT", "SET", "BEGIN"]) {
            Statement::StatementSet(self.inserts()?)
        } else if self.parser.at("EXECUTE") {
            self.execute()?
        } else if self.parser.at("INSERT") {
            Statement::Insert(self.insert()?)
        } else if self.parser.at("CREATE") {
            self.create()?
        } else if self.parser.at_token(&Token::LParen)
            || ["SELECT", "WITH", "VALUES"].iter().any(|word| self.parser.at(word))
        {
            Statement::Query(self.query()?)
        } else {
            let TokenWithSpan { token, span } = self.parser.peek_token_ref();
            let fault =
                Fault::expected("a query, INSERT, STATEMENT SET or a detail of plans", token, span.start);
            let known = DETAILS.iter().map(|(word, _)| *word).chain(["SELECT", "INSERT", "STATEMENT"]);
            return Err(match plain_word(token).and_then(|word| nearest(word, known)) {
                Some(near) => fault.hint(format!("did you mean {near}?")),
                None => fault,
            }
            .into());
        };
        let text = Arc::from(self.source.slice(start, self.end));
        let statement = Box::new(ScriptStatement { statement, start: start.into(), text });
        Ok(Statement::Explain { details, statement })
    }

    fn set(&mut self) -> Parse<Statement> {
        self.parser.require("SET")?;
        if self.parser.at_token(&Token::EOF) {
            return Ok(Statement::Set { key: None, value: None });
        }
        let key = Some(self.parser.text()?);
        let value = if self.parser.consume_token(&Token::Eq) { Some(self.parser.text()?) } else { None };
        Ok(Statement::Set { key, value })
    }

    fn stop(&mut self) -> Parse<Statement> {
        self.parser.require_all(&["STOP", "JOB"])?;
        let job = self.parser.text()?;
        let savepoint = self.parser.eat_all(&["WITH", "SAVEPOINT"]);
        let location = self.parser.location();
        let drain = self.parser.eat_all(&["WITH", "DRAIN"]);
        if drain && !savepoint {
            return Err(Fault::syntax("WITH DRAIN stands behind WITH SAVEPOINT only", location).into());
        }
        Ok(Statement::StopJob { job, savepoint, drain })
    }

    fn use_statement(&mut self) -> Parse<Statement> {
        self.parser.require("USE")?;
        // A database may be called `catalog`.
        if self.parser.at("CATALOG") && matches!(self.parser.peek_nth_token_ref(1).token, Token::Word(_)) {
            self.parser.advance_token();
            return self.parser.name().map(Statement::UseCatalog);
        }
        self.parser.qualified_name().map(Statement::UseDatabase)
    }

    fn describe(&mut self) -> Parse<Statement> {
        self.parser.advance_token();
        if self.parser.at("JOB")
            && matches!(self.parser.peek_nth_token_ref(1).token, Token::SingleQuotedString(_))
        {
            self.parser.advance_token();
            return self.parser.text().map(Statement::DescribeJob);
        }
        // Unless it is a table that is called so.
        let named = matches!(self.parser.peek_nth_token_ref(1).token, Token::Word(_));
        for kind in ["CATALOG", "DATABASE", "FUNCTION", "MODEL", "CONNECTION"] {
            if named && self.parser.at(kind) {
                if kind == "FUNCTION" {
                    self.parser.advance_token();
                    self.parser.eat("EXTENDED");
                    return self.parser.qualified_name().map(Statement::DescribeFunction);
                }
                return Ok(Statement::Unsupported { what: format!("DESCRIBE {kind}") });
            }
        }
        let extended = self.parser.eat("EXTENDED");
        Ok(Statement::Describe { name: self.parser.qualified_name()?, extended })
    }

    fn show(&mut self) -> Parse<Statement> {
        self.parser.require("SHOW")?;
        let user = self.parser.at("USER") && self.parser.nth_at(1, "FUNCTIONS") && self.parser.eat("USER");
        let full = self.parser.at("FULL") && self.parser.nth_at(1, "MODULES") && self.parser.eat("FULL");
        let unsupported = |what: &str| Ok(Statement::Unsupported { what: format!("SHOW {what}") });
        #[rustfmt::skip]
        const WORDS: [&str; 17] = [
            "CATALOGS", "DATABASES", "TABLES", "VIEWS", "FUNCTIONS", "COLUMNS", "CREATE", "CURRENT", "MODULES", "JARS",
            "JOBS", "PARTITIONS", "PROCEDURES", "MODELS", "CONNECTIONS", "MATERIALIZED", "USER",
        ];
        let show = match self.parser.one_of(&WORDS)? {
            0 => Show::Catalogs,
            1 => Show::Databases,
            2 => {
                let from = self.database()?;
                let like = self.like()?;
                return Ok(Statement::Show(match like {
                    Some(LikePattern { negated, ignore_case: false, pattern }) => {
                        Show::Tables { from, like: Some((negated, pattern)) }
                    }
                    like => filtered(Show::Tables { from, like: None }, None, like),
                }));
            }
            3 => Show::Views,
            4 => Show::Functions { user },
            5 => {
                self.parser.one_of(&["FROM", "IN"])?;
                let table = self.parser.qualified_name()?;
                return Ok(Statement::Show(match self.like()? {
                    Some(LikePattern { negated, ignore_case: false, pattern }) => {
                        Show::Columns { table, like: Some((negated, pattern)) }
                    }
                    like => filtered(Show::Columns { table, like: None }, None, like),
                }));
            }
            6 => return self.show_create(),
            7 => match self.parser.one_of(&["CATALOG", "DATABASE"])? {
                0 => return Ok(Statement::Show(Show::CurrentCatalog)),
                _ => return Ok(Statement::Show(Show::CurrentDatabase)),
            },
            8 if full => return unsupported("FULL MODULES"),
            8 => return Ok(Statement::Show(Show::Modules)),
            9 => return Ok(Statement::Show(Show::Jars)),
            10 => return Ok(Statement::Show(Show::Jobs)),
            15 => return unsupported("MATERIALIZED TABLES"),
            16 => return self.parser.unexpected("'FUNCTIONS'"),
            other => return unsupported(WORDS.get(other).copied().unwrap_or_default()),
        };
        let from = if matches!(show, Show::Catalogs) { None } else { self.database()? };
        let like = self.like()?;
        Ok(Statement::Show(filtered(show, from, like)))
    }

    fn show_create(&mut self) -> Parse<Statement> {
        Ok(
            match self.parser.one_of(&["TABLE", "VIEW", "CATALOG", "MATERIALIZED", "MODEL", "CONNECTION"])? {
                0 => Statement::Show(Show::CreateTable(self.parser.qualified_name()?)),
                1 => Statement::Show(Show::CreateView(self.parser.qualified_name()?)),
                2 => Statement::Show(Show::CreateCatalog(self.parser.name()?)),
                3 => Statement::Unsupported { what: "SHOW CREATE MATERIALIZED TABLE".into() },
                4 => Statement::Unsupported { what: "SHOW CREATE MODEL".into() },
                _ => Statement::Unsupported { what: "SHOW CREATE CONNECTION".into() },
            },
        )
    }

    fn database(&mut self) -> Parse<Option<sqlparser::ast::ObjectName>> {
        if self.parser.eat("FROM") || self.parser.eat("IN") {
            self.parser.qualified_name().map(Some)
        } else {
            Ok(None)
        }
    }

    fn like(&mut self) -> Parse<Option<LikePattern>> {
        let negated = self.parser.eat("NOT");
        if !negated && !self.parser.at("LIKE") && !self.parser.at("ILIKE") {
            return Ok(None);
        }
        let ignore_case = self.parser.one_of(&["LIKE", "ILIKE"])? == 1;
        Ok(Some(LikePattern { negated, ignore_case, pattern: self.parser.text()? }))
    }
}

fn filtered(show: Show, from: Option<sqlparser::ast::ObjectName>, like: Option<LikePattern>) -> Show {
    if from.is_none() && like.is_none() { show } else { Show::Filtered { show: Box::new(show), from, like } }
}

fn insert_column(parser: &mut Parser<'_>) -> Parse<sqlparser::ast::Ident> {
    let name = parser.name()?;
    if parser.at_token(&Token::Period) {
        return Err(Fault::unsupported(
            "columns within rows cannot be inserted by themselves",
            parser.location(),
        )
        .into());
    }
    Ok(name)
}

/// A literal, of which numbers may have a sign.
fn literal(parser: &mut Parser<'_>) -> Parse<Expr> {
    let negative = parser.consume_token(&Token::Minus);
    let location = parser.location();
    let expr = match parser.peek_token_ref().token {
        Token::Number(..) => Expr::Value(parser.parse_value()?),
        _ if negative => return parser.unexpected("a number"),
        _ => parser.parse_expr()?,
    };
    match expr {
        Expr::Value(value) if negative => {
            Ok(Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(Expr::Value(value)) })
        }
        Expr::Value(value) if !matches!(value.value, Value::Placeholder(_)) => Ok(Expr::Value(value)),
        Expr::TypedString(literal) => Ok(Expr::TypedString(literal)),
        _ => Err(Fault::syntax("a partition has literals only", location).into()),
    }
}
