//! `CREATE`, `ALTER` and `DROP`.

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::cursor::{Cursor, is_word, plain_word};
use super::errors::{Fault, Parse};
use super::statement::{
    AlterTable, AlterView, ColumnDefinition, ColumnKind, CreateTable, CreateView, LikeFeature, LikeTable,
    MergeStrategy, ObjectKind, PrimaryKey, Statement, TableOption, WatermarkDefinition,
};
use super::statements::Statements;
use super::types;
use crate::error::{Position, SqlErrorKind, nearest};

/// What the parentheses of `CREATE TABLE` hold.
#[derive(Default)]
struct Schema {
    columns: Vec<ColumnDefinition>,
    column_order: Vec<Ident>,
    watermark: Option<WatermarkDefinition>,
    primary_key: Option<PrimaryKey>,
}

impl Statements<'_> {
    /// `CREATE …`.
    pub(super) fn create(&mut self) -> Parse<Statement> {
        self.parser.require("CREATE")?;
        if self.parser.eat_all(&["OR", "REPLACE", "TABLE"]) {
            return Ok(unsupported("CREATE OR REPLACE TABLE"));
        }
        if self.parser.at("OR") && (self.parser.nth_at(1, "ALTER") || self.parser.nth_at(2, "MATERIALIZED")) {
            return Ok(unsupported("CREATE OR ALTER MATERIALIZED TABLE"));
        }
        // Flink reads and ignores it.
        if self.parser.at("OR") && self.parser.nth_at(2, "VIEW") {
            self.parser.require_all(&["OR", "REPLACE"])?;
        }
        let temporary = self.parser.eat("TEMPORARY");
        if temporary && self.parser.eat("SYSTEM") {
            return match self.parser.one_of(&["FUNCTION", "CONNECTION"])? {
                0 => self.create_function(),
                _ => Ok(unsupported("CREATE CONNECTION")),
            };
        }
        const KINDS: [&str; 8] =
            ["TABLE", "VIEW", "FUNCTION", "CATALOG", "DATABASE", "MATERIALIZED", "MODEL", "CONNECTION"];
        let kind = self.parser.one_of(&KINDS)?;
        if temporary && matches!(kind, 3..=5) {
            let kind = KINDS.get(kind).copied().unwrap_or_default();
            return Err(Fault::syntax(format!("there is no TEMPORARY {kind}"), self.parser.location()).into());
        }
        match kind {
            0 => self.create_table(temporary),
            1 => self.create_view(temporary),
            2 => self.create_function(),
            3 => {
                let if_not_exists = self.if_not_exists();
                let name = self.parser.name()?;
                let (comment, options) = (self.comment()?, self.with_options()?);
                Ok(Statement::CreateCatalog { name, if_not_exists, comment, options })
            }
            4 => {
                let if_not_exists = self.if_not_exists();
                let name = self.parser.qualified_name()?;
                let (comment, options) = (self.comment()?, self.with_options()?);
                Ok(Statement::CreateDatabase { name, if_not_exists, comment, options })
            }
            5 => Ok(unsupported("CREATE MATERIALIZED TABLE")),
            6 => Ok(unsupported("CREATE MODEL")),
            _ => Ok(unsupported("CREATE CONNECTION")),
        }
    }

    fn if_not_exists(&mut self) -> bool {
        self.parser.eat_all(&["IF", "NOT", "EXISTS"])
    }

    fn comment(&mut self) -> Parse<Option<String>> {
        comment(&mut self.parser)
    }

    fn with_options(&mut self) -> Parse<Vec<TableOption>> {
        if self.parser.eat("WITH") { self.options() } else { Ok(Vec::new()) }
    }

    /// `('key' = 'value', …)`.
    fn options(&mut self) -> Parse<Vec<TableOption>> {
        if self.parser.consume_tokens(&[Token::LParen, Token::RParen]) {
            return Ok(Vec::new());
        }
        let mut keys = std::collections::HashSet::new();
        self.parser.list(|parser| {
            let location = parser.location();
            let key = parser.text()?;
            if !keys.insert(key.clone()) {
                let message = format!("the option '{key}' is given twice");
                return Err(Fault::new(SqlErrorKind::Option, message, location).into());
            }
            parser.require_token(&Token::Eq)?;
            Ok(TableOption { key, value: parser.text()?, position: location.into() })
        })
    }

    fn create_table(&mut self, temporary: bool) -> Parse<Statement> {
        let if_not_exists = self.if_not_exists();
        let position = self.parser.location().into();
        let name = self.parser.qualified_name()?;
        let columns_location = self.parser.location();
        let schema = if self.parser.at_token(&Token::LParen) { self.schema()? } else { Schema::default() };
        let comment = self.comment()?;
        let distributed = self.distribution()?;
        let partitioned_by = if self.parser.eat_all(&["PARTITIONED", "BY"]) {
            self.parser.list(Cursor::name)?
        } else {
            Vec::new()
        };
        let options = self.with_options()?;
        let like = if self.parser.at("LIKE") { Some(self.like_table()?) } else { None };
        let Schema { columns, column_order, watermark, primary_key } = schema;
        let table = Box::new(CreateTable {
            name,
            position,
            temporary,
            if_not_exists,
            columns,
            column_order,
            watermark,
            primary_key,
            comment,
            partitioned_by,
            distributed,
            options,
            like,
        });
        if table.like.is_none() && self.parser.eat("AS") {
            return Ok(Statement::CreateTableAs(table, self.query()?));
        }
        if !self.parser.at_token(&Token::EOF) {
            const CLAUSES: [&str; 6] = ["COMMENT", "DISTRIBUTED", "PARTITIONED", "WITH", "LIKE", "AS"];
            let TokenWithSpan { token, span } = self.parser.peek_token_ref();
            let fault = Fault::expected("another clause or the end of the statement", token, span.start);
            return Err(match plain_word(token).and_then(|word| nearest(word, CLAUSES)) {
                Some(near) if is_word(token, near) => {
                    fault.hint(format!("clauses stand in the order {}", CLAUSES.join(", ")))
                }
                Some(near) => fault.hint(format!("did you mean {near}?")),
                None => fault,
            }
            .into());
        }
        if !table.column_order.is_empty() {
            let fault = Fault::syntax("columns without types need AS and a query", columns_location);
            return Err(fault.into());
        }
        Ok(Statement::CreateTable(table))
    }

    /// Columns, constraints and the watermark.
    fn schema(&mut self) -> Parse<Schema> {
        let mut schema = Schema::default();
        self.parser.list(|parser| {
            let location = parser.location();
            if parser.at("WATERMARK") {
                if schema.watermark.is_some() {
                    return Err(Fault::syntax("a table has one watermark only", location).into());
                }
                schema.watermark = Some(watermark(parser)?);
            } else if ["CONSTRAINT", "PRIMARY", "UNIQUE"].iter().any(|word| parser.at(word)) {
                constraint_name(parser)?;
                let key = primary_key(parser, None)?;
                set_key(&mut schema, key)?;
            } else {
                column(parser, &mut schema)?;
            }
            Ok(())
        })?;
        if let (Some(name), Some(column)) = (schema.column_order.first(), schema.columns.first()) {
            let place = name.span.start.max(column.name.span.start);
            return Err(Fault::syntax("either all columns have types or none has", place).into());
        }
        Ok(schema)
    }

    fn distribution(&mut self) -> Parse<Option<Position>> {
        let location = self.parser.location();
        if !self.parser.eat("DISTRIBUTED") {
            return Ok(None);
        }
        let by = self.parser.eat("BY");
        if by {
            let _ = self.parser.eat("HASH") || self.parser.eat("RANGE");
            self.parser.list(Cursor::name)?;
        }
        if !by || self.parser.at("INTO") {
            self.parser.require("INTO")?;
            self.parser.integer()?;
            self.parser.require("BUCKETS")?;
        }
        Ok(Some(location.into()))
    }

    fn like_table(&mut self) -> Parse<LikeTable> {
        #[rustfmt::skip]
        const FEATURES: [&str; 8] = [
            "ALL", "CONSTRAINTS", "DISTRIBUTION", "GENERATED", "METADATA", "OPTIONS", "PARTITIONS", "WATERMARKS",
        ];
        self.parser.require("LIKE")?;
        let position = self.parser.location().into();
        let table = self.parser.qualified_name()?;
        let mut options = Vec::new();
        if self.parser.consume_token(&Token::LParen) {
            loop {
                let location = self.parser.location();
                let strategy = match self.parser.one_of(&["INCLUDING", "EXCLUDING", "OVERWRITING"])? {
                    0 => MergeStrategy::Including,
                    1 => MergeStrategy::Excluding,
                    _ => MergeStrategy::Overwriting,
                };
                let feature = match self.parser.one_of(&FEATURES)? {
                    0 => LikeFeature::All,
                    1 => LikeFeature::Constraints,
                    2 => LikeFeature::Distribution,
                    3 => LikeFeature::Generated,
                    4 => LikeFeature::Metadata,
                    5 => LikeFeature::Options,
                    6 => LikeFeature::Partitions,
                    _ => LikeFeature::Watermarks,
                };
                let whole = matches!(
                    feature,
                    LikeFeature::All
                        | LikeFeature::Constraints
                        | LikeFeature::Distribution
                        | LikeFeature::Partitions
                );
                if strategy == MergeStrategy::Overwriting && whole {
                    let message = "OVERWRITING is for GENERATED, METADATA, OPTIONS and WATERMARKS only";
                    return Err(Fault::syntax(message, location).into());
                }
                options.push((strategy, feature));
                if self.parser.consume_token(&Token::RParen) {
                    break;
                }
            }
        }
        Ok(LikeTable { table, options, position })
    }

    fn create_view(&mut self, temporary: bool) -> Parse<Statement> {
        let if_not_exists = self.if_not_exists();
        let position = self.parser.location().into();
        let name = self.parser.qualified_name()?;
        let columns =
            if self.parser.at_token(&Token::LParen) { self.parser.list(Cursor::name)? } else { Vec::new() };
        let comment = self.comment()?;
        self.parser.require("AS")?;
        let (query, text) = self.query_with_text()?;
        Ok(Statement::CreateView(Box::new(CreateView {
            name,
            position,
            temporary,
            if_not_exists,
            columns,
            comment,
            query,
            text,
        })))
    }

    fn create_function(&mut self) -> Parse<Statement> {
        self.if_not_exists();
        let name = self.parser.qualified_name()?;
        self.parser.require("AS")?;
        let class = self.parser.text()?;
        let mut language = None;
        if self.parser.eat("LANGUAGE") {
            const LANGUAGES: [&str; 3] = ["JAVA", "SCALA", "PYTHON"];
            let chosen = self.parser.one_of(&LANGUAGES)?;
            language = LANGUAGES.get(chosen).map(|name| name.to_string());
        }
        if self.parser.eat("USING") {
            loop {
                self.parser.one_of(&["JAR", "ARTIFACT"])?;
                self.parser.text()?;
                if !self.parser.consume_token(&Token::Comma) {
                    break;
                }
            }
        }
        self.with_options()?;
        Ok(Statement::CreateFunction { name, class, language })
    }

    /// `ALTER …`.
    pub(super) fn alter(&mut self) -> Parse<Statement> {
        const KINDS: [&str; 8] =
            ["TABLE", "VIEW", "DATABASE", "CATALOG", "FUNCTION", "MODEL", "MATERIALIZED", "CONNECTION"];
        self.parser.require("ALTER")?;
        if self.parser.eat("TEMPORARY") {
            return Ok(unsupported("ALTER TEMPORARY FUNCTION"));
        }
        match self.parser.one_of(&KINDS)? {
            0 => self.alter_table(),
            1 => {
                let name = self.parser.qualified_name()?;
                let action = match self.parser.one_of(&["RENAME", "AS"])? {
                    0 => {
                        self.parser.require("TO")?;
                        AlterView::Rename(self.parser.qualified_name()?)
                    }
                    _ => {
                        let (query, text) = self.query_with_text()?;
                        AlterView::As(query, text)
                    }
                };
                Ok(Statement::AlterView { name, action })
            }
            2 => {
                let name = self.parser.qualified_name()?;
                self.parser.require("SET")?;
                Ok(Statement::AlterDatabase { name, options: self.options()? })
            }
            6 => Ok(unsupported("ALTER MATERIALIZED TABLE")),
            other => Ok(unsupported(&format!("ALTER {}", KINDS.get(other).copied().unwrap_or_default()))),
        }
    }

    fn alter_table(&mut self) -> Parse<Statement> {
        let if_exists = self.parser.eat_all(&["IF", "EXISTS"]);
        let name = self.parser.qualified_name()?;
        const ACTIONS: [&str; 6] = ["RENAME", "SET", "RESET", "ADD", "MODIFY", "DROP"];
        let action = match self.parser.one_of(&ACTIONS)? {
            0 if self.parser.eat("TO") => AlterTable::Rename(self.parser.qualified_name()?),
            0 => self.unsupported_action("RENAME"),
            1 => AlterTable::Set(self.options()?),
            2 if self.parser.consume_tokens(&[Token::LParen, Token::RParen]) => AlterTable::Reset(Vec::new()),
            2 => AlterTable::Reset(self.parser.list(Cursor::text)?),
            other => self.unsupported_action(ACTIONS.get(other).copied().unwrap_or_default()),
        };
        Ok(Statement::AlterTable { name, if_exists, action })
    }

    /// Takes the rest of the statement.
    fn unsupported_action(&mut self, word: &str) -> AlterTable {
        let start = self.parser.location();
        while !self.parser.at_token(&Token::EOF) {
            self.parser.advance_token();
        }
        AlterTable::Unsupported(format!("{word} {}", self.source.slice(start, self.end)).trim().to_string())
    }

    /// `DROP …`.
    pub(super) fn drop(&mut self) -> Parse<Statement> {
        self.parser.require("DROP")?;
        let temporary = self.parser.eat("TEMPORARY");
        let system = temporary && self.parser.eat("SYSTEM");
        #[rustfmt::skip]
        const KINDS: [&str; 8] = [
            "TABLE", "VIEW", "FUNCTION", "CATALOG", "DATABASE", "MATERIALIZED", "MODEL", "CONNECTION",
        ];
        let location = self.parser.location();
        let number = self.parser.one_of(&KINDS)?;
        let kind = match number {
            0 => ObjectKind::Table,
            1 => ObjectKind::View,
            2 => ObjectKind::Function,
            3 => ObjectKind::Catalog,
            4 => ObjectKind::Database,
            5 => return Ok(unsupported("DROP MATERIALIZED TABLE")),
            6 => return Ok(unsupported("DROP MODEL")),
            _ => return Ok(unsupported("DROP CONNECTION")),
        };
        let kept = matches!(kind, ObjectKind::Catalog | ObjectKind::Database);
        if (temporary && kept) || (system && kind != ObjectKind::Function) {
            let kind = KINDS.get(number).copied().unwrap_or_default();
            let word = if system { "TEMPORARY SYSTEM" } else { "TEMPORARY" };
            return Err(Fault::syntax(format!("there is no {word} {kind}"), location).into());
        }
        let if_exists = self.parser.eat_all(&["IF", "EXISTS"]);
        let name = if kind == ObjectKind::Catalog {
            ObjectName::from(vec![self.parser.name()?])
        } else {
            self.parser.qualified_name()?
        };
        let database = kind == ObjectKind::Database;
        let cascade = database && self.parser.eat("CASCADE");
        if database && !cascade {
            self.parser.eat("RESTRICT");
        }
        Ok(Statement::Drop { kind, name, if_exists, temporary, cascade })
    }
}

