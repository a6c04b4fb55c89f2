//! The counts of one object, and all objects of one sort by the address of their name.

use std::hash::BuildHasherDefault;
use std::hash::Hasher;
use std::sync::Arc;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::{Key, Sample};

/// Sets of header label values counted apart for one object; the headers are the client's, who may send anything.
const LABEL_SETS: usize = 200;

/// What stands for the label values beyond [`LABEL_SETS`].
pub(super) const OTHER: &str = "other";

/// What one object has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) requests: HashMap<Key, Cell, Quick>,
    /// By version and cipher suite.
    pub(super) tls: SmallVec<[(&'static str, &'static str, u64); 2]>,
    /// Requests by the values of header labels; empty unless there are such labels.
    pub(super) labelled: HashMap<Labelled, u64, ahash::RandomState>,
    pub(super) retries: u64,
}

/// A key with the values of header labels.
type Labelled = (Key, Box<[Box<str>]>);

/// What requests of one [`Key`] came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) requests: u64,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) nanoseconds: u64,
    /// By the first bound that is not exceeded; those above all bounds are not here.
    pub(super) buckets: SmallVec<[u64; 6]>,
}

impl Counts {
    pub(super) fn add(&mut self, sample: &Sample<'_>, bounds: &[u64]) {
        let cell = self.requests.entry(sample.key).or_default();
        cell.requests += 1;
        cell.request_bytes += sample.request_bytes;
        cell.response_bytes += sample.response_bytes;
        let took = sample.took.as_nanos() as u64;
        cell.nanoseconds += took;
        if cell.buckets.len() != bounds.len() {
            cell.buckets.resize(bounds.len(), 0);
        }
        let bucket = bounds.iter().position(|bound| took <= *bound);
        if let Some(bucket) = bucket.and_then(|index| cell.buckets.get_mut(index)) {
            *bucket += 1;
        }
        if let Some((version, cipher)) = sample.tls {
            self.add_tls(version, cipher, 1);
        }
        if let Some(labels) = sample.labels {
            self.add_labelled(sample.key, labels, 1);
        }
    }

    fn add_tls(&mut self, version: &'static str, cipher: &'static str, count: u64) {
        let same = |a: &'static str, b: &'static str| std::ptr::eq(a, b) || a == b;
        let known = self.tls.iter_mut().find(|(v, c, _)| same(v, version) && same(c, cipher));
        match known {
            Some((_, _, sum)) => *sum += count,
            None => self.tls.push((version, cipher, count)),
        }
    }

    fn add_labelled(&mut self, key: Key, labels: &[Box<str>], count: u64) {
        let own = (key, labels.into());
        if self.labelled.len() < LABEL_SETS || self.labelled.contains_key(&own) {
            *self.labelled.entry(own).or_default() += count;
            return;
        }
        let others = labels.iter().map(|_| OTHER.into()).collect();
        *self.labelled.entry((key, others)).or_default() += count;
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (key, cell) in other.requests {
            let sum = self.requests.entry(key).or_default();
            sum.requests += cell.requests;
            sum.request_bytes += cell.request_bytes;
            sum.response_bytes += cell.response_bytes;
            sum.nanoseconds += cell.nanoseconds;
            sum.buckets.resize(cell.buckets.len(), 0);
            for (sum, count) in sum.buckets.iter_mut().zip(cell.buckets) {
                *sum += count;
            }
        }
        for (version, cipher, count) in other.tls {
            self.add_tls(version, cipher, count);
        }
        for ((key, labels), count) in other.labelled {
            self.add_labelled(key, &labels, count);
        }
        self.retries += other.retries;
    }
}

/// The names of an object: its own, and of a router the service's.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) name: Arc<str>,
    pub(super) service: Arc<str>,
}

impl Names {
    /// The object's own name; of a child router the last part.
    pub(super) fn own(&self) -> &str {
        self.name.rsplit_once(" -> ").map_or(&*self.name, |(_, own)| own)
    }
}

/// Objects of one sort by the address of their name, which the entry keeps from being used for another.
#[derive(Clone, Debug, Default)]
pub(super) struct Series(HashMap<usize, (Names, Counts), Quick>);

impl Series {
    /// The counts under `name`; `service` is asked the first time.
    pub(super) fn find(
        &mut self,
        name: &Arc<str>,
        service: impl FnOnce() -> Arc<str>,
    ) -> &mut Counts {
        let address = Arc::as_ptr(name).cast::<u8>() as usize;
        let entry = self.0.entry(address);
        let (_, counts) = entry.or_insert_with(|| {
            let names = Names { name: Arc::clone(name), service: service() };
            (names, Counts::default())
        });
        counts
    }

    /// Adds `others`, under the names that are here already where the text is the same.
    pub(super) fn take(&mut self, others: Self) {
        let mut known: HashMap<(Arc<str>, Arc<str>), usize, ahash::RandomState> =
            HashMap::default();
        for (address, (names, _)) in &self.0 {
            known.insert((Arc::clone(&names.name), Arc::clone(&names.service)), *address);
        }
        for (address, (names, counts)) in others.0 {
            let text = (Arc::clone(&names.name), Arc::clone(&names.service));
            let address = *known.entry(text).or_insert(address);
            self.0.entry(address).or_insert_with(|| (names, Counts::default())).1.merge(counts);
        }
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&Names) -> bool) {
        self.0.retain(|_, (names, _)| keep(names));
    }

    pub(super) fn into_counts(self) -> impl Iterator<Item = (Names, Counts)> {
        self.0.into_values()
    }
}

/// Spreads addresses and packed keys, which nobody outside chooses freely, faster than a keyed hash.
pub(super) type Quick = BuildHasherDefault<Spread>;

/// See [`Quick`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_u64(&mut self, value: u64) {
        // Fibonacci hashing; the rotation brings the good bits to both ends, where the table looks.
        self.0 = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}
