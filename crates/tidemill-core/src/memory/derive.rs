//! The derivation, path by path as Flink has it.

use super::arithmetic::multiply;
use super::{Limit, MemoryError, Part, PartName, Source, TaskManagerMemory};
use crate::config::{AnyOption, ConfigOption, Configuration, MemorySize, options};

type Result<T> = std::result::Result<T, MemoryError>;

/// The total Flink memory and what is in it.
struct Flink {
    total: Part,
    framework_heap: Part,
    framework_off_heap: Part,
    task_heap: Part,
    task_off_heap: Part,
    network: Part,
    managed: Part,
}

/// A fraction with its bounds.
#[derive(Clone, Copy)]
struct Range {
    fraction: f32,
    min: u64,
    max: u64,
}

pub(super) fn derive(configuration: &Configuration) -> Result<TaskManagerMemory> {
    match derive_once(configuration) {
        // What would work is found by trying: the parts depend on each other through fractions and bounds.
        Err(MemoryError::FlinkExceeded { parts, flink, .. }) => {
            let (from, smallest) = (total_from(configuration), smallest_process(configuration));
            Err(MemoryError::FlinkExceeded { parts, flink, from, smallest })
        }
        Err(MemoryError::ProcessExceeded { metaspace, overhead, process, .. }) => {
            let (from, smallest) = (total_from(configuration), smallest_process(configuration));
            Err(MemoryError::ProcessExceeded { metaspace, overhead, process, from, smallest })
        }
        other => other,
    }
}

/// Where the total that decides was set, as it is added to a message.
fn total_from(configuration: &Configuration) -> String {
    let set =
        configuration.origin(&options::FLINK_SIZE).or_else(|| configuration.origin(&options::PROCESS_SIZE));
    set.map_or_else(String::new, |(key, origin)| format!(", set by {key} ({origin})"))
}

/// The least process size that works with the other settings, if the process size is what decides and one up to 16 TiB
/// does.
fn smallest_process(configuration: &Configuration) -> Option<MemorySize> {
    if configuration.contains(&options::FLINK_SIZE) || !configuration.contains(&options::PROCESS_SIZE) {
        return None;
    }
    let mut trial = configuration.clone();
    let mut works = |bytes| {
        trial.set(&options::PROCESS_SIZE, &MemorySize::from_bytes(bytes));
        derive_once(&trial).is_ok()
    };
    let mut low = configuration.get(&options::PROCESS_SIZE).ok()?.bytes();
    let mut high = low.max(1 << 20);
    while !works(high) {
        if high >= 1 << 44 {
            return None;
        }
        high *= 2;
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if works(middle) { high = middle } else { low = middle }
    }
    Some(MemorySize::from_bytes(high))
}

