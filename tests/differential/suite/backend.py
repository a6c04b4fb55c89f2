"""Back ends of the runner: raw socket servers that record each request as it came and answer as the case says."""

import socket
import ssl
import threading
import time

from . import http2
from .wire import Closed, Malformed, TimedOut, Wire, read_body, read_headers, text, values

# Requests for paths below these are the runner's own and the gateways' checks: answered, never recorded as traffic.
HEALTH = "/health"
READY = "/ready-probe"
# Back ends that speak HTTP/2 without TLS, by prior knowledge.
HTTP2 = ("h1", "h2")


class Farm:
    """All back ends of one group, their record and the answers of the case at hand."""

    def __init__(self):
        self.lock = threading.Condition()
        self.backends = {}
        self.seen = []
        self.heard = {}
        self.checks = {}
        self.answers = {}
        self.health = {}
        self.busy = 0
        self.talking = 0
        self.sockets = []

    def open(self, name, port, context=None, serve=None):
        """Start the back end `name` on a loopback port, over TLS if a context is given; it speaks HTTP or as `serve` says."""
        listener = listen(port)
        self.backends[name] = f"127.0.0.1:{port}"
        self.sockets.append(listener)
        threading.Thread(target=self.accept, args=(name, listener, context, serve), daemon=True).start()

    def open_black_hole(self, name, port):
        """A port that swallows connection attempts: its accept queue is full and nobody takes from it."""
        listener = listen(port, 0)
        self.backends[name] = f"127.0.0.1:{port}"
        self.sockets.append(listener)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            self.sockets.append(filler)

    def close(self):
        for sock in self.sockets:
            sock.close()

    def begin(self, answers):
        """Forget what was seen and answer from now on as told (by back end; `*` for the others)."""
        with self.lock:
            self.seen = []
            self.heard = {}
            self.answers = {name: list(plan) for name, plan in answers.items()}

    def wait_seen(self, count, timeout):
        """Wait until `count` requests have been recorded."""
        with self.lock:
            self.lock.wait_for(lambda: len(self.seen) >= count, timeout)

    def wait_idle(self, timeout):
        """Wait until no back end is in the middle of a request."""
        with self.lock:
            self.lock.wait_for(lambda: self.busy == 0, timeout)

    def accept(self, name, listener, context, serve):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            work, arguments = (serve, (self, name, sock, context)) if serve else (self.serve, (name, sock, context))
            threading.Thread(target=work, args=arguments, daemon=True).start()

    def talk(self, change):
        """Note that a raw connection begins or ends."""
        with self.lock:
            self.talking += change
            self.lock.notify_all()

    def wait_silent(self, timeout):
        """Wait until no raw connection is open."""
        with self.lock:
            self.lock.wait_for(lambda: self.talking == 0, timeout)

    def hear(self, name, record):
        """Note a raw connection or datagram; connections without a word are health checks or were given up."""
        lines = record.get("lines", [])
        if "datagram" not in record and (not lines or lines[0].startswith("CHECK")):
            return
        with self.lock:
            self.heard.setdefault(name, []).append(record)
            self.lock.notify_all()

    def serve(self, name, sock, context):
        peer = {}
        try:
            if context:
                sock.settimeout(5)
                sock = context.wrap_socket(sock, server_side=True)
                peer = {"client_certificate": subject(sock), "sni": getattr(context, "last_sni", None)}
            wire = Wire(sock, 60)
            if name in HTTP2 or (context and sock.selected_alpn_protocol() == "h2"):
                http2.serve(self, name, wire, peer)
            while self.exchange(name, wire, peer):
                pass
        except (Closed, TimedOut, Malformed, OSError, ValueError):
            pass
        finally:
            sock.close()

    def exchange(self, name, wire, peer):
        """Serve one request; false when the connection is to end."""
        line = text(wire.line())
        self.count(1)
        try:
            return self.answer(name, wire, line, peer)
        finally:
            self.count(-1)

    def count(self, change):
        """Note that a request begins or ends."""
        with self.lock:
            self.busy += change
            self.lock.notify_all()

    def answer(self, name, wire, line, peer):
        method, _, rest = line.partition(" ")
        target, _, version = rest.rpartition(" ")
        headers = read_headers(wire)
        request = {"method": method, "target": target, "version": version, "headers": headers, **peer}
        if target.startswith((HEALTH, READY)):
            return self.answer_check(name, wire, request)
        answer = self.plan(name)
        if values(headers, "expect") and not answer.get("refuse_continue"):
            wire.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        early = answer.get("early")
        if early:
            self.record(name, request)
        if not (early or answer.get("refuse_continue")):
            self.read_rest(name, wire, request)
        if not answer.get("upgrade"):
            return reply(wire, name, request, answer)
        # An upgraded connection is idle as far as the record goes: nothing more is written to it.
        self.count(-1)
        try:
            return reply(wire, name, request, answer)
        finally:
            self.count(1)

    def read_rest(self, name, wire, request):
        """Read the body and record the request, also when it is cut short."""
        try:
            body, trailers = read_body(wire, request["headers"], False)
            request |= {"body": text(body), "trailers": trailers}
        except (Closed, TimedOut, Malformed, ValueError):
            request["cut_short"] = True
            raise
        finally:
            self.record(name, request)

    def record(self, name, request):
        with self.lock:
            self.seen.append((name, request))
            self.lock.notify_all()

    def plan(self, name):
        """The answer for the next request of this back end; the last one of a list stays."""
        with self.lock:
            plan = self.answers.get(name) or self.answers.get("*") or [{}]
            return plan.pop(0) if len(plan) > 1 else plan[0]

    def answer_check(self, name, wire, request):
        """Health checks and readiness probes: kept apart by target, one of each kind is enough."""
        with self.lock:
            self.checks.setdefault(request["target"], {})[name] = request
            status = self.health.get(name, 200) if request["target"].startswith(HEALTH) else 200
        read_body(wire, request["headers"], False)
        wire.sock.sendall(f"HTTP/1.1 {status} Check\r\nContent-Length: 0\r\n\r\n".encode())
        return True


