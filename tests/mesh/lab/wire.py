"""The form of CONNECT on the wire, checked with Python's h2 on either side. It was not run against ztunnel."""

import json
import subprocess
import sys

from . import basics, identities, net

# A client of its own: CONNECT to a workload, a request of HTTP/1.1 inside.
CLIENT = """
import socket, ssl, sys, json
import h2.connection, h2.events
chain, key, name, address, authority = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.minimum_version = ssl.TLSVersion.TLSv1_3
context.set_alpn_protocols(["h2"])
context.load_cert_chain(chain, key)
out = {}
with socket.create_connection((address, 15008), 5) as raw, context.wrap_socket(raw, server_hostname=name or None) as tls:
    out["alpn"], out["version"] = tls.selected_alpn_protocol(), tls.version()
    out["certificate"] = ssl.DER_cert_to_PEM_cert(tls.getpeercert(True))
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    head = [(":method", "CONNECT"), (":authority", authority), ("forwarded", "for=10.9.9.9"), ("baggage", "k8s.cluster.name=x"),
            ("traceparent", "00-11111111111111111111111111111111-2222222222222222-01")]
    connection.send_headers(1, head)
    tls.sendall(connection.data_to_send())
    body = b""
    while True:
        for event in connection.receive_data(tls.recv(65536)):
            if isinstance(event, h2.events.RemoteSettingsChanged):
                changed = {int(code): change.new_value for code, change in event.changed_settings.items()}
                out["settings"] = out.get("settings", {}) | changed
            if isinstance(event, h2.events.ResponseReceived):
                text = lambda it: it.decode() if isinstance(it, bytes) else it
                out["headers"] = {text(name): text(value) for name, value in event.headers}
                if out["headers"][":status"] == "200":
                    connection.send_data(1, b"GET /inside HTTP/1.1\\r\\nHost: web\\r\\nConnection: close\\r\\n\\r\\n")
            if isinstance(event, h2.events.DataReceived):
                body += event.data
                connection.acknowledge_received_data(event.flow_controlled_length, 1)
            if isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                out["body"] = body.decode()
                print(json.dumps(out))
                sys.exit()
        tls.sendall(connection.data_to_send())
"""

# A node of its own: shows what it is asked and sends back what it gets.
SERVER = """
import socket, ssl, sys, json
import h2.config, h2.connection, h2.events
chain, key, bundle, address = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.minimum_version = ssl.TLSVersion.TLSv1_3
context.set_alpn_protocols(["h2"])
context.load_cert_chain(chain, key)
context.verify_mode = ssl.CERT_REQUIRED
context.load_verify_locations(bundle)
names = []
context.sni_callback = lambda _, name, __: names.append(name)
listener = socket.create_server((address, 15008))
print("ready", flush=True)
raw, _ = listener.accept()
raw.settimeout(10)
with context.wrap_socket(raw, server_side=True) as tls:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    tls.sendall(connection.data_to_send())
    answered = False
    while data := tls.recv(65536):
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                text = lambda it: it.decode() if isinstance(it, bytes) else it
                seen = {"headers": [[text(name), text(value)] for name, value in event.headers], "name": names}
                seen["windows"] = [connection.remote_settings.initial_window_size, connection.outbound_flow_control_window, connection.remote_settings.max_frame_size]
                print(json.dumps(seen), flush=True)
                connection.send_headers(event.stream_id, [(":status", "200")])
            elif isinstance(event, h2.events.DataReceived):
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if not answered:
                    answered = True
                    connection.send_data(event.stream_id, b"HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\ninside")
        tls.sendall(connection.data_to_send())
"""


def form(place):
    client(place)
    server(place)
    return "CONNECT with :authority only, windows of 4 and 16 MiB, frames of 1 MiB"


def client(place):
    """A client of others reaches a workload of ours."""
    routing = basics.catalog()
    chain, key = place.authority.issue("foreign", basics.CART)
    with place.workload("n2w", "http", 8080), place.gateway("n2", [identities.node("n2"), basics.WEB], routing):
        ask = lambda name, authority: json.loads(run("n1", CLIENT, chain, key, name, net.NODES["n2"], authority))
        name = f"web.default.sa.{identities.DOMAIN}"
        seen = ask(name, "10.77.2.2:8080")
        assert (seen["alpn"], seen["version"]) == ("h2", "TLSv1.3"), seen
        assert identity(seen["certificate"]) == basics.WEB
        assert seen["headers"] == {":status": "200"}, seen["headers"]
        assert "200 OK" in seen["body"] and '"/inside"' in seen["body"], seen["body"]
        assert seen["settings"]["4"] == 4 << 20 and seen["settings"]["5"] == 1 << 20, seen["settings"]
        # A ztunnel sends no name: the node shows itself.
        assert identity(ask("", "10.77.2.2:8080")["certificate"]) == identities.node("n2")
        assert ask(name, "10.77.2.9:8080")["headers"][":status"] == "404"
        assert ask(name, "web.default:80")["headers"][":status"] == "200"


def server(place):
    """Our client reaches a node of others."""
    routing = basics.catalog()
    chain, key = place.authority.issue("node", basics.WEB)
    words = [sys.executable, "-c", SERVER, chain, key, place.authority.bundle, net.NODES["n2"]]
    foreign = place.start("n2", *words)
    assert foreign.stdout.readline() == b"ready\n"
    with place.gateway("n1", [identities.node("n1"), basics.CART], routing, [basics.upstream()]):
        status, body = place.ask("n1a", f"{basics.LISTENER}/")
        assert (status, body) == (200, "inside"), (status, body)
    seen = json.loads(foreign.stdout.readline())
    place.end(foreign)
    headers = dict(map(tuple, seen["headers"]))
    assert headers[":method"] == "CONNECT" and headers[":authority"] == "10.77.2.2:8080", headers
    assert not {":scheme", ":path", ":protocol"} & set(headers), headers
    assert headers["traceparent"].count("-") == 3 and headers["baggage"] == "portcullis.node=n1", headers
    assert seen["name"] == [f"web.default.sa.{identities.DOMAIN}"], seen
    window, connection, frame = seen["windows"]
    assert window == 4 << 20 and connection == 16 << 20 and frame == 1 << 20, seen["windows"]


def run(short, code, *words):
    command = net.inside(short, sys.executable, "-c", code, *map(str, words))
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def identity(pem):
    from cryptography import x509

    names = x509.load_pem_x509_certificate(pem.encode()).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return names.value.get_values_for_type(x509.UniformResourceIdentifier)[0]
