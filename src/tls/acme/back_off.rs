//! How long is waited after a failed order.

use std::time::{Duration, Instant};

/// Pauses after the first, second, … failure in a row; the last one repeats. At most five orders an hour come of it, which is
/// what public authorities allow a name whose proofs fail.
const PAUSES: &[Duration] = &[
    Duration::from_secs(15),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_mins(50),
    Duration::from_hours(3),
    Duration::from_hours(6),
];

/// The pause where the authority says that there were too many orders, but not until when.
const LIMITED: Duration = Duration::from_hours(1);

/// However long the authority wants, it is asked again after this.
const LONGEST: Duration = Duration::from_hours(24);

/// What is known of failed orders for one set of names.
#[derive(Clone, Debug)]
pub(super) struct BackOff {
    /// Failures in a row.
    pub(super) failures: u32,
    /// What the last one was.
    pub(super) reason: String,
    /// Nothing is tried before.
    pub(super) until: Instant,
}

/// What the authority asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing.
    Nothing,
    /// To come back after a time (RFC 9110 section 10.2.3).
    Wait(Duration),
    /// To order less.
    Less,
}

impl BackOff {
    /// The back-off after another failure; `before` is the one so far, `jitter` between 0 and 1.
    pub(super) fn after(
        before: Option<&Self>,
        reason: String,
        wish: Wish,
        (now, jitter): (Instant, f64),
    ) -> Self {
        let failures = before.map_or(0, |before| before.failures).saturating_add(1);
        let step = (failures as usize).saturating_sub(1).min(PAUSES.len() - 1);
        let own = PAUSES.get(step).copied().unwrap_or(LIMITED).mul_f64(1.0 + jitter / 4.0);
        let wanted = match wish {
            Wish::Nothing => Duration::ZERO,
            Wish::Wait(wanted) => wanted.min(LONGEST),
            Wish::Less => LIMITED.mul_f64(1.0 + jitter / 4.0),
        };
        Self { failures, reason, until: now + own.max(wanted) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_five_orders_an_hour() {
        let start = Instant::now();
        let (mut now, mut back_off, mut orders) = (start, None, 1);
        while now < start + Duration::from_hours(1) {
            let next = BackOff::after(back_off.as_ref(), String::new(), Wish::Nothing, (now, 0.0));
            now = next.until;
            orders += usize::from(now < start + Duration::from_hours(1));
            back_off = Some(next);
        }
        assert!(orders <= 5, "{orders}");
    }

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let now = Instant::now();
        let mut back_off = None;
        for _ in 0..1000 {
            back_off =
                Some(BackOff::after(back_off.as_ref(), String::new(), Wish::Nothing, (now, 1.0)));
        }
        let back_off = back_off.unwrap();
        assert_eq!(back_off.failures, 1000);
        assert!(back_off.until - now <= Duration::from_hours(8));
    }

    #[test]
    fn the_authority_may_ask_for_more_time_within_reason() {
        let now = Instant::now();
        let pause = |wish| BackOff::after(None, String::new(), wish, (now, 0.0)).until - now;
        assert_eq!(pause(Wish::Wait(Duration::from_mins(7))), Duration::from_mins(7));
        assert_eq!(pause(Wish::Wait(Duration::from_secs(1))), Duration::from_secs(15));
        assert_eq!(pause(Wish::Wait(Duration::from_hours(1000))), LONGEST);
        assert_eq!(pause(Wish::Less), LIMITED);
    }
}
