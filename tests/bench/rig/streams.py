"""CPU time of TCP routers: bytes in bulk, with and without TLS, and new connections, beside HAProxy and nginx's `stream`."""

from . import load, proxies
from .place import CIPHER, GROUP, PROXY_CORE
from .shapes import compare

MEGABYTES = 10

# name -> (kind of load, path, connections, title)
SHAPES = {
    "tcp": ("h1", "/huge", 8, f"TCP, {MEGABYTES} MB answers, 8 connections"),
    "tcp-tls": ("tls", "/huge", 8, f"TCP behind TLS 1.3 that ends at the proxy, {MEGABYTES} MB answers, 8 connections"),
    "tcp-connect": ("close", "/small", 50, "TCP, a new connection for each small answer, 50 at a time"),
}

# (shape, peer, most that Portcullis may cost, as a multiple of the peer's cost)
FLOORS = [("tcp", "haproxy", 1.0), ("tcp-tls", "nginx", 1 / 1.3), ("tcp-connect", "haproxy", 1 / 0.9)]

HEAD = ("proxy", "us/answer", "of it user", "range", "answers/s", "answers", "failed")


def measure(place, report, wanted):
    """The shapes named in `wanted`, all with the same set of running proxies."""
    (place.folder / "huge").write_bytes(b"x" * (MEGABYTES * 1_000_000))
    back_end, server = proxies.backend(place, load.LOAD_CORE)
    peers = {
        "nginx": nginx(place, back_end),
        "haproxy": haproxy(place, back_end),
        "portcullis": portcullis(place, back_end),
    }
    for proxy in peers.values():
        proxy.wait_ready("localhost", "/small")
    for name in wanted:
        kind, path, connections, title = SHAPES[name]
        one = load.Load(kind, "localhost", path, place.options.seconds, connections)
        costs = compare(place, peers, one, place.options.rounds)
        report.table(f"{name}: {title}", HEAD, [cost.row(proxy) for proxy, cost in costs.items()])
        for shape, peer, most in FLOORS:
            if shape == name:
                ratio = costs["portcullis"].each / costs[peer].each
                report.floor(f"{name}: portcullis / {peer}", ratio, round(most, 2), " x")
        report.floor(f"{name}: failed answers", costs["portcullis"].failed, 0)
    for proxy in peers.values():
        place.end(proxy.process)
    place.end(server)


def nginx(place, back_end):
    ports = place.port(), place.port(), 0
    path = place.write(
        "stream.conf",
        f"""
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; master_process off; pid {place.folder}/stream.pid; error_log stderr;
events {{ worker_connections 9000; }}
stream {{
  server {{ listen 127.0.0.1:{ports[0]} backlog=4096; proxy_pass 127.0.0.1:{back_end}; }}
  server {{
    listen 127.0.0.1:{ports[1]} ssl backlog=4096; proxy_pass 127.0.0.1:{back_end};
    ssl_certificate {place.chain}; ssl_certificate_key {place.key};
    ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites {CIPHER}; ssl_ecdh_curve {GROUP};
    ssl_session_cache off; ssl_session_tickets off;
  }}
}}
""",
    )
    command = ["nginx", "-p", place.folder, "-c", path, "-e", "stderr"]
    return proxies.Proxy("nginx", place.start("nginx stream", command, PROXY_CORE), ports)


def haproxy(place, back_end):
    ports = place.port(), place.port(), 0
    path = place.write(
        "haproxy-tcp.cfg",
        f"""
global
  nbthread {proxies.WORKERS}
  maxconn 9000
  tune.ssl.cachesize 0
defaults
  mode tcp
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend streams
  bind 127.0.0.1:{ports[0]} backlog 4096
  bind 127.0.0.1:{ports[1]} backlog 4096 ssl crt {place.folder}/both.pem ssl-min-ver TLSv1.3 ciphersuites {CIPHER} curves {GROUP} no-tls-tickets
  default_backend servers
backend servers
  server one 127.0.0.1:{back_end}
""",
    )
    return proxies.Proxy("haproxy", place.start("haproxy tcp", ["haproxy", "-db", "-f", path], PROXY_CORE), ports)


def portcullis(place, back_end):
    text = f"""
[tcp.routers.plain]
rule = "HostSNI(`*`)"
service = "it"
entryPoints = ["web"]
[tcp.routers.secure]
rule = "HostSNI(`*`)"
service = "it"
entryPoints = ["websecure"]
tls = {{}}
[tcp.services.it.loadBalancer]
servers = [{{ address = "127.0.0.1:{back_end}" }}]
"""
    return proxies.portcullis(place, text, "portcullis tcp")
