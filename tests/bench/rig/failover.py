"""One of four servers killed under load: no idempotent request fails, and passive health ejects it within a second."""

import asyncio
import collections
import time

from . import load, proxies, routing
from .requester import Requester

SERVERS = 4
ROUTERS = 100
CONNECTIONS = 50
BEFORE, AFTER = 2.0, 4.0
EJECTION_FLOOR = 1.0

HEALTH = """
[http.services.backend.loadBalancer.passiveHealthCheck]
failureWindow = '3s'
maxFailedAttempts = 3
[http.middlewares.again.retry]
attempts = 4
"""
METRIC = "traefik_service_server_up"


def measure(place, report):
    servers = [proxies.backend(place, load.LOAD_CORE, f"backend-{number}") for number in range(SERVERS)]
    ports = [port for port, _ in servers]
    text = routing.one_in_many(ROUTERS, ports, https=False, middlewares="'again'") + HEALTH
    proxy = proxies.portcullis(place, text)
    host, prefix = routing.target(ROUTERS)
    proxy.wait_ready(host, f"{prefix}/small")
    requester = Requester(proxy.http, host, f"{prefix}/small", CONNECTIONS)
    victim_port, victim = servers[0]
    ejected = asyncio.run(kill_under_load(requester, victim, lambda: is_down(proxy, victim_port)))
    for failure, times in collections.Counter(requester.failures).most_common(5):
        print(f"  {times} x {failure}")
    report.floor(f"failover: failed of {requester.answered} requests", len(requester.failures), 0)
    report.floor("failover: seconds until ejected", ejected, EJECTION_FLOOR, " s")
    for process in (proxy.process, *(process for _, process in servers[1:])):
        place.end(process)


async def kill_under_load(requester, victim, down):
    """Seconds from the death of the victim until it was seen down; infinity when it never was."""
    running = asyncio.create_task(requester.run())
    await asyncio.sleep(BEFORE)
    victim.kill()
    killed, ejected = time.monotonic(), float("inf")
    while time.monotonic() < killed + AFTER:
        if ejected == float("inf") and await asyncio.to_thread(down):
            ejected = time.monotonic() - killed
        await asyncio.sleep(0.05)
    requester.stop()
    await running
    return ejected


def is_down(proxy, port):
    """Whether the metric shows the server as down."""
    labels = ('service="backend@file"', f'url="http://127.0.0.1:{port}"')
    return bool(proxy.samples(METRIC, *labels)) and proxy.metric(METRIC, *labels) == 0
