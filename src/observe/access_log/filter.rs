//! Which requests get a line: those that pass any of the filters, all if there is none.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::install::Filters;

#[derive(Debug, Default)]
pub(super) struct Filter {
    codes: Vec<RangeInclusive<u16>>,
    retried: bool,
    longer: Option<Duration>,
}

impl Filter {
    /// The message of an error names the field.
    pub(super) fn new(settings: &Filters) -> Result<Self, String> {
        let codes: Result<_, String> =
            settings.status_codes.iter().map(|text| range(text)).collect();
        Ok(Self {
            codes: codes?,
            retried: settings.retry_attempts,
            longer: settings.min_duration.positive(),
        })
    }

    pub(super) fn admits(&self, status: u16, retries: u32, took: Duration) -> bool {
        if self.codes.is_empty() && !self.retried && self.longer.is_none() {
            return true;
        }
        self.codes.iter().any(|codes| codes.contains(&status))
            || self.retried && retries > 0
            || self.longer.is_some_and(|limit| took > limit)
    }
}

/// `200` or `400-499`.
fn range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err(format!(
            "accessLog.filters.statusCodes: expected a code such as `200` or a range such as `400-499`, found `{text}`"
        )),
    }
}
