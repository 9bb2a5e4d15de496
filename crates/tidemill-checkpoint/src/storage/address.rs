//! Texts that name a folder or a file: which storage, and where in it.

use object_store::path::Path;

use crate::error::CheckpointError;

/// A kind of storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    Local,
    Memory,
    S3,
    Gcs,
    Azure,
}

/// A place in a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) scheme: Scheme,
    /// What names the storage: `s3://bucket`. Equal for all spellings of a scheme.
    pub(crate) root: String,
    /// The bucket or container, as in the text; empty for local files.
    pub(crate) bucket: String,
    /// The server that the text names, which those of Azure do.
    pub(crate) host: Option<String>,
    pub(crate) path: Path,
}

impl Address {
    /// Reads a text that is the value of no option: that of a restored checkpoint, for example.
    pub(crate) fn parse(text: &str) -> Result<Self, CheckpointError> {
        Self::parse_with(text, None)
    }

    /// Reads the value of an option.
    pub(crate) fn parse_for(text: &str, key: &'static str) -> Result<Self, CheckpointError> {
        Self::parse_with(text, Some(key))
    }

    fn parse_with(text: &str, key: Option<&'static str>) -> Result<Self, CheckpointError> {
        let text = text.trim();
        read(text).map_err(|reason| CheckpointError::InvalidUri { uri: without_password(text), reason, key })
    }
}

fn read(text: &str) -> Result<Address, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return match text.strip_prefix("file:") {
            Some(path) => local(path),
            None if text.contains(':') && !text.starts_with(['/', '.']) => {
                Err("it has a ':' and no '://'".into())
            }
            None => local(text),
        };
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    match scheme.to_ascii_lowercase().as_str() {
        "file" if authority.is_empty() || authority == "localhost" => local(&format!("/{path}")),
        "file" => Err(format!("a file is on this machine, not on '{authority}': write file:///path")),
        "memory" => remote(Scheme::Memory, "memory", authority, None, path),
        "s3" | "s3a" | "s3p" => remote(Scheme::S3, "s3", bucket(authority)?, None, path),
        "gs" => remote(Scheme::Gcs, "gs", bucket(authority)?, None, path),
        "abfs" | "abfss" | "wasb" | "wasbs" => {
            let form = "it must name container and account, as in abfss://container@account.dfs.core.windows.net/path";
            let (container, host) = authority.split_once('@').ok_or(form)?;
            if container.is_empty() || host.is_empty() || container.contains(':') || host.contains('@') {
                return Err(form.into());
            }
            remote(Scheme::Azure, "abfss", container, Some(host), path)
        }
        other => Err(format!("'{other}' is no storage that checkpoints can be kept in")),
    }
}

fn bucket(authority: &str) -> Result<&str, String> {
    match authority {
        "" => Err("the bucket is missing".into()),
        name if name.contains(['@', ':']) => {
            Err("it must not have credentials or a port: they have options of their own".into())
        }
        name => Ok(name),
    }
}

fn local(path: &str) -> Result<Address, String> {
    if path.is_empty() {
        return Err("it is empty".into());
    }
    let absolute = std::path::absolute(path).map_err(|error| error.to_string())?;
    let absolute = without_dots(&absolute);
    let path = Path::from_absolute_path(&absolute).map_err(|error| error.to_string())?;
    Ok(Address { scheme: Scheme::Local, root: "file://".into(), bucket: String::new(), host: None, path })
}

/// The path with `..` taken for the folder above by its name, as shells do for `cd`.
fn without_dots(path: &std::path::Path) -> std::path::PathBuf {
    let mut plain = std::path::PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

fn remote(
    scheme: Scheme,
    name: &str,
    bucket: &str,
    host: Option<&str>,
    path: &str,
) -> Result<Address, String> {
    let path = Path::parse(path.trim_matches('/')).map_err(|error| error.to_string())?;
    let root = match host {
        Some(host) => format!("{name}://{bucket}@{host}"),
        None => format!("{name}://{bucket}"),
    };
    Ok(Address { scheme, root, bucket: bucket.to_owned(), host: host.map(str::to_owned), path })
}

/// The text with all before the last `@` of its authority hidden if there may be a password.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    match authority.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => format!("{scheme}://******@{host}/{path}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String) {
        let address = Address::parse(text).unwrap();
        (address.root, address.path.to_string())
    }

    #[test]
    fn spellings() {
        let here = std::env::current_dir().unwrap();
        let here = here.to_str().unwrap().trim_start_matches('/');
        for (text, root, path) in [
            ("/tmp/checkpoints", "file://", "tmp/checkpoints".to_owned()),
            ("file:///tmp/checkpoints/", "file://", "tmp/checkpoints".to_owned()),
            ("file:/tmp/checkpoints", "file://", "tmp/checkpoints".to_owned()),
            ("checkpoints", "file://", format!("{here}/checkpoints")),
            ("s3://bucket/a/b", "s3://bucket", "a/b".to_owned()),
            ("S3A://bucket/a/b/", "s3://bucket", "a/b".to_owned()),
            ("s3p://bucket", "s3://bucket", String::new()),
            ("gs://bucket/a", "gs://bucket", "a".to_owned()),
            ("abfs://c@a.dfs.core.windows.net/x", "abfss://c@a.dfs.core.windows.net", "x".to_owned()),
            ("wasbs://c@a.blob.core.windows.net/x", "abfss://c@a.blob.core.windows.net", "x".to_owned()),
            ("memory://m/x", "memory://m", "x".to_owned()),
        ] {
            assert_eq!(parts(text), (root.to_owned(), path), "{text}");
        }
    }

    #[test]
    fn what_is_none_says_why() {
        for (text, reason) in [
            ("", "empty"),
            ("hdfs://namenode/checkpoints", "'hdfs' is no storage"),
            ("s3:///path", "bucket is missing"),
            ("s3:bucket", "no '://'"),
            ("s3://key:canary@bucket/path", "credentials"),
            ("abfss://container/path", "container and account"),
            ("abfss://c:canary@a.dfs.core.windows.net/x", "container and account"),
            ("file://host/path", "on this machine"),
            ("s3://bucket/a//b", "empty"),
        ] {
            let error = Address::parse_for(text, "execution.checkpointing.dir").unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(error.contains("execution.checkpointing.dir"), "{text}: {error}");
            assert!(!Address::parse(text).unwrap_err().to_string().contains("(option"), "{text}");
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
