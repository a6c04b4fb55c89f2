//! Security headers, and the hosts that requests may be for.

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, PUBLIC_KEY_PINS, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS, X_XSS_PROTECTION,
};
use http::{HeaderName, HeaderValue, StatusCode};

use super::{Assignment, Headers, parse_name, parse_value};
use crate::{Defect, Exchange, Filter, Flow, Later, Next, Request, Response, Step, Wrap};

/// The step that refuses foreign hosts and adds security headers; `None` without such options.
pub(super) fn compile(headers: &Headers) -> Result<Option<Step>, Defect> {
    let secure = Secure::compile(headers)?;
    let sends = [&secure.set, &secure.set_over_tls].into_iter().any(|list| !list.is_empty());
    if secure.hosts.is_none() && !sends && secure.policies.is_empty() {
        return Ok(None);
    }
    let mut marks = Vec::new();
    for (name, value) in &headers.ssl_proxy_headers {
        let field = "sslProxyHeaders";
        marks.push((parse_name(field, name)?, parse_value(field, value)?));
    }
    if marks.is_empty() || secure.set_over_tls.is_empty() {
        return Ok(Some(Step::filter(secure)));
    }
    Ok(Some(Step::wrap(BehindProxy { secure, marks })))
}

struct Secure {
    hosts: Option<Hosts>,
    set: Vec<Assignment>,
    set_over_tls: Vec<Assignment>,
    /// Values with `$NONCE` in them.
    policies: Vec<(HeaderName, String)>,
}

impl Secure {
    fn compile(headers: &Headers) -> Result<Self, Defect> {
        let mut secure = Self {
            hosts: Hosts::compile(headers)?,
            set: Vec::new(),
            set_over_tls: Vec::new(),
            policies: Vec::new(),
        };
        for (field, name, text) in values(headers) {
            if text.contains(NONCE) {
                parse_value(field, text)?;
                secure.policies.push((name, text.to_owned()));
            } else if !text.is_empty() {
                secure.set.push((name, parse_value(field, text)?));
            }
        }
        if headers.is_development {
            return Ok(secure);
        }
        if let Some(value) = strict_transport(headers) {
            let over = if headers.force_sts_header {
                &mut secure.set
            } else {
                &mut secure.set_over_tls
            };
            over.push((STRICT_TRANSPORT_SECURITY, parse_value("stsSeconds", &value)?));
        }
        if !headers.public_key.is_empty() {
            let value = parse_value("publicKey", &headers.public_key)?;
            secure.set_over_tls.push((PUBLIC_KEY_PINS, value));
        }
        Ok(secure)
    }

    fn refusal(&self, request: &Request) -> Option<Response> {
        let is_foreign = self.hosts.as_ref().is_some_and(|hosts| !hosts.allow(request));
        is_foreign.then(|| Response::text(StatusCode::INTERNAL_SERVER_ERROR, "Bad Host"))
    }

    fn apply(&self, response: &mut Response, link: Link) {
        let over_tls = match link {
            Link::Tls => &self.set_over_tls[..],
            Link::Plain => &[],
        };
        for (name, value) in self.set.iter().chain(over_tls) {
            response.headers.insert(name, value.clone());
        }
        if self.policies.is_empty() {
            return;
        }
        let source = nonce_source();
        for (name, text) in &self.policies {
            if let Ok(value) = HeaderValue::try_from(text.replace(NONCE, &source)) {
                response.headers.insert(name, value);
            }
        }
    }
}

/// How the client is connected to us or to the proxy before us.
#[derive(Clone, Copy)]
enum Link {
    Plain,
    Tls,
}

impl Link {
    fn of(exchange: &Exchange) -> Self {
        if exchange.connection.tls.is_some() { Self::Tls } else { Self::Plain }
    }
}

impl Filter for Secure {
    fn request(&self, request: &mut Request, _: &Exchange) -> Flow {
        self.refusal(request).map_or(Flow::Next, |refusal| Flow::Stop(Box::new(refusal)))
    }

