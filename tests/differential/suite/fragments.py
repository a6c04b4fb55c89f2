"""TLS whose first message is cut into records of one byte each, as an attacker would who wants the name overlooked."""

import ssl

HEADER = 5


class Fragmented:
    """A TLS connection over a plain socket, with as much of a socket's interface as the client needs."""

    def __init__(self, context, sock, name):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self.first = True
        self.run(self.tls.do_handshake)

    def run(self, step, *arguments):
        """Repeat a step until it needs no more bytes from the peer."""
        while True:
            try:
                result = step(*arguments)
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(65536)
                if not data:
                    self.incoming.write_eof()
                self.incoming.write(data)

    def flush(self):
        data = self.outgoing.read()
        if data and self.first:
            self.first = False
            data = cut(data)
        if data:
            self.sock.sendall(data)

    def recv(self, count):
        try:
            return self.run(self.tls.read, count)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    def sendall(self, data):
        self.run(self.tls.write, data)

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)

    def close(self):
        self.sock.close()

    def __getattr__(self, name):
        return getattr(self.tls, name)


def cut(record):
    """One TLS record as many, each with one byte of it."""
    kind, payload = record[:3], record[HEADER:]
    return b"".join(kind + b"\0\1" + bytes([byte]) for byte in payload)
