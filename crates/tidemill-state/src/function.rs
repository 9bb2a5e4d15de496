//! The functions that combine values inside of state.

use tidemill_serialization::Data;

/// Combines a value with what has been accumulated so far. Implemented by every `Fn(&mut V, V)`.
///
/// ```
/// use tidemill_state::ReduceFunction;
///
/// let largest = |largest: &mut u64, next: u64| *largest = next.max(*largest);
/// let mut so_far = 7;
/// largest.reduce(&mut so_far, 9);
/// assert_eq!(so_far, 9);
/// ```
pub trait ReduceFunction<V>: Send + Sync + 'static {
    /// Adds `value` to `accumulated`.
    fn reduce(&self, accumulated: &mut V, value: V);

    /// Adds a batch: value `i` to the accumulator in place `slots[i]`, except for the records in `created`
    /// (ascending), whose accumulators are those values already. Empties `values`.
    fn reduce_batch(&self, accumulators: &mut [V], slots: &[u32], created: &[u32], values: &mut Vec<V>) {
        let mut created = created.iter().copied().peekable();
        for (i, (value, &slot)) in values.drain(..).zip(slots).enumerate() {
            if created.next_if_eq(&(i as u32)).is_none() {
                self.reduce(&mut accumulators[slot as usize], value);
            }
        }
    }
}

impl<V, F: Fn(&mut V, V) + Send + Sync + 'static> ReduceFunction<V> for F {
    #[inline]
    fn reduce(&self, accumulated: &mut V, value: V) {
        self(accumulated, value);
    }
}

/// Aggregates values of one type into an accumulator of another, from which a result is read.
///
/// ```
/// use tidemill_state::AggregateFunction;
///
/// /// The mean, from sum and count.
/// struct Mean;
///
/// impl AggregateFunction for Mean {
///     type In = f64;
///     type Acc = (f64, u64);
///     type Out = f64;
///
///     fn create_accumulator(&self) -> (f64, u64) {
///         (0.0, 0)
///     }
///     fn add(&self, (sum, count): &mut (f64, u64), value: f64) {
///         *sum += value;
///         *count += 1;
///     }
///     fn get_result(&self, (sum, count): &(f64, u64)) -> f64 {
///         sum / *count as f64
///     }
///     fn merge(&self, (sum, count): &mut (f64, u64), other: (f64, u64)) {
///         *sum += other.0;
///         *count += other.1;
///     }
/// }
///
/// let mut accumulator = Mean.create_accumulator();
/// Mean.add(&mut accumulator, 1.0);
/// Mean.add(&mut accumulator, 4.0);
/// assert_eq!(Mean.get_result(&accumulator), 2.5);
/// ```
pub trait AggregateFunction: Send + Sync + 'static {
    /// What is aggregated.
    type In;
    /// What is kept in state.
    type Acc: Data;
    /// What comes out.
    type Out;

    /// An accumulator that nothing was added to.
    fn create_accumulator(&self) -> Self::Acc;

    /// Adds a value.
    fn add(&self, accumulator: &mut Self::Acc, value: Self::In);

    /// The result of what was added so far.
    fn get_result(&self, accumulator: &Self::Acc) -> Self::Out;

    /// Adds all that was added to `other`; used when windows merge.
    fn merge(&self, accumulator: &mut Self::Acc, other: Self::Acc);

    /// Adds a batch: value `i` to the accumulator in place `slots[i]`. Empties `values`.
    fn add_batch(&self, accumulators: &mut [Self::Acc], slots: &[u32], values: &mut Vec<Self::In>) {
        for (value, &slot) in values.drain(..).zip(slots) {
            self.add(&mut accumulators[slot as usize], value);
        }
    }
}