    fn response(&self, response: &mut Response, exchange: &Exchange) {
        self.apply(response, Link::of(exchange));
    }
}

/// [`Secure`] where a request header may tell that the client came over TLS.
struct BehindProxy {
    secure: Secure,
    marks: Vec<Assignment>,
}

impl Wrap for BehindProxy {
    fn call<'a>(&'a self, request: Request, next: Next<'a>) -> Later<'a, Response> {
        if let Some(refusal) = self.secure.refusal(&request) {
            return Box::pin(std::future::ready(refusal));
        }
        let is_marked = |(name, value): &Assignment| request.headers.get(name) == Some(value);
        let link = if self.marks.iter().any(is_marked) {
            Link::Tls
        } else {
            Link::of(next.exchange())
        };
        let running = next.run(request);
        Box::pin(async move {
            let mut response = running.await;
            self.secure.apply(&mut response, link);
            response
        })
    }
}

/// The hosts that requests may be for.
struct Hosts {
    allowed: Vec<Box<str>>,
    /// Request headers that name the host instead of `Host`.
    named_by: Vec<HeaderName>,
}

impl Hosts {
    fn compile(headers: &Headers) -> Result<Option<Self>, Defect> {
        if headers.allowed_hosts.is_empty() || headers.is_development {
            return Ok(None);
        }
        let names = headers.hosts_proxy_headers.iter();
        Ok(Some(Self {
            allowed: headers.allowed_hosts.iter().map(|host| host.trim().into()).collect(),
            named_by: names
                .map(|name| parse_name("hostsProxyHeaders", name))
                .collect::<Result<_, _>>()?,
        }))
    }

    fn allow(&self, request: &Request) -> bool {
        let mut named = self.named_by.iter().filter_map(|name| request.headers.get(name));
        let host = named.find(|value| !value.is_empty()).map(|value| value.as_bytes());
        let host = host.unwrap_or_else(|| request.host().as_bytes());
        self.allowed.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(host))
    }
}

/// Fields, headers and texts of what is sent with every response; empty texts are not sent.
fn values(headers: &Headers) -> [(&'static str, HeaderName, &str); 7] {
    [
        (
            "customFrameOptionsValue",
            X_FRAME_OPTIONS,
            preferred(&headers.custom_frame_options_value, headers.frame_deny.then_some("DENY")),
        ),
        (
            "contentTypeNosniff",
            X_CONTENT_TYPE_OPTIONS,
            preferred("", headers.content_type_nosniff.then_some("nosniff")),
        ),
        (
            "customBrowserXSSValue",
            X_XSS_PROTECTION,
            preferred(
                &headers.custom_browser_xss_value,
                headers.browser_xss_filter.then_some("1; mode=block"),
            ),
        ),
        ("contentSecurityPolicy", CONTENT_SECURITY_POLICY, &headers.content_security_policy),
        (
            "contentSecurityPolicyReportOnly",
            CONTENT_SECURITY_POLICY_REPORT_ONLY,
            &headers.content_security_policy_report_only,
        ),
        ("referrerPolicy", REFERRER_POLICY, &headers.referrer_policy),
        ("permissionsPolicy", PERMISSIONS_POLICY, &headers.permissions_policy),
    ]
}

fn preferred<'a>(custom: &'a str, usual: Option<&'a str>) -> &'a str {
    if custom.is_empty() { usual.unwrap_or_default() } else { custom }
}

fn strict_transport(headers: &Headers) -> Option<String> {
    let seconds = headers.sts_seconds.filter(|seconds| *seconds != 0)?;
    let subdomains = if headers.sts_include_subdomains { "; includeSubDomains" } else { "" };
    let preload = if headers.sts_preload { "; preload" } else { "" };
    Some(format!("max-age={seconds}{subdomains}{preload}"))
}

/// 16 random bytes as Content-Security-Policy writes them.
fn nonce_source() -> String {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).expect("the system gives random bytes once it has started");
    format!("'nonce-{}'", STANDARD_NO_PAD.encode(bytes))
}

const NONCE: &str = "$NONCE";
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
