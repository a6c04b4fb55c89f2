//! Constraints, through the options of the provider that has them.

use portcullis_config::tree::Tree;
use portcullis_providers::Kind;

/// Takes a constraint expression.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A build without the provider has no constraints either.
    let Some(docker) = Kind::find("docker") else { return };
    let options = Tree::map([("constraints".to_owned(), Tree::scalar(text))]);
    let _ = (docker.build)(&options);
}
