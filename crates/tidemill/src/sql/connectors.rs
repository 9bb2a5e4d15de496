//! The connectors that tables may name.

use std::sync::Arc;

use tidemill_connectors::{
    BlackholeSink, CsvHeader, CsvOptions, CsvOutput, DataGenSource, FileFormat, FileSink, FileSource,
    InstantFormat, JsonOptions, JsonOutput, NexmarkColumns, NexmarkSettings, OutputFormat, PrintSink,
    TimestampFormat,
};
use tidemill_core::config::{MemorySize, OptionType};
use tidemill_sql::connector::{
    ConnectorOption, Connectors, SinkChanges, SinkRequest, SourceRequest, TableFactory, TableOptions,
    TableSink, TableSource,
};
use tidemill_sql::{SqlError, SqlResult};

/// All connectors.
pub(super) fn all() -> Connectors {
    let mut connectors = Connectors::default();
    connectors.add(Filesystem);
    connectors.add(DataGen);
    connectors.add(Nexmark);
    connectors.add(Print);
    connectors.add(Blackhole);
    connectors
}

const fn optional(key: &'static str, description: &'static str) -> ConnectorOption {
    ConnectorOption { key, required: false, description }
}

const fn required(key: &'static str, description: &'static str) -> ConnectorOption {
    ConnectorOption { key, required: true, description }
}

/// An error of a connector about a table.
fn of_table(table: &str, error: &dyn std::fmt::Display) -> SqlError {
    SqlError::option(format!("the table '{table}': {error}"))
}

fn only_sink(table: &str, connector: &str) -> SqlError {
    SqlError::semantic(format!("the table '{table}' cannot be read: '{connector}' is a sink"))
}

fn only_source(table: &str, connector: &str) -> SqlError {
    SqlError::semantic(format!("the table '{table}' cannot be written to: '{connector}' is a source"))
}

/// Files.
struct Filesystem;

const FILESYSTEM: &[ConnectorOption] = &[
    required("path", "the file or folder"),
    required("format", "csv or json"),
    optional("csv.field-delimiter", "what stands between fields (',')"),
    optional("csv.disable-quote-character", "fields are not quoted"),
    optional("csv.quote-character", "what fields are quoted by ('\"')"),
    optional("csv.allow-comments", "lines that begin with # are comments"),
    optional("csv.ignore-parse-errors", "lines that cannot be read are skipped and counted"),
    optional("csv.array-element-delimiter", "what stands between the elements of an array (';')"),
    optional("csv.escape-character", "what stands before characters that are to be taken literally"),
    optional("csv.null-literal", "what stands for NULL"),
    optional(
        "csv.write-bigdecimal-in-scientific-notation",
        "decimals are written with an exponent where Java would (true)",
    ),
    optional("csv.header", "none, skip or by-name: what the first line of a file is (none)"),
    optional("json.fail-on-missing-field", "a field that is missing is an error"),
    optional("json.ignore-parse-errors", "lines that cannot be read are skipped and counted"),
    optional("json.timestamp-format.standard", "SQL or ISO-8601"),
    optional("json.encode.decimal-as-plain-number", "decimals are written without an exponent"),
    optional("json.encode.ignore-null-fields", "fields that are NULL are not written"),
    optional("scan.parallelism", "how many subtasks read"),
    optional("sink.parallelism", "how many subtasks write"),
    optional("sink.single-file", "the path is one file, written by one subtask, instead of a folder"),
    optional("sink.rolling-policy.file-size", "how large a file becomes (128mb)"),
    optional("sink.rolling-policy.rollover-interval", "how long a file is written to (30 min)"),
    optional(
        "sink.rolling-policy.inactivity-interval",
        "after how long without a row a file is closed (30 min)",
    ),
];

fn is_true(options: &TableOptions, key: &str) -> SqlResult<Option<bool>> {
    options.parsed::<bool>(key, "true or false")
}

/// One character of an option, `\t` and the like written out.
fn character(options: &TableOptions, key: &str) -> SqlResult<Option<char>> {
    let Some(text) = options.get(key) else { return Ok(None) };
    let text = match text {
        "\\t" => "\t",
        "\\n" => "\n",
        other => other,
    };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(only), None) => Ok(Some(only)),
        _ => Err(options.wrong(key, "one character is expected")),
    }
}

