//! `Calls`: what a policy's `to` names.

use http::HeaderName;
use portcullis_config::routing::mesh::policy::Call;

use super::glob::{Glob, PathGlob};
use super::path::{Scratch, Seen};
use super::{Asked, HttpAsked};

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Yes,
    /// It depends on a request that is not there to be seen.
    Maybe,
    No,
}

/// Sorts of calls; none = every call.
#[derive(Debug)]
pub(super) struct Calls(Vec<Condition>);

#[derive(Debug)]
struct Condition {
    /// Empty = every port.
    ports: Vec<u16>,
    http: Option<HttpCondition>,
}

/// Every field that is not empty must fit.
#[derive(Debug)]
struct HttpCondition {
    methods: Vec<String>,
    paths: Vec<PathGlob>,
    headers: Vec<(HeaderName, Glob)>,
}

impl Calls {
    /// Reads `to`; the error begins with the field.
    pub(super) fn compile(calls: &[Call]) -> Result<Self, String> {
        let conditions = calls.iter().enumerate().map(|(index, call)| {
            Condition::compile(call).map_err(|error| format!("to[{index}].{error}"))
        });
        conditions.collect::<Result<_, _>>().map(Self)
    }

    /// Every call.
    pub(super) fn every() -> Self {
        Self(Vec::new())
    }

    /// Whether a condition on requests could be asked on this port.
    pub(super) fn looks_at_requests(&self, port: u16) -> bool {
        let about = |it: &Condition| it.ports.is_empty() || it.ports.contains(&port);
        self.0.iter().any(|it| it.http.is_some() && about(it))
    }

    /// Whether a call is among them. Where servers may read a path in two ways, a call counts as what the policy is
    /// `strict` against if either reading fits, and as what it allows only if both do.
    pub(super) fn fit(&self, asked: &Asked<'_>, strict: bool) -> Fit {
        if self.0.is_empty() {
            return Fit::Yes;
        }
        let mut fit = Fit::No;
        for condition in &self.0 {
            match condition.fit(asked, strict) {
                Fit::Yes => return Fit::Yes,
                Fit::Maybe => fit = Fit::Maybe,
                Fit::No => {}
            }
        }
        fit
    }
}

impl Condition {
    fn compile(call: &Call) -> Result<Self, String> {
        if let Some(method) = call.methods.iter().find(|it| !is_method(it)) {
            return Err(format!("methods: `{method}` is no method; expected such as `GET`"));
        }
        let paths = call.paths.iter().map(|it| PathGlob::parse(it)).collect::<Result<Vec<_>, _>>();
        let headers = call.headers.iter().map(|(name, value)| {
            let name = HeaderName::try_from(name).map_err(|_| format!("`{name}` is no header"))?;
            Ok((name, Glob::parse(value)))
        });
        let headers = headers.collect::<Result<Vec<_>, String>>();
        let http = HttpCondition {
            methods: call.methods.clone(),
            paths: paths.map_err(|error| format!("paths: {error}"))?,
            headers: headers.map_err(|error| format!("headers: {error}"))?,
        };
        let asks = !(http.methods.is_empty() && http.paths.is_empty() && http.headers.is_empty());
        Ok(Self { ports: call.ports.clone(), http: asks.then_some(http) })
    }

    fn fit(&self, asked: &Asked<'_>, strict: bool) -> Fit {
        if !self.ports.is_empty() && !self.ports.contains(&asked.port) {
            return Fit::No;
        }
        match (&self.http, &asked.http) {
            (None, _) => Fit::Yes,
            (Some(_), None) => Fit::Maybe,
            (Some(condition), Some(request)) if condition.fits(request, strict) => Fit::Yes,
            (Some(_), Some(_)) => Fit::No,
        }
    }
}

impl HttpCondition {
    fn fits(&self, request: &HttpAsked<'_>, strict: bool) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|it| it == request.method))
            && self.headers.iter().all(|(name, glob)| {
                let mut values = request.headers.get_all(name).iter();
                if strict {
                    return values.any(|value| glob.fits(value.as_bytes()));
                }
                let first = values.next().is_some_and(|value| glob.fits(value.as_bytes()));
                first && values.all(|value| glob.fits(value.as_bytes()))
            })
            && (self.paths.is_empty() || self.fits_path(request.path, strict))
    }

    fn fits_path(&self, path: &str, strict: bool) -> bool {
        let mut scratch = Scratch::new();
        let Some(seen) = Seen::read(path, &mut scratch) else { return strict };
        let fits = |path: &[u8]| self.paths.iter().any(|glob| glob.fits(path));
        match seen.bare {
            None => fits(seen.whole),
            Some(bare) if strict => fits(seen.whole) || fits(bare),
            Some(bare) => fits(seen.whole) && fits(bare),
        }
    }
}

/// RFC 9110 section 9.1: a token; those in use are upper case, and a lower-case one would never match.
fn is_method(method: &str) -> bool {
    let token =
        |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    !method.is_empty() && method.bytes().all(token)
}
