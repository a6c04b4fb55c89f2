"""The proxies that are compared, each with one worker, ready to be asked."""

import http.client

from . import routing
from .place import CIPHER, GROUP, PROXY_CORE
from .process import wait_until

WORKERS = 1


class Proxy:
    """A running proxy and where it listens."""

    def __init__(self, name, process, ports):
        self.name = name
        self.process = process
        self.http, self.https, self.inner = ports

    def get(self, host, path, port=None):
        """Status and body of one plain request; status 0 when there was no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.http, timeout=5)
        try:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def samples(self, name, *labels):
        """Values of a metric, of those samples whose labels hold all the given texts."""
        _, page = self.get("localhost", "/metrics", self.inner)
        rows = (line.rpartition(" ") for line in page.splitlines() if not line.startswith("#"))
        return [
            float(value)
            for row, _, value in rows
            if row.split("{")[0] == name and all(label in row for label in labels)
        ]

    def metric(self, name, *labels):
        """The sum of these samples."""
        return sum(self.samples(name, *labels))

    def wait_ready(self, host, path):
        def ready():
            if not self.process.alive():
                raise RuntimeError(f"{self.name} ended:\n{self.process.tail()}")
            return self.get(host, path)[0] == 200

        wait_until(ready, f"{self.name} to answer; its log:\n{self.process.tail()}")


def backend(place, core, name="backend"):
    """A small nginx behind the proxies; its port and process."""
    port = place.port()
    (place.folder / "large").write_bytes(b"x" * 100_000)
    server = f"""
server {{
  listen 127.0.0.1:{port} backlog=4096;
  location ~ /large$ {{ root {place.folder}; rewrite .* /large break; }}
  location = /huge {{ root {place.folder}; }}
  location / {{ default_type text/plain; return 200 "{"a" * 50}"; }}
}}"""
    process = place.start(name, nginx_command(place, name, server), core)
    proxy = Proxy(name, process, (port, 0, 0))
    proxy.wait_ready("localhost", "/small")
    return port, process


def nginx_command(place, name, servers):
    """The command for one nginx process with these servers."""
    scratch = "\n".join(
        f"{kind}_temp_path {place.folder}/{name}-{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path = place.write(
        f"{name}.conf",
        f"""
daemon off; master_process off; pid {place.folder}/{name}.pid; error_log stderr;
events {{ worker_connections 9000; }}
http {{
{scratch}
access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; tcp_nopush on; sendfile on;
{servers}
}}
""",
    )
    return ["nginx", "-p", place.folder, "-c", path, "-e", "stderr"]


def nginx(place, back_end):
    ports = place.port(), place.port(), 0
    servers = f"""
upstream backend {{
  server 127.0.0.1:{back_end}; keepalive 64; keepalive_requests 1000000000; keepalive_timeout 600s;
}}
server {{
  listen 127.0.0.1:{ports[0]} backlog=4096;
  listen 127.0.0.1:{ports[1]} ssl http2 backlog=4096;
  http2_max_concurrent_streams 250;
  ssl_certificate {place.chain}; ssl_certificate_key {place.key};
  ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites {CIPHER}; ssl_ecdh_curve {GROUP};
  ssl_session_cache off; ssl_session_tickets off;
  location / {{
    proxy_pass http://backend; proxy_http_version 1.1; proxy_max_temp_file_size 0;
    proxy_set_header Connection ""; proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  }}
}}"""
    return Proxy("nginx", place.start("nginx", nginx_command(place, "nginx", servers), PROXY_CORE), ports)


def haproxy(place, back_end):
    ports = place.port(), place.port(), 0
    path = place.write(
        "haproxy.cfg",
        f"""
global
  nbthread {WORKERS}
  maxconn 9000
  tune.ssl.cachesize 0
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  option http-keep-alive
  http-reuse always
frontend web
  bind 127.0.0.1:{ports[0]} backlog 4096
  bind 127.0.0.1:{ports[1]} backlog 4096 ssl crt {place.folder}/both.pem alpn h2,http/1.1 ssl-min-ver TLSv1.3 ciphersuites {CIPHER} curves {GROUP} no-tls-tickets
  option forwardfor
  default_backend servers
backend servers
  server one 127.0.0.1:{back_end}
""",
    )
    return Proxy("haproxy", place.start("haproxy", ["haproxy", "-db", "-f", path], PROXY_CORE), ports)


def traefik(place, text):
    return configured(place, "traefik", place.binaries["traefik"], text, {"GOMAXPROCS": str(WORKERS)})


def portcullis(place, text, name="portcullis", install="", core=PROXY_CORE, workers=WORKERS, environment=None):
    environment = {"PORTCULLIS_WORKERS": str(workers), **(environment or {})}
    return configured(place, name, place.binaries["portcullis"], text, environment, install, core)


def configured(place, name, binary, text, environment, install="", core=PROXY_CORE):
    """Start a gateway that speaks Traefik's configuration: metrics on, one plain and one TLS entry point."""
    ports = place.port(), place.port(), place.port()
    routes = place.write(f"{name}-routing.toml", text + routing.tls(place, GROUP))
    settings = place.write(
        f"{name}.toml",
        f"""
[entryPoints.web]
address = "127.0.0.1:{ports[0]}"
[entryPoints.websecure]
address = "127.0.0.1:{ports[1]}"
[entryPoints.inner]
address = "127.0.0.1:{ports[2]}"
[providers.file]
filename = "{routes}"
[metrics.prometheus]
entryPoint = "inner"
addRoutersLabels = true
[ping]
entryPoint = "inner"
[log]
level = "INFO"
{install}
""",
    )
    process = place.start(name, [binary, f"--configFile={settings}"], core, environment)
    proxy = Proxy(name, process, ports)
    proxy.routes = routes
    return proxy
