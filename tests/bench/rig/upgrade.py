"""Upgrades under load over HTTP/1 and HTTP/2: no request may fail, no connection be refused, no WebSocket break."""

import asyncio
import collections
import os
import pathlib
import signal
import subprocess

from . import load, proxies, routing, websocket
from .process import wait_until
from .requester import Http2Requester, Requester

ROUTERS = 100
UPGRADES = 20
REQUESTS = 500_000
# HTTP/1 connections that always have a request under way, some that are often idle, and connections of HTTP/2.
BUSY, PAUSING, PAUSE, HTTP2 = 24, 40, 0.01, 8
GRACE = 15.0
# What each WebSocket says in the process that another has replaced, before it ends.
WORDS = 50


def measure(place, report):
    back_end, server = proxies.backend(place, load.LOAD_CORE)
    echo = place.port()
    text = routing.one_in_many(ROUTERS, [back_end], https=False) + SOCKET.format(port=echo)
    control = place.folder / "control"
    proxy = proxies.portcullis(place, text, environment={"PORTCULLIS_CONTROL": str(control)})
    host, prefix = routing.target(ROUTERS)
    proxy.wait_ready(host, f"{prefix}/small")
    processes = [proxy.process.pid]
    try:
        requesters, words = asyncio.run(upgrade_under_load(place, proxy, control, (host, f"{prefix}/small", echo), processes))
    finally:
        end(processes[-1])
        place.end(proxy.process)
    failures = [failure for one in requesters for failure in one.failures]
    refused = sum(one.refused for one in requesters)
    for failure, times in collections.Counter(failures).most_common(5):
        print(f"  {times} x {failure}")
    answered = sum(one.answered for one in requesters)
    over_h2 = requesters[-1].answered
    print(f"  {words} words over WebSockets, of which each was open while its process was replaced")
    title = f"upgrade: failed of {answered} requests ({over_h2} over h2), {len(processes) - 1} upgrades"
    report.floor(title, len(failures) + refused + max(0, REQUESTS - answered), 0)
    place.end(server)


SOCKET = """
[http.routers.socket]
rule = 'Path(`/socket`)'
entryPoints = ['web']
service = 'socket'
[[http.services.socket.loadBalancer.servers]]
url = 'http://127.0.0.1:{port}'
"""


async def upgrade_under_load(place, proxy, control, target, processes):
    """Upgrade again and again while requests run; adds each new process to `processes`."""
    host, path, echo = target
    server = await asyncio.start_server(websocket.echo, "127.0.0.1", echo)
    words = 0
    requesters = [
        Requester(proxy.http, host, path, BUSY),
        Requester(proxy.http, host, path, PAUSING, PAUSE),
        Http2Requester(proxy.http, host, path, HTTP2),
    ]
    running = asyncio.gather(*(one.run() for one in requesters))
    answered = lambda: sum(one.answered for one in requesters)  # noqa: E731
    for number in range(1, UPGRADES + 1):
        while answered() < REQUESTS * number / (UPGRADES + 1):
            if running.done() or any(one.failures for one in requesters):
                break
            await asyncio.sleep(0.01)
        talk = websocket.Talk(proxy.http, host)
        talking = asyncio.create_task(talk.run())
        await until_said(talk, talking, 1)
        command = [place.binaries["portcullis"], "upgrade", f"--control={control}"]
        asked = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
        if asked.returncode:
            requesters[0].failures.append(f"upgrade {number}: {asked.stderr.strip()}")
            break
        old = processes[-1]
        processes.append(int(asked.stdout.split()[2]))
        await until_said(talk, talking, talk.words + WORDS)
        if not is_running(old):
            talk.failures.append(f"process {old} did not wait for its WebSocket")
        talk.end()
        await talking
        words += talk.words
        requesters[0].failures += talk.failures
        deadline = asyncio.get_running_loop().time() + GRACE
        while is_running(old):
            if asyncio.get_running_loop().time() > deadline:
                requesters[0].failures.append(f"process {old} still runs {GRACE:.0f} s after it was replaced")
                break
            await asyncio.sleep(0.02)
    while answered() < REQUESTS and not running.done() and not any(one.failures for one in requesters):
        await asyncio.sleep(0.05)
    for one in requesters:
        one.stop()
    await asyncio.wait_for(running, 10)
    server.close()
    return requesters, words


async def until_said(talk, talking, words):
    while talk.words < words and not talking.done():
        await asyncio.sleep(0.005)


def is_running(pid):
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def end(pid):
    if is_running(pid):
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_running(pid), "the last process to end")
