//! The memory of a process, as [`memory`](crate::memory) derives it.

use super::checks::segment_size;
use crate::config::option::declare_options;
use crate::config::{ConfigOption, MemorySize};

declare_options! {
    /// The memory of the whole process: the total Flink memory, metaspace and overhead.
    PROCESS_SIZE: MemorySize = ConfigOption::new("taskmanager.memory.process.size");

    /// The total Flink memory: the process without metaspace and overhead.
    FLINK_SIZE: MemorySize = ConfigOption::new("taskmanager.memory.flink.size");

    /// What the engine itself needs for its objects.
    FRAMEWORK_HEAP_SIZE: MemorySize =
        ConfigOption::new("taskmanager.memory.framework.heap.size").default("128 mb");

    /// What the engine itself needs outside of its objects: library buffers, decompression, files.
    FRAMEWORK_OFF_HEAP_SIZE: MemorySize =
        ConfigOption::new("taskmanager.memory.framework.off-heap.size").default("128 mb");

    /// The memory of user code and of the `hashmap` state backend; by default what is left of the total Flink memory.
    TASK_HEAP_SIZE: MemorySize = ConfigOption::new("taskmanager.memory.task.heap.size");

    /// The memory that user code takes from native libraries.
    TASK_OFF_HEAP_SIZE: MemorySize =
        ConfigOption::new("taskmanager.memory.task.off-heap.size").default("0 bytes");

    /// The managed memory, for state backends, sorting and caches, divided evenly among the slots.
    MANAGED_SIZE: MemorySize =
        ConfigOption::new("taskmanager.memory.managed.size").deprecated(&["taskmanager.memory.size"]);

    /// The share of the total Flink memory that is managed memory when no size is set.
    MANAGED_FRACTION: f32 = ConfigOption::new("taskmanager.memory.managed.fraction").default("0.4");

    /// The share of the total Flink memory that is network memory, between its minimum and maximum.
    NETWORK_FRACTION: f32 = ConfigOption::new("taskmanager.memory.network.fraction")
        .default("0.1")
        .deprecated(&["taskmanager.network.memory.fraction"]);

    /// The least network memory, whatever its share is.
    NETWORK_MIN: MemorySize = ConfigOption::new("taskmanager.memory.network.min")
        .default("64 mb")
        .deprecated(&["taskmanager.network.memory.min"]);

    /// The most network memory, whatever its share is; the default is no limit.
    NETWORK_MAX: MemorySize = ConfigOption::new("taskmanager.memory.network.max")
        .default("9223372036854775807 bytes")
        .deprecated(&["taskmanager.network.memory.max"]);

    /// What is set aside for code: the executable and its libraries, where Flink has the JVM's class metadata.
    METASPACE_SIZE: MemorySize = ConfigOption::new("taskmanager.memory.jvm-metaspace.size").default("256 mb");

    /// The share of the process that is set aside for thread stacks and the allocator's slack, between its minimum and
    /// maximum.
    OVERHEAD_FRACTION: f32 = ConfigOption::new("taskmanager.memory.jvm-overhead.fraction").default("0.1");

    /// The least that is set aside as overhead, whatever its share is.
    OVERHEAD_MIN: MemorySize = ConfigOption::new("taskmanager.memory.jvm-overhead.min").default("192 mb");

    /// The most that is set aside as overhead, whatever its share is.
    OVERHEAD_MAX: MemorySize = ConfigOption::new("taskmanager.memory.jvm-overhead.max").default("1 gb");

    /// The size of one network buffer, a power of two: larger ones carry more per exchange, smaller ones wait less.
    SEGMENT_SIZE: MemorySize =
        ConfigOption::new("taskmanager.memory.segment-size").default("32 kb").check(segment_size);
}
