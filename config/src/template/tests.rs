use proptest::prelude::*;

use super::*;

fn data() -> BTreeMap<&'static str, Value> {
    let labels = [("com.example.host", "Web.Example"), ("empty", ""), ("env", "prod")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    BTreeMap::from([
        ("Name", Value::Text("web_my.proj".to_owned())),
        ("ContainerName", Value::Text("web-1".to_owned())),
        ("Labels", Value::Map(BTreeMap::from(labels))),
    ])
}

fn rendered(source: &str) -> Result<String, String> {
    let template = Template::parse(source).map_err(|error| error.0)?;
    template.render(&data()).map_err(|error| error.0)
}

fn all(cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        assert_eq!(rendered(source).as_deref(), Ok(*expected), "{source}");
    }
}

fn all_fail(cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        assert_eq!(rendered(source).unwrap_err(), *expected, "{source}");
    }
}

#[test]
fn text_without_actions_stays() {
    all(&[("", ""), ("Host(`a`) && {}", "Host(`a`) && {}"), ("a } }} b", "a } }} b")]);
}

#[test]
fn the_usual_rules_render() {
    all(&[
        ("Host(`{{ normalize .Name }}`)", "Host(`web-my-proj`)"),
        ("Host(`{{ .ContainerName }}.x`)", "Host(`web-1.x`)"),
        ("Host(`{{ index .Labels \"com.example.host\" | lower }}`)", "Host(`web.example`)"),
        ("Host(`{{ coalesce (index .Labels `nope`) .Name }}.x`)", "Host(`web_my.proj.x`)"),
        ("{{ .Name | trimPrefix `web_` | replace \".\" \"-\" }}", "my-proj"),
        ("{{ (split \"_\" .Name)._1 }}", "my.proj"),
        ("{{ splitList \"_\" .Name | first | upper }}", "WEB"),
    ]);
}

#[test]
fn a_missing_label_is_empty_text() {
    all(&[
        ("[{{ index .Labels \"nope\" }}]", "[]"),
        ("[{{ .Labels.nope }}]", "[]"),
        ("{{ .Labels.env }}", "prod"),
        ("{{ $.Labels.env }}", "prod"),
        ("{{ index .Labels \"nope\" | default \"x\" }}", "x"),
    ]);
}

#[test]
fn markers_trim_white_space() {
    all(&[
        ("a \n {{- .ContainerName -}} \t b", "aweb-1b"),
        ("a {{ .ContainerName -}} b", "a web-1b"),
        ("a {{- .ContainerName }} b", "aweb-1 b"),
        ("a {{- /* c */ -}} b", "ab"),
        ("a{{/* {{ x }} */}}b", "ab"),
        ("{{-1}}", "-1"),
    ]);
}

#[test]
fn conditions_choose_their_branch() {
    let source =
        "{{ if eq .Name \"x\" }}1{{ else if hasPrefix \"web\" .Name }}2{{ else }}3{{ end }}";
    all(&[
        (source, "2"),
        ("{{ if .Labels.nope }}a{{ end }}b", "b"),
        ("{{ if and .Labels.env (not .Labels.empty) }}a{{ else }}b{{ end }}", "a"),
        ("{{ if .Labels.env }}{{ if .Labels.nope }}a{{ else }}b{{ end }}c{{ end }}", "bc"),
    ]);
}

#[test]
fn variables_live_in_their_branch() {
    all(&[
        ("{{ $x := lower \"A\" }}{{ $x }}{{ $x = \"b\" }}{{ $x }}", "ab"),
        (
            "{{ $x := \"a\" }}{{ if true }}{{ $x = \"b\" }}{{ $x := \"c\" }}{{ $x }}{{ end }}{{ $x }}",
            "cb",
        ),
        ("{{ $l := .Labels }}{{ $l.env }}", "prod"),
    ]);
    all_fail(&[
        ("{{ $x }}", "variable `$x` is not declared"),
        ("{{ $x = 1 }}", "variable `$x` is not declared"),
        ("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", "variable `$x` is not declared"),
    ]);
}

#[test]
fn functions_of_go_work() {
    all(&[
        ("{{ and 1 0 2 }} {{ or \"\" \"a\" \"b\" }} {{ not 0 }}", "0 a true"),
        ("{{ eq .Name \"a\" \"web_my.proj\" }} {{ ne 1 2 }}", "true true"),
        ("{{ len .Name }} {{ len .Labels }}", "11 3"),
        ("{{ print 1 2 \"a\" 3 }}", "1 2a3"),
        (
            "{{ printf \"%s-%d-%q-%v-%t-%%\" \"a\" 3 \"b\\\"\" .ContainerName true }}",
            "a-3-\"b\\\"\"-web-1-true-%",
        ),
        ("{{ index (splitList \",\" \"a,b\") 1 }}", "b"),
        ("{{ true }} {{ nil | printf \"%v\" }}", "true <no value>"),
    ]);
}

