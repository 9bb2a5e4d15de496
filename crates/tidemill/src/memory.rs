//! Sizes a process that was given no size: the smaller of its container's limit and a share of the machine's memory.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use tidemill_core::config::{Configuration, MemorySize, OptionType, Origin, options};
use tidemill_core::memory::{MemoryError, TaskManagerMemory};

use crate::Error;

/// The memory of a process, and how it was sized if the configuration does not say.
///
/// ```
/// use tidemill::core::config::{Configuration, Origin};
/// use tidemill::memory::prepare;
///
/// let mut configuration = Configuration::new();
/// configuration.set_raw("taskmanager.memory.process.size", "2g", Origin::CommandLine);
/// let prepared = prepare(&mut configuration)?;
/// assert!(prepared.embedded.is_none(), "the size was given");
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PreparedMemory {
    /// Every part.
    pub memory: TaskManagerMemory,
    /// Set if the process size was taken from the machine.
    pub embedded: Option<EmbeddedMemory>,
    /// Set if the process size is more than the container or the machine has: one sentence.
    pub warning: Option<String>,
}

impl PreparedMemory {
    /// What of it holds for the machine that it was derived on and may be otherwise on another one: one sentence.
    pub fn of_this_machine(&self) -> Option<String> {
        if let Some(EmbeddedMemory { process, reason }) = &self.embedded {
            let key = options::PROCESS_SIZE.key();
            return Some(format!(
                "Nothing sizes the process, so its memory was derived for this machine: {} ({reason}). Another machine gives \
                 another size, unless {key} is set.",
                process.human()
            ));
        }
        self.warning.as_ref().map(|warning| format!("On this machine, {warning}."))
    }
}

/// A process size taken from the machine. Its text is the line to show: what was chosen, why, and how to change it.
///
/// ```
/// use tidemill::core::config::MemorySize;
/// use tidemill::memory::EmbeddedMemory;
///
/// let memory = EmbeddedMemory { process: MemorySize::from_mebibytes(2048), reason: "by hand".to_owned() };
/// assert_eq!(
///     memory.to_string(),
///     "Memory: 2 GiB process size (by hand); set taskmanager.memory.process.size to change it",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedMemory {
    /// The size.
    pub process: MemorySize,
    /// Where it comes from, as in `60 % of 24 GiB machine memory`.
    pub reason: String,
}

impl fmt::Display for EmbeddedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, reason) = (self.process.human(), &self.reason);
        write!(f, "Memory: {size} process size ({reason}); set {} to change it", options::PROCESS_SIZE.key())
    }
}

/// Derives the memory of this process. If nothing in the configuration sizes it, the machine does, and the process size is
/// added to the configuration.
///
/// ```
/// use tidemill::core::config::{Configuration, Origin};
/// use tidemill::memory::prepare;
///
/// let mut configuration = Configuration::new();
/// configuration.set_raw("taskmanager.memory.process.size", "2g", Origin::CommandLine);
/// assert_eq!(prepare(&mut configuration)?.memory.process.bytes(), 2 << 30);
/// # Ok::<(), tidemill::Error>(())
/// ```
///
/// # Errors
/// If the parts do not fit each other, or the machine does not say how much memory there is.
pub fn prepare(configuration: &mut Configuration) -> Result<PreparedMemory, Error> {
    prepare_on(configuration, Machine::detect)
}

fn prepare_on(
    configuration: &mut Configuration,
    machine: impl FnOnce() -> Result<Machine, Error>,
) -> Result<PreparedMemory, Error> {
    match TaskManagerMemory::derive(configuration) {
        Ok(memory) => {
            // A machine that does not say what it has is no reason to refuse a size that was given.
            let warning = machine().ok().and_then(|machine| machine.exceeded_by(&memory));
            Ok(PreparedMemory { memory, embedded: None, warning })
        }
        Err(MemoryError::NotSized { found }) if found.is_empty() => {
            let fraction = configuration.get(&options::MACHINE_FRACTION)?;
            let embedded = machine()?.process_size(fraction);
            let origin = Origin::Derived(embedded.reason.as_str().into());
            configuration.set_raw(options::PROCESS_SIZE.key(), embedded.process.to_text(), origin);
            let memory = TaskManagerMemory::derive(configuration)?;
            Ok(PreparedMemory { memory, embedded: Some(embedded), warning: None })
        }
        Err(error) => Err(error.into()),
    }
}

