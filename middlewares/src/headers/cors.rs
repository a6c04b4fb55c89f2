//! Answers to what browsers ask before scripts of one site may use another (CORS, Fetch standard).

use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use portcullis_config::pattern;
use regex::bytes::Regex;

use super::{Assignment, Headers, parse_value};
use crate::{Defect, Exchange, Filter, Flow, Later, Next, Request, Response, Step, Wrap};

/// The steps that answer preflight requests and complete other responses; `None` without CORS options.
pub(super) fn compile(headers: &Headers) -> Result<Option<(Step, Step)>, Defect> {
    let is_asked_for = headers.access_control_allow_credentials
        || !headers.access_control_allow_headers.is_empty()
        || !headers.access_control_allow_methods.is_empty()
        || !headers.access_control_allow_origin_list.is_empty()
        || !headers.access_control_allow_origin_list_regex.is_empty()
        || !headers.access_control_expose_headers.is_empty()
        || headers.access_control_max_age.is_some()
        || headers.add_vary_header;
    if !is_asked_for {
        return Ok(None);
    }
    let origins = Arc::new(Origins::compile(headers)?);
    let (mut set, expose) = (Vec::new(), exposed(headers)?);
    if headers.access_control_allow_credentials {
        set.push((ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")));
    }
    set.extend(expose);
    let preflight = Preflight::compile(headers, &origins, set.clone())?;
    let vary = if headers.add_vary_header { Vary::Origin } else { Vary::Unchanged };
    Ok(Some((Step::filter(preflight), Answer { set, vary }.step(origins))))
}

/// Answers preflight requests: OPTIONS with an origin and the method that is meant.
struct Preflight {
    set: Vec<Assignment>,
    /// Response headers that repeat what a request header asks for.
    granted: Vec<(HeaderName, HeaderName)>,
    origins: Arc<Origins>,
}

impl Preflight {
    fn compile(
        headers: &Headers,
        origins: &Arc<Origins>,
        mut set: Vec<Assignment>,
    ) -> Result<Self, Defect> {
        let mut granted = Vec::new();
        for (field, list, name, asked) in [
            (
                "accessControlAllowHeaders",
                &headers.access_control_allow_headers,
                ACCESS_CONTROL_ALLOW_HEADERS,
                ACCESS_CONTROL_REQUEST_HEADERS,
            ),
            (
                "accessControlAllowMethods",
                &headers.access_control_allow_methods,
                ACCESS_CONTROL_ALLOW_METHODS,
                ACCESS_CONTROL_REQUEST_METHOD,
            ),
        ] {
            // `*` means itself in answers that allow credentials, so what is asked for is granted by name.
            if headers.access_control_allow_credentials && has_star(list) {
                granted.push((name, asked));
            } else {
                set.extend(join(field, list)?.map(|value| (name, value)));
            }
        }
        if let Some(seconds) = headers.access_control_max_age {
            set.push((ACCESS_CONTROL_MAX_AGE, HeaderValue::from(seconds)));
        }
        Ok(Self { set, granted, origins: Arc::clone(origins) })
    }
}

impl Filter for Preflight {
    fn request(&self, request: &mut Request, _: &Exchange) -> Flow {
        if request.method != Method::OPTIONS {
            return Flow::Next;
        }
        let asked = |name: &HeaderName| request.headers.get(name).filter(|value| !value.is_empty());
        let (Some(origin), Some(_)) = (asked(&ORIGIN), asked(&ACCESS_CONTROL_REQUEST_METHOD)) else {
            return Flow::Next;
        };
        let mut response = Response { status: StatusCode::OK, ..Response::default() };
        set_all(&mut response.headers, &self.set);
        for (name, wish) in &self.granted {
            if let Some(value) = asked(wish) {
                response.headers.insert(name, value.clone());
            }
        }
        if let Some(allowed) = self.origins.allow(origin) {
            response.headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        }
        Flow::Stop(Box::new(response))
    }
}

/// What all other responses get.
struct Answer {
    set: Vec<Assignment>,
    vary: Vary,
}

enum Vary {
    Unchanged,
    Origin,
}

impl Answer {
    /// A filter if the answer is the same for every origin.
    fn step(mut self, origins: Arc<Origins>) -> Step {
        match origins.as_fixed() {
            Fixed::Nothing => Step::filter(self),
            Fixed::Star => {
                self.set.push((ACCESS_CONTROL_ALLOW_ORIGIN, STAR));
                Step::filter(self)
            }
            Fixed::No => Step::wrap(ByOrigin { answer: self, origins }),
        }
    }

    fn apply(&self, headers: &mut HeaderMap) {
        set_all(headers, &self.set);
        match self.vary {
            Vary::Unchanged => {}
            Vary::Origin => vary_by_origin(headers),
        }
    }
}

impl Filter for Answer {
    fn response(&self, response: &mut Response, _: &Exchange) {
        self.apply(&mut response.headers);
    }
}

/// An [`Answer`] that also depends on where the request came from.
struct ByOrigin {
    answer: Answer,
    origins: Arc<Origins>,
}

impl Wrap for ByOrigin {
    fn call<'a>(&'a self, request: Request, next: Next<'a>) -> Later<'a, Response> {
        // Traefik: a request without origin is compared too, as if its origin were empty.
        let allowed = self.origins.allow(request.headers.get(ORIGIN).unwrap_or(&NO_ORIGIN));
        let running = next.run(request);
        Box::pin(async move {
            let mut response = running.await;
            if let Some(allowed) = allowed {
                response.headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            }
            self.answer.apply(&mut response.headers);
            response
        })
    }
}

/// Which sites are allowed.
struct Origins {
    listed: Vec<Listed>,
    patterns: Vec<Regex>,
}

enum Listed {
    /// Any, answered with `*`.
    Star,
    /// Any, answered by its name, as browsers refuse `*` together with credentials.
    Any,
    One(HeaderValue),
}

/// Whether all origins get the same answer.
enum Fixed {
    No,
    Nothing,
    Star,
}

impl Origins {
    fn compile(headers: &Headers) -> Result<Self, Defect> {
        let parse = |text: &String| match text.trim() {
            "*" if headers.access_control_allow_credentials => Ok(Listed::Any),
            "*" => Ok(Listed::Star),
            origin => parse_value("accessControlAllowOriginList", origin).map(Listed::One),
        };
        let patterns = headers.access_control_allow_origin_list_regex.iter();
        Ok(Self {
            listed: headers
                .access_control_allow_origin_list
                .iter()
                .map(parse)
                .collect::<Result<_, _>>()?,
            patterns: patterns
                .map(|text| pattern::compile_bytes(text.trim()))
                .collect::<Result<_, _>>()
                .map_err(|error| format!("accessControlAllowOriginListRegex: {error}"))?,
        })
    }

    fn as_fixed(&self) -> Fixed {
        match self.listed.first() {
            Some(Listed::Star) => Fixed::Star,
            None if self.patterns.is_empty() => Fixed::Nothing,
            _ => Fixed::No,
        }
    }

    /// The name that is allowed to a request from `origin`.
    fn allow(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        let listed = self.listed.iter().find_map(|listed| match listed {
            Listed::Star => Some(STAR),
            Listed::Any => Some(origin.clone()),
            Listed::One(one) => (one == origin).then(|| one.clone()),
        });
        listed.or_else(|| {
            let mut patterns = self.patterns.iter();
            patterns.any(|pattern| pattern.is_match(origin.as_bytes())).then(|| origin.clone())
        })
    }
}

fn set_all(headers: &mut HeaderMap, assignments: &[Assignment]) {
    for (name, value) in assignments {
        headers.insert(name, value.clone());
    }
}

/// Adds `Origin` to `Vary`.
///
/// Traefik: keeps only the first of several lines there, and names the origin twice if it is named
/// together with others.
fn vary_by_origin(headers: &mut HeaderMap) {
    let mut names = Vec::new();
    for line in headers.get_all(VARY) {
        let mut parts = line.as_bytes().split(|byte| *byte == b',').map(|part| part.trim_ascii());
        if parts.any(|part| part == b"*" || part.eq_ignore_ascii_case(b"origin")) {
            return;
        }
        names.extend_from_slice(line.as_bytes());
        names.push(b',');
    }
    names.extend_from_slice(b"Origin");
    if let Ok(value) = HeaderValue::from_bytes(&names) {
        headers.insert(VARY, value);
    }
}

/// `Access-Control-Expose-Headers`; `*` would mean itself where credentials are allowed.
fn exposed(headers: &Headers) -> Result<Option<Assignment>, Defect> {
    let list = &headers.access_control_expose_headers;
    if headers.access_control_allow_credentials && has_star(list) {
        return Ok(None);
    }
    let value = join("accessControlExposeHeaders", list)?;
    Ok(value.map(|value| (ACCESS_CONTROL_EXPOSE_HEADERS, value)))
}

fn has_star(list: &[String]) -> bool {
    list.iter().any(|item| item.trim() == "*")
}

fn join(field: &str, list: &[String]) -> Result<Option<HeaderValue>, Defect> {
    let joined = list.iter().map(|item| item.trim()).collect::<Vec<_>>().join(",");
    if joined.is_empty() { Ok(None) } else { parse_value(field, &joined).map(Some) }
}

const STAR: HeaderValue = HeaderValue::from_static("*");
static NO_ORIGIN: HeaderValue = HeaderValue::from_static("");