def listen(port, backlog=128):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(backlog)
    return listener


def subject(sock):
    """The common name of the client's certificate, if it showed one."""
    certificate = sock.getpeercert()
    for part in (certificate or {}).get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return value
    return None


def tls_context(chain, client_ca=None, protocols=()):
    """A server side TLS context that notes the name asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*chain)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if client_ca:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(client_ca)

    def note(_sock, name, ctx):
        ctx.last_sni = name

    context.sni_callback = note
    return context


def reply(wire, name, request, answer):
    """Send the answer the case asked for; false when the connection ends with it."""
    time.sleep(answer.get("delay", 0))
    if answer.get("drop"):
        return False
    for head in answer.get("interim", []):
        wire.sock.sendall(("\r\n".join(["HTTP/1.1 " + head[0], *head[1:]]) + "\r\n\r\n").encode("latin-1"))
    if "raw" in answer:
        wire.sock.sendall(answer["raw"].encode("latin-1"))
        return not answer.get("close", True)
    if answer.get("upgrade"):
        return echo(wire, answer)
    body = answer.get("body", f"{name} {request['method']} {request['target']}\n").encode("latin-1")
    status = answer.get("status", 200)
    lines = [f"HTTP/1.1 {status} Answer", f"X-Server: {name}", *answer.get("headers", [])]
    bodyless = status in (204, 304) or answer.get("bodyless")
    if answer.get("chunked"):
        lines.append("Transfer-Encoding: chunked")
    elif not bodyless and not answer.get("until_close"):
        lines.append(f"Content-Length: {len(body)}")
    wire.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    time.sleep(answer.get("body_delay", 0))
    if request["method"] != "HEAD" and not bodyless:
        send_body(wire, body, answer)
    return not (answer.get("until_close") or answer.get("close"))


def send_body(wire, body, answer):
    if not answer.get("chunked"):
        wire.sock.sendall(body[: answer.get("cut", len(body))])
        return
    half = len(body) // 2
    for piece in (body[:half], body[half:]):
        if piece:
            wire.sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
    if "cut" in answer:
        return
    trailers = "".join(line + "\r\n" for line in answer.get("trailers", []))
    wire.sock.sendall(b"0\r\n" + trailers.encode("latin-1") + b"\r\n")


def echo(wire, answer):
    """Accept an upgrade and send every byte back."""
    lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", *answer["upgrade"]]
    wire.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + wire.buffer)
    wire.sock.settimeout(10)
    while data := wire.sock.recv(65536):
        wire.sock.sendall(data)
    return False
