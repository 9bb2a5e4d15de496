//! `flink-conf.yaml` by the rules of Flink 1.x: lines of `key: value`, and `#` begins a comment anywhere. A line that is
//! neither is skipped with a warning, as Flink does.

use std::sync::Arc;

use super::config_files::FileContent;

pub(super) fn parse(path: &Arc<str>, text: &str) -> FileContent {
    let mut content = FileContent::default();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let mut skip =
            |why: &str| content.warnings.push(format!("{path}:{number}: '{line}' is skipped: {why}"));
        match line.split_once(": ") {
            None if line.ends_with(':') => skip("it has no value"),
            None => skip("it is not 'key: value' (is there a space after the colon?)"),
            Some((key, value)) => match (key.trim(), value.trim()) {
                ("", _) => skip("it has no key"),
                (_, "") => skip("it has no value"),
                (key, value) => content.add(path, number, key.to_owned(), value.to_owned()),
            },
        }
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_of_keys_and_values() {
        let text = "\
# comment
parallelism.default: 4   # four
env.java.opts: -Da=b: c

taskmanager.numberOfTaskSlots:2
pipeline.name:
execution.buffer-timeout: 100ms
execution.buffer-timeout: -1
";
        let content = parse(&"flink-conf.yaml".into(), text);
        let entry = |key| {
            content.configuration.get_raw(key).map(|entry| (entry.value.as_str(), entry.origin.to_string()))
        };
        assert_eq!(entry("parallelism.default"), Some(("4", "flink-conf.yaml:2".to_owned())));
        assert_eq!(entry("env.java.opts"), Some(("-Da=b: c", "flink-conf.yaml:3".to_owned())));
        assert_eq!(entry("execution.buffer-timeout"), Some(("-1", "flink-conf.yaml:8".to_owned())));
        assert_eq!(content.configuration.iter().count(), 3);
        assert_eq!(
            content.warnings,
            [
                "flink-conf.yaml:5: 'taskmanager.numberOfTaskSlots:2' is skipped: it is not 'key: value' (is there a \
                 space after the colon?)",
                "flink-conf.yaml:6: 'pipeline.name:' is skipped: it has no value",
                "flink-conf.yaml:8: 'execution.buffer-timeout' was set before, at flink-conf.yaml:7; this one counts, \
                 being the last",
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_gives_an_answer(text in any::<String>(), near in "[a:# \n.]{0,60}") {
            parse(&"f".into(), &text);
            parse(&"f".into(), &near);
        }
    }
}
