use super::*;

/// The place of the node at `path`, `line:column`.
fn place(tree: &Tree, path: &[&str]) -> String {
    let node = path.iter().fold(tree, |tree, step| match &tree.node {
        Node::List(trees) => &trees[step.parse::<usize>().unwrap()],
        _ => tree.child(step).unwrap_or_else(|| panic!("no `{step}` in {tree:?}")),
    });
    let at = node.at.as_ref().unwrap();
    format!("{}:{}", at.line, at.column)
}

fn text<'a>(tree: &'a Tree, path: &[&str]) -> &'a str {
    path.iter().fold(tree, |tree, step| tree.child(step).unwrap()).as_text().unwrap()
}

fn yaml(text: &str) -> Tree {
    parse(text, Format::Yaml, "a.yml").unwrap()
}

fn toml(text: &str) -> Tree {
    parse(text, Format::Toml, "a.toml").unwrap()
}

fn error(text: &str, format: Format) -> String {
    let mismatch = parse(text, format, "f").unwrap_err();
    format!("{:?}: {}", mismatch.at.unwrap(), mismatch.message)
}

#[test]
fn endings_tell_formats() {
    let format = |path: &str| Format::of(std::path::Path::new(path));
    assert_eq!(format("a/b.toml"), Some(Format::Toml));
    assert_eq!(format("a/b.YAML"), Some(Format::Yaml));
    assert_eq!(format("b.yml"), Some(Format::Yaml));
    assert_eq!(format("b.json"), Some(Format::Json));
    assert_eq!(format("b.txt"), None);
    assert_eq!(format("toml"), None);
}

#[test]
fn yaml_nodes_have_exact_places() {
    let tree = yaml(
        "# c\nhttp:\n  routers:\n    wéb:   \n      rule: 'x'\n      list: [a, b]\n      block:\n      - c\n      - d: 1\n",
    );
    assert_eq!(place(&tree, &["http"]), "2:1");
    assert_eq!(place(&tree, &["http", "routers", "wéb"]), "4:5");
    assert_eq!(place(&tree, &["http", "routers", "wéb", "rule"]), "5:13");
    assert_eq!(place(&tree, &["http", "routers", "wéb", "list"]), "6:7");
    assert_eq!(place(&tree, &["http", "routers", "wéb", "list", "1"]), "6:17");
    assert_eq!(place(&tree, &["http", "routers", "wéb", "block", "0"]), "8:9");
    assert_eq!(place(&tree, &["http", "routers", "wéb", "block", "1"]), "9:9");
    assert_eq!(place(&tree, &["http", "routers", "wéb", "block", "1", "d"]), "9:12");
    assert_eq!(tree.child("http").unwrap().at.as_ref().unwrap().source.as_ref(), "a.yml");
}

#[test]
fn toml_nodes_have_exact_places() {
    let tree = toml(
        "# c\n[http.routers.web]\n  rule = 'x'\n  list = ['é', \"b\"]\n  inline = { a = 1 }\n\n[[tls.certificates]]\ncertFile = 'c'\n[[tls.certificates]]\ncertFile = 'd'\n",
    );
    assert_eq!(place(&tree, &["http"]), "2:2");
    assert_eq!(place(&tree, &["http", "routers", "web"]), "2:15");
    assert_eq!(place(&tree, &["http", "routers", "web", "rule"]), "3:10");
    assert_eq!(place(&tree, &["http", "routers", "web", "list"]), "4:3");
    assert_eq!(place(&tree, &["http", "routers", "web", "list", "1"]), "4:16");
    assert_eq!(place(&tree, &["http", "routers", "web", "inline", "a"]), "5:18");
    assert_eq!(place(&tree, &["tls", "certificates", "0", "certFile"]), "8:12");
    assert_eq!(place(&tree, &["tls", "certificates", "1", "certFile"]), "10:12");
}

