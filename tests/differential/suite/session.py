"""Running one group: two gateways side by side, the same back ends, case after case."""

import json
import time

from . import stream
from .backend import HTTP2, Farm, tls_context
from .compare import Differences, shape
from .drive import drive
from .gateway import Gateway
from .groups import fill, merge

SIDES = {"traefik": "127.0.0.101", "portcullis": "127.0.0.102"}
PLAIN = ("s1", "s2", "s3", "s4")
# Back ends over TLS, with the protocols they offer.
SECURE = {"t1": (), "t2": ("h2", "http/1.1")}


class Result:
    """What came of one case."""

    def __init__(self, name, complaints, listed, observations):
        self.name = name
        self.seconds = 0.0
        self.complaints = complaints
        self.listed = listed
        self.observations = observations


class Session:
    """One group with its back ends and its two gateways."""

    def __init__(self, group, binaries, ports, certificates, folder):
        self.group = group
        self.binaries = binaries
        self.certificates = certificates
        self.folder = folder / group.name
        self.ports = ports
        self.farm = Farm()
        self.gateways = {}

    def open(self, variant):
        """Start back ends and both gateways; Portcullis with the feature switched off in the given way, if any."""
        self.open_backends()
        words = {**self.farm.backends, "certs": str(self.certificates.folder), "files": str(self.folder)}
        words |= {f"port-of-{name}": address.split(":")[1] for name, address in self.farm.backends.items()}
        self.words = words
        services = {name: {"loadBalancer": {"servers": [{"url": f"http://<{name}>"}]}} for name in PLAIN}
        names = {"web", "websecure", "ready", *self.group.install.get("entryPoints", {})}
        points = {name: self.ports.take(SIDES["portcullis"]) for name in sorted(names)}
        self.entry_points = points
        self.group.entry = "web"
        raw = {name: {"loadBalancer": {"servers": [{"address": f"<{name}>"}]}} for name in stream.PLAIN if name in self.farm.backends}
        for side, ip in SIDES.items():
            install, routing = self.group.configuration(variant if side == "portcullis" else None)
            routing = merge({"http": {"services": services}, **({"tcp": {"services": raw}} if raw else {})}, routing)
            gateway = Gateway(side, self.binaries[side], ip, self.folder / side)
            self.gateways[side] = gateway
            port_words = {f"port-{name}": str(port) for name, port in points.items()}
            gateway.launch(install, routing, words | port_words, points)
        for gateway in self.gateways.values():
            gateway.wait_ready(points["ready"])

    def open_backends(self):
        settings = self.group.backends
        for name in PLAIN:
            self.farm.open(name, self.ports.take())
        for name, protocols in SECURE.items():
            if self.group.uses(name):
                chain, authority = self.certificates.chain("backend"), self.certificates.authority()
                self.farm.open(name, self.ports.take(), tls_context(chain, authority, protocols))
        for name in HTTP2:
            if self.group.uses(name):
                self.farm.open(name, self.ports.take())
        stream.open_all(self.group, self.farm, self.ports, self.certificates, tls_context)
        if self.group.uses("blackhole"):
            self.farm.open_black_hole("blackhole", self.ports.take())
        self.farm.backends["dead"] = f"127.0.0.1:{self.ports.take()}"
        self.farm.health = {name: options["health"] for name, options in settings.items() if "health" in options}

    def run(self, differences):
        """Drive every case through both sides."""
        results = []
        for case in self.group.cases:
            started = time.monotonic()
            result = self.run_case(case, differences)
            for _ in range(2 if self.group.again else 0):
                if not result.complaints:
                    break
                result = self.run_case(case, differences)
            results.append(result)
            results[-1].seconds = time.monotonic() - started
        return results

    def run_case(self, case, differences):
        name = f"{self.group.name}/{case['name']}"
        observations = {}
        for side, gateway in self.gateways.items():
            observed = drive(fill(case, self.words), self.group, gateway, self.farm, self.entry_points, self.certificates)
            observations[side] = shape(observed, case, self.farm)
        tidy = json.loads(json.dumps(observations).replace(SIDES["traefik"], "<ip>").replace(SIDES["portcullis"], "<ip>"))
        complaints = differences.judge(name, tidy["traefik"], tidy["portcullis"])
        return Result(name, complaints, name in differences.by_case, tidy)

    def close(self):
        for gateway in self.gateways.values():
            gateway.stop()
        self.farm.close()


def nothing_listed():
    """A list of differences without any entry."""
    empty = Differences.__new__(Differences)
    empty.by_case = {}
    return empty
