//! The content of `acme.json`: Traefik's structure, with an account of ours beside Traefik's.
//!
//! The document is changed, never made anew: what is not ours, such as Traefik's account with its RSA key, stays as it is.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use portcullis_config::units::Secret;
use serde_json::{Map, Value, json};

use super::super::names::Names;
use super::{Entry, Stored};

/// The key of what Traefik does not know; it skips it.
const OURS: &str = "Portcullis";

/// The content of `acme.json`.
#[derive(Clone, Debug, Default)]
pub(super) struct Document(Map<String, Value>);

impl Document {
    /// Reads `bytes`; empty ones are an empty document. Where writing in place was cut off (see [`super::write`]), a whole text
    /// that begins on a line of its own behind the first counts, as the first may be old at its end and new at its beginning.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let behind = memchr::memmem::find_iter(bytes, b"\n{").last();
        let behind = behind.and_then(|start| bytes.get(start..));
        if let Some(map) = behind.and_then(|rest| serde_json::from_slice(rest).ok()) {
            return Ok(Self(map));
        }
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter();
        match values.next() {
            Some(Ok(map)) => Ok(Self(map)),
            Some(Err(error)) => Err(format!("line {}, column {}", error.line(), error.column())),
            None => Ok(Self::default()),
        }
    }

    /// The text that is written.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(&self.0).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// What is kept for `resolver`; entries that are not understood are named, not the whole.
    pub(super) fn stored(&self, resolver: &str) -> (Stored, Vec<String>) {
        let Some(own) = self.0.get(resolver) else { return Default::default() };
        let (mut stored, mut odd) = (Stored::default(), Vec::new());
        let listed = own.get("Certificates").and_then(Value::as_array);
        for (index, value) in listed.into_iter().flatten().enumerate() {
            match entry(value) {
                Some(entry) => stored.certificates.push(entry),
                None => odd.push(format!("certificate {index} of `{resolver}` is not understood")),
            }
        }
        let account = own.get(OURS).and_then(|ours| ours.get("Account"));
        stored.account = account.map(|account| Secret(account.to_string()));
        (stored, odd)
    }

    /// Puts a certificate in place of one for the same names.
    pub(super) fn put_certificate(&mut self, resolver: &str, new: &Entry) {
        let own = self.resolver(resolver);
        let listed = own.entry("Certificates").or_insert(Value::Null);
        if !listed.is_array() {
            *listed = json!([]);
        }
        let Value::Array(listed) = listed else { return };
        let key = new.names.key();
        let same = |value: &Value| names(value).is_some_and(|names| names.key() == key);
        let value = value(new);
        match listed.iter().position(same) {
            Some(index) => {
                listed.retain({
                    let mut at = 0;
                    move |value| {
                        at += 1;
                        at == index + 1 || !same(value)
                    }
                });
                if let Some(place) = listed.get_mut(index) {
                    *place = value;
                }
            }
            None => listed.push(value),
        }
    }

    /// Puts our account beside Traefik's.
    pub(super) fn put_account(&mut self, resolver: &str, account: &Secret) {
        let account: Value = serde_json::from_str(&account.0).unwrap_or_default();
        self.resolver(resolver).insert(OURS.to_owned(), json!({ "Account": account }));
    }

    fn resolver(&mut self, resolver: &str) -> &mut Map<String, Value> {
        let own = self.0.entry(resolver).or_insert(Value::Null);
        if !own.is_object() {
            // Traefik: a resolver that has nothing yet has neither account nor certificates.
            *own = json!({ "Account": null, "Certificates": null });
        }
        own.as_object_mut().expect("made an object just above")
    }
}

fn names(value: &Value) -> Option<Names> {
    let domain = value.get("domain")?;
    let main = domain.get("main")?.as_str()?;
    let sans = domain.get("sans").and_then(Value::as_array).into_iter().flatten();
    Names::new(std::iter::once(main).chain(sans.filter_map(Value::as_str)))
}

