//! Where the certificates of the mesh come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::install::address::Address;
use crate::install::zero;

/// Where the certificates of the mesh come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Identity {
    /// `file`: from files that somebody else renews; `builtin`: from the control role.
    pub source: IdentitySource,
    /// Source `file`: the identities of this node and of the accounts that it speaks for. The first one is shown where
    /// nobody asks for another.
    #[serde(skip_serializing_if = "zero")]
    pub svids: Vec<IdentityFiles>,
    /// Source `file`: the roots of the trust domain.
    #[serde(skip_serializing_if = "zero")]
    pub bundle: String,
    /// Source `builtin`: the folder with the authority of the control role, and with what was issued to this process.
    pub directory: String,
    /// Source `builtin`, role `control`: where nodes ask for certificates, `:15012`; nobody may ask without it.
    #[serde(skip_serializing_if = "Address::is_unset")]
    pub listen: Address,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            source: IdentitySource::Builtin,
            svids: Vec::new(),
            bundle: String::new(),
            directory: "/var/lib/portcullis/mesh".to_owned(),
            listen: Address::default(),
        }
    }
}

/// Where certificates come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum IdentitySource {
    /// From the control role.
    #[default]
    Builtin,
    /// From files; they are read anew when they change.
    File,
}

/// One identity in files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IdentityFiles {
    /// The chain in PEM, the identity's own certificate first, without the root.
    pub cert_file: String,
    /// The key in PEM.
    pub key_file: String,
}
