//! `Window`: counts of the recent past, for all workers together. Counting costs an atomic or two, no lock and no memory.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counters over a span of time that moves along in slots: what is older than the span is forgotten a slot at a time.
///
/// Whoever counts in the very instant in which a slot turns may be lost, so nothing may depend on a single count.
#[derive(Debug)]
pub struct Window {
    /// How long a slot lasts, in nanoseconds.
    width: u64,
    /// For each slot the number of the turn that its counts are of; 0 = none yet.
    turns: Box<[AtomicU64]>,
    /// The counters of each slot, slot after slot.
    counts: Box<[AtomicU32]>,
    counters: usize,
}

impl Window {
    /// So many counters over `slots` slots of `width` each; both at least 1.
    pub fn new(slots: usize, width: Duration, counters: usize) -> Self {
        let slots = slots.max(1);
        Self {
            width: u64::try_from(width.as_nanos()).unwrap_or(u64::MAX).max(1),
            turns: (0..slots).map(|_| AtomicU64::new(0)).collect(),
            counts: (0..slots * counters).map(|_| AtomicU32::new(0)).collect(),
            counters,
        }
    }

    /// The counters of the slot that `now` lies in: nanoseconds since a beginning that is always the same.
    pub fn slot(&self, now: u64) -> &[AtomicU32] {
        let turn = self.turn(now);
        let place = (turn % self.turns.len() as u64) as usize;
        let begin = place * self.counters;
        let counters = self.counts.get(begin..begin + self.counters).unwrap_or_default();
        if let Some(last) = self.turns.get(place) {
            let seen = last.load(Relaxed);
            if seen < turn && last.compare_exchange(seen, turn, Relaxed, Relaxed).is_ok() {
                for counter in counters {
                    counter.store(0, Relaxed);
                }
            }
        }
        counters
    }

    /// Adds 1 to a counter.
    pub fn add(&self, now: u64, counter: usize) {
        if let Some(counter) = self.slot(now).get(counter) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// What a counter came to within the span before `now`.
    pub fn sum(&self, now: u64, counter: usize) -> u64 {
        let slots = self.recent(now).filter_map(|slot| slot.get(counter));
        slots.map(|counter| u64::from(counter.load(Relaxed))).sum()
    }

    /// The counters of each slot within the span before `now`.
    pub fn recent(&self, now: u64) -> impl Iterator<Item = &[AtomicU32]> {
        let (turn, slots) = (self.turn(now), self.turns.len() as u64);
        let turns = self.turns.iter().enumerate();
        turns.filter_map(move |(place, last)| {
            let last = last.load(Relaxed);
            let is_recent = last > 0 && last <= turn && turn - last < slots;
            is_recent.then(|| self.counts.get(place * self.counters..)?.get(..self.counters))?
        })
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for turn in &self.turns {
            turn.store(0, Relaxed);
        }
    }

    /// Counted from 1.
    fn turn(&self, now: u64) -> u64 {
        now / self.width + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn counts_are_forgotten_a_slot_at_a_time() {
        let window = Window::new(10, Duration::from_secs(1), 2);
        for second in 0..10 {
            window.add(second * SECOND, 0);
            window.add(second * SECOND + SECOND / 2, 1);
        }
        assert_eq!((window.sum(9 * SECOND, 0), window.sum(9 * SECOND, 1)), (10, 10));
        assert_eq!(window.sum(10 * SECOND, 0), 9);
        assert_eq!(window.sum(18 * SECOND, 0), 1);
        assert_eq!(window.sum(19 * SECOND, 0), 0);
        window.add(100 * SECOND, 0);
        assert_eq!((window.sum(100 * SECOND, 0), window.sum(100 * SECOND, 1)), (1, 0));
    }

    #[test]
    fn cleared_it_begins_anew() {
        let window = Window::new(10, Duration::from_secs(1), 1);
        window.add(5 * SECOND, 0);
        window.clear();
        assert_eq!(window.sum(5 * SECOND, 0), 0);
        window.add(5 * SECOND, 0);
        assert_eq!(window.sum(5 * SECOND, 0), 1);
    }

    #[test]
    fn threads_lose_next_to_nothing() {
        let window = Window::new(10, Duration::from_millis(1), 1);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..8_000).for_each(|step| window.add(step * 1000, 0)));
            }
        });
        let counted = window.sum(8_000 * 1000, 0);
        assert!((31_000..=32_000).contains(&counted), "{counted}");
    }
}
