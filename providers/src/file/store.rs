//! What files said: each one's newest content that could be read, until it can be read again.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use portcullis_config::problem::{At, Kind};
use portcullis_config::tree::text::{self, Format};
use portcullis_config::{Problem, Routing};

use super::Root;
use super::walk::{self, Places};
use super::watch::Dirty;
use super::{join, named};
use crate::Contact;

/// All files and what they last said.
pub(super) struct Store {
    root: Root,
    known: BTreeMap<PathBuf, Known>,
    /// What is wrong with the root or a folder.
    problems: Vec<Problem>,
    /// The files that the configuration names, and how they looked last.
    named: BTreeMap<PathBuf, Option<Stamp>>,
    places: Places,
}

/// One file.
#[derive(Default)]
struct Known {
    stamp: Option<Stamp>,
    /// What it last said when it could be read.
    good: Option<Content>,
    /// Why it cannot be read now.
    problem: Option<Problem>,
}

/// What a file says.
#[derive(PartialEq)]
pub(super) struct Content {
    pub(super) routing: Routing,
    pub(super) problems: Vec<Problem>,
}

/// What a look found.
pub(super) struct Found {
    /// Whether there is something new to say.
    pub(super) news: bool,
    /// Whether a file that the configuration names has changed.
    pub(super) named: bool,
    pub(super) rest: Rest,
    /// Whether the root can be read.
    pub(super) contact: Contact,
}

/// Whether all files are at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Settled,
    /// Somebody writes to one of them: look again soon.
    Unsettled,
}

/// What changes whenever the content does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A file that was written to more recently than this may not be complete. Longer than the tick of the kernel's clock
/// too, so that two contents never share a stamp.
const SETTLE: Duration = Duration::from_millis(15);

/// The same for one that is suddenly empty: many a program truncates first and writes then.
const SETTLE_EMPTY: Duration = Duration::from_millis(60);

/// The largest file that is read.
const SIZE: u64 = 64 << 20;

impl Store {
    pub(super) fn new(root: Root) -> Self {
        Self {
            root,
            known: BTreeMap::new(),
            problems: Vec::new(),
            named: BTreeMap::new(),
            places: Places::default(),
        }
    }

    /// Where changes would show, as of the last look.
    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// All that the files say.
    pub(super) fn routing(&self) -> (Routing, Vec<Problem>) {
        let good =
            self.known.iter().filter_map(|(path, it)| Some((path.as_path(), it.good.as_ref()?)));
        let (routing, mut problems) = join::join(good);
        problems.extend(self.known.values().filter_map(|known| known.problem.clone()));
        problems.extend(self.problems.iter().cloned());
        (routing, problems)
    }

    /// Looks at all files and reads those that changed.
    pub(super) fn look(&mut self, dirty: &Dirty) -> Found {
        self.places = Places::default();
        let mut found =
            Found { news: false, named: false, rest: Rest::Settled, contact: Contact::Up };
        let before = std::mem::take(&mut self.problems);
        let paths = match self.root.clone() {
            Root::File(path) => {
                self.places.add_way(&path);
                vec![path]
            }
            Root::Folder(folder) => self.list(&folder, &mut found),
        };
        for path in &paths {
            if path.is_symlink() {
                self.places.add_way(path);
            }
            self.read(path, dirty, &mut found);
        }
        found.news |= self.problems != before;
        self.look_at_named(dirty, &mut found);
        found
    }

    /// Notices changes of the files that the configuration names. Their content is for others to read.
    fn look_at_named(&mut self, dirty: &Dirty, found: &mut Found) {
        if found.news {
            let good = self.known.values().filter_map(|known| known.good.as_ref());
            let files = good.flat_map(|content| named::files(&content.routing));
            let mut before = std::mem::take(&mut self.named);
            self.named = files
                .map(|path| {
                    let known = before.remove(&path).unwrap_or_else(|| Stamp::at(&path));
                    (path, known)
                })
                .collect();
        }
        for (path, known) in &mut self.named {
            self.places.add_way(path);
            let now = Stamp::at(path);
            if now == *known {
                continue;
            }
            let written = path.canonicalize().is_ok_and(|real| {
                dirty.is_open(&real) || real.metadata().is_ok_and(|it| !is_settled(&it, true))
            });
            if written {
                found.rest = Rest::Unsettled;
                continue;
            }
            *known = now;
            found.named = true;
        }
    }

    /// The files of a folder; what is no longer there is forgotten.
    fn list(&mut self, folder: &Path, found: &mut Found) -> Vec<PathBuf> {
        self.places.add_way(folder);
        let walked = walk::walk(folder);
        for sub in &walked.folders {
            self.places.add_folder(sub);
        }
        let hidden = |path: &Path| walked.unreadable.iter().any(|(sub, _)| path.starts_with(sub));
        let count = self.known.len();
        self.known.retain(|path, _| walked.files.contains(path) || hidden(path));
        found.news |= self.known.len() != count;
        for (sub, error) in &walked.unreadable {
            if sub == folder {
                found.contact = Contact::Lost;
            }
            let message = format!("cannot read the folder: {error}; what it last said stays");
            self.problems.push(Problem::error(Kind::File, sub.display().to_string(), message));
        }
        walked.files.into_iter().collect()
    }