/// The memory that this process could have.
///
/// ```
/// use tidemill::core::config::MemorySize;
/// use tidemill::memory::Machine;
///
/// let machine = Machine { memory: MemorySize::from_mebibytes(10 * 1024), container_limit: None };
/// let chosen = machine.process_size(0.6);
/// assert_eq!((chosen.process.human().as_str(), chosen.reason.as_str()), ("6 GiB", "60 % of 10 GiB machine memory"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// What the machine has.
    pub memory: MemorySize,
    /// What the container may use, if that is less.
    pub container_limit: Option<MemorySize>,
}

impl Machine {
    /// Asks this machine.
    ///
    /// # Errors
    /// If it does not say how much memory it has.
    pub fn detect() -> Result<Self, Error> {
        Self::detect_in(Path::new("/"))
    }

    /// The same with another root for `/proc` and `/sys`.
    fn detect_in(root: &Path) -> Result<Self, Error> {
        let path = root.join("proc/meminfo");
        let text = fs::read_to_string(&path)
            .map_err(|error| Error::MachineMemory { reason: format!("{}: {error}", path.display()) })?;
        let memory = mem_total(&text)
            .ok_or_else(|| Error::MachineMemory { reason: format!("{} has no MemTotal", path.display()) })?;
        let limit = container_limit(root).filter(|limit| *limit < memory);
        Ok(Self {
            memory: MemorySize::from_bytes(memory),
            container_limit: limit.map(MemorySize::from_bytes),
        })
    }

    /// The process size for this share of the machine's memory.
    pub fn process_size(&self, fraction: f64) -> EmbeddedMemory {
        let share = MemorySize::from_bytes((self.memory.bytes() as f64 * fraction) as u64);
        match self.container_limit {
            Some(limit) if limit < share => {
                EmbeddedMemory { process: limit, reason: "the limit of its container".to_owned() }
            }
            _ => {
                // Two decimals at most: 0.6 is 60 %, not 60.000000000000001 %.
                let percent = (fraction * 10_000.0).round() / 100.0;
                let reason = format!("{percent} % of {} machine memory", self.memory.human());
                EmbeddedMemory { process: share, reason }
            }
        }
    }
}

impl Machine {
    fn exceeded_by(&self, memory: &TaskManagerMemory) -> Option<String> {
        let (limit, whose) = match self.container_limit {
            Some(limit) => (limit, "the limit of its container"),
            None => (self.memory, "the memory of this machine"),
        };
        let process = memory.process.size;
        (process > limit).then(|| {
            format!(
                "the process size of {} ({}) is more than {whose}, {}: the process may be killed",
                process.human(),
                memory.process.source,
                limit.human()
            )
        })
    }
}

fn mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The least limit of the control groups that this process is in, from its own up to the root.
fn container_limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        // The unified hierarchy of version 2 names no controllers.
        let (mount, file) = if controllers.is_empty() {
            ("sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            return None;
        };
        let mount = root.join(mount);
        upward(&mount, path).filter_map(|group| limit_in(&group.join(file))).min()
    });
    limits.min()
}

/// The folder of a control group, and those above it up to the mount point. Inside of a container the path may be the host's and
/// not exist; the mount point then is the container's own group.
fn upward(mount: &Path, group: &str) -> impl Iterator<Item = PathBuf> {
    let names: Vec<&str> = group.split('/').filter(|name| !name.is_empty() && *name != "..").collect();
    let mount = mount.to_owned();
    (0..=names.len())
        .rev()
        .map(move |count| names.iter().take(count).fold(mount.clone(), |path, name| path.join(name)))
        .collect::<Vec<_>>()
        .into_iter()
}

