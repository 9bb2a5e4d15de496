//! Values that must not be seen, and the keys that have them.

use std::borrow::Cow;
use std::fmt;

use super::{BadValue, OptionType};

/// What stands in the place of a secret.
pub(super) const HIDDEN: &str = "******";

/// The parts of keys by which Flink knows a secret.
const PARTS: &[&str] = &[
    "password",
    "secret",
    "fs.azure.account.key",
    "apikey",
    "api-key",
    "auth-params",
    "service-key",
    "token",
    "basic-auth",
    "jaas.config",
    "http-headers",
];

/// Whether the value of a key must not be shown, by the parts of keys that Flink goes by.
///
/// ```
/// use tidemill_core::config::is_sensitive;
///
/// assert!(is_sensitive("s3.secret-key") && is_sensitive("my.Password"));
/// assert!(!is_sensitive("s3.endpoint"));
/// ```
pub fn is_sensitive(key: &str) -> bool {
    let key = key.to_lowercase();
    PARTS.iter().any(|part| key.contains(part))
}

/// A text that neither `Debug` nor an error shows. Every text is one, so that none is ever quoted as a bad value.
///
/// ```
/// use tidemill_core::config::Secret;
///
/// let secret = Secret::new("open sesame");
/// assert_eq!(format!("{secret:?}"), "******");
/// assert_eq!(secret.expose(), "open sesame");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever signs with it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// Written out, since a configuration must read back to the same value; whoever shows it asks [`is_sensitive`].
impl OptionType for Secret {
    fn type_name() -> Cow<'static, str> {
        "String".into()
    }

    fn parse(text: &str) -> Result<Self, BadValue> {
        Ok(Self::new(text.trim()))
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Configuration, Origin, options};

    #[test]
    fn secrets_do_not_show() {
        let mut configuration = Configuration::new();
        configuration.set_raw("fs.s3a.secret.key", "canary", Origin::CommandLine);
        configuration.set_raw("s3.endpoint", "http://minio:9000", Origin::CommandLine);
        let text = format!("{configuration:?}");
        assert!(!text.contains("canary") && text.contains("http://minio:9000"), "{text}");
        let secret = configuration.get(&options::S3_SECRET_KEY).unwrap();
        assert_eq!(secret.expose(), "canary");
        assert!(!format!("{secret:?}").contains("canary"));
    }
}