    fn read(&mut self, path: &Path, dirty: &Dirty, found: &mut Found) {
        let known = self.known.entry(path.to_owned()).or_default();
        let had_text = known.stamp.is_some_and(|stamp| stamp.size > 0);
        match read(path, known.stamp, dirty, had_text) {
            Look::Same => {}
            Look::Unsettled => found.rest = Rest::Unsettled,
            Look::Text(text, stamp) => {
                known.stamp = Some(stamp);
                found.news |= known.take_in(path, &text);
            }
            Look::Failed(message, stamp) => {
                if stamp.is_none() && matches!(self.root, Root::File(_)) {
                    found.contact = Contact::Lost;
                }
                known.stamp = stamp;
                found.news |= known.fail(problem(path, message));
            }
        }
    }
}

impl Known {
    /// Whether that is news.
    fn take_in(&mut self, path: &Path, text: &str) -> bool {
        let content = match parse(path, text) {
            Ok(content) => content,
            Err(problem) => return self.fail(problem),
        };
        let news = self.problem.is_some() || self.good.as_ref() != Some(&content);
        self.problem = None;
        self.good = Some(content);
        news
    }

    fn fail(&mut self, mut problem: Problem) -> bool {
        if self.good.is_some() {
            problem.message.push_str("; what the file last said stays");
        }
        let news = self.problem.as_ref() != Some(&problem);
        self.problem = Some(problem);
        news
    }
}

fn problem(path: &Path, message: impl Into<String>) -> Problem {
    Problem::error(Kind::File, path.display().to_string(), message)
}

/// What came of looking at one file.
enum Look {
    Same,
    Unsettled,
    Text(String, Stamp),
    Failed(String, Option<Stamp>),
}

fn read(path: &Path, known: Option<Stamp>, dirty: &Dirty, had_text: bool) -> Look {
    let unreadable =
        |error: io::Error| Look::Failed(format!("cannot read the file: {error}"), None);
    let (real, before) = match path.canonicalize().and_then(|real| Ok((fs::metadata(&real)?, real)))
    {
        Ok((metadata, real)) => (real, metadata),
        Err(error) => return unreadable(error),
    };
    let stamp = Stamp::of(&before);
    if known == Some(stamp) && !dirty.contains(&real) {
        return Look::Same;
    }
    if dirty.is_open(&real) || !is_settled(&before, had_text) {
        return Look::Unsettled;
    }
    if !before.is_file() {
        return Look::Failed("expected a file".to_owned(), Some(stamp));
    }
    let text = match read_text(&real) {
        Ok(text) => text,
        Err(error) => return unreadable(error),
    };
    match fs::metadata(path) {
        Ok(after) if Stamp::of(&after) == stamp => {}
        _ => return Look::Unsettled,
    }
    if text.len() as u64 > SIZE {
        return Look::Failed(format!("larger than {} MiB", SIZE >> 20), Some(stamp));
    }
    match String::from_utf8(text) {
        Ok(text) => Look::Text(text, stamp),
        Err(_) => Look::Failed("expected text in UTF-8".to_owned(), Some(stamp)),
    }
}

/// One byte more than allowed, so that one sees it.
fn read_text(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(SIZE + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// A time in the future, from another machine's clock or a backup, says nothing.
fn is_settled(metadata: &Metadata, had_text: bool) -> bool {
    let needed = if had_text && metadata.len() == 0 { SETTLE_EMPTY } else { SETTLE };
    let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_none_or(|age| age >= needed)
}

impl Stamp {
    /// Of the file at `path`, if there is one.
    fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::of)
    }

    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn parse(path: &Path, text: &str) -> Result<Content, Problem> {
    let format = Format::of(path)
        .ok_or_else(|| problem(path, "expected a name that ends in .toml, .yaml, .yml or .json"))?;
    let source = path.display().to_string();
    if let Some(offset) = text.find("{{") {
        let message = "templates are not served yet; remove `{{`";
        return Err(problem(path, message).at(Some(place(&source, text, offset))));
    }
    let tree = text::parse(text, format, &source)
        .map_err(|mismatch| problem(path, mismatch.message).at(mismatch.at))?;
    let (routing, problems) = Routing::from_tree(&tree);
    tree.drop_in_pieces();
    Ok(Content { routing, problems })
}

fn place(source: &str, text: &str, offset: usize) -> At {
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    At { source: source.into(), line: line as u32, column: column as u32 }
}
