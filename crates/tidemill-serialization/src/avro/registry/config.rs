//! [`RegistryConfig`]: where the registry is, and how it is asked.

use std::fmt;
use std::time::Duration;

use super::error::RegistryError;

/// A value that is never shown.
#[derive(Clone)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("******")
    }
}

/// How the client proves who it is.
#[derive(Clone, Debug)]
pub(super) enum Authentication {
    None,
    Basic { user: String, password: Secret },
    Bearer(Secret),
}

/// Where a registry is, and how it is asked.
///
/// ```
/// use std::time::Duration;
/// use tidemill_serialization::avro::registry::{RegistryConfig, SchemaRegistry};
///
/// let config = RegistryConfig::new(["https://registry.example.org:8081"])
///     .basic("reader", "secret")
///     .request_timeout(Duration::from_secs(10))
///     .retries(5);
/// assert!(SchemaRegistry::connect(config).is_ok(), "nothing is asked yet");
/// ```
#[derive(Clone)]
pub struct RegistryConfig {
    pub(super) urls: Vec<String>,
    pub(super) authentication: Authentication,
    pub(super) ca_pem: Option<Vec<u8>>,
    pub(super) connect_timeout: Duration,
    pub(super) request_timeout: Duration,
    pub(super) retries: u32,
    pub(super) backoff: Duration,
    pub(super) max_backoff: Duration,
    pub(super) cached_schemas: usize,
    pub(super) latest_ttl: Duration,
    pub(super) unknown_ttl: Duration,
}

impl fmt::Debug for RegistryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // All of them, so that none is forgotten here.
        let Self {
            urls,
            authentication,
            ca_pem,
            connect_timeout,
            request_timeout,
            retries,
            backoff,
            max_backoff,
            cached_schemas,
            latest_ttl,
            unknown_ttl,
        } = self;
        f.debug_struct("RegistryConfig")
            .field("urls", &urls.iter().map(|url| redacted(url)).collect::<Vec<_>>())
            .field("authentication", authentication)
            .field("ca_pem", &ca_pem.as_ref().map(|pem| format!("{} bytes", pem.len())))
            .field("connect_timeout", connect_timeout)
            .field("request_timeout", request_timeout)
            .field("retries", retries)
            .field("backoff", backoff)
            .field("max_backoff", max_backoff)
            .field("cached_schemas", cached_schemas)
            .field("latest_ttl", latest_ttl)
            .field("unknown_ttl", unknown_ttl)
            .finish()
    }
}

/// An address without what may be secret in it: a name and a password, and what follows the path.
fn redacted(url: &str) -> String {
    let (address, after) = match url.find(['?', '#']) {
        Some(end) => (&url[..end], "?******"),
        None => (url, ""),
    };
    let (scheme, rest) = match address.find("://") {
        Some(end) => address.split_at(end + 3),
        None => ("", address),
    };
    match rest.rfind('@') {
        Some(at) => format!("{scheme}******{}{after}", &rest[at..]),
        None => format!("{scheme}{rest}{after}"),
    }
}

impl RegistryConfig {
    /// The addresses of one registry, such as `https://registry.example.org:8081`. The next one is asked when one does not
    /// answer.
    ///
    /// ```
    /// use tidemill_serialization::avro::registry::{RegistryConfig, SchemaRegistry};
    ///
    /// let nowhere = RegistryConfig::new(Vec::<String>::new());
    /// assert!(SchemaRegistry::connect(nowhere).is_err(), "there is no address");
    /// ```
    pub fn new<U: Into<String>>(urls: impl IntoIterator<Item = U>) -> Self {
        let urls = urls.into_iter().map(|url| url.into().trim_end_matches('/').to_owned());
        Self {
            urls: urls.collect(),
            authentication: Authentication::None,
            ca_pem: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            retries: 3,
            backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(5),
            cached_schemas: 1000,
            latest_ttl: Duration::from_secs(60),
            unknown_ttl: Duration::from_secs(10),
        }
    }

    /// Authenticates with a name and a password.
    #[must_use]
    pub fn basic(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.authentication = Authentication::Basic { user: user.into(), password: Secret(password.into()) };
        self
    }

    /// Authenticates with a token.
    #[must_use]
    pub fn bearer(mut self, token: impl Into<String>) -> Self {
        self.authentication = Authentication::Bearer(Secret(token.into()));
        self
    }

    /// Trusts these certificates, in PEM, instead of those that the system trusts.
    #[must_use]
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_pem = Some(pem.into());
        self
    }

    /// How long a connection may take to be made. 5 seconds unless set.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long one request may take in all. 30 seconds unless set.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How often all addresses are tried again when none could be reached, or all answered with status 429 or one from
    /// 500 on. 3 unless set.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// How long to wait before the first retry, and at most; each time twice as long. 200 milliseconds and 5 seconds
    /// unless set.
    #[must_use]
    pub fn backoff(mut self, first: Duration, most: Duration) -> Self {
        self.backoff = first;
        self.max_backoff = most;
        self
    }

    /// How many schemas are remembered. 1000 unless set.
    #[must_use]
    pub fn cached_schemas(mut self, count: usize) -> Self {
        self.cached_schemas = count.max(1);
        self
    }

    /// How long the latest version of a subject is taken to be the latest. One minute unless set.
    #[must_use]
    pub fn latest_ttl(mut self, ttl: Duration) -> Self {
        self.latest_ttl = ttl;
        self
    }

    /// How long an id is taken for one that the registry does not know, or whose schema cannot be used. 10 seconds unless set.
    #[must_use]
    pub fn unknown_ttl(mut self, ttl: Duration) -> Self {
        self.unknown_ttl = ttl;
        self
    }

    pub(super) fn check(&self) -> Result<(), RegistryError> {
        let wrong = |detail: String| Err(RegistryError::Config { detail });
        if self.urls.is_empty() {
            return wrong("there is no address: give at least one".to_owned());
        }
        for (i, url) in self.urls.iter().enumerate() {
            let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            // The address is not shown before it is known to have no password in it.
            let Some(rest) = rest else {
                return wrong(format!("address {} begins neither with http:// nor with https://", i + 1));
            };
            if rest.contains('@') {
                return wrong(format!(
                    "address {} has a name or password in it: use `basic` for them",
                    i + 1
                ));
            }
            if rest.is_empty() || rest.contains(['?', '#']) || rest.contains(char::is_whitespace) {
                return wrong(format!(
                    "address {} is no address of a registry: {}; it ends with the host, the port or a path",
                    i + 1,
                    redacted(url)
                ));
            }
        }
        if let Authentication::Basic { user, .. } = &self.authentication
            && user.contains(':')
        {
            return wrong("the name of the user has a colon in it".to_owned());
        }
        Ok(())
    }
}
