//! The memory of a process, divided exactly as Flink divides that of a TaskManager, to the byte.
//!
//! ```text
//! process = Flink memory + metaspace + overhead
//! Flink   = framework heap + framework off-heap + task heap + task off-heap + network + managed
//! ```
//!
//! `docs/memory.md` says what each part bounds in a process without a JVM.

mod arithmetic;
mod derive;
mod error;
mod part;

use std::fmt;

pub use error::MemoryError;
pub use part::{Limit, Part, Source};

use crate::config::{Configuration, MemorySize, options};

/// Every part of the memory of a process, with where its size came from.
///
/// ```
/// use tidemill_core::config::{Configuration, Origin};
/// use tidemill_core::memory::TaskManagerMemory;
///
/// let mut configuration = Configuration::new();
/// configuration.set_raw("taskmanager.memory.process.size", "8g", Origin::CommandLine);
/// let memory = TaskManagerMemory::derive(&configuration)?;
/// assert_eq!(memory.managed.size.bytes(), 2_985_002_310);
/// assert_eq!(memory.network_buffers(), 22_773);
/// # Ok::<(), tidemill_core::memory::MemoryError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TaskManagerMemory {
    /// The whole process.
    pub process: Part,
    /// The process without metaspace and overhead.
    pub flink: Part,
    /// For the engine's own objects.
    pub framework_heap: Part,
    /// For the engine's other memory.
    pub framework_off_heap: Part,
    /// For user objects and the state of the `hashmap` backend.
    pub task_heap: Part,
    /// For what user code takes from native libraries.
    pub task_off_heap: Part,
    /// For network buffers.
    pub network: Part,
    /// For state backends, sorting and caches.
    pub managed: Part,
    /// For code.
    pub metaspace: Part,
    /// For thread stacks and the allocator's slack.
    pub overhead: Part,
    /// The size of one network buffer.
    pub segment_size: MemorySize,
    /// Among how many slots the task, network and managed memory are divided.
    pub slots: u32,
    /// The declared cores.
    pub cpu_cores: f64,
}

impl TaskManagerMemory {
    /// Derives every part from a configuration.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, MemorySize, options};
    /// use tidemill_core::memory::TaskManagerMemory;
    ///
    /// let mut configuration = Configuration::new();
    /// assert!(TaskManagerMemory::derive(&configuration).is_err(), "no total is configured");
    /// configuration.set(&options::FLINK_SIZE, &MemorySize::from_mebibytes(1024));
    /// assert!(TaskManagerMemory::derive(&configuration).is_ok());
    /// ```
    ///
    /// # Errors
    /// If a value cannot be read, no total is configured, or the parts do not fit each other. The message says which
    /// option to change.
    pub fn derive(configuration: &Configuration) -> Result<Self, MemoryError> {
        derive::derive(configuration)
    }

    /// Whether one of the three forms that Flink wants is configured: the process size, the Flink size, or both task heap
    /// and managed memory.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, MemorySize, options};
    /// use tidemill_core::memory::TaskManagerMemory;
    ///
    /// let mut configuration = Configuration::new();
    /// assert!(!TaskManagerMemory::is_sized(&configuration));
    /// configuration.set(&options::FLINK_SIZE, &MemorySize::from_mebibytes(1024));
    /// assert!(TaskManagerMemory::is_sized(&configuration));
    /// ```
    pub fn is_sized(configuration: &Configuration) -> bool {
        configuration.contains(&options::PROCESS_SIZE)
            || configuration.contains(&options::FLINK_SIZE)
            || (configuration.contains(&options::TASK_HEAP_SIZE)
                && configuration.contains(&options::MANAGED_SIZE))
    }

    /// How many network buffers the network memory holds.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, MemorySize, options};
    /// use tidemill_core::memory::TaskManagerMemory;
    ///
    /// let mut configuration = Configuration::new();
    /// configuration.set(&options::FLINK_SIZE, &MemorySize::from_mebibytes(1024));
    /// let memory = TaskManagerMemory::derive(&configuration)?;
    /// assert_eq!(memory.network_buffers(), memory.network.size.bytes() / (32 * 1024));
    /// # Ok::<(), tidemill_core::memory::MemoryError>(())
    /// ```
    pub fn network_buffers(&self) -> u64 {
        self.network.size.bytes() / self.segment_size.bytes().max(1)
    }

    /// The managed memory of one slot.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, MemorySize, options};
    /// use tidemill_core::memory::TaskManagerMemory;
    ///
    /// let mut configuration = Configuration::new();
    /// configuration.set(&options::FLINK_SIZE, &MemorySize::from_mebibytes(1024));
    /// let memory = TaskManagerMemory::derive(&configuration)?;
    /// assert_eq!(memory.managed_per_slot(), memory.managed.size, "there is one slot");
    /// # Ok::<(), tidemill_core::memory::MemoryError>(())
    /// ```
    pub fn managed_per_slot(&self) -> MemorySize {
        MemorySize::from_bytes(self.managed.size.bytes() / u64::from(self.slots.max(1)))
    }

    /// The task heap of one slot.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, MemorySize, options};
    /// use tidemill_core::memory::TaskManagerMemory;
    ///
    /// let mut configuration = Configuration::new();
    /// configuration.set(&options::FLINK_SIZE, &MemorySize::from_mebibytes(1024));
    /// let memory = TaskManagerMemory::derive(&configuration)?;
    /// assert_eq!(memory.task_heap_per_slot(), memory.task_heap.size, "there is one slot");
    /// # Ok::<(), tidemill_core::memory::MemoryError>(())
    /// ```
    pub fn task_heap_per_slot(&self) -> MemorySize {
        MemorySize::from_bytes(self.task_heap.size.bytes() / u64::from(self.slots.max(1)))
    }

