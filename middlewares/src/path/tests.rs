//! Tests of the canonical path.

use proptest::prelude::*;

use super::*;

/// Both steps, as a request goes through them.
fn canonical(path: &str) -> Result<String, BadPath> {
    Ok(sanitize(&normalize(path)?).into_owned())
}

#[test]
fn unreserved_escapes_are_decoded_and_others_upper_case() {
    for (path, expected) in [
        ("/%41%7e%5f", "/A~_"),
        ("/a%2fb", "/a%2Fb"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/%ff%00", "/%FF%00"),
        ("/%21%24", "/%21%24"),
        ("/%25%32%65", "/%252e"),
        ("/a;b:c@d[e]!", "/a;b:c@d[e]!"),
    ] {
        assert_eq!(normalize(path).unwrap(), expected);
    }
}

#[test]
fn broken_escapes_are_refused() {
    for path in ["/%zz", "/a%", "/a%2", "/%+1", "/%2é"] {
        assert_eq!(normalize(path), Err(BadPath), "{path}");
    }
}

#[test]
fn raw_characters_that_need_an_escape_get_it() {
    assert_eq!(normalize("/\\..\\").unwrap(), "/%5C..%5C");
    assert_eq!(normalize("/{x}|^é").unwrap(), "/%7Bx%7D%7C%5E%C3%A9");
    assert_eq!(normalize("/a?#").unwrap(), "/a%3F%23");
}

#[test]
fn dot_segments_and_empty_segments_go() {
    for (path, expected) in [
        ("/a/b/.", "/a/b"),
        ("//", "/"),
        ("/..", "/"),
        ("/a/..", "/"),
        ("/x/%2e%2e/b", "/b"),
        ("/a/../b/", "/b/"),
        ("/a/b/..", "/a"),
        ("/a/b/../", "/a/"),
        ("/a//b//", "/a/b/"),
        ("/./", "/"),
        ("/a/.../b", "/a/.../b"),
        ("/a/..b/", "/a/..b/"),
        ("/%2E%2e/", "/"),
        ("/a/%2F../b", "/a/%2F../b"),
        ("/a/%2f/../b", "/a/b"),
        ("/a/..;/b", "/a/..;/b"),
        ("//a/../b", "/b"),
        ("/a/%2e%2e%2fb", "/a/..%2Fb"),
        ("", "/"),
        ("*", "*"),
    ] {
        assert_eq!(canonical(path).unwrap(), expected, "{path}");
    }
}

#[test]
fn usual_paths_are_not_copied() {
    for path in ["/", "/api/v1/users", "/a/b/", "/a.b/c~d", "/:a"] {
        assert!(is_plain_path(path));
        assert!(matches!(normalize(path), Ok(Cow::Borrowed(_))));
        assert!(matches!(sanitize(path), Cow::Borrowed(_)));
        assert!(matches!(routing_path(path), Cow::Borrowed(_)));
    }
    for path in ["", "*", "//", "/.a", "/a/../b", "/%41", "/é", "a"] {
        assert!(!is_plain_path(path), "{path}");
    }
    assert!(matches!(sanitize("/.well-known/x"), Cow::Borrowed(_)));
}

#[test]
fn routing_path_keeps_reserved_escapes() {
    for (path, expected) in [
        ("/caf%C3%A9", "/café"),
        ("/a%2Fb", "/a%2Fb"),
        ("/sp%20ace", "/sp ace"),
        ("/p%25q", "/p%25q"),
        ("/%252e", "/%252e"),
        ("/%FF%C3%A9", "/%FFé"),
        ("/%5C%7B", "/\\{"),
        ("/%3a%2b", "/%3A%2B"),
        ("/%zz%4", "/%zz%4"),
    ] {
        assert_eq!(routing_path(path), expected);
    }
}

#[test]
fn semicolons_separate_or_are_encoded() {
    assert_eq!(rewrite_semicolons("a=1;b;;", Semicolons::Separate), "a=1&b&&");
    assert_eq!(rewrite_semicolons("a=%3B;", Semicolons::Encode), "a=%3B%3B");
    assert!(matches!(rewrite_semicolons("a=1", Semicolons::Encode), Cow::Borrowed(_)));
}

#[test]
fn denied_escapes_are_found() {
    use EncodedCharacter::*;
    let all = [Slash, BackSlash, NullCharacter, Semicolon, Percent, QuestionMark, Hash];
    let denied = all.into_iter().collect();
    for (path, found) in [
        ("/a%2Fb", Slash),
        ("/%5c", BackSlash),
        ("/%00", NullCharacter),
        ("/%3B", Semicolon),
        ("/%2541", Percent),
        ("/%3F", QuestionMark),
        ("/%20%23", Hash),
    ] {
        assert_eq!(find_encoded(path, denied), Some(found));
        assert_eq!(find_encoded(path, EncodedCharacters::default().with(found)), Some(found));
        let others = all.into_iter().filter(|character| *character != found).collect();
        assert_eq!(find_encoded(path, others), None);
    }
    assert_eq!(find_encoded("/a;b%20%2", denied), None);
}

#[test]
fn joined_parts_can_be_unclean() {
    for path in ["/", "/a/b/%2F", "/api../"] {
        assert!(is_clean(path), "{path}");
    }
    for path in ["", "a", "../", "/../", "/a/%2e", "/a//b", "/a%2fb", "/a\\b", "/%zz"] {
        assert!(!is_clean(path), "{path}");
    }
}

/// One spelling of a path among many: each character raw or escaped, each slash one or more.
fn spelling(path: &'static str) -> impl Strategy<Value = String> {
    proptest::collection::vec(0..4_u8, path.len()).prop_map(|choices| {
        let write = |(byte, choice): (u8, u8)| match (byte, choice) {
            (b'/', 0) => "//".to_owned(),
            (b'/', 1) => "/./".to_owned(),
            (b'/', 2) => "/x/%2e%2E/".to_owned(),
            (b'/', _) | (_, 0 | 1) => char::from(byte).to_string(),
            (byte, 2) => format!("%{byte:02x}"),
            (byte, _) => format!("%{byte:02X}"),
        };
        path.bytes().zip(choices).map(write).collect()
    })
}

proptest! {
    #[test]
    fn canonical_form_is_its_own(path in "/[a/.%2eEfF5cC\\\\{é;]{0,20}") {
        if let Ok(once) = canonical(&path) {
            prop_assert_eq!(canonical(&once), Ok(once.clone()));
            prop_assert!(is_clean(&once));
        }
    }

    #[test]
    fn routing_path_has_no_dot_segments(path in "/[a/.%2eEfF5cC\\\\;]{0,20}") {
        if let Ok(canonical) = canonical(&path) {
            let routing = routing_path(&canonical);
            let mut segments = routing.split('/');
            prop_assert!(!segments.any(|segment| matches!(segment, "." | "..")), "{}", routing);
        }
    }

    #[test]
    fn all_spellings_of_a_path_are_one(path in spelling("/admin/v1.0/~user_1")) {
        let canonical = canonical(&path).unwrap();
        prop_assert_eq!(canonical.as_str(), "/admin/v1.0/~user_1");
        prop_assert_eq!(routing_path(&canonical), "/admin/v1.0/~user_1");
    }

    #[test]
    fn plain_paths_need_nothing(path in "/[a/.~;%]{0,8}") {
        if is_plain_path(&path) {
            prop_assert_eq!(canonical(&path), Ok(path.clone()));
            prop_assert_eq!(routing_path(&path), path.as_str());
        }
    }
}
