"""Where a run happens: a server that notes what it sees, certificates, gateways, and their end."""

import datetime
import http.server
import ipaddress
import json
import os
import socket
import subprocess
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOST = "open.test"
START = 20.0


class Server(http.server.BaseHTTPRequestHandler):
    """Answers by path and notes each request."""

    protocol_version = "HTTP/1.1"
    seen = []

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("transfer-encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return data
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def answer(self):
        body = self.body()
        self.seen.append({
            "method": self.command, "target": self.path, "body": len(body),
            "headers": {name.lower(): value for name, value in self.headers.items()},
        })  # fmt: skip
        if self.path.startswith("/status/"):
            status = int(self.path.rpartition("/")[2])
            self.send_response(status)
            if status not in (204, 304):
                self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/trailers":
            self.send_response(200)
            self.send_header("Trailer", "x-end")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3\r\nabc\r\n0\r\nx-end: yes\r\n\r\n")
            return
        data = b"y" * (4 << 20) if self.path == "/large" else body or b"hello"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_HEAD = do_OPTIONS = do_DELETE = do_PATCH = answer


class Farm(http.server.ThreadingHTTPServer):
    """Serves many at once, and says nothing of those that are gone."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        pass


class Gateway:
    """A running gateway: where it listens, and its process."""

    def __init__(self, name, process, port):
        self.name, self.process, self.port = name, process, port


class Place:
    """Everything that a run leaves behind goes through here, and `close` takes it away."""

    def __init__(self, folder, ports):
        self.folder = folder
        self.ports = iter(ports)
        self.gateways = []
        self.server = Farm(("127.0.0.1", self.port()), Server)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.certificate()

    def port(self):
        """A port that nobody listens on, over TCP or UDP."""
        for port in self.ports:
            try:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    with socket.socket(socket.AF_INET, kind) as probe:
                        probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
        raise SystemExit("no free port left; give a wider range with --ports")

    def certificate(self):
        """One self-signed certificate for the hosts."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
        names = [x509.DNSName(HOST), x509.DNSName("strict.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        now = datetime.datetime.now(datetime.timezone.utc)
        made = (
            x509.CertificateBuilder()
            .subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(key, hashes.SHA256())
        )  # fmt: skip
        self.chain, self.key = self.folder / "certificate.pem", self.folder / "key.pem"
        self.chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def gateway(self, name, binary):
        """Start a gateway with HTTP/3 and wait until it serves."""
        port, folder = self.port(), self.folder / name
        folder.mkdir()
        router = {"entryPoints": ["secure"], "service": "it", "tls": {}}
        routes = {
            "http": {
                "routers": {
                    "open": {**router, "rule": f"Host(`{HOST}`)"},
                    "strict": {**router, "rule": "Host(`strict.test`)", "tls": {"options": "mutual"}},
                },
                "services": {
                    "it": {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{self.server.server_port}"}]}}
                },
            },
            "tls": {
                "certificates": [{"certFile": str(self.chain), "keyFile": str(self.key)}],
                "options": {
                    "mutual": {
                        "clientAuth": {"caFiles": [str(self.chain)], "clientAuthType": "RequireAndVerifyClientCert"}
                    }
                },
            },
        }
        install = {
            "entryPoints": {"secure": {"address": f"127.0.0.1:{port}", "http3": {}}},
            "providers": {"file": {"filename": str(folder / "routes.yml")}},
        }
        # JSON is YAML.
        (folder / "routes.yml").write_text(json.dumps(routes))
        (folder / "install.yml").write_text(json.dumps(install))
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(
                [binary, f"--configFile={folder / 'install.yml'}"],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(folder), "PORTCULLIS_WORKERS": "2"},
            )  # fmt: skip
        gateway = Gateway(name, process, port)
        self.gateways.append(gateway)
        self.wait(gateway, folder)
        return gateway

    def wait(self, gateway, folder):
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            if gateway.process.poll() is not None:
                break
            if self.over_tcp(gateway, "1.1").startswith("HTTP/1.1 200"):
                return
            time.sleep(0.05)
        raise SystemExit(f"{gateway.name} does not serve:\n{(folder / 'log').read_text()[-3000:]}")

    def over_tcp(self, gateway, version):
        """The head of the answer over TLS, by curl."""
        command = ["curl", "-s", "-o", "-", "-D", "-", "--cacert", str(self.chain), f"--http{version}"]
        command += ["--connect-to", f"{HOST}::127.0.0.1:{gateway.port}", f"https://{HOST}/ready"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout

    def close(self):
        for gateway in self.gateways:
            gateway.process.kill()
            gateway.process.wait()
        self.server.shutdown()