fn unsupported(what: &str) -> Statement {
    Statement::Unsupported { what: what.to_string() }
}

fn comment(parser: &mut Parser<'_>) -> Parse<Option<String>> {
    if parser.eat("COMMENT") { parser.text().map(Some) } else { Ok(None) }
}

/// `WATERMARK FOR a.b AS expression`.
fn watermark(parser: &mut Parser<'_>) -> Parse<WatermarkDefinition> {
    let position = parser.location().into();
    parser.require_all(&["WATERMARK", "FOR"])?;
    let mut column = vec![parser.name()?];
    while parser.consume_token(&Token::Period) {
        column.push(parser.name()?);
    }
    parser.require("AS")?;
    Ok(WatermarkDefinition { column, expression: parser.parse_expr()?, position })
}

/// `CONSTRAINT name`, which nothing uses.
fn constraint_name(parser: &mut Parser<'_>) -> Parse<()> {
    if parser.eat("CONSTRAINT") {
        parser.name()?;
    }
    Ok(())
}

/// `PRIMARY KEY [(…)] [[NOT] ENFORCED]`, behind a column or for several.
fn primary_key(parser: &mut Parser<'_>, column: Option<&Ident>) -> Parse<PrimaryKey> {
    let position = parser.location().into();
    if parser.at("UNIQUE") {
        return Err(Fault::unsupported("UNIQUE is not supported", parser.location()).into());
    }
    parser.require_all(&["PRIMARY", "KEY"])?;
    let columns = match column {
        Some(name) => vec![name.clone()],
        None => parser.list(Cursor::name)?,
    };
    let not_enforced = parser.eat_all(&["NOT", "ENFORCED"]);
    if !not_enforced {
        parser.eat("ENFORCED");
    }
    Ok(PrimaryKey { columns, not_enforced, position })
}

