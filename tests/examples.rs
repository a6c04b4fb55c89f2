//! Every example loads without a problem, as `portcullis check` sees it.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The files of an example in a folder of their own, where it may make more.
fn copy(example: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(examples().join(example)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn portcullis(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).current_dir(folder).env_clear().output().unwrap()
}

/// What `check` says of the example's install file must be: nothing.
fn is_sound(folder: &Path) {
    let output = portcullis(folder, &["check", "--configFile=install.toml"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("0 errors, 0 warnings in "), "{text}");
    assert!(!text.contains(" in 0 routers"), "{text}");
    assert!(output.status.success());
}

#[test]
fn files_load() {
    is_sound(&examples().join("file"));
}

#[test]
fn middlewares_load() {
    is_sound(&examples().join("middlewares"));
}

#[test]
fn tcp_and_udp_load() {
    is_sound(&examples().join("tcp"));
    is_sound(&examples().join("udp"));
}

#[test]
fn certificates_load() {
    let folder = copy("tls");
    let made = Command::new("./certificate").current_dir(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    is_sound(folder.path());
}

/// The flags of the gateway in the Compose file are real; `providers` tests its labels.
#[test]
fn flags_of_containers_load() {
    let text = std::fs::read_to_string(examples().join("docker-labels/compose.yml")).unwrap();
    let words = text.lines().map(|line| line.trim().trim_start_matches("- "));
    let flags: Vec<&str> = words.filter(|word| word.starts_with("--")).collect();
    assert!(flags.len() >= 5, "{flags:?}");
    let output = portcullis(&examples(), &[&["check"], &*flags].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("0 errors, 0 warnings in "), "{text}");
}

/// The first block of `language` in the README.
fn block<'a>(readme: &'a str, language: &str) -> &'a str {
    let (_, rest) = readme.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

#[test]
fn the_files_of_the_readme_load() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("install.toml"), block(&readme, "toml")).unwrap();
    std::fs::write(folder.path().join("routing.yml"), block(&readme, "yaml")).unwrap();
    is_sound(folder.path());
    let url = "http://site.localhost:8000/shop/cart";
    let output = portcullis(folder.path(), &["explain", "GET", url, "--configFile=install.toml"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("site@file"), "{text}");
}

#[test]
fn every_example_is_loaded_by_a_test() {
    let known = ["README.md", "docker-labels", "file", "middlewares", "tcp", "tls", "udp"];
    let mut found: Vec<String> = std::fs::read_dir(examples())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, known);
}
