//! The form of a certificate in a shared store.

use portcullis_config::units::Secret;
use serde::{Deserialize, Serialize};

use super::super::names::Names;
use super::Entry;

#[derive(Serialize, Deserialize)]
struct Kept {
    names: Vec<String>,
    certificate: String,
    key: String,
}

/// The text of a certificate.
pub(super) fn write(entry: &Entry) -> Result<String, String> {
    let kept = Kept {
        names: entry.names.iter().map(str::to_owned).collect(),
        certificate: entry.chain.clone(),
        key: entry.key.0.clone(),
    };
    serde_json::to_string(&kept).map_err(|error| error.to_string())
}

/// Reads what [`write`] wrote; what is not understood is left out, and said.
pub(super) fn read<'a>(resolver: &str, texts: impl Iterator<Item = &'a str>) -> Vec<Entry> {
    let entry = |text| {
        let Kept { names, certificate, key } = serde_json::from_str(text).ok()?;
        Some(Entry { names: Names::new(names)?, chain: certificate, key: Secret(key) })
    };
    let entries = texts.map(entry).inspect(|entry| {
        if entry.is_none() {
            tracing::warn!(resolver, "a certificate in the shared store is not understood");
        }
    });
    entries.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_left_out() {
        let names = Names::new(["a.test", "b.test"]).unwrap();
        let entry = Entry { names, chain: "chain".to_owned(), key: Secret("key".to_owned()) };
        let text = write(&entry).unwrap();
        let read = read("le", ["{}", &text, "nonsense"].into_iter());
        assert_eq!(read, [entry]);
    }
}
