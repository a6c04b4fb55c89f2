"""A thousand reloads under load, counted by the gateway's own metric: no request may fail, and latency holds."""

import time
from statistics import median

from . import load, proxies, routing
from .place import PROXY_CORE

ROUTERS = 100
RELOADS = 1_000
REQUESTS = 300_000
PACE = 0.085  # seconds between changes: a change applies after 50 ms of quiet
PAUSE = 8  # milliseconds between the requests of one connection: below the knee
PIECE = 10  # seconds
TAIL_FLOOR = 1.5
MOST_PIECES = 40
# The compilation may use whichever core is free, as it may in earnest.
CORES = f"{PROXY_CORE},{load.LOAD_CORE}"


def measure(place, report):
    """Pieces of load without and with changes in turn, until there were enough of both reloads and requests."""
    back_end, server = proxies.backend(place, load.LOAD_CORE)
    proxy = proxies.portcullis(place, content(back_end, 0), core=CORES)
    host, prefix = routing.target(ROUTERS)
    proxy.wait_ready(host, f"{prefix}/small")
    one = load.Load("h1", host, f"{prefix}/small", PIECE, pause=PAUSE)
    tls = proxy.routes.read_text().removeprefix(content(back_end, 0))
    quiet, busy, first, changes = [], [], reloads(proxy), 0
    while len(busy) < MOST_PIECES:
        quiet.append(load.run(place, one, proxy))
        process = load.begin(place, one, proxy)
        while process.poll() is None:
            changes += 1
            swap(proxy.routes, content(back_end, changes) + tls)
            time.sleep(PACE)
        busy.append(load.collect(one, process))
        applied = reloads(proxy) - first
        if applied >= RELOADS and sum(piece.requests for piece in busy) >= REQUESTS:
            break
    show(report, quiet, busy, applied, changes)
    place.end(proxy.process)
    place.end(server)


def content(back_end, change):
    """The routers, with one value that is different each time, in the chain of the router that is asked."""
    text = routing.one_in_many(ROUTERS, [back_end], https=False, middlewares="'changing'")
    return f"{text}[http.middlewares.changing.headers.customResponseHeaders]\nX-Change = '{change}'\n"


def swap(path, text):
    """Replace a file as editors and deployments do: atomically."""
    fresh = path.with_suffix(".fresh")
    fresh.write_text(text)
    fresh.rename(path)


def reloads(proxy):
    return proxy.metric("traefik_config_reloads_total")


def show(report, quiet, busy, applied, changes):
    rows = []
    for number, pair in enumerate(zip(quiet, busy, strict=True), 1):
        for kind, piece in zip(("without", "with"), pair, strict=True):
            rows.append((f"{number} {kind}", piece.requests, piece.failed, f"{piece.p50:.2f}", f"{piece.p99:.2f}"))
    report.table(f"reload: {changes} changes, {applied:.0f} applied", ("", "requests", "failed", "p50 ms", "p99 ms"), rows)
    report.at_least("reload: reloads applied", applied, RELOADS)
    report.at_least("reload: requests", sum(piece.requests for piece in busy), REQUESTS)
    report.floor("reload: failed requests", sum(piece.failed for piece in busy), 0)
    tails = [median(piece.p99 for piece in pieces) for pieces in (busy, quiet)]
    report.floor("reload: p99 with / without reloads, medians", tails[0] / tails[1], TAIL_FLOOR, " x")