fn set_key(schema: &mut Schema, key: PrimaryKey) -> Parse<()> {
    if schema.primary_key.is_some() {
        let location =
            sqlparser::tokenizer::Location::new(key.position.line.into(), key.position.column.into());
        return Err(Fault::syntax("a table has one primary key only", location).into());
    }
    schema.primary_key = Some(key);
    Ok(())
}

/// A column, or the name of one without a type.
fn column(parser: &mut Parser<'_>, schema: &mut Schema) -> Parse<()> {
    let name = parser.name()?;
    if matches!(parser.peek_token_ref().token, Token::Comma | Token::RParen) {
        schema.column_order.push(name);
        return Ok(());
    }
    if parser.eat("AS") {
        let kind = ColumnKind::Computed(parser.parse_expr()?);
        let comment = comment(parser)?;
        schema.columns.push(ColumnDefinition { name, kind, comment });
        return Ok(());
    }
    if parser.at_token(&Token::Period) {
        return parser.unexpected("a type");
    }
    let logical = types::logical_type(parser)?;
    let kind = if parser.eat("METADATA") {
        let key = if parser.eat("FROM") { Some(parser.text()?) } else { None };
        ColumnKind::Metadata { logical, key, is_virtual: parser.eat("VIRTUAL") }
    } else {
        ColumnKind::Physical(logical)
    };
    let constrained = ["CONSTRAINT", "PRIMARY", "UNIQUE"];
    let next = &parser.peek_token_ref().token;
    if matches!(kind, ColumnKind::Physical(_)) && constrained.iter().any(|word| is_word(next, word)) {
        constraint_name(parser)?;
        let key = primary_key(parser, Some(&name))?;
        set_key(schema, key)?;
    }
    let comment = comment(parser)?;
    schema.columns.push(ColumnDefinition { name, kind, comment });
    Ok(())
}
