"""Raw TCP and UDP: back ends that talk in lines, and a client that does, too."""

import socket
import threading
import time

from .wire import Closed, TimedOut, Wire, text

# Back ends of raw TCP, the same over TLS, one that speaks PostgreSQL's prelude before TLS, and those of UDP.
PLAIN = ("r1", "r2", "r3")
SECURE = ("rt1",)
POSTGRES = ("rp1",)
DATAGRAMS = ("u1", "u2")

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
SSL_REQUEST = bytes([0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F])
# Lines that begin so are health checks, which are not recorded.
CHECK = "CHECK"


def serve(farm, name, sock, context):
    """One connection: a record of what came, and an answer for each line: `<name> <line>`.

    The first connection of a case may ask for a greeting, silence, or for words after the client's end.
    """
    record = {}
    plan = farm.plan(name)
    farm.talk(1)
    try:
        wire = Wire(sock, 10)
        if plan.get("greeting"):
            sock.sendall(f"{name} {plan['greeting']}\n".encode("latin-1"))
        if plan.get("first"):
            sock.sendall(plan["first"].encode("latin-1"))
        prelude(wire, record)
        if plan.get("refuse") and record.get("starttls"):
            sock.sendall(b"N")
            raise Closed
        if record.get("starttls"):
            sock.sendall(b"S")
        if context:
            wire = Wire(tls(wire, context), 10)
            record["sni"] = getattr(context, "last_sni", None)
            record["client_certificate"] = subject(wire.sock)
        lines(name, wire, record, plan)
    except (Closed, TimedOut, OSError, ValueError) as error:
        record.setdefault("end", "timed out" if isinstance(error, TimedOut) else "closed")
    finally:
        sock.close()
        farm.hear(name, record)
        farm.talk(-1)


def prelude(wire, record):
    """What may come before the client's own bytes: a PROXY header, PostgreSQL's request for TLS."""
    first = peek(wire, 1)
    if first == b"P" and peek(wire, 6) == b"PROXY ":
        words = text(wire.line()).split(" ")
        record["proxy"] = " ".join(["v1", *words[1:4], *words[5:]])
    elif first == b"\r" and peek(wire, 12) == SIGNATURE:
        head = wire.exact(16)
        body = wire.exact(int.from_bytes(head[14:16], "big"))
        record["proxy"] = f"v2 {head[12]:02x} {head[13]:02x} {addresses(body)}"
    if peek(wire, 1) == b"\0" and peek(wire, 8) == SSL_REQUEST:
        wire.exact(8)
        record["starttls"] = True


def peek(wire, count):
    """The next bytes, which stay in the buffer; fewer if they cannot become more."""
    deadline = time.monotonic() + wire.timeout
    while len(wire.buffer) < count:
        wire.fill(deadline)
    return wire.buffer[:count]


def addresses(body):
    """Source and target of a binary header, without the client's port."""
    size = {12: 4, 36: 16}.get(len(body), 0)
    family = socket.AF_INET6 if size == 16 else socket.AF_INET
    if not size:
        return "none"
    source, target = (socket.inet_ntop(family, body[i : i + size]) for i in (0, size))
    return f"{source} {target} {int.from_bytes(body[2 * size + 2 : 2 * size + 4], 'big')}"


def tls(wire, context):
    """TLS on a connection of which some bytes were read already."""
    import ssl

    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(wire.buffer)
    session = context.wrap_bio(incoming, outgoing, server_side=True)
    return Secure(wire.sock, session, incoming, outgoing)


class Secure:
    """As much of a TLS socket as a back end needs."""

    def __init__(self, sock, session, incoming, outgoing):
        self.sock, self.session, self.incoming, self.outgoing = sock, session, incoming, outgoing
        self.drive(session.do_handshake)

    def drive(self, work):
        import ssl

        while True:
            try:
                result = work()
                self.sock.sendall(self.outgoing.read())
                return result
            except ssl.SSLWantReadError:
                self.sock.sendall(self.outgoing.read())
                data = self.sock.recv(65536)
                if not data:
                    raise Closed from None
                self.incoming.write(data)

    def recv(self, count):
        import ssl

        try:
            return self.drive(lambda: self.session.read(count))
        except ssl.SSLZeroReturnError:
            return b""

    def sendall(self, data):
        self.drive(lambda: self.session.write(data))

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)

    def getpeercert(self):
        return self.session.getpeercert()


def subject(sock):
    certificate = sock.getpeercert() or {}
    return next((value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"), None)


def lines(name, wire, record, plan):
    """Answer lines until the client ends."""
    while True:
        try:
            line = text(wire.line()).removesuffix("<bare LF>")
        except Closed:
            if wire.buffer:
                record.setdefault("lines", []).append(text(wire.buffer))
            record["end"] = "closed"
            if "last_words" in plan:
                time.sleep(plan.get("delay", 0))
                wire.sock.sendall(f"{name} {plan['last_words']}\n".encode("latin-1"))
            return
        record.setdefault("lines", []).append(line)
        if plan.get("hang_up"):
            return
        if not plan.get("silent"):
            wire.sock.sendall(f"{name} {line}\n".encode("latin-1"))


def echo_datagrams(farm, name, sock):
    """Answer each datagram: `<name> <text>`."""
    while True:
        try:
            data, peer = sock.recvfrom(65536)
        except OSError:
            return
        farm.hear(name, {"datagram": text(data)})
        sock.sendto(f"{name} {text(data)}".encode("latin-1"), peer)


def open_all(group, farm, ports, certificates, tls_context):
    """Start the raw back ends that a group names."""
    for name in PLAIN + SECURE + POSTGRES:
        if group.uses(name):
            chain, authority = certificates.chain("backend"), certificates.authority()
            context = None if name in PLAIN else tls_context(chain, authority)
            farm.open(name, ports.take(), context, serve)
    for name in DATAGRAMS:
        if group.uses(name):
            sock = socket.socket(type=socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", ports.take()))
            farm.backends[name] = "127.0.0.1:%d" % sock.getsockname()[1]
            farm.sockets.append(sock)
            threading.Thread(target=echo_datagrams, args=(farm, name, sock), daemon=True).start()


def ask(step, address, sockets):
    """Send a datagram and wait for its answer."""
    sock = sockets.get(step.get("on", "main"))
    if sock is None:
        sock = sockets[step.get("on", "main")] = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind((step.get("from", "127.0.0.1"), 0))
        sock.connect(address)
        sock.settimeout(step.get("patience", 1.0))
    try:
        sock.send(step["datagram"].encode("latin-1"))
        return {"line": text(sock.recv(65536))}
    except OSError:
        return {"missing": "nothing came"}


def request_tls(sock):
    """PostgreSQL's prelude; whether the server goes on with TLS."""
    sock.sendall(SSL_REQUEST)
    try:
        return text(sock.recv(1))
    except OSError:
        return ""
