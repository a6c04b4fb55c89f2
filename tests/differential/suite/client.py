"""The client: sends the bytes of a case over named connections and notes what comes back."""

import hashlib
import re
import socket
import ssl
import time

from . import stream
from .fragments import Fragmented
from .http2 import Http2Client
from .wire import Closed, Malformed, TimedOut, Wire, read_response, text, values

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
# How long an answer may take, how long "the rest" may be silent, and how long a kept connection is watched.
ANSWER, SILENCE, WATCH = 8.0, 0.4, 0.05
# How long a connection that is to be closed may take to do so.
CLOSING = 2.5
# The same for one that carries no HTTP, which says nothing about its end.
STILL = 0.4


def bytes_of(step, defaults):
    """The exact bytes that a step sends: `raw` as it stands, or a request line with the usual headers."""
    if "raw" in step:
        return long(step["raw"]).encode("latin-1")
    if "request" not in step:
        return b""
    line = step["request"]
    if not line.rpartition(" ")[2].startswith("HTTP/"):
        line += " HTTP/1.1"
    host = step.get("host", defaults["host"])
    body = step.get("body", "").encode("latin-1")
    headers = list(step.get("headers", []))
    lines = [line, f"Host: {host}", "User-Agent: differential", "Accept-Encoding: identity", *headers]
    framed = any(h.lower().startswith(("content-length:", "transfer-encoding:")) for h in headers)
    if body and not framed:
        lines.append(f"Content-Length: {len(body)}")
    return long("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def long(text):
    """Spell out what is too long for a case: `<a*3>` is `aaa`, `<X-#: y\r\n*2>` is two lines with the numbers 0 and 1."""

    def spell(found):
        return "".join(found[1].replace("#", str(number)) for number in range(int(found[2])))

    return re.sub(r"<([^<>]+)\*(\d+)>", spell, text)


def method_of(data, index):
    """The method of the request in `data` with this index, as far as a glance can tell (HEAD has no body)."""
    heads = [line for line in data.split(b"\r\n") if b" HTTP/1" in line and b":" not in line.split(b" ")[0]]
    return heads[index].split(b" ")[0].decode("latin-1") if index < len(heads) else "GET"


class Connection:
    """One client connection and what was learned about it."""

    def __init__(self, address, step, certificates):
        self.tls = None
        self.last = None
        self.silent = False
        self.talked = False
        sock = socket.create_connection(address, ANSWER, (step.get("from", "127.0.0.1"), 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if "preface" in step:
            sock.sendall(step["preface"].encode("latin-1"))
        self.prelude = stream.request_tls(sock) if step.get("postgres") else None
        if "tls" in step:
            sock = self.handshake(sock, step["tls"], certificates)
        self.wire = Wire(sock, ANSWER)
        self.http2 = Http2Client(self.wire) if step.get("http2") and sock else None

    def handshake(self, sock, options, certificates):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = VERSIONS[options.get("min", "1.2")]
        context.maximum_version = VERSIONS[options.get("max", "1.3")]
        if "ciphers" in options:
            context.set_ciphers(options["ciphers"])
        if "curve" in options:
            context.set_ecdh_curve(options["curve"])
        if "alpn" in options:
            context.set_alpn_protocols(options["alpn"])
        if "certificate" in options:
            context.load_cert_chain(*certificates.chain(options["certificate"]))
        try:
            if options.get("fragmented"):
                secure = Fragmented(context, sock, options["sni"])
            else:
                secure = context.wrap_socket(sock, server_hostname=options.get("sni"))
        except (ssl.SSLError, OSError):
            self.tls = {"handshake": "refused"}
            sock.close()
            return None
        digest = hashlib.sha256(secure.getpeercert(True)).hexdigest()
        self.tls = {
            "handshake": "done",
            "version": secure.version(),
            "alpn": secure.selected_alpn_protocol(),
            "cipher": secure.cipher()[0] if "ciphers" in options else "any",
            "certificate": certificates.names.get(digest, "generated"),
        }
        return secure

    def talk(self, step):
        """Send text and read lines: one for each line sent, unless `lines` says how many."""
        self.talked = True
        if self.wire.sock is None:
            return []
        self.wire.timeout = step.get("patience", 3.0)
        try:
            self.send(long(step.get("send", "")).encode("latin-1"), step)
        except OSError:
            pass
        answers = []
        for _ in range(step.get("lines", step.get("send", "").count("\n"))):
            try:
                answers.append({"line": text(self.wire.line()).removesuffix("<bare LF>")})
            except Closed:
                answers.append({"missing": "closed"})
                break
            except TimedOut:
                answers.append({"missing": "nothing came"})
                break
        if self.prelude is not None:
            answers.insert(0, {"line": f"prelude {self.prelude}"})
            self.prelude = None
        return answers

    def exchange_stream(self, step, defaults):
        """One request and its response over HTTP/2."""
        if self.wire.sock is None:
            return []
        response = self.http2.exchange(step, step.get("host", defaults["host"]), "https" if self.tls else "http")
        if self.tls and "missing" in response and not self.last:
            self.tls = {"handshake": "refused"}
        self.last = response
        return [response]

    def exchange(self, data, step):
        """Send and read as many responses as the step asks for (`all`: until silence or the end)."""
        if self.wire.sock is None:
            return []
        try:
            self.send(data, step)
        except OSError:
            pass
        wanted = step.get("responses", 1 if data or "read" in step else 0)
        if wanted == "all":
            self.wire.timeout = SILENCE if not step.get("patient") else ANSWER
        responses = []
        while wanted == "all" or len(responses) < wanted:
            response = self.read(method_of(data, len(responses)))
            responses.append(response)
            if "missing" in response:
                break
        if wanted == "all" and len(responses) > 1:
            responses.pop()
        self.wire.timeout = ANSWER
        return responses

    def send(self, data, step):
        """Send whole, or cut at given offsets with a pause between the pieces."""
        start = 0
        for end in [*step.get("split", []), len(data)]:
            self.wire.sock.sendall(data[start:end])
            start = end
            if end < len(data):
                time.sleep(0.05)
        if step.get("half_close"):
            self.wire.sock.shutdown(socket.SHUT_WR)

    def read(self, method):
        try:
            self.last = read_response(self.wire, method)
            return self.last
        except Closed:
            if self.tls and not self.last:
                # With TLS 1.3 the refusal of a client certificate arrives after the client's own handshake.
                self.tls = {"handshake": "refused"}
            return {"missing": "closed"}
        except TimedOut:
            self.silent = True
            return {"missing": "nothing came"}
        except (Malformed, ValueError) as error:
            return {"missing": f"malformed: {error}"}

    def read_bytes(self, count):
        """Bytes of an upgraded connection."""
        try:
            return text(self.wire.exact(count))
        except (Closed, TimedOut):
            return "<missing>" + text(self.wire.buffer)

    def state(self):
        """Whether the gateway kept the connection open after the last exchange."""
        if self.wire.sock is None:
            return "refused"
        if self.http2:
            return self.http2.state(WATCH)
        if self.talked:
            return "closed" if self.wire.ends_within(STILL) else "kept"
        closing = self.says_close() if self.last else not self.silent
        return "closed" if self.wire.ends_within(CLOSING if closing else WATCH) else "kept"

    def says_close(self):
        options = ",".join(values(self.last["headers"], "connection")).lower()
        return "close" in options or (self.last["version"] == "HTTP/1.0" and "keep-alive" not in options)

    def close(self):
        if self.wire.sock:
            self.wire.sock.close()
