//! Why a configuration of memory cannot be.

use super::PartName;
use crate::config::{ConfigError, MemorySize};
use crate::error::{Classified, Fault};

/// A configuration from which the memory of a process cannot be derived.
///
/// ```
/// use tidemill_core::Classified;
/// use tidemill_core::config::Configuration;
/// use tidemill_core::memory::{MemoryError, TaskManagerMemory};
///
/// let error = TaskManagerMemory::derive(&Configuration::new()).unwrap_err();
/// assert!(matches!(error, MemoryError::NotSized { .. }));
/// assert!(error.to_string().contains("taskmanager.memory.process.size"));
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MemoryError {
    /// A value that cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// None of the three forms is configured.
    #[error(
        "Either required fine-grained memory (taskmanager.memory.task.heap.size and taskmanager.memory.managed.size), \
         or Total Flink Memory size (taskmanager.memory.flink.size), or Total Process Memory size \
         (taskmanager.memory.process.size) need to be configured explicitly{found}. The simplest is \
         taskmanager.memory.process.size: the memory of the machine or container that this process may use"
    )]
    NotSized {
        /// What was configured instead; empty if nothing was.
        found: String,
    },
    /// A fraction outside of [0, 1), or a minimum above its maximum.
    #[error(
        "Inconsistently configured {fraction_key} ({fraction:?}) and its min ({}), max ({}): {reason}",
        min.detailed(), max.detailed()
    )]
    Range {
        /// The key of the fraction.
        fraction_key: &'static str,
        /// Its value.
        fraction: f32,
        /// The least size.
        min: MemorySize,
        /// The greatest size.
        max: MemorySize,
        /// What is wrong, with the key to change.
        reason: String,
    },
    /// Metaspace and overhead leave nothing of the process.
    #[error(
        "Sum of configured JVM Metaspace ({}) and JVM Overhead ({}) exceed configured Total Process Memory ({}){from}. \
         {}Or lower taskmanager.memory.jvm-metaspace.size or taskmanager.memory.jvm-overhead.min",
        metaspace.detailed(), overhead.detailed(), process.detailed(), smallest_process(*smallest)
    )]
    ProcessExceeded {
        /// The metaspace.
        metaspace: MemorySize,
        /// The overhead.
        overhead: MemorySize,
        /// The whole process.
        process: MemorySize,
        /// Where the process size came from, as `, set by ...`.
        from: String,
        /// The least process size that works with the other settings as they are.
        smallest: Option<MemorySize>,
    },
    /// The parts exceed the total Flink memory.
    #[error(
        "Sum of configured {} exceed configured Total Flink Memory ({}){from}. {}Or lower what takes most: {}",
        list(parts), flink.detailed(), smallest_process(*smallest), largest(parts)
    )]
    FlinkExceeded {
        /// The parts.
        parts: Vec<(PartName, MemorySize)>,
        /// The total Flink memory.
        flink: MemorySize,
        /// Where the total came from, as `, set by ...`.
        from: String,
        /// The least process size that works with the other settings as they are, if the process size is what decides.
        smallest: Option<MemorySize>,
    },
    /// What is left for the network is outside of its range.
    #[error(
        "If Total Flink, Task Heap and (or) Managed Memory sizes are explicitly configured then the Network Memory size \
         is the rest of the Total Flink memory after subtracting all other configured types of memory. Derived \
         Network Memory size ({}) is not in configured Network Memory range [{}, {}]. {}",
        network.detailed(), min.detailed(), max.detailed(), network_advice(*network, *min)
    )]
    NetworkOutOfRange {
        /// What is left.
        network: MemorySize,
        /// The least network memory.
        min: MemorySize,
        /// The most network memory.
        max: MemorySize,
    },
    /// The process is smaller than what is in it.
    #[error(
        "The configured Total Process Memory size ({}) is less than the sum of the derived Total Flink Memory size ({}) \
         and the configured or default JVM Metaspace size ({}). Raise or remove taskmanager.memory.process.size, or \
         lower taskmanager.memory.flink.size, taskmanager.memory.task.heap.size or taskmanager.memory.managed.size, \
         whichever is set",
        process.detailed(), flink.detailed(), metaspace.detailed()
    )]
    ProcessBelowFlink {
        /// The whole process.
        process: MemorySize,
        /// The total Flink memory.
        flink: MemorySize,
        /// The metaspace.
        metaspace: MemorySize,
    },
    /// What is left for overhead is outside of its range.
    #[error(
        "Derived JVM Overhead size ({}) is not in configured JVM Overhead range [{}, {}]. {}, or change \
         taskmanager.memory.jvm-overhead.min or .max, or remove one of the sizes so that it can be derived",
        overhead.detailed(), min.detailed(), max.detailed(),
        if overhead < min { "Raise taskmanager.memory.process.size" } else { "Lower taskmanager.memory.process.size" }
    )]
    OverheadOutOfRange {
        /// What is left.
        overhead: MemorySize,
        /// The least overhead.
        min: MemorySize,
        /// The most overhead.
        max: MemorySize,
    },
    /// No processor core.
    #[error(
        "TaskExecutors need to be started with a positive number of CPU cores. Please configure taskmanager.cpu.cores \
         accordingly (it is {cores:?}), or remove it to count one core for each slot"
    )]
    NoCpu {
        /// The value.
        cores: f64,
    },
    /// A size beyond 2^63 - 1 bytes.
    #[error("The size of {part} exceeds 2^63 - 1 bytes. Lower {}", part.set_by())]
    Overflow {
        /// The part.
        part: PartName,
    },
    /// More network buffers than can be counted.
    #[error(
        "Network Memory of {} makes {buffers} buffers of {segment_size}, more than 2^31 - 1. Lower \
         taskmanager.memory.network.max or raise taskmanager.memory.segment-size",
        network.detailed()
    )]
    TooManyBuffers {
        /// The network memory.
        network: MemorySize,
        /// The size of one.
        segment_size: MemorySize,
        /// How many.
        buffers: u64,
    },
}

