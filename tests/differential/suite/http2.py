"""HTTP/2 for the client and for the back ends, on the sans-io package `h2`."""

import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from .wire import Closed, TimedOut


def pairs(headers):
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


class Streams:
    """One side of a connection: feeds received bytes to the state machine and sends what it wants sent."""

    def __init__(self, wire, client_side):
        self.wire = wire
        # Validation is off: a case may want to send what is not allowed, and sees what came as it came.
        config = h2.config.H2Configuration(
            client_side=client_side,
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            validate_inbound_headers=False,
            normalize_inbound_headers=False,
        )
        self.machine = h2.connection.H2Connection(config)
        self.machine.initiate_connection()
        self.flush()

    def flush(self):
        data = self.machine.data_to_send()
        if data:
            self.wire.sock.sendall(data)

    def events(self, deadline):
        """The next events; raises Closed or TimedOut."""
        if not self.wire.buffer:
            self.wire.fill(deadline)
        data, self.wire.buffer = self.wire.buffer, b""
        found = self.machine.receive_data(data)
        for event in found:
            if isinstance(event, h2.events.DataReceived):
                self.machine.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()
        return found


class Http2Client:
    """Streams of one client connection, one after another."""

    def __init__(self, wire):
        self.wire = wire
        self.streams = Streams(wire, True)
        self.ended = False

    def exchange(self, step, host, scheme):
        """Send one request and return its response in the shape of an HTTP/1 one."""
        method, target = step["request"].split(" ", 1)
        head = [(":method", method), (":scheme", scheme), (":authority", host), (":path", target)]
        head += [("user-agent", "differential"), ("accept-encoding", "identity")]
        head = [pair for pair in head if pair[0] not in step.get("without", [])]
        head += [tuple(line.split(": ", 1)) for line in step.get("headers", [])]
        body = step.get("body", "").encode("latin-1")
        trailers = [tuple(line.split(": ", 1)) for line in step.get("trailers", [])]
        machine = self.streams.machine
        response = {"version": "HTTP/2", "status": None, "headers": [], "body": b"", "trailers": [], "interim": []}
        try:
            stream = machine.get_next_available_stream_id()
            machine.send_headers(stream, head, end_stream=not (body or trailers))
            if body:
                machine.send_data(stream, body, end_stream=not trailers)
            if trailers:
                machine.send_headers(stream, trailers, end_stream=True)
            self.streams.flush()
            outcome = self.receive(stream, response)
        except (Closed, OSError):
            outcome = "closed"
        except TimedOut:
            outcome = "nothing came"
        except h2.exceptions.ProtocolError as error:
            outcome = f"protocol error: {type(error).__name__}"
        if outcome:
            return {"missing": outcome}
        return response | {"body": response["body"].decode("latin-1")}

    def receive(self, stream, response):
        """Take events until the stream ends; the reason when it did not end well."""
        deadline = time.monotonic() + self.wire.timeout
        while True:
            for event in self.streams.events(deadline):
                if isinstance(event, h2.events.ConnectionTerminated):
                    self.ended = True
                    if not response["status"]:
                        return f"goaway {int(event.error_code)}"
                if getattr(event, "stream_id", None) != stream:
                    continue
                if isinstance(event, h2.events.InformationalResponseReceived):
                    head = pairs(event.headers)
                    response["interim"].append({"status": int(head[0][1]), "headers": head[1:]})
                elif isinstance(event, h2.events.ResponseReceived):
                    head = pairs(event.headers)
                    response["status"] = int(head[0][1])
                    response["headers"] = head[1:]
                elif isinstance(event, h2.events.DataReceived):
                    response["body"] += event.data
                elif isinstance(event, h2.events.TrailersReceived):
                    response["trailers"] = pairs(event.headers)
                elif isinstance(event, h2.events.StreamReset):
                    return f"reset {int(event.error_code)}"
                elif isinstance(event, h2.events.StreamEnded):
                    return None

    def state(self, seconds):
        """Whether the connection is kept: neither ended nor told to end within the given time."""
        deadline = time.monotonic() + seconds
        try:
            while not self.ended:
                for event in self.streams.events(deadline):
                    self.ended |= isinstance(event, h2.events.ConnectionTerminated)
        except TimedOut:
            return "kept"
        except (Closed, OSError, h2.exceptions.ProtocolError):
            return "closed"
        return "told to go away"


def serve(farm, name, wire, peer):
    """Serve the streams of one connection as a back end: record each request whole, then answer it."""
    streams = Streams(wire, False)
    open_requests = {}
    while True:
        for event in streams.events(time.monotonic() + 60):
            stream = getattr(event, "stream_id", None)
            if isinstance(event, h2.events.RequestReceived):
                farm.count(1)
                head = pairs(event.headers)
                pseudo = dict(pair for pair in head if pair[0].startswith(":"))
                open_requests[stream] = {
                    "method": pseudo.get(":method"),
                    "target": pseudo.get(":path"),
                    "version": "HTTP/2",
                    "authority": pseudo.get(":authority"),
                    "scheme": pseudo.get(":scheme"),
                    "headers": [pair for pair in head if not pair[0].startswith(":")],
                    "body": "",
                    "trailers": [],
                    **peer,
                }
            elif isinstance(event, h2.events.DataReceived):
                open_requests[stream]["body"] += event.data.decode("latin-1")
            elif isinstance(event, h2.events.TrailersReceived):
                open_requests[stream]["trailers"] = pairs(event.headers)
            elif isinstance(event, h2.events.StreamReset) and stream in open_requests:
                del open_requests[stream]
                farm.count(-1)
            elif isinstance(event, h2.events.StreamEnded):
                request = open_requests.pop(stream)
                farm.record(name, request)
                reply(streams, stream, name, request, farm.plan(name))
                farm.count(-1)


def reply(streams, stream, name, request, answer):
    """Send the answer the case asked for on one stream."""
    time.sleep(answer.get("delay", 0))
    machine = streams.machine
    if "reset" in answer:
        machine.reset_stream(stream, answer["reset"])
        streams.flush()
        return
    for line in answer.get("interim", []):
        fields = [tuple(text.split(": ", 1)) for text in line[1:]]
        machine.send_headers(stream, [(":status", line[0].split(" ")[0]), *fields])
    head = [(":status", str(answer.get("status", 200))), ("x-server", name)]
    head += [tuple(text.split(": ", 1)) for text in answer.get("headers", [])]
    body = answer.get("body", f"{name} {request['method']} {request['target']}\n").encode("latin-1")
    trailers = [tuple(text.split(": ", 1)) for text in answer.get("trailers", [])]
    bodyless = request["method"] == "HEAD" or answer.get("bodyless")
    machine.send_headers(stream, head, end_stream=bool(bodyless and not trailers))
    if not bodyless:
        machine.send_data(stream, body, end_stream=not trailers)
    if trailers:
        machine.send_headers(stream, trailers, end_stream=True)
    streams.flush()
