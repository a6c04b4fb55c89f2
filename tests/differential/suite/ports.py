"""Free ports below the range that the kernel hands out by itself, each given once."""

import errno
import socket
import threading


class Ports:
    def __init__(self, first, last):
        self.lock = threading.Lock()
        self.range = iter(range(first, last + 1))

    def take(self, address="127.0.0.1"):
        """A port that can be bound just now."""
        with self.lock:
            for port in self.range:
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    try:
                        probe.bind((address, port))
                    except OSError as error:
                        if error.errno in (errno.EADDRINUSE, errno.EACCES):
                            continue
                        raise
                return port
        raise SystemExit("no free port left; give a wider range with --ports")
