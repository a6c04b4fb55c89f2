//! Maglev hashing (Eisenbud and others, NSDI 2016, section 3.4): a table of all slots, which choices fill in turn by
//! preferences of their own. Each gets nearly exactly its share, and one that comes or goes moves few slots of others.

/// How many slots a table has: a prime, so that every choice prefers every slot at some time. It is the same for any
/// number of choices, as another size would move nearly every key.
const SIZE: usize = 65_521;

/// Which choice each slot belongs to.
#[derive(Debug)]
pub struct Maglev {
    slots: Box<[u16]>,
    choices: usize,
}

/// The preferences of one choice.
struct Preferences {
    index: u16,
    next: usize,
    skip: usize,
    /// How many slots it takes in each round, at most 1.
    step: f64,
    due: f64,
}

impl Maglev {
    /// A table for choices of these names and weights (above 0), known by their place. The same names and weights give the
    /// same table in every process.
    pub fn new<'a>(choices: impl Iterator<Item = (&'a str, f64)>) -> Self {
        // Nobody has more servers than slots.
        let choices: Vec<(&str, f64)> = choices.take(SIZE).collect();
        let heaviest = choices.iter().map(|(_, weight)| *weight).fold(0.0, f64::max);
        let preferences = choices.iter().enumerate().map(|(index, (name, weight))| {
            let hash = hash(name.as_bytes());
            Preferences {
                index: u16::try_from(index).unwrap_or(FREE),
                next: (hash >> 32) as usize % SIZE,
                skip: (hash as u32) as usize % (SIZE - 1) + 1,
                step: weight / heaviest,
                due: 0.0,
            }
        });
        let mut preferences: Vec<Preferences> = preferences.collect();
        let mut slots = vec![FREE; if choices.is_empty() { 0 } else { SIZE }];
        let mut free = slots.len();
        while free > 0 {
            for choice in &mut preferences {
                choice.due += choice.step;
                if choice.due >= 1.0 && free > 0 {
                    choice.due -= 1.0;
                    choice.take(&mut slots);
                    free -= 1;
                }
            }
        }
        Self { slots: slots.into(), choices: choices.len() }
    }

    /// The usable choice for a key; one whose choice cannot be used goes on to the next slots, and so evenly to all others.
    pub fn pick(&self, key: u64, usable: impl Fn(usize) -> bool) -> Option<usize> {
        if !(0..self.choices).any(&usable) {
            return None;
        }
        let first = key.checked_rem(self.slots.len() as u64)? as usize;
        let (before, behind) = self.slots.split_at_checked(first)?;
        let mut last = FREE;
        for slot in behind.iter().chain(before) {
            if *slot != last && usable(usize::from(*slot)) {
                return Some(usize::from(*slot));
            }
            last = *slot;
        }
        None
    }
}

const FREE: u16 = u16::MAX;

impl Preferences {
    /// Takes the free slot that it prefers; there must be one.
    fn take(&mut self, slots: &mut [u16]) {
        while slots.get(self.next).is_some_and(|slot| *slot != FREE) {
            self.next = (self.next + self.skip) % slots.len();
        }
        if let Some(slot) = slots.get_mut(self.next) {
            *slot = self.index;
        }
    }
}

/// A hash that is the same in every process: FNV-1a, and then mixed, as its last bytes hardly reach the upper bits.
pub fn hash(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("http://10.0.0.{index}:80")).collect()
    }

    fn table(names: &[String]) -> Maglev {
        Maglev::new(names.iter().map(|name| (name.as_str(), 1.0)))
    }

    fn keys() -> impl Iterator<Item = u64> {
        (0..10_000).map(|number: u32| hash(&number.to_be_bytes()))
    }

    fn shares(table: &Maglev, count: usize, usable: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut counts = vec![0; count];
        keys().for_each(|key| counts[table.pick(key, &usable).unwrap()] += 1);
        counts
    }

    #[test]
    fn keys_are_spread_evenly_and_by_weight() {
        for count in shares(&table(&names(10)), 10, |_| true) {
            assert!((880..1120).contains(&count), "{count}");
        }
        let weighted = Maglev::new([("a", 1.0), ("b", 3.0)].into_iter());
        let shares = shares(&weighted, 2, |_| true);
        assert!((7200..7800).contains(&shares[1]), "{shares:?}");
    }

    #[test]
    fn a_choice_that_fails_moves_only_its_own_keys_and_spreads_them() {
        let table = table(&names(10));
        let before = shares(&table, 10, |_| true);
        let after = shares(&table, 10, |index| index != 3);
        for key in keys() {
            let (was, is) = (table.pick(key, |_| true), table.pick(key, |index| index != 3));
            assert!(was == is || was == Some(3));
        }
        for (index, (before, after)) in before.into_iter().zip(after).enumerate() {
            assert!(if index == 3 { after == 0 } else { (30..250).contains(&(after - before)) });
        }
        assert_eq!(table.pick(7, |_| false), None);
    }

    #[test]
    fn a_choice_that_comes_takes_its_share_and_little_else_moves() {
        let (few, more) = (table(&names(10)), table(&names(11)));
        let moved = keys().filter(|key| few.pick(*key, |_| true) != more.pick(*key, |_| true));
        let moved: Vec<u64> = moved.collect();
        let to_others = moved.iter().filter(|key| more.pick(**key, |_| true) != Some(10)).count();
        assert!((700..2500).contains(&moved.len()), "{}", moved.len());
        assert!(to_others < 1200, "{to_others}");
    }

    #[test]
    fn tables_of_nothing_one_and_many() {
        assert_eq!(table(&[]).pick(1, |_| true), None);
        assert_eq!(table(&names(1)).pick(1, |_| true), Some(0));
        let many = table(&names(2000));
        assert!(many.slots.iter().all(|slot| *slot < 2000));
    }
}