/// The file or folder; `file://` and `file:` may stand before it.
fn path(options: &TableOptions) -> SqlResult<String> {
    let path = options.required("path")?;
    let plain = path.strip_prefix("file://").or_else(|| path.strip_prefix("file:")).unwrap_or(path);
    if plain.contains("://") {
        return Err(options.wrong("path", "only local files can be read and written"));
    }
    Ok(plain.to_owned())
}

fn csv_in(request: &SourceRequest<'_>) -> SqlResult<CsvOptions> {
    let options = request.options;
    let mut csv = CsvOptions::new();
    if let Some(delimiter) = character(options, "csv.field-delimiter")? {
        csv = csv.field_delimiter(delimiter);
    }
    if let Some(quote) = character(options, "csv.quote-character")? {
        csv = csv.quote_character(quote);
    }
    if is_true(options, "csv.disable-quote-character")? == Some(true) {
        csv = csv.disable_quote_character();
    }
    if let Some(escape) = character(options, "csv.escape-character")? {
        csv = csv.escape_character(escape);
    }
    if let Some(allow) = is_true(options, "csv.allow-comments")? {
        csv = csv.allow_comments(allow);
    }
    if let Some(ignore) = is_true(options, "csv.ignore-parse-errors")? {
        csv = csv.ignore_parse_errors(ignore);
    }
    if let Some(literal) = options.get("csv.null-literal") {
        csv = csv.null_literal(literal);
    }
    if let Some(delimiter) = options.get("csv.array-element-delimiter") {
        csv = csv.array_element_delimiter(delimiter);
    }
    let header = match options.get("csv.header") {
        None | Some("none") => CsvHeader::None,
        Some("skip") => CsvHeader::Skip,
        Some("by-name") => CsvHeader::ByName,
        Some(_) => return Err(options.wrong("csv.header", "none, skip or by-name is expected")),
    };
    csv = csv.header(header);
    if header != CsvHeader::ByName {
        // Columns that are not read are still in the file.
        csv = csv.field_names(request.stored.iter().copied());
    }
    Ok(csv)
}

fn json_in(options: &TableOptions) -> SqlResult<JsonOptions> {
    let mut json = JsonOptions::new();
    if let Some(fail) = is_true(options, "json.fail-on-missing-field")? {
        json = json.fail_on_missing_field(fail);
    }
    if let Some(ignore) = is_true(options, "json.ignore-parse-errors")? {
        json = json.ignore_parse_errors(ignore);
    }
    Ok(match options.get("json.timestamp-format.standard") {
        None | Some("SQL") => json,
        Some("ISO-8601") => json.timestamp_format(TimestampFormat::Iso8601),
        Some(_) => return Err(options.wrong("json.timestamp-format.standard", "SQL or ISO-8601 is expected")),
    })
}

fn csv_out(options: &TableOptions) -> SqlResult<CsvOutput> {
    let mut csv = CsvOutput::new();
    if let Some(delimiter) = character(options, "csv.field-delimiter")? {
        csv = csv.field_delimiter(delimiter);
    }
    if let Some(quote) = character(options, "csv.quote-character")? {
        csv = csv.quote_character(quote);
    }
    if is_true(options, "csv.disable-quote-character")? == Some(true) {
        csv = csv.disable_quote_character();
    }
    if let Some(escape) = character(options, "csv.escape-character")? {
        csv = csv.escape_character(escape);
    }
    if let Some(literal) = options.get("csv.null-literal") {
        csv = csv.null_literal(literal);
    }
    if let Some(delimiter) = options.get("csv.array-element-delimiter") {
        csv = csv.array_element_delimiter(delimiter);
    }
    if let Some(scientific) = is_true(options, "csv.write-bigdecimal-in-scientific-notation")? {
        csv = csv.write_bigdecimal_in_scientific_notation(scientific);
    }
    Ok(match options.get("csv.header") {
        None | Some("none") => csv,
        Some("skip" | "by-name") => csv.header(true),
        Some(_) => return Err(options.wrong("csv.header", "none, skip or by-name is expected")),
    })
}

