//! When certificates are renewed, by a clock that does not jump.

use std::time::{Duration, Instant};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Traefik's table: certificates that last at least so long are renewed so long before their end, spread over so long.
const BY_DURATION: &[(i64, i64, i64)] = &[
    (365 * DAY, 120 * DAY, 7 * DAY),
    (90 * DAY, 30 * DAY, DAY),
    (30 * DAY, 10 * DAY, 12 * HOUR),
    (6 * DAY, 2 * DAY, 2 * HOUR),
    (DAY, 6 * HOUR, 10 * MINUTE),
    (0, 20 * MINUTE, MINUTE),
];

/// When a certificate is renewed, in seconds since 1970: `hours` is `certificatesDuration`. `share`, between 0 and 1 and always
/// the same for one certificate, spreads those of one day.
///
/// A certificate that does not even last as long as the table assumes is renewed after two thirds of its life.
pub(super) fn due(begins: i64, expires: i64, hours: i64, share: f64) -> i64 {
    let wanted = hours.saturating_mul(HOUR);
    let row = BY_DURATION.iter().find(|(least, _, _)| wanted >= *least);
    let (_, before, spread) = row.copied().unwrap_or((0, 20 * MINUTE, MINUTE));
    let life = expires.saturating_sub(begins).max(0);
    if before.saturating_mul(2) > life {
        return begins + life / 3 * 2 + (life as f64 / 24.0 * share) as i64;
    }
    expires - before + (spread as f64 * share) as i64
}

/// A moment in the window that the authority suggests (RFC 9773 section 4.2), but never after the end of the certificate, and
/// never so early that renewals follow each other: a window in the past is also what a mistaken authority answers with.
pub(super) fn in_window(
    (start, end): (i64, i64),
    (begins, expires): (i64, i64),
    share: f64,
) -> i64 {
    let life = expires.saturating_sub(begins).max(0);
    let width = end.saturating_sub(start).max(0);
    let wanted = start.saturating_add((width as f64 * share) as i64);
    let earliest = begins + (life / 3).min(6 * HOUR);
    let latest = expires - (life / 10).min(HOUR);
    wanted.min(latest).max(earliest)
}

/// A number between 0 and 1 that belongs to one certificate, by the hexadecimal digits of its fingerprint.
pub(super) fn share(fingerprint: &str) -> f64 {
    let digits = fingerprint.get(..8).unwrap_or_default();
    f64::from(u32::from_str_radix(digits, 16).unwrap_or_default()) / f64::from(u32::MAX)
}

/// How far the wall clock may run away from the monotonic one between two readings before it counts as a jump.
const JUMP: i64 = 5 * MINUTE;

/// How long a jump is not believed: long enough for a time service to undo it.
const DISBELIEF: Duration = Duration::from_mins(15);

/// The wall clock, except that a jump is not believed at first. A jump of a year, after which every certificate seems to be
/// expired, must not make the gateway order all of them at once.
#[derive(Debug)]
pub(super) struct Clock {
    anchor: (Instant, i64),
    last: (Instant, i64),
    disbelief: Option<Instant>,
}

impl Clock {
    /// Trusts `wall`, in seconds since 1970.
    pub(super) fn new(now: Instant, wall: i64) -> Self {
        Self { anchor: (now, wall), last: (now, wall), disbelief: None }
    }

