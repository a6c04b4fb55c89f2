use std::collections::{BTreeMap, HashMap};

use indexmap::IndexMap;
use serde::Deserialize;

use super::*;
use crate::tree::Node;
use crate::tree::text::{Format, parse};
use crate::units::Duration;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    number: i64,
    port: u16,
    share: f64,
    flag: bool,
    letter: char,
    text: String,
    list: Vec<String>,
    ports: Vec<u16>,
    span: Duration,
    level: Level,
    part: Option<Part>,
    own_part: Part,
    parts: Vec<Part>,
    named: IndexMap<String, Part>,
    texts: BTreeMap<String, String>,
    by_number: HashMap<u16, String>,
    maybe_flag: Option<bool>,
    maybe_text: Option<String>,
    rest: Option<Tree>,
    #[serde(rename = "rootCAs")]
    root_cas: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Level {
    #[default]
    Low,
    VeryHigh,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Part {
    name: String,
    weight: i64,
    inner: Option<Inner>,
}

impl Default for Part {
    fn default() -> Self {
        Self { name: "unnamed".to_owned(), weight: 1, inner: None }
    }
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Inner {
    urls: Vec<String>,
}

fn yaml(text: &str) -> Tree {
    parse(text, Format::Yaml, "test.yml").unwrap()
}

fn object(text: &str) -> Object {
    decode(&yaml(text)).unwrap()
}

fn message(text: &str) -> String {
    decode::<Object>(&yaml(text)).unwrap_err().message
}

#[test]
fn scalars_become_what_the_field_asks_for() {
    let object = object(
        "{number: '-3', port: 8080, share: 0.5, flag: 'True', letter: x, text: 1.10, span: 1m30s, level: veryhigh}",
    );
    assert_eq!(object.number, -3);
    assert_eq!(object.port, 8080);
    assert!((object.share - 0.5).abs() < f64::EPSILON);
    assert!(object.flag);
    assert_eq!(object.letter, 'x');
    assert_eq!(object.text, "1.10");
    assert_eq!(object.span, Duration::seconds(90));
    assert_eq!(object.level, Level::VeryHigh);
}

#[test]
fn field_names_match_in_any_case() {
    assert_eq!(object("{NUMBER: 3}").number, 3);
    assert_eq!(object("{ownpart: {NAME: x}}").own_part.name, "x");
    assert_eq!(object("{RootCas: [a]}").root_cas, ["a"]);
}

#[test]
fn one_field_in_two_spellings_is_a_mismatch() {
    assert_eq!(message("{text: a, Text: b}"), "`Text`: given twice, in two spellings");
}

#[test]
fn text_with_commas_is_a_list() {
    assert_eq!(object("list: 'a, b ,c'").list, ["a", "b", "c"]);
    assert_eq!(object("list: a").list, ["a"]);
    assert_eq!(object("list: ''").list, Vec::<String>::new());
    assert_eq!(object("list: 'a,,b,'").list, ["a", "b"]);
    assert_eq!(object("ports: 80,443").ports, [80, 443]);
}

#[test]
fn elements_of_a_real_list_keep_their_commas() {
    assert_eq!(object("list: ['a,b', c]").list, ["a,b", "c"]);
}

#[test]
fn a_map_of_indexes_is_a_list_in_their_order() {
    let parts = object("parts: {'10': {name: k}, '2': {name: c}, '0': {name: a}}").parts;
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["a", "c", "k"]);
    assert_eq!(message("parts: {a: {name: k}}"), "`parts`: expected a list, found a map");
    assert_eq!(object("list: {}").list, Vec::<String>::new());
}

#[test]
fn true_on_a_structure_is_all_defaults() {
    assert_eq!(object("{part: true, ownPart: 'TRUE'}").part, Some(Part::default()));
    assert_eq!(object("parts: true").parts, [Part::default()]);
}

#[test]
fn an_empty_structure_is_present_with_defaults() {
    assert_eq!(object("part: {}").part, Some(Part::default()));
    assert_eq!(object("named: {a: {}}").named["a"], Part::default());
}

#[test]
fn false_on_a_structure_is_absent() {
    assert_eq!(object("part: false").part, None);
    assert_eq!(object("{part: {inner: 'False', weight: 3}}").part.unwrap().weight, 3);
    assert_eq!(object("ownPart: false").own_part, Part::default());
    assert_eq!(object("{parts: [{name: a}, false]}").parts.len(), 1);
    assert_eq!(object("named: {a: false, b: true}").named.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(
        decode::<Object>(&Tree::scalar("false")).unwrap_err().message,
        "expected a map, found `false`"
    );
}

#[test]
fn optional_switches_and_texts_are_not_absent_when_false() {
    let object = object("{maybeFlag: false, maybeText: false}");
    assert_eq!(object.maybe_flag, Some(false));
    assert_eq!(object.maybe_text.as_deref(), Some("false"));
}

#[test]
fn maps_keep_their_keys() {
    let object = object("{texts: {X-Foo: a, x-foo: b}, byNumber: {418: tea}}");
    assert_eq!(object.texts["X-Foo"], "a");
    assert_eq!(object.texts["x-foo"], "b");
    assert_eq!(object.by_number[&418], "tea");
    assert_eq!(message("byNumber: {tea: x}"), "`byNumber.tea`: expected an integer, found `tea`");
}

#[test]
fn a_tree_arrives_verbatim() {
    let tree = yaml("rest:\n  a: [1.10, x]\n");
    let rest = decode::<Object>(&tree).unwrap().rest.unwrap();
    let a = rest.child("a").unwrap();
    assert_eq!(a, &Tree::list(vec![Tree::scalar("1.10"), Tree::scalar("x")]));
    let Node::List(elements) = &a.node else { panic!("no list") };
    assert_eq!(format!("{:?}", elements[1].at.clone().unwrap()), "test.yml:2:13");
    assert_eq!(decode::<Tree>(&tree).unwrap(), tree);
}

#[test]
fn other_formats_give_trees_too() {
    let tree: Tree = serde_json::from_str(r#"{"a": [1, true, 0.5, "x"]}"#).unwrap();
    let elements = ["1", "true", "0.5", "x"].map(Tree::scalar).to_vec();
    assert_eq!(tree.child("a").unwrap(), &Tree::list(elements));
    assert_eq!(serde_json::to_string(&tree).unwrap(), r#"{"a":["1","true","0.5","x"]}"#);
}

#[test]
fn a_mismatch_names_path_expectation_and_finding() {
    for (text, expected) in [
        ("number: abc", "`number`: expected an integer, found `abc`"),
        ("number: ''", "`number`: expected an integer, found nothing"),
        ("port: 70000", "`port`: expected an integer from 0 to 65535, found `70000`"),
        ("port: -1", "`port`: expected an integer from 0 to 65535, found `-1`"),
        ("share: much", "`share`: expected a number, found `much`"),
        ("flag: yes", "`flag`: expected `true` or `false`, found `yes`"),
        ("letter: ab", "`letter`: expected a single character, found `ab`"),
        ("text: [a]", "`text`: expected text, found a list"),
        ("text: {a: b}", "`text`: expected text, found a map"),
        ("level: mid", "`level`: expected one of `low`, `veryHigh`, found `mid`"),
        ("part: abc", "`part`: expected a map, found `abc`"),
        ("part: [a]", "`part`: expected a map, found a list"),
        ("texts: abc", "`texts`: expected a map, found `abc`"),
        ("parts: [{name: a}, {weight: b}]", "`parts[1].weight`: expected an integer, found `b`"),
        (
            "named: {x: {inner: {urls: [[a]]}}}",
            "`named.x.inner.urls[0]`: expected text, found a list",
        ),
        ("ports: 80,x", "`ports[1]`: expected an integer, found `x`"),
        (
            "span: soon",
            "`span`: expected a duration such as `30s`, `1m30s` or whole seconds, found `soon`",
        ),
    ] {
        assert_eq!(message(text), expected, "{text}");
    }
}

#[test]
fn an_unknown_field_is_a_mismatch_with_the_nearest_name() {
    assert_eq!(message("nubmer: 1"), "unknown field `nubmer`; did you mean `number`?");
    assert_eq!(
        message("part: {inner: {url: x}}"),
        "unknown field `part.inner.url`; did you mean `urls`?"
    );
    assert_eq!(
        message("part: {banana: x}"),
        "unknown field `part.banana`; the fields are `name`, `weight`, `inner`"
    );
    assert_eq!(
        message("part: {inner: {banana: x}}"),
        "unknown field `part.inner.banana`; the only field is `urls`"
    );
    assert_eq!(message("banana: 1"), "unknown field `banana`");
}

#[test]
fn a_mismatch_has_the_most_precise_place() {
    let tree = yaml("parts:\n- name: a\n- weight: b\n");
    let mismatch = decode::<Object>(&tree).unwrap_err();
    assert_eq!(mismatch.path, "parts[1].weight");
    assert_eq!(format!("{:?}", mismatch.at.unwrap()), "test.yml:3:11");
}

#[test]
fn collecting_goes_on_behind_each_mismatch() {
    let tree =
        yaml("{number: x, port: 80, part: {weight: y, name: n, nmae: z}, list: [a, [b]], own: 1}");
    let (object, mismatches) = decode_collect::<Object>(&tree);
    let object = object.unwrap();
    assert_eq!((object.number, object.port), (0, 80));
    assert_eq!(object.part, Some(Part { name: "n".to_owned(), ..Part::default() }));
    assert_eq!(object.list, ["a"]);
    let mut paths: Vec<&str> = mismatches.iter().map(|mismatch| mismatch.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["list[1]", "number", "own", "part.nmae", "part.weight"]);
}

#[test]
fn collecting_gives_nothing_for_the_wrong_shape() {
    let (object, mismatches) = decode_collect::<Object>(&Tree::scalar("abc"));
    assert!(object.is_none());
    assert_eq!(mismatches.len(), 1);

    #[derive(Debug, Deserialize)]
    struct Strict {
        #[serde(rename = "needed")]
        _needed: String,
    }
    let (strict, mismatches) = decode_collect::<Strict>(&Tree::default());
    assert!(strict.is_none());
    assert_eq!(mismatches[0].message, "field `needed` is required");
}

#[test]
fn other_names_of_a_field_match_in_any_case() {
    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Renamed {
        #[serde(alias = "oldName")]
        new: u8,
    }
    assert_eq!(decode(&yaml("OLDNAME: 3")), Ok(Renamed { new: 3 }));
    assert_eq!(decode(&yaml("new: 3")), Ok(Renamed { new: 3 }));
    assert!(decode::<Renamed>(&yaml("{oldName: 3, new: 4}")).is_err());
}

#[test]
fn mismatches_are_bounded() {
    let entries = (0..1000).map(|index| (format!("x{index}"), Tree::scalar("1")));
    let (object, mismatches) = decode_collect::<Object>(&Tree::map(entries));
    assert!(object.is_none());
    assert_eq!(mismatches.len(), MISMATCH_LIMIT);
}

#[test]
fn elements_are_found_in_every_form_of_list() {
    let tree = Tree::list(vec![Tree::scalar("a")]);
    assert_eq!(elements(&tree).unwrap(), [&Tree::scalar("a")]);
    assert!(elements(&Tree::default()).unwrap().is_empty());
    assert!(elements(&Tree::scalar("")).unwrap().is_empty());
    assert_eq!(elements(&yaml("{x: 1}")).unwrap_err().message, "expected a list, found a map");
}
