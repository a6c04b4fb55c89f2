//! Least request: the choice with the fewest requests for its weight.

/// The score of a choice; the lowest wins, and equal ones take turns. Weights are above 0.
pub fn score(in_flight: usize, weight: f64) -> f64 {
    (1.0 + in_flight as f64) / weight
}

#[cfg(test)]
mod tests {
    use super::super::{least_time, wrr::Wrr};
    use super::*;

    #[test]
    fn requests_that_stay_are_spread_by_weight() {
        let weights = [1.0, 3.0, 2.0];
        let turns = Wrr::new(&weights);
        let mut running = [0_usize; 3];
        for _ in 0..600 {
            let score = |index: usize| score(running[index], weights[index]);
            running[least_time::pick(3, |_| true, score, &turns).unwrap()] += 1;
        }
        assert_eq!(running, [100, 300, 200]);
    }

    #[test]
    fn idle_choices_take_turns() {
        let turns = Wrr::new(&[1.0; 4]);
        let mut counts = [0; 4];
        for _ in 0..400 {
            counts[least_time::pick(4, |_| true, |_| score(0, 1.0), &turns).unwrap()] += 1;
        }
        assert_eq!(counts, [100; 4]);
    }
}
