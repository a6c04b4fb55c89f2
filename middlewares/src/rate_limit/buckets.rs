//! `Buckets`: one token bucket for each source, for all workers together and bounded in number.

use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::source::SourceKey;

/// How many sources are remembered at most.
const MOST_SOURCES: usize = 65_536;
const SHARDS: usize = 16;
/// Two generations in each shard.
const MOST_IN_GENERATION: usize = MOST_SOURCES / SHARDS / 2;

/// What a request may do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Turn {
    /// Go on.
    Now,
    /// Go on after a short wait; its token is taken.
    After(Duration),
    /// Not go on; a token would be there after this time.
    Refused(Duration),
}

/// The buckets of all sources.
pub(super) struct Buckets {
    limit: Limit,
    start: Instant,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

/// What holds for each bucket.
#[derive(Clone, Copy)]
struct Limit {
    /// Nanoseconds until the next token.
    interval: f64,
    burst: f64,
    /// In nanoseconds.
    longest_wait: f64,
    /// After so many nanoseconds every bucket is full again.
    refill: u64,
}

/// A token bucket. Below zero it owes tokens to requests that wait.
#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    /// When `tokens` was right, in nanoseconds since the start.
    at: u64,
}

type Generation = HashMap<SourceKey, Bucket, RandomState>;

/// Buckets in two generations: the old one is dropped when the young one is full or a refill time has passed, which
/// bounds the number without ever searching for the bucket to forget. What is used becomes young again.
///
/// Traefik: forgets a bucket after two seconds at rates above one, which hands out a new burst each time; here it is
/// forgotten when it would be full.
struct Shard {
    young: Generation,
    old: Generation,
    turned: u64,
}

impl Buckets {
    /// Buckets of `burst` tokens that get `rate` tokens in a second; requests wait for a token up to `longest_wait`.
    pub(super) fn new(rate: f64, burst: f64, longest_wait: Duration) -> Self {
        let interval = 1e9 / rate;
        let longest_wait = longest_wait.as_nanos() as f64;
        let refill = (burst * interval + longest_wait) as u64;
        let hasher = RandomState::new();
        let shards = std::array::from_fn(|_| Mutex::new(Shard::new(&hasher)));
        let limit = Limit { interval, burst, longest_wait, refill };
        Self { limit, start: Instant::now(), hasher, shards }
    }

    /// Takes a token from the bucket of a source.
    pub(super) fn take(&self, key: SourceKey) -> Turn {
        let now = self.start.elapsed().as_nanos() as u64;
        // The high bits, since the table inside the shard uses others.
        let shard = (self.hasher.hash_one(key) >> 32) as usize % SHARDS;
        self.shards[shard].lock().take(key, now, self.limit)
    }

    #[cfg(test)]
    pub(super) fn sources(&self) -> usize {
        let both = |shard: &Shard| shard.young.len() + shard.old.len();
        self.shards.iter().map(|shard| both(&shard.lock())).sum()
    }
}

impl Shard {
    fn new(hasher: &RandomState) -> Self {
        let empty = || HashMap::with_hasher(hasher.clone());
        Self { young: empty(), old: empty(), turned: 0 }
    }

    fn take(&mut self, key: SourceKey, now: u64, limit: Limit) -> Turn {
        if now.saturating_sub(self.turned) > limit.refill {
            self.turn(now);
        }
        if let Some(bucket) = self.young.get_mut(&key) {
            return bucket.take(now, limit);
        }
        let mut bucket = self.old.remove(&key).unwrap_or(Bucket { tokens: limit.burst, at: now });
        let turn = bucket.take(now, limit);
        if self.young.len() >= MOST_IN_GENERATION {
            self.turn(now);
        }
        self.young.insert(key, bucket);
        turn
    }

    fn turn(&mut self, now: u64) {
        let empty = HashMap::with_hasher(self.young.hasher().clone());
        self.old = std::mem::replace(&mut self.young, empty);
        self.turned = now;
    }
}

