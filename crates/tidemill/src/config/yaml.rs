//! `config.yaml`: YAML 1.2, nested or with dotted keys or both. Values keep the text they were written with, and
//! each key the line it stands on.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use tidemill_core::config::{join_list, join_map};

use super::config_files::FileContent;
use crate::Error;

/// How deep values may be nested.
const MAX_DEPTH: usize = 64;

/// How many values there may be, those that aliases repeat included.
const MAX_NODES: usize = 100_000;

#[derive(Clone, Debug)]
struct Node {
    line: usize,
    column: usize,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

pub(super) fn parse(path: &Arc<str>, text: &str) -> Result<FileContent, Error> {
    let reader = Reader { path };
    let mut content = FileContent::default();
    if let Some(root) = reader.read(text)? {
        match root.value {
            Value::Map(entries) => reader.flatten("", entries, &mut content)?,
            Value::Null => {}
            _ => {
                return Err(reader.error(
                    root.line,
                    root.column,
                    "expected keys and values, as in 'key: value'",
                ));
            }
        }
    }
    Ok(content)
}

/// A list or map whose end has not been read yet.
struct Open {
    anchor: usize,
    line: usize,
    column: usize,
    is_map: bool,
    items: Vec<Node>,
}

struct Reader<'a> {
    path: &'a Arc<str>,
}

impl Reader<'_> {
    fn error(&self, line: usize, column: usize, message: impl Into<String>) -> Error {
        Error::Syntax { path: self.path.to_string(), line, column, message: message.into() }
    }

    /// The first document, if it has any content.
    fn read(&self, text: &str) -> Result<Option<Node>, Error> {
        let mut open: Vec<Open> = Vec::new();
        let mut anchors: HashMap<usize, (Node, usize)> = HashMap::new();
        let mut nodes = 0;
        let mut root = None;
        let mut parser = Parser::new_from_str(text);
        let lines: Vec<&str> = text.lines().collect();
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                let (line, column) = (error.marker().line(), error.marker().col() + 1);
                self.error(line, column, explain(error.info(), text, line))
            })?;
            let (line, column) = position(&span);
            let text_line = lines.get(line.saturating_sub(1)).copied().unwrap_or("");
            let is_node = matches!(
                event,
                Event::Scalar(..) | Event::Alias(_) | Event::SequenceStart(..) | Event::MappingStart(..)
            );
            if is_node && is_behind_tab(text_line, column) {
                // The parser lets some of them pass.
                return Err(self.error(line, 1, "YAML does not allow tabs in front of a key: use spaces"));
            }
            let (node, anchor) = match event {
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(self.error(
                        line,
                        column,
                        "a configuration is one document; remove what follows '---'",
                    ));
                }
                Event::Scalar(value, style, anchor, _) => {
                    let null = style == ScalarStyle::Plain
                        && matches!(value.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                    let value = if null { Value::Null } else { Value::Scalar(value.into_owned()) };
                    (Node { line, column, value }, anchor)
                }
                Event::Alias(anchor) => {
                    let (node, size) = anchors.get(&anchor).cloned().ok_or_else(|| {
                        self.error(line, column, "this alias (*) has no anchor (&) before it")
                    })?;
                    nodes += size;
                    (Node { line, column, ..node }, 0)
                }
                Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _)
                    if open.len() >= MAX_DEPTH =>
                {
                    let _ = anchor;
                    return Err(self.error(
                        line,
                        column,
                        format!("values are nested more than {MAX_DEPTH} deep"),
                    ));
                }
                Event::SequenceStart(anchor, _) => {
                    open.push(Open { anchor, line, column, is_map: false, items: Vec::new() });
                    continue;
                }
                Event::MappingStart(anchor, _) => {
                    open.push(Open { anchor, line, column, is_map: true, items: Vec::new() });
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                    Some(Open { anchor, line, column, is_map, items }) => {
                        let value = if is_map { Value::Map(pairs(items)) } else { Value::List(items) };
                        (Node { line, column, value }, anchor)
                    }
                    None => continue,
                },
                _ => continue,
            };
            nodes += 1;
            if nodes > MAX_NODES {
                return Err(self.error(line, column, format!("there are more than {MAX_NODES} values")));
            }
            if anchor > 0 {
                let size = size(&node);
                nodes += size;
                anchors.insert(anchor, (node.clone(), size));
            }
            match open.last_mut() {
                Some(parent) => parent.items.push(node),
                None => root = Some(node),
            }
        }
        Ok(root)
    }

    /// Adds every value under its dotted key.
    fn flatten(
        &self,
        prefix: &str,
        entries: Vec<(Node, Node)>,
        content: &mut FileContent,
    ) -> Result<(), Error> {
        for (key, node) in entries {
            let (line, column) = (key.line, key.column);
            let Value::Scalar(name) = key.value else {
                return Err(self.error(line, column, "a key must be a plain text"));
            };
            let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            let value = match node.value {
                Value::Map(entries) if !entries.is_empty() => {
                    self.flatten(&key, entries, content)?;
                    continue;
                }
                Value::Null => {
                    content
                        .warnings
                        .push(format!("{}:{line}: '{key}' has no value and counts as not set", self.path));
                    continue;
                }
                value => text(value),
            };
            content.add(self.path, line, key, value);
        }
        Ok(())
    }
}

