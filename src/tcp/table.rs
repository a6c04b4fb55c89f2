//! `Table`: who takes a connection of one entry point, a TCP router or HTTP.

use std::sync::Arc;

use hashbrown::HashSet;

use super::condition::after_first_label;
use super::route::Route;
use super::routes::{Reach, Routes, Seen};

/// The TCP routers of one entry point, and what they must know of its HTTP routers.
#[derive(Debug, Default)]
pub struct Table {
    /// For connections in the clear.
    pub plain: Routes<Arc<Route>>,
    /// For TLS connections.
    pub secure: Routes<Arc<Route>>,
    https: Hosts,
}

/// The hosts that HTTPS routers of the entry point name.
#[derive(Debug, Default)]
pub struct Hosts {
    exact: Set,
    /// By what follows the first label.
    wild: Set,
    /// Whether a router names none.
    any: bool,
}

type Set = HashSet<Box<str>, ahash::RandomState>;

/// Who takes a connection.
#[derive(Clone, Copy, Debug)]
pub enum Taker<'a> {
    /// A TCP router.
    Tcp(&'a Arc<Route>),
    /// HTTP, whatever comes of it there.
    Http,
}

impl Table {
    /// A table of these routes; `https` are the hosts of HTTPS routers.
    pub fn new(plain: Routes<Arc<Route>>, secure: Routes<Arc<Route>>, https: Hosts) -> Self {
        // Nobody asks for hosts where no TCP router wants TLS, except whether there are any.
        let https = if secure.is_empty() {
            Hosts { any: https.is_some(), ..Hosts::default() }
        } else {
            https
        };
        Self { plain, secure, https }
    }

    /// Whether HTTP takes every connection.
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.secure.is_empty()
    }

    /// Whether a client that waits for the server to speak first can be served: no router, TCP or HTTP, wants TLS.
    /// Traefik: HTTP routers without TLS do not count.
    pub fn may_answer_first(&self) -> bool {
        !self.plain.is_empty() && self.secure.is_empty() && !self.https.is_some()
    }

    /// Who takes a connection in the clear.
    pub fn plain(&self, seen: &Seen<'_>) -> Taker<'_> {
        self.plain.find(seen).map_or(Taker::Http, |(route, _)| Taker::Tcp(route))
    }

    /// Who takes a TLS connection. Traefik: HTTPS routers with the name, TCP routers with more than a catch-all, HTTPS
    /// routers without names, the catch-all of TCP.
    pub fn secure(&self, seen: &Seen<'_>) -> Taker<'_> {
        if self.https.has(seen.server_name) {
            return Taker::Http;
        }
        match self.secure.find(seen) {
            Some((route, Reach::Specific)) => Taker::Tcp(route),
            Some((route, Reach::CatchAll)) if !self.https.any => Taker::Tcp(route),
            _ => Taker::Http,
        }
    }
}

impl Hosts {
    /// From the patterns of HTTPS routers: `example.com`, `*.example.com`; `*` and empty for a router that names none.
    pub fn new<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Self {
        let mut hosts = Self::default();
        for pattern in patterns {
            let pattern = crate::tls::canonical(pattern);
            match (&*pattern, pattern.strip_prefix('*')) {
                ("" | "*", _) => hosts.any = true,
                (_, Some(suffix)) => drop(hosts.wild.insert(suffix.into())),
                (name, None) => drop(hosts.exact.insert(name.into())),
            }
        }
        hosts
    }

    fn has(&self, name: &str) -> bool {
        self.exact.contains(name)
            || after_first_label(name).is_some_and(|suffix| self.wild.contains(suffix))
    }

    fn is_some(&self) -> bool {
        self.any || !self.exact.is_empty() || !self.wild.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_config::rule::Protocol;
    use portcullis_config::rule::parse::parse;

    use super::*;
    use crate::tcp::routes::Entry;

    fn routes(rules: &[&str]) -> Routes<Arc<Route>> {
        let entries = rules.iter().map(|text| {
            let rule = parse(text, Protocol::Tcp).unwrap();
            let priority = rule.default_priority(text);
            Entry { rule, priority, target: Arc::new(Route::broken((*text).into())) }
        });
        Routes::compile(entries.collect()).unwrap()
    }

    fn taker(table: &Table, name: &str) -> String {
        let client_ip = "::1".parse().unwrap();
        match table.secure(&Seen { server_name: name, protocols: &[], client_ip }) {
            Taker::Tcp(route) => route.name.to_string(),
            Taker::Http => "http".to_owned(),
        }
    }

    #[test]
    fn tls_connections_go_by_the_order_of_traefik() {
        let rules = ["HostSNI(`tcp.test`)", "HostSNI(`both.test`)", "HostSNI(`*`)"];
        let hosts = ["both.test", "Http.test", "*.wild.test"];
        let table = Table::new(Routes::default(), routes(&rules), Hosts::new(hosts));
        assert_eq!(taker(&table, "tcp.test"), "HostSNI(`tcp.test`)");
        assert_eq!(taker(&table, "both.test"), "http");
        assert_eq!(taker(&table, "http.test"), "http");
        assert_eq!(taker(&table, "a.wild.test"), "http");
        assert_eq!(taker(&table, "wild.test"), "HostSNI(`*`)");
        assert_eq!(taker(&table, ""), "HostSNI(`*`)");
        let table = Table::new(Routes::default(), routes(&rules), Hosts::new(["", "http.test"]));
        assert_eq!(taker(&table, "tcp.test"), "HostSNI(`tcp.test`)");
        assert_eq!(taker(&table, "else.test"), "http");
    }

    #[test]
    fn a_server_may_speak_first_where_nobody_wants_tls() {
        let first = |plain: &[&str], secure: &[&str], https: &[&str]| {
            let hosts = Hosts::new(https.iter().copied());
            Table::new(routes(plain), routes(secure), hosts).may_answer_first()
        };
        let any = "HostSNI(`*`)";
        assert!(first(&[any], &[], &[]));
        assert!(!first(&[], &[], &[]));
        assert!(!first(&[any], &[any], &[]));
        assert!(!first(&[any], &[], &["a.test"]));
        assert!(!first(&[any], &[], &[""]));
    }
}
