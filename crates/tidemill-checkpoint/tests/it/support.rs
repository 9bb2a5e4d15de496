//! What the tests share.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::ObjectStore;
use tidemill_checkpoint::StorageSettings;
use tidemill_checkpoint::storage::RetryPolicy;
use tidemill_core::config::{Configuration, Origin};
use tokio::runtime::Runtime;

pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    });
    &RUNTIME
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    runtime().block_on(work)
}

/// For small files: more than 100 bytes are a file, parts have 1 kb, packed files 10 kb.
pub(crate) fn settings(dir: &str) -> StorageSettings {
    let mut configuration = Configuration::new();
    configuration.set_raw("execution.checkpointing.dir", dir, Origin::Api);
    configuration.set_raw("execution.checkpointing.data-inline-threshold", "100 bytes", Origin::Api);
    configuration.set_raw("execution.checkpointing.file-merging.max-file-size", "10 kb", Origin::Api);
    let settings = StorageSettings::from_configuration(&configuration).unwrap();
    StorageSettings { part_size: 1024, retry: quick_retries(), ..settings }
}

pub(crate) fn quick_retries() -> RetryPolicy {
    RetryPolicy {
        attempts: 4,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(2),
        deadline: Duration::from_secs(60),
        request_timeout: Duration::from_secs(60),
    }
}

/// The names of all files in a store.
pub(crate) async fn names(store: &dyn ObjectStore) -> BTreeSet<String> {
    store.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap()
}

pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 % 251) as u8).collect()
}
