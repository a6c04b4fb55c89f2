"""Resident memory: an empty configuration, and idle keep-alive connections after one request each."""

import socket
import ssl
import time

from . import load, proxies, routing
from .process import wait_until

CONNECTIONS = 4_000
SETTLE = 3.0
EMPTY_FLOOR = 15  # MiB
RELATIVE_FLOOR = 0.6
FLOORS = {"h1": 16, "h1-tls": 26}  # KiB per connection


def measure(place, report):
    back_end, server = proxies.backend(place, load.LOAD_CORE)
    measure_empty(place, report)
    rows = []
    for kind, most in FLOORS.items():
        found = {}
        for name in ("nginx", "haproxy", "traefik", "portcullis"):
            proxy = launch(place, name, back_end)
            found[name] = idle_cost(place, proxy, secure=kind == "h1-tls")
            place.end(proxy.process)
            rows.append((f"{kind} {name}", f"{found[name][0]:.1f}", f"{found[name][1] / 1024:.1f}"))
        report.floor(f"memory: idle {kind} connection", found["portcullis"][0], most, " KiB")
        ratio = found["portcullis"][0] / found["traefik"][0]
        report.floor(f"memory: idle {kind} connection, portcullis / traefik", ratio, RELATIVE_FLOOR, " x")
    title = f"memory: {CONNECTIONS} idle connections, one request each before"
    report.table(title, ("proxy", "KiB/connection", "MiB before"), rows)
    place.end(server)


def measure_empty(place, report):
    proxy = proxies.portcullis(place, "")
    wait_until(lambda: proxy.get("any", "/")[0] == 404, "the empty gateway to answer")
    time.sleep(SETTLE)
    report.floor("memory: empty configuration", proxy.process.resident() / 1024, EMPTY_FLOOR, " MiB")
    place.end(proxy.process)


def launch(place, name, back_end):
    if name in ("nginx", "haproxy"):
        proxy = getattr(proxies, name)(place, back_end)
    else:
        proxy = getattr(proxies, name)(place, routing.one_in_many(100, [back_end], https=True))
    host, prefix = routing.target(100)
    proxy.wait_ready(host, f"{prefix}/small")
    return proxy


def idle_cost(place, proxy, secure):
    """KiB per idle connection, and KiB of the process before there were any."""
    host, prefix = routing.target(100)
    context = client_context(place)
    request = f"GET {prefix}/small HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    # The first few requests pay for what is made once.
    for idle in [connect(proxy, context if secure else None, request) for _ in range(20)]:
        idle.close()
    time.sleep(1)
    before = proxy.process.resident()
    idle = [connect(proxy, context if secure else None, request) for _ in range(CONNECTIONS)]
    time.sleep(SETTLE)
    after = proxy.process.resident()
    for connection in idle:
        connection.close()
    return (after - before) / CONNECTIONS, before


def client_context(place):
    context = ssl.create_default_context(cafile=str(place.chain))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def connect(proxy, context, request):
    """A connection that has had its one answer."""
    connection = socket.create_connection(("127.0.0.1", proxy.https if context else proxy.http), 10)
    if context:
        connection = context.wrap_socket(connection, server_hostname=routing.target(100)[0])
    connection.sendall(request)
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(4096)
        if not more:
            raise RuntimeError(f"{proxy.name} closed a connection instead of answering")
        head += more
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise RuntimeError(f"{proxy.name} answered {head[:100]}")
    return connection
