//! The date of a response, made once a second.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;

thread_local! {
    /// The date of the current second.
    static TODAY: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
}

/// The date now (RFC 9110 section 6.6.1).
pub fn now() -> HeaderValue {
    with_now(HeaderValue::clone)
}

/// Looks at the date now.
pub fn with_now<T>(look: impl FnOnce(&HeaderValue) -> T) -> T {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    TODAY.with_borrow_mut(|today| {
        if let Some((_, date)) = today.as_ref().filter(|(second, _)| *second == now) {
            return look(date);
        }
        let time = jiff::Timestamp::from_second(now as i64).unwrap_or_default();
        let text = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let date = HeaderValue::try_from(text).expect("dates are plain text");
        look(&today.insert((now, date)).1)
    })
}