fn smallest_process(smallest: Option<MemorySize>) -> String {
    match smallest {
        Some(size) => format!(
            "The smallest taskmanager.memory.process.size that works with the other settings is {} ({} bytes). ",
            size.human(),
            size.bytes()
        ),
        None => "Raise taskmanager.memory.process.size or taskmanager.memory.flink.size, whichever is set. "
            .to_owned(),
    }
}

fn list(parts: &[(PartName, MemorySize)]) -> String {
    let texts: Vec<String> =
        parts.iter().map(|(name, size)| format!("{name} ({})", size.detailed())).collect();
    match texts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => texts.concat(),
    }
}

fn largest(parts: &[(PartName, MemorySize)]) -> &'static str {
    parts.iter().max_by_key(|(_, size)| *size).map_or("", |(name, _)| name.set_by())
}

fn network_advice(network: MemorySize, min: MemorySize) -> &'static str {
    if network < min {
        "Lower taskmanager.memory.task.heap.size or taskmanager.memory.managed.size, raise the total, or lower \
         taskmanager.memory.network.min"
    } else {
        "Raise taskmanager.memory.task.heap.size or taskmanager.memory.managed.size, lower the total, or raise \
         taskmanager.memory.network.max"
    }
}

impl Classified for MemoryError {
    fn code(&self) -> &'static str {
        match self {
            MemoryError::Config(error) => error.code(),
            MemoryError::NotSized { .. } => "TM-MEMORY-NOT-SIZED",
            MemoryError::Range { .. } => "TM-MEMORY-RANGE",
            MemoryError::ProcessExceeded { .. } => "TM-MEMORY-PROCESS-EXCEEDED",
            MemoryError::FlinkExceeded { .. } => "TM-MEMORY-FLINK-EXCEEDED",
            MemoryError::NetworkOutOfRange { .. } => "TM-MEMORY-NETWORK-OUT-OF-RANGE",
            MemoryError::ProcessBelowFlink { .. } => "TM-MEMORY-PROCESS-BELOW-FLINK",
            MemoryError::OverheadOutOfRange { .. } => "TM-MEMORY-OVERHEAD-OUT-OF-RANGE",
            MemoryError::NoCpu { .. } => "TM-MEMORY-NO-CPU",
            MemoryError::Overflow { .. } => "TM-MEMORY-OVERFLOW",
            MemoryError::TooManyBuffers { .. } => "TM-MEMORY-TOO-MANY-BUFFERS",
        }
    }

    fn fault(&self) -> Fault {
        Fault::User
    }
}
