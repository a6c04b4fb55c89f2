//! What must hold for an install configuration beyond its types: names that exist, combinations that make sense.

use portcullis_config::Problem;
use portcullis_config::problem::{At, Kind};
use portcullis_config::tree::Tree;
use portcullis_config::units::IpRanges;
use portcullis_providers::Kind as ProviderKind;

use super::providers::PRECEDENCE;
use super::{
    EntryPoint, EntryPointKind, IdentitySource, Install, Mesh, MeshRole, Protocol, Spiffe,
};

/// Every defect of `install`; `tree` tells the places.
pub(super) fn problems(install: &Install, tree: &Tree, activated: &[&str]) -> Vec<Problem> {
    let mut check = Check { install, tree, problems: Vec::new() };
    for (name, entry_point) in &install.entry_points {
        check.entry_point(name, entry_point, activated);
    }
    check.core();
    check.internal_services();
    check.providers();
    check.resolvers();
    check.spiffe();
    check.exporters();
    if let Some(mesh) = &install.mesh {
        check.mesh(mesh);
    }
    check.problems
}

struct Check<'a> {
    install: &'a Install,
    tree: &'a Tree,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn error(&mut self, path: &[&str], message: impl AsRef<str>) {
        let message = format!("`{}`: {}", path.join("."), message.as_ref());
        let at = self.place(path);
        self.problems.push(Problem::error(Kind::Install, "", message).at(at));
    }

    fn warning(&mut self, path: &[&str], message: impl AsRef<str>) {
        let message = format!("`{}`: {}", path.join("."), message.as_ref());
        let at = self.place(path);
        self.problems.push(Problem::warning(Kind::Install, "", message).at(at));
    }

    /// The place of `path`, or of the nearest block around it that has one.
    fn place(&self, path: &[&str]) -> Option<At> {
        let (mut here, mut at) = (self.tree, None);
        for step in path {
            let Some(child) = here.child(step) else { break };
            here = child;
            at = here.at.clone().or(at);
        }
        at
    }

    fn entry_point(&mut self, name: &str, entry_point: &EntryPoint, activated: &[&str]) {
        let path = ["entryPoints", name];
        let public = entry_point.kind == EntryPointKind::Public;
        if public && entry_point.address.is_unset() && !activated.contains(&name) {
            let expected = "an address is required, `[host]:port`, such as `:80`";
            self.error(&[path[0], path[1], "address"], expected);
        }
        let is_udp = entry_point.address.protocol() == Protocol::Udp;
        if is_udp && entry_point.udp.timeout.positive().is_none() {
            let path = [path[0], path[1], "udp", "timeout"];
            self.error(&path, "expected a duration above 0, such as `3s`");
        }
        let forwarded = &entry_point.forwarded_headers.trusted_ips;
        self.ranges(&[path[0], path[1], "forwardedHeaders", "trustedIPs"], forwarded);
        if let Some(proxy_protocol) = &entry_point.proxy_protocol {
            let path = [path[0], path[1], "proxyProtocol", "trustedIPs"];
            self.ranges(&path, &proxy_protocol.trusted_ips);
        }
        if let Some(http3) = &entry_point.http3
            && u16::try_from(http3.advertised_port).is_err()
        {
            let path = [path[0], path[1], "http3", "advertisedPort"];
            self.error(&path, "expected a port, 0 to 65535");
        }
        self.redirection(name, entry_point);
        self.limits(name, entry_point);
    }

    fn ranges(&mut self, path: &[&str], entries: &[String]) {
        if let Err(message) = IpRanges::parse(entries.iter().map(String::as_str)) {
            self.error(path, message);
        }
    }

    fn redirection(&mut self, name: &str, entry_point: &EntryPoint) {
        let redirections = entry_point.http.redirections.as_ref();
        let Some(target) = redirections.and_then(|it| it.entry_point.as_ref()) else { return };
        let path = |field| ["entryPoints", name, "http", "redirections", "entryPoint", field];
        let port = target.to.strip_prefix(':').map(str::parse::<u16>);
        match port {
            _ if target.to.is_empty() => {
                self.error(&path("to"), "expected the name of an entry point or `:port`");
            }
            Some(Ok(_)) => {}
            Some(Err(_)) => {
                self.error(&path("to"), format!("`{}` is not a port", target.to));
            }
            None if !self.install.entry_points.contains_key(&target.to) => {
                let known = self.entry_points();
                let message = format!("there is no entry point `{}`; there are {known}", target.to);
                self.error(&path("to"), message);
            }
            None => {}
        }
        if !["http", "https"].contains(&&*target.scheme) {
            let message = format!("expected `http` or `https`, found `{}`", target.scheme);
            self.error(&path("scheme"), message);
        }
    }

    fn limits(&mut self, name: &str, entry_point: &EntryPoint) {
        let http = &entry_point.http;
        if http.max_header_bytes < 0 {
            self.error(&["entryPoints", name, "http", "maxHeaderBytes"], "must not be negative");
        }
        let strategies = (http.underscore_headers_strategy, http.alias_headers_strategy);
        if let (Some(underscore), Some(alias)) = strategies
            && underscore != alias
        {
            let message =
                "contradicts `underscoreHeadersStrategy`, which is deprecated; remove that one";
            self.error(&["entryPoints", name, "http", "aliasHeadersStrategy"], message);
        }
        let streams = entry_point.http2.max_concurrent_streams;
        if !(1..=i64::from(u32::MAX)).contains(&streams) {
            let path = ["entryPoints", name, "http2", "maxConcurrentStreams"];
            self.error(&path, format!("expected 1 to {}, found {streams}", u32::MAX));
        }
    }

    fn core(&mut self) {
        let path = ["core", "defaultRuleSyntax"];
        match self.install.core.default_rule_syntax.as_str() {
            "v3" | "" => {}
            // A v2 rule may parse as v3 and mean something else, so it must not be guessed.
            "v2" => self.error(&path, "rules of syntax v2 are not served; write them in syntax v3"),
            other => self.error(&path, format!("expected `v3`, found `{other}`")),
        }
    }

    fn internal_services(&mut self) {
        if let Some(api) = &self.install.api
            && !api.base_path.starts_with('/')
        {
            let message =
                format!("expected a path that begins with `/`, found `{}`", api.base_path);
            self.error(&["api", "basePath"], message);
        }
        if let Some(ping) = &self.install.ping {
            if !(200..=599).contains(&ping.terminating_status_code) {
                self.error(&["ping", "terminatingStatusCode"], "expected a status, 200 to 599");
            }
            if !ping.manual_routing {
                self.existing_entry_point(&["ping", "entryPoint"], &ping.entry_point);
            }
        }
        let metrics = self.install.metrics.as_ref();
        if let Some(prometheus) = metrics.and_then(|metrics| metrics.prometheus.as_ref()) {
            if !prometheus.manual_routing {
                let path = ["metrics", "prometheus", "entryPoint"];
                self.existing_entry_point(&path, &prometheus.entry_point);
            }
            if !prometheus.buckets.is_sorted_by(|a, b| a < b) {
                self.error(&["metrics", "prometheus", "buckets"], "bounds must grow");
            }
        }
    }

    /// Traefik: only a log line, since such a service does no harm where nobody reaches it.
    fn existing_entry_point(&mut self, path: &[&str], name: &str) {
        if !self.install.entry_points.contains_key(name) {
            let known = self.entry_points();
            let message =
                format!("there is no entry point `{name}`, nobody reaches it; there are {known}");
            self.warning(path, message);
        }
    }

    fn entry_points(&self) -> String {
        let names: Vec<String> =
            self.install.entry_points.keys().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    }

    fn providers(&mut self) {
        let providers = &self.install.providers;
        for name in &providers.precedence {
            if !PRECEDENCE.contains(&name.as_str()) {
                let known = PRECEDENCE.join(", ");
                let message = format!("`{name}` is no provider; providers are {known}");
                self.error(&["providers", "precedence"], message);
            }
        }
        for (name, options) in providers.served() {
            match ProviderKind::find(name).map(|kind| (kind.build)(options)) {
                Some(Ok(_)) => {}
                Some(Err(problems)) => {
                    let at = self.place(&["providers", name]);
                    self.problems.extend(problems.into_iter().map(|problem| {
                        let at = problem.at.clone().or_else(|| at.clone());
                        problem.at(at)
                    }));
                }
                None => self.error(&["providers", name], "is not part of this build"),
            }
        }
        if let Some(nginx) = &providers.kubernetes_ingress_nginx
            && !nginx.watch_namespace.is_empty()
            && !nginx.watch_namespace_selector.is_empty()
        {
            let path = ["providers", "kubernetesIngressNGINX", "watchNamespaceSelector"];
            self.error(&path, "does not go together with `watchNamespace`");
        }
        let allowed = self.install.experimental.as_ref().is_some_and(|it| it.knative);
        if providers.knative.is_some() && !allowed {
            self.error(&["providers", "knative"], "needs `experimental.knative`");
        }
    }

    fn resolvers(&mut self) {
        for (name, resolver) in &self.install.certificates_resolvers {
            if resolver.acme.is_some() && resolver.tailscale.is_some() {
                let path = ["certificatesResolvers", name];
                self.error(&path, "is either `acme` or `tailscale`, not both");
            }
            let http = resolver.acme.as_ref().and_then(|acme| acme.http_challenge.as_ref());
            if let Some(http) = http.filter(|http| !http.entry_point.is_empty()) {
                let path = ["certificatesResolvers", name, "acme", "httpChallenge", "entryPoint"];
                self.existing_entry_point(&path, &http.entry_point);
            }
            if resolver.acme.as_ref().is_some_and(|acme| acme.storage.is_empty()) {
                let path = ["certificatesResolvers", name, "acme", "storage"];
                self.error(&path, "expected the path of a file");
            }
        }
        if let Some(ocsp) = &self.install.ocsp {
            for (responder, target) in &ocsp.responder_overrides {
                if target.is_empty() {
                    let path = ["ocsp", "responderOverrides", responder];
                    self.error(&path, "expected the URL of a responder");
                }
            }
        }
    }

    fn mesh(&mut self, mesh: &Mesh) {
        let fits = |text: &str| {
            let allowed =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
            !text.is_empty() && text.chars().all(allowed)
        };
        if !fits(&mesh.trust_domain) {
            let message = "expected a name of lower-case letters, digits, `.`, `-` and `_`, such as `corp.example`";
            self.error(&["mesh", "trustDomain"], message);
        }
        let name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if !mesh.node.chars().all(name) {
            let message =
                format!("`{}` is no name of letters, digits, `.`, `-` and `_`", mesh.node);
            self.error(&["mesh", "node"], message);
        }
        let obtains = mesh.has(MeshRole::Control) || mesh.join.is_some();
        if mesh.identity.source == IdentitySource::Builtin && !obtains {
            let message = "source `builtin` needs the role `control`, or `mesh.join`";
            self.error(&["mesh", "identity"], message);
        }
        let mut seen = Vec::new();
        for (index, upstream) in mesh.upstreams.iter().enumerate() {
            let index = index.to_string();
            let path = |field| ["mesh", "upstreams", index.as_str(), field];
            if upstream.service.is_empty() {
                self.error(
                    &path("service"),
                    "the name of a service is required, such as `web.default`",
                );
            }
            if upstream.port == 0 {
                self.error(&path("port"), "the port of the service is required");
            }
            if upstream.listen.is_unset() {
                self.error(&path("listen"), "an address is required, such as `127.0.0.1:9001`");
            }
            let named = upstream.entry_point();
            if seen.contains(&named) {
                let message = "the same service, port and account as another upstream";
                self.error(&path("service"), message);
            }
            seen.push(named);
        }
    }

    fn spiffe(&mut self) {
        let spiffe = self.install.spiffe.as_ref().filter(|spiffe| spiffe.is_on());
        if let Some(Err(message)) = spiffe.map(Spiffe::address) {
            self.error(&["spiffe", "workloadAPIAddr"], message);
        }
    }

    fn exporters(&mut self) {
        let allowed = self.install.experimental.as_ref().is_some_and(|it| it.otlp_logs);
        let log = self.install.log.as_ref().and_then(|log| log.otlp.as_ref());
        let access_log = self.install.access_log.as_ref().and_then(|log| log.otlp.as_ref());
        for (name, export) in [("log", log), ("accessLog", access_log)] {
            if export.is_some() && !allowed {
                self.error(&[name, "otlp"], "needs `experimental.otlpLogs`");
            }
        }
        let metrics = self.install.metrics.as_ref().and_then(|metrics| metrics.otlp.as_ref());
        let tracing = self.install.tracing.as_ref().and_then(|tracing| tracing.otlp.as_ref());
        let exports = [
            ("log", log.and_then(|export| export.grpc.as_ref())),
            ("accessLog", access_log.and_then(|export| export.grpc.as_ref())),
            ("metrics", metrics.and_then(|export| export.grpc.as_ref())),
            ("tracing", tracing.and_then(|export| export.grpc.as_ref())),
        ];
        for (name, grpc) in exports {
            if grpc.is_some_and(|grpc| grpc.insecure && grpc.tls.is_some()) {
                let path = [name, "otlp", "grpc", "insecure"];
                self.error(&path, "does not go together with `tls`");
            }
        }
    }
}
