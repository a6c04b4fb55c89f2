//! Tests of precedence, places and what happens to sources that lose.

use super::*;

struct Case {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Case {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn load(&self, arguments: &[&str]) -> Result<Loaded, Vec<Problem>> {
        let arguments: Vec<String> = arguments.iter().map(|&it| it.to_owned()).collect();
        let root = self.folder.path().to_owned();
        let working_directory = root.join("here");
        load(&arguments, &self.variables, &Disk { root, working_directory })
    }

    /// The level of the log, which every source of these tests sets differently.
    fn level(&self, arguments: &[&str]) -> String {
        let loaded = self.load(arguments).unwrap();
        format!("{:?}", loaded.install.log.unwrap_or_default().level)
    }

    fn errors(&self, arguments: &[&str]) -> Vec<String> {
        self.load(arguments).unwrap_err().iter().map(ToString::to_string).collect()
    }
}

#[test]
fn a_file_comes_before_flags_and_flags_before_the_environment() {
    let case = Case::new().variable("TRAEFIK_LOG_LEVEL", "DEBUG");
    assert_eq!(case.level(&[]), "Debug");
    assert_eq!(case.level(&["--log.level=INFO"]), "Info");
    let case = case.file("here/traefik.yml", "log: {level: WARN}\n");
    assert_eq!(case.level(&["--log.level=INFO"]), "Warn");
}

#[test]
fn sources_are_not_merged_and_the_loser_is_named() {
    let case = Case::new().file("here/p.toml", "[ping]\n").variable("TRAEFIK_LOG_LEVEL", "DEBUG");
    let loaded = case.load(&["--configfile=p.toml", "--api.insecure", "--nonsense=1"]).unwrap();
    assert!(loaded.install.api.is_none() && loaded.install.log.is_none());
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[1].contains("TRAEFIK_LOG_LEVEL"), "{warnings:?}");
}

#[test]
fn our_default_files_come_before_those_of_traefik() {
    let case = Case::new().file("etc/traefik/traefik.toml", "[log]\nlevel=\"DEBUG\"\n");
    assert_eq!(case.level(&[]), "Debug");
    let case = case.file("here/portcullis.yml", "log: {level: INFO}\n");
    assert_eq!(case.level(&[]), "Info");
    let case = case.file("etc/portcullis/portcullis.yaml", "log: {level: WARN}\n");
    assert_eq!(case.level(&[]), "Warn");
    let home = case.folder.path().join("home").display().to_string();
    let case =
        Case::new().variable("HOME", &home).file("here/traefik.toml", "[log]\nlevel=\"INFO\"\n");
    assert_eq!(case.level(&[]), "Info");
    std::fs::create_dir_all(format!("{home}/.config")).unwrap();
    std::fs::write(format!("{home}/.config/traefik.yml"), "log: {level: PANIC}\n").unwrap();
    assert_eq!(case.level(&[]), "Panic");
}

#[test]
fn the_flag_names_the_file_before_the_environment_does() {
    let case = Case::new()
        .file("here/a.yml", "log: {level: INFO}\n")
        .file("here/b.yml", "log: {level: WARN}\n")
        .variable("PORTCULLIS_CONFIGFILE", "a.yml");
    assert_eq!(case.level(&[]), "Info");
    assert_eq!(case.level(&["--configFile", "b.yml"]), "Warn");
    assert!(
        matches!(case.load(&[]).unwrap().source, Source::File(path) if path.ends_with("a.yml"))
    );
}

#[test]
fn a_missing_or_empty_file_that_was_asked_for_is_an_error() {
    let case = Case::new().file("here/empty.toml", "# nothing\n").file("here/odd.ini", "a=1");
    assert!(case.errors(&["--configFile=none.toml"])[0].contains("cannot be read"));
    assert!(case.errors(&["--configFile=empty.toml"])[0].contains("is empty"));
    assert!(case.errors(&["--configFile=odd.ini"])[0].contains("ends in .toml"));
}

#[test]
fn an_unknown_key_is_an_error_with_its_place_and_the_nearest_name() {
    let text =
        "[entryPoints.web]\naddress = \":80\"\n  asDefalt = true\n[accesslog]\nformat = \"xml\"\n";
    let case = Case::new().file("here/p.toml", text);
    let errors = case.errors(&["--configFile=p.toml"]);
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].contains("p.toml:3:"), "{errors:?}");
    assert!(errors[0].contains("did you mean `asDefault`"), "{errors:?}");
    assert!(errors[1].contains("p.toml:5:"), "{errors:?}");
    assert!(errors[1].contains("`json`"), "{errors:?}");
}

#[test]
fn unknown_flags_and_bad_values_name_the_flag() {
    let case = Case::new();
    let errors = case.errors(&["--entrypoints.web.address=80", "--api.insecur"]);
    assert!(errors[0].starts_with("flag --api.insecur: "), "{errors:?}");
    assert!(errors[0].contains("`insecure`"), "{errors:?}");
    assert!(errors[1].starts_with("flag --entryPoints.web.address: "), "{errors:?}");
    assert!(errors[1].contains("has no port"), "{errors:?}");
}

#[test]
fn the_number_of_workers_must_be_a_number() {
    let case = Case::new().variable("PORTCULLIS_WORKERS", "3");
    assert_eq!(case.load(&[]).unwrap().workers, NonZeroUsize::new(3));
    let case = Case::new().variable("PORTCULLIS_WORKERS", "0");
    assert!(case.errors(&[])[0].contains("from 1, found `0`"));
}

#[test]
fn an_entry_point_with_a_socket_of_systemd_needs_no_address() {
    let case = Case::new();
    assert!(case.errors(&["--entrypoints.web"])[0].contains("an address is required"));
    let case = case.variable("LISTEN_FDNAMES", "other:web");
    assert!(
        case.load(&["--entrypoints.web"]).unwrap().install.entry_points["web"].address.is_unset()
    );
}
