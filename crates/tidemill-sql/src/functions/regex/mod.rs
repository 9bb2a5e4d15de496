//! Functions of regular expressions, which are those of Java.
//!
//! An expression that is none makes the result NULL, or `FALSE` of `REGEXP`, as in Flink. `REGEXP_REPLACE`
//! puts the replacement in as it is: `$1` means nothing in it, as in Flink.

mod pattern;
mod translate;

use std::sync::Arc;

use arrow_array::types::{Int32Type, Int64Type};

use super::kernel::{Argument, FunctionContext, FunctionGroup, Mismatch, Resolved, ScalarFunction};
use super::support::{
    ListEnds, TextColumn, Want, any_nullable, booleans, null_like, primitives, strings, targets,
};
use super::text::utf16_length;
use crate::types::TypeRoot;

pub(crate) use pattern::{JavaPattern, Matcher, Patterns, Session};

type Arguments<'a> = &'a [Argument<'a>];

const fn text(
    name: &'static str,
    usage: &'static str,
    description: &'static str,
    resolve: fn(&FunctionContext, &[Argument<'_>]) -> Result<Resolved, Mismatch>,
) -> ScalarFunction {
    let group = FunctionGroup::Text;
    ScalarFunction { name, aliases: &[], group, usage, description, deterministic: true, resolve }
}

/// The functions of this chapter.
pub(crate) const FUNCTIONS: &[ScalarFunction] = &[
    text("REGEXP", "REGEXP(string, regex)", "Whether any part of the string matches.", regexp),
    text(
        "REGEXP_EXTRACT",
        "REGEXP_EXTRACT(string, regex[, group])",
        "The group of the first match, from 1; the whole match of group 0 and when no group is given.",
        regexp_extract,
    ),
    text(
        "REGEXP_EXTRACT_ALL",
        "REGEXP_EXTRACT_ALL(string, regex[, group])",
        "The array of the group, the first when none is given, of all matches.",
        regexp_extract_all,
    ),
    text(
        "REGEXP_REPLACE",
        "REGEXP_REPLACE(string, regex, replacement)",
        "The string with the replacement instead of all matches.",
        regexp_replace,
    ),
    text("REGEXP_COUNT", "REGEXP_COUNT(string, regex)", "How many matches there are.", regexp_count),
    text(
        "REGEXP_INSTR",
        "REGEXP_INSTR(string, regex)",
        "Where the first match starts, from 1; 0 when there is none.",
        regexp_instr,
    ),
    text(
        "REGEXP_SUBSTR",
        "REGEXP_SUBSTR(string, regex)",
        "The first match; NULL when there is none.",
        regexp_substr,
    ),
];

fn cut(text: &str, (start, end): (usize, usize)) -> &str {
    text.get(start..end).unwrap_or_default()
}

fn regexp(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text, Want::Text], &[], "(STRING, STRING)")?;
    let patterns = Patterns::of(arguments.get(1));
    Ok(Resolved::new(types, null_like(TypeRoot::Boolean, arguments), move |inputs| {
        let (text, regex) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?);
        let mut session = patterns.session();
        booleans(inputs, |row| {
            let (Some(text), Some(regex)) = (text.get(row), regex.get(row)) else { return Ok(None) };
            // Nothing is not looked for, as in Flink.
            match session.matcher(regex) {
                Some(matcher) if !regex.is_empty() => matcher.pattern().is_match(text).map(Some),
                _ => Ok(Some(false)),
            }
        })
    }))
}

fn regexp_extract(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text, Want::Text], &[Want::Integer], "(STRING, STRING[, INT])")?;
    let has_group = types.len() == 3;
    let patterns = Patterns::of(arguments.get(1));
    Ok(Resolved::new(types, TypeRoot::STRING.nullable(), move |inputs| {
        let (text, regex) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?);
        let group = has_group.then(|| inputs.get(2)?.primitive::<Int64Type>()).transpose()?;
        let mut session = patterns.session();
        strings(inputs, |row, out| {
            let group = group.as_ref().map_or(Some(0), |group| group.get(row));
            let (Some(text), Some(regex), Some(group)) = (text.get(row), regex.get(row), group) else {
                return Ok(false);
            };
            let (Some(matcher), Ok(group)) = (session.matcher(regex), usize::try_from(group)) else {
                return Ok(false);
            };
            let found = match group {
                0 => matcher.pattern().find(text, 0)?,
                _ if group > matcher.pattern().groups() => None,
                _ => matcher.captures(text, 0)?.and_then(|_| matcher.group(group)),
            };
            out.push_str(found.map(|span| cut(text, span)).unwrap_or_default());
            Ok(found.is_some())
        })
    }))
}

