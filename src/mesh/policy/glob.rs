//! Globs, in time linear in what they are held against: `*` in a text, `*` and `**` in a path.
//!
//! No star is ever tried at a second place: the earliest fit of what follows it leaves the most for the rest, so a text that
//! was chosen to be slow has nothing to choose.

use memchr::memmem::Finder;
use percent_encoding::percent_decode_str;
use portcullis_middlewares::path;

/// A text in which `*` stands for any bytes, also none.
#[derive(Clone, Debug)]
pub(super) struct Glob {
    /// What the text begins with; all of it where there is no star.
    first: Box<[u8]>,
    stars: Option<Stars>,
}

/// What comes after the first star.
#[derive(Clone, Debug)]
struct Stars {
    /// What stands between two stars, in order.
    between: Box<[Finder<'static>]>,
    /// What the text ends with.
    last: Box<[u8]>,
}

impl Glob {
    /// Reads a pattern; every `*` is a star.
    pub(super) fn parse(pattern: &str) -> Self {
        Self::of(pattern, |piece| piece.as_bytes().into())
    }

    fn of(pattern: &str, piece: impl Fn(&str) -> Box<[u8]>) -> Self {
        let mut pieces = pattern.split('*');
        let first = piece(pieces.next().unwrap_or_default());
        let stars = pieces.next_back().map(|last| {
            let between = pieces.filter(|it| !it.is_empty());
            let between = between.map(|it| Finder::new(&piece(it)).into_owned()).collect();
            Stars { between, last: piece(last) }
        });
        Self { first, stars }
    }

    /// Whether it stands for any text.
    fn is_star(&self) -> bool {
        let any = |stars: &Stars| stars.between.is_empty() && stars.last.is_empty();
        self.first.is_empty() && self.stars.as_ref().is_some_and(any)
    }

    /// Whether it stands for `text`.
    pub(super) fn fits(&self, text: &[u8]) -> bool {
        let Some(stars) = &self.stars else { return *text == *self.first };
        let Some(rest) = text.strip_prefix(&*self.first) else { return false };
        let Some(mut rest) = rest.strip_suffix(&*stars.last) else { return false };
        for piece in &stars.between {
            let Some(at) = piece.find(rest) else { return false };
            rest = rest.get(at + piece.needle().len()..).unwrap_or_default();
        }
        true
    }
}

/// A path in which `*` stands for any characters within a segment, and a segment `**` for any segments, also none.
#[derive(Clone, Debug)]
pub(super) struct PathGlob {
    /// The segments before the first `**`; all where there is none.
    first: Box<[Segment]>,
    stars: Option<PathStars>,
}

/// What comes after the first `**`.
#[derive(Clone, Debug)]
struct PathStars {
    /// The segments between two `**`, in order.
    between: Box<[Box<[Segment]>]>,
    /// The segments that the path ends with.
    last: Box<[Segment]>,
}

#[derive(Clone, Debug)]
struct Segment(Glob);

impl PathGlob {
    /// Reads a pattern that begins with `/`. The error says what is wrong with it.
    pub(super) fn parse(pattern: &str) -> Result<Self, String> {
        let Some(relative) = pattern.strip_prefix('/') else {
            return Err(format!("`{pattern}` must begin with `/`"));
        };
        path::normalize(pattern).map_err(|error| format!("`{pattern}`: {error}"))?;
        let count = relative.split('/').count();
        let mut blocks = vec![Vec::new()];
        for (index, segment) in relative.split('/').enumerate() {
            if segment == "**" {
                blocks.push(Vec::new());
                continue;
            }
            check(segment, index + 1 == count).map_err(|error| format!("`{pattern}`: {error}"))?;
            if let Some(block) = blocks.last_mut() {
                block.push(Segment(Glob::of(segment, |piece| decoded(piece).into())));
            }
        }
        let mut blocks = blocks.into_iter().map(Vec::into_boxed_slice);
        let first = blocks.next().unwrap_or_default();
        let stars = blocks.next_back().map(|last| {
            let between = blocks.filter(|block| !block.is_empty()).collect();
            PathStars { between, last }
        });
        Ok(Self { first, stars })
    }

    /// Whether it stands for `path`, which is decoded and begins with `/`.
    pub(super) fn fits(&self, path: &[u8]) -> bool {
        let Some(relative) = path.strip_prefix(b"/") else { return false };
        let mut segments = relative.split(is_slash);
        if !self.first.iter().all(|it| segments.next().is_some_and(|segment| it.fits(segment))) {
            return false;
        }
        let Some(stars) = &self.stars else { return segments.next().is_none() };
        let mut last = stars.last.iter().rev();
        if !last.all(|it| segments.next_back().is_some_and(|segment| it.fits(segment))) {
            return false;
        }
        for block in &stars.between {
            loop {
                let mut here = segments.clone();
                if block.iter().all(|it| here.next().is_some_and(|segment| it.fits(segment))) {
                    segments = here;
                    break;
                }
                if segments.next().is_none() {
                    return false;
                }
            }
        }
        true
    }
}

impl Segment {
    /// A star that is the whole segment stands for one character at least: `/a/*` is not `/a/`.
    fn fits(&self, segment: &[u8]) -> bool {
        self.0.fits(segment) && !(segment.is_empty() && self.0.is_star())
    }
}

fn is_slash(byte: &u8) -> bool {
    *byte == b'/'
}

fn decoded(piece: &str) -> Vec<u8> {
    percent_decode_str(piece).collect()
}

/// Refuses segments that no path can have.
fn check(segment: &str, is_last: bool) -> Result<(), String> {
    if segment.contains("**") {
        return Err("`**` must be a whole segment".to_owned());
    }
    if segment.is_empty() && !is_last {
        return Err("a segment is empty, and no path has such".to_owned());
    }
    let decoded = decoded(segment);
    if matches!(&*decoded, b"." | b"..") {
        return Err(format!("no path has the segment `{segment}`, which is resolved before"));
    }
    let unclear = segment.contains(['?', '#', ';']) || decoded.iter().any(|it| is_unclear(*it));
    if unclear || decoded.contains(&b'/') {
        return Err(format!("`{segment}` holds a character that servers read differently"));
    }
    Ok(())
}

/// What servers read differently wherever it stands in a decoded segment: a path with it is ambiguous.
pub(super) fn is_unclear(byte: u8) -> bool {
    matches!(byte, b'\\' | b'%' | b'?' | b'#') || byte.is_ascii_control()
}
