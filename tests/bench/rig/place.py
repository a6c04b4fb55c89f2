"""Where a run happens: its temporary folder, free ports, the certificate for all, the processes to end."""

import errno
import itertools
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import tempfile

from .process import Process

PROXY_CORE = 0
LOAD_CORE = 1
DESCRIPTORS = 20_000
CIPHER = "TLS_AES_128_GCM_SHA256"
GROUP = "X25519"

# What every OpenSSL client of the rig offers, so that all proxies agree on the same.
OPENSSL = f"""openssl_conf = init
[init]
ssl_conf = modules
[modules]
system_default = defaults
[defaults]
MinProtocol = TLSv1.3
Ciphersuites = {CIPHER}
Groups = {GROUP}
"""


class Place:
    """Everything that a run leaves behind goes through here, and `close` takes it away."""

    def __init__(self, ports, options, binaries):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="portcullis-bench-"))
        self.options = options
        self.binaries = binaries
        self.ports = itertools.cycle(range(ports[0], ports[1] + 1))
        self.count = ports[1] + 1 - ports[0]
        self.running = []
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < DESCRIPTORS:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, hard), hard))
        # The rig's own work shares the core of the load.
        os.sched_setaffinity(0, {LOAD_CORE})
        self.certificate()
        self.openssl = self.write("openssl.cnf", OPENSSL)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def port(self):
        """A port that nobody listens on."""
        for port in itertools.islice(self.ports, self.count):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError as error:
                    if error.errno in (errno.EADDRINUSE, errno.EACCES):
                        continue
                    raise
            return port
        raise SystemExit("no free port left; give a wider range with --ports")

    def start(self, name, command, core, environment=None):
        process = Process(name, command, self.folder, core, environment)
        self.running.append(process)
        return process

    def end(self, process):
        process.stop()
        self.running.remove(process)

    def certificate(self):
        """One self-signed P-256 certificate."""
        subprocess.run(
            [
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "2", "-subj", "/CN=bench.test", "-addext", "subjectAltName=DNS:*.bench.test,DNS:localhost",
                "-keyout", "key.pem", "-out", "certificate.pem",
            ],
            cwd=self.folder, check=True, capture_output=True,
        )  # fmt: skip
        self.key = self.folder / "key.pem"
        self.chain = self.folder / "certificate.pem"
        # HAProxy reads both from one file.
        self.write("both.pem", self.chain.read_text() + self.key.read_text())

    def close(self):
        for process in reversed(self.running):
            process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
