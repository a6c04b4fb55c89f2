"""A load client that keeps to the rules: it honours `Connection: close` and tells a failure from an orderly end.

A request has failed when its connection was accepted and then reset or closed before the whole answer had come, or
when the gateway itself answered with a 5xx. A refused connection is no request: `refused` is told, not `failed`.
"""

import asyncio
import time


class Requester:
    """Connections that ask the same again and again until told to stop, each pausing `pause` seconds between."""

    def __init__(self, port, host, path, connections, pause=0.0):
        self.port = port
        self.request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.connections = connections
        self.pause = pause
        self.answered = 0
        self.refused = 0
        self.failures = []
        self.stopping = False

    async def run(self):
        await asyncio.gather(*(self.again_and_again() for _ in range(self.connections)))

    def stop(self):
        self.stopping = True

    async def again_and_again(self):
        while not self.stopping:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                self.refused += 1
                if self.refused > 10 * self.connections:
                    return
                await asyncio.sleep(0.02)
                continue
            try:
                await self.converse(reader, writer)
            finally:
                writer.close()

    async def converse(self, reader, writer):
        """Ask on one connection until one side ends it."""
        while not self.stopping:
            begin = time.monotonic()
            try:
                writer.write(self.request)
                head = await reader.readuntil(b"\r\n\r\n")
                status, headers = parse(head)
                await reader.readexactly(int(headers.get("content-length", 0)))
            except (OSError, asyncio.IncompleteReadError) as error:
                self.failures.append(f"{type(error).__name__} after {time.monotonic() - begin:.3f} s: {error}")
                return
            if status >= 500:
                self.failures.append(f"status {status}")
            else:
                self.answered += 1
            if headers.get("connection", "").lower() == "close":
                return
            if self.pause:
                await asyncio.sleep(self.pause)


class Http2Requester(Requester):
    """The same over HTTP/2 with prior knowledge, one stream after the other on each connection (RFC 9113)."""

    DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
    END_STREAM, ACK = 1, 1
    # A connection window is renewed after so many bytes.
    RENEWED = 16_000

    def __init__(self, port, host, path, connections, pause=0.0):
        super().__init__(port, host, path, connections, pause)
        # GET and http by index, path and authority as literals with indexed names.
        self.block = b"\x82\x86" + literal(4, path) + literal(1, host)

    async def converse(self, reader, writer):
        """Ask on one connection until the server wants no more requests."""
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(self.SETTINGS, 0, 0, b""))
        stream, going, read = 1, False, 0
        while not self.stopping and not going:
            begin = time.monotonic()
            try:
                writer.write(frame(self.HEADERS, 5, stream, self.block))
                ended = False
                while not ended:
                    kind, flags, number, payload = await self.frame(reader, writer)
                    if kind == self.GOAWAY:
                        going = True
                        if int.from_bytes(payload[:4], "big") < stream:
                            # Not looked at, so it may be asked again elsewhere (section 6.8).
                            return
                    elif kind == self.RST_STREAM and number == stream:
                        self.failures.append(f"reset of stream {stream}, error {payload.hex()}")
                        return
                    elif kind in (self.DATA, self.HEADERS) and number == stream:
                        # 0x88 is `:status: 200` by index; the field block begins with it.
                        if kind == self.HEADERS and payload[:1] != b"\x88":
                            self.failures.append(f"h2 status is not 200: {payload[:8].hex()}")
                            return
                        read += len(payload) if kind == self.DATA else 0
                        ended = bool(flags & self.END_STREAM)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.failures.append(f"h2 {type(error).__name__} after {time.monotonic() - begin:.3f} s: {error}")
                return
            self.answered += 1
            stream += 2
            if read > self.RENEWED:
                writer.write(frame(self.WINDOW_UPDATE, 0, 0, read.to_bytes(4, "big")))
                read = 0
            if self.pause:
                await asyncio.sleep(self.pause)

    async def frame(self, reader, writer):
        """The next frame; settings and pings are answered."""
        head = await reader.readexactly(9)
        kind, flags = head[3], head[4]
        payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
        if kind in (self.SETTINGS, self.PING) and not flags & self.ACK:
            writer.write(frame(kind, self.ACK, 0, payload if kind == self.PING else b""))
        return kind, flags, int.from_bytes(head[5:], "big"), payload


def frame(kind, flags, stream, payload):
    """One frame of HTTP/2."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(index, text):
    """A field with an indexed name that is not added to the table (RFC 7541, section 6.2.2); texts below 127 bytes."""
    return bytes([index, len(text)]) + text.encode()


def parse(head):
    """Status and headers, names in lower case."""
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return int(first.split()[1]), headers
