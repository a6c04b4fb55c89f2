//! Reading labels: which of them are ours, which family wins, and which object each one speaks of.

use std::collections::{BTreeMap, HashMap};

use indexmap::IndexMap;
use portcullis_config::Problem;
use portcullis_config::problem::{At, Kind};
use portcullis_config::tree::decode::{self, Mismatch};
use portcullis_config::tree::{Node, Tree, flat};
use serde::de::DeserializeOwned;

use super::{Object, Objects, Section, Standing};

/// The two families. Where both set the same field, the first wins.
const FAMILIES: [&str; 2] = ["portcullis.", "traefik."];

/// What may stand behind the family.
const ROOTS: [&str; 7] = ["enable", "docker", "swarm", "http", "tcp", "udp", "tls"];

/// What Traefik can express but not by labels, below the section, and what to do instead.
const FILE_ONLY: [(&str, &str); 7] = [
    ("http.services", "weighted"),
    ("http.services", "mirroring"),
    ("http.services", "failover"),
    ("http.services", "highestrandomweight"),
    ("http.routers", "parentrefs"),
    ("tcp.services", "weighted"),
    ("udp.services", "weighted"),
];

/// The labels of one thing that speak to us.
#[derive(Debug)]
pub(crate) struct Labels {
    instance: String,
    pairs: Vec<Pair>,
    problems: Vec<Problem>,
}

#[derive(Debug)]
struct Pair {
    /// The path behind the family, as it is spelled.
    path: String,
    value: String,
    /// The label as it stands.
    label: String,
}

impl Labels {
    /// Picks our labels from all labels of `instance`.
    pub(crate) fn read(instance: &str, labels: &BTreeMap<String, String>) -> Self {
        let mut read =
            Self { instance: instance.to_owned(), pairs: Vec::new(), problems: Vec::new() };
        let mut taken: HashMap<String, usize> = HashMap::new();
        for family in FAMILIES {
            for (label, value) in labels {
                let Some(path) = strip(label, family) else { continue };
                if !read.is_ours(label, path) {
                    continue;
                }
                // Traefik: paths that differ only in case are the same, names of objects included.
                if let Some(&first) = taken.get(&path.to_ascii_lowercase()) {
                    read.compare(first, label, value);
                    continue;
                }
                taken.insert(path.to_ascii_lowercase(), read.pairs.len());
                let (path, value, label) = (path.to_owned(), value.clone(), label.clone());
                read.pairs.push(Pair { path, value, label });
            }
        }
        read
    }

    /// Types the labels below the given roots (`enable`, `docker`), ignoring the objects.
    pub(crate) fn options<T: DeserializeOwned>(&self, roots: &[&str]) -> Result<T, Problem> {
        let pairs = self.pairs.iter().filter(|pair| {
            let root = first_segment(&pair.path);
            roots.iter().any(|wanted| wanted.eq_ignore_ascii_case(root))
        });
        let pairs: Vec<&Pair> = pairs.collect();
        let refuse = |mismatch: Mismatch| self.refuse(mismatch.message, mismatch.at);
        let tree = fold(&pairs, 0).map_err(refuse)?;
        decode::decode(&tree).map_err(|mismatch| {
            let label = pairs.iter().find(|pair| pair.path.eq_ignore_ascii_case(&mismatch.path));
            let at = mismatch.at.or_else(|| label.map(|pair| at(&pair.label)));
            self.refuse(mismatch.message, at)
        })
    }

    /// Sorts the labels into objects. A problem about the thing itself means that it must be skipped.
    pub(super) fn objects(self) -> (Objects, Vec<Problem>) {
        let mut groups: IndexMap<(Section, String), Vec<&Pair>> = IndexMap::new();
        let mut problems = Vec::new();
        for pair in &self.pairs {
            match place(&pair.path) {
                Place::Object(section, name) => {
                    groups.entry((section, name.to_ascii_lowercase())).or_default().push(pair);
                }
                Place::Option => {}
                Place::Nowhere(kind, name, message) => {
                    let name = if kind == Kind::Container { &self.instance } else { name };
                    problems.push(Problem::error(kind, name, message).at(Some(at(&pair.label))));
                }
            }
        }
        let mut objects = Objects::default();
        for ((section, _), pairs) in groups {
            let name = pairs.first().and_then(|pair| pair.path.split('.').nth(OBJECT_DEPTH - 1));
            let name = name.unwrap_or_default();
            let (object, found) = object(section, name, &pairs);
            problems.extend(found);
            objects.section(section).insert(name.to_owned(), object);
        }
        problems.extend(self.problems);
        (objects, problems)
    }

    /// Whether a label behind a family is one we read; says so if it looks like a mistake.
    fn is_ours(&mut self, label: &str, path: &str) -> bool {
        let root = first_segment(path).to_ascii_lowercase();
        let default_store =
            || path.to_ascii_lowercase().starts_with("tls.stores.default.") || root != "tls";
        if ROOTS.contains(&root.as_str()) && default_store() {
            return true;
        }
        let message = match root.as_str() {
            "tls" => "only `tls.stores.default` can be written as labels; \
                      certificates and options belong into a file"
                .to_owned(),
            _ => format!("ignored: expected one of {} behind the family", ROOTS.join(", ")),
        };
        let problem = Problem::warning(Kind::Container, &self.instance, message);
        self.problems.push(problem.at(Some(at(label))));
        false
    }

