"""A thousand reloads under load, counted by the gateway's own metric: no request may fail, and latency holds."""

import time

from . import load, proxies, routing

ROUTERS = 100
RELOADS = 1_000
REQUESTS = 300_000
PACE = 0.085  # seconds between changes: a change applies after 50 ms of quiet
PAUSE = 8  # milliseconds between the requests of one connection: below the knee
QUIET_SECONDS = 20
TAIL_FLOOR = 1.5
MOST_SECONDS = 400


def measure(place, report):
    back_end, server = proxies.backend(place, load.LOAD_CORE)
    proxy = proxies.portcullis(place, content(back_end, 0))
    host, prefix = routing.target(ROUTERS)
    proxy.wait_ready(host, f"{prefix}/small")
    one = load.Load("h1", host, f"{prefix}/small", QUIET_SECONDS, pause=PAUSE)
    quiet = load.run(place, one, proxy)
    # The load ends when the changes have: its length is not known before, so it comes in pieces.
    pieces, begin, first, changes = [], time.monotonic(), reloads(proxy), 0
    tls = proxy.routes.read_text().partition("[tls.stores")
    while reloads(proxy) - first < RELOADS or sum(piece.requests for piece in pieces) < REQUESTS:
        if time.monotonic() - begin > MOST_SECONDS:
            break
        process = load.begin(place, one, proxy)
        while process.poll() is None:
            changes += 1
            swap(proxy.routes, content(back_end, changes) + tls[1] + tls[2])
            time.sleep(PACE)
        pieces.append(load.collect(one, process))
    show(report, quiet, pieces, reloads(proxy) - first, changes)
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


def show(report, quiet, pieces, applied, changes):
    requests = sum(piece.requests for piece in pieces)
    rows = [("without reloads", quiet.requests, quiet.failed, f"{quiet.p50:.2f}", f"{quiet.p99:.2f}")]
    rows += [
        (f"with reloads {number}", piece.requests, piece.failed, f"{piece.p50:.2f}", f"{piece.p99:.2f}")
        for number, piece in enumerate(pieces, 1)
    ]
    report.table(f"reload: {changes} changes, {applied:.0f} applied", ("", "requests", "failed", "p50 ms", "p99 ms"), rows)
    report.at_least("reload: reloads applied", applied, RELOADS)
    report.at_least("reload: requests", requests, REQUESTS)
    report.floor("reload: failed requests", sum(piece.failed for piece in pieces), 0)
    tail = sorted(piece.p99 for piece in pieces)[len(pieces) // 2]
    report.floor("reload: p99 with / without reloads", tail / quiet.p99, TAIL_FLOOR, " x")
