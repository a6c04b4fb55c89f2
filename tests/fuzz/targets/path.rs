//! Request paths: the normal and sanitised form is its own, and no dot segment is left in it.

use portcullis_middlewares::path::{
    Semicolons, is_clean, is_plain_path, normalize, rewrite_semicolons, routing_path, sanitize,
};

/// Takes a path.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = (routing_path(text), rewrite_semicolons(text, Semicolons::Encode));
    let Ok(normal) = normalize(text) else { return };
    assert_eq!(normalize(&normal).as_deref(), Ok(&*normal));
    if !text.starts_with('/') {
        return;
    }
    let clean = sanitize(&normal);
    assert_eq!(sanitize(&clean), clean);
    assert!(is_clean(&clean), "{clean:?}");
    let dots = |segment: &str| matches!(segment, "." | "..");
    assert!(!clean.split('/').any(dots), "{clean:?}");
    assert_eq!(normalize(&clean).as_deref(), Ok(&*clean));
    if is_plain_path(text) {
        assert_eq!((&*clean, &*routing_path(text)), (text, text));
    }
}