    /// The time in seconds since 1970, as far as it is believed.
    pub(super) fn read(&mut self, now: Instant, wall: i64) -> i64 {
        let since_last = now.saturating_duration_since(self.last.0).as_secs() as i64;
        if (wall - (self.last.1 + since_last)).abs() > JUMP {
            tracing::warn!(
                "the clock jumped by {} s; renewals go by the old time for {DISBELIEF:?}",
                wall - (self.last.1 + since_last)
            );
            self.disbelief = Some(now + DISBELIEF);
        }
        self.last = (now, wall);
        let expected =
            self.anchor.1 + now.saturating_duration_since(self.anchor.0).as_secs() as i64;
        let is_over = self.disbelief.is_none_or(|until| now >= until);
        if is_over || (wall - expected).abs() <= JUMP {
            self.disbelief = None;
            self.anchor = (now, wall);
            return wall;
        }
        expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninety_days_are_renewed_thirty_days_before_the_end() {
        let (begins, expires) = (1_000_000, 1_000_000 + 90 * DAY);
        assert_eq!(due(begins, expires, 2160, 0.0), expires - 30 * DAY);
        assert_eq!(due(begins, expires, 2160, 1.0), expires - 29 * DAY);
    }

    #[test]
    fn the_configured_duration_scales_the_lead() {
        let lead = |hours: i64| {
            let expires = hours * HOUR;
            expires - due(0, expires, hours, 0.0)
        };
        assert_eq!(lead(8760), 120 * DAY);
        assert_eq!(lead(720), 10 * DAY);
        assert_eq!(lead(144), 2 * DAY);
        assert_eq!(lead(24), 6 * HOUR);
        assert_eq!(lead(1), 20 * MINUTE);
    }

    #[test]
    fn a_shorter_life_than_configured_does_not_mean_one_order_after_the_other() {
        // Six days where 90 are configured: the table would renew at once, for ever.
        let expires = 6 * DAY;
        let due = due(0, expires, 2160, 0.5);
        assert!((4 * DAY..5 * DAY).contains(&due), "{due}");
    }

    #[test]
    fn the_window_of_the_authority_is_kept() {
        let life = (20 * DAY, 110 * DAY);
        assert_eq!(in_window((80 * DAY, 82 * DAY), life, 0.5), 81 * DAY);
        assert_eq!(in_window((109 * DAY, 112 * DAY), life, 1.0), 110 * DAY - HOUR);
        // A broken one is no panic.
        assert_eq!(in_window((85 * DAY, DAY), life, 0.9), 85 * DAY);
        assert_eq!(in_window((i64::MAX, i64::MAX), life, 0.9), 110 * DAY - HOUR);
    }

    #[test]
    fn a_window_in_the_past_renews_soon_but_not_time_and_again() {
        let life = (20 * DAY, 110 * DAY);
        assert_eq!(in_window((DAY, 2 * DAY), life, 0.9), 20 * DAY + 6 * HOUR);
        assert_eq!(in_window((-DAY, 0), (0, 90), 0.0), 30);
    }

    #[test]
    fn shares_are_between_zero_and_one() {
        assert!(share("00000000ffff") < 0.001);
        assert!(share("ffffffff0000") > 0.999);
        assert!(share("").abs() < f64::EPSILON);
    }

    #[test]
    fn a_jump_is_not_believed_at_first() {
        let start = Instant::now();
        let mut clock = Clock::new(start, 1_000_000);
        assert_eq!(clock.read(start + Duration::from_secs(10), 1_000_010), 1_000_010);
        let year = 365 * DAY;
        let jumped = clock.read(start + Duration::from_secs(20), 1_000_020 + year);
        assert_eq!(jumped, 1_000_020);
        // Corrected: the true time counts at once.
        assert_eq!(clock.read(start + Duration::from_secs(30), 1_000_030), 1_000_030);
    }

    #[test]
    fn a_jump_that_stays_is_believed_in_the_end() {
        let start = Instant::now();
        let mut clock = Clock::new(start, 1_000_000);
        let year = 365 * DAY;
        for seconds in (10..900).step_by(10) {
            let read =
                clock.read(start + Duration::from_secs(seconds), 1_000_000 + year + seconds as i64);
            assert_eq!(read, 1_000_000 + seconds as i64);
        }
        let read = clock.read(start + Duration::from_secs(920), 1_000_920 + year);
        assert_eq!(read, 1_000_920 + year);
    }
}
