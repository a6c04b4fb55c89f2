"""What clients of others must get from Portcullis."""

import asyncio

import curl_cffi
from curl_cffi import CurlHttpVersion, CurlOpt

from .client import Broken, client
from .place import HOST, Server

LARGE = 4 << 20


class Checks:
    """Named expectations."""

    def __init__(self):
        self.failures = []

    def same(self, what, got, wanted):
        good = got == wanted
        print(f"{'ok  ' if good else 'FAIL'} {what}")
        if not good:
            self.failures.append(f"{what}: got {got!r}, wanted {wanted!r}")


def check(place, gateway):
    """All failures."""
    checks = Checks()
    with_curl(place, gateway, checks)
    asyncio.run(with_aioquic(place, gateway, checks))
    return checks.failures


def with_curl(place, gateway, checks):
    session = curl_cffi.Session(
        http_version=CurlHttpVersion.V3ONLY, verify=str(place.chain),
        curl_options={CurlOpt.RESOLVE: [f"{HOST}:{gateway.port}:127.0.0.1"]},
    )  # fmt: skip
    url = f"https://{HOST}:{gateway.port}"
    answer = session.get(f"{url}/curl?a=b")
    checks.same("curl: GET", (answer.status_code, answer.text), (200, "hello"))
    checks.same("curl: it is HTTP/3", answer.http_version, CurlHttpVersion.V3)
    checks.same("curl: POST", session.post(f"{url}/", data=b"abc" * 1000).text, "abc" * 1000)
    checks.same("curl: large answer", len(session.get(f"{url}/large").content), LARGE)
    sent = b"z" * LARGE
    checks.same("curl: large body and answer", session.post(f"{url}/", data=sent).content == sent, True)
    checks.same("curl: HEAD", session.head(f"{url}/").content, b"")
    checks.same("curl: 204", session.get(f"{url}/status/204").status_code, 204)


async def with_aioquic(place, gateway, checks):
    async with client(gateway, place, HOST) as one:
        answer = await one.request("GET", "/", HOST)
        checks.same("aioquic: GET", (answer["status"], answer["body"]), (200, b"hello"))
        answers = await asyncio.gather(*(one.request("POST", f"/{n}", HOST, body=[b"%d" % n]) for n in range(50)))
        checks.same("aioquic: fifty at once", [it["body"] for it in answers], [b"%d" % n for n in range(50)])
        answer = await one.request("GET", "/trailers", HOST)
        checks.same("aioquic: trailers", answer["trailers"], [("x-end", "yes")])
        answer = await one.request("POST", "/", HOST, body=[b"q" * 65536] * 64)
        checks.same("aioquic: large body and answer", len(answer["body"]), LARGE)
        one.update_keys()
        checks.same("aioquic: after a key update", (await one.request("GET", "/", HOST))["status"], 200)
        one.change_connection_id()
        checks.same("aioquic: with another connection id", (await one.request("GET", "/", HOST))["status"], 200)
        # An unknown frame before the head (RFC 9114 section 9).
        answer = await one.raw(b"\x21\x03abc" + head(b"GET"))
        checks.same("aioquic: unknown frames are skipped", answer["status"], 200)
        checks.same("aioquic: a stream without a head", await code(one.raw(b"")), 0x10D)
    await terms(place, gateway, checks)


async def terms(place, gateway, checks):
    before = len(Server.seen)
    try:
        async with client(gateway, place, "strict.test") as two:
            await two.request("GET", "/", "strict.test")
        got = "an answer"
    except (Broken, ConnectionError, asyncio.TimeoutError):
        got = "none"
    checks.same("aioquic: no client certificate", (got, len(Server.seen)), ("none", before))
    async with client(gateway, place, "strict.test", identity=True) as three:
        checks.same("aioquic: client certificate", (await three.request("GET", "/", "strict.test"))["status"], 200)
    async with client(gateway, place, HOST) as four:
        checks.same("aioquic: 421", (await four.request("GET", "/", "strict.test"))["status"], 421)


async def code(answer):
    """The code that ends a stream or connection."""
    try:
        await answer
    except Broken as broken:
        return broken.args[0]
    return None


def head(method):
    """HEADERS for `/` on the host, without compression."""
    fields = [(b":method", method), (b":scheme", b"https"), (b":authority", HOST.encode()), (b":path", b"/")]
    block = b"\x00\x00"
    for name, value in fields:
        # Literal with literal name (RFC 9204 section 4.5.6); lengths of 7 and more go on in a second byte.
        first = bytes([0x20 | len(name)]) if len(name) < 7 else bytes([0x27, len(name) - 7])
        block += first + name + bytes([len(value)]) + value
    return b"\x01" + bytes([len(block)]) + block