fn entry(value: &Value) -> Option<Entry> {
    let text = |field| {
        let bytes = BASE64_STANDARD.decode(value.get(field)?.as_str()?).ok()?;
        String::from_utf8(bytes).ok()
    };
    Some(Entry { names: names(value)?, chain: text("certificate")?, key: Secret(text("key")?) })
}

fn value(entry: &Entry) -> Value {
    let mut domain = json!({ "main": entry.names.main() });
    if !entry.names.others().is_empty() {
        domain["sans"] = json!(entry.names.others());
    }
    json!({
        "domain": domain,
        "certificate": BASE64_STANDARD.encode(&entry.chain),
        "key": BASE64_STANDARD.encode(&entry.key.0),
        "Store": "default",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(names: &[&str], chain: &str) -> Entry {
        Entry { names: Names::new(names).unwrap(), chain: chain.into(), key: Secret("key".into()) }
    }

    fn with_traefik_account() -> Document {
        let text = br#"{"le":{"Account":{"Email":"ops@a.test","Registration":{"uri":"https://ca.test/1"},
            "PrivateKey":"MIIJ","KeyType":"4096"},"Certificates":[{"domain":{"main":"a.test"},
            "certificate":"b2xk","key":"a2V5","Store":"default"}]},"other":{"Account":null,"Certificates":null}}"#;
        Document::parse(text).unwrap()
    }

    #[test]
    fn certificates_of_traefik_are_read() {
        let (stored, odd) = with_traefik_account().stored("le");
        assert_eq!(stored.certificates, [sample(&["a.test"], "old")]);
        assert!(odd.is_empty() && stored.account.is_none());
        assert!(with_traefik_account().stored("missing").0.certificates.is_empty());
    }

    #[test]
    fn what_is_not_ours_stays() {
        let mut document = with_traefik_account();
        document.put_certificate("le", &sample(&["b.test", "c.test"], "new"));
        document.put_account("le", &Secret(r#"{"id":"https://ca.test/2"}"#.into()));
        let again = Document::parse(&document.text()).unwrap();
        assert_eq!(again.0["le"]["Account"], with_traefik_account().0["le"]["Account"]);
        assert_eq!(again.0["other"], with_traefik_account().0["other"]);
        let (stored, _) = again.stored("le");
        assert_eq!(stored.certificates.len(), 2);
        assert_eq!(stored.account.unwrap().0, r#"{"id":"https://ca.test/2"}"#);
    }

    #[test]
    fn a_certificate_takes_the_place_of_one_for_the_same_names() {
        let mut document = Document::default();
        document.put_certificate("le", &sample(&["a.test", "b.test"], "1"));
        document.put_certificate("le", &sample(&["c.test"], "2"));
        document.put_certificate("le", &sample(&["b.test", "a.test"], "3"));
        let (stored, _) = document.stored("le");
        assert_eq!(
            stored.certificates,
            [sample(&["b.test", "a.test"], "3"), sample(&["c.test"], "2")]
        );
    }

    #[test]
    fn one_bad_certificate_does_not_hide_the_others() {
        let text =
            br#"{"le":{"Certificates":[{"domain":{"main":"a.test"},"certificate":"?","key":""},
            {"domain":{"main":"b.test"},"certificate":"b2xk","key":"a2V5"}]}}"#;
        let (stored, odd) = Document::parse(text).unwrap().stored("le");
        assert_eq!(stored.certificates.len(), 1);
        assert_eq!(odd, ["certificate 0 of `le` is not understood"]);
    }

    #[test]
    fn what_is_no_document_is_an_error_that_shows_nothing_of_it() {
        assert!(Document::parse(b"").unwrap().0.is_empty());
        for bad in [&b"secret"[..], b"[1]", b"{\"le\": {\"Account\": \"sec"] {
            let error = Document::parse(bad).unwrap_err();
            assert!(error.starts_with("line 1") && !error.contains("sec"), "{error}");
        }
    }
}
