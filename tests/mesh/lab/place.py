"""Where the tests happen: namespaces, authorities, gateways, workloads, and the end of all of them."""

import contextlib
import http.client
import json
import pathlib
import signal
import subprocess
import sys
import time

from . import identities, net

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 20.0


def until(condition, what, limit=PATIENCE):
    """What `condition` gives once it gives something."""
    end = time.monotonic() + limit
    while True:
        if found := condition():
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not in {limit:g} s: {what}")
        time.sleep(0.02)


class Place:
    def __init__(self, folder, binary):
        self.folder, self.binary = folder, binary
        self.authority = identities.Authority(folder / "authority", "root")
        self.running = []

    def __enter__(self):
        net.up()
        return self

    def __exit__(self, *_):
        while self.running:
            self.end(self.running[-1])
        net.down()

    def end(self, process):
        """End a process that this lab has started."""
        if process in self.running:
            self.running.remove(process)
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def start(self, short, *words, log=None):
        output = open(log, "ab") if log else subprocess.PIPE
        process = subprocess.Popen(
            net.inside(short, *map(str, words)), stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT if log else None
        )
        self.running.append(process)
        return process

    def helper(self, short, script, *words):
        """A script of the lab in a namespace; waits until it is ready."""
        process = self.start(short, sys.executable, HERE / script, *words)
        line = process.stdout.readline()
        if line != b"ready\n":
            raise RuntimeError(f"{script} did not start in {short}")
        return process

    @contextlib.contextmanager
    def workload(self, short, kind, port):
        process = self.helper(short, "workload.py", kind, net.WORKLOADS[short][1], port)
        try:
            yield process
        finally:
            self.end(process)

    @contextlib.contextmanager
    def gateway(self, node, ids, routing, upstreams=(), entry_points=None, authority=None, **mesh):
        """A gateway on a node that has these identities; `routing` is a tree that stands in a file."""
        folder = self.folder / f"{node}-{time.monotonic_ns()}"
        folder.mkdir()
        (folder / "routing.json").write_text(json.dumps(routing))
        install = {
            "api": {"insecure": True},
            "log": {"level": "DEBUG"},
            "metrics": {"prometheus": {}},
            "accessLog": {"filePath": str(folder / "access.log"), "format": "json"},
            "entryPoints": {"traefik": {"address": "127.0.0.1:8080"}, **(entry_points or {})},
            "providers": {"file": {"filename": str(folder / "routing.json")}},
            "mesh": {
                "roles": ["edge", "node"],
                "trustDomain": identities.DOMAIN,
                "node": node,
                "listen": f"{net.NODES[node]}:15008",
                "identity": self.identity(folder, ids, authority or self.authority),
                "upstreams": list(upstreams),
                **mesh,
            },
        }
        (folder / "install.json").write_text(json.dumps(install))
        toml = folder / "install.yml"
        toml.write_text(json.dumps(install))
        log = folder / "log"
        process = self.start(node, self.binary, f"--configFile={toml}", log=log)
        gateway = Gateway(self, node, process, folder, log)
        try:
            until(gateway.is_ready, f"{node} serves; see {log}")
            yield gateway
        finally:
            self.end(process)

    def identity(self, folder, ids, authority):
        """The settings of the file source for these identities; a pair is a chain and a key that were made already."""
        svids = []
        for index, one in enumerate(ids):
            chain, key = authority.issue(f"{folder.name}-{index}", one) if isinstance(one, str) else one
            svids.append({"certFile": str(chain), "keyFile": str(key)})
        return {"source": "file", "svids": svids, "bundle": str(self.authority.bundle)}

    def ask(self, short, url, *words, limit=10):
        """`curl` in a namespace: status and body."""
        command = ["curl", "-sS", "-m", str(limit), "-o", "-", "-w", "\n%{http_code}", *words, url]
        done = subprocess.run(net.inside(short, *command), capture_output=True, timeout=limit + 10, check=False)
        body, _, status = done.stdout.rpartition(b"\n")
        return int(status or 0), body.decode(errors="replace")


class Gateway:
    def __init__(self, place, node, process, folder, log):
        self.place, self.node, self.process, self.folder, self.log = place, node, process, folder, log

    def is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.node} ended: {self.log.read_text()[-2000:]}")
        status, body = self.place.ask(self.node, "http://127.0.0.1:8080/api/mesh")
        # The routing file is read a moment after the start.
        return status == 200 and json.loads(body)["services"]

    def metrics(self):
        return self.place.ask(self.node, "http://127.0.0.1:8080/metrics")[1]

    def metric(self, name, **labels):
        """The sum of the samples of `name` that have these labels."""
        total = 0.0
        for line in self.metrics().splitlines():
            if line.startswith(name) and line[len(name)] in "{ " and all(f'{k}="{v}"' in line for k, v in labels.items()):
                total += float(line.rpartition(" ")[2])
        return total

    def mesh(self):
        return json.loads(self.place.ask(self.node, "http://127.0.0.1:8080/api/mesh")[1])

    def logged(self, text):
        return text in self.log.read_text(errors="replace")


def connection(host, port, limit=10):
    return http.client.HTTPConnection(host, port, timeout=limit)
