//! Writes schemas: in the Parsing Canonical Form, with what their types mean, and as a text that needs no other.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::error::AvroError;
use super::schema::{Kind, Logical, Node, NodeId, TypeName, namespace_of};

/// Names are written in full wherever a type is referred to, which can make a text long.
const MAX_WRITTEN_BYTES: usize = 16 << 20;

/// What is written of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// What tells how data are written.
    Canonical,
    /// Logical types too.
    Meaning,
    /// Aliases and defaults too.
    Whole,
}

/// The Parsing Canonical Form.
pub(super) fn canonical(nodes: &[Node], root: NodeId) -> Result<String, AvroError> {
    written(nodes, root, Form::Canonical)
}

/// The canonical form with the logical types: what two schemas have in common when values of one are values of the other.
pub(super) fn meaning(nodes: &[Node], root: NodeId) -> Result<String, AvroError> {
    written(nodes, root, Form::Meaning)
}

/// The schema with all that is known about it.
pub(super) fn whole(nodes: &[Node], root: NodeId) -> Result<String, AvroError> {
    written(nodes, root, Form::Whole)
}

fn written(nodes: &[Node], root: NodeId, form: Form) -> Result<String, AvroError> {
    let names = nodes.iter().filter_map(|node| node.kind.name()).map(|name| name.full.as_str()).collect();
    let mut writing = Writing { nodes, names, written: vec![false; nodes.len()], form };
    let mut out = String::new();
    writing.text(root, "", &mut out);
    match out.len() > MAX_WRITTEN_BYTES {
        true => Err(AvroError::schema(format!(
            "with all names written in full it has more than {MAX_WRITTEN_BYTES} bytes: shorten its namespaces"
        ))),
        false => Ok(out),
    }
}

/// Types that were written are referred to.
struct Writing<'a> {
    nodes: &'a [Node],
    names: HashSet<&'a str>,
    written: Vec<bool>,
    form: Form,
}

fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}

impl<'a> Writing<'a> {
    /// Within a type of that namespace. With keys in the order of the canonical form, which a map of JSON would lose.
    fn text(&mut self, id: NodeId, namespace: &str, out: &mut String) {
        // It is too long already.
        if out.len() > MAX_WRITTEN_BYTES {
            return;
        }
        let nodes = self.nodes;
        let node = &nodes[id as usize];
        let logical = if self.form == Form::Canonical { Logical::None } else { node.logical };
        match &node.kind {
            Kind::Array(items) => {
                out.push_str("{\"type\":\"array\",\"items\":");
                self.text(*items, namespace, out);
                out.push('}');
            }
            Kind::Map(values) => {
                out.push_str("{\"type\":\"map\",\"values\":");
                self.text(*values, namespace, out);
                out.push('}');
            }
            Kind::Union(branches) => {
                out.push('[');
                for (i, branch) in branches.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { "," });
                    self.text(*branch, namespace, out);
                }
                out.push(']');
            }
            kind => match kind.name() {
                Some(name) if std::mem::replace(&mut self.written[id as usize], true) => {
                    out.push_str(&quoted(&self.referred(name, namespace)));
                    return;
                }
                Some(name) => self.definition(kind, name, namespace, out),
                None if logical == Logical::None => out.push_str(&quoted(kind.label())),
                None => out.push_str(&format!("{{\"type\":{}}}", quoted(kind.label()))),
            },
        }
        if logical != Logical::None {
            out.pop();
            out.push_str(&format!(",\"logicalType\":\"{}\"", logical.avro_name()));
            if let Logical::Decimal { precision, scale } = logical {
                out.push_str(&format!(",\"precision\":{precision},\"scale\":{scale}"));
            }
            out.push('}');
        }
    }

    /// How a type is referred to. One in no namespace would be taken for its namesake in that of the type around it; a dot in
    /// front says that it has none.
    fn referred(&self, name: &'a TypeName, namespace: &str) -> String {
        let taken = || self.names.contains(format!("{namespace}.{}", name.full).as_str());
        let bare = namespace_of(&name.full).is_empty() && !namespace.is_empty();
        match self.form == Form::Whole && bare && taken() {
            true => format!(".{}", name.full),
            false => name.full.clone(),
        }
    }

    fn definition(&mut self, kind: &'a Kind, name: &'a TypeName, namespace: &str, out: &mut String) {
        let own = namespace_of(&name.full);
        out.push_str(&format!("{{\"name\":{}", quoted(&name.full)));
        if self.form == Form::Whole && own.is_empty() && !namespace.is_empty() {
            out.push_str(",\"namespace\":\"\"");
        }
        out.push_str(&format!(",\"type\":\"{}\"", kind.label()));
        // An alias without a namespace is one in that of the type.
        let aliases = name.aliases.iter().map(|alias| match !own.is_empty() && !alias.contains('.') {
            true => format!(".{alias}"),
            false => alias.clone(),
        });
        self.aliases(aliases.collect(), out);
        match kind {
            Kind::Fixed(_, size) => out.push_str(&format!(",\"size\":{size}")),
            Kind::Enum(of) => {
                out.push_str(&format!(",\"symbols\":{}", Json::from(of.symbols.clone())));
                if let Some(default) = of.default.as_ref().filter(|_| self.form == Form::Whole) {
                    out.push_str(&format!(",\"default\":{}", quoted(default)));
                }
            }
            Kind::Record(of) => {
                out.push_str(",\"fields\":[");
                for (i, field) in of.fields.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { "," });
                    out.push_str(&format!("{{\"name\":{},\"type\":", quoted(&field.name)));
                    self.text(field.node, own, out);
                    self.aliases(field.aliases.clone(), out);
                    if let Some(default) = field.default.as_ref().filter(|_| self.form == Form::Whole) {
                        out.push_str(&format!(",\"default\":{default}"));
                    }
                    out.push('}');
                }
                out.push(']');
            }
            _ => {}
        }
        out.push('}');
    }

    fn aliases(&self, aliases: Vec<String>, out: &mut String) {
        if self.form == Form::Whole && !aliases.is_empty() {
            out.push_str(&format!(",\"aliases\":{}", Json::from(aliases)));
        }
    }
}
