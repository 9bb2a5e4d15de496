//! The documentation and the sample configuration, as texts made from the declarations.

use std::fmt::Write;

use super::{AnyOption, options};

const DOCS_HEAD: &str = "\
# Configuration

<!-- Generated from the declarations in crates/tidemill-core/src/config/options. To change it, change them and run
     TIDEMILL_BLESS=1 cargo test --release -p tidemill generated -->

Every option below has an effect. The keys, types and defaults are Flink's, so a `config.yaml` or `flink-conf.yaml` of a
Flink cluster works as it is.

## Where options are set

From the weakest to the strongest:

1. A file: the one given by `-c FILE` (or `--config FILE`; a folder means the file in it), else the one in the folder
   that `TIDEMILL_CONF_DIR` names, else the one in the folder that `FLINK_CONF_DIR` names, else none. In a folder it is
   `config.yaml`, else `flink-conf.yaml`.
2. `-D KEY=VALUE` on the command line, any number of times.
3. For options marked *job*: the program.

`config.yaml` is YAML 1.2, nested or with dotted keys or both. A file named `flink-conf.yaml` is read by the rules of
Flink 1.x: each line is `key: value`, and `#` begins a comment. A key that is set twice in one file gives a warning, and the
last one counts (Flink 2 refuses such a `config.yaml`). A key without a value counts as not set.

`tidemill config check FILE` says what is wrong with a file, `tidemill config explain KEY` what an option does, and
`tidemill config list` what there is.

## What is accepted

| | what happens |
|---|---|
| an option below | takes effect; a bad value is an error that names file and line |
| an older spelling of one | takes effect, with a warning that names the new one |
| an option of Flink that Tidemill has no use for, or none yet | accepted, with a note |
| an option of Flink 1.x that Flink 2 dropped | accepted, with a warning that says what to do |
| anything else | an error, which names the nearest known key if any is near |

## How values are written

- **Duration**: a whole number and a unit: `ns`, `us`, `ms`, `s`, `min`, `h`, `d` (or `millis`, `seconds`, ...). Without a
  unit it is milliseconds.
- **MemorySize**: a whole number and a unit: `b`, `k` or `kb`, `m` or `mb`, `g` or `gb`, `t` or `tb` (or `mebibytes`, ...),
  in powers of 1024. Without a unit it is bytes.
- **Enum**: one of its words, in any case.
- **List**: a YAML list, or `a;b;c`.
- **Map**: keys below the option's own, a YAML map, or `k:v,k2:v2`.
";

/// `docs/configuration.md`.
///
/// ```
/// let page = tidemill_core::config::render::docs();
/// assert!(page.contains("| `parallelism.default` | Integer | `1` | job |"));
/// ```
pub fn docs() -> String {
    let mut text = DOCS_HEAD.to_owned();
    for group in options::groups() {
        let _ = write!(text, "\n## {}\n\n", group.title);
        text.push_str("| key | type | default | set by | |\n|---|---|---|---|---|\n");
        for option in group.options {
            let meta = option.meta();
            let default = match meta.default {
                None => "(none)".to_owned(),
                Some("") => "(empty)".to_owned(),
                Some(default) => format!("`{default}`"),
            };
            let mut sentence = sentence(*option);
            if !meta.deprecated.is_empty() {
                let _ = write!(sentence, " Older spelling: `{}`.", meta.deprecated.join("`, `"));
            }
            if !meta.fallback.is_empty() {
                let _ = write!(sentence, " Falls back to `{}`.", meta.fallback.join("`, `"));
            }
            let _ = writeln!(
                text,
                "| `{}` | {} | {default} | {} | {sentence} |",
                meta.key,
                option.type_name().replace('|', "\\|"),
                meta.scope,
            );
        }
    }
    text
}

/// `conf/config.yaml`: every option with its default, commented out.
///
/// ```
/// let file = tidemill_core::config::render::sample();
/// assert!(file.contains("\n#parallelism.default: 1\n"));
/// ```
pub fn sample() -> String {
    let mut text = "\
# Every option of Tidemill with its default. Remove the # in front of what you want to change.
# Generated from the declarations, as docs/configuration.md is, which says more.
"
    .to_owned();
    for group in options::groups() {
        let _ = write!(text, "\n# ---- {} ----\n", group.title);
        for option in group.options {
            let meta = option.meta();
            text.push('\n');
            for line in wrap(&sentence(*option), 108) {
                let _ = writeln!(text, "# {line}");
            }
            let value = match meta.default {
                None => format!("  # {}", option.type_name()),
                Some("") => " {}".to_owned(),
                Some(default) => format!(" {default}"),
            };
            let _ = writeln!(text, "#{}:{value}", meta.key);
        }
    }
    text
}

/// The sentence that documents an option, on one line.
///
/// ```
/// use tidemill_core::config::{options, render};
///
/// assert!(render::sentence(&options::LOG_FORMAT).ends_with("text or JSON."));
/// ```
pub fn sentence(option: &dyn AnyOption) -> String {
    option.meta().description.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Breaks a text into lines of at most `width` characters, where words allow it.
///
/// ```
/// use tidemill_core::config::render::wrap;
///
/// assert_eq!(wrap("one two three", 7), ["one two", "three"]);
/// ```
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}
