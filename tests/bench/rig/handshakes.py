"""Load generator: a new TLS connection, a full handshake and one request, again and again.

Usage: handshakes.py PORT HOST PATH SECONDS CONNECTIONS. wrk and h2load cannot be kept from resuming sessions; here
each connection begins without one. Version, cipher and group come from the configuration of OpenSSL.
"""

import json
import socket
import ssl
import sys
import threading
import time


def main(port, host, path, seconds, connections):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    begin = time.monotonic()
    counts = [[0, 0] for _ in range(int(connections))]

    def ask():
        with socket.create_connection(("127.0.0.1", int(port)), 10) as plain:
            with context.wrap_socket(plain, server_hostname=host) as secure:
                secure.sendall(request)
                answer = b""
                while more := secure.recv(65536):
                    answer += more
                resumed = secure.session_reused
        return answer.startswith(b"HTTP/1.1 200 ") and not resumed

    def again_and_again(count):
        while time.monotonic() < begin + float(seconds):
            try:
                good = ask()
            except OSError:
                good = False
            count[0 if good else 1] += 1

    threads = [threading.Thread(target=again_and_again, args=(count,)) for count in counts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done, failed = map(sum, zip(*counts, strict=True))
    print(json.dumps({
        "requests": done, "seconds": time.monotonic() - begin, "sockets": failed, "statuses": 0, "p50": 0, "p99": 0,
    }))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
