use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use portcullis_config::problem::Severity;
use tempfile::TempDir;

use super::*;
use crate::{Contact, Published, Receiver, channel};

const DEADLINE: Duration = Duration::from_secs(5);

/// Long enough for a change to be applied, were it applied wrongly.
const PAUSE: Duration = Duration::from_millis(120);

/// A provider that runs until the test ends.
struct Running {
    receiver: Receiver,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[allow(clippy::disallowed_methods, reason = "tests have no workers")]
fn run(options: File) -> Running {
    let mut provider = options.build().ok().unwrap();
    let (publisher, receiver) = channel();
    let task = tokio::spawn(async move { drop(provider.run(&publisher).await) });
    Running { receiver, task }
}

fn folder(path: &Path) -> Running {
    run(File { directory: path.display().to_string(), ..File::default() })
}

fn file(path: &Path) -> Running {
    run(File { filename: path.display().to_string(), ..File::default() })
}

impl Running {
    async fn next(&mut self) -> Published {
        tokio::time::timeout(DEADLINE, self.receiver.changed()).await.unwrap()
    }

    /// Waits for a state; says all that came before it.
    async fn until(&mut self, wanted: impl Fn(&Published) -> bool) -> Vec<Published> {
        let mut seen = Vec::new();
        loop {
            seen.push(self.next().await);
            if wanted(seen.last().unwrap()) {
                return seen;
            }
        }
    }

    async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(PAUSE, self.receiver.changed()).await.is_err()
    }
}

/// One router, whose rule says which version of the file it comes from.
fn routers(names: &[&str], version: usize) -> String {
    let mut text = "http:\n  routers:\n".to_owned();
    for name in names {
        text.push_str(&format!("    {name}:\n      rule: Path(`/{version}`)\n      service: s\n"));
    }
    text
}

fn rule<'a>(published: &'a Published, name: &str) -> &'a str {
    published.routing.http.routers.get(name).map_or("", |router| &router.rule)
}

fn messages(published: &Published) -> Vec<String> {
    published.problems.iter().map(ToString::to_string).collect()
}

/// As careful programs do it.
fn replace(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    fs::write(&draft, text).unwrap();
    fs::rename(draft, path).unwrap();
}

fn temporary() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn a_folder_is_joined_in_the_order_of_names_and_the_first_definition_wins() {
    let dir = temporary();
    fs::write(dir.path().join("b.yml"), routers(&["web", "only-b"], 2)).unwrap();
    fs::write(
        dir.path().join("a.toml"),
        "[http.routers.web]\nrule = \"Path(`/1`)\"\nservice = \"s\"\n",
    )
    .unwrap();
    let published = folder(dir.path()).next().await;
    assert_eq!(rule(&published, "web"), "Path(`/1`)");
    assert_eq!(rule(&published, "only-b"), "Path(`/2`)");
    let [problem] = published.problems.as_slice() else { panic!("{:?}", published.problems) };
    assert_eq!(problem.severity, Severity::Warning);
    assert!(problem.message.contains("a.toml already"), "{problem}");
}

#[tokio::test]
async fn a_file_that_does_not_parse_keeps_what_it_said_while_others_go_on() {
    let dir = temporary();
    let (a, b) = (dir.path().join("a.yml"), dir.path().join("b.yml"));
    fs::write(&a, routers(&["a"], 1)).unwrap();
    fs::write(&b, routers(&["b"], 1)).unwrap();
    let mut running = folder(dir.path());
    running.next().await;
    fs::write(&a, "http: [\n").unwrap();
    running.until(|it| !it.problems.is_empty()).await;
    fs::write(&b, routers(&["b"], 2)).unwrap();
    let published = running.until(|it| rule(it, "b") == "Path(`/2`)").await.pop().unwrap();
    assert_eq!(rule(&published, "a"), "Path(`/1`)");
    assert!(messages(&published)[0].contains("what the file last said stays"), "{published:?}");
    fs::write(&a, routers(&["a"], 3)).unwrap();
    let published = running.until(|it| rule(it, "a") == "Path(`/3`)").await.pop().unwrap();
    assert_eq!(published.problems, []);
}

