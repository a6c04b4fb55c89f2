//! What a reader hands to serde for lists, maps and structures: one element or entry after the other.

use serde::de::{DeserializeSeed, MapAccess, SeqAccess};

use super::fault::{Fault, Step};
use super::reader::Reader;
use crate::tree::Tree;

/// The elements of a list that are still to be read.
pub(super) struct Elements<'a>(pub(super) std::vec::IntoIter<(usize, Reader<'a>)>);

impl<'a> SeqAccess<'a> for Elements<'a> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some((index, reader)) = self.0.next() else { return Ok(None) };
        seed.deserialize(reader).map(Some).map_err(|fault| fault.below(Step::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// The entries of a map or structure that are still to be read.
pub(super) struct Entries<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) entries: std::vec::IntoIter<(&'a str, &'a Tree)>,
    /// The entry whose key was read last.
    pub(super) value: Option<(&'a str, &'a Tree)>,
}

impl<'a> MapAccess<'a> for Entries<'a> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'a>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.value = self.entries.next();
        let Some((key, tree)) = self.value else { return Ok(None) };
        // Keys that are numbers or variants are read from their text like values.
        let key_reader = self.reader.at(tree).part(key);
        let read = seed.deserialize(key_reader);
        read.map(Some).map_err(|fault| fault.below(Step::Key(key.to_owned())))
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (key, tree) = self.value.expect("serde asks for a value only after its key");
        seed.deserialize(self.reader.at(tree))
            .map_err(|fault| fault.below(Step::Key(key.to_owned())))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}