    /// The same memory for another number of slots: the parts stay, their shares change.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, Origin};
    /// use tidemill_core::memory::TaskManagerMemory;
    ///
    /// let mut configuration = Configuration::new();
    /// configuration.set_raw("taskmanager.memory.process.size", "8g", Origin::CommandLine);
    /// let memory = TaskManagerMemory::derive(&configuration)?.with_slots(4);
    /// assert_eq!(memory.managed_per_slot().bytes(), memory.managed.bytes() / 4);
    /// # Ok::<(), tidemill_core::memory::MemoryError>(())
    /// ```
    #[must_use]
    pub fn with_slots(mut self, slots: u32) -> Self {
        self.slots = slots.max(1);
        self
    }

    /// The parts with their keys, as a tree in depth-first order: the process is at depth 0.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, Origin};
    /// use tidemill_core::memory::{PartName, TaskManagerMemory};
    ///
    /// let mut configuration = Configuration::new();
    /// configuration.set_raw("taskmanager.memory.process.size", "8g", Origin::CommandLine);
    /// let memory = TaskManagerMemory::derive(&configuration)?;
    /// let [(depth, name, process), ..] = memory.tree();
    /// assert_eq!((depth, name, process.size.to_string().as_str()), (0, PartName::Process, "8 gb"));
    /// # Ok::<(), tidemill_core::memory::MemoryError>(())
    /// ```
    pub fn tree(&self) -> [(usize, PartName, &Part); 10] {
        [
            (0, PartName::Process, &self.process),
            (1, PartName::Flink, &self.flink),
            (2, PartName::FrameworkHeap, &self.framework_heap),
            (2, PartName::FrameworkOffHeap, &self.framework_off_heap),
            (2, PartName::TaskHeap, &self.task_heap),
            (2, PartName::TaskOffHeap, &self.task_off_heap),
            (2, PartName::Network, &self.network),
            (2, PartName::Managed, &self.managed),
            (1, PartName::Metaspace, &self.metaspace),
            (1, PartName::Overhead, &self.overhead),
        ]
    }
}

/// A part of the memory by name.
///
/// ```
/// use tidemill_core::memory::PartName;
///
/// assert_eq!(PartName::Managed.to_string(), "Managed Memory");
/// assert_eq!(PartName::Managed.key(), "taskmanager.memory.managed.size");
/// assert_eq!(PartName::Managed.set_by(), "taskmanager.memory.managed.{size,fraction}");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartName {
    /// The whole process.
    Process,
    /// The process without metaspace and overhead.
    Flink,
    /// For the engine's own objects.
    FrameworkHeap,
    /// For the engine's other memory.
    FrameworkOffHeap,
    /// For user objects and the state of the `hashmap` backend.
    TaskHeap,
    /// For what user code takes from native libraries.
    TaskOffHeap,
    /// For network buffers.
    Network,
    /// For state backends, sorting and caches.
    Managed,
    /// For code.
    Metaspace,
    /// For thread stacks and the allocator's slack.
    Overhead,
}

impl PartName {
    /// The key under which the size is reported. For all but network memory and overhead, setting it sets the size.
    ///
    /// ```
    /// use tidemill_core::memory::PartName;
    ///
    /// assert_eq!(PartName::Flink.key(), "taskmanager.memory.flink.size");
    /// ```
    pub fn key(self) -> &'static str {
        match self {
            PartName::Process => "taskmanager.memory.process.size",
            PartName::Flink => "taskmanager.memory.flink.size",
            PartName::FrameworkHeap => "taskmanager.memory.framework.heap.size",
            PartName::FrameworkOffHeap => "taskmanager.memory.framework.off-heap.size",
            PartName::TaskHeap => "taskmanager.memory.task.heap.size",
            PartName::TaskOffHeap => "taskmanager.memory.task.off-heap.size",
            PartName::Network => "taskmanager.memory.network.size",
            PartName::Managed => "taskmanager.memory.managed.size",
            PartName::Metaspace => "taskmanager.memory.jvm-metaspace.size",
            PartName::Overhead => "taskmanager.memory.jvm-overhead.size",
        }
    }

    /// The options that set the size, for people.
    ///
    /// ```
    /// use tidemill_core::memory::PartName;
    ///
    /// assert_eq!(PartName::Network.set_by(), "taskmanager.memory.network.{fraction,min,max}");
    /// ```
    pub fn set_by(self) -> &'static str {
        match self {
            PartName::Network => "taskmanager.memory.network.{fraction,min,max}",
            PartName::Overhead => "taskmanager.memory.jvm-overhead.{fraction,min,max}",
            PartName::Managed => "taskmanager.memory.managed.{size,fraction}",
            other => other.key(),
        }
    }
}

/// The name, as Flink's messages have it.
impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            PartName::Process => "Total Process Memory",
            PartName::Flink => "Total Flink Memory",
            PartName::FrameworkHeap => "Framework Heap Memory",
            PartName::FrameworkOffHeap => "Framework Off-Heap Memory",
            PartName::TaskHeap => "Task Heap Memory",
            PartName::TaskOffHeap => "Task Off-Heap Memory",
            PartName::Network => "Network Memory",
            PartName::Managed => "Managed Memory",
            PartName::Metaspace => "JVM Metaspace",
            PartName::Overhead => "JVM Overhead",
        })
    }
}
