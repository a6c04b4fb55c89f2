//! Flat pairs, as labels, flags and environment have them: what folds to a tree unfolds to pairs that fold again.

use portcullis_config::tree::flat::{fold, unfold};

/// Takes lines `key=value`.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let Ok(tree) = fold(pairs, str::to_owned) else { return };
    let pairs = unfold(&tree);
    let again = fold(pairs.iter().map(|(key, value)| (&**key, &**value)), str::to_owned);
    assert!(again.is_ok(), "{pairs:?}: {again:?}");
    let _ = portcullis_config::Routing::from_tree(&tree);
}