fn regexp_extract_all(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text, Want::Text], &[Want::Integer], "(STRING, STRING[, INT])")?;
    let has_group = types.len() == 3;
    let patterns = Patterns::of(arguments.get(1));
    let returns = TypeRoot::Array(Box::new(TypeRoot::STRING.nullable())).nullable();
    Ok(Resolved::new(types, returns, move |inputs| {
        let (text, regex) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?);
        let group = has_group.then(|| inputs.get(2)?.primitive::<Int64Type>()).transpose()?;
        let mut session = patterns.session();
        let mut lists = ListEnds::new(inputs.rows());
        let mut elements = TextColumn::new(inputs.rows());
        for row in 0..inputs.rows() {
            let group = group.as_ref().map_or(Some(1), |group| group.get(row));
            let group = group.and_then(|group| usize::try_from(group).ok());
            let matcher = match (text.get(row), regex.get(row), group) {
                (Some(text), Some(regex), Some(group)) => {
                    let matcher =
                        session.matcher(regex).filter(|matcher| group <= matcher.pattern().groups());
                    matcher.map(|matcher| (matcher, text, group))
                }
                _ => None,
            };
            let Some((matcher, text, group)) = matcher else {
                lists.null();
                continue;
            };
            matcher.each_group(text, group, |found| match found {
                Some(span) => elements.push(cut(text, span)),
                None => {
                    elements.null();
                    Ok(())
                }
            })?;
            lists.end(elements.len())?;
        }
        lists.into_lists(Arc::new(elements.finish()?))
    }))
}

fn regexp_replace(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text; 3], &[], "(STRING, STRING, STRING)")?;
    let patterns = Patterns::of(arguments.get(1));
    let never_null = patterns.is_valid() && !any_nullable(arguments);
    let returns = TypeRoot::STRING.not_null().with_nullable(!never_null);
    Ok(Resolved::new(types, returns, move |inputs| {
        let (text, regex, new) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?, inputs.get(2)?.text()?);
        let mut session = patterns.session();
        strings(inputs, |row, out| {
            let (Some(text), Some(regex), Some(new)) = (text.get(row), regex.get(row), new.get(row)) else {
                return Ok(false);
            };
            let Some(matcher) = session.matcher(regex) else { return Ok(false) };
            let mut copied = 0;
            matcher.each(text, |(start, end)| {
                out.push_str(cut(text, (copied, start)));
                out.push_str(new);
                copied = end;
                true
            })?;
            out.push_str(text.get(copied..).unwrap_or_default());
            Ok(true)
        })
    }))
}

/// A function of a string and an expression that gives a number; NULL when the expression is none.
fn counted(
    arguments: Arguments<'_>,
    count: impl Fn(&mut Matcher, &str) -> Result<i32, super::kernel::KernelError> + Send + Sync + 'static,
) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text, Want::Text], &[], "(STRING, STRING)")?;
    let patterns = Patterns::of(arguments.get(1));
    Ok(Resolved::new(types, TypeRoot::Int.nullable(), move |inputs| {
        let (text, regex) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?);
        let mut session = patterns.session();
        let numbers = primitives::<Int32Type>(inputs, |row| {
            let (Some(text), Some(regex)) = (text.get(row), regex.get(row)) else { return Ok(None) };
            session.matcher(regex).map(|matcher| count(matcher, text)).transpose()
        })?;
        Ok(Arc::new(numbers))
    }))
}

fn regexp_count(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    counted(arguments, |matcher, text| {
        let mut count = 0;
        matcher.each(text, |_| {
            count += 1;
            true
        })?;
        Ok(count)
    })
}

fn regexp_instr(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    counted(arguments, |matcher, text| {
        let found = matcher.pattern().find(text, 0)?;
        let before = found.map(|(start, _)| utf16_length(cut(text, (0, start))));
        Ok(before.map_or(0, |before| i32::try_from(before + 1).unwrap_or(i32::MAX)))
    })
}

fn regexp_substr(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    targets(arguments, &[Want::Text, Want::Text], &[], "(STRING, STRING)")?;
    regexp_extract(&FunctionContext { time_zone: chrono_tz::UTC }, arguments)
}

#[cfg(test)]
mod tests {
    use super::FUNCTIONS;
    use crate::functions::support::testing::{Given, call, call_in, context, number, text, texts, truth};
    use crate::types::TypeRoot;

    fn none() -> Given {
        Given::from(None::<&str>)
    }

    #[test]
    fn matches() {
        let matches = |text: &str, regex: &str| truth(FUNCTIONS, "REGEXP", &[text.into(), regex.into()]);
        assert_eq!(matches("foobar", "o+"), Some(true));
        assert_eq!(matches("foobar", "^o"), Some(false));
        assert_eq!(matches("foobar", ""), Some(false));
        assert_eq!(matches("foobar", "("), Some(false));
        assert_eq!(truth(FUNCTIONS, "REGEXP", &[none(), "a".into()]), None);
    }

