"""The acceptance tests by number."""

import dataclasses
import typing

from . import basics, edge, opaque, wire


@dataclasses.dataclass
class Test:
    number: str
    name: str
    run: typing.Callable


ALL = [
    Test("1.1", "a call crosses the wire in tunnels only", basics.crosses_encrypted),
    Test("1.2", "who is not believed gets nothing", basics.bad_identities),
    Test("1.4", "middlewares do over the mesh what they do at the edge", edge.same_middlewares),
    Test("1.7", "server-first TCP, WebSocket and gRPC streams", opaque.streams),
    Test("1.8", "an edge reaches a workload as itself", edge.as_itself),
    Test("wire", "the form of CONNECT, with a client and a server of others", wire.form),
]