/// A limit in bytes; `max`, or a number as large as version 1 writes for it, is none.
fn limit_in(path: &Path) -> Option<u64> {
    let limit: u64 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    (limit < 1 << 60).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// A folder that looks like the root of a machine.
    fn machine(name: &str, files: &[(&str, &str)]) -> Result<Machine, Error> {
        let root = std::env::temp_dir().join(format!("machine-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let machine = Machine::detect_in(&root);
        let _ = fs::remove_dir_all(root);
        machine
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:       25165824 kB\nMemFree: 1 kB\n");

    fn limit(name: &str, files: &[(&str, &str)]) -> Option<u64> {
        let files = [&[MEMINFO], files].concat();
        let machine = machine(name, &files).unwrap();
        assert_eq!(machine.memory.bytes(), 24 * GIB);
        machine.container_limit.map(MemorySize::bytes)
    }

    #[test]
    fn the_least_limit_up_the_tree_counts() {
        let own = ("proc/self/cgroup", "0::/pod/app\n");
        let app = |text| ("sys/fs/cgroup/pod/app/memory.max", text);
        assert_eq!(limit("none", &[]), None);
        assert_eq!(limit("max", &[own, app("max\n")]), None);
        assert_eq!(limit("own", &[own, app("4294967296\n")]), Some(4 * GIB));
        let pod = ("sys/fs/cgroup/pod/memory.max", "2147483648\n");
        assert_eq!(limit("parent", &[own, app("4294967296\n"), pod]), Some(2 * GIB));
        assert_eq!(limit("huge", &[own, app("109951162777600\n")]), None);
        let mount = ("sys/fs/cgroup/memory.max", "1073741824\n");
        assert_eq!(limit("inside", &[own, mount]), Some(GIB));
    }

    #[test]
    fn version_one_of_control_groups_too() {
        let own = ("proc/self/cgroup", "5:cpu:/x\n4:memory,hugetlb:/docker/abc\n");
        let file = |text| ("sys/fs/cgroup/memory/memory.limit_in_bytes", text);
        assert_eq!(limit("v1", &[own, file("3221225472\n")]), Some(3 * GIB));
        assert_eq!(limit("v1-max", &[own, file("9223372036854771712\n")]), None);
    }

    #[test]
    fn a_machine_that_does_not_say_is_an_error_with_advice() {
        let error = machine("mute", &[("proc/meminfo", "nothing")]).unwrap_err().to_string();
        assert!(
            error.contains("no MemTotal") && error.contains("taskmanager.memory.process.size"),
            "{error}"
        );
    }

    fn prepare_with(
        memory: u64,
        limit: Option<u64>,
        entries: &[(&str, &str)],
    ) -> Result<PreparedMemory, Error> {
        let mut configuration = Configuration::new();
        for (key, value) in entries {
            configuration.set_raw(*key, *value, Origin::CommandLine);
        }
        let container_limit = limit.map(MemorySize::from_bytes);
        prepare_on(&mut configuration, || {
            Ok(Machine { memory: MemorySize::from_bytes(memory), container_limit })
        })
    }

    #[test]
    fn without_any_size_the_machine_decides() {
        let prepared = prepare_with(24 * GIB, None, &[]).unwrap();
        assert_eq!(
            prepared.embedded.unwrap().to_string(),
            "Memory: 14.4 GiB process size (60 % of 24 GiB machine memory); set taskmanager.memory.process.size to \
             change it"
        );
        assert_eq!(prepared.memory.process.size.bytes(), 15_461_882_265);
        assert_eq!(prepared.memory.process.source.to_string(), "60 % of 24 GiB machine memory");

        let prepared = prepare_with(24 * GIB, Some(4 * GIB), &[]).unwrap();
        assert_eq!(prepared.memory.process.size.bytes(), 4 * GIB);
        assert_eq!(prepared.embedded.unwrap().reason, "the limit of its container");

        let half = [("tidemill.memory.machine-fraction", "0.5")];
        assert_eq!(
            prepare_with(24 * GIB, Some(20 * GIB), &half).unwrap().memory.process.size.bytes(),
            12 * GIB
        );
    }

    #[test]
    fn a_size_that_is_configured_counts_alone() {
        let size = [("taskmanager.memory.process.size", "2g")];
        let prepared = prepare_with(GIB, Some(GIB / 2), &size).unwrap();
        assert_eq!((prepared.embedded, prepared.memory.process.size.bytes()), (None, 2 * GIB));
        assert_eq!(
            prepared.warning.as_deref(),
            Some(
                "the process size of 2 GiB (-D) is more than the limit of its container, 512 MiB: the process may be killed"
            )
        );
        assert_eq!(prepare_with(2 * GIB, None, &size).unwrap().warning, None);
        for part in ["taskmanager.memory.task.heap.size", "taskmanager.heap.size"] {
            let error = prepare_with(24 * GIB, None, &[(part, "1g")]).unwrap_err().to_string();
            assert!(error.contains(&format!("{part} (-D) alone is not enough")), "{error}");
        }
    }

    #[test]
    fn a_machine_that_is_too_small_is_an_error_that_says_why() {
        let error = prepare_with(24 * GIB, Some(GIB / 2), &[]).unwrap_err().to_string();
        for text in ["taskmanager.memory.process.size (the limit of its container)", "981.3 MiB"] {
            assert!(error.contains(text), "{error}");
        }
    }
}
