"""The same requests to Traefik and to Portcullis, and what came of them."""

import asyncio
import re

from .client import Broken, client
from .place import HOST, Server

# name -> (method, target, further fields, body in pieces, trailers)
SHAPES = {
    "get": ("GET", "/a/b?c=d", (), None, None),
    "head": ("HEAD", "/", (), None, None),
    "post": ("POST", "/", (("content-length", "3"),), [b"abc"], None),
    "post without a length": ("POST", "/", (), [b"abc", b"def"], None),
    "put of nothing": ("PUT", "/", (("content-length", "0"),), None, None),
    "options of all": ("OPTIONS", "*", (), None, None),
    "unknown host": ("GET", "/", (), None, None),
    "misdirected": ("GET", "/", (), None, None),
    "cookies in crumbs": ("GET", "/", (("cookie", "a=1"), ("cookie", "b=2")), None, None),
    "forwarded": ("GET", "/", (("x-forwarded-for", "1.2.3.4"),), None, None),
    "odd path": ("GET", "/a/../b//c", (), None, None),
    "not modified": ("GET", "/status/304", (), None, None),
    "no content": ("GET", "/status/204", (), None, None),
    "server error": ("GET", "/status/503", (), None, None),
    "trailers of an answer": ("GET", "/trailers", (), None, None),
    "connection": ("GET", "/", (("connection", "close"),), None, None),
    "transfer-encoding": ("POST", "/", (("transfer-encoding", "chunked"),), [b"abc"], None),
    "te": ("GET", "/", (("te", "trailers"),), None, None),
    "longer than announced": ("POST", "/", (("content-length", "2"),), [b"abc"], None),
    "shorter than announced": ("POST", "/", (("content-length", "5"),), [b"abc"], None),
}
HOSTS = {"unknown host": "other.test", "misdirected": "strict.test"}

# What differs on purpose: name -> why. Each must differ.
DIFFERENT = {
    "options of all": "it is asked of the gateway, which answers, as over HTTP/1",
    "trailers of an answer": "the values of `Trailer` stay as the server wrote them",
    "longer than announced": "nothing of such a body may reach the server",
    "shorter than announced": "the request is malformed and has no answer (RFC 9114 section 4.1.2)",
}

# Fields that no two gateways have alike, or two runs.
UNLIKE = {"date", "server", "content-length", "user-agent", "accept-encoding", "x-forwarded-port", "x-forwarded-server"}


def compare(place, ours, theirs, verbose):
    """All failures."""
    failures = []
    for version in ("1.1", "2"):
        told = [alternative(place, gateway, version) for gateway in (ours, theirs)]
        if told[0] != told[1]:
            failures.append(f"Alt-Svc over HTTP/{version}: {told[0]!r}, Traefik has {told[1]!r}")
    for name in SHAPES:
        got, wanted = (asyncio.run(one(place, gateway, name)) for gateway in (ours, theirs))
        if verbose:
            print(f"{name}:\n  traefik    {wanted}\n  portcullis {got}")
        if (got != wanted) != (name in DIFFERENT):
            failures.append(f"{name}: got {got}, Traefik gives {wanted}")
        else:
            print(f"{'diff' if got != wanted else 'same'} {name}")
    return failures


def alternative(place, gateway, version):
    """What a client of TCP is told of HTTP/3."""
    found = re.findall(r"(?im)^alt-svc: (.*?)\r?$", place.over_tcp(gateway, version))
    return [text.replace(str(gateway.port), "<port>") for text in found]


async def one(place, gateway, name):
    """What came of a request: the answer, and what the server saw."""
    method, target, fields, body, trailers = SHAPES[name]
    Server.seen.clear()
    try:
        async with client(gateway, place, HOST) as connection:
            answer = await connection.request(
                method, target, HOSTS.get(name, HOST), fields, body, trailers
            )
    except (Broken, asyncio.TimeoutError) as error:
        return {"broken": type(error).__name__, "seen": tidy_seen(gateway)}
    return {
        "status": answer["status"],
        "headers": sorted(pair for pair in answer["headers"] if pair[0] not in UNLIKE),
        "body": answer["body"].decode(errors="replace").strip(),
        "trailers": answer["trailers"],
        "seen": tidy_seen(gateway),
    }


def tidy_seen(gateway):
    """Requests that the server saw, without what is unlike."""
    return [
        {**seen, "headers": {name: value for name, value in seen["headers"].items() if name not in UNLIKE}}
        for seen in Server.seen
    ]

