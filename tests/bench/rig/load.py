"""The load generators: what they are asked to do and what they counted."""

import json
import os
import pathlib
import re
import subprocess
from dataclasses import dataclass

from .place import CIPHER, GROUP, LOAD_CORE

# Of h2 and h3.
CONNECTIONS, STREAMS = 10, 10

SCRIPT = pathlib.Path(__file__).with_name("report.lua")


@dataclass
class Load:
    """One load: `kind` is h1, tls, h2, h3, handshake, or close: a new connection for each request."""

    kind: str
    host: str
    path: str
    seconds: float
    connections: int = 50
    pause: int = 0


@dataclass
class Counted:
    """What a load generator counted; latencies in milliseconds."""

    requests: int
    failed: int
    seconds: float
    p50: float = 0.0
    p99: float = 0.0


def begin(place, load, proxy):
    """Start the load against a proxy; `collect` waits for its end."""
    h3load = h3load_of(place.binaries.get("h3load"))
    command = {"h2": h2load, "h3": h3load, "handshake": handshakes}.get(load.kind, wrk)(load, proxy)
    return subprocess.Popen(
        ["taskset", "-c", str(LOAD_CORE), *command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={"PATH": os.environ["PATH"], "OPENSSL_CONF": str(place.openssl)},
    )  # fmt: skip


def collect(load, process, missing=False):
    """What was counted; with `missing`, a status of 404 is what is wanted."""
    text, _ = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the load generator failed:\n{text}")
    if load.kind == "h2":
        return counted_by_h2load(text)
    found = json.loads(text[text.rindex('{"requests"') :])
    failed = found["sockets"] + (0 if missing else found["statuses"])
    return Counted(found["requests"], failed, found["seconds"], found["p50"], found["p99"])


def run(place, load, proxy, missing=False):
    return collect(load, begin(place, load, proxy), missing)


def wrk(load, proxy):
    url = f"https://localhost:{proxy.https}" if load.kind == "tls" else f"http://localhost:{proxy.http}"
    command = ["wrk", "-t1", f"-c{load.connections}", f"-d{load.seconds}s", "-s", str(SCRIPT)]
    command += ["-H", f"Host: {load.host}"]
    if load.kind == "close":
        command += ["-H", "Connection: close"]
    return [*command, url + load.path, "--", str(load.pause)]


def h2load(load, proxy):
    return [
        "h2load", "-t1", f"-c{CONNECTIONS}", f"-m{STREAMS}", f"-D{load.seconds}", f"--tls13-ciphers={CIPHER}", f"--groups={GROUP}",
        f"--connect-to=127.0.0.1:{proxy.https}", f"https://{load.host}{load.path}",
    ]  # fmt: skip


def h3load_of(binary):
    def command(load, proxy):
        return [binary, *map(str, (proxy.https, load.host, load.path, load.seconds, CONNECTIONS, STREAMS))]

    return command


def handshakes(load, proxy):
    script = SCRIPT.with_name("handshakes.py")
    return ["python3", str(script), *map(str, (proxy.https, load.host, load.path, load.seconds, load.connections))]


def counted_by_h2load(text):
    done = re.search(r"requests: .*?(\d+) done, \d+ succeeded, (\d+) failed", text)
    statuses = re.search(r"status codes: .*?(\d+) 4xx, (\d+) 5xx", text)
    seconds = re.search(r"finished in ([\d.]+)(ms|s)", text)
    if not (done and statuses and seconds):
        raise RuntimeError(f"h2load said something else:\n{text}")
    length = float(seconds[1]) / (1000 if seconds[2] == "ms" else 1)
    return Counted(int(done[1]), int(done[2]) + int(statuses[1]) + int(statuses[2]), length)