fn derive_once(configuration: &Configuration) -> Result<TaskManagerMemory> {
    let reader = Reader { configuration };
    let fine_grained =
        configuration.contains(&options::TASK_HEAP_SIZE) && configuration.contains(&options::MANAGED_SIZE);
    let (flink, process, metaspace, overhead) = if fine_grained {
        let flink = reader.flink_from_parts()?;
        reader.around(flink)?
    } else if let Some(total) = reader.size(&options::FLINK_SIZE)? {
        let flink = reader.flink_from_total(total)?;
        reader.around(flink)?
    } else if let Some(process) = reader.size(&options::PROCESS_SIZE)? {
        let metaspace = reader.required(&options::METASPACE_SIZE)?;
        let overhead =
            reader.overhead_range()?.share(process.bytes(), PartName::Process, PartName::Overhead)?;
        let total = process
            .bytes()
            .checked_sub(metaspace.bytes())
            .and_then(|rest| rest.checked_sub(overhead.bytes()));
        let Some(total) = total else {
            return Err(MemoryError::ProcessExceeded {
                metaspace: metaspace.size,
                overhead: overhead.size,
                process: process.size,
                from: String::new(),
                smallest: None,
            });
        };
        let total = Part::new(total, Source::Rest(PartName::Process));
        (reader.flink_from_total(total)?, process, metaspace, overhead)
    } else {
        return Err(MemoryError::NotSized { found: reader.sized_instead() });
    };
    let slots = configuration.get(&options::TASK_SLOTS)?;
    let cpu_cores = configuration.get_optional(&options::CPU_CORES)?.unwrap_or(f64::from(slots));
    if cpu_cores <= 0.0 {
        return Err(MemoryError::NoCpu { cores: cpu_cores });
    }
    let memory = TaskManagerMemory {
        process,
        flink: flink.total,
        framework_heap: flink.framework_heap,
        framework_off_heap: flink.framework_off_heap,
        task_heap: flink.task_heap,
        task_off_heap: flink.task_off_heap,
        network: flink.network,
        managed: flink.managed,
        metaspace,
        overhead,
        segment_size: configuration.get(&options::SEGMENT_SIZE)?,
        slots,
        cpu_cores,
    };
    let buffers = memory.network_buffers();
    if buffers > i32::MAX as u64 {
        let (network, segment_size) = (memory.network.size, memory.segment_size);
        return Err(MemoryError::TooManyBuffers { network, segment_size, buffers });
    }
    Ok(memory)
}

struct Reader<'a> {
    configuration: &'a Configuration,
}

