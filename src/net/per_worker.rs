//! `PerWorker<T>`: a slot for each worker and one for control, so that hot state is not shared between cores.

use super::task;

/// A slot for each worker and one for control, each on cache lines of its own.
#[derive(Debug)]
pub struct PerWorker<T> {
    slots: Box<[Padded<T>]>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Padded<T>(T);

impl<T> PerWorker<T> {
    /// Makes every slot with `make`.
    pub fn new(make: impl FnMut() -> T) -> Self {
        let mut make = make;
        Self { slots: (0..=task::workers()).map(|_| Padded(make())).collect() }
    }

    /// The slot of this thread.
    pub fn here(&self) -> &T {
        let slot = self.slots.get(task::slot()).or_else(|| self.slots.first());
        &slot.expect("there is always the control slot").0
    }

    /// All slots, for sums and sweeps.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map(|padded| &padded.0)
    }
}

impl<T: Default> Default for PerWorker<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}
