//! The arrows between rooms point down: reads every `use crate::` and every crate's dependencies.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers of `src`, from the ground. A module may name its own and lower layers.
const LAYERS: &[(&str, u8)] = &[
    ("install", 0),
    ("net", 1),
    ("h1", 1),
    ("observe", 1),
    ("tls", 2),
    ("upstream", 3),
    ("http", 4),
    ("tcp", 4),
    ("udp", 4),
    ("snapshot", 5),
    ("reload", 6),
    ("api", 6),
    ("mesh", 6),
    ("entrypoint", 7),
    ("worker", 7),
    ("cli", 8),
    ("demo", 8),
    ("explain", 8),
    ("gateway", 8),
];

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The module below `src` that a file belongs to: `src/net/listen.rs` is `net`.
fn module_of(file: &Path) -> String {
    let below = file.strip_prefix(root().join("src")).unwrap();
    let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The names that follow `crate::` outside comments.
fn named(text: &str) -> Vec<String> {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let mut names = Vec::new();
    for line in code {
        for rest in line.split("crate::").skip(1) {
            names.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    names
}

#[test]
fn arrows_inside_the_gateway_point_down() {
    let layers: BTreeMap<&str, u8> = LAYERS.iter().copied().collect();
    let mut wrong = Vec::new();
    for file in rust_files(&root().join("src")) {
        let module = module_of(&file);
        if module == "lib" || module == "main" {
            continue;
        }
        let own = layers.get(&*module).unwrap_or_else(|| panic!("`{module}` has no layer"));
        for name in named(&fs::read_to_string(&file).unwrap()) {
            match layers.get(&*name) {
                Some(other) if other <= own => {}
                Some(_) => wrong.push(format!("{}: {module} names {name}", file.display())),
                None => {}
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point up:\n{}", wrong.join("\n"));
}

#[test]
fn arrows_between_crates_point_down() {
    let allowed: &[(&str, &[&str])] = &[
        ("config", &[]),
        ("middlewares", &["portcullis_config"]),
        ("providers", &["portcullis_config"]),
    ];
    for (directory, may) in allowed {
        for file in rust_files(&root().join(directory)) {
            let text = fs::read_to_string(&file).unwrap();
            let own = format!("portcullis_{directory}");
            for rest in text.split("portcullis_").skip(1) {
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
                let name = format!("portcullis_{name}");
                let is_crate = ["config", "middlewares", "providers"]
                    .iter()
                    .any(|crate_name| name == format!("portcullis_{crate_name}"));
                let fine = !is_crate || name == own || may.contains(&&*name);
                assert!(fine, "{} names {name}", file.display());
            }
        }
    }
}

#[test]
fn the_test_finds_names() {
    assert_eq!(named("use crate::net::task; // crate::api\nx(crate::http::y)"), ["net", "http"]);
}
