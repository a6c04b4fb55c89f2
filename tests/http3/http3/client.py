"""A client on aioquic: one connection, whole answers, and whatever bytes a test wants on a stream."""

import asyncio
import ssl

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset

PATIENCE = 20.0


class Broken(Exception):
    """The stream or the connection ended before the answer did; holds the code."""


class Client(QuicConnectionProtocol):
    """One connection."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.http = H3Connection(self._quic)
        self.answers = {}

    def quic_event_received(self, event):
        if isinstance(event, StreamReset) and event.stream_id in self.answers:
            self.finish(event.stream_id, Broken(event.error_code))
        if isinstance(event, ConnectionTerminated):
            for stream in list(self.answers):
                self.finish(stream, Broken(event.error_code))
        for found in self.http.handle_event(event):
            self.take(found)

    def take(self, event):
        answer = self.answers.get(getattr(event, "stream_id", None))
        if not answer:
            return
        if isinstance(event, HeadersReceived):
            fields = [(name.decode(), value.decode()) for name, value in event.headers]
            if "headers" in answer:
                answer["trailers"] = fields
            else:
                answer["headers"] = fields
        if isinstance(event, DataReceived):
            answer["body"] += event.data
        if event.stream_ended:
            self.finish(event.stream_id, None)

    def finish(self, stream, error):
        future = self.answers[stream]["future"]
        if not future.done():
            future.set_exception(error) if error else future.set_result(None)

    def begin(self):
        stream = self._quic.get_next_available_stream_id()
        self.answers[stream] = {"body": b"", "future": asyncio.get_running_loop().create_future()}
        return stream

    async def answer(self, stream):
        """The answer on a stream: status, fields, body, trailers."""
        self.transmit()
        answer = self.answers[stream]
        try:
            await asyncio.wait_for(answer["future"], PATIENCE)
        finally:
            del self.answers[stream]
        fields = answer.get("headers", [])
        return {
            "status": int(dict(fields)[":status"]), "headers": fields, "body": answer["body"],
            "trailers": answer.get("trailers"),
        }  # fmt: skip

    async def request(self, method, target, host, fields=(), body=None, trailers=None):
        """Send a request with a body in these pieces and wait for the whole answer."""
        stream = self.begin()
        head = [(":method", method), (":scheme", "https"), (":authority", host), (":path", target), *fields]
        encoded = [(name.encode(), value.encode()) for name, value in head]
        more = body is not None or trailers is not None
        self.http.send_headers(stream, encoded, end_stream=not more)
        pieces = body or []
        for number, piece in enumerate(pieces):
            last = number + 1 == len(pieces) and trailers is None
            self.http.send_data(stream, piece, end_stream=last)
        if trailers:
            encoded = [(name.encode(), value.encode()) for name, value in trailers]
            self.http.send_headers(stream, encoded, end_stream=True)
        return await self.answer(stream)

    async def raw(self, data, end=True):
        """Send these bytes on a request stream."""
        stream = self.begin()
        self._quic.send_stream_data(stream, data, end_stream=end)
        return await self.answer(stream)

    def update_keys(self):
        self._quic.request_key_update()

    def change_connection_id(self):
        self._quic.change_connection_id()


def client(gateway, place, name, identity=False):
    """Connect for a server name."""
    configuration = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=True, server_name=name)
    configuration.verify_mode = ssl.CERT_REQUIRED
    configuration.load_verify_locations(str(place.chain))
    if identity:
        configuration.load_cert_chain(str(place.chain), str(place.key))
    return connect(
        "127.0.0.1", gateway.port, configuration=configuration, create_protocol=Client, wait_connected=True
    )