fn json_out(options: &TableOptions) -> SqlResult<JsonOutput> {
    let mut json = JsonOutput::new();
    if let Some(plain) = is_true(options, "json.encode.decimal-as-plain-number")? {
        json = json.decimal_as_plain_number(plain);
    }
    if let Some(ignore) = is_true(options, "json.encode.ignore-null-fields")? {
        json = json.ignore_null_fields(ignore);
    }
    Ok(match options.get("json.timestamp-format.standard") {
        None | Some("SQL") => json.timestamp_format(InstantFormat::Sql),
        Some("ISO-8601") => json.timestamp_format(InstantFormat::Iso8601),
        Some(_) => return Err(options.wrong("json.timestamp-format.standard", "SQL or ISO-8601 is expected")),
    })
}

/// That options of a format go with that format.
fn check_format(options: &TableOptions, format: &str) -> SqlResult<()> {
    let of_other =
        |key: &&str| ["csv.", "json."].iter().any(|prefix| key.starts_with(prefix) && *prefix != format);
    match options.keys().find(of_other) {
        None => Ok(()),
        Some(key) => {
            Err(options.wrong(key, &format!("the format of the table is '{}'", format.trim_end_matches('.'))))
        }
    }
}

impl TableFactory for Filesystem {
    fn identifier(&self) -> &'static str {
        "filesystem"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        FILESYSTEM
    }

    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource> {
        let options = request.options;
        let format: FileFormat = match options.required("format")? {
            "csv" => {
                check_format(options, "csv.")?;
                csv_in(request)?.into()
            }
            "json" => {
                check_format(options, "json.")?;
                json_in(options)?.into()
            }
            _ => return Err(options.wrong("format", "csv or json is expected")),
        };
        let source = FileSource::new(path(options)?, format, Arc::clone(&request.schema))
            .map_err(|error| of_table(request.table, &error))?;
        Ok(TableSource { source: Arc::new(source) })
    }

    fn sink(&self, request: &SinkRequest<'_>) -> SqlResult<TableSink> {
        let options = request.options;
        if !request.partitioned_by.is_empty() {
            return Err(SqlError::unsupported(format!(
                "the table '{}' is PARTITIONED BY, which files that are written are not yet",
                request.table
            )));
        }
        let format: OutputFormat = match options.required("format")? {
            "csv" => {
                check_format(options, "csv.")?;
                csv_out(options)?.into()
            }
            "json" => {
                check_format(options, "json.")?;
                json_out(options)?.into()
            }
            _ => return Err(options.wrong("format", "csv or json is expected")),
        };
        let schema = Arc::clone(&request.schema);
        let sink = if is_true(options, "sink.single-file")? == Some(true) {
            if options.get("sink.parallelism") != Some("1") {
                return Err(options.wrong(
                    "sink.single-file",
                    "one file is written by one subtask: set 'sink.parallelism' = '1'",
                ));
            }
            FileSink::single_file(path(options)?, format, schema)
        } else {
            FileSink::folder(path(options)?, format, schema)
        };
        let sink = sink.map_err(|error| of_table(request.table, &error))?;
        let mut policy = tidemill_connectors::RollingPolicy::default();
        const FILE_SIZE: &str = "sink.rolling-policy.file-size";
        if let Some(size) = options.get(FILE_SIZE) {
            let size = <MemorySize as OptionType>::parse(size)
                .map_err(|_| options.wrong(FILE_SIZE, "a size is expected, such as 128mb"))?;
            policy.file_bytes = size.bytes();
        }
        if let Some(interval) = options.duration("sink.rolling-policy.rollover-interval")? {
            policy.rollover_interval = interval;
        }
        if let Some(interval) = options.duration("sink.rolling-policy.inactivity-interval")? {
            policy.inactivity_interval = interval;
        }
        Ok(TableSink { operator: Arc::new(sink.rolling_policy(policy)), changes: SinkChanges::Insert })
    }
}

/// Rows that are made up.
struct DataGen;

const DATAGEN: &[ConnectorOption] = &[
    optional("rows-per-second", "how many rows are made in a second (10000)"),
    optional("number-of-rows", "how many rows are made in all (without end)"),
    optional("seed", "the same seed makes the same rows"),
    optional("scan.parallelism", "how many subtasks make rows"),
    optional(
        "fields.*",
        "what the values of a column are: fields.#.kind, min, max, length, start, end, null-rate, var-len, max-past",
    ),
];

