"""CPU time per request over HTTP/3, Portcullis beside Caddy and Traefik in the same run.

The load is `h3load.rs`, a client on quinn that is built with the gateway: 10 connections of 10 streams, as for `h2`.
"""

from . import load, proxies, routing
from .place import PROXY_CORE
from .load import CONNECTIONS, STREAMS
from .shapes import HEAD, ROUTERS, compare

INSTALL = "[entryPoints.websecure.http3]\n"

# (path, peer, most that Portcullis may cost, as a multiple of the peer's cost)
FLOORS = [("small", "caddy", 1 / 1.5), ("small", "traefik", 1 / 2)]


def caddy(place, back_end, host):
    """Caddy with one site: it has as many worker threads as the others."""
    ports = place.port(), place.port(), 0
    path = place.write(
        "Caddyfile",
        f"""
{{
  admin off
  auto_https off
  http_port {ports[0]}
  https_port {ports[1]}
  default_bind 127.0.0.1
}}
http://{host}:{ports[0]} {{
  reverse_proxy 127.0.0.1:{back_end}
}}
https://{host}:{ports[1]} {{
  tls {place.chain} {place.key}
  reverse_proxy 127.0.0.1:{back_end}
}}
""",
    )
    environment = {"GOMAXPROCS": str(proxies.WORKERS)}
    command = [place.binaries["caddy"], "run", "--config", path, "--adapter", "caddyfile"]
    return proxies.Proxy("caddy", place.start("caddy", command, PROXY_CORE, environment), ports)


def traefik(place, text):
    return proxies.configured(
        place, "traefik-h3", place.binaries["traefik"], text, {"GOMAXPROCS": str(proxies.WORKERS)}, INSTALL
    )


def measure(place, report):
    back_end, server = proxies.backend(place, load.LOAD_CORE)
    text = routing.one_in_many(ROUTERS, [back_end], https=True)
    host, prefix = routing.target(ROUTERS)
    peers = {
        "caddy": caddy(place, back_end, host),
        "traefik": traefik(place, text),
        "portcullis": proxies.portcullis(place, text, "portcullis-h3", INSTALL),
    }
    for proxy in peers.values():
        proxy.wait_ready(host, f"{prefix}/small")
    for path in ("small", "large"):
        one = load.Load("h3", host, f"{prefix}/{path}", place.options.seconds)
        costs = compare(place, peers, one, place.options.rounds)
        title = f"h3: HTTP/3, {CONNECTIONS} connections of {STREAMS} streams, {path} answers"
        report.table(title, HEAD, [cost.row(proxy) for proxy, cost in costs.items()])
        ours = costs["portcullis"]
        for shape, peer, most in FLOORS:
            if shape == path:
                report.floor(f"h3 {path}: portcullis / {peer}", ours.each / costs[peer].each, most, " x")
        report.floor(f"h3 {path}: failed requests", ours.failed, 0)
    for proxy in peers.values():
        place.end(proxy.process)
    place.end(server)
