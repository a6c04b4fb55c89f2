use super::*;

fn labels<'a>(pairs: &[(&'a str, &'a str)]) -> Result<Tree, Mismatch> {
    fold(pairs.iter().copied(), |key| format!("label {key}"))
}

fn text(tree: &Tree, path: &[&str]) -> Option<String> {
    let end = path.iter().try_fold(tree, |tree, key| tree.child(key))?;
    end.as_text().map(str::to_owned)
}

#[test]
fn dotted_keys_become_maps() {
    let tree = labels(&[("a.b", "1"), ("a.c.d", "2"), ("e", "3")]).unwrap();
    assert_eq!(text(&tree, &["a", "b"]).unwrap(), "1");
    assert_eq!(text(&tree, &["a", "c", "d"]).unwrap(), "2");
    assert_eq!(text(&tree, &["e"]).unwrap(), "3");
}

#[test]
fn brackets_become_lists_in_the_order_of_their_indexes() {
    let tree = labels(&[("d[10].main", "k"), ("d[2].main", "c"), ("d[0].main", "a")]).unwrap();
    let Node::List(elements) = &tree.child("d").unwrap().node else { panic!("no list: {tree:?}") };
    let mains: Vec<String> = elements.iter().map(|e| text(e, &["main"]).unwrap()).collect();
    assert_eq!(mains, ["a", "c", "k"]);
}

#[test]
fn lists_of_lists_and_bare_elements_fold() {
    let tree = labels(&[("m[0][1]", "b"), ("m[0][0]", "a"), ("m[01]", "c")]).unwrap();
    let inner = Tree::list(vec![Tree::scalar("a"), Tree::scalar("b")]);
    assert_eq!(tree.child("m").unwrap(), &Tree::list(vec![inner, Tree::scalar("c")]));
}

#[test]
fn both_forms_of_an_index_may_be_mixed() {
    let tree = labels(&[("d.0.main", "a"), ("d[1].main", "b"), ("d.1.sans", "c")]).unwrap();
    let Node::List(elements) = &tree.child("d").unwrap().node else { panic!("no list: {tree:?}") };
    assert_eq!(elements.len(), 2);
    assert_eq!(text(&elements[1], &["sans"]).unwrap(), "c");
}

#[test]
fn numeric_names_stay_a_map_because_they_may_be_names() {
    let tree = labels(&[("rewrites.404", "200")]).unwrap();
    assert_eq!(text(&tree, &["rewrites", "404"]).unwrap(), "200");
}

#[test]
fn keys_meet_in_any_case_under_the_first_spelling() {
    let tree =
        labels(&[("http.Routers.Web.rule", "r"), ("HTTP.routers.web.Service", "s")]).unwrap();
    let routers = tree.child("http").unwrap().child("routers").unwrap().as_map().unwrap();
    assert_eq!(routers.keys().collect::<Vec<_>>(), ["Web"]);
    assert_eq!(text(&routers["Web"], &["service"]).unwrap(), "s");
}

#[test]
fn places_name_the_pair() {
    let tree = labels(&[("a.b", "1")]).unwrap();
    let at = tree.child("a").unwrap().child("b").unwrap().at.clone().unwrap();
    assert_eq!(format!("{at:?}"), "label a.b");
}

#[test]
fn true_beside_fields_only_says_that_they_are_there() {
    for pairs in [[("tls", "true"), ("tls.options", "x")], [("tls.options", "x"), ("tls", "True")]]
    {
        assert_eq!(text(&labels(&pairs).unwrap(), &["tls", "options"]).unwrap(), "x");
    }
}

#[test]
fn false_beside_fields_takes_them_away() {
    for pairs in
        [[("tls", "false"), ("tls.options", "x")], [("tls.options", "x"), ("tls", "false")]]
    {
        assert_eq!(text(&labels(&pairs).unwrap(), &["tls"]).unwrap(), "false");
    }
}

#[test]
fn a_value_and_fields_at_one_key_are_a_mismatch() {
    let message = |pairs: &[(&'static str, &'static str)]| labels(pairs).unwrap_err().message;
    assert_eq!(
        message(&[("a", "x"), ("a.b", "y")]),
        "`a.b`: `a` is a value already and cannot have fields"
    );
    assert_eq!(
        message(&[("a.b", "y"), ("a", "x")]),
        "`a`: a value is given here although there are fields below"
    );
    assert_eq!(message(&[("a[0]", "x"), ("a.b", "y")]), "`a.b`: indexes and names are mixed");
}

#[test]
fn one_key_in_two_spellings_with_two_values_is_a_mismatch() {
    let mismatch = labels(&[("a.Rule", "x"), ("a.rule", "y")]).unwrap_err();
    assert_eq!(mismatch.message, "`a.rule`: `a.Rule` is the same key with another value");
    assert_eq!(format!("{:?}", mismatch.at.unwrap()), "label a.rule");
    assert!(labels(&[("a.Rule", "x"), ("a.rule", "x")]).is_ok());
}

#[test]
fn the_last_of_equal_keys_wins() {
    let tree = labels(&[("a", "1"), ("a", "2")]).unwrap();
    assert_eq!(text(&tree, &["a"]).unwrap(), "2");
}

#[test]
fn malformed_keys_are_mismatches() {
    for key in ["", "a..b", ".a", "a.", "[0]", "a[x].b", "a[].b", "a[0]x[1]", "a[4097]", "a[+1]"] {
        assert!(labels(&[(key, "v")]).is_err(), "{key}");
    }
}

#[test]
fn depth_is_bounded() {
    assert!(labels(&[(&vec!["a"; 64].join("."), "v")]).is_ok());
    assert!(labels(&[(&vec!["a"; 65].join("."), "v")]).is_err());
    assert!(labels(&[(&format!("a{}", "[0]".repeat(64)), "v")]).is_err());
}

#[test]
fn empty_maps_and_lists_unfold_to_what_is_decoded_alike() {
    let tree = Tree::map([
        ("map".to_owned(), Tree::default()),
        ("list".to_owned(), Tree::list(Vec::new())),
    ]);
    let pairs = unfold(&tree);
    assert_eq!(pairs, [("map", "true"), ("list", "")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    assert_eq!(unfold(&Tree::default()), []);
}

mod folding {
    use proptest::prelude::*;

    use super::*;

    /// Trees that pairs can express: no empty maps or lists, names that differ in more than case.
    fn trees() -> impl Strategy<Value = Tree> {
        let leaf = "[ -~]{1,8}".prop_map(Tree::scalar);
        let inner = leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(Tree::list),
                prop::collection::btree_map("[a-z0-9-]{1,4}", inner, 1..4).prop_map(Tree::map),
            ]
        });
        prop::collection::btree_map("[a-z]{1,4}", inner, 1..4).prop_map(Tree::map)
    }

    proptest! {
        #[test]
        fn folding_undoes_unfolding(tree in trees()) {
            let pairs = unfold(&tree);
            let pairs = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            prop_assert_eq!(fold(pairs, str::to_owned).unwrap(), tree);
        }

        #[test]
        fn any_keys_fold_or_fail_cleanly(keys in prop::collection::vec("[a-b.\\[\\]0-9]{0,12}", 0..8)) {
            let pairs = keys.iter().map(|key| (key.as_str(), "x"));
            if let Err(mismatch) = fold(pairs, str::to_owned) {
                prop_assert!(mismatch.at.is_some());
            }
        }
    }
}
