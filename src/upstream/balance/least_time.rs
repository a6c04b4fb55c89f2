//! Least time: the choice that answers soonest for what it has to do, by its last answers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use super::wrr::Wrr;

/// Answers that count.
const SAMPLES: usize = 100;

/// How long the last 100 answers took to begin.
#[derive(Debug, Default)]
pub struct Samples {
    last: Mutex<Ring>,
    /// The mean in milliseconds, as the bits of an `f64`.
    mean: AtomicU64,
}

#[derive(Debug, Default)]
struct Ring {
    microseconds: Vec<u64>,
    next: usize,
    sum: u64,
}

impl Samples {
    /// Adds one.
    pub fn add(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX >> 8).min(u64::MAX >> 8);
        let mut ring = self.last.lock();
        let next = ring.next;
        match ring.microseconds.get_mut(next) {
            Some(oldest) => {
                let oldest = std::mem::replace(oldest, took);
                ring.sum -= oldest;
            }
            None => ring.microseconds.push(took),
        }
        ring.sum += took;
        ring.next = (next + 1) % SAMPLES;
        let mean = ring.sum as f64 / ring.microseconds.len() as f64 / 1000.0;
        self.mean.store(mean.to_bits(), Relaxed);
    }

    /// The mean in milliseconds; 0 without samples, so that a new choice is tried soon.
    pub fn mean(&self) -> f64 {
        f64::from_bits(self.mean.load(Relaxed))
    }
}

/// The score of a choice; the lowest wins. Weights are above 0.
pub fn score(mean: f64, in_flight: usize, weight: f64) -> f64 {
    mean * (1.0 + in_flight as f64) / weight
}

/// Picks the usable choice with the lowest score; `ties` decides between equal ones.
pub fn pick(
    count: usize,
    usable: impl Fn(usize) -> bool,
    score: impl Fn(usize) -> f64,
    ties: &Wrr,
) -> Option<usize> {
    let (mut best, mut lowest, mut tied) = (None, f64::INFINITY, false);
    for index in (0..count).filter(|index| usable(*index)) {
        let score = score(index);
        if score < lowest || best.is_none() {
            (best, lowest, tied) = (Some(index), score, false);
        } else if score <= lowest {
            tied = true;
        }
    }
    if tied { ties.pick(|index| usable(index) && score(index) <= lowest).or(best) } else { best }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_hundred_answers_count() {
        let samples = Samples::default();
        assert!(samples.mean() <= 0.0);
        for _ in 0..50 {
            samples.add(Duration::from_secs(9));
        }
        for _ in 0..100 {
            samples.add(Duration::from_millis(20));
        }
        assert!((samples.mean() - 20.0).abs() < 1e-9);
        samples.add(Duration::from_millis(120));
        assert!((samples.mean() - 21.0).abs() < 1e-9);
    }

    #[test]
    fn the_lowest_score_wins() {
        let scores = [score(10.0, 1, 1.0), score(30.0, 0, 2.0), score(18.0, 0, 1.0)];
        let ties = Wrr::new(&[1.0; 3]);
        assert_eq!(pick(3, |_| true, |index| scores[index], &ties), Some(1));
        assert_eq!(pick(3, |index| index != 1, |index| scores[index], &ties), Some(2));
        assert_eq!(pick(3, |_| false, |index| scores[index], &ties), None);
    }

    #[test]
    fn equal_scores_take_turns_by_weight() {
        let ties = Wrr::new(&[1.0, 3.0, 1.0]);
        let mut counts = [0; 3];
        for _ in 0..400 {
            let score = |index: usize| f64::from(u8::from(index == 2));
            counts[pick(3, |_| true, score, &ties).unwrap()] += 1;
        }
        assert_eq!(counts, [100, 300, 0]);
    }
}
