//! The variables by which providers and storages are told their secrets.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use portcullis_config::units::Secret;

/// The variables of the process, read once.
pub(super) struct Environment(HashMap<String, String>);

impl Environment {
    /// Those of this process; what is not text is left out.
    pub(super) fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// Given ones.
    #[cfg(test)]
    pub(super) fn of(variables: &[(&str, &str)]) -> Self {
        Self(variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    /// The first of `names` that is set, or the content of the file that its twin with `_FILE` names.
    pub(super) fn optional(&self, names: &[&str]) -> Result<Option<Secret>, String> {
        for name in names {
            if let Some(value) = self.0.get(*name).filter(|value| !value.is_empty()) {
                return Ok(Some(Secret(value.clone())));
            }
            let file = format!("{name}_FILE");
            if let Some(path) = self.0.get(&file).filter(|path| !path.is_empty()) {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| format!("{file}: `{path}` cannot be read: {error}"))?;
                return Ok(Some(Secret(text.trim_end_matches(['\r', '\n']).to_owned())));
            }
        }
        Ok(None)
    }

    /// As [`Environment::optional`], for what must be there.
    pub(super) fn required(&self, names: &[&str]) -> Result<Secret, String> {
        let name = names.first().copied().unwrap_or_default();
        self.optional(names)?.ok_or_else(|| format!("{name} (or {name}_FILE) is not set"))
    }

    /// Text that is no secret, with a default.
    pub(super) fn text(&self, name: &str, default: &str) -> Result<String, String> {
        let found = self.optional(&[name])?;
        Ok(found.map_or_else(|| default.to_owned(), |Secret(text)| text))
    }

    /// A number of seconds, or a duration such as `2m`.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<Duration>, String> {
        let Some(Secret(text)) = self.optional(&[name])? else { return Ok(None) };
        let parsed = portcullis_config::units::Duration::parse(&text);
        parsed
            .map(portcullis_config::units::Duration::positive)
            .map_err(|_| format!("{name}: expected seconds or a duration such as `2m`"))
    }

    /// A time to live in seconds.
    pub(super) fn time_to_live(&self, name: &str, default: u32) -> Result<u32, String> {
        let text = self.text(name, "")?;
        if text.is_empty() {
            return Ok(default);
        }
        text.parse().map_err(|_| format!("{name}: expected a number of seconds"))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_or_the_file_that_its_twin_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "from-file\n").unwrap();
        let environment = Environment::of(&[
            ("A", "plain"),
            ("B_FILE", path.to_str().unwrap()),
            ("C_FILE", "/no"),
        ]);
        assert_eq!(environment.required(&["A"]).unwrap().0, "plain");
        assert_eq!(environment.required(&["X", "B"]).unwrap().0, "from-file");
        assert!(environment.required(&["C"]).unwrap_err().contains("/no"));
        assert!(environment.required(&["D"]).unwrap_err().contains("D_FILE"));
        assert_eq!(environment.time_to_live("D", 120), Ok(120));
        assert!(environment.time_to_live("A", 120).is_err());
    }
}
