//! The window operator's way with whole batches.

use std::borrow::Borrow;

use tidemill_core::batch::TypedBatch;
use tidemill_core::time::{NO_TIMESTAMP, Timestamp};
use tidemill_runtime::OperatorError;
use tidemill_serialization::{Data, Key};
use tidemill_state::{KeyBatch, Namespaces, TimeDomain};

use crate::functions::Collector;
use crate::key::KeySelector;
use crate::operators::window::WindowOperator;
use crate::operators::window_contents::WindowContents;
use crate::windows::{Trigger, Window, WindowAssigner};

/// How many pairs of element and window are put into state at once, about.
const PAIRS: usize = 8192;

/// The columns of one access to state. Their memory serves the next batch, too.
pub(crate) struct Scratch<T, K, W> {
    keys: Vec<K>,
    windows: Vec<W>,
    elements: TypedBatch<T>,
    created: Vec<u32>,
}

impl<T, K, W> Default for Scratch<T, K, W> {
    fn default() -> Self {
        Self { keys: Vec::new(), windows: Vec::new(), elements: TypedBatch::default(), created: Vec::new() }
    }
}

/// Fills `keys` with the keys of `elements`. Keys that own memory are copied into that of earlier ones.
fn collect_keys<T: Data, S: KeySelector<T>>(selector: &S, elements: &[T], keys: &mut Vec<S::Key>) {
    keys.truncate(elements.len());
    let (again, new) = elements.split_at(keys.len());
    for (key, element) in keys.iter_mut().zip(again) {
        key.clone_from(selector.key(element).borrow());
    }
    keys.extend(new.iter().map(|element| selector.key(element).borrow().clone()));
}