    #[test]
    fn extracts() {
        let extract = |text_: &str, regex: &str, group: i32| {
            text(FUNCTIONS, "REGEXP_EXTRACT", &[text_.into(), regex.into(), group.into()])
        };
        assert_eq!(extract("foothebar", "foo(.*?)(bar)", 2).as_deref(), Some("bar"));
        assert_eq!(extract("foothebar", "foo(.*?)(bar)", 3), None);
        assert_eq!(extract("foothebar", "foo(x)?", 1), None);
        assert_eq!(extract("foothebar", "(", 0), None);
        assert_eq!(extract("foothebar", "foo", -1), None);
        assert_eq!(extract("a=1&channel_id=xyz&b", "(&|^)channel_id=([^&]*)", 2).as_deref(), Some("xyz"));
        assert_eq!(extract("channel_id=xyz", "(&|^)channel_id=([^&]*)", 1).as_deref(), Some(""));
        assert_eq!(extract("abcc", r"(?<=b)(c)\1", 1).as_deref(), Some("c"));
        assert_eq!(extract("abc\n", "c$", 0).as_deref(), Some("c"));
        let whole = text(FUNCTIONS, "REGEXP_EXTRACT", &["foothebar".into(), "foo(.*?)(bar)".into()]);
        assert_eq!(whole.as_deref(), Some("foothebar"));
        assert_eq!(text(FUNCTIONS, "REGEXP_EXTRACT", &[none(), "a".into()]), None);
        assert_eq!(text(FUNCTIONS, "REGEXP_EXTRACT", &["a".into(), none()]), None);
        assert!(call(FUNCTIONS, "REGEXP_EXTRACT", &["a".into(), 1.into()]).is_err());
    }

    #[test]
    fn extracts_all() {
        let all = |text: &str, regex: &str, group: i32| {
            texts(FUNCTIONS, "REGEXP_EXTRACT_ALL", &[text.into(), regex.into(), group.into()])
        };
        let some =
            |texts: &[&str]| Some(texts.iter().map(|text| Some((*text).to_owned())).collect::<Vec<_>>());
        assert_eq!(all("a1b22", r"([a-z])(\d+)", 0), some(&["a1", "b22"]));
        assert_eq!(all("a1b22", r"([a-z])(\d+)", 2), some(&["1", "22"]));
        assert_eq!(all("a1b22", r"([a-z])(\d+)", 3), None);
        assert_eq!(all("a1b22", r"([a-z])(\d+)", -1), None);
        assert_eq!(all("ab", "(a)|(b)", 2), Some(vec![None, Some("b".to_owned())]));
        assert_eq!(all("ab", "z", 0), some(&[]));
        let first = texts(FUNCTIONS, "REGEXP_EXTRACT_ALL", &["a1b22".into(), r"([a-z])(\d+)".into()]);
        assert_eq!(first, some(&["a", "b"]));
        assert_eq!(texts(FUNCTIONS, "REGEXP_EXTRACT_ALL", &["ab".into(), "a".into()]), None);
    }

    #[test]
    fn replaces() {
        let replace = |text_: &str, regex: &str, new: &str| {
            text(FUNCTIONS, "REGEXP_REPLACE", &[text_.into(), regex.into(), new.into()])
        };
        assert_eq!(replace("foobar", "oo|ar", "").as_deref(), Some("fb"));
        assert_eq!(replace("foobar", "(o+)", "<$1>").as_deref(), Some("f<$1>bar"));
        assert_eq!(replace("foobar", "(", "x"), None);
        assert_eq!(replace("abc", "x*", "-").as_deref(), Some("-a-b-c-"));
        assert_eq!(replace("a1é2", r"\w", "_").as_deref(), Some("__é_"));
        let (_, returns) =
            call_in(&context(), FUNCTIONS, "REGEXP_REPLACE", &["a".into(), "b".into(), "c".into()]).unwrap();
        assert_eq!(returns, TypeRoot::STRING.not_null());
    }

    #[test]
    fn counts_and_places() {
        assert_eq!(number(FUNCTIONS, "REGEXP_COUNT", &["baaac".into(), "a*".into()]), Some(4));
        assert_eq!(number(FUNCTIONS, "REGEXP_COUNT", &["abc".into(), "(".into()]), None);
        assert_eq!(number(FUNCTIONS, "REGEXP_INSTR", &["😀abc".into(), "b".into()]), Some(4));
        assert_eq!(number(FUNCTIONS, "REGEXP_INSTR", &["abc".into(), "z".into()]), Some(0));
        assert_eq!(number(FUNCTIONS, "REGEXP_INSTR", &[none(), "z".into()]), None);
        assert_eq!(text(FUNCTIONS, "REGEXP_SUBSTR", &["abc".into(), "b.".into()]).as_deref(), Some("bc"));
        assert_eq!(text(FUNCTIONS, "REGEXP_SUBSTR", &["abc".into(), "z".into()]), None);
        assert!(call(FUNCTIONS, "REGEXP_SUBSTR", &["abc".into(), "z".into(), 1.into()]).is_err());
    }
}