impl TableFactory for DataGen {
    fn identifier(&self) -> &'static str {
        "datagen"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        DATAGEN
    }

    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource> {
        let options = request.options;
        let of_source = options.keys().filter(|key| !matches!(*key, "connector" | "scan.parallelism"));
        // Options of columns that nobody reads say nothing.
        let is_read = |key: &&str| match key.strip_prefix("fields.") {
            None => true,
            Some(rest) => request.schema.fields().iter().any(|field| {
                rest.strip_prefix(field.name().as_str()).is_some_and(|rest| rest.starts_with('.'))
            }),
        };
        let pairs: Vec<(&str, &str)> =
            of_source.filter(is_read).filter_map(|key| Some((key, options.get(key)?))).collect();
        let source = DataGenSource::from_options(Arc::clone(&request.schema), pairs)
            .map_err(|error| of_table(request.table, &error))?;
        Ok(TableSource { source: Arc::new(source) })
    }

    fn sink(&self, request: &SinkRequest<'_>) -> SqlResult<TableSink> {
        Err(only_source(request.table, "datagen"))
    }
}

/// The events of the Nexmark benchmark.
struct Nexmark;

const NEXMARK: &[ConnectorOption] = &[
    optional("events.num", "how many events there are (without end)"),
    optional("first-event.rate", "events a second of event time (10000)"),
    optional("rows-per-second", "how many events are made in a second of the clock (as fast as possible)"),
    optional("scan.parallelism", "how many subtasks make events"),
];

impl TableFactory for Nexmark {
    fn identifier(&self) -> &'static str {
        "nexmark"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        NEXMARK
    }

    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource> {
        let options = request.options;
        let wrong = |error: tidemill_connectors::ConnectorError| of_table(request.table, &error);
        let mut source = match options.parsed::<u64>("events.num", "a number of events")? {
            Some(events) => NexmarkColumns::bounded(events),
            None => NexmarkColumns::unbounded(),
        };
        if let Some(rate) = options.parsed::<u32>("first-event.rate", "a number of events")? {
            source = source
                .settings(NexmarkSettings { events_per_second: rate, ..NexmarkSettings::default() })
                .map_err(wrong)?;
        }
        if let Some(rate) = options.parsed::<f64>("rows-per-second", "a number of events")? {
            source = source.rate_limit(rate).map_err(wrong)?;
        }
        let source = source.project(Arc::clone(&request.schema)).map_err(wrong)?;
        Ok(TableSource { source: Arc::new(source) })
    }

    fn sink(&self, request: &SinkRequest<'_>) -> SqlResult<TableSink> {
        Err(only_source(request.table, "nexmark"))
    }
}

/// Rows on the terminal.
struct Print;

const PRINT: &[ConnectorOption] = &[
    optional("print-identifier", "what stands before each row"),
    optional("standard-error", "rows go to standard error instead of standard output"),
    optional("sink.parallelism", "how many subtasks print"),
];

impl TableFactory for Print {
    fn identifier(&self) -> &'static str {
        "print"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        PRINT
    }

    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource> {
        Err(only_sink(request.table, "print"))
    }

    fn sink(&self, request: &SinkRequest<'_>) -> SqlResult<TableSink> {
        let mut sink = PrintSink::flink_rows();
        if let Some(name) = request.options.get("print-identifier") {
            sink = sink.name(name);
        }
        if let Some(yes) = is_true(request.options, "standard-error")? {
            sink = sink.standard_error(yes);
        }
        Ok(TableSink { operator: Arc::new(sink), changes: SinkChanges::All })
    }
}

/// Counts and forgets.
struct Blackhole;

const BLACKHOLE: &[ConnectorOption] = &[optional("sink.parallelism", "how many subtasks take rows")];

impl TableFactory for Blackhole {
    fn identifier(&self) -> &'static str {
        "blackhole"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        BLACKHOLE
    }

    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource> {
        Err(only_sink(request.table, "blackhole"))
    }

    fn sink(&self, _: &SinkRequest<'_>) -> SqlResult<TableSink> {
        Ok(TableSink { operator: Arc::new(BlackholeSink), changes: SinkChanges::All })
    }
}
