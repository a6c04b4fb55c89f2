use super::*;

fn matches(pattern: &str, text: &str) -> bool {
    let strings = compile(pattern).unwrap().is_match(text);
    assert_eq!(compile_bytes(pattern).unwrap().is_match(text.as_bytes()), strings);
    strings
}

#[test]
fn patterns_are_unanchored() {
    assert!(matches("b", "abc"));
    assert!(!matches("^b", "abc"));
    assert!(!matches("a$", "a\n"));
}

#[test]
fn perl_classes_are_ascii() {
    assert!(matches(r"^\d\w\s$", "1a "));
    assert!(!matches(r"\d", "\u{0661}"));
    assert!(!matches(r"\w", "é"));
    assert!(!matches(r"\s", "\u{0b}"));
    assert!(matches(r"^[\D]+$", "é"));
    assert!(!matches(r"[^\w-]", "a-b"));
    assert!(matches(r"é\b", "éa"));
    assert!(matches(r"é\B.", "éé"));
}

#[test]
fn brackets_within_brackets_are_plain() {
    assert!(matches(r"^[[a]$", "["));
    assert!(matches(r"^[a&&b]+$", "a&b"));
    assert!(matches(r"^[a~~b]+$", "a~b"));
    assert!(matches(r"^[]a]+$", "]a"));
    assert!(matches(r"^[^]a]$", "b"));
    assert!(matches(r"^[[:word:]]+$", "a_1"));
    assert!(matches(r"^[[:x]+$", "[:x"));
    assert!(matches(r"^[a-c-]+$", "a-c"));
    assert!(compile("[a").is_err());
}

#[test]
fn escapes_of_punctuation_are_plain() {
    assert!(matches(r"^\<\>\_\/\-\ $".trim_end_matches(r"\ $"), "<>_/-"));
    assert!(matches(r"^\Qa.b*\Ec$", "a.b*c"));
    assert!(!matches(r"\Qa.b", "axb"));
    assert!(matches(r"^\101\07\x{42}\x43$", "A\u{7}BC"));
    assert!(matches(r"\b{start}", "a{start}"));
}

#[test]
fn braces_without_counts_are_plain() {
    assert!(matches("^a{2}$", "aa"));
    assert!(matches("^a{2,}$", "aaa"));
    assert!(matches("^{a{,2}}$", "{a{,2}}"));
    assert!(matches("a{x}", "a{x}"));
}

#[test]
fn what_go_refuses_is_refused() {
    for pattern in ["(", r"\1", r"\Z", r"\u0061", "(?x)a", "(?R)a", "(?=a)", r"\", r"[\", "a{2,1}"]
    {
        assert!(compile(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn groups_and_unicode_classes_go_over() {
    assert!(matches(r"^(?P<n>a)(?<m>b)(?:c)(?i-s:D)$", "abcd"));
    assert!(matches(r"^\pL\p{Greek}\P{Greek}\p{^Greek}\z", "aαaa"));
    let found = compile("(?P<n>a)").unwrap();
    assert_eq!(&found.captures("a").unwrap()["n"], "a");
}

#[test]
fn anchored_patterns_tell_how_matches_begin() {
    let sorted = |pattern: &str| {
        let mut found = prefixes(pattern)?;
        found.sort();
        Some(found)
    };
    assert_eq!(sorted("^/api/[a-z]+$"), Some(vec!["/api/".to_owned()]));
    assert_eq!(sorted("^/v[12]/"), Some(vec!["/v1/".to_owned(), "/v2/".to_owned()]));
    assert_eq!(sorted("^(?:/a|/b)$"), Some(vec!["/a".to_owned(), "/b".to_owned()]));
    for pattern in ["/api", "^/a|b", "(?m)^/a", "x^/a"] {
        assert_eq!(prefixes(pattern), None, "{pattern}");
    }
    let beginnings = prefixes("(?i)^/api/[^/]+").unwrap();
    assert!(beginnings.iter().all(|text| text.eq_ignore_ascii_case(&"/api/"[..text.len()])));
    assert!(prefixes("^.*").is_none_or(|texts| texts.iter().all(String::is_empty)));
}

#[test]
fn anchored_patterns_tell_how_matches_end() {
    assert_eq!(suffix(r"^[a-z]+\.example\.com$"), ".example.com");
    assert_eq!(suffix(r"^(a|b)\.example\.com$"), ".example.com");
    assert_eq!(suffix(r"^(a\.x|b\.y)\.com$"), ".com");
    for pattern in ["a", "^a", "a$|b", "(?m)a$", "a$x?", "^.*$", "a[xy]$"] {
        assert_eq!(suffix(pattern), "", "{pattern}");
    }
    let insensitive = suffix("(?i)^.+\\.ab$");
    assert!(".ab".ends_with(&insensitive), "{insensitive}");
}

#[test]
fn enormous_patterns_are_refused() {
    let error = compile("(a{1000}){1000}").unwrap_err();
    assert!(error.to_string().contains("too large"), "{error}");
}