#[tokio::test]
async fn a_template_is_refused_with_its_place() {
    let dir = temporary();
    let path = dir.path().join("a.yml");
    fs::write(&path, format!("{}# {{{{ env \"X\" }}}}\n", routers(&["a"], 1))).unwrap();
    let published = file(&path).next().await;
    assert!(published.routing.is_empty());
    let message = &messages(&published)[0];
    assert!(message.contains("a.yml:6:3"), "{message}");
    assert!(message.contains("templates are not served yet"), "{message}");
}

#[tokio::test]
async fn a_config_map_is_swapped_whole() {
    let dir = temporary();
    let version = |number: usize| {
        let folder = dir.path().join(format!("..{number}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.yml"), routers(&["a"], number)).unwrap();
        fs::write(folder.join("b.yml"), routers(&["b"], number)).unwrap();
        let draft = dir.path().join("..data_tmp");
        symlink(format!("..{number}"), &draft).unwrap();
        fs::rename(draft, dir.path().join("..data")).unwrap();
    };
    version(1);
    symlink("..data/a.yml", dir.path().join("a.yml")).unwrap();
    symlink("..data/b.yml", dir.path().join("b.yml")).unwrap();
    let mut running = folder(dir.path());
    running.until(|it| rule(it, "a") == "Path(`/1`)").await;
    for number in 2..12 {
        version(number);
        let wanted = format!("Path(`/{number}`)");
        for published in running.until(|it| rule(it, "a") == wanted).await {
            assert_eq!(rule(&published, "a"), rule(&published, "b"));
        }
        fs::remove_dir_all(dir.path().join(format!("..{}", number - 1))).unwrap();
    }
}

#[tokio::test]
async fn a_single_file_behind_links_is_followed() {
    let (dir, target) = (temporary(), temporary());
    fs::write(target.path().join("real.yml"), routers(&["a"], 1)).unwrap();
    symlink(target.path().join("real.yml"), dir.path().join("a.yml")).unwrap();
    let mut running = file(&dir.path().join("a.yml"));
    running.next().await;
    replace(&target.path().join("real.yml"), &routers(&["a"], 2));
    running.until(|it| rule(it, "a") == "Path(`/2`)").await;
    fs::write(target.path().join("other.yml"), routers(&["a"], 3)).unwrap();
    fs::remove_file(dir.path().join("a.yml")).unwrap();
    symlink(target.path().join("other.yml"), dir.path().join("a.yml")).unwrap();
    running.until(|it| rule(it, "a") == "Path(`/3`)").await;
}

