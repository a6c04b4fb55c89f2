//! `/api/support-dump`: version, install configuration and runtime configuration in one archive, for whoever helps.

use std::io;

use ::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use ::http::{HeaderValue, StatusCode};
use flate2::Compression;
use flate2::write::GzEncoder;
use portcullis_middlewares::message::Response;
use serde_json::Value;

use super::answer::failure;

/// The archive with these files.
pub(super) fn dump(files: &[(&str, Value)], now: jiff::Timestamp) -> Response {
    let Ok(archive) = archive(files, now) else {
        return failure(StatusCode::INTERNAL_SERVER_ERROR, "the archive cannot be made");
    };
    let name = HeaderValue::from_static("attachment; filename=support-dump.tar.gz");
    Response::new(StatusCode::OK, bytes::Bytes::from(archive))
        .with(CONTENT_TYPE, HeaderValue::from_static("application/gzip"))
        .with(CONTENT_DISPOSITION, name)
}

fn archive(files: &[(&str, Value)], now: jiff::Timestamp) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, value) in files {
        let text = value.to_string();
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now.as_second()).unwrap_or_default());
        archive.append_data(&mut header, name, text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}

/// `install` without what tells where it runs. Traefik: addresses and paths show as `xxxx`.
pub(super) fn anonymised(install: &Value) -> Value {
    match install {
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| {
                let is_private = PRIVATE.iter().any(|it| name.eq_ignore_ascii_case(it));
                let is_text = value.as_str().is_some_and(|text| !text.is_empty());
                let hidden = is_private && is_text;
                (name.clone(), if hidden { "xxxx".into() } else { anonymised(value) })
            })
            .collect(),
        Value::Array(items) => items.iter().map(anonymised).collect(),
        value => value.clone(),
    }
}

/// Fields that tell where an installation runs and whose it is.
const PRIVATE: &[&str] = &[
    "address",
    "endpoint",
    "filePath",
    "filename",
    "directory",
    "email",
    "main",
    "token",
    "username",
    "password",
];
