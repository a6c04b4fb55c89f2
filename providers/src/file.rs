//! `file` reads routing configuration from a file or a folder and follows its changes.

use portcullis_config::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Options, Provider};

/// Reads routing configuration from a file or from every file of a folder.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct File {
    /// The file to read.
    pub filename: String,
    /// The folder to read.
    pub directory: String,
    /// Whether changes are followed.
    pub watch: bool,
    /// Accepted; has no effect until files may hold templates.
    pub debug_log_generated_template: bool,
}

impl Default for File {
    fn default() -> Self {
        Self {
            filename: String::new(),
            directory: String::new(),
            watch: true,
            debug_log_generated_template: false,
        }
    }
}

impl Options for File {
    fn build(self) -> Result<Box<dyn Provider>, Vec<Problem>> {
        todo!()
    }
}
