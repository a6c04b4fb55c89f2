"""One gateway process under test: its two files, its start and its end."""

import json
import os
import socket
import subprocess
import time

from .backend import READY
from .groups import fill, merge, without_empty
from .wire import Closed, Malformed, TimedOut, Wire, read_response

START = 20.0


class Gateway:
    """A running gateway with one group's configuration."""

    def __init__(self, side, binary, ip, folder):
        self.side = side
        self.binary = binary
        self.ip = ip
        self.folder = folder
        self.process = None
        folder.mkdir(parents=True, exist_ok=True)

    def launch(self, install, routing, words, entry_points):
        """Write the files and start the process."""
        udp = {name for name, settings in install.get("entryPoints", {}).items() if "udp" in settings}
        points = {
            name: {"address": f"{self.ip}:{port}{'/udp' if name in udp else ''}"} for name, port in entry_points.items()
        }
        routing_file = self.folder / "routing.yml"
        base = {
            "entryPoints": points,
            "providers": {"file": {"filename": str(routing_file)}},
            "log": {"level": "DEBUG" if os.environ.get("DIFFERENTIAL_DEBUG") else "INFO"},
        }
        words = words | {"side": self.side, "ip": self.ip}
        ready = {
            "routers": {"ready-probe": {"rule": f"Path(`{READY}`)", "entryPoints": ["ready"], "service": "s1"}},
        }
        install_file = self.folder / "install.yml"
        # JSON is YAML; both gateways read it, and no writer for either format is needed.
        install_file.write_text(json.dumps(without_empty(fill(merge(base, install), words)), indent=1))
        routing_file.write_text(json.dumps(without_empty(fill(merge(routing, {"http": ready}), words)), indent=1))
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [self.binary, f"--configFile={install_file}"],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "PORTCULLIS_WORKERS": "2"},
            )  # fmt: skip

    def wait_ready(self, port):
        """Wait until the process serves the whole configuration."""
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.side} ended with {self.process.returncode}:\n{self.log_tail()}")
            if self.answers(port):
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.side} did not become ready:\n{self.log_tail()}")

    def answers(self, port):
        try:
            with socket.create_connection((self.ip, port), 1) as sock:
                sock.sendall(f"GET {READY} HTTP/1.1\r\nHost: ready\r\nConnection: close\r\n\r\n".encode())
                return read_response(Wire(sock, 2), "GET")["status"] == 200
        except (OSError, Closed, TimedOut, Malformed, ValueError):
            return False

    def log_tail(self):
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
