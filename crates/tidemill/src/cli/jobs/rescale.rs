//! `tidemill rescale`: another parallelism for a job that runs.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use super::find::{self, WhereArgs};
use super::{Asked, WaitArgs, Waiting, in_words, printable};
use crate::Error;
use crate::cli::Outcome;
use crate::cli::style::note_tag;

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("wanted").required(true).multiple(true).args(["parallelism", "vertex"]))]
pub(in crate::cli) struct RescaleCommand {
    /// The job: its id, how that begins, or its name
    #[arg(value_name = "JOB")]
    job: String,
    /// How many subtasks each vertex is to have, but no more than its max parallelism
    #[arg(short = 'p', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=32768))]
    parallelism: Option<u32>,
    /// How many subtasks one vertex is to have, by its id, how that begins, or its name; may be repeated
    #[arg(long, value_name = "ID=N", value_parser = vertex)]
    vertex: Vec<(String, u32)>,
    #[command(flatten)]
    place: WhereArgs,
    #[command(flatten)]
    wait: WaitArgs,
    /// Show what came of it as JSON
    #[arg(long)]
    json: bool,
}

fn vertex(text: &str) -> Result<(String, u32), String> {
    let (name, number) = text.rsplit_once('=').ok_or("expected ID=N")?;
    match number.trim().parse() {
        Ok(number) if (1..=32768).contains(&number) && !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), number))
        }
        _ => Err("expected ID=N, with N from 1 to 32768".to_owned()),
    }
}

/// A vertex as the job describes it.
struct Vertex {
    id: String,
    name: String,
    parallelism: u32,
    max_parallelism: u32,
}

fn vertices(details: &Value) -> Option<Vec<Vertex>> {
    let number = |vertex: &Value, name: &str| u32::try_from(vertex.get(name)?.as_u64()?).ok();
    let vertices = details.get("vertices")?.as_array()?.iter().map(|vertex| {
        Some(Vertex {
            id: vertex.get("id")?.as_str()?.to_owned(),
            name: printable(vertex.get("name")?.as_str()?),
            parallelism: number(vertex, "parallelism")?,
            max_parallelism: number(vertex, "maxParallelism")?,
        })
    });
    vertices.collect()
}

/// What each vertex is to have, by its id.
fn wanted(
    vertices: &[Vertex],
    all: Option<u32>,
    some: &[(String, u32)],
) -> Result<BTreeMap<String, u32>, Error> {
    let mut wanted: BTreeMap<String, u32> = vertices
        .iter()
        .map(|vertex| {
            (vertex.id.clone(), all.map_or(vertex.parallelism, |all| all.min(vertex.max_parallelism)))
        })
        .collect();
    for (text, parallelism) in some {
        let lower = text.to_ascii_lowercase();
        let found: Vec<&Vertex> = [
            &(|vertex: &Vertex| vertex.id == lower) as &dyn Fn(&Vertex) -> bool,
            &|vertex| vertex.name == *text,
            &|vertex| vertex.id.starts_with(&lower),
        ]
        .iter()
        .map(|rule| vertices.iter().filter(|vertex| rule(vertex)).collect::<Vec<_>>())
        .find(|found| !found.is_empty())
        .unwrap_or_default();
        let [vertex] = found.as_slice() else {
            let listed: Vec<String> =
                vertices.iter().map(|vertex| format!("\n  {}  {}", vertex.id, vertex.name)).collect();
            let which =
                if found.is_empty() { "no vertex of the job" } else { "more than one vertex of the job" };
            return Err(Error::Argument(format!("'{text}' is {which}; it has{}", listed.concat())));
        };
        wanted.insert(vertex.id.clone(), *parallelism);
    }
    Ok(wanted)
}

