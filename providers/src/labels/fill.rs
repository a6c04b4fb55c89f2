//! What labels leave out: services and routers without labels, rules, links from routers to services, addresses.

use std::collections::BTreeMap;

use portcullis_config::Problem;
use portcullis_config::problem::Kind;
use portcullis_config::template::{Template, Value};
use portcullis_config::tree::{Node, Tree};

use super::{Instance, Object, Objects, Section, Servers, Standing};

/// What filling found and made.
#[derive(Debug, Default)]
pub(super) struct Filled {
    pub(super) problems: Vec<Problem>,
    /// HTTP routers whose rule was rendered.
    pub(super) default_rules: Vec<String>,
}

/// The sections of one protocol that carries requests or connections.
struct Protocol {
    routers: Section,
    services: Section,
}

const HTTP: Protocol = Protocol { routers: Section::HttpRouters, services: Section::HttpServices };
const TCP: Protocol = Protocol { routers: Section::TcpRouters, services: Section::TcpServices };
const UDP: Protocol = Protocol { routers: Section::UdpRouters, services: Section::UdpServices };

/// Completes the objects of `instance`.
pub(super) fn fill(objects: &mut Objects, instance: &Instance<'_>, rule: &Template) -> Filled {
    let mut filled = Filled::default();
    let mut other_protocols = false;
    for protocol in [TCP, UDP] {
        if objects.is_empty(protocol.routers) && objects.is_empty(protocol.services) {
            continue;
        }
        other_protocols = true;
        add_service(objects, protocol.services, instance);
        complete_services(objects, protocol.services, instance, &mut filled);
        link(objects, &protocol, &mut filled);
    }
    require_tcp_rules(objects, &mut filled);
    let no_routing =
        objects.is_empty(Section::HttpRouters) && objects.is_empty(Section::HttpServices);
    if other_protocols && no_routing && objects.is_empty(Section::HttpMiddlewares) {
        return filled;
    }
    add_service(objects, Section::HttpServices, instance);
    complete_services(objects, Section::HttpServices, instance, &mut filled);
    if no_routing && filled.problems.iter().any(|problem| problem.about.kind == Kind::HttpService) {
        return skip(objects, instance, filled);
    }
    add_router(objects, instance);
    render_rules(objects, instance, rule, &mut filled);
    link(objects, &HTTP, &mut filled);
    filled
}

/// Nothing asked for the service that failed, so its failure is about the thing itself, and no router is made.
fn skip(objects: &mut Objects, instance: &Instance<'_>, mut filled: Filled) -> Filled {
    objects.section(Section::HttpServices).clear();
    for problem in &mut filled.problems {
        if problem.about.kind == Kind::HttpService {
            problem.about.kind = Kind::Container;
            instance.name.clone_into(&mut problem.about.name);
        }
    }
    filled
}

fn add_service(objects: &mut Objects, section: Section, instance: &Instance<'_>) {
    let services = objects.section(section);
    if services.is_empty() {
        services.insert(instance.service.to_owned(), Object::empty());
    }
}

/// Several services and no router: nobody can say which one a router should lead to.
fn add_router(objects: &mut Objects, instance: &Instance<'_>) {
    let services = objects.section(Section::HttpServices).len();
    let routers = objects.section(Section::HttpRouters);
    if !routers.is_empty() {
        return;
    }
    if services > 1 {
        tracing::debug!(container = instance.name, services, "no router: no label makes one");
        return;
    }
    routers.insert(instance.service.to_owned(), Object::empty());
}

/// Gives each service this thing as its only server.
fn complete_services(
    objects: &mut Objects,
    section: Section,
    instance: &Instance<'_>,
    filled: &mut Filled,
) {
    for (name, service) in objects.section(section) {
        if service.standing == Standing::Broken {
            continue;
        }
        if let Err(message) = complete_service(&mut service.tree, section, instance) {
            service.standing = Standing::Broken;
            filled.problems.push(Problem::error(section.kind(), name, message));
        }
    }
}

/// Turns `loadBalancer.server` (singular: the one server made of this thing) into a list of servers with an address.
fn complete_service(
    service: &mut Tree,
    section: Section,
    instance: &Instance<'_>,
) -> Result<(), String> {
    let balancer = entry(service, "loadBalancer");
    if balancer.as_map().is_none() {
        *balancer = Tree::default();
    }
    if balancer.child("servers").is_some() {
        return Err(
            "the server of a container is written `server`, without `s` and index".to_owned()
        );
    }
    let mut server = remove(balancer, "server").unwrap_or_default();
    if server.as_map().is_none() {
        return Err("expected a field behind `server`, such as `server.port`".to_owned());
    }
    let Servers::At(address) = &instance.servers else { return Ok(()) };
    let port = remove(&mut server, "port");
    if section == Section::HttpServices {
        let scheme = remove(&mut server, "scheme");
        if !lacks(&server, "url") {
            if port.is_some() || scheme.is_some() {
                return Err("`server.url` says everything; remove `port` and `scheme`".to_owned());
            }
        } else {
            let scheme = scheme.as_ref().and_then(Tree::as_text).filter(|text| !text.is_empty());
            let scheme = scheme.unwrap_or("http");
            let authority = address.locate(parse_port(port.as_ref())?)?;
            *entry(&mut server, "url") = Tree::scalar(format!("{scheme}://{authority}"));
        }
    } else {
        if !lacks(&server, "address") {
            return Err("an address cannot be written as a label; use `server.port`".to_owned());
        }
        *entry(&mut server, "address") = Tree::scalar(address.locate(parse_port(port.as_ref())?)?);
    }
    *entry(balancer, "servers") = Tree::list(vec![server]);
    Ok(())
}

