//! The labels of the example give what its manual says.

use std::path::Path;

use super::*;

/// The services of a Compose file as containers.
fn containers(file: &Path) -> Vec<Container> {
    let content = std::fs::read_to_string(file).unwrap();
    let tree = text::parse(&content, Format::Yaml, "compose.yml").unwrap();
    let services = tree.child("services").and_then(|it| it.as_map()).unwrap();
    let labels = |service: &portcullis_config::tree::Tree| -> Vec<(String, String)> {
        let labels = service.child("labels").and_then(|it| it.as_map());
        let labels = labels.into_iter().flatten();
        labels.map(|(name, value)| (name.clone(), value.as_text().unwrap().to_owned())).collect()
    };
    let container = |(name, service): (&String, &portcullis_config::tree::Tree)| {
        let labels = labels(service);
        let labels: Vec<(&str, &str)> =
            labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        container(name, &labels)
    };
    services.iter().map(container).collect()
}

#[test]
fn the_labels_of_the_example_are_sound() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/docker-labels/compose.yml");
    let options = Docker { exposed_by_default: false, ..Docker::default() };
    let (lines, problems) = outcome_with(&options, containers(&file));
    assert_eq!(problems, [""; 0]);
    for expected in [
        "http.routers.shop.rule=Host(`shop.localhost`)",
        "http.routers.blog.rule=Host(`blog.localhost`)",
        "http.routers.blog.middlewares[0]=limited",
        "http.middlewares.limited.rateLimit.average=100",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}: {lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.starts_with("http.routers.portcullis")), "{lines:#?}");
}
