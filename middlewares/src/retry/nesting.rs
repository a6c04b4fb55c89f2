//! Repetitions of gateways in a row: if each of three sends a request three times, a failing server at the end gets it
//! twenty-seven times. A header tells those behind that somebody before them repeats.

use http::{HeaderMap, HeaderValue};

use crate::build::Defect;
use crate::message::between::ATTEMPT;

/// Whether requests that a gateway before this one repeats are repeated here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nested {
    /// They are, as nobody tells them apart.
    Allow,
    /// They are not.
    Refuse,
}

/// Who repeats a request before us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Nobody.
    Nobody,
    /// Somebody would; this is the first attempt. What it could not even send can be sent again here, since that is no
    /// load for anybody and nobody knows better which other server there is.
    Begins,
    /// Somebody does.
    Repeats,
}

impl Nested {
    pub(super) fn parse(text: &str) -> Result<Self, Defect> {
        match text {
            "" | "allow" => Ok(Self::Allow),
            "refuse" => Ok(Self::Refuse),
            other => Err(format!("nested: `{other}` is neither allow nor refuse").into()),
        }
    }

    /// Who repeats a request with these headers. Text that is no number says nothing.
    pub(super) fn before(self, headers: &HeaderMap) -> Before {
        if self == Self::Allow {
            return Before::Nobody;
        }
        let text = headers.get(ATTEMPT).and_then(|value| value.to_str().ok());
        match text.map(str::parse::<u32>) {
            None | Some(Err(_)) => Before::Nobody,
            Some(Ok(0)) => Before::Begins,
            Some(Ok(_)) => Before::Repeats,
        }
    }

    /// Tells those behind us which attempt this is.
    pub(super) fn mark(self, headers: &mut HeaderMap, attempt: u32) {
        if self == Self::Refuse {
            headers.insert(ATTEMPT, HeaderValue::from(attempt));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_tells_who_repeats() {
        let before = |text: &'static str| {
            let value = HeaderValue::from_static(text);
            Nested::Refuse.before(&HeaderMap::from_iter([(ATTEMPT, value)]))
        };
        assert_eq!(Nested::Refuse.before(&HeaderMap::new()), Before::Nobody);
        assert_eq!(before("0"), Before::Begins);
        assert_eq!((before("1"), before("4000000000")), (Before::Repeats, Before::Repeats));
        for text in ["", "-1", "x", "99999999999", "1, 1"] {
            assert_eq!(before(text), Before::Nobody, "{text}");
        }
        let headers = HeaderMap::from_iter([(ATTEMPT, HeaderValue::from_static("7"))]);
        assert_eq!(Nested::Allow.before(&headers), Before::Nobody);
    }
}