fn parse_port(port: Option<&Tree>) -> Result<Option<u16>, String> {
    let Some(port) = port else { return Ok(None) };
    let text = port.as_text().unwrap_or("fields");
    if text.trim().is_empty() {
        return Ok(None);
    }
    match text.trim().parse::<u16>() {
        Ok(0) | Err(_) => Err(format!("expected a port from 1 to 65535, found `{text}`")),
        Ok(port) => Ok(Some(port)),
    }
}

fn render_rules(
    objects: &mut Objects,
    instance: &Instance<'_>,
    template: &Template,
    filled: &mut Filled,
) {
    let routers = objects.section(Section::HttpRouters);
    for (name, router) in routers.iter_mut().filter(|(_, router)| lacks(&router.tree, "rule")) {
        match render(template, instance) {
            Ok(rule) => {
                *entry(&mut router.tree, "rule") = Tree::scalar(rule);
                filled.default_rules.push(name.clone());
            }
            Err(message) => {
                router.standing = Standing::Broken;
                filled.problems.push(Problem::error(Kind::HttpRouter, name, message));
            }
        }
    }
}

fn render(template: &Template, instance: &Instance<'_>) -> Result<String, String> {
    let text = |text: &str| Value::Text(text.to_owned());
    let data = BTreeMap::from([
        ("Name", text(instance.service)),
        ("ContainerName", text(instance.name)),
        ("Labels", Value::Map(instance.labels.clone())),
    ]);
    let rule = template
        .render(&data)
        .map_err(|error| format!("no rule, and the defaultRule fails: {error}"))?;
    if rule.trim().is_empty() {
        return Err("no rule, and the defaultRule gives an empty one".to_owned());
    }
    Ok(rule)
}

fn require_tcp_rules(objects: &mut Objects, filled: &mut Filled) {
    let routers = objects.section(Section::TcpRouters);
    for (name, router) in routers.iter_mut().filter(|(_, router)| lacks(&router.tree, "rule")) {
        router.standing = Standing::Broken;
        let message = "no rule; for all connections of an entry point write HostSNI(`*`)";
        filled.problems.push(Problem::error(Kind::TcpRouter, name, message));
    }
}

/// Leads routers that name no service to the only one.
fn link(objects: &mut Objects, protocol: &Protocol, filled: &mut Filled) {
    let services: Vec<String> = objects.section(protocol.services).keys().cloned().collect();
    let routers = objects.section(protocol.routers);
    let sound = routers.iter_mut().filter(|(_, router)| router.standing == Standing::Sound);
    for (name, router) in sound.filter(|(_, router)| lacks(&router.tree, "service")) {
        if let [service] = services.as_slice() {
            *entry(&mut router.tree, "service") = Tree::scalar(service.as_str());
            continue;
        }
        let message =
            format!("no service, and the container has several: {}; name one", services.join(", "));
        filled.problems.push(Problem::error(protocol.routers.kind(), name, message));
    }
}

impl Object {
    fn empty() -> Self {
        Self { tree: Tree::default(), standing: Standing::Sound }
    }
}

fn lacks(tree: &Tree, key: &str) -> bool {
    match tree.child(key) {
        None => true,
        Some(child) => child.as_text().is_some_and(|text| text.trim().is_empty()),
    }
}

/// The entry `key`, in whatever case it stands, made if need be. The tree becomes a map if it was none.
fn entry<'a>(tree: &'a mut Tree, key: &str) -> &'a mut Tree {
    if tree.as_map().is_none() {
        tree.node = Node::default();
    }
    let Node::Map(map) = &mut tree.node else { unreachable!("made a map above") };
    let known = map.keys().find(|known| known.eq_ignore_ascii_case(key)).cloned();
    map.entry(known.unwrap_or_else(|| key.to_owned())).or_default()
}

fn remove(tree: &mut Tree, key: &str) -> Option<Tree> {
    let Node::Map(map) = &mut tree.node else { return None };
    let known = map.keys().find(|known| known.eq_ignore_ascii_case(key)).cloned()?;
    map.shift_remove(&known)
}
