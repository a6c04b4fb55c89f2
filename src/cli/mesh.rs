//! `mesh status`: what a running gateway is in the mesh, by its API.

use std::fmt::Write as _;

use serde_json::Value;

use super::ask::fetch;

/// The answer as text, a part of it a line.
pub(super) fn status(api: &str) -> Result<String, String> {
    fetch(api, "/api/mesh").map(|told| text(&told))
}

fn text(told: &Value) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "node {} of {}, listens on {}, default policy {}, {}",
        word(&told["node"]),
        word(&told["trustDomain"]),
        word(&told["listen"]),
        word(&told["defaultPolicy"]),
        word(&told["mode"])
    );
    section(&mut text, "identities", &told["identities"], |it| {
        let validity = if it["valid"] == true { "until" } else { "EXPIRED at" };
        format!("{} {validity} {}", word(&it["id"]), word(&it["notAfter"]))
    });
    section(&mut text, "services", &told["services"], |it| {
        let ports = it["ports"].as_array().into_iter().flatten();
        let ports = ports.map(|it| format!("{}/{}", it["port"], word(&it["protocol"])));
        let workloads = it["workloads"].as_array().into_iter().flatten().map(word);
        let (ports, workloads) = (join(ports), join(workloads.map(ToOwned::to_owned)));
        format!("{} on {ports}: {workloads}", word(&it["name"]))
    });
    section(&mut text, "workloads", &told["workloads"], |it| {
        let place = if it["local"] == true { "here" } else { word(&it["node"]) };
        let (name, address, health) =
            (word(&it["name"]), word(&it["address"]), word(&it["health"]));
        format!("{name} at {address}, {place}, {health}: {}", word(&it["id"]))
    });
    section(&mut text, "tunnels", &told["tunnels"], |it| {
        let (source, destination) = (word(&it["source"]), word(&it["destination"]));
        let (node, address, streams) = (word(&it["node"]), word(&it["address"]), &it["streams"]);
        format!("{source} to {destination} on {node} ({address}): {streams} streams")
    });
    text
}

fn section(text: &mut String, name: &str, items: &Value, line: impl Fn(&Value) -> String) {
    let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
    let _ = writeln!(text, "{name}: {}", items.len());
    for item in items {
        let _ = writeln!(text, "  {}", line(item));
    }
}

fn join(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_its_lines() {
        let told = serde_json::json!({
            "node": "n1", "trustDomain": "td", "listen": ":15008", "defaultPolicy": "deny", "mode": "strict",
            "identities": [{ "id": "spiffe://td/a", "notAfter": "2026-01-01", "valid": false }],
            "services": [{ "name": "web.default", "ports": [{ "port": 80, "protocol": "http" }], "workloads": ["web-1@file"] }],
            "workloads": [{ "name": "web-1@file", "id": "spiffe://td/b", "node": "n2", "address": "10.0.0.2", "health": "healthy", "local": false }],
            "tunnels": [],
        });
        let expected = "\
node n1 of td, listens on :15008, default policy deny, strict
identities: 1
  spiffe://td/a EXPIRED at 2026-01-01
services: 1
  web.default on 80/http: web-1@file
workloads: 1
  web-1@file at 10.0.0.2, n2, healthy: spiffe://td/b
tunnels: 0
";
        assert_eq!(text(&told), expected);
    }
}
