//! What the error of an object store means, and what of its text may be shown.

use std::error::Error as _;
use std::io;

use object_store::client::{HttpError, HttpErrorKind};

use crate::error::StorageFailure;

/// Bytes of a store's own text that go into a message.
const LONGEST_DETAIL: usize = 600;

/// Texts that must not appear in a message.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        // Anything shorter would tear ordinary words apart, and protects nothing.
        Self(secrets.into_iter().filter(|secret| secret.len() >= 4).collect())
    }

    pub(crate) fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "******"))
    }
}

/// What an error of the store means.
pub(crate) fn classify(error: &object_store::Error) -> StorageFailure {
    if let Some(failure) = find(error, by_io) {
        return failure;
    }
    let text = error.to_string();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist"]) {
        return StorageFailure::BucketMissing;
    }
    if has(&[
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidToken",
        "169.254.169.254",
        "169.254.170.2",
        "metadata.google.internal",
        "oauth2",
        "NotSignedUp",
    ]) {
        return StorageFailure::Credentials;
    }
    match error {
        object_store::Error::NotFound { .. } => return StorageFailure::NotFound,
        object_store::Error::PermissionDenied { .. } => return StorageFailure::Permission,
        object_store::Error::Unauthenticated { .. } => return StorageFailure::Credentials,
        object_store::Error::JoinError { .. } => return StorageFailure::Unavailable,
        _ => {}
    }
    // The client's own kind of error for a status is not public; its text is.
    let status = text.split_once("status code: ").and_then(|(_, rest)| rest.get(..3)?.parse::<u16>().ok());
    match status {
        Some(408) => return StorageFailure::Timeout,
        Some(301 | 307) => return StorageFailure::WrongPlace,
        Some(409 | 425 | 429 | 500..=599) => return StorageFailure::Unavailable,
        _ => {}
    }
    if has(&["Received redirect without LOCATION", "PermanentRedirect", "AuthorizationHeaderMalformed"]) {
        return StorageFailure::WrongPlace;
    }
    if has(&["SlowDown", "InternalError", "RequestTimeout", "ServiceUnavailable"]) {
        return StorageFailure::Unavailable;
    }
    find(error, by_http).unwrap_or(StorageFailure::Other)
}

/// What an error of the local file system means.
pub(crate) fn of_io(error: &io::Error) -> StorageFailure {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound => StorageFailure::NotFound,
        Kind::PermissionDenied => StorageFailure::Permission,
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => StorageFailure::DiskFull,
        Kind::ReadOnlyFilesystem | Kind::NotADirectory | Kind::IsADirectory => StorageFailure::Unwritable,
        Kind::TimedOut => StorageFailure::Timeout,
        Kind::Interrupted
        | Kind::WouldBlock
        | Kind::ResourceBusy
        | Kind::StaleNetworkFileHandle
        | Kind::ConnectionRefused
        | Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::NotConnected
        | Kind::BrokenPipe
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown
        | Kind::UnexpectedEof => StorageFailure::Unavailable,
        _ => StorageFailure::Other,
    }
}

/// The text of an error and of what caused it, without repetitions, secrets and signatures.
pub(crate) fn describe(error: &object_store::Error, secrets: &Secrets) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    let mut text = secrets.hide(&without_queries(&text));
    if let Some((end, _)) = text.char_indices().find(|(at, _)| *at >= LONGEST_DETAIL) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Cuts the queries off all URLs in a text: some services sign there.
fn without_queries(text: &str) -> String {
    let mut words = text.split_inclusive(char::is_whitespace);
    let mut out = String::with_capacity(text.len());
    words.by_ref().for_each(|word| match (word.contains("://"), word.split_once('?')) {
        (true, Some((before, after))) => {
            out.push_str(before);
            let end = after.find([')', '"', '>']).or_else(|| after.find(char::is_whitespace));
            out.push_str(end.map_or("", |end| &after[end..]));
        }
        _ => out.push_str(word),
    });
    out
}

fn find(
    error: &object_store::Error,
    meaning: fn(&(dyn std::error::Error + 'static)) -> Option<StorageFailure>,
) -> Option<StorageFailure> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(failure) = meaning(error) {
            return Some(failure);
        }
        cause = error.source();
    }
    None
}

fn by_io(error: &(dyn std::error::Error + 'static)) -> Option<StorageFailure> {
    let error = error.downcast_ref::<io::Error>()?;
    // An `io::Error` that wraps another one says less than that.
    error.get_ref().is_none().then(|| of_io(error))
}

fn by_http(error: &(dyn std::error::Error + 'static)) -> Option<StorageFailure> {
    match error.downcast_ref::<HttpError>()?.kind() {
        HttpErrorKind::Timeout => Some(StorageFailure::Timeout),
        // Whatever else happens to a request happens on the way.
        _ => Some(StorageFailure::Unavailable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> object_store::Error {
        object_store::Error::Generic { store: "test", source: source.into() }
    }

    fn found(source: &str) -> object_store::Error {
        object_store::Error::NotFound { path: "a".into(), source: source.into() }
    }

    #[test]
    fn meanings() {
        let os = |number| generic(io::Error::from_raw_os_error(number));
        for (error, expected) in [
            (os(28), StorageFailure::DiskFull),
            (os(122), StorageFailure::DiskFull),
            (os(27), StorageFailure::DiskFull),
            (os(13), StorageFailure::Permission),
            (os(30), StorageFailure::Unwritable),
            (os(20), StorageFailure::Unwritable),
            (os(104), StorageFailure::Unavailable),
            (found("no such file"), StorageFailure::NotFound),
            (found("<Code>NoSuchBucket</Code>"), StorageFailure::BucketMissing),
            (
                generic("Server returned non-2xx status code: 503 Service Unavailable: "),
                StorageFailure::Unavailable,
            ),
            (
                generic("Server returned non-2xx status code: 429 Too Many Requests: "),
                StorageFailure::Unavailable,
            ),
            (generic("Server returned non-2xx status code: 400 Bad Request: no"), StorageFailure::Other),
            (
                generic("Server returned non-2xx status code: 400: AuthorizationHeaderMalformed"),
                StorageFailure::WrongPlace,
            ),
            (
                generic("error sending request for url (http://169.254.169.254/latest/api/token)"),
                StorageFailure::Credentials,
            ),
            (
                object_store::Error::PermissionDenied { path: "a".into(), source: "AccessDenied".into() },
                StorageFailure::Permission,
            ),
            (
                object_store::Error::PermissionDenied {
                    path: "a".into(),
                    source: "SignatureDoesNotMatch".into(),
                },
                StorageFailure::Credentials,
            ),
        ] {
            assert_eq!(classify(&error), expected, "{error}");
        }
    }

    #[test]
    fn details_hide_secrets_and_signatures() {
        let secrets = Secrets::new(["canary".to_owned()]);
        let error = generic("error (https://account.host/c/f?sv=1&sig=s3cr3t) with key canary of \"x\"");
        let text = describe(&error, &secrets);
        assert!(text.contains("https://account.host/c/f)"), "{text}");
        assert!(!text.contains("s3cr3t") && !text.contains("canary"), "{text}");
        let text = describe(&generic("é".repeat(5_000)), &secrets);
        assert!(text.len() < LONGEST_DETAIL + 10 && text.ends_with('…'), "{text}");
    }
}
