"""1.4 and 1.8: an edge in front of the mesh."""

import json

from . import basics, identities
from .place import until

MIDDLEWARES = {
    "headers": {"headers": {"customRequestHeaders": {"X-In": "1"}, "customResponseHeaders": {"X-Out": "2"}}},
    "prefix": {"addPrefix": {"prefix": "/under"}},
    "strip": {"stripPrefix": {"prefixes": ["/a"]}},
    "replace": {"replacePathRegex": {"regex": "^/a/(.*)", "replacement": "/b/$1"}},
    "redirect": {"redirectRegex": {"regex": "^http://([^/]+)/a/(.*)", "replacement": "http://$1/z/$2"}},
    "auth": {"basicAuth": {"users": ["u:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/"]}},
    "nobody": {"ipAllowList": {"sourceRange": ["192.0.2.1/32"]}},
    "neighbours": {"ipAllowList": {"sourceRange": ["10.77.0.0/24"]}},
    "rate": {"rateLimit": {"average": 1, "period": "60s", "burst": 2}},
    "retry": {"retry": {"attempts": 2, "initialInterval": "1ms"}},
    "chain": {"chain": {"middlewares": ["prefix", "headers"]}},
}

REQUESTS = [
    ("/a/b?c=d",), ("/a/b", "-X", "POST", "--data", "body"), ("/a/%20x",), ("/status/503",),
    ("/a", "-H", "X-Forwarded-For: 192.0.2.1"), ("/a", "-u", "u:test"),
]  # fmt: skip


# What tells the time, or how long the name of the way is.
IGNORED = ("date:", "content-length:", "x-retry-in:", "retry-after:")


def same_middlewares(place):
    routing = basics.catalog()
    direct = {"loadBalancer": {"servers": [{"url": "http://10.77.0.13:8081"}]}}
    routers = {}
    for name in MIDDLEWARES:
        for way, service in (("direct", "direct"), ("mesh", "web.default-80@mesh")):
            routers[f"{way}-{name}"] = {
                "entryPoints": ["web"], "rule": f"Host(`{way}.{name}.test`)", "service": service, "middlewares": [name],
            }  # fmt: skip
    routing["http"] = {"middlewares": MIDDLEWARES, "services": {"direct": direct}, "routers": routers}
    entry_points = {"web": {"address": "10.77.0.13:80"}}
    compared = 0
    with (
        place.workload("n2w", "http", 8080),
        place.gateway("n2", [identities.node("n2"), basics.WEB], routing),
        place.gateway("edge", [identities.edge("edge")], routing, entry_points=entry_points),
    ):
        other = place.helper("edge", "workload.py", "http", "10.77.0.13", 8081)
        for name in MIDDLEWARES:
            for path, *words in REQUESTS:
                seen = {way: answer(place, way, name, path, words) for way in ("direct", "mesh")}
                assert seen["direct"] == seen["mesh"], (name, path, words, seen)
                compared += 1
        place.end(other)
    return f"{compared} answers of {len(MIDDLEWARES)} middlewares are the same"


def answer(place, way, name, path, words):
    """Status, headers and what the server saw, without what differs by the way itself."""
    host = f"{way}.{name}.test"
    status, text = place.ask("n1", f"http://10.77.0.13{path}", "-i", "-H", f"Host: {host}", *words)
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    lines = sorted(line.replace(host, "HOST") for line in head.split("\n")[1:] if not line.lower().startswith(IGNORED))
    try:
        shown = json.loads(body)
        shown["headers"] = [[key, value.replace(host, "HOST")] for key, value in shown["headers"]]
    except ValueError:
        shown = body.replace(host, "HOST")
    return status, lines, shown


def as_itself(place):
    routing = basics.catalog()
    routing["http"] = {
        "routers": {"shop": {"entryPoints": ["web"], "rule": "Host(`shop.test`)", "service": "web.default-80@mesh", "tls": {}}}
    }
    entry_points = {"web": {"address": "10.77.0.13:443"}}
    with (
        place.workload("n2w", "http", 8080),
        place.gateway("n2", [identities.node("n2"), basics.WEB], routing) as two,
        place.gateway("edge", [identities.edge("edge")], routing, entry_points=entry_points),
        place.gateway("n1", [identities.node("n1"), basics.CART], routing, [basics.upstream()]),
    ):
        resolve = ("--resolve", "shop.test:443:10.77.0.13", "-k")
        status, body = place.ask("n1", "https://shop.test/x", *resolve)
        assert status == 200 and json.loads(body)["path"] == "/x", (status, body)
        calls = two.metric("portcullis_mesh_requests_total", source_principal=identities.edge("edge"), code="200")
        assert calls == 1, two.metrics()
        status, body = place.ask("n1a", f"{basics.LISTENER}/x")
        assert status == 200, (status, body)
        assert two.metric("portcullis_mesh_requests_total", source_principal=basics.CART, code="200") == 1
        lines = [json.loads(line) for line in until(lambda: two.folder.joinpath("access.log").read_text().splitlines(), "n2 logs")]
        logged = [(line["SourceIdentity"], line["DestinationIdentity"], len(line.get("ConnectionID", ""))) for line in lines]
        assert (identities.edge("edge"), basics.WEB, 32) in logged, logged
    return "public HTTPS reaches the workload as sa/edge.edge"
