//! A heap that orders equal elements as the one that Flink keeps matches in: which of several matches that begin with the same
//! row comes first depends on it.

/// What a heap orders by.
pub(super) trait Ranked {
    fn rank(&self) -> u64;
}

/// Adds an element at the end and lets it rise.
pub(super) fn push<T: Ranked>(heap: &mut Vec<T>, element: T) {
    heap.push(element);
    let mut at = heap.len() - 1;
    while at > 0 {
        let parent = (at - 1) / 2;
        if heap[at].rank() >= heap[parent].rank() {
            break;
        }
        heap.swap(at, parent);
        at = parent;
    }
}

/// Takes the first element off.
pub(super) fn pop<T: Ranked>(heap: &mut Vec<T>) -> Option<T> {
    let last = heap.pop()?;
    if heap.is_empty() {
        return Some(last);
    }
    let first = std::mem::replace(&mut heap[0], last);
    sift_down(heap, 0);
    Some(first)
}

/// Removes what `goes` says.
pub(super) fn remove<T: Ranked>(heap: &mut Vec<T>, goes: impl Fn(&T) -> bool) {
    let before = heap.len();
    heap.retain(|element| !goes(element));
    if heap.len() < before {
        for at in (0..heap.len() / 2).rev() {
            sift_down(heap, at);
        }
    }
}

fn sift_down<T: Ranked>(heap: &mut [T], mut at: usize) {
    let half = heap.len() / 2;
    while at < half {
        let mut child = 2 * at + 1;
        if child + 1 < heap.len() && heap[child].rank() > heap[child + 1].rank() {
            child += 1;
        }
        if heap[at].rank() <= heap[child].rank() {
            break;
        }
        heap.swap(at, child);
        at = child;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Item(u64, char);

    impl Ranked for Item {
        fn rank(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn the_least_comes_first_and_equal_ones_as_in_java() {
        let mut heap = Vec::new();
        for item in [(3, 'a'), (1, 'b'), (1, 'c'), (2, 'd'), (1, 'e')] {
            push(&mut heap, Item(item.0, item.1));
        }
        // What `PriorityQueue` of Java 17 gives for the same calls.
        let order: String = std::iter::from_fn(|| pop(&mut heap)).map(|item| item.1).collect();
        assert_eq!(order, "becda");
    }

    #[test]
    fn what_is_removed_is_gone_and_the_order_stays() {
        let mut heap = Vec::new();
        (0..50u64).for_each(|number| push(&mut heap, Item(number * 37 % 50, 'x')));
        remove(&mut heap, |item| item.0 % 3 == 0);
        let left: Vec<u64> = std::iter::from_fn(|| pop(&mut heap)).map(|item| item.0).collect();
        let expected: Vec<u64> = (0..50).filter(|number| number % 3 != 0).collect();
        assert_eq!(left, expected);
    }
}
