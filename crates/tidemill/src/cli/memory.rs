//! `tidemill memory`: how the memory of a process is divided, and why.

use std::io::Write;

use anstyle::Style;
use clap::Args;
use serde_json::{Map, Value};
use tidemill_core::memory::TaskManagerMemory;

use super::style::{DIM, HEADING, KEY, warning_tag};
use super::table::{Align, Column, Table};
use super::{Outcome, show_remarks};
use crate::Error;
use crate::config::{ConfigArgs, load_args};
use crate::memory::prepare;

/// Show how the memory of a process is divided: each part, its share, where its size came from and what sets it.
///
/// Without any size configured, the size is taken from this machine, as a job would do.
#[derive(Args, Debug)]
pub(super) struct MemoryCommand {
    #[command(flatten)]
    config: ConfigArgs,

    /// Print one JSON object: bytes by option
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    command: MemoryCommand,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, Error> {
    let mut loaded = load_args(&command.config)?;
    show_remarks(&loaded, err)?;
    let prepared = prepare(&mut loaded.configuration)?;
    if let Some(warning) = &prepared.warning {
        writeln!(err, "{} {warning}", warning_tag())?;
    }
    if command.json {
        writeln!(out, "{:#}", json(&prepared.memory))?;
        return Ok(Outcome::Good);
    }
    if let Some(embedded) = &prepared.embedded {
        writeln!(out, "{embedded}\n")?;
    }
    draw(&prepared.memory, out)?;
    Ok(Outcome::Good)
}

fn json(memory: &TaskManagerMemory) -> Value {
    let sizes = memory.tree().map(|(_, name, part)| (name.key().to_owned(), Value::from(part.size.bytes())));
    Value::Object(Map::from_iter(sizes))
}

fn draw(memory: &TaskManagerMemory, out: &mut dyn Write) -> Result<(), Error> {
    let column = |heading, align, style| Column { heading, align, style };
    let mut table = Table::new(vec![
        column("PART", Align::Left, Style::new()),
        column("SIZE", Align::Right, HEADING),
        column("BYTES", Align::Right, Style::new()),
        column("SHARE", Align::Right, Style::new()),
        column("FROM", Align::Left, DIM),
        column("SET BY", Align::Left, KEY),
    ]);
    let tree = memory.tree();
    let process = memory.process.size.bytes().max(1) as f64;
    for (index, (depth, name, part)) in tree.iter().enumerate() {
        let after = tree.get(index + 1..).unwrap_or_default();
        table.row(vec![
            format!("{}{name}", branch(*depth, after.iter().map(|(depth, ..)| *depth))),
            part.size.human(),
            part.size.bytes().to_string(),
            format!("{:.1} %", part.size.bytes() as f64 / process * 100.0),
            part.source.to_string(),
            name.set_by().to_owned(),
        ]);
    }
    table.write(out)?;
    let slots = if memory.slots == 1 { "1 slot".to_owned() } else { format!("{} slots", memory.slots) };
    writeln!(
        out,
        "\nNetwork Memory: {} buffers of {}. {slots}: each has {} of Managed Memory and {} of Task Heap Memory.",
        memory.network_buffers(),
        memory.segment_size,
        memory.managed_per_slot().human(),
        memory.task_heap_per_slot().human(),
    )?;
    Ok(())
}

/// What is drawn in front of a part, given how deep it and those after it are.
fn branch(depth: usize, after: impl Iterator<Item = usize> + Clone) -> String {
    let mut lines = String::new();
    for level in 1..=depth {
        // Whether this level goes on below: another part on it comes before its parent's next sibling.
        let goes_on = after.clone().take_while(|next| *next >= level).any(|next| next == level);
        lines.push_str(match (level == depth, goes_on) {
            (true, true) => "├─ ",
            (true, false) => "└─ ",
            (false, true) => "│  ",
            (false, false) => "   ",
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_end_where_their_level_ends() {
        let depths = [0, 1, 2, 2, 1];
        let drawn: Vec<String> =
            (0..depths.len()).map(|i| branch(depths[i], depths[i + 1..].iter().copied())).collect();
        assert_eq!(drawn, ["", "├─ ", "│  ├─ ", "│  └─ ", "└─ "]);
    }
}
