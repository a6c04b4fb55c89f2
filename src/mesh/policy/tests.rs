use indexmap::IndexMap;
use portcullis_config::routing::mesh::Policy;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::mesh::catalog::Catalog;

const CART: &str = "spiffe://td/ns/shop/sa/cart";
const EDGE: &str = "spiffe://td/ns/portcullis-system/sa/edge.e1";

fn compiled(policies: Value, default: DefaultPolicy) -> (Policies, Vec<String>) {
    let policies: IndexMap<String, Policy> = serde_json::from_value(policies).unwrap();
    let catalog = Catalog::default();
    let ground =
        Ground { default, trust_domain: "td", catalog: &catalog, counts: &|_| Arc::default() };
    let (policies, mut problems) = Policies::compile(&policies, &ground);
    // The catalog is empty.
    problems.retain(|problem| !problem.message.contains("so the policy is about nobody"));
    (policies, problems.into_iter().map(|problem| problem.to_string()).collect())
}

fn policies(policies: Value) -> Policies {
    let (policies, problems) = compiled(policies, DefaultPolicy::AllowMesh);
    assert_eq!(problems, [] as [String; 0]);
    policies
}

/// The verdict on a request, or on a call where `request` is nothing: who decided, and whether it passes.
fn judged(policies: &Policies, source: &str, request: Option<(&str, &str)>) -> (String, bool) {
    let services = [Arc::from("web.default")];
    let destination = Destination {
        workload: "web-1@file",
        namespace: "default",
        account: "web",
        services: &services,
    };
    let source = Id::parse(source).unwrap();
    let headers = HeaderMap::new();
    let http = request.map(|(method, path)| HttpAsked { method, path, headers: &headers });
    let source_ip = [127, 0, 0, 1].into();
    let asked =
        Asked { source: Some(&source), source_ip, destination: &destination, port: 80, http };
    let decision = policies.decide(&asked);
    let by = decision.rule.as_deref().unwrap_or("default");
    let by = if decision.needs_http { format!("{by}?") } else { by.to_owned() };
    (decision.audit.map_or(by.clone(), |audit| format!("{by}, {audit}")), decision.allowed)
}

fn web(action: &str, more: Value) -> Value {
    let mut policy = json!({ "target": { "service": "web.default" }, "action": action });
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    policy
}

#[test]
fn whoever_is_not_allowed_where_somebody_is_gets_refused() {
    let policies = policies(json!({
        "shop": web("allow", json!({ "from": ["ns/shop/sa/*"], "to": [{ "methods": ["GET"], "paths": ["/api/**"] }] })),
        "edges": web("allow", json!({ "from": ["sa/edge.*"] })),
        "others": { "target": { "service": "db.default" }, "action": "deny" },
    }));
    let of = |source, request| judged(&policies, source, request);
    assert_eq!(of(CART, Some(("GET", "/api/1"))), ("shop".to_owned(), true));
    for refused in
        [("POST", "/api/1"), ("GET", "/admin"), ("GET", "/api/..%2fadmin"), ("GET", "/API/1")]
    {
        // The first that allows anybody is named.
        assert_eq!(of(CART, Some(refused)), ("edges".to_owned(), false), "{refused:?}");
    }
    assert_eq!(of(EDGE, Some(("POST", "/admin"))), ("edges".to_owned(), true));
    assert_eq!(
        of("spiffe://td/ns/other/sa/x", Some(("GET", "/api/1"))),
        ("edges".to_owned(), false)
    );
    // Without the request it is not known yet, and nothing passes.
    assert_eq!(of(CART, None), ("shop?".to_owned(), false));
    assert_eq!(of(EDGE, None), ("edges".to_owned(), true));
}

#[test]
fn whoever_is_denied_is_refused_whoever_else_allows() {
    let policies = policies(json!({
        "all": { "target": { "all": true }, "action": "allow" },
        "no-admin": { "target": { "namespace": "default", "account": "web" }, "action": "deny", "to": [{ "paths": ["/admin/**"] }] },
    }));
    let of = |path| judged(&policies, CART, Some(("GET", path)));
    assert_eq!(of("/x"), ("all".to_owned(), true));
    // Also where a server may read it as such a path.
    for path in ["/admin/x", "/admin", "/admin;v=1/x", "/%61dmin/x", "/x%2fadmin", "//admin"] {
        assert_eq!(of(path), ("no-admin".to_owned(), false), "{path}");
    }
    assert_eq!(judged(&policies, CART, None), ("no-admin?".to_owned(), false));
}

#[test]
fn the_default_decides_about_workloads_that_no_policy_allows_for() {
    for (default, allowed) in [
        (DefaultPolicy::Deny, false),
        (DefaultPolicy::AllowMesh, true),
        (DefaultPolicy::Allow, true),
    ] {
        let other = json!({ "other": { "target": { "workload": "db-1" }, "action": "allow" } });
        let (policies, _) = compiled(other, default);
        assert_eq!(judged(&policies, CART, None), ("default".to_owned(), allowed));
    }
}

