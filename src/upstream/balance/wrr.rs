//! `Wrr`: weighted round robin, earliest deadline first.
//!
//! Each choice is due again one step of 1/weight after it was last due; the one due first is next. Equal weights need no
//! queue: a counter goes round. The position belongs to the process: workers share it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

/// Weighted round robin over choices known by their index.
#[derive(Debug)]
pub struct Wrr(Turns);

#[derive(Debug)]
enum Turns {
    /// Equal weights.
    Even { next: AtomicUsize, count: usize },
    /// Different weights.
    Weighted(Mutex<Queue>),
}

/// The choices by when they are due.
#[derive(Debug, Default)]
struct Queue {
    due: BinaryHeap<Due>,
    /// The deadline of the last choice.
    now: f64,
    /// Choices that were due and not usable, for the length of one pick.
    skipped: Vec<Due>,
}

#[derive(Clone, Copy, Debug)]
struct Due {
    deadline: f64,
    /// Breaks ties; random, so that not every start begins with the same choice.
    tie: u32,
    index: usize,
    step: f64,
}

/// Deadlines begin anew from 0 beyond this, long before they lose precision.
const REBASE: f64 = 1e6;

impl Wrr {
    /// Begins at a random place. Weights are above 0.
    pub fn new(weights: &[f64]) -> Self {
        let count = weights.len();
        if weights.windows(2).all(|pair| matches!(pair, [a, b] if a.total_cmp(b).is_eq())) {
            let start = if count == 0 { 0 } else { fastrand::usize(..count) };
            return Self(Turns::Even { next: AtomicUsize::new(start), count });
        }
        let due = weights.iter().enumerate().map(|(index, weight)| {
            let step = 1.0 / weight;
            Due { deadline: step, tie: fastrand::u32(..), index, step }
        });
        let queue = Queue { due: due.collect(), ..Queue::default() };
        Self(Turns::Weighted(Mutex::new(queue)))
    }

    /// Goes on where `previous` is. `earlier` tells for each choice which index it had there.
    pub fn after(previous: &Self, weights: &[f64], earlier: &[Option<usize>]) -> Self {
        let mut fresh = Self::new(weights);
        match (&mut fresh.0, &previous.0) {
            (Turns::Even { next, .. }, Turns::Even { next: old, count }) if *count > 0 => {
                let old = old.load(Relaxed) % count;
                let wait = |index: &usize| {
                    let earlier = earlier.get(*index).copied().flatten();
                    earlier.map_or(usize::MAX, |earlier| (earlier + count - old) % count)
                };
                let first = (0..weights.len()).min_by_key(wait);
                next.store(first.unwrap_or_default(), Relaxed);
            }
            (Turns::Weighted(queue), Turns::Weighted(old)) => {
                queue.get_mut().take_over(&old.lock(), earlier);
            }
            (Turns::Even { .. } | Turns::Weighted(_), _) => {}
        }
        fresh
    }

    /// The next choice that is usable.
    pub fn pick(&self, usable: impl Fn(usize) -> bool) -> Option<usize> {
        match &self.0 {
            Turns::Even { next, count } => {
                // The turn of a choice that is skipped is used up, so that its neighbour does not get a double share.
                // Other workers take turns meanwhile, hence more tries than choices.
                for _ in 0..count * 2 {
                    let index = next.fetch_add(1, Relaxed) % count;
                    if usable(index) {
                        return Some(index);
                    }
                }
                (0..*count).find(|index| usable(*index))
            }
            Turns::Weighted(queue) => queue.lock().pick(usable),
        }
    }
}

impl Queue {
    fn pick(&mut self, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let mut found = None;
        while let Some(mut due) = self.due.pop() {
            if usable(due.index) {
                self.now = due.deadline;
                due.deadline += due.step;
                self.due.push(due);
                found = Some(due.index);
                break;
            }
            self.skipped.push(due);
        }
        // What cannot be used now does not save up turns for later.
        let now = self.now;
        for mut due in self.skipped.drain(..) {
            due.deadline = due.deadline.max(now + due.step);
            self.due.push(due);
        }
        if self.now > REBASE {
            self.rebase();
        }
        found
    }

    fn rebase(&mut self) {
        let now = std::mem::take(&mut self.now);
        let due = std::mem::take(&mut self.due).into_iter();
        self.due = due.map(|due| Due { deadline: due.deadline - now, ..due }).collect();
    }

