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


def parse(head):
    """Status and headers, names in lower case."""
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return int(first.split()[1]), headers
