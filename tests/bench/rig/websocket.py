"""WebSockets that talk all the time, and a server that says the same back."""

import asyncio

HANDSHAKE = (
    "GET /socket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
PAUSE, LIMIT = 0.005, 5.0


async def echo(reader, writer):
    """What each connection to the server is answered: a switch of protocols, then its own bytes."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ACCEPTED)
        while data := await reader.read(4096):
            writer.write(data)
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


class Talk:
    """One WebSocket over which words go forth and back until `end` is called."""

    def __init__(self, port, host):
        self.port, self.host = port, host
        self.words, self.failures, self.ending = 0, [], False

    async def run(self):
        try:
            await self.talk()
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
            self.failures.append(f"WebSocket after {self.words} words: {type(error).__name__} {error}")

    async def talk(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(HANDSHAKE.format(host=self.host).encode())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LIMIT)
            if b" 101 " not in head.split(b"\r\n")[0]:
                raise OSError(head.decode(errors="replace"))
            while not self.ending:
                # A masked frame of text (RFC 6455 section 5.2), which means nothing to whoever passes it on.
                frame = b"\x81\x84\0\0\0\0" + b"%04d" % (self.words % 10_000)
                writer.write(frame)
                if await asyncio.wait_for(reader.readexactly(len(frame)), LIMIT) != frame:
                    raise OSError("other words came back")
                self.words += 1
                await asyncio.sleep(PAUSE)
        finally:
            writer.close()

    def end(self):
        self.ending = True
