//! The power of two choices: of two at random, the one with less to do.

/// Picks one of `count` choices: of two random usable ones that with the smaller `load`. Weights do not count.
pub fn pick<L: PartialOrd>(
    count: usize,
    usable: impl Fn(usize) -> bool,
    load: impl Fn(usize) -> L,
) -> Option<usize> {
    let up = (0..count).filter(|index| usable(*index)).count();
    let nth = |rank: usize| (0..count).filter(|index| usable(*index)).nth(rank);
    match up {
        0 => None,
        1 => nth(0),
        _ => {
            let first = fastrand::usize(..up);
            // Any rank but the first one's.
            let second = (first + 1 + fastrand::usize(..up - 1)) % up;
            // Health may have changed since it was counted.
            match (nth(first), nth(second)) {
                (Some(a), Some(b)) => Some(if load(b) < load(a) { b } else { a }),
                (one, other) => one.or(other).or_else(|| nth(0)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_busy_of_two_is_chosen() {
        for _ in 0..100 {
            assert_eq!(pick(2, |_| true, |index| [5, 4][index]), Some(1));
        }
    }

    #[test]
    fn the_busiest_is_never_chosen() {
        for _ in 0..1000 {
            assert_ne!(pick(5, |_| true, |index| usize::from(index == 3)), Some(3));
        }
    }

    #[test]
    fn every_choice_is_reached_and_only_usable_ones() {
        let mut counts = [0; 5];
        for _ in 0..1000 {
            counts[pick(5, |index| index != 1, |_| 0).unwrap()] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!(counts.iter().enumerate().all(|(index, count)| index == 1 || *count > 150));
        assert_eq!(pick(3, |index| index == 2, |_| 0), Some(2));
        assert_eq!(pick(3, |_| false, |_| 0), None);
        assert_eq!(pick(0, |_| true, |_| 0), None);
    }
}
