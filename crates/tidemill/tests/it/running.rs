//! Jobs that run in processes of their own, and asking them over HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Run, example};

/// A place of its own in which jobs are known, so that tests do not see those of others.
pub(crate) struct Machine {
    pub(crate) folder: tempfile::TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Starts the counting job, and waits until it can be reached.
    pub(crate) fn start(&self, arguments: &[&str]) -> Job {
        self.until_running(Job::spawn(self, arguments))
    }

    /// Waits until a job that was started can be reached.
    pub(crate) fn until_running(&self, mut job: Job) -> Job {
        let known = self.path("tidemill");
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(found) = registered(&known, job.child.id()) {
                (job.id, job.address) = found;
                job.wait_for(|answer| answer["status"] == "RUNNING", "/status");
                return job;
            }
            assert!(job.child.try_wait().unwrap().is_none(), "it has ended: {}", job.said());
            assert!(Instant::now() < deadline, "it does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Runs `tidemill` where these jobs are known.
    pub(crate) fn tidemill(&self, arguments: &[&str]) -> Run {
        super::tidemill_with(arguments, &[("XDG_RUNTIME_DIR", self.folder.path())])
    }
}

fn registered(folder: &Path, pid: u32) -> Option<(String, String)> {
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let Ok(fields) = serde_json::from_str::<Value>(&text) else { continue };
        if fields["pid"] == pid {
            let text = |name: &str| fields[name].as_str().unwrap().to_owned();
            return Some((text("id"), text("address")));
        }
    }
    None
}

/// A job in a process of its own, which ends with this.
pub(crate) struct Job {
    pub(crate) child: Child,
    pub(crate) id: String,
    pub(crate) address: String,
}

impl Job {
    pub(crate) fn spawn(machine: &Machine, arguments: &[&str]) -> Self {
        Self::of(machine, Command::new(example("counting")), arguments)
    }

    /// A script of SQL, as a user runs it.
    pub(crate) fn of_script(machine: &Machine, script: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.arg("run").arg(script);
        Self::of(machine, command, arguments)
    }

    /// `arguments` stand last, so that they may say another port.
    fn of(machine: &Machine, mut command: Command, arguments: &[&str]) -> Self {
        let child = command
            .args(["-D", "rest.bind-port=0"])
            .args(arguments)
            .env("XDG_RUNTIME_DIR", machine.folder.path())
            .env_remove("TIDEMILL_CONF_DIR")
            .env_remove("FLINK_CONF_DIR")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, id: String::new(), address: String::new() }
    }

    /// What it has printed, once it has ended.
    pub(crate) fn printed(&mut self) -> String {
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    pub(crate) fn said(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Waits for the end of the process.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A request about the job: status and body of the answer.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, _, body) = self.raw(method, &format!("/jobs/{}{path}", self.id), &[], body).unwrap();
        (status, body)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, "");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Asks again and again until the answer is as wanted.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&Value) -> bool, path: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = self.get(path);
            if wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path}: {answer}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// As [`request`].
    pub(crate) fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<(u16, String, Value)> {
        request(&self.address, method, path, headers, body)
    }
}

/// One request on a connection of its own: the status, the head, and the body. `None` if nobody listens.
pub(crate) fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<(u16, String, Value)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    // The other side may have refused it before it has read all.
    let _ = stream.write_all(format!("{request}\r\n{body}").as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, head.to_ascii_lowercase(), serde_json::from_str(body).unwrap_or(Value::Null)))
}

impl Drop for Job {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
