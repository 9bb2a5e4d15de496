//! `tidemill submit` as far as it goes without a cluster: what is refused before anything is sent.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::{Run, tidemill};

fn submit(script: &str, args: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.sql");
    std::fs::write(&path, script).unwrap();
    tidemill(&[&["submit", path.to_str().unwrap()], args].concat())
}

/// Submits to an address at which nobody listens: what is told then was found before.
fn refused(script: &str, args: &[&str]) -> String {
    let run = submit(script, &[&["--flink", "http://localhost:1"], args].concat());
    assert_eq!((run.code, run.out.as_str()), (1, ""), "{}", run.err);
    run.err
}

#[test]
fn scripts_are_checked_before_anything_is_sent() {
    let table = "CREATE TABLE t (a INT) WITH ('connector' = 'datagen', 'number-of-rows' = '5');\n";
    for (script, args, expected) in [
        ("SELECT a FROM nowhere;", &[][..], "there is no table or view 'nowhere'"),
        (
            "CREATE TABLE n (bid ROW<price BIGINT>) WITH (\n  'connector' = 'nexmark');",
            &[],
            "no connector 'nexmark'\nerror:  --> line 2, column 3",
        ),
        ("SELECT a FROM t;", &["--detach"], "--detach"),
        ("SET 'execution.checkpointing.mode' = 'TWICE';", &[], "EXACTLY_ONCE"),
        (
            "SELECT a FROM t;",
            &["-D", "parallelism.defalt=3"],
            "the nearest known one is 'parallelism.default'",
        ),
    ] {
        let err = refused(&format!("{}{script}", if script.contains("FROM t") { table } else { "" }), args);
        assert!(err.contains(expected), "{script}: {err}");
        assert!(!err.contains("localhost:1"), "{script}: {err}");
    }
}

#[test]
fn nobody_at_the_address_is_told() {
    let err = refused("SELECT 1;", &["-D", "tidemill.rest.enabled=false", "-D", "s3.secret-key=geheim"]);
    assert!(err.contains("no SQL Gateway of Apache Flink answers at localhost:1"), "{err}");
    assert!(err.contains("only Tidemill has them: tidemill.rest.enabled"), "{err}");
    assert!(err.contains("s3.secret-key") && !err.contains("geheim"), "{err}");
    let run = submit("SELECT 1;", &[]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("--flink <URL>"), "{}", run.err);
}

/// Answers one request after the other with the same text.
fn answering(text: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let length = text.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
            );
        }
    });
    address
}

#[test]
fn other_versions_and_other_servers_are_told() {
    for (answer, expected) in [
        (r#"{"productName":"Apache Flink","version":"1.20.1"}"#, "is of Apache Flink 1.20.1"),
        (r#"{"hello":"world"}"#, "what answers there is something else"),
        ("<html>", "what answers there is something else"),
    ] {
        let run = submit("SELECT 1;", &["--flink", &answering(answer)]);
        assert_eq!((run.code, run.out.as_str()), (1, ""), "{}", run.err);
        assert!(run.err.contains(expected), "{}", run.err);
    }
}
