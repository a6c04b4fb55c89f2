//! How a node becomes a part of the mesh.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::install::zero;

/// How a node becomes a part of the mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Join {
    /// The addresses of the control role, `10.0.0.10:15012`.
    #[serde(skip_serializing_if = "zero")]
    pub control: Vec<String>,
    /// The file that holds the token with which this node may join.
    #[serde(skip_serializing_if = "zero")]
    pub token_file: String,
}
