"""1.7: protocols that the mesh does not read."""

import subprocess
import sys

from . import basics, identities, net

GREETING = b"220 hello\r\n"

# Runs in a namespace: connects, and says how long the greeting took, in milliseconds.
GREETED = """
import socket, sys, time
times = []
for _ in range(20):
    begun = time.monotonic()
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as stream:
        got = b""
        while not got.endswith(b"\\n"):
            got += stream.recv(100)
        times.append((time.monotonic() - begun) * 1000)
        stream.sendall(b"x" * 300000)
        stream.shutdown(socket.SHUT_WR)
        rest = 0
        while data := stream.recv(65536):
            rest += len(data)
        assert rest == 300000, rest
print(sorted(times)[len(times) // 2])
"""

WEBSOCKET = """
import base64, os, socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as stream:
    key = base64.b64encode(os.urandom(16)).decode()
    stream.sendall((f"GET /chat HTTP/1.1\\r\\nHost: web\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n"
                    f"Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: {key}\\r\\n\\r\\n").encode())
    file = stream.makefile("rb")
    status = file.readline()
    while file.readline().strip():
        pass
    assert b" 101 " in status, status
    for text in (b"hello", b"again"):
        stream.sendall(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text)
        assert file.read(2 + len(text)) == bytes([0x81, len(text)]) + text
print("ok")
"""

GRPC = """
import socket, sys
import h2.connection, h2.events
connection = h2.connection.H2Connection()
connection.initiate_connection()
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as stream:
    head = [(":method", "POST"), (":scheme", "http"), (":authority", "web"), (":path", "/echo.Echo/Talk"),
            ("content-type", "application/grpc"), ("te", "trailers")]
    connection.send_headers(1, head)
    events = []
    def pump(wanted):
        stream.sendall(connection.data_to_send())
        while not any(wanted(event) for event in events):
            for event in connection.receive_data(stream.recv(65536)):
                events.append(event)
                if isinstance(event, h2.events.DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length, 1)
            stream.sendall(connection.data_to_send())
    for number in range(5):
        message = bytes([0, 0, 0, 0, 3]) + b"m%02d" % number
        connection.send_data(1, message)
        # Each message comes back before the next one is sent: nothing waits for the end of the stream.
        pump(lambda event: isinstance(event, h2.events.DataReceived) and message in event.data)
    connection.end_stream(1)
    pump(lambda event: isinstance(event, h2.events.TrailersReceived))
    trailers = [event for event in events if isinstance(event, h2.events.TrailersReceived)][0].headers
    assert any(bytes(name if isinstance(name, bytes) else name.encode()) == b"grpc-status" for name, _ in trailers), trailers
print("ok")
"""


def inside(short, code, host, port):
    words = net.inside(short, sys.executable, "-c", code, host, str(port))
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def streams(place):
    said = []
    ids = [identities.node("n1"), basics.CART], [identities.node("n2"), basics.WEB]
    listener = basics.upstream()
    for kind, protocol in (("greeter", "tcp"), ("http", "http"), ("grpc", "h2c")):
        routing = basics.catalog(protocol)
        with (
            place.workload("n2w", kind, 8080),
            place.gateway("n2", ids[1], routing),
            place.gateway("n1", ids[0], routing, [listener]),
        ):
            if kind == "greeter":
                direct = float(inside("n2", GREETED, "10.77.2.2", 8080))
                through = float(inside("n1a", GREETED, "10.77.1.1", 9001))
                assert through - direct <= 20, (direct, through)
                said.append(f"greeting {direct:.1f} ms direct, {through:.1f} ms through the mesh")
            elif kind == "http":
                assert inside("n1a", WEBSOCKET, "10.77.1.1", 9001) == "ok"
                said.append("WebSocket")
            else:
                assert inside("n1a", GRPC, "10.77.1.1", 9001) == "ok"
                said.append("gRPC stream")
    return ", ".join(said)