    /// A field that is set twice is worth a remark only if the two disagree.
    fn compare(&mut self, first: usize, label: &str, value: &str) {
        let Some(pair) = self.pairs.get(first).filter(|pair| pair.value != value) else { return };
        let message = format!("ignored: `{}` sets the same field and wins", pair.label);
        let problem = Problem::warning(Kind::Container, &self.instance, message);
        self.problems.push(problem.at(Some(at(label))));
    }

    fn refuse(&self, message: String, at: Option<At>) -> Problem {
        Problem::error(Kind::Container, &self.instance, message).at(at)
    }
}

/// Where a label belongs.
enum Place<'a> {
    Object(Section, &'a str),
    Option,
    Nowhere(Kind, &'a str, String),
}

fn place(path: &str) -> Place<'_> {
    let mut segments = path.splitn(4, '.');
    let protocol = segments.next().unwrap_or_default().to_ascii_lowercase();
    let protocol = protocol.as_str();
    if matches!(protocol, "enable" | "docker" | "swarm") {
        return Place::Option;
    }
    let (section, name, field) = (segments.next(), segments.next(), segments.next());
    let lower = section.unwrap_or_default().to_ascii_lowercase();
    let name = name.unwrap_or_default();
    if lower == "serverstransports" && protocol != "udp" && !name.is_empty() {
        let kind =
            if protocol == "tcp" { Kind::TcpServersTransport } else { Kind::HttpServersTransport };
        let message = format!(
            "a serversTransport cannot be written as labels; write it in a file and refer to `{name}@file`"
        );
        return Place::Nowhere(kind, name, message);
    }
    let Some(section) = Section::find(protocol, &lower) else {
        let known = Section::ALL.iter().filter(|(_, p, ..)| *p == protocol);
        let known: Vec<_> = known.map(|(_, _, section, _)| *section).collect();
        let message = format!(
            "unknown label: expected {} behind `{protocol}.`, found `{}`",
            alternatives(&known),
            section.unwrap_or_default()
        );
        return Place::Nowhere(Kind::Container, "", message);
    };
    if name.is_empty() || field.is_none_or(str::is_empty) {
        let message = format!("incomplete label: expected `{protocol}.{lower}.<name>.<field>`");
        return Place::Nowhere(Kind::Container, "", message);
    }
    Place::Object(section, name)
}

/// `a, b or c`.
fn alternatives(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [init @ .., last] => format!("`{}` or `{last}`", init.join("`, `")),
    }
}

/// Folds the labels of one object field by field, so that one bad field does not hide the others.
fn object(section: Section, name: &str, pairs: &[&Pair]) -> (Object, Vec<Problem>) {
    let mut fields: IndexMap<String, Vec<&Pair>> = IndexMap::new();
    for pair in pairs {
        let field = pair.path.split('.').nth(OBJECT_DEPTH).unwrap_or_default();
        let field = field.split('[').next().unwrap_or_default().to_ascii_lowercase();
        fields.entry(field).or_default().push(pair);
    }
    let mut map = IndexMap::new();
    let mut problems = Vec::new();
    for (field, pairs) in fields {
        let folded =
            refuse_file_only(section, &field, &pairs).and_then(|()| fold(&pairs, OBJECT_DEPTH));
        match folded.map(|tree| tree.node) {
            Ok(Node::Map(entries)) => map.extend(entries),
            Ok(Node::Scalar(_) | Node::List(_)) => {}
            Err(mismatch) => {
                problems
                    .push(Problem::error(section.kind(), name, mismatch.message).at(mismatch.at));
            }
        }
    }
    // A router keeps its place in the order as long as its rule can be read; other objects are whole or not there.
    let sound = problems.is_empty() || section.is_routers();
    let standing = if sound { Standing::Sound } else { Standing::Broken };
    (Object { tree: Tree { node: Node::Map(map), at: None }, standing }, problems)
}

/// How many segments lead to an object: protocol, section, name.
const OBJECT_DEPTH: usize = 3;

fn refuse_file_only(section: Section, field: &str, pairs: &[&Pair]) -> Result<(), Mismatch> {
    let (protocol, name, _) = section.line();
    let path = format!("{protocol}.{name}");
    if !FILE_ONLY.contains(&(path.as_str(), field)) {
        return Ok(());
    }
    Err(Mismatch {
        path: field.to_owned(),
        message: format!(
            "`{field}` cannot be written as a label; write the object in a file and refer to it as `name@file`"
        ),
        at: pairs.first().map(|pair| at(&pair.label)),
    })
}

/// The tree of some labels without the first `depth` segments of their paths.
fn fold(pairs: &[&Pair], depth: usize) -> Result<Tree, Mismatch> {
    let rest = |path| cut(path, depth);
    let labels: HashMap<&str, &str> =
        pairs.iter().map(|pair| (rest(&pair.path), pair.label.as_str())).collect();
    let source = |path: &str| format!("label {}", labels.get(path).copied().unwrap_or(path));
    flat::fold(pairs.iter().map(|pair| (rest(&pair.path), pair.value.as_str())), source)
}

fn cut(path: &str, depth: usize) -> &str {
    path.splitn(depth + 1, '.').nth(depth).unwrap_or_default()
}

/// The place of a label in messages.
fn at(label: &str) -> At {
    At { source: format!("label {label}").into(), line: 0, column: 0 }
}

fn first_segment(path: &str) -> &str {
    path.split('.').next().unwrap_or_default()
}

/// The label without the family, which may be written in any case.
fn strip<'a>(label: &'a str, family: &str) -> Option<&'a str> {
    let (head, rest) = label.split_at_checked(family.len())?;
    head.eq_ignore_ascii_case(family).then_some(rest)
}
