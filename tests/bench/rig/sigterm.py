"""SIGTERM under load, several times over: no request may fail."""

import asyncio
import collections

from . import load, proxies, routing
from .requester import Requester

ROUTERS = 100
REQUESTS = 50_000
EACH = 5_000
GRACE = 20.0
# Connections that always have a request under way, and some that are often idle, all on one gateway.
BUSY, PAUSING, PAUSE = 40, 60, 0.01


def measure(place, report):
    back_end, server = proxies.backend(place, load.LOAD_CORE)
    text = routing.one_in_many(ROUTERS, [back_end], https=False)
    answered, ends, failures = 0, 0, []
    while answered < REQUESTS:
        proxy = proxies.portcullis(place, text)
        host, prefix = routing.target(ROUTERS)
        proxy.wait_ready(host, f"{prefix}/small")
        requesters = asyncio.run(end_under_load(proxy, host, f"{prefix}/small"))
        answered += sum(one.answered for one in requesters)
        failures += [failure for one in requesters for failure in one.failures]
        ends += 1
        if proxy.process.alive():
            failures.append(f"still running {GRACE:.0f} s after SIGTERM")
        place.end(proxy.process)
    for failure, times in collections.Counter(failures).most_common(5):
        print(f"  {times} x {failure}")
    report.floor(f"sigterm: failed of {answered} requests, {ends} times SIGTERM", len(failures), 0)
    place.end(server)


async def end_under_load(proxy, host, path):
    """Load the gateway, end it in the middle, and wait until both are done."""
    requesters = [Requester(proxy.http, host, path, BUSY), Requester(proxy.http, host, path, PAUSING, PAUSE)]
    running = asyncio.gather(*(one.run() for one in requesters))
    while sum(one.answered for one in requesters) < EACH:
        await asyncio.sleep(0.01)
    proxy.process.terminate()
    deadline = asyncio.get_running_loop().time() + GRACE
    while proxy.process.alive() and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.01)
    for one in requesters:
        one.stop()
    await asyncio.wait_for(running, 10)
    return requesters
