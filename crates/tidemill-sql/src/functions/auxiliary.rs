//! Functions that fit nowhere else.

use super::kernel::{Argument, FunctionContext, FunctionGroup, Mismatch, Resolved, ScalarFunction};
use super::support::strings;
use crate::types::{LogicalType, TypeRoot};

/// The functions of this chapter.
pub(crate) const FUNCTIONS: &[ScalarFunction] = &[ScalarFunction {
    name: "TYPEOF",
    aliases: &[],
    group: FunctionGroup::Auxiliary,
    usage: "TYPEOF(value[, force_serializable])",
    description: "The type of the value, as it is written in SQL.",
    deterministic: true,
    resolve: type_of,
}];

fn type_of(_: &FunctionContext, arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    use datafusion_common::ScalarValue;
    let mismatch = || Mismatch::new("expects (ANY[, a literal BOOLEAN])");
    let value = match arguments {
        [value] => value,
        [value, Argument { literal: Some(ScalarValue::Boolean(_)), .. }] => value,
        _ => return Err(mismatch()),
    };
    let types: Vec<LogicalType> = arguments.iter().map(|argument| argument.logical.clone()).collect();
    let text = value.logical.to_string();
    Ok(Resolved::new(types, TypeRoot::STRING.nullable(), move |inputs| {
        strings(inputs, |_, out| {
            out.push_str(&text);
            Ok(true)
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::FUNCTIONS;
    use crate::functions::support::testing::{Given, call, text};

    #[test]
    fn types() {
        let of = |value: Given| text(FUNCTIONS, "TYPEOF", &[value]);
        assert_eq!(of(1i64.into()).as_deref(), Some("BIGINT NOT NULL"));
        assert_eq!(of("abc".into()).as_deref(), Some("CHAR(3) NOT NULL"));
        assert_eq!(of(None::<&str>.into()).as_deref(), Some("STRING"));
        assert_eq!(
            text(FUNCTIONS, "TYPEOF", &["abc".into(), true.into()]).as_deref(),
            Some("CHAR(3) NOT NULL")
        );
        assert!(call(FUNCTIONS, "TYPEOF", &["abc".into(), "x".into()]).is_err());
        assert!(call(FUNCTIONS, "TYPEOF", &[]).is_err());
    }
}
