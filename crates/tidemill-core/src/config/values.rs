//! Numbers, booleans, texts, lists and maps as values of options.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::structured::{join_list, join_map, split_list, split_map};
use super::{BadValue, OptionType};

macro_rules! integers {
    ($($type:ident $name:literal $max:expr;)*) => {$(
        impl OptionType for $type {
            fn type_name() -> Cow<'static, str> {
                $name.into()
            }

            fn parse(text: &str) -> Result<Self, BadValue> {
                text.trim().parse().ok().filter(|value| *value <= $max).ok_or_else(|| {
                    BadValue::new(format!("expected a whole number from {} to {}", $type::MIN, $max))
                })
            }

            fn to_text(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

// An unsigned one is for what counts things: its bound is still Java's, so that Flink accepts what Tidemill does.
integers! {
    i32 "Integer" i32::MAX;
    u32 "Integer" i32::MAX as u32;
    i64 "Long" i64::MAX;
}

macro_rules! floats {
    ($($type:ident $name:literal;)*) => {$(
        impl OptionType for $type {
            fn type_name() -> Cow<'static, str> {
                $name.into()
            }

            fn parse(text: &str) -> Result<Self, BadValue> {
                let value = text.trim().parse().ok();
                value.filter(|value: &$type| value.is_finite()).ok_or_else(|| {
                    BadValue::new("expected a number, as in 0.4")
                })
            }

            fn to_text(&self) -> String {
                format!("{self:?}")
            }
        }
    )*};
}

floats! {
    f32 "Float";
    f64 "Double";
}

impl OptionType for bool {
    fn type_name() -> Cow<'static, str> {
        "Boolean".into()
    }

    fn parse(text: &str) -> Result<Self, BadValue> {
        match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(BadValue::new("expected true or false")),
        }
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl OptionType for String {
    fn type_name() -> Cow<'static, str> {
        "String".into()
    }

    fn parse(text: &str) -> Result<Self, BadValue> {
        Ok(text.to_owned())
    }

    fn to_text(&self) -> String {
        self.clone()
    }
}

impl<T: OptionType> OptionType for Vec<T> {
    fn type_name() -> Cow<'static, str> {
        format!("List<{}>", T::type_name()).into()
    }

    fn parse(text: &str) -> Result<Self, BadValue> {
        split_list(text)?.iter().map(|item| T::parse(item).map_err(|reason| at(item, reason))).collect()
    }

    fn to_text(&self) -> String {
        let items: Vec<String> = self.iter().map(OptionType::to_text).collect();
        join_list(items.iter().map(String::as_str))
    }
}

impl<T: OptionType> OptionType for BTreeMap<String, T> {
    fn type_name() -> Cow<'static, str> {
        "Map".into()
    }

    fn parse(text: &str) -> Result<Self, BadValue> {
        let entries = split_map(text)?;
        let entries: Vec<(&str, &str)> = entries.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        collect(&entries)
    }

    fn to_text(&self) -> String {
        let entries: Vec<(&str, String)> = self.iter().map(|(k, v)| (k.as_str(), v.to_text())).collect();
        join_map(entries.iter().map(|(k, v)| (*k, v.as_str())))
    }

    fn from_entries(entries: &[(&str, &str)]) -> Option<Result<Self, BadValue>> {
        Some(collect(entries))
    }
}

fn collect<T: OptionType>(entries: &[(&str, &str)]) -> Result<BTreeMap<String, T>, BadValue> {
    let mut map = BTreeMap::new();
    for (key, value) in entries {
        let value = T::parse(value).map_err(|reason| at(key, reason))?;
        if map.insert((*key).to_owned(), value).is_some() {
            return Err(BadValue::new(format!("'{key}' is in the map twice")));
        }
    }
    Ok(map)
}

fn at(item: &str, reason: BadValue) -> BadValue {
    BadValue::new(format!("'{item}': {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_values() {
        assert_eq!(i32::parse(" -1 "), Ok(-1));
        assert!(i32::parse("2147483648").is_err());
        assert!(u32::parse("2147483648").is_err());
        assert!(u32::parse("-1").is_err());
        assert_eq!(f32::parse("0.4"), Ok(0.4));
        assert_eq!(f64::parse("1e-1"), Ok(0.1));
        assert!(f32::parse("NaN").is_err());
        assert!(f64::parse("1e999").is_err());
        assert_eq!(bool::parse("TRUE"), Ok(true));
        assert!(bool::parse("yes").is_err());
        assert_eq!(0.4f32.to_text(), "0.4");
        assert_eq!(10f64.to_text(), "10.0");
    }

    #[test]
    fn lists_and_maps_of_typed_values() {
        assert_eq!(Vec::<i32>::parse("1;2"), Ok(vec![1, 2]));
        assert_eq!(Vec::<i32>::type_name(), "List<Integer>");
        let error = BTreeMap::<String, u32>::parse("a:1,b:x").unwrap_err();
        assert!(error.0.starts_with("'b': expected a whole number"), "{error}");
        assert!(BTreeMap::<String, u32>::parse("a:1,a:2").is_err());
        let map = BTreeMap::from([("a:b".to_owned(), 1u32), ("c".to_owned(), 2)]);
        assert_eq!(BTreeMap::parse(&map.to_text()), Ok(map));
    }
}
