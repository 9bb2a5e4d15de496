use std::sync::Arc;

use proptest::prelude::*;
use tidemill_network::{LocalBufferPool, NetworkBufferPool, NetworkError, Permit};

#[derive(Clone, Debug)]
enum Act {
    Create { fixed: usize, required: usize, extra: usize },
    Drop(usize),
    Acquire(usize),
    Release(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        2 => (0usize..4, 0usize..8, 0usize..20)
            .prop_map(|(fixed, required, extra)| Act::Create { fixed, required, extra }),
        1 => any::<usize>().prop_map(Act::Drop),
        3 => any::<usize>().prop_map(Act::Acquire),
        2 => any::<usize>().prop_map(Act::Release),
    ];
    prop::collection::vec(act, 0..80)
}

struct Known {
    pool: Arc<LocalBufferPool>,
    fixed: usize,
    required: usize,
    max: usize,
    permits: Vec<Permit>,
}

proptest! {
    /// Every pool has what it requires and no more than it can use; nothing lies idle that somebody could use; nothing is
    /// dealt out twice; what is required is never promised to two.
    #[test]
    fn buffers_are_dealt_out_anew_whenever_a_pool_comes_or_goes(acts in acts(), total in 1usize..40) {
        let global = NetworkBufferPool::new((total * 128) as u64 + 127, 128);
        prop_assert_eq!(global.total(), total);
        let mut pools: Vec<Known> = Vec::new();
        for act in acts {
            match act {
                Act::Create { fixed, required, extra } => {
                    let spoken_for: usize = pools.iter().map(|known| known.fixed + known.required).sum();
                    let max = required + extra;
                    match global.create_pool(fixed, required, max, 0, Arc::default()) {
                        Ok(pool) => {
                            prop_assert!(spoken_for + fixed + required <= total);
                            pools.push(Known { pool, fixed, required, max, permits: Vec::new() });
                        }
                        Err(NetworkError::InsufficientBuffers { required: needed, available, .. }) => {
                            prop_assert!(spoken_for + fixed + required > total);
                            prop_assert_eq!((needed, available), (fixed + required, total - spoken_for));
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                Act::Drop(index) if !pools.is_empty() => {
                    let mut gone = pools.remove(index % pools.len());
                    gone.permits.clear();
                }
                Act::Acquire(index) if !pools.is_empty() => {
                    let index = index % pools.len();
                    let known = &mut pools[index];
                    let free = known.permits.len() < known.pool.size();
                    prop_assert_eq!(known.pool.is_available(), free);
                    let permit = known.pool.try_acquire();
                    prop_assert_eq!(permit.is_some(), free);
                    known.permits.extend(permit);
                }
                Act::Release(index) if !pools.is_empty() => {
                    let index = index % pools.len();
                    pools[index].permits.pop();
                }
                _ => {}
            }
            let fixed: usize = pools.iter().map(|known| known.fixed).sum();
            let sizes: usize = pools.iter().map(|known| known.pool.size()).sum();
            prop_assert!(fixed + sizes <= total);
            for known in &pools {
                prop_assert!((known.required..=known.max).contains(&known.pool.size()));
                prop_assert_eq!(known.pool.used(), known.permits.len());
            }
            let wanted = pools.iter().any(|known| known.pool.size() < known.max);
            prop_assert!(!wanted || fixed + sizes == total, "{} of {} lie idle", total - fixed - sizes, total);
            let taken: usize = pools.iter().map(|known| known.permits.len()).sum();
            prop_assert_eq!(global.used(), fixed + taken);
        }
        drop(pools);
        prop_assert_eq!(global.used(), 0);
    }
}

#[test]
fn buffers_that_are_taken_stay_taken_when_a_pool_shrinks() {
    let global = NetworkBufferPool::new(10 * 128, 128);
    let first = global.create_pool(0, 2, 10, 0, Arc::default()).unwrap();
    let permits: Vec<Permit> = std::iter::from_fn(|| first.try_acquire()).collect();
    assert_eq!(permits.len(), 10);
    let second = global.create_pool(0, 8, 8, 0, Arc::default()).unwrap();
    assert_eq!((first.size(), first.used()), (2, 10));
    assert!(!first.is_available() && first.try_acquire().is_none());
    drop(permits);
    assert!(first.is_available());
    drop(second);
    assert_eq!(first.size(), 10);
}

/// Tasks that end together leave the dealing out to the last of them; after it everybody has what is due.
#[test]
fn pools_that_go_together_are_dealt_out_among_those_who_stay() {
    let global = NetworkBufferPool::new(1000 * 128, 128);
    let stays = global.create_pool(0, 1, 1000, 0, Arc::default()).unwrap();
    for _ in 0..20 {
        let later = global.deal_later();
        let create = |_| global.create_pool(1, 3, 50, 0, Arc::default()).unwrap();
        let go: Vec<Arc<LocalBufferPool>> = (0..200).map(create).collect();
        drop(later);
        let sizes: usize = go.iter().map(|pool| pool.size()).sum();
        assert_eq!(sizes + 200 + stays.size(), 1000);
        let start = std::sync::Barrier::new(4);
        let mut go = go.into_iter();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (mine, start): (Vec<_>, _) = (go.by_ref().take(50).collect(), &start);
                scope.spawn(move || {
                    start.wait();
                    drop(mine);
                });
            }
        });
        assert_eq!(stays.size(), 1000);
    }
}

/// The size that pools are dealt depends on who is there, not on whether there was ever enough for all.
#[test]
fn what_is_enough_for_all_is_given_to_all() {
    let global = NetworkBufferPool::new(20 * 128, 128);
    let create = |fixed, required, max| global.create_pool(fixed, required, max, 0, Arc::default()).unwrap();
    let (first, second) = (create(0, 1, 8), create(2, 2, 10));
    assert_eq!((first.size(), second.size()), (8, 10));
    let third = create(0, 4, 12);
    assert_eq!(first.size() + second.size() + third.size(), 18);
    assert!(global.check(11).is_ok());
    let error = global.check(12).unwrap_err().to_string();
    assert!(error.contains("required 12, but only 11 available of 20"), "{error}");
    assert!(error.contains("the whole job needs 1536 bytes"), "{error}");
    drop(second);
    assert_eq!((first.size(), third.size()), (8, 12));
    let second = create(0, 0, 0);
    assert_eq!((first.size(), second.size(), third.size()), (8, 0, 12));
}

#[test]
fn the_message_of_too_few_buffers_names_what_to_change() {
    let global = NetworkBufferPool::new(4 * 128, 128);
    let error = global.create_pool(1, 5, 5, 0, Arc::default()).unwrap_err().to_string();
    for part in [
        "required 6",
        "4 available of 4",
        "taskmanager.memory.network.fraction",
        "taskmanager.memory.network.min",
        "taskmanager.memory.network.max",
        "parallelism",
    ] {
        assert!(error.contains(part), "'{part}' in: {error}");
    }
}
