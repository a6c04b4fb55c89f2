//! When a responder is asked again, and until when an answer is shown. All times are seconds since 1970.

use super::answer::Answer;

/// Pauses after the first, second, … failure in a row; the last one repeats.
const PAUSES: &[i64] = &[15, 60, 300, 900, 3600];

/// However short answers hold, nobody is asked more often.
const SHORTEST: i64 = 5;

/// No answer is trusted to be the newest for longer than half of this.
const LONGEST: i64 = 14 * 24 * 3600;

/// When to ask for a newer answer: at half of its life, or of what is left of it for one that was made in advance. `jitter`
/// between 0 and 1 spreads those that were asked for at once.
pub(super) fn renewal(answer: &Answer, now: i64, jitter: f64) -> i64 {
    let ends = answer.ends.min(now.saturating_add(LONGEST));
    let half = answer.begins + (ends - answer.begins) / 2;
    let due = if half > now { half } else { now + (ends - now) / 2 };
    let spread = ((ends - due) as f64 * jitter / 5.0) as i64;
    (due + spread).max(now + SHORTEST)
}

/// When to ask again after so many failures in a row.
pub(super) fn retry(failures: u32, now: i64, jitter: f64) -> i64 {
    let step = (failures.max(1) as usize - 1).min(PAUSES.len() - 1);
    let pause = PAUSES.get(step).copied().unwrap_or(3600);
    now + pause + (pause as f64 * jitter / 4.0) as i64
}

/// Until when clients get the answer: not to its very end, as their clocks differ.
pub(super) fn shown_until(answer: &Answer) -> i64 {
    let life = answer.ends - answer.begins;
    answer.ends - (life / 10).clamp(0, 300)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::ocsp::answer::Verdict;

    const DAY: i64 = 24 * 3600;

    fn answer(begins: i64, ends: i64) -> Answer {
        Answer { verdict: Verdict::Good, begins, ends, bytes: Vec::new() }
    }

    #[test]
    fn answers_are_renewed_at_half_of_their_life_and_never_at_once_together() {
        let fresh = answer(0, 4 * DAY);
        assert_eq!(renewal(&fresh, 0, 0.0), 2 * DAY);
        assert_eq!(renewal(&fresh, 0, 1.0), 2 * DAY + 2 * DAY / 5);
        // Made in advance: three of four days are over.
        assert_eq!(renewal(&fresh, 3 * DAY, 0.0), 3 * DAY + DAY / 2);
        assert!(renewal(&fresh, 3 * DAY, 1.0) < shown_until(&fresh));
    }

    #[test]
    fn however_answers_hold_the_next_question_is_neither_at_once_nor_never() {
        assert_eq!(renewal(&answer(0, 1), 0, 0.0), SHORTEST);
        assert_eq!(renewal(&answer(0, i64::MAX), 0, 0.0), LONGEST / 2);
    }

    #[test]
    fn pauses_grow_up_to_an_hour() {
        assert_eq!(retry(1, 0, 0.0), 15);
        assert_eq!(retry(2, 0, 0.0), 60);
        assert_eq!(retry(u32::MAX, 0, 0.0), 3600);
        assert_eq!(retry(u32::MAX, 0, 1.0), 4500);
    }

    #[test]
    fn no_answer_is_shown_to_its_very_end() {
        assert_eq!(shown_until(&answer(0, 60)), 54);
        assert_eq!(shown_until(&answer(0, 4 * DAY)), 4 * DAY - 300);
    }
}