impl Reader<'_> {
    /// A size that is set, with where.
    fn size(&self, option: &ConfigOption<MemorySize>) -> Result<Option<Part>> {
        let Some(size) = self.configuration.get_optional(option)? else { return Ok(None) };
        let origin = self.configuration.origin(option).map(|(_, origin)| origin.to_string());
        Ok(Some(Part { size, source: Source::Set(origin.unwrap_or_default()) }))
    }

    /// A size that is set or has a default.
    fn required(&self, option: &ConfigOption<MemorySize>) -> Result<Part> {
        match self.size(option)? {
            Some(part) => Ok(part),
            None => Ok(Part { size: self.configuration.get(option)?, source: Source::Default }),
        }
    }

    fn range(
        &self,
        fraction: &ConfigOption<f32>,
        min: Option<&ConfigOption<MemorySize>>,
        max: Option<&ConfigOption<MemorySize>>,
    ) -> Result<Range> {
        let bound = |option: Option<&ConfigOption<MemorySize>>, otherwise| match option {
            Some(option) => self.configuration.get(option),
            None => Ok(otherwise),
        };
        let lower = bound(min, MemorySize::default())?;
        let upper = bound(max, MemorySize::MAX)?;
        let value = self.configuration.get(fraction)?;
        let reason = if lower > upper {
            let key = min.map_or("", ConfigOption::key);
            format!(
                "the min must not be above the max; lower {key} or raise {}",
                max.map_or("", ConfigOption::key)
            )
        } else if !(0.0..1.0).contains(&value) {
            format!("the fraction must be in range [0, 1); change {}", fraction.key())
        } else {
            return Ok(Range { fraction: value, min: lower.bytes(), max: upper.bytes() });
        };
        Err(MemoryError::Range {
            fraction_key: fraction.key(),
            fraction: value,
            min: lower,
            max: upper,
            reason,
        })
    }

    fn network_range(&self) -> Result<Range> {
        self.range(&options::NETWORK_FRACTION, Some(&options::NETWORK_MIN), Some(&options::NETWORK_MAX))
    }

    fn overhead_range(&self) -> Result<Range> {
        self.range(&options::OVERHEAD_FRACTION, Some(&options::OVERHEAD_MIN), Some(&options::OVERHEAD_MAX))
    }

    /// Task heap and managed memory are both set: the network is the rest, or sized after them.
    fn flink_from_parts(&self) -> Result<Flink> {
        let framework_heap = self.required(&options::FRAMEWORK_HEAP_SIZE)?;
        let framework_off_heap = self.required(&options::FRAMEWORK_OFF_HEAP_SIZE)?;
        let task_heap = self.required(&options::TASK_HEAP_SIZE)?;
        let task_off_heap = self.required(&options::TASK_OFF_HEAP_SIZE)?;
        let managed = self.required(&options::MANAGED_SIZE)?;
        let parts = [
            (PartName::FrameworkHeap, &framework_heap),
            (PartName::FrameworkOffHeap, &framework_off_heap),
            (PartName::TaskHeap, &task_heap),
            (PartName::TaskOffHeap, &task_off_heap),
            (PartName::Managed, &managed),
        ];
        let rest = sum(&parts)?;
        let range = self.network_range()?;
        let (total, network) = match self.size(&options::FLINK_SIZE)? {
            Some(total) => {
                let network = remainder(&total, &parts)?;
                range.contains_network(network)?;
                (total, Part::new(network, Source::Rest(PartName::Flink)))
            }
            None => {
                let network = range.inverse(rest, PartName::Flink, PartName::Network)?;
                let total = add(rest, network.bytes(), PartName::Flink)?;
                (Part::new(total, Source::Sum), network)
            }
        };
        Ok(Flink { total, framework_heap, framework_off_heap, task_heap, task_off_heap, network, managed })
    }

    /// The total is known: task heap is the rest, or, if that is set, the network is.
    fn flink_from_total(&self, total: Part) -> Result<Flink> {
        let framework_heap = self.required(&options::FRAMEWORK_HEAP_SIZE)?;
        let framework_off_heap = self.required(&options::FRAMEWORK_OFF_HEAP_SIZE)?;
        let task_off_heap = self.required(&options::TASK_OFF_HEAP_SIZE)?;
        let managed = match self.size(&options::MANAGED_SIZE)? {
            Some(managed) => managed,
            None => {
                let range = self.range(&options::MANAGED_FRACTION, None, None)?;
                range.share(total.bytes(), PartName::Flink, PartName::Managed)?
            }
        };
        let range = self.network_range()?;
        let (task_heap, network) = match self.size(&options::TASK_HEAP_SIZE)? {
            Some(task_heap) => {
                let parts = [
                    (PartName::FrameworkHeap, &framework_heap),
                    (PartName::FrameworkOffHeap, &framework_off_heap),
                    (PartName::TaskHeap, &task_heap),
                    (PartName::TaskOffHeap, &task_off_heap),
                    (PartName::Managed, &managed),
                ];
                let network = remainder(&total, &parts)?;
                range.contains_network(network)?;
                (task_heap, Part::new(network, Source::Rest(PartName::Flink)))
            }
            None => {
                let network = range.share(total.bytes(), PartName::Flink, PartName::Network)?;
                let parts = [
                    (PartName::FrameworkHeap, &framework_heap),
                    (PartName::FrameworkOffHeap, &framework_off_heap),
                    (PartName::TaskOffHeap, &task_off_heap),
                    (PartName::Managed, &managed),
                    (PartName::Network, &network),
                ];
                let task_heap = remainder(&total, &parts)?;
                (Part::new(task_heap, Source::Rest(PartName::Flink)), network)
            }
        };
        Ok(Flink { total, framework_heap, framework_off_heap, task_heap, task_off_heap, network, managed })
    }

    /// What is around a known total Flink memory: process, metaspace and overhead.
    fn around(&self, flink: Flink) -> Result<(Flink, Part, Part, Part)> {
        let metaspace = self.required(&options::METASPACE_SIZE)?;
        let range = self.overhead_range()?;
        let inside = add(flink.total.bytes(), metaspace.bytes(), PartName::Process)?;
        let (process, overhead) = match self.size(&options::PROCESS_SIZE)? {
            Some(process) => {
                let Some(overhead) = process.bytes().checked_sub(inside) else {
                    return Err(MemoryError::ProcessBelowFlink {
                        process: process.size,
                        flink: flink.total.size,
                        metaspace: metaspace.size,
                    });
                };
                let (min, max) = (MemorySize::from_bytes(range.min), MemorySize::from_bytes(range.max));
                if !(range.min..=range.max).contains(&overhead) {
                    let overhead = MemorySize::from_bytes(overhead);
                    return Err(MemoryError::OverheadOutOfRange { overhead, min, max });
                }
                (process, Part::new(overhead, Source::Rest(PartName::Process)))
            }
            None => {
                let overhead = range.inverse(inside, PartName::Process, PartName::Overhead)?;
                let process = add(inside, overhead.bytes(), PartName::Process)?;
                (Part::new(process, Source::Sum), overhead)
            }
        };
        Ok((flink, process, metaspace, overhead))
    }

    /// Which sizes are set although none of them is enough.
    fn sized_instead(&self) -> String {
        let declared: [&dyn AnyOption; 2] = [&options::TASK_HEAP_SIZE, &options::MANAGED_SIZE];
        let declared = declared.into_iter().filter_map(|option| self.configuration.origin(option));
        let removed = ["taskmanager.heap.size", "taskmanager.heap.mb"].into_iter();
        let removed =
            removed.filter_map(|key| self.configuration.get_raw(key).map(|entry| (key, &entry.origin)));
        let found: Vec<String> =
            declared.chain(removed).map(|(key, origin)| format!("{key} ({origin})")).collect();
        if found.is_empty() { String::new() } else { format!("; {} alone is not enough", found.join(", ")) }
    }
}

