//! `chain` stands for several middlewares in order.

use portcullis_config::tree::Tree;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::build::{Build, Defect, Settings};
use crate::chain::Step;

/// Gives one name to several middlewares in order.
///
/// A name without `@` is one of the same provider. A chain may name other chains, but not itself.
///
/// ```yaml
/// http:
///   middlewares:
///     protected:
///       chain:
///         middlewares: [office, login@docker]
/// ```
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ChainOf {
    /// The middlewares in the order in which requests meet them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub middlewares: Vec<String>,
}

impl Settings for ChainOf {
    const KIND: &'static str = "chain";

    /// Its members may change though their names stay.
    fn keeps_steps(_: &Tree) -> bool {
        false
    }

    fn compile(self, build: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        let mut steps = Vec::new();
        for name in &self.middlewares {
            steps.extend(build.middleware(name)?);
        }
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestBuild, request, run, text};

    fn allow(address: &str, reject: &str) -> Tree {
        Tree::map([
            ("sourceRange".to_owned(), Tree::scalar(address)),
            ("rejectStatusCode".to_owned(), Tree::scalar(reject)),
        ])
    }

    fn chain_of(names: &str) -> Tree {
        Tree::map([("middlewares".to_owned(), Tree::scalar(names))])
    }

    #[tokio::test]
    async fn members_run_in_order_and_chains_nest() {
        let mut build = TestBuild::new()
            .with("pass", "ipAllowList", allow("192.0.2.1", "404"))
            .with("first", "ipAllowList", allow("10.0.0.1", "410"))
            .with("second", "ipAllowList", allow("10.0.0.1", "404"))
            .with("inner", "chain", chain_of("first,second"));
        let chain = build.compile("chain", &chain_of("pass,inner")).unwrap();
        let refused = run(&chain, request("GET", "h", "/", &[])).await;
        assert_eq!(text(refused).await, "Gone");
        let chain = build.compile("chain", &chain_of("pass")).unwrap();
        assert_eq!(run(&chain, request("GET", "h", "/", &[])).await.status, 200);
    }

    #[test]
    fn a_missing_member_breaks_the_chain() {
        let error = TestBuild::new().compile("chain", &chain_of("nobody")).err().unwrap();
        assert!(error.0.contains("`nobody`"), "{error}");
    }

    #[test]
    fn a_chain_of_nothing_has_no_steps() {
        let chain = TestBuild::new().compile("chain", &chain_of("")).unwrap();
        assert!(chain.is_empty());
    }
}
