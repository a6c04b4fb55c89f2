//! `Name`: the full name of an object, `web@docker`, in one shared string.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The full name of a configured object: the user's name, `@`, and the provider that holds it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(Arc<str>);

impl Name {
    /// Qualifies `text` with `provider`, unless it already names one (`x@file` stays as it is).
    pub fn qualify(text: &str, provider: &str) -> Self {
        if text.contains('@') {
            Self(text.into())
        } else {
            Self(format!("{text}@{provider}").into())
        }
    }

    /// Takes `text` as it stands; for names without a provider such as the TLS options `default`.
    pub fn verbatim(text: &str) -> Self {
        Self(text.into())
    }

    /// The whole text, `web@docker`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the last `@`.
    pub fn base(&self) -> &str {
        self.0.rsplit_once('@').map_or(&*self.0, |(base, _)| base)
    }

    /// The part after the last `@`; empty for names without one.
    pub fn provider(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, provider)| provider)
    }

    /// The shared text itself.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// The text with every run of characters that are neither letters nor digits as one `-`, and none at its ends:
/// what Traefik makes of the names of containers and services.
pub fn normalize(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_names_have_only_letters_digits_and_single_dashes() {
        assert_eq!(normalize("/web_my.proj__1/"), "web-my-proj-1");
        assert_eq!(normalize("wéb"), "wéb");
        assert_eq!(normalize("--"), "");
    }

    #[test]
    fn a_bare_name_takes_the_provider_of_its_holder() {
        assert_eq!(Name::qualify("web", "docker").as_str(), "web@docker");
        assert_eq!(Name::qualify("web@file", "docker").as_str(), "web@file");
        assert_eq!(Name::qualify("web", "file").base(), "web");
        assert_eq!(Name::qualify("web", "file").provider(), "file");
        assert_eq!(Name::verbatim("default").provider(), "");
    }
}
