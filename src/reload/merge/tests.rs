mod layer4;

use portcullis_config::routing::http::RouterTls;
use portcullis_config::routing::tls::Options;

use super::*;

fn router(entry_points: &[&str]) -> Router {
    Router {
        entry_points: entry_points.iter().map(|&name| name.to_owned()).collect(),
        rule: "Host(`a`)".to_owned(),
        service: "s".to_owned(),
        ..Router::default()
    }
}

fn said(provider: &str, routing: Routing) -> (Arc<str>, Arc<Published>) {
    (
        provider.into(),
        Arc::new(Published {
            routing,
            problems: Vec::new(),
            weight: portcullis_providers::Weight::IfDifferent,
        }),
    )
}

fn with_router(router: Router) -> Routing {
    let mut routing = Routing::default();
    routing.http.routers.insert("r".to_owned(), router.into());
    routing
}

fn entry_points() -> [EntryPointDefaults; 3] {
    let named = |name: &str| EntryPointDefaults { name: name.into(), ..Default::default() };
    let mut secure = named("websecure");
    secure.tls = Some(RouterTls::default());
    secure.middlewares = vec!["auth@file".to_owned()];
    let mut internal = named("traefik");
    internal.by_default = ByDefault::No;
    [named("web"), secure, internal]
}

#[test]
fn a_router_without_entry_points_listens_on_the_default_ones() {
    let merged = merge(&[said("file", with_router(router(&[])))], &entry_points());
    assert_eq!(merged.routers["r@file"].entry_points, ["web"]);
    let secure = &merged.routers["websecure-r@file"];
    assert_eq!(secure.entry_points, ["websecure"]);
    assert_eq!(secure.middlewares, ["auth@file"]);
    assert!(secure.tls.is_some());
    assert_eq!(merged.routers.len(), 2);
}

#[test]
fn a_router_on_one_entry_point_keeps_its_name() {
    let merged = merge(&[said("file", with_router(router(&["websecure"])))], &entry_points());
    assert_eq!(merged.routers.len(), 1);
    assert!(merged.routers["r@file"].tls.is_some());
}

#[test]
fn children_belong_to_every_copy_of_their_parent() {
    let mut routing = with_router(router(&[]));
    let child = Router { parent_refs: vec!["r".to_owned()], ..router(&[]) };
    routing.http.routers.insert("child".to_owned(), child.into());
    let merged = merge(&[said("file", routing)], &entry_points());
    let mut parents = merged.routers["child@file"].parent_refs.clone();
    parents.sort();
    assert_eq!(parents, ["r@file", "websecure-r@file"]);
}

#[test]
fn an_unknown_entry_point_stays_for_the_report() {
    let merged = merge(&[said("file", with_router(router(&["nowhere"])))], &entry_points());
    assert_eq!(merged.routers["r@file"].entry_points, ["nowhere"]);
}

#[test]
fn default_options_of_two_providers_are_nobodys() {
    let mut routing = Routing::default();
    routing.tls.options.insert("default".to_owned(), Options::default());
    let merged = merge(&[said("file", routing.clone()), said("docker", routing)], &[]);
    assert!(merged.tls.options.is_empty());
    assert_eq!(merged.problems.len(), 1);
}
