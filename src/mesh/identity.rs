//! Where the identities of this process come from.

use std::path::PathBuf;
use std::sync::Arc;

use crate::install::{self, IdentitySource};
use crate::tls::spiffe::Holder;
use crate::tls::spiffe::files::{self, Files};

/// Begins to obtain identities for `holder`. The error names the field.
pub(super) fn begin(settings: &install::Mesh, holder: &Arc<Holder>) -> Result<(), String> {
    let identity = &settings.identity;
    match identity.source {
        IdentitySource::File => {
            if identity.svids.is_empty() || identity.bundle.is_empty() {
                return Err("mesh.identity: source `file` needs `svids` and `bundle`".to_owned());
            }
            let pair = |it: &install::IdentityFiles| {
                (PathBuf::from(&it.cert_file), PathBuf::from(&it.key_file))
            };
            let identities = identity.svids.iter().map(pair).collect();
            let files = Files { identities, bundle: PathBuf::from(&identity.bundle) };
            drop(files::start(files, Arc::clone(holder)));
            Ok(())
        }
        // Without identities nothing is dialled and nothing accepted.
        IdentitySource::Builtin => Ok(()),
    }
}