#[test]
fn audit_refuses_nothing_and_tells_what_it_would() {
    let policies = policies(json!({
        "try": web("deny", json!({ "mode": "audit", "to": [{ "methods": ["POST"] }] })),
        "only": web("allow", json!({ "mode": "audit", "from": ["sa/edge.*"] })),
    }));
    assert_eq!(judged(&policies, CART, Some(("POST", "/"))), ("default, try".to_owned(), true));
    assert_eq!(judged(&policies, CART, Some(("GET", "/"))), ("default, only".to_owned(), true));
    assert_eq!(judged(&policies, EDGE, Some(("GET", "/"))), ("default".to_owned(), true));
}

#[test]
fn a_policy_that_cannot_be_read_refuses_what_it_is_about() {
    for (more, field) in [
        (json!({ "action": "permit" }), "action: `permit`"),
        (json!({ "mode": "try" }), "mode: `try`"),
        (json!({ "from": ["shop"] }), "from: `shop`"),
        (json!({ "to": [{ "paths": ["api"] }] }), "to[0].paths: `api`"),
        (json!({ "to": [{}, { "methods": ["get"] }] }), "to[1].methods: `get`"),
        (json!({ "target": { "all": true, "service": "x" } }), "target: `all` stands alone"),
        (json!({ "target": {} }), "target: is empty"),
    ] {
        let policy = json!({ "bad": web("allow", more.clone()) });
        let (policies, problems) = compiled(policy, DefaultPolicy::Allow);
        assert!(problems.len() == 1 && problems[0].contains(field), "{problems:?}");
        assert_eq!(judged(&policies, CART, None), ("bad".to_owned(), false), "{more}");
    }
}

#[test]
fn what_is_decided_is_counted() {
    let counts = Arc::<Counts>::default();
    let catalog = Catalog::default();
    let settings = serde_json::from_value(json!({ "web": web("deny", json!({})) })).unwrap();
    let of = |_: &str| Arc::clone(&counts);
    let default = DefaultPolicy::Allow;
    let ground = Ground { default, trust_domain: "td", catalog: &catalog, counts: &of };
    let (policies, _) = Policies::compile(&settings, &ground);
    judged(&policies, CART, None);
    assert_eq!(counts.denied.load(Relaxed), 0, "asking alone counts nothing");
    let destination = Destination {
        workload: "web-1",
        namespace: "default",
        account: "web",
        services: &[Arc::from("web.default")],
    };
    let source_ip = [127, 0, 0, 1].into();
    let asked = Asked { source: None, source_ip, destination: &destination, port: 80, http: None };
    policies.decide(&asked).note();
    assert_eq!((counts.denied.load(Relaxed), counts.allowed.load(Relaxed)), (1, 0));
}

proptest! {
    /// Against the rule of the manual, written down the slow way.
    #[test]
    fn the_verdict_is_that_of_the_manual(
        rules in proptest::collection::vec(
            (any::<bool>(), proptest::option::of(0..3_usize), proptest::option::of(0..3_usize)),
            0..6,
        ),
        caller in 0..3_usize,
        method in 0..3_usize,
    ) {
        const CALLERS: [&str; 3] = ["cart", "pay", "mail"];
        const METHODS: [&str; 3] = ["GET", "POST", "PUT"];
        let policy = |(denies, from, to): &(bool, Option<usize>, Option<usize>)| {
            let from: Vec<_> = from.iter().map(|it| format!("ns/shop/sa/{}", CALLERS[*it])).collect();
            let to: Vec<_> = to.iter().map(|it| json!({ "methods": [METHODS[*it]] })).collect();
            web(if *denies { "deny" } else { "allow" }, json!({ "from": from, "to": to }))
        };
        let settings: serde_json::Map<String, Value> =
            rules.iter().enumerate().map(|(index, it)| (format!("p{index}"), policy(it))).collect();
        let policies = policies(Value::Object(settings));
        let source = format!("spiffe://td/ns/shop/sa/{}", CALLERS[caller]);
        let (_, allowed) = judged(&policies, &source, Some((METHODS[method], "/")));
        let fits = |(_, from, to): &&(bool, Option<usize>, Option<usize>)| {
            from.is_none_or(|it| it == caller) && to.is_none_or(|it| it == method)
        };
        let denied = rules.iter().filter(|it| it.0).any(|it| fits(&it));
        let allowing: Vec<_> = rules.iter().filter(|it| !it.0).collect();
        let expected = !denied && (allowing.is_empty() || allowing.iter().any(fits));
        prop_assert_eq!(allowed, expected);
    }
}
