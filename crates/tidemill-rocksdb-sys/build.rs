//! Compiles `src/memory.cc` against the headers of the RocksDB that is linked.

use std::env;

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=src/memory.cc");
    let headers =
        env::var_os("DEP_ROCKSDB_INCLUDE").ok_or("rust-librocksdb-sys says nothing of RocksDB's headers")?;
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        .flag_if_supported("-Wno-unused-parameter")
        .include(headers)
        .file("src/memory.cc")
        .try_compile("tidemill_rocksdb_memory")
        .map_err(|error| error.to_string())
}
