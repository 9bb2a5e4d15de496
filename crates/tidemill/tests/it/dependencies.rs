//! Dependencies between the crates point one way: ARCHITECTURE.md says which.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// For each crate: the crates of the workspace that it may depend on.
fn allowed() -> BTreeMap<&'static str, Vec<&'static str>> {
    let low = ["tidemill-core", "tidemill-derive", "tidemill-serialization"];
    let data = ["tidemill-core", "tidemill-serialization", "tidemill-state", "tidemill-network"];
    let runtime = [data.as_slice(), &["tidemill-checkpoint"]].concat();
    let above = [runtime.as_slice(), &["tidemill-runtime"]].concat();
    BTreeMap::from([
        ("tidemill-core", vec![]),
        ("tidemill-derive", vec![]),
        ("tidemill-serialization", low[..2].to_vec()),
        ("tidemill-state", vec!["tidemill-core", "tidemill-serialization"]),
        ("tidemill-rocksdb", vec!["tidemill-core", "tidemill-rocksdb-sys", "tidemill-state"]),
        ("tidemill-rocksdb-sys", vec![]),
        ("tidemill-network", vec!["tidemill-core", "tidemill-serialization"]),
        ("tidemill-checkpoint", vec!["tidemill-core"]),
        ("tidemill-runtime", runtime.clone()),
        ("tidemill-datastream", above.clone()),
        ("tidemill-connectors", above.clone()),
        ("tidemill-sql", above.clone()),
        ("tidemill-testkit", above.clone()),
        ("tidemill-fuzz", [above.as_slice(), &["tidemill-sql"]].concat()),
        (
            "tidemill",
            [
                above.as_slice(),
                &["tidemill-datastream", "tidemill-connectors", "tidemill-rocksdb", "tidemill-sql"],
            ]
            .concat(),
        ),
    ])
}

#[test]
fn dependencies_point_one_way() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let allowed = allowed();
    let mut seen = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let may = allowed.get(name).unwrap_or_else(|| panic!("say in this test what {name} may depend on"));
        seen.insert(name);
        for dependency in package["dependencies"].as_array().unwrap() {
            let other = dependency["name"].as_str().unwrap();
            let normal = dependency["kind"].is_null();
            if normal && other.starts_with("tidemill") {
                assert!(may.contains(&other), "{name} must not depend on {other}: see ARCHITECTURE.md");
            }
        }
    }
    let missing: Vec<_> = allowed.keys().filter(|name| !seen.contains(*name)).collect();
    assert!(missing.is_empty(), "these crates are gone: {missing:?}");
}
