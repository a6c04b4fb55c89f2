//! Times of day as text, made once a second.

use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The text of one second.
#[derive(Debug, Default)]
pub(super) struct Stamp {
    second: Option<u64>,
    nanoseconds: u32,
    /// `22/Nov/2026:15:24:47 +0000`.
    pub(super) common: String,
    /// The same in the zone of the machine.
    pub(super) common_local: String,
    /// `2026-11-22T15:24:43`.
    utc: String,
    local: String,
    /// `Z` or `+01:00`.
    offset: String,
}

impl Stamp {
    /// Sets the time, which is given since 1970.
    pub(super) fn set(&mut self, time: Duration) {
        self.nanoseconds = time.subsec_nanos();
        if self.second == Some(time.as_secs()) {
            return;
        }
        self.second = Some(time.as_secs());
        let moment = Timestamp::from_second(time.as_secs() as i64).unwrap_or_default();
        let (utc, local) = (moment.to_zoned(TimeZone::UTC), moment.to_zoned(TimeZone::system()));
        self.common = utc.strftime("%d/%b/%Y:%H:%M:%S %z").to_string();
        self.common_local = local.strftime("%d/%b/%Y:%H:%M:%S %z").to_string();
        self.utc = utc.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        self.local = local.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        self.offset = match local.offset().seconds() {
            0 => "Z".to_owned(),
            _ => local.strftime("%:z").to_string(),
        };
    }

    /// RFC 3339 in UTC to the nanosecond.
    pub(super) fn utc(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(self.utc.as_bytes());
        self.fraction(buffer);
        buffer.push(b'Z');
    }

    /// RFC 3339 in the zone of the machine to the nanosecond.
    pub(super) fn local(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(self.local.as_bytes());
        self.fraction(buffer);
        buffer.extend_from_slice(self.offset.as_bytes());
    }

    /// RFC 3339 in the zone of the machine to the second.
    pub(super) fn second(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(self.local.as_bytes());
        buffer.extend_from_slice(self.offset.as_bytes());
    }

    fn fraction(&self, buffer: &mut Vec<u8>) {
        if self.nanoseconds == 0 {
            return;
        }
        write!(buffer, ".{:09}", self.nanoseconds).expect("writing to memory cannot fail");
        while buffer.last() == Some(&b'0') {
            buffer.pop();
        }
    }
}