impl Bucket {
    fn take(&mut self, now: u64, limit: Limit) -> Turn {
        // Another worker may have read a later clock before us.
        let passed = now.saturating_sub(self.at) as f64;
        let tokens = (self.tokens + passed / limit.interval).min(limit.burst);
        self.at = self.at.max(now);
        self.tokens = tokens;
        let missing = 1.0 - tokens;
        if missing <= 0.0 {
            self.tokens = tokens - 1.0;
            return Turn::Now;
        }
        let wait = missing * limit.interval;
        let span = Duration::from_nanos(wait as u64);
        if wait > limit.longest_wait {
            return Turn::Refused(span);
        }
        self.tokens = tokens - 1.0;
        Turn::After(span)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn limit(rate: f64, burst: f64) -> Limit {
        Buckets::new(rate, burst, super::super::longest_wait(rate)).limit
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let limit = limit(1.0, 3.0);
        let mut bucket = Bucket { tokens: limit.burst, at: 0 };
        let turns: Vec<_> = (0..4).map(|_| bucket.take(0, limit)).collect();
        assert_eq!(turns[..3], [Turn::Now; 3]);
        assert_eq!(turns[3], Turn::Refused(Duration::from_secs(1)));
        assert_eq!(bucket.take(SECOND / 2, limit), Turn::After(Duration::from_millis(500)));
        assert_eq!(bucket.take(SECOND, limit), Turn::Refused(Duration::from_secs(1)));
        assert_eq!(bucket.take(2 * SECOND, limit), Turn::Now);
        assert_eq!(bucket.take(100 * SECOND, limit), Turn::Now);
    }

    #[test]
    fn refusals_take_nothing() {
        let limit = limit(0.1, 1.0);
        let mut bucket = Bucket { tokens: limit.burst, at: 0 };
        assert_eq!(bucket.take(0, limit), Turn::Now);
        for _ in 0..100 {
            assert_eq!(bucket.take(0, limit), Turn::Refused(Duration::from_secs(10)));
        }
        assert_eq!(bucket.take(10 * SECOND, limit), Turn::Now);
    }

    #[test]
    fn the_number_of_sources_is_bounded_and_the_busy_one_stays() {
        let buckets = Buckets::new(1e-3, 1.0, Duration::from_millis(500));
        assert_eq!(buckets.take(0), Turn::Now);
        for key in 1..200_000 {
            buckets.take(key);
            if key % 100 == 0 {
                assert!(matches!(buckets.take(0), Turn::Refused(_)), "{key}");
            }
        }
        assert!((10_000..=MOST_SOURCES).contains(&buckets.sources()), "{}", buckets.sources());
    }

    #[tokio::test(start_paused = true)]
    async fn sources_at_rest_are_forgotten() {
        let buckets = Buckets::new(100.0, 10.0, Duration::from_millis(5));
        for key in 0..1000 {
            buckets.take(key);
        }
        for _ in 0..2 {
            tokio::time::advance(Duration::from_millis(200)).await;
            (0..SHARDS as u128 * 20).for_each(|key| _ = buckets.take(1_000_000 + key));
        }
        assert!(buckets.sources() <= SHARDS * 20, "{}", buckets.sources());
    }

    #[test]
    fn threads_share_one_bucket() {
        let buckets = Buckets::new(1e-3, 1000.0, Duration::ZERO);
        let passed: usize = std::thread::scope(|scope| {
            let count = || (0..1000).filter(|_| buckets.take(7) == Turn::Now).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 1000);
    }

    proptest! {
        #[test]
        fn no_more_pass_than_burst_and_rate_allow(
            rate in 0.1..1000.0_f64,
            burst in 1..50_u32,
            pauses in proptest::collection::vec(0..SECOND, 1..200),
        ) {
            let limit = limit(rate, f64::from(burst));
            let mut bucket = Bucket { tokens: limit.burst, at: 0 };
            let (mut now, mut passed) = (0, 0.0);
            for pause in pauses {
                now += pause;
                match bucket.take(now, limit) {
                    Turn::Now | Turn::After(_) => passed += 1.0,
                    Turn::Refused(_) => {}
                }
            }
            // Requests that wait have taken tokens of the time to come.
            let span = now as f64 + limit.longest_wait;
            prop_assert!(passed <= f64::from(burst) + span / limit.interval + 1e-6);
        }
    }
}
