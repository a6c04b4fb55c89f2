//! Flat pairs and trees: `http.routers.x.rule=…` as labels, flags, environment and key-value stores write it.

use super::Tree;

/// Folds dotted pairs into a tree. `a.b[0].c=x` and `a.b.0.c=x` index lists; keys keep the case they have.
/// `source` names a pair for messages (`label traefik.http…`).
pub fn fold<'a>(
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    source: impl Fn(&str) -> String,
) -> Result<Tree, super::decode::Mismatch> {
    let _ = (pairs.into_iter().count(), source(""));
    todo!()
}
