"""1.1 and 1.2: what crosses the wire, and who is believed."""

import datetime
import socket
import struct

from . import identities, net
from .place import until

MARKER = "the-marker-that-nobody-may-read"
CART = identities.spiffe("shop", "cart")
WEB = identities.spiffe("default", "web")
LISTENER = "http://10.77.1.1:9001"


def catalog(protocol="http", port=80, target=8080, account="web", policies=None):
    """One workload, n2w, behind the service `web.default`."""
    return {
        "mesh": {
            "nodes": {"n1": {"address": net.NODES["n1"]}, "n2": {"address": net.NODES["n2"]}},
            "workloads": {
                "web-1": {
                    "account": account, "node": "n2", "address": "10.77.2.2",
                    "ports": [{"port": port, "targetPort": target, "protocol": protocol}],
                }
            },
            "services": {"web.default": {"workloads": ["web-1"]}},
            "policies": policies or {},
        }
    }  # fmt: skip


def upstream(port=80, listen=9001):
    return {"service": "web.default", "port": port, "listen": f"10.77.1.1:{listen}", "account": "shop/cart"}


def crosses_encrypted(place):
    routing = catalog()
    file = place.folder / "n1-n2.packets"
    with (
        place.workload("n2w", "http", 8080),
        place.gateway("n2", [identities.node("n2"), WEB], routing),
        place.gateway("n1", [identities.node("n1"), CART], routing, [upstream()]) as one,
    ):
        capture = place.helper("n1", "capture.py", "up0", file)
        for _ in range(5):
            status, body = place.ask("n1a", f"{LISTENER}/a", "--data", MARKER)
            assert status == 200 and MARKER in body, (status, body)
        sent = one.metric("portcullis_mesh_tcp_connections_opened_total", reporter="source")
        place.end(capture)
        assert sent >= 1, sent
    data = file.read_bytes()
    assert MARKER.encode() not in data, "the body is readable on the wire"
    ports, packets, hello = set(), 0, False
    for packet in records(data):
        if packet[14 + 9] != 6:
            continue
        source, target = socket.inet_ntoa(packet[26:30]), socket.inet_ntoa(packet[30:34])
        if {source, target} == {net.NODES["n1"], net.NODES["n2"]}:
            packets += 1
            head = 14 + (packet[14] & 0x0F) * 4
            pair = struct.unpack("!HH", packet[head : head + 4])
            ports.add(pair[1] if source == net.NODES["n1"] else pair[0])
            # supported_versions of a ServerHello (RFC 8446 section 4.2.1): TLS 1.3 was chosen.
            hello = hello or b"\x00\x2b\x00\x02\x03\x04" in packet
    assert packets and ports == {15008} and hello, (packets, ports, hello)
    return f"{packets} packets, all to port 15008 under TLS 1.3"


def records(data):
    at = 0
    while at < len(data):
        (length,) = struct.unpack("!I", data[at : at + 4])
        yield data[at + 4 : at + 4 + length]
        at += 4 + length


def bad_identities(place):
    other = identities.Authority(place.folder / "other", "other")
    past = datetime.timedelta(hours=-2)
    bad = {
        "untrusted_root": other.issue("stranger", CART),
        "expired": place.authority.issue("expired", CART, begin=past, life=datetime.timedelta(hours=-1)),
        "several_ids": place.authority.issue("several", CART, WEB),
        "not_a_leaf": (place.authority.bundle, own_key(place)),
    }
    routing = catalog()
    with place.workload("n2w", "http", 8080), place.gateway("n2", [identities.node("n2"), WEB], routing) as two:
        for reason, files in bad.items():
            refused(place, files)
            seen = lambda: two.metric("portcullis_mesh_handshake_failures_total", reason=reason)
            until(lambda: seen() >= 1, f"n2 counts {reason}: {two.metrics()}", 5)
        # Right authority, wrong account: the node of the workload cannot show the identity that the catalog names.
        routing = catalog(account="other")
        with place.gateway("n1", [identities.node("n1"), CART], routing, [upstream()]) as one:
            status, body = place.ask("n1a", f"{LISTENER}/")
            assert status in (500, 502), (status, body)
            assert one.metric("portcullis_mesh_dial_failures_total", reason="wrong_id") >= 1, one.metrics()
            assert one.logged("is not taken for"), "the log says why"
        assert two.metric("portcullis_mesh_requests_total") == 0, "nothing reached the workload"
    return ", ".join([*bad, "wrong_id"])


def own_key(place):
    """The key of the authority itself, whose certificate may sign others."""
    from cryptography.hazmat.primitives import serialization

    path = place.authority.folder / "root.key"
    path.write_bytes(
        place.authority.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


CLIENT = """
import socket, ssl, sys
chain, key, address = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.minimum_version = ssl.TLSVersion.TLSv1_3
context.set_alpn_protocols(["h2"])
context.load_cert_chain(chain, key)
with socket.create_connection((address, 15008), 5) as raw:
    try:
        with context.wrap_socket(raw) as tls:
            tls.settimeout(5)
            tls.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + bytes(3) + b"\\x04" + bytes(5))
            got = tls.recv(100)
            print("accepted" if got else "closed")
    except (ssl.SSLError, ConnectionError) as error:
        print("refused", error)
"""


def refused(place, files):
    import subprocess
    import sys

    words = net.inside("n1", sys.executable, "-c", CLIENT, *map(str, files), net.NODES["n2"])
    said = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout
    assert said.startswith(("refused", "closed")), said