#[tokio::test]
async fn a_file_that_somebody_writes_to_waits() {
    let dir = temporary();
    let path = dir.path().join("a.yml");
    fs::write(&path, routers(&["a", "b"], 1)).unwrap();
    let mut running = folder(dir.path());
    running.next().await;
    let text = routers(&["a", "b"], 2);
    // The first half is a whole configuration by itself: one router.
    let half = routers(&["a"], 2).len();
    let mut open = fs::File::create(&path).unwrap();
    open.write_all(&text.as_bytes()[..half]).unwrap();
    open.sync_all().unwrap();
    assert!(running.is_quiet().await);
    open.write_all(&text.as_bytes()[half..]).unwrap();
    drop(open);
    let published = running.next().await;
    assert_eq!(rule(&published, "a"), "Path(`/2`)");
    assert_eq!(rule(&published, "b"), "Path(`/2`)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_ends_in_its_last_content_and_shows_no_half() {
    let dir = temporary();
    let path = dir.path().join("a.yml");
    fs::write(&path, routers(&["a", "b"], 0)).unwrap();
    let mut running = folder(dir.path());
    running.next().await;
    let writing = std::thread::spawn(move || {
        for version in 1..=500 {
            let text = routers(&["a", "b"], version);
            if version % 2 == 0 { fs::write(&path, text).unwrap() } else { replace(&path, &text) }
        }
        Instant::now()
    });
    let all = running.until(|it| rule(it, "a") == "Path(`/500`)").await;
    let late = writing.join().unwrap().elapsed();
    for published in all {
        assert_eq!(rule(&published, "a"), rule(&published, "b"));
        assert_eq!(published.problems, []);
    }
    println!("{late:?} from the last write to the publication");
    // A hundred milliseconds on a quiet machine.
    assert!(late < Duration::from_secs(1), "{late:?}");
}

#[tokio::test]
async fn a_deleted_file_of_a_folder_takes_its_objects_with_it() {
    let dir = temporary();
    fs::write(dir.path().join("a.yml"), routers(&["a"], 1)).unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(dir.path().join("sub/b.yml"), routers(&["b"], 1)).unwrap();
    let mut running = folder(dir.path());
    assert_eq!(running.next().await.routing.http.routers.len(), 2);
    fs::remove_file(dir.path().join("sub/b.yml")).unwrap();
    running.until(|it| it.routing.http.routers.len() == 1).await;
    fs::create_dir_all(dir.path().join("new/deep")).unwrap();
    fs::write(dir.path().join("new/deep/c.yml"), routers(&["c"], 1)).unwrap();
    running.until(|it| rule(it, "c") == "Path(`/1`)").await;
}

#[tokio::test]
async fn a_deleted_single_file_keeps_what_it_said() {
    let dir = temporary();
    let path = dir.path().join("a.yml");
    fs::write(&path, routers(&["a"], 1)).unwrap();
    let mut running = file(&path);
    running.next().await;
    fs::remove_file(&path).unwrap();
    let published = running.next().await;
    assert_eq!(rule(&published, "a"), "Path(`/1`)");
    assert!(messages(&published)[0].contains("cannot read the file"), "{published:?}");
    assert_eq!(running.receiver.state().contact(), Contact::Lost);
    fs::write(&path, routers(&["a"], 2)).unwrap();
    let published = running.next().await;
    assert_eq!((rule(&published, "a"), published.problems.len()), ("Path(`/2`)", 0));
    assert_eq!(running.receiver.state().contact(), Contact::Up);
}

#[tokio::test]
async fn a_folder_that_goes_keeps_what_it_said_and_is_followed_when_it_comes_back() {
    let dir = temporary();
    let path = dir.path().join("routing");
    let mut running = folder(&path);
    let published = running.next().await;
    assert!(messages(&published)[0].contains("cannot read the folder"), "{published:?}");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a.yml"), routers(&["a"], 1)).unwrap();
    running.until(|it| rule(it, "a") == "Path(`/1`)").await;
    fs::rename(&path, dir.path().join("old")).unwrap();
    let published = running.until(|it| !it.problems.is_empty()).await.pop().unwrap();
    assert_eq!(rule(&published, "a"), "Path(`/1`)");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a.yml"), routers(&["a"], 2)).unwrap();
    running.until(|it| rule(it, "a") == "Path(`/2`)").await;
}

#[tokio::test]
async fn without_watch_files_are_read_again_when_asked() {
    let dir = temporary();
    let path = dir.path().join("a.yml");
    fs::write(&path, routers(&["a"], 1)).unwrap();
    let filename = path.display().to_string();
    let mut running = run(File { filename, watch: false, ..File::default() });
    assert_eq!(rule(&running.next().await, "a"), "Path(`/1`)");
    replace(&path, &routers(&["a"], 2));
    assert!(running.is_quiet().await);
    running.receiver.state().ask_again();
    let published = running.next().await;
    assert_eq!((rule(&published, "a"), published.weight), ("Path(`/2`)", Weight::Always));
}

#[tokio::test]
async fn a_certificate_that_changes_makes_the_configuration_count_again() {
    let dir = temporary();
    let (path, certificate) = (dir.path().join("a.yml"), dir.path().join("tls.crt"));
    fs::write(&certificate, "old").unwrap();
    let text = format!(
        "tls:\n  certificates:\n    - certFile: {0}\n      keyFile: {0}\n",
        certificate.display()
    );
    fs::write(&path, text).unwrap();
    let mut running = file(&path);
    let first = running.next().await;
    assert_eq!(first.weight, Weight::IfDifferent);
    assert!(running.is_quiet().await);
    replace(&certificate, "new");
    let second = running.next().await;
    assert_eq!((second.weight, second.routing), (Weight::Always, first.routing));
    assert!(running.is_quiet().await);
}

#[test]
fn exactly_one_of_file_and_folder_is_wanted() {
    let message = |options: File| options.build().err().unwrap()[0].message.clone();
    assert!(message(File::default()).contains("expected `filename` or `directory`"));
    let both = File { filename: "a".to_owned(), directory: "b".to_owned(), ..File::default() };
    assert!(message(both).contains("exclude each other"));
}
