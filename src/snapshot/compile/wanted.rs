//! Which certificates routers and the default store want from resolvers.

use std::sync::Arc;

use portcullis_config::routing::http::Domain;
use portcullis_config::rule::Protocol;
use portcullis_config::rule::parse::parse;

use crate::snapshot::configuration::Configuration;
use crate::tls::acme::Wanted;
use crate::tls::acme::names::Names;
use crate::tls::store::Store;

/// One certificate for each router, or for each of its `tls.domains`.
///
/// Traefik: the first name of the rule is the main one; `HostRegexp` names nothing.
pub(super) fn certificates(configuration: &Configuration) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for (name, router) in &configuration.routers {
        if let Some(tls) = router.tls.as_ref().filter(|tls| !tls.cert_resolver.is_empty()) {
            let wish =
                Wish { resolver: &tls.cert_resolver, domains: &tls.domains, by: name.as_str() };
            wish.add(&router.rule, Protocol::Http, &mut wanted);
        }
    }
    for (name, router) in &configuration.tcp.routers {
        let tls = router.tls.as_ref().filter(|tls| !tls.cert_resolver.is_empty());
        // A router that passes TLS through needs no certificate of ours.
        if let Some(tls) = tls.filter(|tls| !tls.passthrough) {
            let wish = Wish { resolver: &tls.cert_resolver, domains: &tls.domains, by: name };
            wish.add(&router.rule, Protocol::Tcp, &mut wanted);
        }
    }
    wanted.extend(of_default_store(configuration));
    wanted
}

struct Wish<'a> {
    resolver: &'a str,
    domains: &'a [Domain],
    by: &'a str,
}

impl Wish<'_> {
    fn add(&self, rule: &str, protocol: Protocol, wanted: &mut Vec<Wanted>) {
        let sets: Vec<Names> = if self.domains.is_empty() {
            let hosts = parse(rule, protocol).map(|rule| rule.hosts()).unwrap_or_default();
            Names::new(hosts).into_iter().collect()
        } else {
            self.domains.iter().filter_map(Names::of_domain).collect()
        };
        let (resolver, by): (Arc<str>, Arc<str>) = (self.resolver.into(), self.by.into());
        wanted.extend(sets.into_iter().map(|names| Wanted {
            resolver: Arc::clone(&resolver),
            names,
            by: Arc::clone(&by),
            whole: false,
        }));
    }
}

/// Traefik: a default certificate of the user's own wins, and nothing is ordered.
fn of_default_store(configuration: &Configuration) -> Option<Wanted> {
    let store = configuration.tls.stores.get("default")?;
    let wish =
        store.default_generated_cert.as_ref().filter(|_| store.default_certificate.is_none())?;
    Some(Wanted {
        resolver: wish.resolver.as_str().into(),
        names: Names::of_domain(wish.domain.as_ref()?)?,
        by: "default store".into(),
        whole: true,
    })
}

/// The hosts of routers whose clients get a certificate that is not for them, each with its router: `host` of `web@file`.
/// Those that a resolver is to obtain one for are not among them.
pub(super) fn uncovered(configuration: &Configuration, store: &Store) -> Vec<String> {
    let mut found = Vec::new();
    for (name, router) in &configuration.routers {
        let own = router.tls.as_ref().filter(|tls| tls.cert_resolver.is_empty());
        if own.is_none() {
            continue;
        }
        let hosts =
            parse(&router.rule, Protocol::Http).map(|rule| rule.hosts()).unwrap_or_default();
        let missing = hosts.into_iter().filter(|host| !store.fits(host));
        found.extend(missing.map(|host| format!("`{host}` of router `{name}`")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_config::Name;
    use portcullis_config::routing::http::{Router, RouterTls};
    use portcullis_config::routing::{tcp, tls};

    fn router(rule: &str, domains: Vec<Domain>) -> Router {
        let tls = RouterTls { cert_resolver: "le".into(), domains, ..RouterTls::default() };
        Router { rule: rule.into(), tls: Some(tls), ..Router::default() }
    }

    fn found(configuration: &Configuration) -> Vec<(String, String, bool)> {
        let all = certificates(configuration).into_iter();
        all.map(|it| (it.by.to_string(), it.names.iter().collect::<Vec<_>>().join(" "), it.whole))
            .collect()
    }

    #[test]
    fn names_come_from_rules_unless_domains_are_given() {
        let mut configuration = Configuration::default();
        let rule = "(Host(`A.test`) || Host(`b.test`)) && !Host(`c.test`)";
        let domain = Domain { main: "d.test".into(), sans: vec!["*.d.test".into()] };
        let mut add = |name: &str, router| {
            configuration.routers.insert(Name::verbatim(name), Arc::new(router))
        };
        add("rule@file", router(rule, Vec::new()));
        add("domains@file", router(rule, vec![domain]));
        add("regexp@file", router("HostRegexp(`.+`)", Vec::new()));
        add("plain@file", Router { rule: rule.into(), ..Router::default() });
        let expected = [("rule@file", "a.test b.test"), ("domains@file", "d.test *.d.test")];
        assert_eq!(
            found(&configuration),
            expected.map(|(by, names)| (by.into(), names.into(), false))
        );
    }

    #[test]
    fn tcp_routers_want_certificates_unless_they_pass_tls_through() {
        let mut configuration = Configuration::default();
        for (name, passthrough) in [("own@file", false), ("through@file", true)] {
            let tls =
                tcp::RouterTls { cert_resolver: "le".into(), passthrough, ..Default::default() };
            let rule = format!("HostSNI(`{}.test`)", &name[..3]);
            let router = tcp::Router { rule, tls: Some(tls), ..Default::default() };
            configuration.tcp.routers.insert(name.into(), router);
        }
        assert_eq!(found(&configuration), [("own@file".into(), "own.test".into(), false)]);
    }

    #[test]
    fn hosts_that_no_certificate_is_for_are_found() {
        let mut configuration = Configuration::default();
        let tls = RouterTls::default();
        let plain = Router { rule: "Host(`a.test`)".into(), tls: Some(tls), ..Router::default() };
        configuration.routers.insert(Name::verbatim("bare@file"), Arc::new(plain));
        configuration
            .routers
            .insert(Name::verbatim("le@file"), Arc::new(router("Host(`b.test`)", Vec::new())));
        let store = crate::tls::configurations::Configurations::new().unwrap().store();
        assert_eq!(uncovered(&configuration, &store), ["`a.test` of router `bare@file`"]);
    }

    #[test]
    fn the_default_store_wants_its_certificate_whole() {
        let domain = Domain { main: "a.test".into(), sans: vec!["b.test".into()] };
        let wish = tls::GeneratedCertificate { resolver: "le".into(), domain: Some(domain) };
        let mut store = tls::Store { default_generated_cert: Some(wish), ..Default::default() };
        let mut configuration = Configuration::default();
        configuration.tls.stores.insert("default".into(), store.clone());
        assert_eq!(found(&configuration), [("default store".into(), "a.test b.test".into(), true)]);
        store.default_certificate = Some(Default::default());
        configuration.tls.stores.insert("default".into(), store);
        assert!(found(&configuration).is_empty());
    }
}