pub(in crate::cli) fn rescale(
    command: &RescaleCommand,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, Error> {
    let job = find::one(&command.job, &command.place)?;
    let asked = Asked { client: &job.client, what: &format!("rescale '{}'", job.name) };
    let root = format!("/jobs/{}", job.id);
    let details = job.client.get(&root).map_err(|problem| asked.problem(problem))?;
    let vertices = vertices(&details).ok_or_else(|| Error::NoInterface {
        address: job.client.address.clone(),
        reason: "it does not describe the vertices of its job".to_owned(),
    })?;
    let wanted = wanted(&vertices, command.parallelism, &command.vertex)?;
    for vertex in &vertices {
        if let Some(all) = command.parallelism
            && wanted.get(&vertex.id).is_some_and(|wanted| *wanted < all && *wanted == vertex.max_parallelism)
        {
            writeln!(
                err,
                "{} '{}' gets no more than its max parallelism, {}",
                note_tag(),
                vertex.name,
                vertex.max_parallelism
            )?;
        }
    }
    let body: Map<String, Value> = wanted
        .iter()
        .map(|(id, wanted)| (id.clone(), json!({ "parallelism": { "lowerBound": 1, "upperBound": wanted } })))
        .collect();
    let waiting = Waiting::new(format!("Rescaling '{}'", job.name));
    waiting.tick();
    let answered = job.client.put(&format!("{root}/resource-requirements"), &Value::Object(body));
    let answered = answered.map_err(|problem| asked.problem(problem))?;
    let Some(location) = answered.location.filter(|path| path.starts_with('/')) else {
        drop(waiting);
        // Nothing was to be changed; or it is a cluster that does not tell.
        let nothing = vertices.iter().all(|vertex| wanted.get(&vertex.id) == Some(&vertex.parallelism));
        let changes = if nothing { "'{}' runs like this already" } else { "'{}' will be rescaled" };
        if command.json {
            writeln!(out, "{:#}", json!({ "id": job.id, "name": job.name, "rescaled": false }))?;
        } else {
            writeln!(out, "{}", changes.replace("{}", &job.name))?;
        }
        return Ok(Outcome::Good);
    };
    let ended = job.client.poll(&location, command.wait.timeout, &|| waiting.tick(), |rescale| {
        rescale.get("terminalState").filter(|state| state.is_string()).map(|_| rescale.clone())
    });
    drop(waiting);
    let Some(ended) = ended.map_err(|problem| asked.problem(problem))? else {
        let seconds = command.wait.timeout.as_secs();
        return Err(Error::StillWaiting { what: asked.what.to_owned(), seconds });
    };
    let text = |name: &str| ended.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if text("terminalState") != "COMPLETED" {
        return Err(Error::JobRequest { what: asked.what.to_owned(), message: text("failureMessage") });
    }
    let downtime = ended.get("downtimeInMillis").and_then(Value::as_u64).unwrap_or(0);
    let savepoint = text("savepoint");
    if command.json {
        let fields = json!({
            "id": job.id,
            "name": job.name,
            "rescaled": true,
            "downtime-ms": downtime,
            "savepoint": savepoint,
            "parallelism": wanted,
        });
        writeln!(out, "{fields:#}")?;
        return Ok(Outcome::Good);
    }
    writeln!(
        out,
        "Rescaled '{}': down for {}, by the savepoint {savepoint}",
        job.name,
        in_words(Duration::from_millis(downtime))
    )?;
    for vertex in &vertices {
        let now = wanted.get(&vertex.id).copied().unwrap_or(vertex.parallelism);
        if now != vertex.parallelism {
            writeln!(out, "  {}: {} -> {now}", vertex.name, vertex.parallelism)?;
        }
    }
    Ok(Outcome::Good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vertices_are_named_by_id_its_beginning_or_name() {
        let vertex = |id: &str, name: &str, max_parallelism| Vertex {
            id: id.to_owned(),
            name: name.to_owned(),
            parallelism: 2,
            max_parallelism,
        };
        let vertices =
            [vertex("ab12", "Source", 128), vertex("ab34", "Count", 3), vertex("cd56", "Sink", 128)];
        let of = |all, some: &[(&str, u32)]| {
            let some: Vec<(String, u32)> = some.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
            wanted(&vertices, all, &some)
                .map(|wanted| wanted.into_values().collect::<Vec<_>>())
                .map_err(|error| error.to_string())
        };
        assert_eq!(of(Some(8), &[]), Ok(vec![8, 3, 8]));
        assert_eq!(of(None, &[("cd", 7), ("Count", 1)]), Ok(vec![2, 1, 7]));
        assert_eq!(of(Some(4), &[("AB12", 1)]), Ok(vec![1, 3, 4]));
        assert!(of(None, &[("ab", 1)]).unwrap_err().contains("more than one vertex"));
        assert!(of(None, &[("x", 1)]).unwrap_err().contains("\n  cd56  Sink"));
        assert_eq!(super::vertex("a=b=3"), Ok(("a=b".to_owned(), 3)));
        for text in ["a", "a=", "a=0", "=3", "a=-1", "a=40000"] {
            assert!(super::vertex(text).is_err(), "{text}");
        }
    }
}