impl<T, U, S, A, R, C> WindowOperator<T, U, S, A, R, C>
where
    T: Data,
    U: Data,
    S: KeySelector<T>,
    A: WindowAssigner<T>,
    R: Trigger<T, A::Window>,
    C: WindowContents<T, U, S::Key, A::Window>,
{
    /// Adds the records whose windows are all still open, and takes those whose windows are all gone. The others, whose
    /// windows have to fire at once, stay.
    pub(crate) fn add_records(&mut self, records: &mut TypedBatch<T>) -> Result<(), OperatorError> {
        if A::ONE_WINDOW { self.add_single(records) } else { self.add_multiple(records) }
    }

    /// Whether a window has ended and is kept for late elements.
    #[inline]
    fn fires_late(&self, window: &A::Window) -> bool {
        self.assigner.is_event_time()
            && window.max_timestamp() <= self.watermark.0
            && self.cleanup_time(window) > self.watermark.0
    }

    fn add_single(&mut self, records: &mut TypedBatch<T>) -> Result<(), OperatorError> {
        let context = self.assigner_context();
        let mut windows = std::mem::take(&mut self.scratch.windows);
        windows.clear();
        self.assigner
            .assign_batch(&records.values, &records.timestamps, &context, &mut windows)
            .map_err(OperatorError::user)?;
        let watermark = self.watermark.0;
        let event_time = self.assigner.is_event_time();
        if event_time && windows.iter().any(|window| window.max_timestamp() <= watermark) {
            self.part_late(records, &mut windows)?;
        } else {
            self.add_columns(records, &windows)?;
        }
        self.scratch.windows = windows;
        Ok(())
    }

    /// Adds the records whose windows have not ended; takes those whose windows are gone; leaves the rest.
    fn part_late(
        &mut self,
        records: &mut TypedBatch<T>,
        windows: &mut [A::Window],
    ) -> Result<(), OperatorError> {
        let mut on_time = TypedBatch::default();
        let mut fires_late = TypedBatch::default();
        let timestamps = std::mem::take(&mut records.timestamps);
        let hashes = std::mem::take(&mut records.hashes);
        let values = std::mem::take(&mut records.values);
        let mut kept = 0;
        for (index, value) in values.into_iter().enumerate() {
            let timestamp = timestamps.get(index).copied().unwrap_or(NO_TIMESTAMP);
            let window = &windows[index];
            let part = if window.max_timestamp() > self.watermark.0 {
                windows.swap(kept, index);
                kept += 1;
                &mut on_time
            } else if self.fires_late(window) {
                &mut fires_late
            } else {
                self.take_late(value, timestamp)?;
                continue;
            };
            part.push(value, timestamp);
            part.hashes.push(hashes[index]);
        }
        self.add_columns(&mut on_time, &windows[..kept])?;
        *records = fires_late;
        Ok(())
    }

    fn add_multiple(&mut self, records: &mut TypedBatch<T>) -> Result<(), OperatorError> {
        let context = self.assigner_context();
        let mut windows = std::mem::take(&mut self.scratch.windows);
        let mut elements = std::mem::take(&mut self.scratch.elements);
        let mut own: Vec<A::Window> = Vec::new();
        if self.lateness.allowed > 0 {
            // Elements stay in their order, so one that fires at once takes the batch with it.
            for (index, value) in records.values.iter().enumerate() {
                own.clear();
                let assigned =
                    self.assigner.assign_windows(value, records.timestamp(index), &context, &mut own);
                assigned.map_err(OperatorError::user)?;
                if own.iter().any(|window| self.fires_late(window)) {
                    return Ok(());
                }
            }
        }
        let hashes = std::mem::take(&mut records.hashes);
        let timestamps = std::mem::take(&mut records.timestamps);
        let values = std::mem::take(&mut records.values);
        windows.clear();
        elements.clear();
        for (index, value) in values.into_iter().enumerate() {
            let timestamp = timestamps.get(index).copied().unwrap_or(NO_TIMESTAMP);
            own.clear();
            self.assigner
                .assign_windows(&value, timestamp, &context, &mut own)
                .map_err(OperatorError::user)?;
            if self.assigner.is_event_time() {
                own.retain(|window| window.max_timestamp() > self.watermark.0);
            }
            let Some(last) = own.pop() else {
                self.take_late(value, timestamp)?;
                continue;
            };
            for window in own.drain(..) {
                windows.push(window);
                elements.push(value.clone(), timestamp);
                elements.hashes.push(hashes[index]);
                if windows.len() >= PAIRS {
                    self.add_columns(&mut elements, &windows)?;
                    windows.clear();
                }
            }
            windows.push(last);
            elements.push(value, timestamp);
            elements.hashes.push(hashes[index]);
            if windows.len() >= PAIRS {
                self.add_columns(&mut elements, &windows)?;
                windows.clear();
            }
        }
        self.add_columns(&mut elements, &windows)?;
        self.scratch.windows = windows;
        self.scratch.elements = elements;
        Ok(())
    }

    /// Adds each record to its window and orders the timers of windows that are new. Empties `records`.
    fn add_columns(
        &mut self,
        records: &mut TypedBatch<T>,
        windows: &[A::Window],
    ) -> Result<(), OperatorError> {
        let domain = self.domain();
        let Some(opened) = &mut self.opened else { return Ok(()) };
        if records.is_empty() {
            return Ok(());
        }
        let Scratch { keys, created, .. } = &mut self.scratch;
        collect_keys(&self.selector, &records.values, keys);
        created.clear();
        let hashes = std::mem::take(&mut records.hashes);
        let batch = KeyBatch::with_namespaces(&hashes, keys, Namespaces::Each(windows))?;
        self.contents.add_batch(&mut opened.backend, &batch, records, created)?;
        let lateness = if self.assigner.is_event_time() { self.lateness.allowed } else { 0 };
        let timers = opened.timers.service(&mut opened.backend)?;
        for &index in created.iter() {
            let index = index as usize;
            let (key, window) = ((&keys[index], hashes[index]), &windows[index]);
            let end = window.max_timestamp();
            let cleanup = end.saturating_add(lateness);
            let cleanup = (cleanup != end && cleanup != Timestamp::MAX).then_some(cleanup);
            for time in std::iter::once(end).chain(cleanup) {
                if C::CREATED_ONCE {
                    timers.register_new(domain, time, key, window)?;
                } else {
                    timers.register(domain, time, key, window)?;
                }
            }
        }
        records.clear();
        records.hashes = hashes;
        records.hashes.clear();
        Ok(())
    }

    /// Fires timers many at a time. Answers how many, and whether there may be more.
    pub(crate) fn fire_batch(
        &mut self,
        domain: TimeDomain,
        up_to: Timestamp,
        enough: usize,
        collector: &mut Collector<U>,
    ) -> Result<(u64, bool), OperatorError> {
        let lateness = if self.assigner.is_event_time() { self.lateness.allowed } else { 0 };
        let Some(opened) = &mut self.opened else { return Ok((0, false)) };
        let mut firing = Due::default();
        let mut going = Due::default();
        let timers = opened.timers.service(&mut opened.backend)?;
        let mut fired = 0;
        let mut more = true;
        while firing.keys.len() < enough && fired < 2 * enough as u64 {
            let Some(timer) = timers.pop_due(domain, up_to)? else {
                more = false;
                break;
            };
            fired += 1;
            let end = timer.namespace.max_timestamp();
            // Without lateness both are the same, which is the common case.
            let goes = timer.timestamp == end.saturating_add(lateness);
            if timer.timestamp == end {
                if goes {
                    going.shared.push(firing.keys.len());
                }
                firing.push(timer.key, timer.hash, timer.namespace);
            } else if goes {
                going.push(timer.key, timer.hash, timer.namespace);
            }
        }
        let all_go = going.shared.len() == firing.keys.len();
        let batch = firing.batch()?;
        self.contents.fire_batch(&mut opened.backend, &batch, &firing.windows, all_go, collector)?;
        if !all_go {
            for index in std::mem::take(&mut going.shared) {
                let (key, window) = (firing.keys[index].clone(), firing.windows[index].clone());
                going.push(key, firing.hashes[index], window);
            }
        }
        self.contents.clear_batch(&mut opened.backend, &going.batch()?)?;
        Ok((fired, more))
    }
}

/// Timers that have come due, as columns.
struct Due<K, W> {
    keys: Vec<K>,
    hashes: Vec<u64>,
    windows: Vec<W>,
    /// Places of timers in the other columns.
    shared: Vec<usize>,
}

impl<K, W> Default for Due<K, W> {
    fn default() -> Self {
        Self { keys: Vec::new(), hashes: Vec::new(), windows: Vec::new(), shared: Vec::new() }
    }
}

impl<K: Key, W: Window> Due<K, W> {
    fn push(&mut self, key: K, hash: u64, window: W) {
        self.keys.push(key);
        self.hashes.push(hash);
        self.windows.push(window);
    }

    fn batch(&self) -> Result<KeyBatch<'_, K, W>, OperatorError> {
        Ok(KeyBatch::with_namespaces(&self.hashes, &self.keys, Namespaces::Each(&self.windows))?)
    }
}
