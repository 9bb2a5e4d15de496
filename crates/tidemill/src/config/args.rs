//! What of a command line is for the configuration.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use crate::Error;

/// The options of a command line that configure; for `#[command(flatten)]`.
///
/// ```
/// use tidemill::config::{ConfigArgs, load_args};
///
/// let args = ConfigArgs { properties: vec!["parallelism.default=4".parse()?], ..ConfigArgs::default() };
/// let loaded = load_args(&args)?;
/// assert!(loaded.configuration.get_raw("parallelism.default").is_some());
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// Read this config.yaml or flink-conf.yaml, or the one in this folder
    ///
    /// Without it, the one in the folder that TIDEMILL_CONF_DIR names is read, else the one in the folder that
    /// FLINK_CONF_DIR names, else none.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Set an option, over the file; may be repeated
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    pub properties: Vec<Property>,
}

/// One `-D KEY=VALUE`.
///
/// ```
/// use tidemill::config::Property;
///
/// let property: Property = "parallelism.default = 4".parse()?;
/// assert_eq!((property.key.as_str(), property.value.as_str()), ("parallelism.default", "4"));
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The key.
    pub key: String,
    /// The text of the value.
    pub value: String,
}

impl FromStr for Property {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok(Property { key: key.trim().to_owned(), value: value.trim().to_owned() })
            }
            _ => Err(Error::Argument(format!("-D must be followed by KEY=VALUE, not '{text}'"))),
        }
    }
}

/// Takes `-c FILE`, `--config FILE`, `--config=FILE`, `-D KEY=VALUE` and `-DKEY=VALUE` out of the arguments of a program, up to
/// a `--`; the rest, in its order, is the program's own.
///
/// ```
/// use tidemill::config::split;
///
/// let args = ["-D", "parallelism.default=4", "flights.csv"].map(Into::into);
/// let (config, rest) = split(args)?;
/// assert_eq!((config.properties.len(), &rest[..]), (1, &["flights.csv".into()][..]));
/// # Ok::<(), tidemill::Error>(())
/// ```
///
/// # Errors
/// If one of them lacks its value, or the value is not of its form.
pub fn split(args: impl IntoIterator<Item = OsString>) -> Result<(ConfigArgs, Vec<OsString>), Error> {
    let mut config = ConfigArgs::default();
    let mut rest = Vec::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let text = arg.to_str().unwrap_or("");
        let value = |args: &mut dyn Iterator<Item = OsString>, what: &str| {
            args.next().ok_or_else(|| Error::Argument(format!("{text} must be followed by {what}")))
        };
        match text {
            "--" => {
                rest.extend(args);
                break;
            }
            "-c" | "--config" => set_file(&mut config, value(&mut args, "a file")?.into())?,
            "-D" => config.properties.push(property(&value(&mut args, "KEY=VALUE")?)?),
            _ => {
                if let Some(path) = text.strip_prefix("--config=") {
                    set_file(&mut config, path.into())?;
                } else if let Some(text) = text.strip_prefix("-D") {
                    config.properties.push(text.parse()?);
                } else {
                    rest.push(arg);
                }
            }
        }
    }
    Ok((config, rest))
}

fn set_file(config: &mut ConfigArgs, path: PathBuf) -> Result<(), Error> {
    match config.config.replace(path) {
        None => Ok(()),
        Some(first) => {
            let second = config.config.take().unwrap_or_default();
            Err(Error::Argument(format!(
                "-c is given twice, with {} and {}: one file is read, so give one of them and set what differs with \
                 -D KEY=VALUE",
                first.display(),
                second.display()
            )))
        }
    }
}

fn property(text: &OsStr) -> Result<Property, Error> {
    let utf8 = text.to_str();
    utf8.ok_or_else(|| Error::Argument(format!("-D {} is not UTF-8", text.to_string_lossy())))?.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_words(words: &str) -> Result<(ConfigArgs, Vec<OsString>), Error> {
        split(words.split_whitespace().map(OsString::from))
    }

    #[test]
    fn takes_its_own_and_leaves_the_rest() {
        let (args, rest) =
            split_words("--input x -D a.b=1 -Dc=d=e -v --config=other.yaml -- -D x=y -c z").unwrap();
        let pairs: Vec<_> = args.properties.iter().map(|p| (p.key.as_str(), p.value.as_str())).collect();
        assert_eq!(pairs, [("a.b", "1"), ("c", "d=e")]);
        assert_eq!(args.config, Some("other.yaml".into()));
        assert_eq!(rest, ["--input", "x", "-v", "-D", "x=y", "-c", "z"]);
    }

    #[test]
    fn two_files_are_refused() {
        for words in ["-c a.yaml -c b.yaml", "--config=a.yaml -c b.yaml", "-c a.yaml --config b.yaml"] {
            let error = split_words(words).unwrap_err().to_string();
            assert!(error.contains("a.yaml and b.yaml"), "{words}: {error}");
        }
    }

    #[test]
    fn what_lacks_its_value_is_refused() {
        for words in ["-D", "-c", "-D key", "-D =value", "-Dkey"] {
            assert!(split_words(words).is_err(), "{words}");
        }
    }
}
