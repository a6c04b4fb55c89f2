//! `PasswordHash`: the forms of password hashes that `htpasswd` writes.

mod md5_crypt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

/// A password hash as it stands in a configuration. Its text is never shown.
pub(crate) enum PasswordHash {
    /// `$2y$…` and its siblings: made to be slow.
    Bcrypt(Box<str>),
    /// `$apr1$…` and `$1$…`: a thousand rounds of MD5.
    Md5Crypt(Box<str>),
    /// The base64 text after `{SHA}`: one round of SHA-1, no salt.
    Sha1(Box<str>),
}

/// What checking a password against a hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// Less than leaving the thread would.
    Low,
    /// Hundreds of microseconds to seconds.
    High,
}

impl PasswordHash {
    /// Recognises the form; `None` for text that no password can match.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(digest) = text.strip_prefix("{SHA}") {
            return Some(Self::Sha1(digest.into()));
        }
        if ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            let parts = text.parse::<bcrypt::HashParts>().ok()?;
            return (4..=31).contains(&parts.get_cost()).then(|| Self::Bcrypt(text.into()));
        }
        md5_crypt::parts(text).map(|_| Self::Md5Crypt(text.into()))
    }

    /// What a check costs.
    pub(crate) fn cost(&self) -> Cost {
        match self {
            Self::Sha1(_) => Cost::Low,
            Self::Bcrypt(_) | Self::Md5Crypt(_) => Cost::High,
        }
    }

    /// Whether `password` is the one. The time that the comparison takes tells nothing.
    pub(crate) fn matches(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(text) => bcrypt::verify(password, text).unwrap_or(false),
            Self::Md5Crypt(text) => md5_crypt::matches(text, password),
            Self::Sha1(text) => {
                STANDARD.encode(Sha1::digest(password)).as_bytes().ct_eq(text.as_bytes()).into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(hash: &str, password: &str) -> bool {
        PasswordHash::parse(hash).unwrap().matches(password.as_bytes())
    }

    #[test]
    fn each_form_knows_its_password() {
        let long = "x".repeat(80);
        for (hash, password) in [
            ("{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "test"),
            ("$apr1$saltsalt$NBMPZFGR7yazCdGvlWJji1", "test"),
            ("$1$abc$B..HicC/afMveWeNyfNsf/", "test"),
            ("$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "secret"),
            ("$2y$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i", &long),
            ("$2a$04$abcdefghijklmnopqrstuuukcFUuF1uD2.SsVXl2Kxf7oTFxL3IEq", "grüße"),
        ] {
            assert!(matches(hash, password), "{hash}");
            assert!(!matches(hash, "other"), "{hash}");
            assert!(!matches(hash, ""), "{hash}");
        }
    }

    #[test]
    fn text_that_is_no_hash_is_told() {
        for text in ["", "test", "$2y$04$short", "$2y$99$abcdefghijklmnopqrstuu", "$apr1$x", "$"] {
            assert!(PasswordHash::parse(text).is_none(), "{text}");
        }
        let cost_32 = "$2b$32$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";
        assert!(PasswordHash::parse(cost_32).is_none());
    }
}