#[test]
fn entries_keep_the_order_of_the_text() {
    let keys = |tree: &Tree| tree.as_map().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&yaml("z: 1\na: 2\nm: 3")), ["z", "a", "m"]);
    assert_eq!(keys(&toml("z = 1\na = 2\nm = 3")), ["z", "a", "m"]);
    assert_eq!(keys(&parse(r#"{"z": 1, "a": 2}"#, Format::Json, "f").unwrap()), ["z", "a"]);
}

#[test]
fn numbers_and_switches_keep_their_spelling() {
    let tree = yaml(
        "a: 1.10\nb: 0x1F # c\nc: True\nd: 1_000\ne: 007\nf: 1e3\ng: '1.0'\nh: 0o17\ni: yes\nj: .inf\nk: 1e999\nl: 99999999999999999999999\nm: -0\n",
    );
    let expected = [
        ("a", "1.10"),
        ("b", "0x1F"),
        ("c", "True"),
        ("d", "1_000"),
        ("e", "007"),
        ("f", "1e3"),
        ("g", "1.0"),
        ("h", "0o17"),
        ("i", "yes"),
        ("j", ".inf"),
        ("k", "1e999"),
        ("l", "99999999999999999999999"),
        ("m", "-0"),
    ];
    for (key, spelling) in expected {
        assert_eq!(text(&tree, &[key]), spelling, "{key}");
    }
    let tree = toml("a = 1.10\nb = 0x1F # c\nc = 1_000\nd = true\ne = 1979-05-27T07:32:00Z\n");
    for (key, spelling) in
        [("a", "1.10"), ("b", "0x1F"), ("c", "1_000"), ("d", "true"), ("e", "1979-05-27T07:32:00Z")]
    {
        assert_eq!(text(&tree, &[key]), spelling, "{key}");
    }
}

#[test]
fn numeric_keys_are_text() {
    let tree = yaml("418: 404\n1.10: x\ntrue: y\n");
    assert_eq!(text(&tree, &["418"]), "404");
    assert_eq!(text(&tree, &["1.10"]), "x");
    assert_eq!(text(&tree, &["true"]), "y");
}

#[test]
fn keys_without_value_are_absent() {
    let tree = yaml("a:\nb: ~\nc: null\nd: ''\ne: [x, null]\n");
    assert_eq!(tree.as_map().unwrap().keys().collect::<Vec<_>>(), ["d", "e"]);
    assert_eq!(tree.child("e").unwrap(), &Tree::list(vec![Tree::scalar("x"), Tree::scalar("")]));
    let tree = parse(r#"{"a": null, "b": [null]}"#, Format::Json, "f").unwrap();
    assert_eq!(tree.as_map().unwrap().keys().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn anchors_aliases_and_merge_keys_work() {
    let tree = yaml("base: &base\n  a: 1\n  b: 2\nuse:\n  <<: *base\n  b: 3\nsame: *base\n");
    assert_eq!(text(&tree, &["use", "a"]), "1");
    assert_eq!(text(&tree, &["use", "b"]), "3");
    assert_eq!(text(&tree, &["same", "b"]), "2");
    assert_eq!(place(&tree, &["same", "b"]), "3:6");
}

#[test]
fn own_entries_win_over_merged_ones_wherever_they_stand() {
    let tree = yaml(
        "a: &a {x: 1, y: 1, z: 1}\nb: &b {x: 2, w: 2}\nc:\n  y: 3\n  <<: [*b, *a]\n  z:\n'<<': d\n",
    );
    let c = tree.child("c").unwrap();
    for (key, value) in [("x", "2"), ("w", "2"), ("y", "3")] {
        assert_eq!(text(c, &[key]), value, "{key}");
    }
    assert!(c.child("z").is_none(), "an own null hides what is merged");
    assert_eq!(text(&tree, &["<<"]), "d");
    assert!(error("a: {<<: x}", Format::Yaml).contains("`<<` expects a map or a list of maps"));
}

#[test]
fn tags_decide_what_is_null() {
    let tree = yaml("a: !!str null\nb: !!null x\nc: !custom y\nd: !!str\n");
    assert_eq!(tree.as_map().unwrap().keys().collect::<Vec<_>>(), ["a", "c", "d"]);
    assert_eq!(text(&tree, &["a"]), "null");
    assert_eq!(text(&tree, &["d"]), "");
}

#[test]
fn keys_must_be_text() {
    assert!(error("? [a]\n: b\n", Format::Yaml).contains("a key must be text"));
    assert!(error("? {a: b}\n: b\n", Format::Yaml).contains("a key must be text"));
    assert!(error("~: b\n", Format::Yaml).contains("a key must be text"));
}

#[test]
fn aliases_need_a_complete_anchor() {
    assert!(error("a: *x\n", Format::Yaml).starts_with("f:1:4: invalid YAML"));
    assert!(error("a: &x [*x]\n", Format::Yaml).contains("within what it refers to"));
    assert!(yaml("a: &x null\nb: *x\n").as_map().unwrap().is_empty());
}

#[test]
fn aliases_cannot_add_up_to_deep_nesting() {
    let nested = |inner: &str| format!("{}{inner}{}", "[".repeat(40), "]".repeat(40));
    let text = format!("a: &a {}\nb: {}\n", nested("1"), nested("*a"));
    assert!(error(&text, Format::Yaml).contains("nested too deeply"));
}

#[test]
fn one_anchor_may_serve_many_routers() {
    let mut text = "x: &x {a: 1, b: [2]}\n".to_owned();
    text.extend((0..2000).map(|index| format!("r{index}: {{<<: *x, c: {index}}}\n")));
    assert_eq!(super::super::flat::unfold(&yaml(&text)).len(), 2 + 2000 * 3);
}

#[test]
fn alias_bombs_are_refused() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..10 {
        let below = level - 1;
        let aliases = vec![format!("*a{below}"); 10].join(",");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(error(&bomb, Format::Yaml).contains("invalid YAML"));
}

fn deep(open: &str, close: &str) -> String {
    format!("{}1{}", open.repeat(5000), close.repeat(5000))
}

#[test]
fn deep_yaml_is_refused() {
    assert!(parse(&format!("a: {}", deep("[", "]")), Format::Yaml, "f").is_err());
    let lines: Vec<String> = (0..5000).map(|depth| format!("{}a:", " ".repeat(depth))).collect();
    assert!(parse(&lines.join("\n"), Format::Yaml, "f").is_err());
}

#[test]
fn the_deepest_yaml_fits_a_small_stack() {
    let parsed = std::thread::Builder::new().stack_size(512 * 1024).spawn(|| {
        let text = format!("{}1{}", "{a: ".repeat(64), "}".repeat(64));
        parse(&text, Format::Yaml, "f").map(|tree| super::super::flat::unfold(&tree).len())
    });
    assert_eq!(parsed.unwrap().join().unwrap(), Ok(1));
}

#[test]
fn deep_toml_is_refused() {
    assert!(parse(&format!("a = {}", deep("[", "]")), Format::Toml, "f").is_err());
    assert!(parse(&format!("a = {}", deep("{ a = ", "}")), Format::Toml, "f").is_err());
}

#[test]
fn long_toml_keys_are_refused() {
    let key = vec!["a"; 5000].join(".");
    assert!(parse(&format!("{key} = 1"), Format::Toml, "f").is_err());
    assert!(parse(&format!("[{key}]\nx = 1"), Format::Toml, "f").is_err());
    assert!(parse(&format!("a = {{ {key} = 1 }}"), Format::Toml, "f").is_err());
}

#[test]
fn deep_json_is_refused() {
    assert!(parse(&format!("{{\"a\": {}}}", deep("[", "]")), Format::Json, "f").is_err());
    assert!(parse(&deep("{\"a\":", "}"), Format::Json, "f").is_err());
}

#[test]
fn duplicate_keys_are_refused() {
    assert!(error("a: 1\nb: 2\na: 3\n", Format::Yaml).starts_with("f:3:1: invalid YAML: "));
    assert!(error("a = 1\nb = 2\na = 3\n", Format::Toml).starts_with("f:3:1: invalid TOML: "));
    assert_eq!(
        error(r#"{"a": 1, "a": 2}"#, Format::Json),
        "f:1:16: invalid JSON: duplicate key `a`"
    );
}

#[test]
fn syntax_errors_have_their_place_in_one_line() {
    for (text, format, start) in [
        ("a: 1\nb: [x\n", Format::Yaml, "f:"),
        ("a: 1\nb: [x}\n", Format::Yaml, "f:2:"),
        ("a: 1\nb: 'x\n", Format::Yaml, "f:"),
        ("a = 1\nb = \n", Format::Toml, "f:2:"),
        ("{\"a\": }", Format::Json, "f:1:7: invalid JSON"),
    ] {
        let message = error(text, format);
        assert!(message.starts_with(start), "{message}");
        assert!(!message.contains('\n') && !message.contains(" line "), "{message}");
    }
}

#[test]
fn several_documents_are_refused() {
    assert!(error("a: 1\n---\nb: 2\n", Format::Yaml).contains("invalid YAML"));
    assert_eq!(text(&yaml("---\na: 1\n"), &["a"]), "1");
}

#[test]
fn the_top_must_be_a_map() {
    assert_eq!(error("- a\n", Format::Yaml), "f:1:1: expected a map at the top, found a list");
    assert_eq!(
        error("abc", Format::Yaml),
        "f:1:1: expected a map at the top, found a single value"
    );
    assert_eq!(error("[]", Format::Json), "f: expected a map at the top, found a list");
}

#[test]
fn empty_text_is_an_empty_map() {
    for format in [Format::Toml, Format::Yaml, Format::Json] {
        for text in ["", " \n", "\u{feff}"] {
            assert_eq!(parse(text, format, "f").unwrap(), Tree::default());
        }
    }
    for text in ["# only a comment\n", "---\n", "~"] {
        assert_eq!(parse(text, Format::Yaml, "f").unwrap(), Tree::default(), "{text}");
    }
    assert_eq!(parse("# only a comment\n", Format::Toml, "f").unwrap(), Tree::default());
}

#[test]
fn templates_are_text_like_any_other() {
    assert_eq!(text(&yaml("a: 'x {{ env \"Y\" }}'"), &["a"]), "x {{ env \"Y\" }}");
    assert_eq!(text(&toml("a = 'x {{ .Y }}'"), &["a"]), "x {{ .Y }}");
}

#[test]
fn block_text_and_escapes_are_read() {
    let tree = yaml("a: |\n  x\n  y\nb: >-\n  x\n  y\nc: \"\\u00e9\\n\"\nd: plain text # c\n");
    assert_eq!(text(&tree, &["a"]), "x\ny\n");
    assert_eq!(text(&tree, &["b"]), "x y");
    assert_eq!(text(&tree, &["c"]), "é\n");
    assert_eq!(text(&tree, &["d"]), "plain text");
}

mod any {
    use proptest::prelude::*;

    use super::*;

    fn trees() -> impl Strategy<Value = Tree> {
        let text =
            || prop_oneof!["[ -~é\u{1F600}\n\t]{0,8}", "null|~|true|1\\.0|<<|-|\\? |\\{\\{x\\}\\}"];
        let leaf = text().prop_map(Tree::scalar);
        let inner = leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::list),
                prop::collection::btree_map(text(), inner, 0..4).prop_map(Tree::map),
            ]
        });
        prop::collection::btree_map(text(), inner, 0..4).prop_map(Tree::map)
    }

    proptest! {
        #[test]
        fn json_is_read_alike_as_json_and_as_yaml(tree in trees()) {
            let text = serde_json::to_string_pretty(&tree).unwrap();
            prop_assert_eq!(&parse(&text, Format::Json, "f").unwrap(), &tree);
            prop_assert_eq!(&parse(&text, Format::Yaml, "f").unwrap(), &tree);
        }

        #[test]
        fn any_text_is_a_map_or_a_mismatch_with_a_place(
            text in "(a|b: |- |\\? |: |\\[|\\]|\\{|\\}|,|&x |\\*x|<<: |!!str |\"|'|=|\\.|#| |\n|\n  |é|\\||>|---|\t){0,24}",
        ) {
            for format in [Format::Toml, Format::Yaml, Format::Json] {
                match parse(&text, format, "f") {
                    Ok(tree) => prop_assert!(tree.as_map().is_some()),
                    Err(mismatch) => prop_assert!(mismatch.at.is_some()),
                }
            }
        }
    }
}
