//! `tidemill config`: what options there are, what one does, and whether a file is right.

use std::io::Write;
use std::path::PathBuf;

use anstyle::Style;
use clap::{Args, Subcommand};
use tidemill_core::config::known::{self, Known};
use tidemill_core::config::render::{sentence, wrap};
use tidemill_core::config::{AnyOption, Configuration, OptionMeta, Origin, Scope, options};

use super::style::{self, DIM, HEADING, KEY, SET};
use super::table::{Align, Column, Table};
use super::{Outcome, show_remarks};
use crate::Error;
use crate::config::{ConfigArgs, Property, inspect, load_args};

#[derive(Args, Debug)]
pub(super) struct ConfigCommand {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// List the options, and what they are set to
    List {
        /// Also those of Flink that have no effect here
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Say what an option does, and what it is set to
    Explain {
        /// The key, by any of its spellings
        key: String,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Say what is wrong with a file, which keys have no effect, and what should be changed
    Check {
        /// A config.yaml or flink-conf.yaml, or the folder it is in
        file: PathBuf,
        /// Set an option, over the file; may be repeated
        #[arg(short = 'D', value_name = "KEY=VALUE")]
        properties: Vec<Property>,
        /// Exit with 1 for warnings too
        #[arg(long)]
        strict: bool,
    },
}

pub(super) fn run(
    command: ConfigCommand,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, Error> {
    match command.command {
        Subcommands::List { all, config } => list(all, &config, out, err),
        Subcommands::Explain { key, config } => explain(&key, &config, out, err),
        Subcommands::Check { file, properties, strict } => {
            check(&ConfigArgs { config: Some(file), properties }, strict, out)
        }
    }
}

fn list(all: bool, config: &ConfigArgs, out: &mut dyn Write, err: &mut dyn Write) -> Result<Outcome, Error> {
    let loaded = load_args(config)?;
    show_remarks(&loaded, err)?;
    let column = |heading, style| Column { heading, align: Align::Left, style };
    let mut columns =
        vec![column("KEY", KEY), column("TYPE", DIM), column("DEFAULT", Style::new()), column("SET BY", DIM)];
    let any_set = !loaded.configuration.is_empty();
    if any_set {
        columns.extend([column("SET TO", SET), column("WHERE", DIM)]);
    }
    let mut table = Table::new(columns);
    for group in options::groups() {
        table.heading(group.title);
        for option in group.options {
            let meta = option.meta();
            let default = meta.default.unwrap_or("(none)");
            let mut row = vec![
                meta.key.to_owned(),
                option.type_name().into_owned(),
                shorten(if default.is_empty() { "(empty)" } else { default }),
                meta.scope.to_string(),
            ];
            if any_set {
                let origin = loaded.configuration.origin(*option).map(|(_, origin)| origin.to_string());
                row.extend([
                    loaded.configuration.text(*option).unwrap_or_default(),
                    origin.unwrap_or_default(),
                ]);
            }
            table.row(row);
        }
    }
    table.write(out)?;
    if all {
        writeln!(out)?;
        list_others(out)?;
    }
    writeln!(
        out,
        "\n{DIM}tidemill config explain KEY says more of one; docs/configuration.md of all.{DIM:#}"
    )?;
    Ok(Outcome::Good)
}

/// The options of Flink that have no effect.
fn list_others(out: &mut dyn Write) -> Result<(), Error> {
    let column = |heading, style| Column { heading, align: Align::Left, style };
    let mut table =
        Table::new(vec![column("KEY", KEY), column("TYPE", DIM), column("IN TIDEMILL", Style::new())]);
    table.heading("Options of Flink without effect");
    for option in known::flink_options() {
        if options::by_key(option.key).is_none() && !option.of_connector {
            let use_of = known::use_of(option).to_string();
            table.row(vec![option.key.to_owned(), shorten(option.type_name), use_of]);
        }
    }
    table.heading("Keys of Flink 1.x without effect");
    for (key, advice) in known::removed_keys() {
        table.row(vec![key.to_owned(), String::new(), format!("was removed in Flink 2: {advice}")]);
    }
    table.write(out)?;
    Ok(())
}

fn shorten(text: &str) -> String {
    const WIDTH: usize = 28;
    if text.chars().count() <= WIDTH {
        return text.to_owned();
    }
    text.chars().take(WIDTH - 1).chain(['…']).collect()
}

fn explain(
    key: &str,
    config: &ConfigArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, Error> {
    let loaded = load_args(config)?;
    show_remarks(&loaded, err)?;
    let mut declared = options::spelled(key).peekable();
    if declared.peek().is_some() {
        for option in declared {
            explain_option(key, option, &loaded.configuration, out)?;
        }
        return Ok(Outcome::Good);
    }
    match known::lookup(key) {
        Some(Known::Removed { advice }) => {
            writeln!(out, "{KEY}{key}{KEY:#} was removed in Flink 2 and has no effect; {advice}.")?;
        }
        Some(Known::Flink { option, spelled_as, use_of }) => {
            if spelled_as.is_some() {
                writeln!(out, "{key} is an older spelling of")?;
            }
            writeln!(out, "{KEY}{}{KEY:#}\n  An option of Flink, which {use_of}.\n", option.key)?;
            field("type", option.type_name, out)?;
            field("default", if option.default.is_empty() { "(none)" } else { option.default }, out)?;
            if !option.deprecated.is_empty() {
                field("older", &option.deprecated.join(", "), out)?;
            }
        }
        Some(Known::Pattern { use_of }) => {
            writeln!(out, "{KEY}{key}{KEY:#} is named by a user, plugin or library of Flink, and {use_of}.")?;
        }
        None => {
            let mut configuration = Configuration::new();
            configuration.set_raw(key, "", Origin::Derived("command line".into()));
            return Err(Error::Configuration(configuration.diagnose().errors));
        }
    }
    Ok(Outcome::Good)
}

fn explain_option(
    key: &str,
    option: &dyn AnyOption,
    configuration: &Configuration,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let OptionMeta { key: current, default, deprecated, fallback, scope, .. } = *option.meta();
    if deprecated.contains(&key) {
        writeln!(out, "{key} is an older spelling of")?;
    }
    writeln!(out, "{KEY}{current}{KEY:#}")?;
    for line in wrap(&sentence(option), 98) {
        writeln!(out, "  {line}")?;
    }
    writeln!(out)?;
    field("type", &option.type_name(), out)?;
    let default = match default {
        None => "(none)",
        Some("") => "(empty)",
        Some(default) => default,
    };
    field("default", default, out)?;
    let set_by = match scope {
        Scope::Job => "the file, -D, or the program",
        Scope::Cluster => "the file or -D",
    };
    field("set by", set_by, out)?;
    if !deprecated.is_empty() {
        field("older", &deprecated.join(", "), out)?;
    }
    if !fallback.is_empty() {
        field("fallback", &fallback.join(", "), out)?;
    }
    if let (Some(text), Some((spelled, origin))) = (configuration.text(option), configuration.origin(option))
    {
        let spelled = if spelled == current { String::new() } else { format!(" as {spelled}") };
        field("set to", &format!("{SET}{text}{SET:#} ({origin}{spelled})"), out)?;
    }
    Ok(())
}

fn field(name: &str, value: &str, out: &mut dyn Write) -> Result<(), Error> {
    Ok(writeln!(out, "  {HEADING}{name:<9}{HEADING:#} {value}")?)
}

fn check(config: &ConfigArgs, strict: bool, out: &mut dyn Write) -> Result<Outcome, Error> {
    let (loaded, diagnosis) = inspect(config)?;
    let mut errors: Vec<String> = diagnosis.errors.iter().map(ToString::to_string).collect();
    let mut of_machine = None;
    if errors.is_empty() {
        // As a job would: where nothing sizes the process, this machine does.
        match crate::memory::prepare(&mut loaded.configuration.clone()) {
            Ok(prepared) => of_machine = prepared.of_this_machine(),
            Err(error) => errors.push(error.to_string()),
        }
    }
    let warnings: Vec<String> =
        loaded.warnings.into_iter().chain(diagnosis.warnings.iter().map(ToString::to_string)).collect();
    let notes: Vec<String> = diagnosis.notes.iter().map(ToString::to_string).collect();
    for (tag, texts) in
        [(style::error_tag(), &errors), (style::warning_tag(), &warnings), (style::note_tag(), &notes)]
    {
        for text in texts {
            writeln!(out, "{tag} {text}")?;
        }
    }
    if let Some(line) = of_machine {
        writeln!(out, "{DIM}{line}{DIM:#}")?;
    }
    let keys = loaded.configuration.iter().count();
    let file = loaded.file.unwrap_or_default();
    writeln!(
        out,
        "{}: {}, {}, {}, {}",
        file.display(),
        count(keys, "key"),
        count(errors.len(), "error"),
        count(warnings.len(), "warning"),
        count(notes.len(), "note"),
    )?;
    let bad = !errors.is_empty() || (strict && !warnings.is_empty());
    Ok(if bad { Outcome::Problem } else { Outcome::Good })
}

fn count(number: usize, what: &str) -> String {
    match number {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
