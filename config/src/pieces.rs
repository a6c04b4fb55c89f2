//! `Pieces`: long work that lets others use the processor now and then.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// The longest piece of work, if its steps are short.
const PIECE: Duration = Duration::from_micros(100);

/// Steps between two looks at the clock.
const STEPS: u32 = 8;

/// Long work in short steps. Reading and compiling a configuration takes a processor for milliseconds, and a kernel may
/// let a thread that began go on for as long even though a more important one has become ready: on a machine with few
/// processors every reload would show in the latency of requests. So whoever works long says where it can be
/// interrupted, and every tenth of a millisecond gives way. With nobody waiting that costs next to nothing.
#[derive(Debug)]
pub struct Pieces {
    begun: Cell<Instant>,
    steps: Cell<u32>,
}

impl Pieces {
    /// Work begins.
    pub fn begin() -> Self {
        Self { begun: Cell::new(Instant::now()), steps: Cell::new(0) }
    }

    /// A step, of some microseconds, is done.
    pub fn step(&self) {
        let steps = self.steps.get() + 1;
        self.steps.set(steps % STEPS);
        if steps == STEPS && self.begun.get().elapsed() >= PIECE {
            std::thread::yield_now();
            self.begun.set(Instant::now());
        }
    }

    /// Drops values one by one: a large collection takes as long to drop as to make.
    pub fn drop_each<T>(&self, values: impl IntoIterator<Item = T>) {
        for value in values {
            drop(value);
            self.step();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_ends_once_it_was_long_enough() {
        let pieces = Pieces::begin();
        let begun = pieces.begun.get();
        for _ in 1..STEPS {
            pieces.step();
        }
        assert_eq!(pieces.begun.get(), begun);
        while begun.elapsed() < PIECE {
            std::hint::spin_loop();
        }
        pieces.step();
        assert!(pieces.begun.get() > begun);
        assert_eq!(pieces.steps.get(), 0);
    }

    #[test]
    fn all_values_are_dropped() {
        let one = std::rc::Rc::new(());
        Pieces::begin().drop_each(vec![std::rc::Rc::clone(&one); 100]);
        assert_eq!(std::rc::Rc::strong_count(&one), 1);
    }
}