    fn take_over(&mut self, old: &Self, earlier: &[Option<usize>]) {
        let due = std::mem::take(&mut self.due).into_iter().map(|due| {
            let earlier = earlier.get(due.index).copied().flatten();
            let known = old.due.iter().find(|old| Some(old.index) == earlier);
            // With another weight a turn is at most one step away.
            let latest = old.now + due.step;
            let deadline = known.map_or(latest, |known| known.deadline.min(latest));
            Due { deadline, ..due }
        });
        self.due = due.collect();
        self.now = old.now;
    }
}

impl Ord for Due {
    /// The greatest is due first, as the heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        other.deadline.total_cmp(&self.deadline).then(other.tie.cmp(&self.tie))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn counts(wrr: &Wrr, choices: usize, picks: usize) -> Vec<usize> {
        let mut counts = vec![0; choices];
        for _ in 0..picks {
            counts[wrr.pick(|_| true).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn no_choice_is_usable() {
        assert_eq!(Wrr::new(&[]).pick(|_| true), None);
        assert_eq!(Wrr::new(&[1.0, 1.0]).pick(|_| false), None);
        assert_eq!(Wrr::new(&[1.0, 2.0]).pick(|_| false), None);
    }

    #[test]
    fn a_skipped_choice_leaves_equal_shares_to_the_others() {
        for weights in [[1.0; 4], [2.0, 2.0, 9.0, 2.0]] {
            let wrr = Wrr::new(&weights);
            let mut counts = [0; 4];
            for _ in 0..300 {
                counts[wrr.pick(|index| index != 2).unwrap()] += 1;
            }
            assert_eq!(counts, [100, 100, 0, 100]);
        }
    }

    #[test]
    fn a_choice_that_was_away_does_not_catch_up() {
        let wrr = Wrr::new(&[1.0, 1.0, 2.0]);
        for _ in 0..1000 {
            wrr.pick(|index| index != 2).unwrap();
        }
        let counts = counts(&wrr, 3, 40);
        assert!(counts[2].abs_diff(20) <= 1, "{counts:?}");
    }

    #[test]
    fn a_successor_goes_on_with_the_next_choice() {
        let old = Wrr::new(&[1.0; 4]);
        while old.pick(|_| true) != Some(1) {}
        // The third choice is gone, a new one comes first.
        let new = Wrr::after(&old, &[1.0; 4], &[None, Some(0), Some(1), Some(3)]);
        assert_eq!(new.pick(|_| true), Some(3));
    }

    #[test]
    fn a_successor_with_weights_keeps_what_was_due() {
        let old = Wrr::new(&[1.0, 10.0]);
        while old.pick(|_| true) != Some(0) {}
        let new = Wrr::after(&old, &[1.0, 10.0], &[Some(0), Some(1)]);
        assert!((0..9).all(|_| new.pick(|_| true) == Some(1)));
    }

    #[test]
    fn deadlines_can_begin_anew() {
        let wrr = Wrr::new(&[0.001, 0.002]);
        let counts = counts(&wrr, 2, 30_000);
        assert!(counts[0].abs_diff(10_000) <= 1, "{counts:?}");
    }

    proptest! {
        #[test]
        fn every_window_has_exact_shares(
            weights in proptest::collection::vec(1_u32..20, 1..8),
            skip in 0_usize..100,
        ) {
            let total: u32 = weights.iter().sum();
            let floats: Vec<f64> = weights.iter().map(|weight| f64::from(*weight)).collect();
            let wrr = Wrr::new(&floats);
            for _ in 0..skip {
                wrr.pick(|_| true);
            }
            let counts = counts(&wrr, weights.len(), total as usize);
            for (count, weight) in counts.iter().zip(&weights) {
                prop_assert!(count.abs_diff(*weight as usize) <= 1, "{counts:?} {weights:?}");
            }
        }

        #[test]
        fn shares_hold_for_all_workers_together(
            weights in proptest::collection::vec(1_u32..5, 2..5),
            workers in prop_oneof![Just(1_u32), Just(3)],
        ) {
            let total: u32 = weights.iter().sum();
            let floats: Vec<f64> = weights.iter().map(|weight| f64::from(*weight)).collect();
            let wrr = Arc::new(Wrr::new(&floats));
            let rounds = 40;
            let threads: Vec<_> = (0..workers).map(|_| {
                let (wrr, picks) = (Arc::clone(&wrr), (total * rounds) as usize);
                let choices = weights.len();
                std::thread::spawn(move || counts(&wrr, choices, picks))
            }).collect();
            let mut sums = vec![0; weights.len()];
            for thread in threads {
                for (sum, count) in sums.iter_mut().zip(thread.join().unwrap()) {
                    *sum += count;
                }
            }
            for (sum, weight) in sums.iter().zip(&weights) {
                prop_assert!(sum.abs_diff((weight * rounds * workers) as usize) <= 1, "{sums:?}");
            }
        }
    }
}
