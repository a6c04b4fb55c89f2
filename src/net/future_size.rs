//! The sizes of futures, for tests that keep them within bounds: they are the memory of each connection and request.
//!
//! `of_2(forward)` is the size of what `forward(a, b)` returns; nothing is called.

/// Of a function with one argument.
#[allow(dead_code, reason = "for tests to come; the four belong together")]
pub(crate) fn of_1<A, R>(_: impl FnOnce(A) -> R) -> usize {
    size_of::<R>()
}

/// Of a function with two arguments.
#[allow(dead_code, reason = "for tests to come; the four belong together")]
pub(crate) fn of_2<A, B, R>(_: impl FnOnce(A, B) -> R) -> usize {
    size_of::<R>()
}

/// Of a function with three arguments.
pub(crate) fn of_3<A, B, C, R>(_: impl FnOnce(A, B, C) -> R) -> usize {
    size_of::<R>()
}

/// Of a function with four arguments.
pub(crate) fn of_4<A, B, C, D, R>(_: impl FnOnce(A, B, C, D) -> R) -> usize {
    size_of::<R>()
}

/// Whether `size` is in the window, which is given in bytes. Above it memory is lost, below it the measure is wrong.
#[track_caller]
pub(crate) fn assert_within(what: &str, size: usize, window: std::ops::RangeInclusive<usize>) {
    assert!(window.contains(&size), "{what}: {size} bytes, expected {window:?}");
}
