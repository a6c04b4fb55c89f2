"""A workload: `workload.py http|greeter|grpc HOST PORT`. Says `ready` once it listens."""

import base64
import hashlib
import http.server
import json
import socket
import socketserver
import sys
import threading

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Http(http.server.BaseHTTPRequestHandler):
    """Shows what it got, and speaks WebSocket where it is asked to."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self):
        if "websocket" in self.headers.get("upgrade", "").lower():
            return self.websocket()
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = sorted((name.lower(), value) for name, value in self.headers.items())
        shown = json.dumps({"method": self.command, "path": self.path, "headers": headers, "body": body.decode("latin-1")})
        status = int(self.path[8:11]) if self.path.startswith("/status/") else 200
        data = shown.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_HEAD = do_OPTIONS = do_DELETE = do_PATCH = answer

    def websocket(self):
        """Sends each small text frame back."""
        accept = base64.b64encode(hashlib.sha1(self.headers["sec-websocket-key"].encode() + GUID).digest())
        self.send_response(101)
        for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept.decode())):
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        while head := self.rfile.read(2):
            length, mask = head[1] & 0x7F, self.rfile.read(4)
            data = bytes(byte ^ mask[index % 4] for index, byte in enumerate(self.rfile.read(length)))
            self.wfile.write(bytes([head[0], length]) + data)
            if head[0] & 0x0F == 8:
                return


class Greeter(socketserver.BaseRequestHandler):
    """Speaks first, then sends back what it gets."""

    def handle(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request.sendall(b"220 hello\r\n")
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Grpc(socketserver.BaseRequestHandler):
    """A stream of messages each way over h2 in the clear; each is sent back as it comes."""

    def handle(self):
        import h2.config
        import h2.connection
        import h2.events

        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        self.request.sendall(connection.data_to_send())
        while data := self.request.recv(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    head = [(":status", "200"), ("content-type", "application/grpc")]
                    connection.send_headers(event.stream_id, head)
                elif isinstance(event, h2.events.DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    if event.data:
                        connection.send_data(event.stream_id, event.data)
                elif isinstance(event, h2.events.StreamEnded):
                    connection.send_headers(event.stream_id, [("grpc-status", "0")], end_stream=True)
            self.request.sendall(connection.data_to_send())


class Farm(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def handle_error(self, *_):
        pass


def main():
    kind, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    server = Farm((host, port), {"http": Http, "greeter": Greeter, "grpc": Grpc}[kind])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    # Until whoever started it goes.
    sys.stdin.read()


if __name__ == "__main__":
    main()