/// Whether a line begins with a tab, and nothing but white space is in front of a column.
fn is_behind_tab(line: &str, column: usize) -> bool {
    line.starts_with('\t') && line.chars().take(column - 1).all(char::is_whitespace)
}

fn position(span: &Span) -> (usize, usize) {
    (span.start.line(), span.start.col() + 1)
}

fn pairs(items: Vec<Node>) -> Vec<(Node, Node)> {
    let mut pairs = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    pairs
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Null | Value::Scalar(_) => 0,
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|(key, value)| size(key) + size(value)).sum(),
    }
}

/// A value as one text, as `-D` would have it.
fn text(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Scalar(text) => text,
        Value::List(items) => {
            let items: Vec<String> = items.into_iter().map(|item| text(item.value)).collect();
            join_list(items.iter().map(String::as_str))
        }
        Value::Map(entries) => {
            let entries: Vec<(String, String)> =
                entries.into_iter().map(|(key, node)| (text(key.value), text(node.value))).collect();
            join_map(entries.iter().map(|(key, value)| (key.as_str(), value.as_str())))
        }
    }
}

/// The parser's message, with what usually is the reason.
fn explain(message: &str, text: &str, line: usize) -> String {
    // The parser may find out a line late.
    let near = text.lines().skip(line.saturating_sub(2)).take(2);
    if near.into_iter().any(|line| line.trim_start_matches(' ').starts_with('\t')) {
        format!("{message} (YAML does not allow tabs in front of a key: use spaces)")
    } else {
        message.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let content = parse(&"config.yaml".into(), text).map_err(|error| error.to_string())?;
        assert_eq!(content.warnings, [""; 0], "{text}");
        Ok(content.configuration.iter().map(|(k, entry)| (k.to_owned(), entry.value.clone())).collect())
    }

    fn pairs_of(pairs: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        Ok(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn nested_flat_and_mixed() {
        let expected = pairs_of(&[("a.b", "1"), ("a.c.d", "0.10"), ("e", "x y")]);
        assert_eq!(read("a:\n  b: 1\n  c:\n    d: 0.10\ne: x y\n"), expected);
        assert_eq!(read("a.b: 1\na.c.d: 0.10\ne: 'x y'"), expected);
        assert_eq!(read("a:\n  c.d: 0.10\na.b: 1   # one\ne: \"x y\""), expected);
        assert_eq!(read("{a: {b: 1, c: {d: 0.10}}, e: x y}"), expected);
        assert_eq!(read(""), pairs_of(&[]));
        assert_eq!(read("# nothing\n---\n"), pairs_of(&[]));
        assert_eq!(read("a: {b: 1,\tc: [\t2]}\n\t\n\t# b"), pairs_of(&[("a.b", "1"), ("a.c", "2")]));
    }

    #[test]
    fn lists_and_empty_maps_are_one_text() {
        assert_eq!(read("a: [x, 'y;z', 3]"), pairs_of(&[("a", "x;\"y;z\";3")]));
        assert_eq!(read("a:\n  - k: v\n    l: w\n  - u"), pairs_of(&[("a", "\"k:v,l:w\";u")]));
        assert_eq!(read("a: {}"), pairs_of(&[("a", "")]));
    }

    #[test]
    fn anchors_repeat_a_value() {
        assert_eq!(read("a: &x {b: 1}\nc: *x"), pairs_of(&[("a.b", "1"), ("c.b", "1")]));
        assert!(read("c: *x").is_err());
    }

    #[test]
    fn aliases_cannot_fill_the_memory() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let below = format!("*a{},", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert!(read(&text).unwrap_err().contains("more than 100000 values"));
        let deep = |depth: usize| format!("a: {}x{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&deep(30)).is_ok());
        assert!(read(&deep(100)).unwrap_err().contains("nested more than 64 deep"));
        assert!(read(&deep(100_000)).is_err());
    }

    #[test]
    fn what_is_wrong_is_said_with_line_and_column() {
        for (text, expected) in [
            ("a: 1\n- b", "config.yaml:2:"),
            ("a:\n\tb: 1", "tabs"),
            ("\ta: 1", "config.yaml:1:1: YAML does not allow tabs"),
            ("a: 1\n\tb: 2", "tabs"),
            ("\t- a", "tabs"),
            ("a: [1", "config.yaml:"),
            ("just text", "config.yaml:1:1: expected keys and values"),
            ("a: 1\n---\nb: 2", "one document"),
            ("[a]: 1", "a key must be"),
            ("a: 1\n  b: 2", "config.yaml:2:"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn duplicates_and_missing_values_warn() {
        let content = parse(&"c.yaml".into(), "a.b: 1\na:\n  b: 2\nc:\n").unwrap();
        assert_eq!(
            content.warnings,
            [
                "c.yaml:3: 'a.b' was set before, at c.yaml:1; this one counts, being the last",
                "c.yaml:4: 'c' has no value and counts as not set",
            ]
        );
        assert_eq!(content.configuration.get_raw("a.b").map(|entry| entry.value.as_str()), Some("2"));
    }

    proptest! {
        #[test]
        fn any_text_gives_an_answer(text in any::<String>(), near in "[ab&*\\[\\]{},:'\"#|>\n\t ?!-]{0,80}") {
            let _ = parse(&"f".into(), &text);
            let _ = parse(&"f".into(), &near);
        }
    }
}
