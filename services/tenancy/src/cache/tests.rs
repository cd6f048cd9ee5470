use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use causeway_crypto::KeyCause;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::advance;

use super::*;
use crate::domain::Ring;

const SECOND: Duration = Duration::from_secs(1);

fn stored(workspace: WorkspaceId) -> WrappedDataKey {
    WrappedDataKey {
        workspace,
        ring: Ring::Data,
        version: 1,
        wrapped: WrappedKey {
            key_id: "k".to_owned(),
            bytes: vec![1],
        },
    }
}

fn key() -> Arc<DataKey> {
    Arc::new(DataKey::generate().expect("random bytes"))
}

/// A cache in front of a key service that counts.
#[derive(Clone, Default)]
struct Desk {
    cache: KeyCache,
    asked: Arc<AtomicUsize>,
    opens: Arc<Notify>,
}

impl Desk {
    async fn get(&self, stored: &WrappedDataKey, answer: Result<(), KeyError>) -> Unwrapped {
        let unwrap = || {
            self.asked.fetch_add(1, Ordering::Relaxed);
            async move {
                answer?;
                DataKey::generate().map_err(KeyError::Refused)
            }
        };
        self.cache.get_or_unwrap(stored, unwrap).await
    }

    /// As `get`, from a service that answers when it opens.
    async fn wait_for(&self, stored: &WrappedDataKey) -> Unwrapped {
        let unwrap = || {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let opens = Arc::clone(&self.opens);
            async move {
                opens.notified().await;
                DataKey::generate().map_err(KeyError::Refused)
            }
        };
        self.cache.get_or_unwrap(stored, unwrap).await
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn away() -> KeyError {
    KeyError::Unavailable(KeyCause::new("away"))
}

/// KEY-07.
#[tokio::test(start_paused = true)]
async fn a_key_is_forgotten_after_five_minutes() {
    let (desk, stored) = (Desk::default(), stored(WorkspaceId::generate()));
    desk.cache.put(&stored, key());
    advance(LIFETIME - SECOND).await;
    assert!(desk.get(&stored, Err(away())).await.is_ok());
    assert_eq!(desk.asked(), 0);
    // Using it made it no younger.
    advance(SECOND).await;
    assert!(desk.get(&stored, Err(away())).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_time_is_over_is_dropped_though_nobody_asks() {
    let (cache, key) = (KeyCache::default(), key());
    cache.put(&stored(WorkspaceId::generate()), Arc::clone(&key));
    let seen = Arc::downgrade(&key);
    drop(key);
    cache.forget_expired();
    assert!(seen.upgrade().is_some());
    advance(LIFETIME).await;
    cache.forget_expired();
    assert!(seen.upgrade().is_none());
}

#[tokio::test]
async fn wrapped_bytes_moved_to_another_workspace_find_nothing() {
    let (desk, home) = (Desk::default(), stored(WorkspaceId::generate()));
    desk.cache.put(&home, key());
    let elsewhere = stored(WorkspaceId::generate());
    assert!(desk.get(&elsewhere, Err(away())).await.is_err());
    let wrapped = WrappedKey {
        bytes: vec![2],
        ..home.wrapped.clone()
    };
    let rewrapped = WrappedDataKey { wrapped, ..home };
    assert!(desk.get(&rewrapped, Err(away())).await.is_err());
    assert_eq!(desk.asked(), 2);
}

/// KEY-07: bounded, and the least recently used goes.
#[tokio::test(start_paused = true)]
async fn the_key_that_was_idle_for_longest_makes_room_and_is_dropped() {
    let cache = KeyCache::default();
    let (used, idle) = (stored(WorkspaceId::generate()), stored(WorkspaceId::generate()));
    let idle_key = key();
    let seen = Arc::downgrade(&idle_key);
    cache.put(&used, key());
    advance(SECOND).await;
    cache.put(&idle, idle_key);
    advance(SECOND).await;
    assert!(cache.state().find(&used).is_some());
    for _ in 1..LARGEST_SIZE {
        cache.put(&stored(WorkspaceId::generate()), key());
    }
    assert!(cache.state().find(&used).is_some());
    assert!(cache.state().find(&idle).is_none());
    assert!(seen.upgrade().is_none());
    assert_eq!(cache.state().entries.len(), LARGEST_SIZE);
}

/// KEY-07: one flight.
#[tokio::test]
async fn many_who_want_one_key_ask_once() {
    let (desk, stored) = (Desk::default(), stored(WorkspaceId::generate()));
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let (desk, stored) = (desk.clone(), stored.clone());
        tasks.spawn(async move { desk.wait_for(&stored).await });
    }
    while desk.asked() == 0 {
        tokio::task::yield_now().await;
    }
    desk.opens.notify_one();
    let keys: Vec<Arc<DataKey>> = tasks
        .join_all()
        .await
        .into_iter()
        .map(|key| key.expect("unwrapped"))
        .collect();
    assert_eq!(desk.asked(), 1);
    assert!(keys.iter().all(|key| Arc::ptr_eq(key, &keys[0])));
}

#[tokio::test]
async fn who_asked_first_may_go_and_the_others_still_get_the_key() {
    let (desk, stored) = (Desk::default(), stored(WorkspaceId::generate()));
    let mut first = Box::pin(desk.wait_for(&stored));
    assert!(futures::poll!(&mut first).is_pending());
    let mut second = Box::pin(desk.wait_for(&stored));
    assert!(futures::poll!(&mut second).is_pending());
    drop(first);
    desk.opens.notify_one();
    assert!(second.await.is_ok());
    assert_eq!(desk.asked(), 1);
}

#[tokio::test]
async fn a_question_that_all_gave_up_is_asked_anew() {
    let (desk, stored) = (Desk::default(), stored(WorkspaceId::generate()));
    let mut first = Box::pin(desk.wait_for(&stored));
    assert!(futures::poll!(&mut first).is_pending());
    drop(first);
    assert!(desk.get(&stored, Ok(())).await.is_ok());
    assert_eq!(desk.asked(), 2);
    assert!(desk.cache.state().flights.len() <= 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_be_had_is_not_asked_for_again_at_once() {
    let (desk, stored) = (Desk::default(), stored(WorkspaceId::generate()));
    assert!(desk.get(&stored, Err(away())).await.is_err());
    assert!(desk.get(&stored, Ok(())).await.is_err());
    assert_eq!(desk.asked(), 1);
    advance(HOLD_OFF).await;
    assert!(desk.get(&stored, Ok(())).await.is_ok());
    assert_eq!(desk.asked(), 2);
}

#[tokio::test]
async fn failures_push_no_key_out() {
    let (desk, kept) = (Desk::default(), stored(WorkspaceId::generate()));
    desk.cache.put(&kept, key());
    for _ in 0..2 * LARGEST_SIZE {
        let failed = desk.get(&stored(WorkspaceId::generate()), Err(away())).await;
        assert!(failed.is_err());
    }
    assert!(desk.get(&kept, Err(away())).await.is_ok());
    assert_eq!(desk.cache.state().failures.len(), LARGEST_SIZE);
}

#[tokio::test]
async fn a_key_that_is_destroyed_while_it_is_unwrapped_is_not_kept() {
    let (desk, stored) = (Desk::default(), stored(WorkspaceId::generate()));
    let mut late = Box::pin(desk.wait_for(&stored));
    assert!(futures::poll!(&mut late).is_pending());
    let (workspace, key) = place(&stored);
    desk.cache.destroy(workspace, key);
    desk.opens.notify_one();
    let key = late.await.expect("who asked before it was destroyed gets it");
    assert!(desk.cache.state().entries.is_empty());
    assert_eq!(Arc::strong_count(&key), 1, "nobody else has it");
}

/// Where the bytes of a key lie. Linux lets a process read its own memory as a file, also where nothing lives any more.
struct Bytes {
    memory: File,
    address: u64,
}

impl Bytes {
    fn of(key: &DataKey) -> Self {
        Self {
            memory: File::open("/proc/self/mem").expect("Linux"),
            address: key.expose_bytes().as_ptr().expose_provenance() as u64,
        }
    }

    /// The second half: the allocator writes its own notes into the first bytes of what it gets back.
    fn now(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.memory
            .read_exact_at(&mut bytes, self.address + 16)
            .expect("a mapped page");
        bytes
    }
}

/// KEY-07: whatever takes a key out of the cache overwrites it.
#[tokio::test(start_paused = true)]
async fn a_key_that_leaves_the_cache_is_overwritten() {
    fn time_is_over(cache: &KeyCache, _: &WrappedDataKey) {
        cache.forget_expired();
    }
    fn destroyed(cache: &KeyCache, stored: &WrappedDataKey) {
        cache.destroy(stored.workspace, place(stored).1);
    }
    fn pushed_out(cache: &KeyCache, _: &WrappedDataKey) {
        for _ in 0..LARGEST_SIZE {
            cache.put(&stored(WorkspaceId::generate()), key());
        }
    }
    fn wrapped_anew(cache: &KeyCache, old: &WrappedDataKey) {
        let wrapped = WrappedKey {
            bytes: vec![2],
            ..old.wrapped.clone()
        };
        let anew = WrappedDataKey {
            wrapped,
            ..old.clone()
        };
        assert!(cache.state().find(&anew).is_none());
    }
    type Leave = fn(&KeyCache, &WrappedDataKey);
    let ways: [(Duration, Leave); 4] = [
        (LIFETIME, time_is_over),
        (SECOND, destroyed),
        (SECOND, pushed_out),
        (SECOND, wrapped_anew),
    ];
    for (time, leave) in ways {
        let (cache, stored, key) = (KeyCache::default(), stored(WorkspaceId::generate()), key());
        let bytes = Bytes::of(&key);
        cache.put(&stored, key);
        assert_ne!(bytes.now(), [0; 16]);
        advance(time).await;
        leave(&cache, &stored);
        assert_eq!(bytes.now(), [0; 16]);
    }
}
