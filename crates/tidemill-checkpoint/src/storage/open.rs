//! The stores that addresses name, each opened once, with the credentials of the configuration or of the environment.

use std::collections::HashMap;
use std::env;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::multipart::MultipartStore;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use tokio::runtime::Handle;

use super::address::{Address, Scheme};
use super::failure::{Secrets, describe};
use super::local::LocalFiles;
use super::settings::{S3Settings, StorageSettings};
use super::store::{Backend, Background, Store};
use crate::error::CheckpointError;

/// Variables of the environment whose values are secrets.
const SECRET_VARIABLES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
];

/// The stores that are open.
pub(crate) struct Stores {
    pub(super) settings: StorageSettings,
    pub(super) background: Background,
    open: Mutex<HashMap<String, Arc<Store>>>,
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Stores {
    pub(super) fn new(settings: StorageSettings, runtime: Handle) -> Self {
        Self { settings, background: Background::new(runtime), open: Mutex::default() }
    }

    /// Has a store of the caller's stand for a root.
    pub(super) fn insert(&self, root: &str, objects: Arc<dyn ObjectStore>, parts: Arc<dyn MultipartStore>) {
        let secrets = secrets(&self.settings.s3);
        self.add(root, Backend { objects, parts, local: None, secrets });
    }

    pub(super) fn get(&self, address: &Address) -> Result<Arc<Store>, CheckpointError> {
        if let Some(store) = self.lock().get(&address.root) {
            return Ok(store.clone());
        }
        let backend = self.backend(address)?;
        Ok(self.add(&address.root, backend))
    }

    fn add(&self, root: &str, backend: Backend) -> Arc<Store> {
        let store = Store::new(root.to_owned(), backend, &self.settings, self.background.clone());
        self.lock().entry(root.to_owned()).or_insert_with(|| Arc::new(store)).clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Store>>> {
        self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn backend(&self, address: &Address) -> Result<Backend, CheckpointError> {
        let secrets = secrets(&self.settings.s3);
        let setup = |error: object_store::Error, advice: &str| CheckpointError::Setup {
            location: address.root.clone(),
            reason: describe(&error, &secrets),
            advice: advice.to_owned(),
        };
        let backend = |objects, parts| Backend { objects, parts, local: None, secrets: secrets.clone() };
        match address.scheme {
            Scheme::Local => {
                let local = Arc::new(LocalFiles::new(self.settings.part_size));
                let objects = Arc::new(LocalFileSystem::new());
                Ok(Backend { objects, parts: local.clone(), local: Some(local), secrets })
            }
            Scheme::Memory => {
                let memory = Arc::new(InMemory::new());
                Ok(backend(memory.clone(), memory))
            }
            Scheme::S3 => {
                install_tls();
                let s3 = self.s3(&address.bucket).build();
                let advice =
                    "set both of 's3.access-key' and 's3.secret-key', or neither, and look at 's3.endpoint'";
                let s3 = Arc::new(s3.map_err(|error| setup(error, advice))?);
                Ok(backend(s3.clone(), s3))
            }
            Scheme::Gcs => {
                install_tls();
                let gcs = GoogleCloudStorageBuilder::from_env()
                    .with_bucket_name(&address.bucket)
                    .with_client_options(self.client())
                    .with_retry(no_retries())
                    .build();
                let advice = "let GOOGLE_APPLICATION_CREDENTIALS name a file of credentials";
                let gcs = Arc::new(gcs.map_err(|error| setup(error, advice))?);
                Ok(backend(gcs.clone(), gcs))
            }
            Scheme::Azure => {
                install_tls();
                let host = address.host.as_deref().unwrap_or_default();
                let azure = MicrosoftAzureBuilder::from_env()
                    .with_account(host.split('.').next().unwrap_or_default())
                    .with_container_name(&address.bucket)
                    .with_client_options(self.client())
                    .with_retry(no_retries())
                    .build();
                let advice = "set AZURE_STORAGE_ACCOUNT_KEY, or the variables of another way to log in";
                let azure = Arc::new(azure.map_err(|error| setup(error, advice))?);
                Ok(backend(azure.clone(), azure))
            }
        }
    }

    fn s3(&self, bucket: &str) -> AmazonS3Builder {
        let S3Settings { access_key, secret_key, endpoint, path_style_access, region } = &self.settings.s3;
        let configured = access_key.is_some() || secret_key.is_some();
        let mut builder = s3_of_environment(!configured);
        if let Some(key) = access_key {
            builder = builder.with_access_key_id(key.expose());
        }
        if let Some(key) = secret_key {
            builder = builder.with_secret_access_key(key.expose());
        }
        if let Some(region) = region {
            builder = builder.with_region(region);
        }
        let endpoint = endpoint.clone().or_else(endpoint_of_environment);
        let path_style = path_style_access.unwrap_or(endpoint.is_some());
        let mut client = self.client();
        if let Some(endpoint) = endpoint {
            let endpoint = if endpoint.contains("://") { endpoint } else { format!("https://{endpoint}") };
            client = client.with_allow_http(endpoint.starts_with("http://"));
            let endpoint = match endpoint.split_once("://") {
                Some((scheme, host)) if !path_style => format!("{scheme}://{bucket}.{host}"),
                _ => endpoint,
            };
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        builder
            .with_bucket_name(bucket)
            .with_virtual_hosted_style_request(!path_style)
            .with_client_options(client)
            .with_retry(no_retries())
    }

    fn client(&self) -> ClientOptions {
        let connections = self.settings.max_connections.max(1) as usize;
        // Attempts are limited in time where they are made.
        ClientOptions::new().with_timeout_disabled().with_pool_max_idle_per_host(connections)
    }
}

/// What the environment says of S3; credentials only when they are not configured, since halves of two do not fit together.
fn s3_of_environment(credentials: bool) -> AmazonS3Builder {
    use AmazonS3ConfigKey::{AccessKeyId, SecretAccessKey, Token};
    env::vars_os().fold(AmazonS3Builder::new(), |builder, (name, value)| {
        let name = name.to_str().filter(|name| name.starts_with("AWS_")).map(str::to_ascii_lowercase);
        match (name.and_then(|name| name.parse().ok()), value.to_str()) {
            (Some(AccessKeyId | SecretAccessKey | Token), _) if !credentials => builder,
            (Some(key), Some(value)) => builder.with_config(key, value),
            _ => builder,
        }
    })
}

/// Requests are made again in one place for all stores: [`Store`].
fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// The client takes the cryptography that the process has installed.
fn install_tls() {
    // An error says that there is one already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn endpoint_of_environment() -> Option<String> {
    ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"].iter().find_map(|name| env::var(name).ok())
}

fn secrets(s3: &S3Settings) -> Secrets {
    let configured =
        [&s3.access_key, &s3.secret_key].into_iter().flatten().map(|key| key.expose().to_owned());
    let environment = SECRET_VARIABLES.iter().filter_map(|name| env::var(name).ok());
    Secrets::new(configured.chain(environment))
}
