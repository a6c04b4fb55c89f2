"""Reading HTTP/1 messages off a socket exactly as they were sent: nothing is folded, trimmed or corrected."""

import socket
import time


class Closed(Exception):
    """The peer ended the connection (cleanly or by a reset) before the awaited bytes came."""


class TimedOut(Exception):
    """The awaited bytes did not come in time."""


class Malformed(Exception):
    """The bytes are not an HTTP/1 message that this strict reader understands."""


class Wire:
    """A socket with a read buffer and a deadline for every read."""

    def __init__(self, sock, timeout):
        self.sock = sock
        self.timeout = timeout
        self.buffer = b""
        self.ended = False

    def fill(self, deadline):
        """Read once; raises Closed at the end of the stream and TimedOut at the deadline."""
        if self.ended:
            raise Closed
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimedOut
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(65536)
        except (socket.timeout, TimeoutError):
            raise TimedOut from None
        except OSError:
            data = b""
        if not data:
            self.ended = True
            raise Closed
        self.buffer += data

    def line(self):
        """One line without its CRLF (a bare LF ends it as well and stays visible as a missing CR)."""
        deadline = time.monotonic() + self.timeout
        while b"\n" not in self.buffer:
            self.fill(deadline)
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line[:-1] if line.endswith(b"\r") else line + b"<bare LF>"

    def exact(self, count):
        deadline = time.monotonic() + self.timeout
        while len(self.buffer) < count:
            self.fill(deadline)
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def rest(self):
        """Everything up to the end of the stream."""
        deadline = time.monotonic() + self.timeout
        try:
            while True:
                self.fill(deadline)
        except Closed:
            data, self.buffer = self.buffer, b""
            return data

    def ends_within(self, seconds):
        """Whether the stream ends within the given time; bytes that come first are kept."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                self.fill(deadline)
        except Closed:
            return True
        except TimedOut:
            return False


def text(raw):
    """Bytes as text, one character for each byte, so that nothing is lost."""
    return raw.decode("latin-1")


def read_headers(wire):
    """Header or trailer lines up to the empty line, as (name, value) pairs in the order sent."""
    pairs = []
    while True:
        line = text(wire.line())
        if not line:
            return pairs
        name, colon, value = line.partition(":")
        if not colon:
            raise Malformed(f"header line without colon: {line!r}")
        pairs.append((name, value.strip(" \t")))


def values(pairs, name):
    """All values of one header, by name without regard to case."""
    return [value for key, value in pairs if key.lower() == name]


def read_chunks(wire):
    """A chunked body and its trailers."""
    body = b""
    while True:
        size = int(wire.line().split(b";")[0], 16)
        if size == 0:
            return body, read_headers(wire)
        body += wire.exact(size)
        if wire.exact(2) != b"\r\n":
            raise Malformed("chunk without its CRLF")


def read_body(wire, pairs, until_close):
    """A message body by its framing headers; `until_close` says what no framing means."""
    if any("chunked" in value.lower() for value in values(pairs, "transfer-encoding")):
        return read_chunks(wire)
    lengths = values(pairs, "content-length")
    if lengths:
        return wire.exact(int(lengths[0])), []
    return (wire.rest() if until_close else b""), []


def read_response(wire, method):
    """One response with the interim ones before it; a 101 ends after its head."""
    interim = []
    while True:
        version, _, rest = text(wire.line()).partition(" ")
        status = int(rest[:3])
        headers = read_headers(wire)
        if status >= 200 or status == 101:
            break
        interim.append({"status": status, "headers": headers})
    bodyless = method == "HEAD" or status in (101, 204, 304)
    try:
        body, trailers = (b"", []) if bodyless else read_body(wire, headers, True)
    except Closed:
        body, trailers = b"<cut short>", []
    return {
        "version": version,
        "status": status,
        "headers": headers,
        "body": text(body),
        "trailers": trailers,
        "interim": interim,
    }
