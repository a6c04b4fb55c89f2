//! `Live<T>`: the newest value of something that is swapped as a whole.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// The newest value of something that is swapped as a whole. Readers never wait.
#[derive(Debug)]
pub struct Live<T>(ArcSwap<T>);

impl<T> Live<T> {
    /// Begins with `value`.
    pub fn new(value: Arc<T>) -> Self {
        Self(ArcSwap::new(value))
    }

    /// The value now; it stays whole for as long as it is held.
    pub fn load(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Reads the value for a moment without sharing it: cheaper than [`Live::load`].
    pub fn with<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.0.load())
    }

    /// Replaces the value for everyone who loads from now on.
    pub fn store(&self, value: Arc<T>) {
        self.0.store(value);
    }
}