impl Range {
    /// This share of a known whole.
    fn share(&self, whole: u64, of: PartName, part: PartName) -> Result<Part> {
        let fraction = self.fraction;
        let bytes = multiply(whole, f64::from(fraction)).ok_or(MemoryError::Overflow { part })?;
        let (bytes, limit) = self.clamp(bytes);
        Ok(Part::new(bytes, Source::Share { fraction, of, limit }))
    }

    /// What must be added to `rest` to be this share of both.
    fn inverse(&self, rest: u64, of: PartName, part: PartName) -> Result<Part> {
        let fraction = f64::from(self.fraction);
        let bytes = multiply(rest, fraction / (1.0 - fraction)).ok_or(MemoryError::Overflow { part })?;
        let (bytes, limit) = self.clamp(bytes);
        Ok(Part::new(bytes, Source::Share { fraction: self.fraction, of, limit }))
    }

    fn clamp(&self, bytes: u64) -> (u64, Option<Limit>) {
        if bytes > self.max {
            (self.max, Some(Limit::Max))
        } else if bytes < self.min {
            (self.min, Some(Limit::Min))
        } else {
            (bytes, None)
        }
    }

    fn contains_network(&self, network: u64) -> Result<()> {
        if (self.min..=self.max).contains(&network) {
            return Ok(());
        }
        let [network, min, max] = [network, self.min, self.max].map(MemorySize::from_bytes);
        Err(MemoryError::NetworkOutOfRange { network, min, max })
    }
}

fn add(a: u64, b: u64, part: PartName) -> Result<u64> {
    a.checked_add(b).filter(|sum| *sum <= MemorySize::MAX.bytes()).ok_or(MemoryError::Overflow { part })
}

fn sum(parts: &[(PartName, &Part)]) -> Result<u64> {
    parts.iter().try_fold(0, |total, (_, part)| add(total, part.bytes(), PartName::Flink))
}

/// What `parts` leave of the total Flink memory.
fn remainder(total: &Part, parts: &[(PartName, &Part)]) -> Result<u64> {
    total.bytes().checked_sub(sum(parts)?).ok_or_else(|| MemoryError::FlinkExceeded {
        parts: parts.iter().map(|(name, part)| (*name, part.size)).collect(),
        flink: total.size,
        from: String::new(),
        smallest: None,
    })
}