#[test]
fn functions_of_sprig_work() {
    all(&[
        (
            "{{ contains \"my\" .Name }} {{ hasPrefix \"my\" .Name }} {{ hasSuffix \"proj\" .Name }}",
            "true false true",
        ),
        (
            "[{{ trim \" a \" }}] {{ trimAll \"-_\" \"_-a-_\" }} {{ trimSuffix \".proj\" .Name }}",
            "[a] a web_my",
        ),
        ("{{ lower \"ÀB\" }} {{ upper \"àb\" }} {{ quote .ContainerName }}", "àb ÀB \"web-1\""),
        (
            "{{ empty \"\" }} {{ ternary \"a\" \"b\" false }} {{ hasKey .Labels \"empty\" }}",
            "true b true",
        ),
        (
            "{{ substr 0 3 .Name }} {{ trunc 3 .Name }} {{ trunc -4 .Name }} {{ substr 4 -1 .Name }}",
            "web web proj my.proj",
        ),
        (
            "{{ splitList \"\" \"aé\" | join \"-\" }} {{ splitList \"_\" .Name | last }}",
            "a-é my.proj",
        ),
        ("{{ regexReplaceAll \"([a-z]+)_\" .Name \"${1}-\" }}", "web-my.proj"),
        ("{{ regexMatch \"^web\" .Name }} {{ regexFind \"[a-z]+$\" .Name }}", "true proj"),
        ("{{ toString 3 }}", "3"),
    ]);
}

#[test]
fn what_is_not_understood_is_named() {
    all_fail(&[
        ("{{ env \"HOME\" }}", "unknown function `env`"),
        ("{{ range .Labels }}{{ end }}", "`range` is not supported"),
        ("{{ with .Name }}{{ end }}", "`with` is not supported"),
        ("{{ . }}", "`.` is not supported without a field"),
        ("{{ .Nope }}", "there is no field `.Nope`"),
        ("{{ .Name.x }}", "`x` is asked of text"),
        ("{{ lower }}", "`lower` takes one argument, not 0"),
        ("{{ replace \"a\" .Name }}", "`replace` takes 3 arguments, not 2"),
        ("{{ default 1 2 3 }}", "`default` takes 1 to 2 arguments, not 3"),
        ("{{ eq 1 }}", "`eq` takes at least 2 arguments, not 1"),
        ("{{ lower 3 }}", "`lower`: expected text, found a number"),
        ("{{ eq 1 \"1\" }}", "`eq`: a number and text cannot be compared"),
        ("{{ print lower .Name }}", "put the call of `lower` in parentheses"),
        ("{{ .Name .Name }}", "only a function takes arguments"),
        ("{{ .Name | .Name }}", "a value is piped into something that is no function"),
        ("{{ }}", "a value is missing"),
        ("{{ lower | }}", "`lower` takes one argument, not 0"),
        ("{{ .Name", "an action is not closed by `}}`"),
        ("{{ (.Name }}", "a parenthesis is not closed"),
        ("{{ .Name) }}", "a closing parenthesis has no opening one"),
        ("{{ \"a }}", "quoted argument without closing quote"),
        ("{{/* a }}", "a comment is not closed"),
        ("{{ if .Name }}", "`if` without `end`"),
        ("{{ if .Name }}{{ else }}", "`if` without `end`"),
        ("{{ if .Name }}{{ else }}{{ else }}{{ end }}", "`else` follows `else`"),
        ("{{ else }}", "`else` without `if`"),
        ("{{ end }}", "`end` without `if`"),
        ("{{ 1.5 }}", "`1.5` is no whole number"),
        ("{{ 1a }}", "`1a` is no whole number"),
        ("{{ ? }}", "`?` is not understood"),
        ("{{ printf \"%x\" 1 }}", "`printf`: `%x` is not supported"),
        ("{{ printf \"%s\" }}", "`printf`: `%s` has no argument"),
        ("{{ index (splitList \",\" \"a\") 7 }}", "`index`: there is no element 7"),
    ]);
    assert!(rendered("{{ regexMatch \"(\" .Name }}").unwrap_err().starts_with("`regexMatch`: "));
}

#[test]
fn texts_are_bounded() {
    let double = |times: usize| {
        let mut source = "{{ $x := \"aaaaaaaa\" }}".to_owned();
        source.push_str(&"{{ $x = replace \"a\" \"aa\" $x }}".repeat(times));
        source
    };
    assert!(rendered(&double(10)).is_ok());
    assert_eq!(rendered(&double(20)).unwrap_err(), "`replace`: the text is too long");
    assert_eq!(
        rendered(&"0123456789abcdef".repeat(4097)).unwrap_err(),
        "the result is longer than 65536 bytes"
    );
    let growing = "{{ $x := \"aaaaaaaa\" }}".to_owned()
        + &"{{ $x = regexReplaceAll \"^.*$\" $x \"$0$0$0$0$0$0$0$0\" }}".repeat(20);
    assert_eq!(rendered(&growing).unwrap_err(), "`regexReplaceAll`: the text is too long");
}

#[test]
fn nesting_is_bounded() {
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(10_000), ")".repeat(10_000));
    assert_eq!(rendered(&deep).unwrap_err(), "nested too deeply");
    assert_eq!(rendered(&"{{ if 1 }}".repeat(10_000)).unwrap_err(), "nested too deeply");
    assert_eq!(rendered(&("{{ if 1 }}{{ end }}".repeat(1_000) + "x")).unwrap(), "x");
}

proptest! {
    #[test]
    fn any_text_parses_or_fails_cleanly(source in "([a-z. $()|\"`é-]|\\{\\{|\\}\\}|\\.Name|lower |if |else |end ){0,24}") {
        if let Ok(template) = Template::parse(&source) {
            let _ = template.render(&data());
        }
    }

    #[test]
    fn text_without_braces_renders_as_itself(text in "[^{]{0,40}") {
        prop_assert_eq!(rendered(&text), Ok(text));
    }
}
